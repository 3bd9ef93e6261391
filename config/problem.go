package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in the settings.
type Problem struct {
	Variable string // the name as it was written; empty when a line of .env has none
	Value    string // masked when it is secret
	Source   string // where it stands: "environment", ".env line 3", …
	Reason   string // what is wrong
	Remedy   string // what to do about it
}

// Error is one sentence: variable, value, place, reason, remedy.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Variable)
	if p.Value != "" {
		fmt.Fprintf(&b, "=%s", p.Value)
	}
	if p.Source != "" {
		if b.Len() > 0 {
			fmt.Fprintf(&b, " (%s)", p.Source)
		} else {
			b.WriteString(p.Source)
		}
	}
	fmt.Fprintf(&b, ": %s; %s", p.Reason, p.Remedy)
	return b.String()
}

// mistake is what a setting's reader says of a value; apply makes a Problem of it.
type mistake struct{ reason, remedy string }

func (m *mistake) Error() string { return m.reason + "; " + m.remedy }

func bad(reason, remedy string) error { return &mistake{reason, remedy} }

// mask is a value as it may be shown. Control characters never reach a terminal.
func (st Setting) mask(text string) string {
	switch {
	case text == "":
		return ""
	case st.Secret:
		return "********"
	case !utf8.ValidString(text) || strings.ContainsFunc(text, isControl):
		return fmt.Sprintf("%q", text)
	default:
		return text
	}
}

func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
