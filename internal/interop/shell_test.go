//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each shell, with the script that we print for it, offers the verbs, the flags and the IDs of what
// waits.
func TestCompletion(t *testing.T) {
	d := newDesk(t, nil)
	d.refuse("@grey.example", "451 4.7.1 Greylisted")
	id := d.send("shop@example.org", "bob@grey.example", "Hello")
	ask := map[string]func(words string) string{
		"bash": func(words string) string {
			return `bash -c 'source <(dinkymail completion bash); COMP_WORDS=(` + words + `); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); ` +
				`$(complete -p dinkymail | sed "s/.*-F \([^ ]*\).*/\1/"); printf "%s\n" "${COMPREPLY[@]}"'`
		},
		"fish": func(words string) string {
			return `fish -c 'dinkymail completion fish | source; complete -C "` + words + `"'`
		},
		"zsh": func(words string) string { return "zsh -f " + typing(t) + " '" + words + "'" },
	}
	for shell, script := range ask {
		t.Run(shell, func(t *testing.T) {
			tool(t, shell, shell)
			for words, want := range map[string]string{
				"dinkymail edi": "edit-recipients", "dinkymail queue --subj": "--subject", "dinkymail show " + id[:3]: id, "dinkymail config ch": "check",
			} {
				if out := d.sh(script(words)); !strings.Contains(out, want) {
					t.Errorf("%s offers for %s no %s: %q", shell, words, want, out)
				}
			}
		})
	}
}

// typing writes a script for zsh that types a line and a tab into a zsh of its own, once that edits
// lines, and prints what it shows.
func typing(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "type.zsh")
	const script = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -D -u; source <(dinkymail completion zsh)'
zpty -w shell 'zle-line-init() { print -n rea""dy >/dev/tty }; zle -N zle-line-init'
zpty -r -m shell line '*ready*'
zpty -w -n shell "$1"$'\t'
zpty -w -n shell $'\C-e#end\n'
zpty -r -m shell line '*#end*'
print -r -- "$line"
zpty -d shell
`
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// The manual page is one to mandoc and to man, without a complaint of either.
func TestManual(t *testing.T) {
	d := newDesk(t, nil)
	tool(t, "mandoc", "mandoc")
	tool(t, "man", "man-db")
	d.sh("dinkymail man >dinkymail.1")
	if out := d.sh("mandoc -Tlint -W error dinkymail.1"); out != "" {
		t.Errorf("mandoc: %s", out)
	}
	if out := d.sh("MANWIDTH=80 man --warnings -l ./dinkymail.1 2>&1 >page"); out != "" {
		t.Errorf("man: %s", out)
	}
	for _, text := range []string{"DINKYMAIL(1)", "edit-recipients", "--older", "EXIT STATUS"} {
		d.sh("grep -q -e '" + text + "' page && mandoc dinkymail.1 | col -b | grep -q -e '" + text + "'")
	}
}
