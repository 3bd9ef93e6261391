package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A change has the suites run that its paths name; one of the queue, of what all mail goes through,
// or of the suites themselves has all of them run.
func TestSuitesByPath(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	const all = "all compose container fair hostile interop scale soak unit"
	for paths, want := range map[string]string{
		"README.md docs/flow.md":         "",
		"doctor/spf.go":                  "interop",
		"smtp/session.go docs/flow.md":   "hostile interop soak",
		"deploy/dinkymail.service":       "compose container interop unit",
		"queue/lane/lane.go":             all,
		"smtp/session.go main.go":        all,
		".ci/suites":                     all,
		"internal/survival/soak_test.go": "fair hostile scale soak",
	} {
		list := exec.CommandContext(t.Context(), "bash", ".ci/run", "--list")
		list.Env = append(os.Environ(), "CI_PATHS="+paths)
		out, err := list.Output()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", paths, got, err, want)
		}
	}
}
