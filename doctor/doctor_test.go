package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/internal/disk"
	"dinkymail/internal/dnstest"
	"dinkymail/internal/smtptest"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
	"dinkymail/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// good are the records of a domain whose mail is believed.
var good = []string{
	"example.com. MX 10 mx.example.com.",
	`example.com. TXT "v=spf1 include:_spf.hop.example.net ~all"`,
	`example.com. TXT "some-verification=1"`,
	`_spf.hop.example.net. TXT "v=spf1 ip4:127.0.0.1 ~all"`,
	`s1._domainkey.example.com. CNAME s1.hop.example.net.`,
	`s1.hop.example.net. TXT "v=DKIM1; k=rsa; p=MIIB"`,
	`_dmarc.example.com. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"`,
	"mail.example.com. A 198.51.100.7",
	"hop.example.net. A 127.0.0.1",
}

// clinic is everything an examination needs, in good health.
type clinic struct {
	hop     smtptest.Config
	rules   []smtptest.Rule
	dns     []string
	dnsFail map[string]dnstest.Mishap
	env     map[string]string // over the good settings; an empty value unsets
	before  func(t *testing.T, dir string)
	exam    func(e *exam)
	dead    bool // the upstream does not listen
}

const account = "ada@example.com"

// settings are those of a healthy appliance, in dir.
func (c *clinic) settings(t *testing.T, dir string, hop *smtptest.Server, ca *smtptest.CA) (*config.Settings, error) {
	t.Helper()
	authority := filepath.Join(dir, "ca.pem")
	write(t, authority, string(ca.PEM()))
	values := map[string]string{"MAIL_DOMAIN": "example.com", "DEFAULT_FROM": account, "DATA_DIR": filepath.Join(dir, "data"),
		"SMTP_RELAY_HOST": "hop.example.net", "SMTP_RELAY_PORT": fmt.Sprint(hop.Port()), "SMTP_RELAY_USERNAME": account,
		"SMTP_RELAY_PASSWORD": "secret", "SMTP_RELAY_CA_FILE": authority}
	for name, value := range c.env {
		values[name] = value
	}
	var lines []string
	for _, group := range config.Groups() {
		for _, s := range group.Settings {
			if v := values[s.Name]; v != "" {
				lines = append(lines, s.Name+"='"+v+"'")
			}
			delete(values, s.Name)
		}
	}
	for name, v := range values {
		lines = append(lines, name+"="+v)
	}
	env := filepath.Join(dir, ".env")
	write(t, env, strings.Join(lines, "\n")+"\n")
	return config.Load(nil, env)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// examine brings the clinic to life and has the appliance examined.
func (c *clinic) examine(t *testing.T) Report {
	t.Helper()
	ca := smtptest.NewCA(t)
	dir := t.TempDir()
	if c.hop.Users == nil {
		c.hop.Users = map[string]string{account: "secret"}
	}
	if c.hop.TLS == nil {
		c.hop.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Lasting(90*24*time.Hour+time.Hour, "hop.example.net")}}
	}
	hop := smtptest.New(t, c.hop)
	hop.Script(c.rules...)
	if c.dead {
		hop.Stop()
	}
	if c.dns == nil {
		c.dns = good
	}
	dns := dnstest.New(t, c.dns...)
	for name, mishap := range c.dnsFail {
		dns.Script(name, mishap)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, problems := c.settings(t, dir, hop, ca)
	if c.before != nil {
		c.before(t, dir)
	}
	e := &exam{Patient: Patient{Settings: s, Problems: problems, EnvFile: filepath.Join(dir, ".env"), Version: "1.2.3", Resolver: dns.Resolver()}}
	e.Operator, e.API = runs(t, s)
	e.disk = func(string) (disk.Space, error) {
		return disk.Space{Free: 100 << 30, Files: 1e6, CountsFiles: true}, nil
	}
	if c.exam != nil {
		c.exam(e)
	}
	r := examine(t.Context(), e)
	if hop.Count() > 0 {
		t.Errorf("%d messages were sent", hop.Count())
	}
	return r
}

