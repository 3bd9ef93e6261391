package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dinkymail/account"
	"dinkymail/httpapi"
)

// loaded is a set of settings read in a test.
type loaded struct {
	*Settings
	err error
}

// with loads settings from the environment given and, unless it is empty, from a .env.
func with(t *testing.T, dotenv string, environ ...string) loaded {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if dotenv != "" {
		write(t, path, dotenv)
	}
	s, err := load(environ, path, "box.example.org")
	return loaded{s, err}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (l loaded) said() string {
	said := strings.Join(l.Warnings, "\n") + "\n" + strings.Join(l.Notices, "\n") + "\n"
	if l.err != nil {
		said += l.err.Error()
	}
	return said
}

func (l loaded) row(name string) Row {
	for _, r := range l.Effective() {
		if r.Name == name {
			return r
		}
	}
	return Row{}
}

const ok = "MAIL_DOMAIN=example.com"

// With no .env and none of our variables the appliance is in development mode; one of either is
// enough for production.
func TestNothingConfiguredIsDevelopment(t *testing.T) {
	for _, c := range []struct {
		name, dotenv              string
		environ                   []string
		development, unconfigured bool
	}{
		{"nothing", "", []string{"HOME=/root", "PATH=/bin", "STATE_DIRECTORY=/x"}, true, true},
		{"empty variables", "", []string{"MAIL_DOMAIN=", "SMTP_RELAY_HOST="}, true, true},
		{"a variable", "", []string{ok}, false, false},
		{"an old name", "", []string{"RELAY_HOST=mx.example.com", ok}, false, false},
		{"a .env", "# nothing yet\n", nil, false, false},
		{"asked for", ok + "\nENVIRONMENT=development\n", nil, true, false},
		{"asked for otherwise", "", []string{"ENVIRONMENT=Production"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := with(t, c.dotenv, c.environ...)
			if s.err != nil {
				t.Fatal(s.err)
			}
			if s.Development != c.development || s.Unconfigured != c.unconfigured {
				t.Errorf("got development %v, unconfigured %v", s.Development, s.Unconfigured)
			}
			if s.Queue.Capture != c.development || s.HTTP.Development != c.development {
				t.Error("queue or API do not know the mode")
			}
		})
	}
}

// The defaults of the contract.
func TestDefaults(t *testing.T) {
	s := with(t, "", ok)
	if s.err != nil {
		t.Fatal(s.err)
	}
	for name, pair := range map[string][2]any{
		"hostname":   {s.Hostname, "mail.example.com"},
		"from":       {s.HTTP.DefaultFrom.String(), "noreply@example.com"},
		"relay":      {s.Relay.Host, ""},
		"port":       {s.Relay.Port, 587},
		"tls":        {s.Relay.UseTLS && s.Relay.VerifyTLS, true},
		"conns":      {s.Relay.Connections, 10},
		"smtp":       {strings.Join(s.SMTPListen, " "), "127.0.0.1:587 127.0.0.1:25"},
		"smtps":      {len(s.SMTPSListen), 0},
		"http":       {strings.Join(s.HTTPListen, " "), "127.0.0.1:20001"},
		"allowed":    {strings.Join(s.HTTP.AllowedHosts, " "), "example.com"},
		"forms":      {strings.Join(s.HTTP.FormRecipients, " "), "@example.com"},
		"rate":       {s.HTTP.FormRate, httpapi.Rate{N: 10, Per: time.Minute}},
		"retry":      {len(s.Queue.Retry), 7},
		"lifetime":   {s.Queue.Lifetime, 120 * time.Hour},
		"history":    {s.Queue.HistoryRetention, 720 * time.Hour},
		"message":    {s.Queue.MaxMessageBytes, int64(25 << 20)},
		"smtp limit": {s.SMTP.MaxMessageBytes, int64(25 << 20)},
		"body":       {s.HTTP.MaxBody, int64(35 << 20)},
		"bytes":      {s.Queue.MaxBytes, int64(10 << 30)},
		"messages":   {s.Queue.MaxMessages, 1_000_000},
		"rcpts":      {s.SMTP.MaxRecipients, 1000},
		"captured":   {s.Queue.MaxCaptured, 1000},
		"grace":      {s.SMTP.Grace, 30 * time.Second},
		"conns in":   {s.SMTP.MaxConnections, 1000},
		"per client": {s.SMTP.MaxConnectionsPerClient, 200},
		"data":       {s.DataDir, "data"},
		"log":        {s.LogFormat + s.LogLevel.String(), "textINFO"},
		"trusted":    {len(s.HTTP.TrustedNetworks), 2},
		"given":      {s.SMTPListenGiven, false},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if got := with(t, "", ok, "STATE_DIRECTORY=/var/lib/x:/var/lib/y").DataDir; got != "/var/lib/x" {
		t.Errorf("DATA_DIR under systemd is %q", got)
	}
	if got := with(t, "", ok, "STATE_DIRECTORY=/var/lib/x", "DATA_DIR=/srv").DataDir; got != "/srv" {
		t.Errorf("DATA_DIR given under systemd is %q", got)
	}
}

// A relative DATA_DIR is the same directory from wherever the settings file is read; one out of the
// environment is relative to the working directory, as every path there.
func TestRelativeDataDir(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "mail.env"), "MAIL_DOMAIN=example.com\nDATA_DIR=queue\n")
	bare := write(t, filepath.Join(dir, "bare.env"), "MAIL_DOMAIN=example.com\n")
	for _, c := range []struct {
		path    string
		environ []string
		want    string
	}{
		{path, nil, filepath.Join(dir, "queue")},
		{path, []string{"DATA_DIR=here"}, "here"},
		{path, []string{"DATA_DIR=/srv/mail"}, "/srv/mail"},
		{bare, nil, filepath.Join(dir, "data")},
		{filepath.Join(dir, "none.env"), []string{"MAIL_DOMAIN=example.com"}, "data"},
	} {
		if s, err := load(c.environ, c.path, "box.example.org"); err != nil || s.DataDir != c.want {
			t.Errorf("%s %v: got %s, %v, want %s", c.path, c.environ, s.DataDir, err, c.want)
		}
	}
}

