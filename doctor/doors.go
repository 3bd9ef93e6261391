package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"dinkymail/config"
)

// doors tells for each listener who reaches it, and whom it lets in.
func (e *exam) doors(context.Context) []Finding {
	s := e.Settings
	all := e.trusted()
	all = append(all, e.smtp("smtp", "SMTP_LISTEN", s.SMTPListen), e.smtp("smtps", "SMTPS_LISTEN", s.SMTPSListen), e.http(), e.proxy())
	kept := all[:0]
	for _, f := range all {
		if f.What != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

// trusted looks at how many strangers TRUSTED_NETWORKS lets in.
func (e *exam) trusted() []Finding {
	open := len(beyond(e.Settings.SMTPListen))+len(beyond(e.Settings.SMTPSListen))+len(beyond(e.Settings.HTTPListen)) > 0
	var all []Finding
	for _, p := range e.Settings.SMTP.Trusted {
		if p.Addr().IsLoopback() || p.Addr().IsPrivate() && privateWhole(p) || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		level, so := Warning, "only the doors on loopback keep them out now"
		if open {
			so = "mail may go to anyone in your name, and the provider will close the account"
		}
		if few := p.Bits() == p.Addr().BitLen(); few {
			level, so = Note, "a program there may send to anyone in your name"
		} else if open && p.Bits() < 8 {
			level = Error
		}
		all = append(all, Finding{Check: "trusted", Level: level,
			What: fmt.Sprintf("TRUSTED_NETWORKS has %s: public addresses may send without a login", p), Why: so,
			Fix: e.line("TRUSTED_NETWORKS", "127.0.0.0/8,::1/128")})
	}
	return all
}

// privateWhole reports whether all of p is private, not just its first address.
func privateWhole(p netip.Prefix) bool {
	for _, whole := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"} {
		w := netip.MustParsePrefix(whole)
		if w.Contains(p.Addr()) && p.Bits() >= w.Bits() {
			return true
		}
	}
	return false
}

func (e *exam) smtp(check, setting string, listen []string) Finding {
	s := e.Settings
	f := Finding{Check: check, Level: OK}
	open := beyond(listen)
	switch {
	case len(listen) == 0:
		return f
	case len(open) == 0:
		f.What = strings.Join(listen, " and ") + ": programs on this machine, and nobody else"
		return f
	}
	f.Level = Note
	f.What = fmt.Sprintf("%s: others than this machine reach it. TRUSTED_NETWORKS (%s) may send without a login, ",
		strings.Join(open, " and "), prefixes(s.SMTP.Trusted))
	if n := len(s.Account.Users); n > 0 {
		f.What += many(n, "account") + " with one, "
	}
	f.What += "nobody else"
	f.Why = "what need not be reached from outside should not be"
	f.Fix = e.line(setting, "127.0.0.1:587")
	if s.Certificate == nil && len(s.Account.Users) > 0 {
		f.Level, f.Why = Warning, "without a certificate nobody beyond this machine can log in: passwords are not taken in clear"
		f.Fix = e.line("TLS_CERT_FILE", "/path/to/fullchain.pem") + " and TLS_KEY_FILE, or " + f.Fix
	}
	return f
}

func (e *exam) http() Finding {
	h := e.Settings.HTTP
	f := Finding{Check: "http", Level: OK}
	open := beyond(e.Settings.HTTPListen)
	switch {
	case len(e.Settings.HTTPListen) == 0:
		f.What = "the HTTP API is off"
		return f
	case len(open) == 0:
		f.What = strings.Join(e.Settings.HTTPListen, " and ") + ": programs on this machine, and nobody else but through a proxy"
		return f
	}
	f.Level = Note
	f.What = fmt.Sprintf("%s: others than this machine reach it, without TLS unless a proxy adds it. TRUSTED_NETWORKS (%s) may send to anyone",
		strings.Join(open, " and "), prefixes(h.TrustedNetworks))
	switch n := len(e.Settings.Account.Keys); {
	case h.KeysOnly:
		f.What = fmt.Sprintf("%s: others than this machine reach it, without TLS unless a proxy adds it. The holders of %s may send to anyone",
			strings.Join(open, " and "), many(n, "key"))
	case n > 0:
		f.What += ", so may the holders of " + many(n, "key")
	}
	f.What += fmt.Sprintf("; visitors of %s may write to %s", strings.Join(h.AllowedHosts, ", "), strings.Join(h.FormRecipients, ", "))
	f.Why = "a key that travels without TLS can be read on the way"
	f.Fix = e.line("HTTP_LISTEN", "127.0.0.1:20001") + ", with a proxy in front"
	if len(e.Settings.Account.Keys) == 0 && !h.KeysOnly && e.trustsOthers() {
		f.Level, f.Why = Warning, "without keys, being in a trusted network is all that it takes to send to anyone"
		f.Fix = "API_KEYS for each program, and " + e.line("TRUSTED_NETWORKS", "127.0.0.0/8,::1/128")
	}
	return f
}

// proxy looks whether strangers could be taken for programs on this machine.
func (e *exam) proxy() Finding {
	if !e.Settings.Unproxied() {
		return Finding{}
	}
	return Finding{Check: "proxy", Level: Warning,
		What: "ALLOWED_HOSTS lets websites send, and TRUSTED_PROXIES names no proxy",
		Why:  "behind a reverse proxy that adds no header every stranger looks like a program on this machine, which may send to anyone",
		Fix:  e.line("LOCAL_HTTP", "no") + ", " + e.line("TRUSTED_PROXIES", "the proxy's address") + ", and " + config.ProxyLines}
}

func (e *exam) trustsOthers() bool {
	for _, p := range e.Settings.HTTP.TrustedNetworks {
		if !p.Addr().IsLoopback() {
			return true
		}
	}
	return false
}

// beyond are those of some listen addresses that others than this machine may reach.
func beyond(listen []string) []string {
	var open []string
	for _, at := range listen {
		host, _, err := net.SplitHostPort(at)
		ip, notIP := netip.ParseAddr(host)
		if err == nil && host != "localhost" && (notIP != nil || !ip.IsLoopback()) {
			open = append(open, at)
		}
	}
	return open
}

func prefixes(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// soon is when a certificate should have been renewed, as those who renew by themselves do.
const soon = 14 * 24 * time.Hour

// certificate looks at the one our own doors show.
func (e *exam) certificate(context.Context) []Finding {
	if e.Settings.Certificate == nil {
		return nil
	}
	leaf := e.Settings.Certificate.Leaf()
	now := e.Now()
	f := Finding{Check: "certificate", Level: OK,
		What: fmt.Sprintf("ours is for %s, %s", strings.Join(leaf.DNSNames, ", "), left(now, leaf.NotAfter))}
	text := e.Settings.CertificateComplaint(now)
	switch {
	case now.After(leaf.NotAfter) || now.Before(leaf.NotBefore):
		f.Level, f.What = Error, text
	case text != "":
		f.Level, f.What = Warning, text
	case now.Add(soon).After(leaf.NotAfter):
		f.Level = Warning
	default:
		return []Finding{f}
	}
	f.Why = "SMTP clients that verify will not hand in their mail"
	f.Fix = "renew it, write it to TLS_CERT_FILE and run: dinkymail reload"
	return []Finding{f}
}

// left is how long a certificate is good for.
func left(now, until time.Time) string {
	switch days := int(until.Sub(now).Hours() / 24); {
	case !until.After(now):
		return "expired on " + until.Format("2 January 2006")
	case days < 1:
		return "good for less than a day"
	default:
		return "good for " + many(days, "day")
	}
}
