package doctor

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// titles of the groups, as they are printed.
var titles = map[string]string{"settings": "Settings", "machine": "This machine", "doors": "Doors", "appliance": "The appliance",
	"domain": "Your domain in DNS", "upstream": "The upstream", "mail": "A mail"}

var colours = map[Level]string{OK: "\x1b[32m", Note: "\x1b[36m", Warning: "\x1b[33m", Error: "\x1b[1;31m"}

// Print writes the report for people: a line for each finding, and under those that are not ok why
// it matters and what to change. width is that of the terminal, to wrap at; 0 wraps nothing.
func (r Report) Print(w io.Writer, colour bool, width int) error {
	b := bufio.NewWriter(w)
	group := ""
	for _, f := range r.Findings {
		if f.Group != group {
			if group != "" {
				fmt.Fprintln(b)
			}
			group = f.Group
			fmt.Fprintln(b, titles[group])
		}
		f.print(b, colour, width)
	}
	fmt.Fprintf(b, "\n%s (%s)\n", r.Summary(), r.Took.Round(100*time.Millisecond))
	return b.Flush()
}

// Summary counts the findings.
func (r Report) Summary() string {
	var words []string
	for _, n := range []struct {
		count int
		what  string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Notes, "note"}} {
		if n.count > 0 {
			words = append(words, many(n.count, n.what))
		}
	}
	if len(words) == 0 {
		return fmt.Sprintf("All %d checks are ok", r.OK)
	}
	return strings.Join(append(words, fmt.Sprintf("%d ok", r.OK)), ", ")
}

// indent is where the text of a finding begins.
const indent = 23

func (f Finding) print(w io.Writer, colour bool, width int) {
	level := fmt.Sprintf("%-8s", f.Level)
	if colour {
		level = colours[f.Level] + level + "\x1b[0m"
	}
	margin := strings.Repeat(" ", indent)
	lines := wrap(f.What, width-indent)
	fmt.Fprintf(w, "  %s %-11s %s\n", level, f.Check, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintln(w, margin+line)
	}
	for _, part := range []struct{ name, text string }{{"why: ", f.Why}, {"fix: ", f.Fix}} {
		if part.text == "" || f.Level == OK {
			continue
		}
		for i, line := range wrap(part.text, width-indent-len(part.name)) {
			name := part.name
			if i > 0 {
				name = strings.Repeat(" ", len(name))
			}
			fmt.Fprintln(w, margin+name+line)
		}
	}
	for line := range strings.Lines(f.Dialogue) {
		fmt.Fprintln(w, margin+"| "+strings.TrimSuffix(line, "\n"))
	}
}

// wrap breaks text at spaces into lines of at most width characters, where a word is not longer.
// Lines that are there stay.
func wrap(text string, width int) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if width < 20 {
			lines = append(lines, line)
			continue
		}
		var b strings.Builder
		n := 0
		for _, word := range strings.SplitAfter(line, " ") {
			size := len([]rune(word))
			if n > 0 && n+len([]rune(strings.TrimRight(word, " "))) > width {
				lines = append(lines, strings.TrimRight(b.String(), " "))
				b.Reset()
				n = 0
			}
			b.WriteString(word)
			n += size
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}