// A full .env of an installation that is taken over keeps its meaning.
func TestExistingFile(t *testing.T) {
	s := with(t, `
MAIL_DOMAIN=example.com
MAIL_HOSTNAME=mail.example.com
DEFAULT_FROM=noreply@example.com
SMTP_RELAY_HOST=smtp.gmail.com
SMTP_RELAY_PORT=587
SMTP_RELAY_USERNAME=ada@gmail.com
SMTP_RELAY_PASSWORD=abcd efgh ijkl mnop
USE_TLS=yes
TLS_VERIFY=yes
ALLOWED_HOSTS=example.com,*.example.com,https://shop.example.com:8443
ENVIRONMENT=production
TRAEFIK_ENTRYPOINT=https
ENABLE_TLS=true
`)
	if s.err != nil || len(s.Warnings) > 0 {
		t.Fatalf("%v\n%s", s.err, s.said())
	}
	if s.Relay.Password != "abcdefghijklmnop" || strings.Count(s.said(), "spaces in the Gmail app password") != 1 {
		t.Errorf("app password %q; said %s", s.Relay.Password, s.said())
	}
	if len(s.HTTP.AllowedHosts) != 3 || s.Upstream() != "a…@gmail.com at smtp.gmail.com:587" {
		t.Errorf("hosts %v, upstream %s", s.HTTP.AllowedHosts, s.Upstream())
	}
}

// The real environment wins over .env, and an empty variable is none.
func TestEnvironmentWins(t *testing.T) {
	s := with(t, "MAIL_DOMAIN=file.example\nSMTP_RELAY_HOST=mx.file.example\n", "MAIL_DOMAIN=env.example", "SMTP_RELAY_HOST=")
	if s.Domain != "env.example" || s.Relay.Host != "mx.file.example" {
		t.Errorf("got %s and %s", s.Domain, s.Relay.Host)
	}
	if got := s.row("MAIL_DOMAIN").Source; got != "environment" {
		t.Errorf("source of MAIL_DOMAIN is %q", got)
	}
	if got := s.row("SMTP_RELAY_HOST").Source; !strings.HasSuffix(got, ".env line 2") {
		t.Errorf("source of SMTP_RELAY_HOST is %q", got)
	}
}

