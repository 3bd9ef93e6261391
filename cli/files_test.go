package cli

import (
	"os"
	"path/filepath"
	"testing"

	"dinkymail/cli/world"
)

// The settings are searched for where an operator expects them; under another program's name never
// in the working directory, where anybody may have put a file.
func TestSettingsFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	named := []string{"DINKYMAIL_ENV_FILE=/etc/old.env", "DINKYMAIL_ENV_FILE=/etc/named.env"}
	for _, c := range []struct {
		w     Program
		given string
		want  string
	}{
		{Program{World: world.World{Environ: named}}, "given.env", "given.env"},
		{Program{World: world.World{Environ: named}}, "", "/etc/named.env"},
		{Program{World: world.World{Environ: named}, Name: "mailq"}, "", "/etc/named.env"},
		{Program{}, "", ".env"},
		{Program{Name: "dinkymail"}, "", ".env"},
		{Program{Name: "mailq"}, "", systemFile},
		{Program{Name: "sendmail"}, "", systemFile},
	} {
		for _, there := range []bool{false, true} {
			path := filepath.Join(dir, ".env")
			if there {
				if err := os.WriteFile(path, []byte("MAIL_DOMAIN=example.com\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if got := c.w.settingsFile(c.given); got != c.want {
				t.Errorf("%s, given %q, .env there: %v: got %s, want %s", c.w.Name, c.given, there, got, c.want)
			}
		}
	}
}