// runs is an appliance with these settings.
func runs(t *testing.T, s *config.Settings) (operate.Operator, *httpapi.Client) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	next := relay.New(s.Relay, log)
	q := queue.New(store, queue.One(next), queue.Config{Hostname: "mail.example.com", Domain: "example.com"}, log)
	h := httptest.NewServer(httpapi.New(q, httpapi.Config{Domain: "example.com", Version: "1.2.3",
		TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, log).Handler())
	api := httpapi.NewClient(h.URL, "")
	t.Cleanup(func() {
		api.Close()
		h.Close()
		if err := errors.Join(next.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return operate.New(q, operate.Parts{}), api
}

// find returns the findings of a check.
func find(r Report, check string) []Finding {
	var all []Finding
	for _, f := range r.Findings {
		if f.Check == check {
			all = append(all, f)
		}
	}
	return all
}

// golden compares with testdata/NAME, and writes it with UPDATE=1. What differs from run to run is
// made alike.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for pattern, word := range map[string]string{
		`/[^ ]*/\d{3}/(data|\.env)`:                   "/srv/dinkymail/$1",
		`(127\.0\.0\.1|hop\.example\.net):[3-6]\d{4}`: "$1:PORT",
		`SMTP_RELAY_PORT='?\d+`:                       "SMTP_RELAY_PORT=PORT",
		`\(\d+(\.\d+)?m?s\)`:                          "(0.1s)",
		`it is \w+, .* [+-]\d{4}`:                     "it is Sun, 02 Mar 2025 03:00:00 +0000",
		`TLS_\w+_SHA\d+`:                              "TLS_AES_128_GCM_SHA256",
		`at 20\d\d-\d\d-\d\dT\S+`:                     "at 2025-03-02T03:00:00Z",
		`current time \S+ is after \S+`:               "current time is after 2025-03-02T02:00:00Z",
		`port [3-6]\d{4}`:                             "port PORT",
	} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, word)
	}
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
	}
}

func printed(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b, false, 0); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A healthy appliance is found healthy in every part, and gets no mail.
func TestHealthy(t *testing.T) {
	r := new(clinic).examine(t)
	if r.Errors+r.Warnings+r.Notes > 0 || len(r.Findings) != r.OK {
		t.Errorf("got %+v", r)
	}
	golden(t, "healthy.txt", printed(t, r))
}

// Whole reports, as operators see them.
func TestReports(t *testing.T) {
	bad := smtptest.NewCA(t)
	for name, c := range map[string]*clinic{
		"first-day.txt": {env: map[string]string{"SMTP_RELAY_HOST": "", "SMTP_RELAY_USERNAME": "", "SMTP_RELAY_PASSWORD": ""},
			dns: []string{"example.com. A 198.51.100.1"}, exam: func(e *exam) {
				e.Operator, e.Unreachable = nil, errors.New("the appliance does not run: nobody answers at control.sock")
			}},
		"development.txt":       {env: map[string]string{"ENVIRONMENT": "development"}},
		"wrong-password.txt":    {hop: smtptest.Config{Users: map[string]string{account: "another"}}},
		"wrong-certificate.txt": {hop: smtptest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{bad.Expired("hop.example.net")}}}},
		"wrong-settings.txt":    {env: map[string]string{"USE_TLS": "perhaps", "SMTP_RELAY_PORT": "0", "SMTP_RELAY_PASWORD": "x"}},
		"open.txt": {env: map[string]string{"SMTP_LISTEN": "0.0.0.0:587", "HTTP_LISTEN": "0.0.0.0:20001",
			"TRUSTED_NETWORKS": "127.0.0.0/8,0.0.0.0/0"}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, printed(t, c.examine(t))) })
	}
}

// without are the good records less those that begin with one of some names.
func without(names ...string) []string {
	var kept []string
	for _, record := range good {
		drop := false
		for _, name := range names {
			drop = drop || strings.HasPrefix(record, name)
		}
		if !drop {
			kept = append(kept, record)
		}
	}
	return kept
}

func with(records []string, more ...string) []string {
	return append(append([]string(nil), records...), more...)
}

