package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// .env.example and docs/config.md are what the table says. UPDATE=1 go test writes them.
func TestDocumentsComeFromTheTable(t *testing.T) {
	for path, want := range map[string]string{"../.env.example": Example(), "../docs/config.md": Markdown()} {
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(filepath.FromSlash(path), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the table says; run UPDATE=1 go test ./config, and read the difference", path)
		}
	}
}

// Every row of the table has a meaning, a name of its own, and a default that its own reader takes.
func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range Groups() {
		for _, st := range g.Settings {
			for _, name := range st.names() {
				if seen[name] {
					t.Errorf("%s names two settings", name)
				}
				seen[name] = true
			}
			if !strings.HasSuffix(st.Doc, ".") {
				t.Errorf("%s: its meaning is no sentence: %q", st.Name, st.Doc)
			}
			if st.Default == "" && st.Example == "" {
				t.Errorf("%s shows neither a default nor an example", st.Name)
			}
			if st.Default == "" || st.set == nil {
				continue
			}
			if err := st.set(st.Default); err != nil {
				t.Errorf("%s: its default is refused: %v", st.Name, err)
			}
		}
	}
}

// Whoever takes the # away from one line of the example gets a setting that is read, or is told
// what to change.
func TestExampleLinesAreReadable(t *testing.T) {
	var lines []string
	for line := range strings.Lines(Example()) {
		if text, ok := strings.CutPrefix(line, "#"); ok && variableName.MatchString(strings.SplitN(text, "=", 2)[0]) {
			lines = append(lines, text)
		}
	}
	if len(lines) < 40 {
		t.Fatalf("only %d settings in the example", len(lines))
	}
	all := strings.Join(lines, "")
	d := readDotenv([]byte(all), ".env", nil)
	if len(d.problems) > 0 {
		t.Errorf("the example cannot be read: %v", d.problems)
	}
}