// The old names are read with a warning that names the new one; a new and an old one that differ
// are a mistake.
func TestOldNames(t *testing.T) {
	s := with(t, "", ok, "RELAY_HOST=mx.example.com", "RELAY_PORT=2525", "RELAY_USER=ada", "RELAY_PASSWORD=secret")
	if s.err != nil || s.Relay.Host != "mx.example.com" || s.Relay.Port != 2525 || s.Relay.Username != "ada" ||
		s.Relay.Password != "secret" {
		t.Errorf("got %+v, %v", s.Relay, s.err)
	}
	for _, name := range []string{"SMTP_RELAY_HOST", "SMTP_RELAY_PORT", "SMTP_RELAY_USERNAME", "SMTP_RELAY_PASSWORD"} {
		if !strings.Contains(s.said(), "is the old name of "+name) {
			t.Errorf("nobody is told of %s", name)
		}
	}
	s = with(t, "RELAY_PASSWORD='one secret'\n", ok, "SMTP_RELAY_USERNAME=ada", "RELAY_USERNAME=ada",
		"SMTP_RELAY_PASSWORD=two secrets")
	if s.err == nil || !strings.Contains(s.said(), "RELAY_PASSWORD") || strings.Contains(s.said(), "secrets") ||
		strings.Contains(s.said(), "one secret") {
		t.Errorf("said %s", s.said())
	}
	if strings.Contains(s.err.Error(), "USERNAME") {
		t.Errorf("equal values are no mistake: %v", s.err)
	}
}

// Secrets come from files, too; the newline at the end is not part of them.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range [][2]string{{"s3cret\n", "s3cret"}, {"s3cret\r\n", "s3cret"}, {"s3cret", "s3cret"}, {" a $b 'c' \n",
		" a $b 'c' "}} {
		file := write(t, filepath.Join(dir, "password"), c[0])
		s := with(t, "", ok, "SMTP_RELAY_USERNAME=ada", "SMTP_RELAY_PASSWORD_FILE="+file)
		if s.err != nil || s.Relay.Password != c[1] {
			t.Errorf("%q: got %q, %v", c[0], s.Relay.Password, s.err)
		}
		if r := s.row("SMTP_RELAY_PASSWORD"); r.Value != "********" || !strings.Contains(r.Source, file) {
			t.Errorf("shown as %+v", r)
		}
	}
	for name, environ := range map[string][]string{
		"is set together with SMTP_RELAY_PASSWORD": {"SMTP_RELAY_PASSWORD=hidden", "SMTP_RELAY_PASSWORD_FILE=/x"},
		"no such file or directory; correct":       {"SMTP_RELAY_PASSWORD_FILE=/no/such/file"},
		"the file is empty":                        {"SMTP_RELAY_PASSWORD_FILE=" + write(t, filepath.Join(dir, "empty"), "\n")},
		"is a directory":                           {"API_KEYS_FILE=" + dir, "SMTP_RELAY_PASSWORD=hidden"},
		"contains a line break":                    {"SMTP_RELAY_PASSWORD_FILE=" + write(t, filepath.Join(dir, "two"), "a\nb\n")},
	} {
		s := with(t, "", append(environ, ok, "SMTP_RELAY_USERNAME=ada")...)
		if s.err == nil || !strings.Contains(s.err.Error(), name) || strings.Contains(s.said(), "hidden") {
			t.Errorf("%s: got %v", name, s.err)
		}
		if strings.Contains(s.err.Error(), "without SMTP_RELAY_PASSWORD") {
			t.Errorf("%s: one mistake is told as two: %v", name, s.err)
		}
	}
}