// Each finding comes when its cause is there, says what to change, and no other check is worse for
// it than is listed.
func TestFindings(t *testing.T) {
	noSPF := without("example.com. TXT")
	noDMARC := without("_dmarc")
	day := 24 * time.Hour
	authority := smtptest.NewCA(t)
	for _, tt := range []struct {
		name  string
		c     clinic
		check string
		level Level
		what  string
		fix   string
	}{
		{"settings", clinic{env: map[string]string{"RELAY_PORT": "587", "SMTP_RELAY_PORT": ""}, dead: true}, "settings", Warning, "old name of SMTP_RELAY_PORT", ""},
		{"env readable", clinic{before: chmod(".env", 0o644)}, "rights", Warning, "may look into", "chmod 600"},
		{"env writable", clinic{before: chmod(".env", 0o666)}, "rights", Error, "may change", "chmod 600"},
		{"data readable", clinic{before: chmod("data", 0o755)}, "rights", Warning, "may look into", "chmod o-rw"},
		{"data on the way to sendmail's place", clinic{before: chmod("data", 0o711)}, "rights", OK, "closed to others", ""},
		{"no data", clinic{before: remove("data"), exam: func(e *exam) { e.Operator = nil }}, "rights", Note, "does not exist yet", ""},
		{"disk small", room(disk.Space{Free: 5 << 30}, nil), "disk", Note, "5.0 GiB free, and the queue may grow to 10 GiB", "QUEUE_MAX_BYTES=4096MiB (in "},
		{"disk smaller", room(disk.Space{Free: 600 << 20}, nil), "disk", Warning, "600 MiB free", "QUEUE_MAX_BYTES=480MiB"},
		{"disk full", room(disk.Space{Free: 1 << 20}, nil), "disk", Error, "1 MiB free", "make room"},
		{"inodes", room(disk.Space{Free: 100 << 30, Files: 10, CountsFiles: true}, nil), "disk", Warning, "only 10 more files", "df -i"},
		{"memory", room(disk.Space{Free: 100 << 30, Passing: "in memory (tmpfs)"}, nil), "disk", Warning, "in memory", "DATA_DIR="},
		{"read-only", room(disk.Space{Free: 100 << 30, ReadOnly: true}, nil), "disk", Error, "read-only", "mount"},
		{"unknown disk", room(disk.Space{}, errors.ErrUnsupported), "disk", Note, "does not tell", ""},
		{"clock", clinic{before: future("data/queue.db")}, "clock", Error, "queue.db was written at", "timedatectl"},
		{"trusted", clinic{env: map[string]string{"TRUSTED_NETWORKS": "127.0.0.0/8,198.51.100.0/24"}}, "trusted", Warning, "198.51.100.0/24", "TRUSTED_NETWORKS=127.0.0.0/8,::1/128"},
		{"all trusted", clinic{env: map[string]string{"TRUSTED_NETWORKS": "0.0.0.0/0", "SMTP_LISTEN": "0.0.0.0:587"}}, "trusted", Error, "0.0.0.0/0", "TRUSTED_NETWORKS="},
		{"one trusted", clinic{env: map[string]string{"TRUSTED_NETWORKS": "127.0.0.0/8,198.51.100.9"}}, "trusted", Note, "198.51.100.9/32", ""},
		{"smtp open", clinic{env: map[string]string{"SMTP_LISTEN": "0.0.0.0:587"}}, "smtp", Note, "others than this machine", "SMTP_LISTEN=127.0.0.1:587"},
		{"login without TLS", clinic{env: map[string]string{"SMTP_LISTEN": "0.0.0.0:587", "SMTP_USERS": "ada:" + hash}}, "smtp", Warning, "1 account", "TLS_CERT_FILE"},
		{"http open", clinic{env: map[string]string{"HTTP_LISTEN": "0.0.0.0:20001"}}, "http", Note, "visitors of example.com", "HTTP_LISTEN=127.0.0.1:20001"},
		{"http without keys", clinic{env: map[string]string{"HTTP_LISTEN": "0.0.0.0:20001", "TRUSTED_NETWORKS": "127.0.0.0/8,10.0.0.0/8"}}, "http", Warning, "10.0.0.0/8", "API_KEYS"},
		{"http off", clinic{env: map[string]string{"HTTP_LISTEN": "off"}}, "http", OK, "off", ""},
		{"not running", clinic{exam: func(e *exam) { e.Operator = nil }}, "running", Error, "does not run", "systemctl start"},
		{"not allowed", clinic{exam: func(e *exam) { e.Operator, e.Unreachable = nil, fs.ErrPermission }}, "running", Warning, "permission denied", "sudo"},
		{"other version", clinic{exam: func(e *exam) { e.Version = "9" }}, "running", Warning, "version 1.2.3 runs, and this program is 9", "restart"},
		{"no MX", clinic{dns: without("example.com. MX")}, "mx", Warning, "no MX", "example.com. MX 10"},
		{"null MX", clinic{dns: with(without("example.com. MX"), "example.com. MX 0 .")}, "mx", Warning, "null MX", ""},
		{"DNS down", clinic{dnsFail: map[string]dnstest.Mishap{"example.com.": dnstest.ServerFailure}}, "mx", Warning, "DNS gave no answer", "resolv.conf"},
		{"no SPF", clinic{dns: noSPF}, "spf", Warning, "no SPF record", `example.com. TXT "v=spf1 include:THE-PROVIDER-NAMES-THIS ~all"`},
		{"two SPF", clinic{dns: with(good, `example.com. TXT "v=spf1 ip4:192.0.2.1 -all"`)}, "spf", Error, "2 SPF records", "ip4:192.0.2.1"},
		{"bad SPF", clinic{dns: with(noSPF, `example.com. TXT "v=spf1 ip4:no -all"`)}, "spf", Error, "cannot be used", "RFC 7208"},
		{"open SPF", clinic{dns: with(noSPF, `example.com. TXT "v=spf1 +all"`)}, "spf", Warning, "lets everyone", "~all"},
		{"SPF of others", clinic{dns: with(noSPF, `example.com. TXT "v=spf1 ip4:192.0.2.1 -all"`)}, "spf", Note, "has one", ""},
		{"SPF of others, public", clinic{dns: with(without("example.com. TXT", "hop."), `example.com. TXT "v=spf1 ip4:192.0.2.1 -all"`,
			"hop.example.net. A 192.0.2.2"), exam: noUpstream}, "spf", Warning, "does not let hop.example.net send", `"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all"`},
		{"SPF without provider", clinic{exam: gmail, dns: good}, "spf", Warning, "does not include _spf.google.com", `"v=spf1 include:_spf.hop.example.net include:_spf.google.com ~all"`},
		{"SPF with provider", clinic{exam: gmail, dns: with(noSPF, `example.com. TXT "v=spf1 redirect=all.example.com"`,
			`all.example.com. TXT "v=spf1 include:_spf.google.com -all"`, `_spf.google.com. TXT "v=spf1 -all"`)}, "spf", OK, "includes _spf.google.com", ""},
		{"no DKIM", clinic{dns: without("s1.")}, "dkim", Note, "no DKIM key under a well-known selector", "switch DKIM on"},
		{"no DKIM at provider", clinic{dns: without("s1."), exam: gmail}, "dkim", Warning, "no DKIM key under google", "switch DKIM on"},
		{"DKIM revoked", clinic{dns: with(without("s1."), `k1._domainkey.example.com. TXT "v=DKIM1; p="`)}, "dkim", Note, "k1 is revoked", ""},
		{"DKIM unanswered", clinic{dns: without("s1."), dnsFail: map[string]dnstest.Mishap{"mail._domainkey.example.com.": dnstest.ServerFailure}}, "dkim", Warning, "DNS gave no answer", ""},
		{"no DMARC", clinic{dns: noDMARC}, "dmarc", Warning, "no DMARC record", `_dmarc.example.com. TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.com"`},
		{"two DMARC", clinic{dns: with(good, `_dmarc.example.com. TXT "v=DMARC1; p=none"`)}, "dmarc", Warning, "2 DMARC records", "keep one"},
		{"bad DMARC", clinic{dns: with(noDMARC, `_dmarc.example.com. TXT "v=DMARC1; p=maybe"`)}, "dmarc", Warning, "cannot be read", "_dmarc.example.com."},
		{"DMARC of the organisation", clinic{env: map[string]string{"MAIL_DOMAIN": "news.example.com", "DEFAULT_FROM": "ada@news.example.com"},
			dns: with(noDMARC, `_dmarc.example.com. TXT "v=DMARC1; p=none; sp=reject"`)}, "dmarc", Error, "news.example.com asks receivers to refuse", "until then"},
		{"DMARC idle", clinic{dns: with(noDMARC, `_dmarc.example.com. TXT "v=DMARC1; p=none"`)}, "dmarc", Note, "no reports", "rua=mailto:"},
		{"DMARC reports", clinic{dns: with(noDMARC, `_dmarc.example.com. TXT "v=DMARC1; p=none; rua=mailto:d@example.com"`)}, "dmarc", Note, "only reports", "p=quarantine; rua=mailto:d@example.com"},
		{"DMARC refuses us", clinic{dns: without("example.com. TXT", "s1.")}, "dmarc", Error, "proves mail of ada@example.com", "mend SPF or DKIM"},
		{"DMARC puts us aside", clinic{dns: with(without("example.com. TXT", "s1.", "_dmarc"), `_dmarc.example.com. TXT "v=DMARC1; p=quarantine"`)}, "dmarc", Warning, "put aside", "mend"},
		{"no hostname", clinic{dns: without("mail.")}, "hostname", Note, "mail.example.com has no address", "MAIL_HOSTNAME="},
		{"private domain", clinic{env: map[string]string{"MAIL_DOMAIN": "box.local", "DEFAULT_FROM": "ada@box.local"}}, "dns", Warning, "no domain of the world's DNS", "MAIL_DOMAIN="},
		{"sender elsewhere", clinic{env: map[string]string{"DEFAULT_FROM": "ada@example.org"}}, "sender", Note, "receivers look at the records of example.org", ""},
		{"no such host", clinic{dns: without("hop.")}, "connect", Error, "no such host", "SMTP_RELAY_HOST="},
		{"nobody there", clinic{dead: true}, "connect", Error, "connection refused", "SMTP_RELAY_PORT=587 (now set in "},
		{"half there", clinic{dns: with(good, "hop.example.net. A 127.0.0.99")}, "connect", Note, "not at 127.0.0.99", ""},
		{"greeting", clinic{rules: answer(smtptest.Greeting, "554 5.7.1 not you")}, "ehlo", Error, "554 5.7.1 not you", "SMTP_RELAY_HOST="},
		{"small mail", clinic{hop: smtptest.Config{Extensions: []string{"SIZE 1000"}}}, "ehlo", Note, "mail up to 0 MiB", "MESSAGE_MAX_BYTES=1000"},
		{"no STARTTLS", clinic{rules: answer(smtptest.Ehlo, "250 hop.test")}, "tls", Error, "offers no STARTTLS", "SMTP_RELAY_PORT=465"},
		{"no TLS", clinic{env: map[string]string{"USE_TLS": "no"}}, "tls", OK, "USE_TLS=no", ""},
		{"wrong name", clinic{hop: smtptest.Config{TLS: authority.Server("smtp.example.org")}}, "tls", Error, "smtp.example.org", "SMTP_RELAY_HOST=smtp.example.org"},
		{"wrong authority", clinic{hop: smtptest.Config{TLS: authority.Server("hop.example.net")}}, "tls", Error, "authority", "SMTP_RELAY_CA_FILE"},
		{"no names", clinic{hop: smtptest.Config{TLS: authority.Server()}}, "tls", Error, "names no host", "subject alternative name"},
		{"old TLS", clinic{hop: smtptest.Config{TLS: old(authority)}}, "tls", Error, "no TLS newer than 1.1", "ask whoever runs the upstream"},
		{"RSA alone", clinic{hop: smtptest.Config{TLS: rsaAlone(authority)}}, "tls", Error, "RSA key exchange alone", "ask whoever runs the upstream"},
		{"expired", clinic{hop: smtptest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{authority.Expired("hop.example.net")}}}}, "tls", Error, "expired", "timedatectl"},
		{"not verified", clinic{env: map[string]string{"TLS_VERIFY": "no"}, hop: smtptest.Config{TLS: authority.Server("hop.example.net")}}, "tls", Warning, "overlooks", "TLS_VERIFY=yes"},
		{"wrong password", clinic{hop: smtptest.Config{Users: map[string]string{account: "x"}}}, "auth", Error, "535 5.7.8", "SMTP_RELAY_PASSWORD='the password' (now set in "},
		{"no login", clinic{env: map[string]string{"SMTP_RELAY_USERNAME": "", "SMTP_RELAY_PASSWORD": ""}}, "from", Error, "530", "SMTP_RELAY_USERNAME"},
		{"sender refused", clinic{rules: answer(smtptest.Mail, "553 5.7.1 not yours")}, "from", Error, "ada@example.com is refused: 553 5.7.1 not yours", "DEFAULT_FROM=an address of the account"},
		{"no upstream", clinic{env: map[string]string{"SMTP_RELAY_HOST": "", "SMTP_RELAY_USERNAME": "", "SMTP_RELAY_PASSWORD": ""}}, "upstream", Warning, "no upstream", "SMTP_RELAY_HOST=smtp.example.com"},
		{"development", clinic{env: map[string]string{"ENVIRONMENT": "development"}}, "upstream", Note, "not asked", "ENVIRONMENT=production"},
		{"soon", clinic{exam: at(80 * day)}, "tls", Note, "good for 10 days", ""},
		{"last day", clinic{exam: at(90*day + time.Minute)}, "tls", Note, "less than a day", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := find(tt.c.examine(t), tt.check)
			for _, f := range found {
				if f.Level == tt.level && strings.Contains(f.What, tt.what) && strings.Contains(f.Fix, tt.fix) && !strings.Contains(fmt.Sprint(f), "secret") {
					return
				}
			}
			t.Errorf("want %s %q fix %q, got %+v", tt.level, tt.what, tt.fix, found)
		})
	}
}

