package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/relay"
)

// patient is how long the upstream may take for one answer: less than Deadline, so that it is the
// upstream that is told of.
const patientFor = 8 * time.Second

// upstream goes through all that a delivery does, up to the first recipient.
func (e *exam) upstream(ctx context.Context) []Finding {
	cfg := e.Settings.Relay
	switch {
	case e.Settings.Development:
		return []Finding{{Check: "upstream", Level: Note, What: "development mode: the upstream is not asked, as no mail leaves this machine",
			Fix: e.line("ENVIRONMENT", "production")}}
	case cfg.Host == "":
		return []Finding{{Check: "upstream", Level: Warning, What: "no upstream is configured", Why: "mail is accepted and waits",
			Fix: e.line("SMTP_RELAY_HOST", "smtp.example.com") + ", and the account in SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD"}}
	}
	if e.Resolver != nil && cfg.Resolver == nil {
		cfg.Resolver = e.Resolver
	}
	cfg.ConnectTimeout, cfg.GreetingTimeout, cfg.CommandTimeout, cfg.WriteTimeout = patientFor, patientFor, patientFor, patientFor
	p := relay.Probe(ctx, cfg, e.Settings.HTTP.DefaultFrom.Address)
	all := e.connected(&p)
	all = append(all, e.greeted(&p)...)
	all = append(all, e.secured(&p)...)
	all = append(all, e.loggedIn(&p)...)
	all = append(all, e.permitted(&p)...)
	if p.Failure != nil {
		all = append(all, e.failure(&p))
	}
	return all
}

// passed is how long a stage took, if it was passed.
func passed(p *relay.Probed, name string) (time.Duration, bool) {
	for _, s := range p.Stages {
		if s.Name == name {
			return max(s.Took, 1), true
		}
	}
	return 0, false
}

func (e *exam) connected(p *relay.Probed) []Finding {
	took, ok := passed(p, "connect")
	if !ok {
		return nil
	}
	at := e.Settings.Relay.Host + ":" + strconv.Itoa(e.Settings.Relay.Port)
	f := Finding{Check: "connect", Level: OK, What: at + " answers at " + many(len(p.Addresses), "address"), Took: took}
	var dead []string
	for _, a := range p.Addresses {
		if a.Err != nil {
			dead = append(dead, a.Address.Addr().String()+" ("+printable(a.Err.Error())+")")
		}
	}
	if len(dead) > 0 {
		f.Level = Note
		f.What = fmt.Sprintf("%s answers, but not at %s", at, strings.Join(dead, " and "))
		f.Why = "mail takes the other address, a little later"
		f.Fix = "give this machine a way to that network, or take the address family from it that does not work"
	}
	return []Finding{f}
}

func (e *exam) greeted(p *relay.Probed) []Finding {
	took, ok := passed(p, "ehlo")
	if !ok {
		return nil
	}
	f := Finding{Check: "ehlo", Level: OK, What: p.Greeting, Took: took}
	var offers []string
	for _, x := range p.Extensions {
		name, value, _ := strings.Cut(x, " ")
		if slices.Contains([]string{"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING"}, strings.ToUpper(name)) {
			offers = append(offers, strings.ToUpper(name))
		}
		limit, err := strconv.ParseInt(value, 10, 64)
		if !strings.EqualFold(name, "SIZE") || err != nil || limit == 0 {
			continue
		}
		offers = append(offers, "mail up to "+bytes(limit))
		if limit < e.Settings.Queue.MaxMessageBytes {
			f.Level = Note
			f.Why = "larger mail is accepted here (up to " + bytes(e.Settings.Queue.MaxMessageBytes) + ") and fails there"
			f.Fix = e.line("MESSAGE_MAX_BYTES", strconv.FormatInt(limit, 10))
		}
	}
	if len(offers) > 0 {
		f.What += " (" + strings.Join(offers, ", ") + ")"
	}
	return []Finding{f}
}

