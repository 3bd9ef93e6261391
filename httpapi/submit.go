package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// doorSendmail is how the queue remembers mail that a user of this machine handed in.
const doorSendmail = "sendmail"

// takeRaw is POST /api/v1/submit?from=ADDRESS&to=ADDRESS&to=…: a mail as it is, with its envelope.
// An empty from is the null reverse-path; without one the sender is the user whom the kernel names.
// A recipient without a domain has an alias, or is DEFAULT_TO; a sender without one is at this
// machine. The body's lines may end in LF. ret and envid are those of RFC 3461; notify and orcpt
// are given once for each to, or notify once for all. An id names the mail: one that is known
// already is accepted and changes nothing.
func (s *Server) takeRaw(w http.ResponseWriter, r *http.Request) error {
	who, err := s.callers.identify(r)
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return web.Malformed("the query cannot be read: " + err.Error() + ".")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return web.Refuse(web.CodeEncoding, web.BadFormat+"the body is compressed; send it without Content-Encoding.")
	}
	env, err := s.envelope(query, who)
	if err != nil {
		return err
	}
	id, err := chosenID(query)
	if err != nil {
		return err
	}
	sub := queue.Submission{
		ID: id, Envelope: env, Body: &crlf{r: r.Body},
		Trace:  message.Trace{User: who.user.Name},
		Origin: queue.Origin{Door: doorSendmail, Client: who.address, User: who.user.Name},
	}
	if len(env.To) == 1 {
		sub.Trace.For = env.To[0].Address
	}
	_, err = s.queue.Submit(r.Context(), sub)
	again := errors.Is(err, queue.ErrExists) && query.Has("id")
	if err != nil && !again {
		return err
	}
	m, err := s.queue.Get(sub.ID)
	if again && (err != nil || m.Origin.User != who.user.Name || m.Origin.Door != doorSendmail) {
		return web.Malformed("the id is another mail's.")
	}
	return web.Answer(w, http.StatusOK, accepted{true, "Mail accepted", sub.ID, m.Facts.MessageID, "queued", nil})
}

// envelope reads the envelope out of a query, and checks that who may send so.
func (s *Server) envelope(query url.Values, who caller) (env message.Envelope, err error) {
	for name, values := range query {
		switch name {
		case "to":
		case "notify", "orcpt":
			if n := len(query["to"]); len(values) != n && (name == "orcpt" || len(values) > 1) {
				return env, web.Malformed(fmt.Sprintf("the parameter %s is given %d times for %d recipients.", name, len(values), n))
			}
		case "id", "from", "ret", "envid":
			if len(values) > 1 {
				return env, web.Malformed("the parameter " + name + " is given twice.")
			}
		default:
			return env, web.Malformed(fmt.Sprintf("there is no parameter %q.", clip(name)))
		}
	}
	if env.From, err = s.sender(query, who); err != nil {
		return env, err
	}
	env.Ret, env.ID = strings.ToUpper(query.Get("ret")), query.Get("envid")
	if env.Ret != "" && env.Ret != "FULL" && env.Ret != "HDRS" {
		return env, web.Malformed("ret is full or hdrs.")
	}
	if len(env.ID) > 100 || strings.ContainsFunc(env.ID, func(r rune) bool { return r < ' ' || r > '~' }) {
		return env, web.Malformed("envid has at most 100 characters of printable ASCII.") // RFC 3461, 4.4
	}
	env.UTF8 = env.From.NeedsUTF8()
	seen := map[message.Address]bool{}
	for i, text := range query["to"] {
		a, err := message.ParseLocalAddress(strings.TrimSpace(text))
		if err != nil {
			return env, badAddress("to", text, err)
		}
		rcpt, err := parameters(query, i)
		if err != nil {
			return env, err
		}
		rcpt.Address = a
		if !seen[a] {
			seen[a] = true
			env.To = append(env.To, rcpt)
			env.UTF8 = env.UTF8 || a.NeedsUTF8()
		}
	}
	if len(env.To) == 0 {
		return env, web.Refuse(web.CodeMissingTo, "Recipient (to) is required")
	}
	return env, nil
}

// sender is whom the mail comes from. A user of this machine may name anybody, as a program in TRUSTED_NETWORKS may over SMTP.
func (s *Server) sender(query url.Values, who caller) (message.Address, error) {
	text := strings.TrimSpace(query.Get("from"))
	switch {
	case !query.Has("from"):
		if text = who.user.Name; text == "" {
			return message.Address{}, web.Refuse(web.CodeMissingFrom, "Sender (from) is required, because it is not known who calls.")
		}
	case text == "" || text == "<>":
		return message.Address{}, nil
	}
	return qualified("from", text, s.machine())
}

// qualified parses an address, which is at domain when it names none.
func qualified(field, text, domain string) (message.Address, error) {
	full := message.TrimInvisible(text)
	if full != "" && !strings.Contains(full, "@") {
		full += "@" + domain
	}
	a, err := message.ParseAddress(full)
	if err != nil {
		return a, badAddress(field, text, err)
	}
	return a, nil
}

// machine is the domain of this machine's users.
func (s *Server) machine() string {
	if domain, err := message.ParseDomain(s.cfg.Machine); err == nil {
		return domain
	}
	return "localhost"
}

// crlf reads r with every line end as CRLF.
type crlf struct {
	r    io.Reader
	buf  []byte // as it was read
	left []byte // of buf, not passed on yet
	last byte   // passed on
	err  error  // of r, once left is passed on
}

// Read passes on what r has.
func (c *crlf) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(c.left) == 0 {
			if n > 0 || c.err != nil {
				break
			}
			c.fill()
			continue
		}
		if c.left[0] == '\n' && c.last != '\r' {
			p[n], c.last = '\r', '\r'
			n++
			continue
		}
		run := c.left
		if i := bytes.IndexByte(run[1:], '\n'); i >= 0 {
			run = run[:i+1]
		}
		k := copy(p[n:], run)
		c.last = run[k-1]
		c.left = c.left[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, c.err
	}
	return n, nil
}

func (c *crlf) fill() {
	if c.buf == nil {
		c.buf = make([]byte, 16<<10)
	}
	n, err := c.r.Read(c.buf)
	c.left, c.err = c.buf[:n], err
}
