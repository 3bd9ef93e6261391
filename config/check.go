package config

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"dinkymail/aliases"
	"dinkymail/internal/certs"
	"dinkymail/maildrop"
	"dinkymail/message"
)

// chooseMode picks development when nothing at all was configured.
func (s *Settings) chooseMode(src *sources) {
	if src.hasFile || src.anySet(s.groups()) {
		return
	}
	s.Development, s.Unconfigured = true, true
}

// check fills in what depends on several settings, tests them against each other, and completes
// every Config.
func (s *Settings) check(src *sources, host string) []error {
	s.SMTPListenGiven = src.set("SMTP_LISTEN")
	if dir, ok := src.lookup("STATE_DIRECTORY"); ok && !src.set("DATA_DIR") {
		s.DataDir, _, _ = strings.Cut(dir.text, ":") // systemd separates several with colons
	}
	s.anchorDataDir(src)
	s.identity(host, src.set("MAIL_DOMAIN") && !s.placeholders["MAIL_DOMAIN"])
	problems := s.checkUpstream(src)
	problems = append(problems, s.certificate()...)
	problems = append(problems, s.checkDoors()...)
	if s.Queue.MaxMessageBytes > s.Queue.MaxBytes {
		problems = append(problems, &Problem{Variable: "QUEUE_MAX_BYTES", Source: src.where("QUEUE_MAX_BYTES"),
			Reason: "is less than MESSAGE_MAX_BYTES, so that not even one such message has room",
			Remedy: "raise it, or lower MESSAGE_MAX_BYTES"})
	}
	s.fill()
	s.checkAliases(host)
	s.Alert.Hostname = s.Hostname
	return append(problems, s.checkMaildrop(src, host)...)
}

// anchorDataDir makes a relative DATA_DIR count from the directory of the settings file, so that it
// is the same directory from wherever a command is typed. One out of the environment counts from
// the working directory.
func (s *Settings) anchorDataDir(src *sources) {
	if dir, _ := src.lookup("DATA_DIR"); src.hasFile && dir.source != "environment" && !filepath.IsAbs(s.DataDir) {
		s.DataDir = filepath.Join(filepath.Dir(src.path), s.DataDir)
	}
}

// identity settles domain, host name and the default sender. A domain that was given and refused
// has been complained about.
func (s *Settings) identity(host string, given bool) {
	fallback := s.Domain == "" && s.defaultFrom.Address.IsNull()
	switch {
	case s.Domain != "":
	case !fallback && given:
		s.Domain = s.defaultFrom.Address.Domain
	case !fallback:
		s.Domain = s.defaultFrom.Address.Domain
		s.Notices = append(s.Notices, "MAIL_DOMAIN is not set; the domain of DEFAULT_FROM, "+s.Domain+", is used.")
	default:
		d, err := message.ParseDomain(strings.TrimSuffix(host, "."))
		if err != nil || s.Development {
			d = "localhost"
		}
		s.Domain = d
		if !s.Development && !given {
			s.Warnings = append(s.Warnings, "MAIL_DOMAIN is not set; this machine's name, "+d+
				", is used in its place, which others may refuse. Set MAIL_DOMAIN to the domain you send for.")
		}
	}
	if s.Hostname == "" {
		s.Hostname = "mail." + s.Domain
		if fallback {
			s.Hostname = s.Domain
		}
	}
	if s.defaultFrom.Address.IsNull() {
		s.defaultFrom.Address = message.Address{Local: "noreply", Domain: s.Domain}
	}
}

var gmailHost = regexp.MustCompile(`^smtp(?:-relay)?\.(?:gmail|googlemail|google)\.com$`)
var appPassword = regexp.MustCompile(`^[A-Za-z]{16}$`)