func (e *exam) secured(p *relay.Probed) []Finding {
	cfg := e.Settings.Relay
	took, ok := passed(p, "starttls")
	if !ok {
		took, ok = passed(p, "tls")
	}
	if _, greeted := passed(p, "ehlo"); !ok && greeted && !cfg.UseTLS {
		f := Finding{Check: "tls", Level: Warning, What: "USE_TLS=no: mail travels readable for everyone on the way",
			Why: "a password would, too", Fix: e.line("USE_TLS", "yes")}
		if local(p) {
			f = Finding{Check: "tls", Level: OK, What: "USE_TLS=no, on the way to a machine of your own"}
			if cfg.Password != "" && !p.Addresses[0].Address.Addr().IsLoopback() {
				f.Level, f.Why, f.Fix = Note, "the password can be read on that network", e.line("USE_TLS", "yes")
			}
		}
		return []Finding{f}
	}
	if !ok || p.TLS == nil {
		return nil
	}
	f := Finding{Check: "tls", Level: OK, Took: took,
		What: fmt.Sprintf("%s, %s, a certificate for %s by %s, %s", p.TLS.Version, p.TLS.Cipher, some(p.TLS.Names), p.TLS.Issuer,
			left(e.Now(), p.TLS.NotAfter))}
	switch {
	case p.TLS.Problem != "":
		f.Level, f.What = Warning, "TLS_VERIFY=no overlooks this: "+p.TLS.Problem
		f.Why = "anyone on the way can pretend to be the upstream, and read the password"
		f.Fix = e.line("TLS_VERIFY", "yes") + ", with SMTP_RELAY_CA_FILE for an authority of your own"
	case p.TLS.NotAfter.Sub(e.Now()) < soon:
		f.Level, f.Why = Note, "if its owner does not renew it by then, mail waits here until that is done"
	}
	return []Finding{f}
}

// local reports whether all addresses of the upstream are on networks of one's own.
func local(p *relay.Probed) bool {
	for _, a := range p.Addresses {
		if ip := a.Address.Addr(); !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() {
			return false
		}
	}
	return len(p.Addresses) > 0
}

// some are the first few of many.
func some(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more names", len(names)-3)
	}
	return strings.Join(names, ", ")
}

func (e *exam) loggedIn(p *relay.Probed) []Finding {
	took, ok := passed(p, "auth")
	switch {
	case ok:
		return []Finding{{Check: "auth", Level: OK, Took: took, What: fmt.Sprintf("%s takes the login of %s", p.Mechanism,
			e.account())}}
	case e.Settings.Relay.Username == "" && p.Failure == nil:
		return []Finding{{Check: "auth", Level: OK, What: "no login is configured, and none is asked for"}}
	default:
		return nil
	}
}

// account is the user name as it may be shown.
func (e *exam) account() string {
	name, _, _ := strings.Cut(e.Settings.Upstream(), " at ")
	return name
}

func (e *exam) permitted(p *relay.Probed) []Finding {
	took, ok := passed(p, "mail")
	if !ok {
		return nil
	}
	from := e.Settings.HTTP.DefaultFrom.Address
	f := Finding{Check: "from", Level: OK, Took: took, What: "mail from " + from.String() + " is taken"}
	known := providerOf(e.Settings.Relay.Host)
	account, err := message.ParseAddress(e.Settings.Relay.Username)
	if known != nil && known.rewrites && err == nil && account != from {
		f.Level, f.What = Note, f.What+", but "+e.Settings.Relay.Host+" writes the account's address in its place, unless it is one of its aliases"
		f.Why = "receivers see another sender than you mean"
		f.Fix = "add the address there under \"send mail as\", or " + e.line("DEFAULT_FROM", e.Settings.Relay.Username)
	}
	return []Finding{f}
}