// hash is an account's, of the password "x".
const hash = "$2a$04$XXXXXXXXXXXXXXXXXXXXXOCvYl.QK6YX6YVYkGZ9mO3bqCJvkzvTO"

func chmod(name string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func future(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		write(t, path, "x")
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

func room(s disk.Space, err error) clinic {
	return clinic{exam: func(e *exam) { e.disk = func(string) (disk.Space, error) { return s, err } }}
}

func answer(stage smtptest.Stage, reply string) []smtptest.Rule {
	return []smtptest.Rule{{Stage: stage, Answer: smtptest.Reply(reply)}}
}

// at is a clock that is ahead of the real one.
func at(ahead time.Duration) func(*exam) {
	return func(e *exam) { e.Now = func() time.Time { return time.Now().Add(ahead) } }
}

// gmail is an upstream that is known by its name; nothing of it is asked here but DNS.
func gmail(e *exam) {
	e.Settings.Relay.Host = "smtp.gmail.com"
}

// noUpstream keeps the upstream's name for DNS, and lets nobody connect to it.
func noUpstream(e *exam) {
	e.Settings.Relay.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
}

// What the running appliance says of its queue is judged, and names the command to type.
func TestQueue(t *testing.T) {
	now := time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC)
	long, fresh := now.Add(-3*time.Hour), now.Add(-time.Minute)
	for _, tt := range []struct {
		st    operate.Stats
		level Level
		what  string
		fix   string
	}{
		{operate.Stats{}, OK, "nothing waits", ""},
		{operate.Stats{Waiting: 2, Oldest: &fresh}, OK, "2 messages waiting", ""},
		{operate.Stats{Broken: "disk on fire"}, Error, "disk on fire", "make room"},
		{operate.Stats{Lanes: []operate.LaneDetail{{Name: "upstream", Status: queue.LaneWaiting, Reason: "535 no"}}}, Warning, "waits: 535 no", "dinkymail queue --lane upstream"},
		{operate.Stats{Paused: []queue.PauseStatus{{What: queue.Intake, Reason: "moving", By: "ada"}}}, Warning, "by ada: moving", "dinkymail resume " + queue.Intake},
		{operate.Stats{Damaged: 1}, Warning, "1 record could not be read", "dmesg"},
		{operate.Stats{Waiting: 1, Oldest: &long}, Warning, "the oldest mail waits for 3 hours", "dinkymail queue"},
		{operate.Stats{Waiting: 1, Bytes: 9 << 30}, Warning, "9.0 GiB of the 10 GiB", "QUEUE_MAX_BYTES=20480MiB"},
	} {
		s, err := config.Load([]string{"SMTP_RELAY_HOST=hop.example.net"}, "")
		if err != nil {
			t.Fatal(err)
		}
		e := &exam{Patient: Patient{Settings: s, Now: func() time.Time { return now }}}
		found := e.queue(tt.st)
		if len(found) != 1 || found[0].Level != tt.level || !strings.Contains(found[0].What, tt.what) || !strings.Contains(found[0].Fix, tt.fix) {
			t.Errorf("want %s %q fix %q, got %+v", tt.level, tt.what, tt.fix, found)
		}
	}
}

// Our own certificate is told of by its days, and complained about in time.
func TestOwnCertificate(t *testing.T) {
	ca := smtptest.NewCA(t)
	for _, tt := range []struct {
		cert  tls.Certificate
		level Level
		what  string
	}{
		{ca.Lasting(60*24*time.Hour+time.Hour, "mail.example.com"), OK, "ours is for mail.example.com, good for 60 days"},
		{ca.Lasting(10*24*time.Hour+time.Hour, "mail.example.com"), Warning, "good for 10 days"},
		{ca.Lasting(24*time.Hour, "mail.example.com"), Warning, "expires on"},
		{ca.Lasting(60*24*time.Hour, "other.example.com"), Warning, "is not for MAIL_HOSTNAME"},
		{ca.Expired("mail.example.com"), Error, "expired on"},
	} {
		c := clinic{env: map[string]string{}}
		dir := t.TempDir()
		cert, key, err := smtptest.PEMFiles(tt.cert)
		if err != nil {
			t.Fatal(err)
		}
		c.env["TLS_CERT_FILE"], c.env["TLS_KEY_FILE"] = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		write(t, c.env["TLS_CERT_FILE"], string(cert))
		write(t, c.env["TLS_KEY_FILE"], string(key))
		r := c.examine(t)
		found := find(r, "certificate")
		if len(found) != 1 || found[0].Level != tt.level || !strings.Contains(found[0].What, tt.what) || len(find(r, "settings")) != 1 {
			t.Errorf("want %s %q, got %+v", tt.level, tt.what, found)
		}
	}
}

// A mail is sent only when somebody is named, comes last, and its timeline is part of the report.
func TestMail(t *testing.T) {
	send := func(err error) func(*exam) {
		return func(e *exam) {
			e.Address = "bob@example.net"
			e.SendTest = func(_ context.Context, address string, say func(string)) error {
				say("queued for " + address)
				say("delivered")
				return err
			}
		}
	}
	for _, tt := range []struct {
		exam  func(*exam)
		level Level
		what  string
	}{
		{send(nil), OK, "one mail to bob@example.net\nqueued for bob@example.net\ndelivered"},
		{send(errors.New("it was refused")), Error, "\nit was refused"},
		{func(e *exam) { send(nil)(e); e.Operator = nil }, Error, "no mail could be sent to bob@example.net"},
	} {
		c := clinic{exam: tt.exam}
		r := c.examine(t)
		f := r.Findings[len(r.Findings)-1]
		if f.Group != "mail" || f.Level != tt.level || !strings.Contains(f.What, tt.what) {
			t.Errorf("got %+v", f)
		}
	}
}

// A name server and an upstream that never answer cost one deadline, not a night, and are told of.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := config.Load([]string{"MAIL_DOMAIN=example.com", "SMTP_RELAY_HOST=hop.example.net"}, "")
		if err != nil {
			t.Fatal(err)
		}
		quiet := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		e := &exam{Patient: Patient{Settings: s, Resolver: quiet}, disk: disk.Look}
		start := time.Now()
		r := examine(t.Context(), e)
		if took := time.Since(start); took > Deadline+time.Second {
			t.Errorf("it took %v", took)
		}
		for _, check := range []string{"mx", "spf", "dkim", "dmarc", "hostname", "connect"} {
			if f := find(r, check); len(f) != 1 || f[0].Level == OK {
				t.Errorf("%s: got %+v", check, f)
			}
		}
	})
}