// checkUpstream tests the upstream's settings against each other. A placeholder among them leaves
// the upstream unconfigured.
func (s *Settings) checkUpstream(src *sources) []error {
	r := &s.Relay
	if s.placeholders["SMTP_RELAY_HOST"] || s.placeholders["SMTP_RELAY_USERNAME"] || s.placeholders["SMTP_RELAY_PASSWORD"] {
		r.Host, r.Username, r.Password = "", "", ""
	} else if s.refused["SMTP_RELAY_HOST"] {
		return nil // which was said; nothing can be said of the rest
	} else if r.Host == "" && r.Username != "" && r.Password != "" {
		r.Host = "smtp.gmail.com"
	}
	var problems []error
	for _, pair := range [][3]string{{"SMTP_RELAY_USERNAME", r.Username, r.Password}, {"SMTP_RELAY_PASSWORD", r.Password,
		r.Username}} {
		if pair[1] != "" && pair[2] == "" {
			other := "SMTP_RELAY_PASSWORD"
			if pair[0] == other {
				other = "SMTP_RELAY_USERNAME"
			}
			if v, errs := src.value(knownNames()[other]); v.text != "" || len(errs) > 0 {
				continue // it is there and was refused, which was said already
			}
			problems = append(problems, &Problem{Variable: pair[0], Source: src.where(pair[0]), Reason: "is set without " + other,
				Remedy: "set both, or neither for an upstream without login"})
		}
	}
	if gmailHost.MatchString(r.Host) {
		if bare := withoutBlanks(r.Password); bare != r.Password && appPassword.MatchString(bare) {
			r.Password = bare
			s.Notices = append(s.Notices, "The spaces in the Gmail app password were dropped.")
		}
		if r.Username == "" && r.Host != "smtp-relay.gmail.com" {
			s.Warnings = append(s.Warnings, r.Host+" takes no mail without a login; "+
				"set SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD (an app password).")
		}
	}
	s.warnUpstream()
	if s.relayCAFile == "" {
		return problems
	}
	return append(problems, s.readRoots(src)...)
}

// warnUpstream says what is unwise and works.
func (s *Settings) warnUpstream() {
	r := s.Relay
	if r.Host == "" {
		if !s.Development {
			s.Notices = append(s.Notices, "No upstream is configured: "+
				"mail is accepted and waits until SMTP_RELAY_HOST or the credentials are set.")
		}
		return
	}
	if !r.UseTLS && r.Port != 465 && r.Password != "" && !isLoopback(r.Host) {
		s.Warnings = append(s.Warnings, "USE_TLS=no: the password for "+r.Host+
			" may travel readable for everyone on the way. Set USE_TLS=yes.")
	}
	if r.UseTLS && !r.VerifyTLS && !isLoopback(r.Host) {
		s.Warnings = append(s.Warnings, "TLS_VERIFY=no: anyone on the way can pretend to be "+r.Host+
			" and read the password. Set TLS_VERIFY=yes, and SMTP_RELAY_CA_FILE for an authority of your own.")
	}
}

func (s *Settings) readRoots(src *sources) []error {
	p := &Problem{Variable: "SMTP_RELAY_CA_FILE", Value: s.relayCAFile, Source: src.where("SMTP_RELAY_CA_FILE")}
	data, err := readLimited(s.relayCAFile)
	if err != nil {
		p.Reason, p.Remedy = "cannot be read: "+reason(err), "correct the path, or give the user that runs dinkymail the right to read it"
		return []error{p}
	}
	roots := certs.Roots(data)
	if roots == nil {
		p.Reason, p.Remedy = "has no certificate in PEM", "give a file with -----BEGIN CERTIFICATE----- blocks"
		return []error{p}
	}
	s.Relay.RootCAs, s.contents["SMTP_RELAY_CA_FILE"] = roots, data
	return nil
}

// certificate loads our own certificate and says when it will not please clients.
func (s *Settings) certificate() []error {
	switch {
	case s.certFile == "" && s.keyFile == "":
		return nil
	case s.keyFile == "":
		return []error{&Problem{Variable: "TLS_CERT_FILE", Value: s.certFile, Reason: "is set without TLS_KEY_FILE",
			Remedy: "set both"}}
	case s.certFile == "":
		return []error{&Problem{Variable: "TLS_KEY_FILE", Value: s.keyFile, Reason: "is set without TLS_CERT_FILE",
			Remedy: "set both"}}
	}
	const unreadable = "correct the path, or give the user that runs dinkymail the right to read it"
	chain, err := readLimited(s.certFile)
	if err != nil {
		return []error{&Problem{Variable: "TLS_CERT_FILE", Value: s.certFile, Reason: "cannot be read: " + reason(err), Remedy: unreadable}}
	}
	key, err := readLimited(s.keyFile)
	if err != nil {
		return []error{&Problem{Variable: "TLS_KEY_FILE", Value: s.keyFile, Reason: "cannot be read: " + reason(err), Remedy: unreadable}}
	}
	if s.Certificate, err = certs.Parse(chain, key); err != nil {
		return []error{&Problem{Variable: "TLS_CERT_FILE", Value: s.certFile,
			Reason: "does not fit TLS_KEY_FILE=" + s.keyFile + ": " + strings.TrimPrefix(err.Error(), "tls: "),
			Remedy: "name a chain in PEM and the private key that belongs to its first certificate"}}
	}
	s.SMTP.TLS, s.contents["TLS_CERT_FILE"] = s.Certificate.TLSConfig(), bytes.Join(s.Certificate.Chain(), nil)
	if text := s.CertificateComplaint(time.Now()); text != "" {
		s.Warnings = append(s.Warnings, text)
	}
	return nil
}

