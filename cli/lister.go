package cli

import (
	"context"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/operate"
	"dinkymail/queue"
)

// lister prints messages as they come.
type lister struct {
	p      *program
	screen screen
	json   bool
	limit  int // 0: none
	table  *table
	shown  int
	bytes  int64
	more   bool // than were shown
}

func (l *lister) list(ctx context.Context, q world.Operator, sel queue.Selection) error {
	encoder := world.JSON(l.p)
	for e, err := range operate.All(ctx, q, sel) {
		if err != nil {
			return err
		}
		if l.p.printed != nil { // nobody sees the rest
			return nil
		}
		if l.limit > 0 && l.shown == l.limit {
			l.more = true
			break
		}
		l.shown++
		l.bytes += e.Size
		if l.json {
			if err := encoder.Encode(e); err != nil {
				return err
			}
			continue
		}
		l.add(e)
		if len(l.table.rows) == stretch {
			l.flush()
		}
	}
	if l.table != nil && len(l.table.rows) > 0 {
		l.flush()
	}
	return nil
}

// singleLine is the width from which on a row has room for its reason.
const singleLine = 140

// narrow reports whether the reason stands on a line of its own.
func (l *lister) narrow() bool { return l.screen.terminal && l.screen.width < singleLine }

// add makes a row of a message. Sender, recipient and reason come last.
func (l *lister) add(e operate.Entry) {
	if l.table == nil {
		l.table = &table{heads: []string{"ID", "AGE", "STATUS", "TRIES", "NEXT", "SIZE", "FROM", "TO", "WHY"},
			right: map[int]bool{1: true, 3: true, 5: true}}
		if l.narrow() {
			l.table.heads, l.table.right = []string{"ID", "AGE", "STATUS", "NEXT", "FROM", "TO"}, map[int]bool{1: true}
		}
	}
	row := []string{string(e.ID), span(l.p.Time().Sub(e.Accepted)), l.screen.paint(stateColor(e), string(e.State)),
		number(e.Attempts), l.p.next(e), strings.ReplaceAll(size(e.Size), " ", ""), sender(e.From), recipients(e), why(e)}
	if l.narrow() {
		row = []string{row[0], row[1], row[2], row[4], row[6], row[7], row[8]}
	}
	l.table.add(row...)
}

// flush prints what is left. On a terminal the columns share its width: sender and recipient give
// way first.
func (l *lister) flush() {
	if !l.screen.terminal {
		l.p.printf("%s", l.table.flush())
		return
	}
	t := l.table
	t.measure()
	from, to := 6, 7
	if l.narrow() {
		from, to = 4, 5
	}
	room := l.screen.width
	for _, w := range t.widths[:from] {
		room -= w + 2
	}
	if l.narrow() {
		t.limits = share(room-2, from, t.widths[from], to, t.widths[to])
		l.flushNarrow()
		return
	}
	const reason = 48 // columns that it gets at least
	t.limits = share(room-4-reason, from, t.widths[from], to, t.widths[to])
	t.limits[to+1] = max(12, room-4-min(t.widths[from], t.limits[from])-min(t.widths[to], t.limits[to]))
	l.p.printf("%s", t.flush())
}

// share gives two columns of some widths the room there is: half of it to each, and what one does
// not need to the other.
func share(room, a, wantA, b, wantB int) map[int]int {
	const least = 8
	half := max(least, room/2)
	switch {
	case wantA <= half:
		return map[int]int{a: max(least, wantA), b: max(least, room-wantA)}
	case wantB <= half:
		return map[int]int{a: max(least, room-wantB), b: max(least, wantB)}
	default:
		return map[int]int{a: half, b: max(least, room-half)}
	}
}

// flushNarrow prints the reasons below the rows.
func (l *lister) flushNarrow() {
	var reasons []string
	for _, row := range l.table.rows {
		reasons = append(reasons, row[len(row)-1])
	}
	for i, line := range strings.Split(strings.TrimSuffix(l.table.flush(), "\n"), "\n") {
		l.p.printf("%s\n", line)
		if i > 0 && reasons[i-1] != "" {
			l.p.printf("%s\n", l.screen.paint(gray, "    "+cut(reasons[i-1], l.screen.width-4)))
		}
	}
}

// footer sums up what a terminal was shown.
func (l *lister) footer() {
	line := fmt.Sprintf("%s, %s.", count(l.shown, "message"), size(l.bytes))
	if l.more {
		first := "This is the first"
		if l.shown > 1 {
			first = "These are the first " + number(l.shown)
		}
		line = first + "; there are more: --limit 0 shows all, filters fewer."
	}
	l.p.printf("\n%s dinkymail show ID tells all about one.\n", line)
}