// The report fits a terminal, has colours only where they are wanted, and none of them in what it
// says.
func TestPrint(t *testing.T) {
	r := Report{Findings: []Finding{{Group: "mail", Check: "x", Level: Error, What: strings.Repeat("word ", 40) + "end", Why: "because", Fix: "A=b"}}, Errors: 1}
	var plain, colour strings.Builder
	if err := errors.Join(r.Print(&plain, false, 60), r.Print(&colour, true, 60)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(plain.String()) {
		if len(strings.TrimSuffix(line, "\n")) > 60 || strings.Contains(line, "\x1b") {
			t.Errorf("got %q", line)
		}
	}
	if !strings.Contains(colour.String(), "\x1b[1;31merror   \x1b[0m") || !strings.Contains(plain.String(), "why: because\n") {
		t.Errorf("got %q", colour.String())
	}
}

// FuzzRecords: whatever stands in DNS, the words made of it are one line each that steers no
// terminal.
func FuzzRecords(f *testing.F) {
	f.Add("v=spf1 include:_spf.example.com ~all", "ip4:192.0.2.1")
	f.Add("v=spf1 redirect=x", "a")
	f.Add("v=spf1\x1b[2J\n\u202e -all +ALL", "mx")
	f.Fuzz(func(t *testing.T, record, more string) {
		got := publish("example.com", merged([]string{"v=spf1 " + withMechanism(record, more), record + " x"}))
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("got %q", got)
		}
	})
}