// Every mistake is told at once, each with variable, value, place, reason and remedy.
func TestAllMistakesAtOnce(t *testing.T) {
	s := with(t, "MAIL_DOMAIN=example.com\nSMTP_RELAY_PORT=abc\nUSE_TLS=perhaps\nnonsense\n",
		"QUEUE_LIFETIME=5", "SMTP_LISTEN=localhost", "API_KEYS=shop:tooshort", "LOG_LEVEL=loud")
	joined, isJoined := s.err.(interface{ Unwrap() []error })
	if !isJoined || len(joined.Unwrap()) != 7 {
		t.Fatalf("want seven problems: %v", s.err)
	}
	var p *Problem
	if !errors.As(s.err, &p) {
		t.Fatalf("no Problem: %v", s.err)
	}
	for _, want := range []string{
		".env line 2): is no whole number; write a number from 1 to 65535", "USE_TLS=perhaps (", "line 4: is no NAME=value",
		"QUEUE_LIFETIME=5 (environment): is no duration; write a number with a unit",
		`SMTP_LISTEN=localhost (environment): "localhost" is no address:port`,
		"API_KEYS=******** (environment): the key of shop is shorter", "LOG_LEVEL=loud",
	} {
		if !strings.Contains(s.err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, s.err)
		}
	}
	if strings.Contains(s.err.Error(), "tooshort") {
		t.Errorf("a key is shown: %v", s.err)
	}
}

// Settings that contradict each other are mistakes; those that are unwise are warnings.
func TestSettingsAgainstEachOther(t *testing.T) {
	key := filepath.Join(t.TempDir(), "none.pem")
	login := []string{"SMTP_RELAY_USERNAME=ada", "SMTP_RELAY_PASSWORD=secret"}
	for _, c := range []struct {
		environ []string
		wrong   bool
		says    string
	}{
		{[]string{"SMTP_RELAY_USERNAME=ada"}, true, "SMTP_RELAY_USERNAME (environment): is set without SMTP_RELAY_PASSWORD"},
		{[]string{"SMTP_RELAY_PASSWORD=secret"}, true, "SMTP_RELAY_PASSWORD (environment): is set without SMTP_RELAY_USERNAME"},
		{[]string{"TLS_CERT_FILE=" + key}, true, "without TLS_KEY_FILE"},
		{[]string{"TLS_KEY_FILE=" + key}, true, "without TLS_CERT_FILE"},
		{[]string{"TLS_KEY_FILE=" + key, "TLS_CERT_FILE=" + key}, true, "cannot be read: no such file"},
		{[]string{"SMTPS_LISTEN=:465"}, true, "needs a certificate"},
		{[]string{"HTTP_LISTEN=127.0.0.1:587"}, true, "the address that SMTP_LISTEN has"},
		{[]string{"MESSAGE_MAX_BYTES=2MiB", "QUEUE_MAX_BYTES=1MiB"}, true,
			"QUEUE_MAX_BYTES (environment): is less than MESSAGE_MAX_BYTES"},
		{[]string{"SMTP_RELAY_CA_FILE=" + key}, true, "SMTP_RELAY_CA_FILE"},
		{[]string{"HTTP_LISTEN=0.0.0.0:20001"}, false, "others than this machine reach the API"},
		{append(login, "USE_TLS=no", "SMTP_RELAY_HOST=mx.example.com"), false, "readable for everyone on the way"},
		{append(login, "TLS_VERIFY=no", "SMTP_RELAY_HOST=mx.example.com"), false, "can pretend to be mx.example.com"},
		{[]string{"SMTP_RELAY_HOST=smtp.gmail.com"}, false, "takes no mail without a login"},
		{[]string{"TRUSTED_NETWORKS=0.0.0.0/0"}, false, "everyone who reaches the appliance"},
		{[]string{"SMTP_RELAY_PASSWORD='quoted'", "SMTP_RELAY_USERNAME=ada"}, false, "begins and ends with a quote"},
		{[]string{ok}, false, "No upstream is configured"},
	} {
		s := with(t, "", append(c.environ, ok)...)
		if (s.err != nil) != c.wrong || !strings.Contains(s.said(), c.says) {
			t.Errorf("%v: got %v; said %s", c.environ, s.err, s.said())
		}
		if strings.Contains(s.said(), "secret\n") || strings.Contains(s.said(), "quoted'") {
			t.Errorf("%v: a password is shown: %s", c.environ, s.said())
		}
	}
	for _, set := range []string{"SMTP_RELAY_HOST=127.0.0.1", "SMTP_RELAY_PORT=465"} {
		if quiet := with(t, "", append(login, ok, "USE_TLS=no", "SMTP_RELAY_HOST=mx.example.com",
			set)...); len(quiet.Warnings) > 0 {
			t.Errorf("%s without STARTTLS: %v", set, quiet.Warnings)
		}
	}
}