// CertificateComplaint says why clients that verify would refuse our certificate at a time; "" when
// it is fine.
func (s *Settings) CertificateComplaint(at time.Time) string {
	leaf := s.Certificate.Leaf()
	const day = "2 January 2006"
	switch {
	case at.After(leaf.NotAfter):
		return "The certificate in TLS_CERT_FILE expired on " + leaf.NotAfter.Format(day) +
			"; clients will refuse it. Renew it and run: dinkymail reload"
	case at.Before(leaf.NotBefore):
		return "The certificate in TLS_CERT_FILE is valid only from " + leaf.NotBefore.Format(day) +
			"; is this machine's clock right?"
	case at.Add(7 * 24 * time.Hour).After(leaf.NotAfter):
		return "The certificate in TLS_CERT_FILE expires on " + leaf.NotAfter.Format(day) + "."
	case leaf.VerifyHostname(s.Hostname) != nil:
		return "The certificate in TLS_CERT_FILE is not for MAIL_HOSTNAME, " + s.Hostname + ", but for " +
			strings.Join(leaf.DNSNames, ", ") + "."
	}
	return ""
}

// checkDoors tests the listeners against each other and says what strangers can reach.
func (s *Settings) checkDoors() []error {
	var problems []error
	if len(s.SMTPSListen) > 0 && s.certFile == "" && s.keyFile == "" {
		problems = append(problems, &Problem{Variable: "SMTPS_LISTEN", Value: strings.Join(s.SMTPSListen, ","),
			Reason: "needs a certificate", Remedy: "set TLS_CERT_FILE and TLS_KEY_FILE, or unset it"})
	}
	owner := map[string]string{}
	for _, door := range []struct {
		name string
		at   []string
	}{{"SMTP_LISTEN", s.SMTPListen}, {"SMTPS_LISTEN", s.SMTPSListen}, {"HTTP_LISTEN", s.HTTPListen}} {
		for _, at := range door.at {
			if other, taken := owner[at]; taken && !strings.HasSuffix(at, ":0") {
				problems = append(problems, &Problem{Variable: door.name, Value: at, Reason: "is the address that " + other +
					" has, too",
					Remedy: "give one of them another port"})
			}
			owner[at] = door.name
		}
	}
	if open := beyondLoopback(s.SMTPListen); open != "" && s.Certificate == nil && len(s.Account.Users) > 0 {
		s.Warnings = append(s.Warnings, "SMTP_LISTEN has "+open+", but without TLS_CERT_FILE nobody beyond this machine can log in.")
	}
	if open := beyondLoopback(s.HTTPListen); open != "" {
		s.Notices = append(s.Notices, "HTTP_LISTEN has "+open+": others than this machine reach the API, "+
			"without TLS unless a proxy adds it.")
	}
	if s.Unproxied() {
		s.Notices = append(s.Notices, "ALLOWED_HOSTS lets websites send, and TRUSTED_PROXIES names no proxy: "+
			"behind a reverse proxy that adds no header every stranger looks like a program on this machine. "+
			"Set LOCAL_HTTP=no, name the proxy in TRUSTED_PROXIES, and let it say who calls, "+ProxyLines)
	}
	for _, p := range s.SMTP.Trusted {
		if p.Bits() == 0 {
			s.Warnings = append(s.Warnings, "TRUSTED_NETWORKS has "+p.String()+
				": everyone who reaches the appliance may send to anyone through it.")
		}
	}
	return problems
}

// ProxyLines are what a reverse proxy needs for its visitors to be told apart. Caddy, Traefik and
// Apache write the field by themselves.
const ProxyLines = "for nginx proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;"

// Unproxied reports whether websites may send while no proxy is named and programs on this machine
// need no key.
func (s *Settings) Unproxied() bool {
	if s.Development || !s.localHTTP || len(s.HTTPListen) == 0 || len(s.HTTP.TrustedProxies) > 0 {
		return false
	}
	return slices.ContainsFunc(s.allowedHosts, func(entry string) bool {
		host := strings.ToLower(strings.TrimSpace(entry))
		if u, err := url.Parse(host); err == nil && u.Host != "" {
			host = u.Hostname()
		}
		host = strings.TrimPrefix(host, "*.")
		return host != "" && !isLoopback(strings.Trim(host, "[]")) && !strings.HasSuffix(host, ".localhost")
	})
}

// checkAliases says what the files of aliases have wrong. That stops nothing: the rest of them is
// used.
func (s *Settings) checkAliases(host string) {
	a := &s.Aliases
	a.Domain, a.Catch, a.From = s.Domain, s.defaultTo.Address, s.defaultFrom.Address
	short, _, _ := strings.Cut(host, ".")
	a.Hosts = []string{host, short}
	if _, err := aliases.Load(*a); err != nil {
		for line := range strings.Lines(err.Error()) {
			s.Warnings = append(s.Warnings, strings.TrimSpace(line))
		}
	}
}