// failure is what ended the conversation, with the line to change.
func (e *exam) failure(p *relay.Probed) Finding {
	res := p.Failure
	check := map[string]string{"resolve": "connect", "greeting": "ehlo", "starttls": "tls", "mail": "from"}[res.Stage]
	if check == "" {
		check = res.Stage
	}
	if _, reached := passed(p, "connect"); reached && res.Stage == "connect" {
		check = "tls"
	}
	f := Finding{Check: check, Level: Error, What: reply(res), Dialogue: p.Dialogue, Fix: e.remedy(check, p),
		Why: "no mail goes out; what is accepted waits here for " + roughly(e.Settings.Queue.Lifetime) + ", and flows once this is mended"}
	if check == "from" {
		f.What = "mail from " + e.Settings.HTTP.DefaultFrom.Address.String() + " is refused: " + f.What
		f.Why = "mail from DEFAULT_FROM is refused, that of other senders perhaps not"
	}
	return f
}

// reply is what was answered, codes in front, or what went wrong, and what can be done.
func reply(res *queue.Result) string {
	text := res.Text
	switch {
	case res.Remedy == "":
	case res.Code != 0:
		text += " (" + res.Remedy + ")"
	default:
		text += "; " + res.Remedy
	}
	if res.Status != "" {
		text = res.Status + " " + text
	}
	if res.Code != 0 {
		text = strconv.Itoa(res.Code) + " " + text
	}
	return text
}

// remedy is the setting to look at first.
func (e *exam) remedy(check string, p *relay.Probed) string {
	cfg := e.Settings.Relay
	switch {
	case p.Failure.Stage == "resolve":
		return e.line("SMTP_RELAY_HOST", "the upstream's name") + "; if it is right, look at /etc/resolv.conf"
	case check == "connect" && cfg.Port == 587:
		return e.line("SMTP_RELAY_PORT", "465") + ", or let this machine's firewall and its provider's pass port 587"
	case check == "connect":
		return e.line("SMTP_RELAY_PORT", "587") + ", or let this machine's firewall and its provider's pass port " + strconv.Itoa(cfg.Port)
	case check == "tls" && p.TLS != nil:
		return e.certificateRemedy(p)
	case p.Outdated:
		return "ask whoever runs the upstream for TLS 1.2 or newer with ECDHE; no setting here helps, but another upstream"
	case check == "tls" && p.Failure.Stage == "connect":
		return e.line("SMTP_RELAY_PORT", "587")
	case check == "tls":
		return e.line("SMTP_RELAY_PORT", "465")
	case check == "auth":
		return e.line("SMTP_RELAY_PASSWORD", "'the password'") + ", and " + e.line("SMTP_RELAY_USERNAME", "the account")
	case check == "from" && p.Failure.Pause == queue.PauseCredentials:
		return e.line("SMTP_RELAY_USERNAME", "the account") + ", and SMTP_RELAY_PASSWORD"
	case check == "from":
		return e.line("DEFAULT_FROM", "an address of the account")
	default:
		return e.line("SMTP_RELAY_HOST", "the upstream's name") + " and SMTP_RELAY_PORT: is an SMTP server there?"
	}
}

func (e *exam) certificateRemedy(p *relay.Probed) string {
	switch {
	case !p.TLS.NotAfter.After(e.Now()):
		return "its owner must renew it; if it is renewed, this machine's clock is wrong (timedatectl set-ntp true)"
	case p.TLS.NotBefore.After(e.Now()):
		return "this machine's clock is wrong (timedatectl set-ntp true), or the certificate is"
	case len(p.TLS.Names) == 0:
		return "whoever runs the upstream must make a certificate with its name as subject alternative name; " +
			"on a network of your own, " + e.line("TLS_VERIFY", "no") + " until then"
	case strings.Contains(p.TLS.Problem, "SMTP_RELAY_HOST"):
		return e.line("SMTP_RELAY_HOST", strings.Replace(p.TLS.Names[0], "*.", "mail.", 1))
	default:
		return e.line("SMTP_RELAY_CA_FILE", "/path/to/the-authority.pem")
	}
}