// A MAIL_DOMAIN that is refused is a mistake, and not also called missing.
func TestRefusedDomainIsNotMissing(t *testing.T) {
	s := with(t, "", "MAIL_DOMAIN=exa mple")
	if s.err == nil || strings.Contains(s.said(), "is not set") {
		t.Errorf("said %s", s.said())
	}
}

// Without MAIL_DOMAIN the domain of DEFAULT_FROM serves, and last the name of the machine, with a
// warning.
func TestMissingDomain(t *testing.T) {
	for _, c := range []struct{ set, domain, hostname, from, says string }{
		{"DEFAULT_FROM=Web <web@shop.example>", "shop.example", "mail.shop.example", "Web <web@shop.example>",
			"the domain of DEFAULT_FROM"},
		{"LOG_LEVEL=warn", "box.example.org", "box.example.org", "noreply@box.example.org",
			"box.example.org, is used in its place"},
		{"MAIL_DOMAIN=yourdomain.com", "box.example.org", "box.example.org", "noreply@box.example.org", "counts as not configured"},
		{"ENVIRONMENT=development", "localhost", "localhost", "noreply@localhost", ""},
		{"MAIL_DOMAIN=Bücher.example", "xn--bcher-kva.example", "mail.xn--bcher-kva.example", "noreply@xn--bcher-kva.example", ""},
	} {
		s := with(t, "", c.set)
		if s.err != nil || s.Domain != c.domain || s.Hostname != c.hostname || s.HTTP.DefaultFrom.String() != c.from ||
			!strings.Contains(s.said(), c.says) {
			t.Errorf("%s: %s %s %s %v; said %s", c.set, s.Domain, s.Hostname, s.HTTP.DefaultFrom, s.err, s.said())
		}
	}
}

// Values out of an example file count as not configured, and the start says so. The upstream is
// then none at all.
func TestPlaceholders(t *testing.T) {
	for _, set := range []string{
		"SMTP_RELAY_PASSWORD=your-app-password", "SMTP_RELAY_USERNAME=your-email@gmail.com", "SMTP_RELAY_PASSWORD=changeme",
		"SMTP_RELAY_PASSWORD=<your password>", "SMTP_RELAY_USERNAME=noreply@yourdomain.com",
		"SMTP_RELAY_HOST=smtp.yourprovider.com",
		"SMTP_RELAY_PASSWORD=xxxx xxxx xxxx xxxx", "SMTP_RELAY_PASSWORD=YOUR_PASSWORD",
	} {
		name, _, _ := strings.Cut(set, "=")
		environ := []string{ok, set}
		for _, other := range []string{"SMTP_RELAY_HOST=smtp.gmail.com", "SMTP_RELAY_USERNAME=ada@example.com",
			"SMTP_RELAY_PASSWORD=real"} {
			if !strings.HasPrefix(other, name) {
				environ = append(environ, other)
			}
		}
		s := with(t, "", environ...)
		if s.err != nil || s.Relay.Host != "" || !strings.Contains(s.said(), name+
			" (environment) still has the text of an example file") {
			t.Errorf("%s: upstream %q, %v; said %s", set, s.Relay.Host, s.err, s.said())
		}
	}
	for _, real := range []string{"your", "mydomain.company.example", "ada@yourdomains.net", "correct horse",
		"smtp.mydomain-mail.com", "yourself@gmail.com"} {
		if placeholder(real) {
			t.Errorf("%s is taken for a placeholder", real)
		}
	}
}