// checkMaildrop completes the maildrop's Config and looks whether its group is there.
func (s *Settings) checkMaildrop(src *sources, host string) []error {
	m := &s.Maildrop
	m.Machine = host
	m.About = maildrop.About{Domain: s.Domain, MaxMessageBytes: s.Queue.MaxMessageBytes, MaxRecipients: s.Queue.MaxRecipients}
	if !filepath.IsAbs(m.Dir) {
		m.Dir = filepath.Join(s.DataDir, m.Dir)
	}
	if m.Group == "" {
		return nil
	}
	gid, err := maildrop.Group(m.Group)
	if err != nil {
		return []error{&Problem{Variable: "SUBMIT_GROUP", Value: m.Group, Source: src.where("SUBMIT_GROUP"),
			Reason: "is no group of this machine", Remedy: "make it with: groupadd --system " + m.Group + "; or correct the name"}}
	}
	if mine, err := os.Getgroups(); err == nil && os.Geteuid() != 0 && os.Getegid() != gid && !slices.Contains(mine, gid) {
		s.Warnings = append(s.Warnings, "SUBMIT_GROUP="+m.Group+": you are no member of it. If dinkymail runs as you it will not start: "+
			"run usermod -aG "+m.Group+" YOU, or set SupplementaryGroups="+m.Group+" in its systemd unit.")
	}
	return nil
}

// fill completes the packages' Configs with what is shared.
func (s *Settings) fill() {
	q, m, r, h := &s.Queue, &s.SMTP, &s.Relay, &s.HTTP
	q.Hostname, q.Domain, q.Self, q.Notices, q.Capture = s.Hostname, s.Domain, s.defaultFrom.Address, s.defaultTo.Address,
		s.Development
	q.Author = s.defaultFrom
	q.Workers = r.Connections
	m.Hostname, m.Domain, m.MaxMessageBytes, m.MaxRecipients, m.Grace = s.Hostname, s.Domain, q.MaxMessageBytes,
		q.MaxRecipients, q.Grace
	r.Hostname = s.Hostname
	h.Domain, h.Hostname, h.DefaultFrom, h.DefaultTo, h.Grace = s.Domain, s.Hostname, s.defaultFrom, s.defaultTo, q.Grace
	h.Development, h.TrustedNetworks, h.KeysOnly = s.Development, m.Trusted, !s.localHTTP
	h.Hosts = []string{"mail-api", "mail-server", "mail-api.local"} // the names of docker-compose.yml and its labels
	if h.AllowedHosts = s.allowedHosts; len(h.AllowedHosts) == 0 {
		h.AllowedHosts = []string{s.Domain}
	}
	if h.FormRecipients = s.formRecipients; len(h.FormRecipients) == 0 {
		if !s.defaultTo.Address.IsNull() {
			h.FormRecipients = append(h.FormRecipients, s.defaultTo.Address.String())
		}
		h.FormRecipients = append(h.FormRecipients, "@"+s.Domain)
	}
	s.Account.Logins = filepath.Join(s.DataDir, "logins.json")
	s.Account.Own = []string{"@" + s.Domain, s.defaultFrom.Address.String()}
	for i, k := range s.Account.Keys {
		if len(k.From) == 0 {
			s.Account.Keys[i].From = s.Account.Own
		}
	}
}

// where is the place a setting was found, for a message.
func (src *sources) where(name string) string {
	st, ok := knownNames()[name]
	if !ok {
		return ""
	}
	v, _ := src.value(st)
	return v.source
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// beyondLoopback is the first of some listen addresses that others than this machine may reach, or
// "".
func beyondLoopback(listen []string) string {
	for _, at := range listen {
		if host, _, err := net.SplitHostPort(at); err == nil && !isLoopback(host) {
			return at
		}
	}
	return ""
}

// Upstream is the next hop in one line for the log, its user name shortened.
func (s *Settings) Upstream() string {
	if s.Relay.Host == "" {
		return "none"
	}
	at := net.JoinHostPort(s.Relay.Host, fmt.Sprint(s.Relay.Port))
	if s.Relay.Username == "" {
		return at
	}
	return shorten(s.Relay.Username) + " at " + at
}

// shorten keeps of a user name what its owner needs to recognise it.
func shorten(name string) string {
	local, domain, isAddress := strings.Cut(name, "@")
	first := []rune(local)
	if len(first) > 1 {
		first = first[:1]
	}
	if isAddress {
		return string(first) + "…@" + domain
	}
	return string(first) + "…"
}