// Who may be taken for a program, and whose clients nobody can tell apart, is said with the line to
// set.
func TestProxies(t *testing.T) {
	c := clinic{env: map[string]string{"ALLOWED_HOSTS": "shop.example"}}
	found := find(c.examine(t), "proxy")
	if len(found) != 1 || found[0].Level != Warning || !strings.Contains(found[0].Fix, "LOCAL_HTTP=no") ||
		!strings.Contains(found[0].Fix, "proxy_set_header X-Forwarded-For") {
		t.Errorf("found %+v", found)
	}
	running := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"success":true,"status":"ok","detail":{"version":"1.2.3","untrustedProxies":["172.18.0.3"]}}`)
	}))
	defer running.Close()
	client := httpapi.NewClient(running.URL, "")
	defer client.Close()
	c = clinic{env: map[string]string{"ALLOWED_HOSTS": "shop.example", "TRUSTED_PROXIES": "10.0.0.0/8"}, exam: func(e *exam) { e.API = client }}
	r := c.examine(t)
	found = find(r, "proxies")
	if len(found) != 1 || found[0].Level != Warning || !strings.Contains(found[0].Fix, "TRUSTED_PROXIES=10.0.0.0/8,172.18.0.3") {
		t.Errorf("found %+v", found)
	}
	if found := find(r, "proxy"); len(found) > 0 {
		t.Errorf("with a named proxy: %+v", found)
	}
}

// old is a next hop that stopped at TLS 1.1.
func old(ca *smtptest.CA) *tls.Config {
	c := ca.Server("hop.example.net")
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	return c
}

// rsaAlone is a next hop without a key exchange that has forward secrecy.
func rsaAlone(ca *smtptest.CA) *tls.Config {
	c := ca.Server("hop.example.net")
	c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	return c
}