// Names that look like ours are warned of with the nearest name; the rest of the environment is
// left alone.
func TestUnknownNames(t *testing.T) {
	for name, want := range map[string]string{
		"SMTP_RELAY_USER": "SMTP_RELAY_USERNAME", "SMTP_RELAY_PASS": "SMTP_RELAY_PASSWORD",
		"SMTP_RELAY_HOSTNAME": "SMTP_RELAY_HOST",
		"SMTP_RELAY_SERVER":   "SMTP_RELAY_HOST", "MAIL_DOMIAN": "MAIL_DOMAIN", "MAILDOMAIN": "MAIL_DOMAIN",
		"ALLOWED_HOST":    "ALLOWED_HOSTS",
		"TRUSTED_NETWORK": "TRUSTED_NETWORKS", "QUEUE_LIFETIMES": "QUEUE_LIFETIME", "mail_domain": "MAIL_DOMAIN",
		"HTTP_LISTENS":    "HTTP_LISTEN",
		"DEFAULT_TO_FILE": "DEFAULT_TO", "RELAY_PASWORD": "SMTP_RELAY_PASSWORD",
	} {
		s := with(t, "", ok, name+"=x")
		if got := strings.Join(s.Warnings, "\n"); !strings.Contains(got, name+" (environment) is") || !strings.Contains(got, want) {
			t.Errorf("%s: want %s, said %q", name, want, got)
		}
	}
	strangers := []string{"HOME=/", "PATH=/", "HTTP_PROXY=x", "MAIL=/var/mail/root", "HOSTNAME=x", "USER=x", "LOGNAME=x",
		"TLS=1", "QUEUE_CONNECTION=redis",
		"DATA=1", "MAIL_FROM=x", "LOG_DIR=x", "DATABASE_URL=x", "SMTP_HOST=x", "MAIL_HOST=x", "ENV=x", "INVOCATION_ID=x",
		"LISTEN_FDS=1", "_=x",
		"API_KEY=x", "HTTP_PORT=1", "LOG_FILE=x", "TLS_CERT=x", "SSL_CERT_FILE=x"}
	if s := with(t, "", append(strangers, ok)...); len(s.Warnings) > 0 {
		t.Errorf("strangers are warned of: %v", s.Warnings)
	}
	if s := with(t, ok+"\nMAIL_HOST=x\nTLS_CERT=y\n"); len(s.Warnings) != 2 {
		t.Errorf("in .env a beginning of a name is enough: %v", s.Warnings)
	}
}

// A .env that is there and cannot be read is a mistake, and so is a directory of that name.
func TestUnreadableFile(t *testing.T) {
	s, err := load([]string{ok}, t.TempDir(), "box")
	if err == nil || !strings.Contains(err.Error(), "cannot be read: is a directory; give the user") || s.Development {
		t.Errorf("got %v", err)
	}
}

// A .env with a secret in it that everybody on the machine can read is warned of.
func TestReadableSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	for _, c := range []struct {
		text string
		mode os.FileMode
		want bool
	}{
		{ok + "\nAPI_KEYS=shop:0123456789abcdef\n", 0o644, true},
		{ok + "\nAPI_KEYS=shop:0123456789abcdef\n", 0o640, false},
		{ok + "\n", 0o644, false},
	} {
		write(t, path, c.text)
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		s, err := load(nil, path, "box")
		if got := strings.Contains(strings.Join(s.Warnings, ""), "everybody on this machine can read"); err != nil ||
			got != c.want {
			t.Errorf("mode %o: warned %v, %v", c.mode, got, err)
		}
	}
}

// What is shown never has a secret, and has a row for every setting.
func TestEffectiveMasksSecrets(t *testing.T) {
	const hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	s := with(t, "SMTP_USERS='ada:"+hash+"'\n", ok, "SMTP_RELAY_USERNAME=ada", "SMTP_RELAY_PASSWORD=s3cret s3cret",
		"API_KEYS=shop:0123456789abcdef0123")
	if s.err != nil {
		t.Fatal(s.err)
	}
	n := 0
	for _, g := range Groups() {
		n += len(g.Settings)
	}
	rows := s.Effective()
	if len(rows) != n {
		t.Errorf("%d rows of %d", len(rows), n)
	}
	for _, r := range rows {
		if strings.Contains(r.Value, "s3cret") || strings.Contains(r.Value, "0123456789") || strings.Contains(r.Value, "$2a$") {
			t.Errorf("%s shows %s", r.Name, r.Value)
		}
	}
	if got := s.row("MAIL_HOSTNAME"); got.Value != "mail.example.com" || got.Source != "default" {
		t.Errorf("a default that depends on others: %+v", got)
	}
}

