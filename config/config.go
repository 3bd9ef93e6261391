// Package config turns the environment and the .env file into every package's Config.
//
// One table ([Groups]) holds each setting: its name, older names, default, meaning, and how its
// value is read and checked. The reader, .env.example and docs/config.md all come out of that
// table, so they cannot tell different stories.
//
// # What it promises
//
// All mistakes are reported at once, each with the variable, its value, where it stands, what is
// wrong and what to do. A secret is never part of a message, a row or an error. The real
// environment wins over .env; an empty value counts as unset. A password arrives exactly as it was
// written, or the line that makes its meaning doubtful is named.
//
// # Limits
//
// A .env file of at most 1 MiB; a secret's file of at most 1 MiB. A value of ours stands on one
// line of .env.
package config

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"dinkymail/account"
	"dinkymail/alert"
	"dinkymail/aliases"
	"dinkymail/httpapi"
	"dinkymail/internal/certs"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/relay"
	"dinkymail/smtp"
)

// Settings is everything the appliance was told, checked and ready to hand out.
type Settings struct {
	Domain   string // MAIL_DOMAIN in its ASCII form
	Hostname string // MAIL_HOSTNAME in its ASCII form

	// Development: mail is captured and shown, nothing leaves the machine.
	Development bool
	// Unconfigured: Development was chosen because there is no .env and none of our variables is
	// set.
	Unconfigured bool

	SMTPListen  []string // host:port; plain with STARTTLS where there is a certificate
	SMTPSListen []string // host:port; TLS from the first byte
	HTTPListen  []string // host:port
	// SMTPListenGiven tells an SMTP_LISTEN somebody wrote from the default, which development mode
	// may replace.
	SMTPListenGiven bool

	DataDir   string
	LogFormat string // "text" or "json"
	LogLevel  slog.Level
	LogKeep   int64 // bytes

	Certificate *certs.Own // nil without TLS_CERT_FILE

	Queue   queue.Config
	Aliases aliases.Config
	Alert   alert.Config
	Stuck   time.Duration // ALERT_AFTER
	Account account.Config
	SMTP    smtp.Config
	Relay   relay.Config // Host is empty while no upstream is configured
	HTTP    httpapi.Config

	Maildrop maildrop.Config

	File     string   // the file they came from; it need not be there
	Notices  []string // facts worth a line at the start
	Warnings []string // what somebody should look at, though it works

	defaultFrom, defaultTo message.Mailbox
	certFile, keyFile      string
	relayCAFile            string
	allowedHosts           []string
	localHTTP              bool
	formRecipients         []string
	rows                   []Row
	contents               map[string][]byte // of the files that settings name, where another content is another setting
	placeholders           map[string]bool   // settings whose value came out of an example file
	refused                map[string]bool   // settings whose value was none
}

// Row is one effective setting, for showing.
type Row struct {
	operate.Setting

	exact   [sha256.Size]byte // of the value as it was read, secret or not, and of the file it names
	restart bool
}

// SystemDataDir is where the shipped systemd unit keeps the queue, whatever its settings file says
// of DATA_DIR.
const SystemDataDir = "/var/lib/dinkymail"

// DevelopmentSMTPListen is what development mode listens on when the standard ports may not be
// bound and SMTP_LISTEN was not given.
var DevelopmentSMTPListen = []string{"127.0.0.1:2587", "127.0.0.1:2525"}

// Load reads the settings from environ, in the form of os.Environ, and from the file dotenv, which
// may be missing. The error joins one [Problem] per mistake. The Settings come back in any case,
// but with an error they are good for [Settings.Effective] and for the warnings only.
func Load(environ []string, dotenv string) (*Settings, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return load(environ, dotenv, host)
}

func load(environ []string, dotenv, host string) (*Settings, error) {
	s := &Settings{placeholders: map[string]bool{}, refused: map[string]bool{}, contents: map[string][]byte{}, File: dotenv}
	src, problems := readSources(environ, dotenv)
	var read []value
	for _, g := range s.groups() {
		for _, st := range g.Settings {
			v, errs := src.value(st)
			problems = append(problems, errs...)
			if err := s.apply(st, &v); err != nil {
				problems = append(problems, err)
			}
			read = append(read, v)
		}
	}
	s.warnUnknown(src)
	s.chooseMode(src)
	problems = append(problems, s.check(src, host)...)
	s.rows = s.show(read)
	s.warnSources(src, read)
	s.warnSecrets(read)
	return s, errors.Join(problems...)
}

// apply hands a value to its setting. A value out of an example file counts as unset.
func (s *Settings) apply(st Setting, v *value) error {
	if v.text != "" && placeholder(v.text) {
		s.placeholders[st.Name] = true
		s.Notices = append(s.Notices, st.Name+" ("+v.source+") still has the text of an example file and counts as not configured.")
		v.text = ""
	}
	if !st.Secret {
		v.text = message.TrimInvisible(v.text)
	}
	text := v.text
	if text == "" {
		v.text, v.source = st.Default, "default"
		text = st.Default
	}
	if text == "" || st.set == nil {
		return nil
	}
	err := st.set(text)
	var m *mistake
	if errors.As(err, &m) {
		s.refused[st.Name] = true
		if st.Default != "" {
			_ = st.set(st.Default) // so that nothing is said of a value that nobody gave
		}
		if !st.Secret && !strings.Contains(m.reason, "U+") {
			m.reason += among(text)
		}
		return &Problem{Variable: v.name, Value: st.mask(text), Source: v.source, Reason: m.reason, Remedy: m.remedy}
	}
	return err
}

// Effective lists every setting with the value in force and where it came from, in the order of the
// documents.
func (s *Settings) Effective() []Row { return slices.Clone(s.rows) }

// show makes the rows. Where a setting was left to a default that depends on others, it shows what
// came out of it.
func (s *Settings) show(read []value) []Row {
	derived := map[string]string{
		"MAIL_DOMAIN":     s.Domain,
		"MAIL_HOSTNAME":   s.Hostname,
		"DEFAULT_FROM":    s.defaultFrom.String(),
		"SMTP_RELAY_HOST": s.Relay.Host,
		"ALLOWED_HOSTS":   strings.Join(s.HTTP.AllowedHosts, ","),
		"FORM_RECIPIENTS": strings.Join(s.HTTP.FormRecipients, ","),
		"DATA_DIR":        s.DataDir,
		"SUBMIT_DIR":      s.Maildrop.Dir,
		"ENVIRONMENT":     s.environment(),
	}
	rows := make([]Row, 0, len(read))
	for _, v := range read {
		r := Row{Setting: operate.Setting{Name: v.setting.Name, Value: v.setting.mask(v.text), Source: v.source, Secret: v.setting.Secret},
			exact: sha256.Sum256(append([]byte(v.text), s.contents[v.setting.Name]...)), restart: v.setting.Restart}
		if d, ok := derived[r.Name]; ok && (v.source == "default" || r.Name == "DATA_DIR") {
			r.Value = d
		}
		rows = append(rows, r)
	}
	return rows
}

func (s *Settings) environment() string {
	if s.Development {
		return "development"
	}
	return "production"
}
