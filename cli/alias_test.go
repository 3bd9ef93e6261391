package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whom addresses stand for is one object with --json, which leaves out those without an alias.
func TestAliasJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(file, []byte("root: ada, bob@example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	w := worldOf(nil, &out, &errs, []string{"MAIL_DOMAIN=example.com", "ALIASES_FILE=" + file})
	code := w.Run(t.Context(), []string{"alias", "--json", "root", "eve"})
	want := `{"success":false,"message":"noalias:eve@example.com","code":"failed","exit":1,` +
		`"aliases":{"root@example.com":["ada@example.com","bob@example.net"]}}`
	if got := strings.Join(strings.Fields(out.String()), ""); code != 1 || got != want || errs.String() != "dinkymail: no alias: eve@example.com\n" {
		t.Errorf("exit status %d: %s\n%s", code, out.String(), errs.String())
	}
}