// Lists and other values with a form of their own.
func TestForms(t *testing.T) {
	s := with(t, "", ok, "TRUSTED_NETWORKS=10.0.0.7, 172.16.0.0/12,::1", "TRUSTED_PROXIES=none", "QUEUE_RETRY=30s, 5m,1d",
		"LOG_LEVEL=DEBUG", "LOG_FORMAT=json",
		"FORM_RECIPIENTS=Ada@Example.com,@Example.net", "API_KEYS=a:0123456789abcdef,b:fedcba9876543210:*,c:cccccccccccccccc:x@example.com|@example.net",
		"SMTP_LISTEN=[::1]:2525,:2587", "HTTP_LISTEN=off", "FORM_RATE_LIMIT=0", "SMTP_RELAY_HOST=[192.0.2.7]",
		"DEFAULT_TO=\"Ada, L.\" <ada@example.com>")
	if s.err != nil {
		t.Fatal(s.err)
	}
	for name, pair := range map[string][2]any{
		"trusted": {s.SMTP.Trusted, []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"),
			netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("::1/128")}},
		"proxies": {s.HTTP.TrustedProxies, []netip.Prefix{}},
		"retry":   {s.Queue.Retry, []time.Duration{30 * time.Second, 5 * time.Minute, 24 * time.Hour}},
		"level":   {s.LogLevel, slog.LevelDebug},
		"forms":   {s.HTTP.FormRecipients, []string{"Ada@example.com", "@example.net"}},
		"listen":  {s.SMTPListen, []string{"[::1]:2525", ":2587"}},
		"off":     {s.HTTPListen, []string{}},
		"rate":    {s.HTTP.FormRate, httpapi.Rate{}},
		"relay":   {s.Relay.Host, "192.0.2.7"},
		"keys": {s.Account.Keys, []account.Key{{Name: "a", Secret: "0123456789abcdef", From: []string{"@example.com",
			"noreply@example.com"}},
			{Name: "b", Secret: "fedcba9876543210", From: []string{"*"}}, {Name: "c", Secret: "cccccccccccccccc",
				From: []string{"x@example.com", "@example.net"}}}},
		"notices": {s.Queue.Notices.String(), "ada@example.com"},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

// Wrong values are refused with a reason.
func TestRefusedValues(t *testing.T) {
	for _, set := range []string{
		"SMTP_RELAY_PORT=0", "SMTP_RELAY_PORT=65536", "SMTP_RELAY_PORT=5 87", "SMTP_RELAY_HOST=smtp.gmail.com:587",
		"SMTP_RELAY_HOST=https://x.example",
		"SMTP_RELAY_HOST=a b", "MAIL_DOMAIN=a@example.com", "MAIL_DOMAIN=http://example.com", "MAIL_DOMAIN=[127.0.0.1]",
		"DEFAULT_FROM=nobody",
		"DEFAULT_FROM=postmaster", "DEFAULT_TO=a@example.com,b@example.com", "ENVIRONMENT=staging", "QUEUE_RETRY=1m,,x",
		"QUEUE_RETRY=,", "QUEUE_RETRY=10ms",
		"QUEUE_LIFETIME=0s", "QUEUE_LIFETIME=-5m", "MESSAGE_MAX_BYTES=1", "MESSAGE_MAX_BYTES=25XB",
		"QUEUE_MAX_BYTES=99999999TiB", "TRUSTED_NETWORKS=10.0.0.1/8",
		"TRUSTED_NETWORKS=localhost", "SMTP_LISTEN=25", "SMTP_LISTEN=127.0.0.1:99999",
		"SMTP_LISTEN=127.0.0.1:25,127.0.0.1:25", "SMTP_LISTEN=a b:25",
		"SMTP_LISTEN=,", "ALLOWED_HOSTS=*", "ALLOWED_HOSTS=https://example.com/path", "FORM_RECIPIENTS=example.com",
		"FORM_RATE_LIMIT=ten", "FORM_RATE_LIMIT=1/never",
		"API_KEYS=justakeyjustakeyjustakey", "API_KEYS=a:0123456789abcdef,a:0123456789abcdeg",
		"API_KEYS=a:0123456789abcdef,b:0123456789abcdef",
		"API_KEYS=a:0123456789abcdef:nobody", "API_KEYS=a:0123456789 abcdef", "SMTP_USERS=ada:plaintext", "SMTP_USERS=ada",
		"SMTP_USERS=ada:$2a$nonsense",
		"LOG_FORMAT=xml", "USE_TLS=maybe", "SHUTDOWN_GRACE=0s",
	} {
		name, text, _ := strings.Cut(set, "=")
		s := with(t, "", set)
		if s.err == nil || !strings.Contains(s.err.Error(), name+"=") || !strings.Contains(s.err.Error(), "; ") {
			t.Errorf("%s: got %v", set, s.err)
		} else if (name == "API_KEYS" || name == "SMTP_USERS") && strings.Contains(s.err.Error(), text) {
			t.Errorf("%s: shown: %v", set, s.err)
		}
	}
}

// Once websites may send and no proxy is named, the settings recommend LOCAL_HTTP=no and say what a
// proxy must add.
func TestWebsitesWithoutAProxy(t *testing.T) {
	const base = "MAIL_DOMAIN=example.com\nENVIRONMENT=production\n"
	for text, want := range map[string]bool{
		"":                            false,
		"ALLOWED_HOSTS=shop.example":  true,
		"ALLOWED_HOSTS=*.example.com": true,
		"ALLOWED_HOSTS=https://shop.example:8443":                                  true,
		"ALLOWED_HOSTS=localhost,127.0.0.1,http://app.localhost:3000,http://[::1]": false,
		"ALLOWED_HOSTS=localhost,shop.example":                                     true,
		"ALLOWED_HOSTS=shop.example\nTRUSTED_PROXIES=172.18.0.0/16":                false,
		"ALLOWED_HOSTS=shop.example\nLOCAL_HTTP=no":                                false,
		"ALLOWED_HOSTS=shop.example\nHTTP_LISTEN=off":                              false,
		"ALLOWED_HOSTS=shop.example\nENVIRONMENT=development":                      false,
	} {
		s := with(t, base+text+"\n")
		said := strings.Join(s.Notices, "\n")
		if got := strings.Contains(said, "LOCAL_HTTP=no") && strings.Contains(said, "TRUSTED_PROXIES") &&
			strings.Contains(said, "proxy_set_header X-Forwarded-For"); s.err != nil || got != want {
			t.Errorf("%q recommends = %v, want %v: %v %s", text, got, want, s.err, said)
		}
		if s.HTTP.KeysOnly != strings.Contains(text, "LOCAL_HTTP=no") {
			t.Errorf("%q: keys only = %v", text, s.HTTP.KeysOnly)
		}
	}
}

// SMTP_RELAY_AUTH takes names in any case, and refuses those that are not known with those that
// are.
func TestMechanismsSetting(t *testing.T) {
	for text, want := range map[string]string{
		"": "PLAIN LOGIN CRAM-MD5", "Login": "LOGIN", "cram_md5, plain,PLAIN": "CRAM-MD5 PLAIN", "login plain": "LOGIN PLAIN",
	} {
		if got := strings.Join(with(t, "", ok, "SMTP_RELAY_AUTH="+text).Relay.Mechanisms, " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"plain,ntlm": "not known: ntlm; write one or more of plain, login, cram-md5", ",": "names no way to log in",
	} {
		if s := with(t, "", ok, "SMTP_RELAY_AUTH="+text); !strings.Contains(s.said(), want) {
			t.Errorf("%q: got %s, want %s", text, s.said(), want)
		}
	}
}
