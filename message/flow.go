package message

import (
	"strconv"
	"strings"
	"unicode"
)

// flow is text in the making. Line ends, blanks and what stands before a line are owed until the
// next word, so that there is never too much of them.
type flow struct {
	out    []byte
	lines  int // line ends written
	breaks int // line ends owed
	soft   bool
	hard   int  // blanks owed that count, and with soft one that does not when a line begins
	joint  rune // an invisible one that joins the next letter to the last

	quotes int // how many quotations are open
	lists  []listing
	mark   string // what stands before the next word of an item

	cut   int  // ends of cells owed
	wide  bool // each of them shows; otherwise they are one
	begun bool // a cell has begun and has no word yet: blocks in it begin no line of their own

	pre   int  // how many elements are open in which white space counts
	first bool // a line end is the first thing in one of them, and does not count
}

// listing is an open list. Its next item has the number next, or a dash when the list is not
// ordered.
type listing struct {
	ordered bool
	next    int
}

func (f *flow) full() bool { return len(f.out) >= maxDerived }

// block begins a line, behind an empty one when lines is 2.
func (f *flow) block(lines int) {
	if !f.begun && f.mark == "" {
		f.breaks, f.hard = max(f.breaks, lines), 0
	}
}

// br ends a line. Two empty lines in a row are one.
func (f *flow) br() {
	if !f.begun {
		f.breaks, f.hard = max(f.breaks, min(f.breaks+1, 2)), 0
	}
}

// text writes the words of s.
func (f *flow) text(s string) {
	for _, r := range s {
		switch {
		case f.full():
			return
		case r == '\n' && f.pre > 0:
			if !f.first {
				f.breaks++
			}
			f.hard = 0
		case r == '\t' && f.pre > 0:
			f.hard += 8
		case r == ' ' && f.pre > 0, r == '\u00a0':
			f.hard++
		case r == ' ', r == '\n', r == '\t', r == '\r', r == '\f', r == '\u0085', r == '\u2028', r == '\u2029':
			f.soft = true
		case r == '\u00ad', r == '\u200b', r == '\ufeff', unicode.IsControl(r): // nobody sees them
		case r == '\u200c', r == '\u200d', r == '\u034f':
			f.joint = r
		default:
			f.begin()
			f.out = append(f.out, string(r)...)
		}
		f.first = false
	}
}

// word writes s as it is.
func (f *flow) word(s string) {
	f.begin()
	f.out = append(f.out, s...)
}

func (f *flow) owes() bool {
	return len(f.out) == 0 || f.breaks > 0 || f.soft || f.hard > 0 || f.cut > 0
}

// begin writes what is owed.
func (f *flow) begin() {
	switch {
	case !f.owes():
		if f.joint != 0 {
			f.out = append(f.out, string(f.joint)...)
		}
	case len(f.out) == 0:
		f.lead()
	case f.breaks > 0:
		for range f.breaks {
			f.out = append(f.out, '\n')
		}
		f.lines += f.breaks
		f.lead()
	case f.cut > 0:
		f.out = append(append(f.out, ' '), f.cells()...)
	default:
		for range max(1, f.hard) {
			f.out = append(f.out, ' ')
		}
	}
	f.breaks, f.soft, f.hard, f.joint, f.cut, f.begun = 0, false, 0, 0, 0, false
}

// lead writes what stands before the first word of a line.
func (f *flow) lead() {
	for range min(f.quotes, maxNesting) {
		f.out = append(f.out, "> "...)
	}
	depth := min(len(f.lists), maxNesting)
	if f.mark != "" {
		depth--
	}
	for range depth {
		f.out = append(f.out, "  "...)
	}
	f.out, f.mark = append(f.out, f.mark...), ""
	if f.wide {
		f.out = append(f.out, f.cells()...)
	}
	for range f.hard {
		f.out = append(f.out, ' ')
	}
}

// cells are the ends of cells that are owed.
func (f *flow) cells() string {
	if f.wide {
		return strings.Repeat("| ", min(f.cut, maxNesting))
	}
	return "| "
}

func (f *flow) openList(ordered bool, start string) {
	lines := 1
	if len(f.lists) == 0 {
		lines = 2
	}
	f.block(lines)
	next, err := strconv.Atoi(start)
	if err != nil {
		next = 1
	}
	f.lists = append(f.lists, listing{ordered, next})
}

func (f *flow) closeList() {
	f.lists, f.mark = f.lists[:max(0, len(f.lists)-1)], ""
	f.block(2 - min(1, len(f.lists)))
}

// item begins an item of the innermost list.
func (f *flow) item(value string) {
	f.block(1)
	f.mark = "- "
	if n := len(f.lists); n > 0 && f.lists[n-1].ordered {
		l := &f.lists[n-1]
		if v, err := strconv.Atoi(value); err == nil {
			l.next = v
		}
		f.mark = strconv.Itoa(l.next) + ". "
		l.next++
	}
}
