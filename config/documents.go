package config

import (
	"fmt"
	"strings"
)

// Example is the text of .env.example: the manual of every setting, with nothing set but comments
// to take away.
func Example() string {
	var b strings.Builder
	b.WriteString(`# Dinkymail's settings. Copy this file to .env (dinkymail init does), take the # away from what you need, and change it.
# What stands commented out is the default, or an example where there is none. The real environment wins over this file.
#
# Put a password in 'single quotes': every character between them stands for itself. dinkymail config check tells what is
# wrong, and dinkymail config what is in force. This file holds secrets: keep it readable for yourself only, and out of git.
`)
	for _, g := range Groups() {
		fmt.Fprintf(&b, "\n# ── %s %s\n", g.Title, strings.Repeat("─", 118-len([]rune(g.Title))))
		comment(&b, g.Intro)
		for _, st := range g.Settings {
			b.WriteString("\n")
			comment(&b, st.Doc)
			comment(&b, st.facts())
			example := st.Default
			if st.Example != "" {
				example = st.Example
			}
			fmt.Fprintf(&b, "#%s=%s\n", st.Name, example)
		}
	}
	return b.String()
}

// facts is what a comment adds to the meaning: default, older names, file form.
func (st Setting) facts() string {
	var facts []string
	if st.Derived != "" {
		facts = append(facts, "Default: "+st.Derived+".")
	} else if st.Default != "" && st.Example != "" {
		facts = append(facts, "Default: "+st.Default+".")
	}
	if st.Secret {
		facts = append(facts, "Or name a file that holds it: "+st.Name+"_FILE.")
	}
	if st.Restart {
		facts = append(facts, "A change takes a restart.")
	}
	if len(st.Aliases) > 0 {
		facts = append(facts, "Still read under its old name: "+strings.Join(st.Aliases, ", ")+".")
	}
	return strings.Join(facts, " ")
}

// comment writes a text as comment lines of at most 120 columns.
func comment(b *strings.Builder, text string) {
	width := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case width == 0:
			b.WriteString("# " + word)
			width = 2 + n
		case width+1+n > 120:
			b.WriteString("\n# " + word)
			width = 2 + n
		default:
			b.WriteString(" " + word)
			width += 1 + n
		}
	}
	if width > 0 {
		b.WriteString("\n")
	}
}

// Markdown is the text of docs/config.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Settings

Settings come from the environment and from a file ` + "`.env`" + ` in the directory where dinkymail starts; the environment wins. An empty
value counts as unset. ` + "`dinkymail config`" + ` prints what is in force and where each value came from, ` + "`dinkymail config check`" + ` looks for
mistakes without starting, and ` + "`dinkymail init`" + ` writes a commented ` + "`.env`" + `. All mistakes are reported at once, with exit status 78.

**Passwords in ` + "`.env`" + `** belong in 'single quotes': every character between them stands for itself. Without quotes, or in double
quotes, a ` + "`$`, `#` or `\\`" + ` may mean something to one reader of the file and nothing to another; dinkymail then takes the value as it
stands and warns, or names the line and does not start. A password with a single quote in it goes into a file (see below).

**Secrets in files:** every setting marked *secret* can be given as ` + "`NAME_FILE`" + ` instead, the path of a file that holds it (a Docker
secret, for instance). A newline at the file's end is not part of it.

**A change** takes effect with ` + "`dinkymail reload`" + ` (or SIGHUP), which says what changed; what is marked *restart* at the next start.
` + "`dinkymail config`" + ` shows the settings the running appliance has, and marks where the file says something else. What came with the
process's environment cannot change while it runs.

**Text of an example file**, such as ` + "`your-app-password` or `yourdomain.com`" + `, counts as not configured, and the start says so.

This page is generated from the table in ` + "`config/table.go`" + `: UPDATE=1 go test ./config
`)
	for _, g := range Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n", g.Title)
		if g.Intro != "" {
			b.WriteString(g.Intro + "\n\n")
		}
		b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
		for _, st := range g.Settings {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", st.Name, st.notes(), cell(st.initial()), cell(st.Doc))
		}
	}
	return b.String()
}

func (st Setting) initial() string {
	switch {
	case st.Derived != "":
		return st.Derived
	case st.Default != "":
		return "`" + st.Default + "`"
	default:
		return "–"
	}
}

func (st Setting) notes() string {
	var notes string
	if st.Secret {
		notes += " *secret*"
	}
	if st.Restart {
		notes += " *restart*"
	}
	if len(st.Aliases) > 0 {
		notes += "<br>old: `" + strings.Join(st.Aliases, "`, `") + "`"
	}
	return notes
}

// cell is a text as it may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text)
}
