package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// SUBMIT_DIR counts from DATA_DIR, and a group that does not exist is a mistake that names its
// remedy.
func TestSubmit(t *testing.T) {
	for _, c := range []struct{ data, dir, want string }{
		{"/srv/mail", "", "/srv/mail/submit"},
		{"/srv/mail", "in", "/srv/mail/in"},
		{"/srv/mail", "/run/in", "/run/in"},
	} {
		environ := []string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + c.data, "SUBMIT_DIR=" + c.dir, "MESSAGE_MAX_BYTES=1MiB"}
		s, err := load(environ, "", "box.example.org")
		if m := s.Maildrop; err != nil || m.Dir != filepath.FromSlash(c.want) || m.Machine != "box.example.org" || m.About.Domain != "example.com" ||
			m.About.MaxMessageBytes != 1<<20 || m.About.MaxRecipients != 1000 {
			t.Errorf("%v: got %+v, %v", environ, m, err)
		}
	}
	_, err := load([]string{"MAIL_DOMAIN=example.com", "SUBMIT_GROUP=no-such-group"}, "", "box")
	if err == nil || !strings.Contains(err.Error(), "SUBMIT_GROUP") || !strings.Contains(err.Error(), "groupadd --system no-such-group") {
		t.Errorf("got %v", err)
	}
}
