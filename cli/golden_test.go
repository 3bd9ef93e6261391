package cli

import (
	"strings"
	"testing"
)

// What each command prints about the stocked queue where no terminal is.
func TestOutput(t *testing.T) {
	c := stocked(t)
	for _, test := range []struct {
		name string
		args string
	}{
		{"queue.txt", "queue"},
		{"queue-all.txt", "queue --all --newest"},
		{"queue.json", "queue --json --status deferred --from ada"},
		{"show-deferred.txt", "show 0cagh3h68onkmkg0"},
		{"show-held.txt", "show 0cagh3h68onkmkg1"},
		{"show-queued.txt", "show 0cagh3h68onkmkg2"},
		{"show-failed.txt", "show 0cagh3h68onkmkg4"},
		{"show-removed.txt", "show 0cagh3h68onkmkg5"},
		{"show.json", "show --json 0cagh3h68onkmkg0"},
		{"purge.txt", "purge --domain example.org"},
	} {
		code, out, errs := c.run("", strings.Fields(test.args)...)
		if code != 0 || errs != "" {
			t.Errorf("%s: exit status %d: %s", test.args, code, errs)
		}
		golden(t, test.name, out)
	}
}

// A list without a message is empty where no terminal is, so that what reads IDs from it finds
// none.
func TestNoMessageInAPipe(t *testing.T) {
	c := stocked(t)
	if code, out, errs := c.run("", "queue", "--to", "nobody"); code != 0 || out != "" || errs != "No message matches.\n" {
		t.Errorf("exit status %d: %q %q", code, out, errs)
	}
}
