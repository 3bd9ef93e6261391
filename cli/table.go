package cli

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// table is rows under headings, two spaces between the columns. It is printed in stretches, so that
// a long list needs little memory: columns keep at least the width they had before. A cell may be
// painted.
type table struct {
	heads  []string
	right  map[int]bool // columns of numbers
	limits map[int]int  // greatest widths, by column
	widths []int        // so far
	rows   [][]string
	headed bool
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// measure notes the widths that the rows need.
func (t *table) measure() {
	if t.widths == nil {
		t.widths = make([]int, len(t.heads))
		for i, head := range t.heads {
			t.widths[i] = columns(head)
		}
	}
	for _, row := range t.rows {
		for i := range t.heads {
			t.widths[i] = max(t.widths[i], columns(row[i]))
		}
	}
	for i, limit := range t.limits {
		t.widths[i] = min(t.widths[i], limit)
	}
}

// flush is the rows that were added since.
func (t *table) flush() string {
	t.measure()
	var out strings.Builder
	if !t.headed {
		t.line(&out, t.heads)
	}
	for _, row := range t.rows {
		t.line(&out, row)
	}
	t.headed, t.rows = true, nil
	return out.String()
}

func (t *table) line(out *strings.Builder, row []string) {
	var line strings.Builder
	for i := range t.heads {
		cell := row[i]
		if limit := t.limits[i]; limit > 0 {
			cell = cut(cell, limit)
		}
		pad := strings.Repeat(" ", max(0, t.widths[i]-columns(cell)))
		if i > 0 {
			line.WriteString("  ")
		}
		if t.right[i] {
			line.WriteString(pad + cell)
		} else {
			line.WriteString(cell + pad)
		}
	}
	out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// columns is how many columns of a terminal text takes, escape sequences of ours none.
func columns(text string) int {
	n, escaped := 0, false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		default:
			n += runeColumns(r)
		}
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0 // it stands on the one before
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// cut shortens text to n columns, the last of which then says that something is missing.
func cut(text string, n int) string {
	if columns(text) <= n {
		return text
	}
	room := n - 1
	for i, r := range text {
		if room -= runeColumns(r); room < 0 {
			return text[:i] + "…"
		}
	}
	return text
}
