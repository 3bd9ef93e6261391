package operate

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// SubmitPath is where sockets take a Mail in.
const SubmitPath = "/api/v1/submit"

// Query is a mail's envelope and ID as parameters of a request.
func (m *Mail) Query() url.Values {
	e := &m.Envelope
	query := url.Values{"from": {e.From.String()}}
	for _, r := range e.To {
		query.Add("to", r.Address.String())
		query.Add("notify", r.Notify.Words())
		query.Add("orcpt", r.Original)
	}
	for name, value := range map[string]string{"id": string(m.ID), "ret": e.Ret, "envid": e.ID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// ParseQuery reads what Query writes, or somebody by hand. An empty from is the null reverse-path;
// without one the sender is user, who asks. A recipient without a domain has an alias, or is
// DEFAULT_TO; a sender without one is at this machine. ret and envid are those of RFC 3461; notify
// and orcpt are given once for each to, or notify once for all.
func ParseQuery(raw, user string) (m Mail, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return m, Malformed("the query cannot be read: " + err.Error() + ".")
	}
	if m.Envelope, err = envelope(query, user); err != nil {
		return m, err
	}
	m.ID, err = chosenID(query)
	return m, err
}

// envelope reads the envelope out of a query of user.
func envelope(query url.Values, user string) (env message.Envelope, err error) {
	for name, values := range query {
		switch name {
		case "to":
		case "notify", "orcpt":
			if n := len(query["to"]); len(values) != n && (name == "orcpt" || len(values) > 1) {
				return env, Malformed(fmt.Sprintf("the parameter %s is given %d times for %d recipients.", name, len(values), n))
			}
		case "id", "from", "ret", "envid":
			if len(values) > 1 {
				return env, Malformed("the parameter " + name + " is given twice.")
			}
		default:
			return env, Malformed(fmt.Sprintf("there is no parameter %.200q.", name))
		}
	}
	if env.From, err = sender(query, user); err != nil {
		return env, err
	}
	env.Ret, env.ID = strings.ToUpper(query.Get("ret")), query.Get("envid")
	if env.Ret != "" && env.Ret != "FULL" && env.Ret != "HDRS" {
		return env, Malformed("ret is full or hdrs.")
	}
	if len(env.ID) > 100 || strings.ContainsFunc(env.ID, func(r rune) bool { return r < ' ' || r > '~' }) {
		return env, Malformed("envid has at most 100 characters of printable ASCII.") // RFC 3461, 4.4
	}
	seen := map[message.Address]bool{}
	for i, text := range query["to"] {
		a, err := message.ParseLocalAddress(strings.TrimSpace(text))
		if err != nil {
			return env, BadAddress("to", text, err)
		}
		rcpt, err := parameters(query, i)
		if err != nil {
			return env, err
		}
		rcpt.Address = a
		if !seen[a] {
			seen[a] = true
			env.To = append(env.To, rcpt)
		}
	}
	if len(env.To) == 0 {
		return env, told(queue.ErrNoRecipients)
	}
	return env, nil
}

// sender is whom the mail comes from. A user of this machine may name anybody, as a program in
// TRUSTED_NETWORKS may over SMTP.
func sender(query url.Values, user string) (message.Address, error) {
	text := strings.TrimSpace(query.Get("from"))
	switch {
	case !query.Has("from"):
		if text = user; text == "" {
			return message.Address{}, Refuse(CodeMissingFrom, "Sender (from) is required, because it is not known who calls.")
		}
	case text == "" || text == "<>":
		return message.Address{}, nil
	}
	a, err := message.ParseLocalAddress(text)
	if err != nil {
		return a, BadAddress("from", text, err)
	}
	return a, nil
}

// ahead is how much later than now the time in an ID may be: the clock may have been set back in
// between.
const ahead = time.Minute

// chosenID is the ID that a query gives, if any.
func chosenID(query url.Values) (queue.ID, error) {
	id := queue.ID(query.Get("id"))
	switch {
	case !query.Has("id"):
		return "", nil
	case !id.Valid() || time.Until(id.Time()) > ahead:
		return "", Malformed("id is none that an appliance gives.")
	}
	return id, nil
}

// parameters are the DSN parameters of the recipient at index i: of notify there is one for all, or
// one for each.
func parameters(query url.Values, i int) (r message.Recipient, err error) {
	if all := query["notify"]; len(all) > 0 {
		text := all[0]
		if len(all) > 1 {
			text = all[i]
		}
		n, ok := message.ParseNotify(text)
		if !ok {
			return r, Malformed("notify is never, or some of success,failure,delay.")
		}
		r.Notify = n
	}
	if all := query["orcpt"]; len(all) > 0 {
		r.Original = all[i]
		kind, _, ok := strings.Cut(r.Original, ";")
		if r.Original != "" && (!ok || kind == "" || len(r.Original) > 500 || clean(r.Original) != r.Original) {
			return r, Malformed("orcpt is a type and an address with a semicolon between, such as rfc822;ada@example.com.")
		}
	}
	return r, nil
}
