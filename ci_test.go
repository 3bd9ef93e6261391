package main

import (
	"os"
	"os/exec"
	"path/filepath"
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
		"README.md docs/flow.md":              "",
		"doctor/spf.go":                       "interop",
		"smtp/session.go docs/flow.md":        "hostile interop soak",
		"deploy/dinkymail.service":            "compose container interop unit",
		"queue/lane/lane.go":                  all,
		"smtp/session.go main.go":             all,
		".ci/suites":                          all,
		"internal/survival/soak_test.go":      "fair hostile scale soak",
		"main_test.go internal/bench/main.go": "",
		"doctor/spf.go imap/session.go":       all, // a package that .ci/suites does not name
	} {
		list := exec.CommandContext(t.Context(), "bash", ".ci/run", "--list")
		list.Env = append(os.Environ(), "CI_PATHS="+paths)
		out, err := list.Output()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", paths, got, err, want)
		}
	}
}

// What .ci/core names are tests that there are: another name would quietly run nothing.
func TestCoreNamesTests(t *testing.T) {
	core, err := os.ReadFile(".ci/core")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("internal/interop/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for name := range strings.SplitSeq(strings.TrimSpace(string(core)), "|") {
		if !strings.Contains(tests.String(), "\nfunc "+name) {
			t.Errorf("internal/interop has no %s", name)
		}
	}
}
