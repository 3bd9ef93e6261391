package config

import (
	"strings"
	"testing"
)

// What cannot be seen is dropped at the ends of a value and of the entries of a list.
func TestInvisibleEndsAreDropped(t *testing.T) {
	s := with(t, "MAIL_DOMAIN=\u00a0example.com\u200b\nSMTP_RELAY_HOST=\u202asmtp.example.net\u202c\nSMTP_RELAY_USERNAME=\ufeffada\u00a0\nSMTP_RELAY_PASSWORD='p'\n"+
		"DEFAULT_FROM=\u00a0Ada <\u2066ada@example.com\u2069>\u00ad\nDEFAULT_TO='bob@example.com\u2060 '\nALLOWED_HOSTS=\ufeffa.example,\u00a0b.example\u200b\n"+
		"TRUSTED_NETWORKS=10.0.0.1\u00a0,\u200b10.0.0.2\nUSE_TLS=\u00a0no\nMESSAGE_MAX_BYTES=1MiB\u00a0\nFORM_RECIPIENTS=\u200bilo.@my_shop.example.\n")
	if s.err != nil {
		t.Fatal(s.err)
	}
	if s.Domain != "example.com" || s.Relay.Host != "smtp.example.net" || s.Relay.Username != "ada" || s.Relay.UseTLS ||
		s.defaultFrom.String() != "Ada <ada@example.com>" || s.defaultTo.String() != "bob@example.com" ||
		strings.Join(s.HTTP.AllowedHosts, " ") != "a.example b.example" || len(s.SMTP.Trusted) != 2 || s.Queue.MaxMessageBytes != 1<<20 ||
		s.HTTP.FormRecipients[0] != `"ilo."@my_shop.example` || s.row("MAIL_DOMAIN").Value != "example.com" {
		t.Errorf("got %+v", s.Settings)
	}
}

// What cannot be seen around a name, a quote or a comment of .env is no part of them, and inside a
// name it is named.
func TestInvisibleCharactersInDotenv(t *testing.T) {
	s := with(t, "\u200bMAIL_DOMAIN\u00a0=\u00a0'example.com'\u00a0\n\ufeff# a comment\n\u00a0\nSMTP_RELAY_HOST = \u200b\"smtp.example.net\"\n"+
		"SMTP_RELAY_USERNAME=ada\nSMTP_RELAY_PASSWORD=\u00a0'secret word'\n")
	if s.err != nil || s.Domain != "example.com" || s.Relay.Host != "smtp.example.net" || s.Relay.Password != "secret word" {
		t.Errorf("got %v, %+v", s.err, s.Settings)
	}
	s = with(t, ok+"\nDEFAULT\u200b_TO=a@example.com\n")
	if s.err == nil || !strings.Contains(s.err.Error(), "line 2: is no NAME=value: there is an invisible character in it, U+200B zero width space at position 8") {
		t.Errorf("got %v", s.err)
	}
}

// What cannot be seen inside a value is named, with its place.
func TestInvisibleInsideIsNamed(t *testing.T) {
	for setting, want := range map[string]string{
		"MAIL_DOMAIN=exam\u200bple.com":               "U+200B zero width space at position 5",
		"MAIL_HOSTNAME=mail\u00ad.example.com":        "U+00AD soft hyphen at position 5",
		"DEFAULT_FROM=a\u202eda@example.com":          "U+202E right-to-left override at position 2",
		"DEFAULT_TO=Bob <bob@exa\u2060mple.com>":      "U+2060 word joiner at position 8",
		"SMTP_RELAY_HOST=smtp\u00a0.example.com":      "U+00A0 no-break space at position 5",
		"SMTP_RELAY_USERNAME=a\ufeffda":               "U+FEFF zero width no-break space at position 2",
		"ALLOWED_HOSTS=a.example,b\u200b.example":     "U+200B zero width space at position 2",
		"ALLOWED_HOSTS=https://b\u2067.example":       "U+2067 right-to-left isolate at position 10",
		"FORM_RECIPIENTS=@exam\u00adple.com":          "U+00AD soft hyphen at position 5",
		"TRUSTED_NETWORKS=10.0\u200b.0.1":             "U+200B zero width space at position 5",
		"SMTP_RELAY_PORT=5\u200b87":                   "U+200B zero width space at position 2",
		"MAIL_DOMAIN=\u201cexample.com\u201d":         "U+201C left double quotation mark",
		"SMTP_USERS='a\u200bda:$2a$10$x'":             "U+200B zero width space at position 2",
		"API_KEYS=shop:0123456789\u00a0012345":        "U+00A0 no-break space",
		"API_KEYS=shop:0123456789012345:a\u00adb@c.d": "U+00AD soft hyphen",
	} {
		s := with(t, ok+"\n"+setting+"\n")
		if strings.HasPrefix(setting, "MAIL_DOMAIN") {
			s = with(t, setting+"\n")
		}
		if s.err == nil || strings.Count(s.err.Error(), want) != 1 {
			t.Errorf("%q: got %v, want %s", setting, s.err, want)
		}
	}
}

// A password may hold anything, and is used as it is; what nobody types is named, and the password
// is not.
func TestDoubtfulSecrets(t *testing.T) {
	login := ok + "\nSMTP_RELAY_HOST=smtp.example.net\nSMTP_RELAY_USERNAME=ada\nSMTP_RELAY_PASSWORD="
	for password, want := range map[string]string{
		"secret\u00a0word":   "U+00A0 no-break space",
		"\u201csecretword":   "U+201C left double quotation mark",
		"secret\u2019word":   "U+2019 right single quotation mark",
		"secretword\u200b":   "U+200B zero width space",
		"secret\tword":       "U+0009 tab",
		" secretword":        "begins or ends with a space",
		"plain secret, word": "",
		"pässwört":           "",
	} {
		s := with(t, login+"'"+password+"'\n")
		if s.err != nil || s.Relay.Password != password {
			t.Fatalf("%q: got %q, %v", password, s.Relay.Password, s.err)
		}
		said := s.said()
		if want == "" && strings.Contains(said, "SMTP_RELAY_PASSWORD (") || want != "" && strings.Count(said, want) != 1 || strings.Contains(said, "secret") {
			t.Errorf("%q: got %s, want %s", password, said, want)
		}
	}
}

// A Gmail app password is 16 letters, whatever stands between and around them, and that is said
// once.
func TestGmailAppPassword(t *testing.T) {
	for _, password := range []string{"abcd efgh ijkl mnop", "abcd\u00a0efgh\u00a0ijkl\u00a0mnop", "\u200babcdefgh ijklmnop\u2060", " abcdefghijklmnop"} {
		s := with(t, ok+"\nSMTP_RELAY_USERNAME=ada@gmail.com\nSMTP_RELAY_PASSWORD='"+password+"'\n")
		said := s.said()
		if s.err != nil || s.Relay.Password != "abcdefghijklmnop" || strings.Count(said, "app password") != 1 || strings.Contains(said, "U+") {
			t.Errorf("%q: got %q, %v, said %s", password, s.Relay.Password, s.err, said)
		}
	}
	s := with(t, ok+"\nSMTP_RELAY_HOST=smtp.example.net\nSMTP_RELAY_USERNAME=ada\nSMTP_RELAY_PASSWORD='abcd\u00a0efgh ijkl mnop'\n")
	if s.Relay.Password != "abcd\u00a0efgh ijkl mnop" {
		t.Errorf("got %q elsewhere", s.Relay.Password)
	}
}
