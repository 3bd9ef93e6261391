package exim

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// list is -bp and its kin: the whole queue in the order of acceptance, or the messages named. With
// u, recipients that are settled are left out; with i, all but the IDs.
func (c *command) list(ctx context.Context, l *line) error {
	letters := listOption.FindStringSubmatch(l.option)[1]
	return c.Ask(ctx, func(q world.Operator) error {
		if len(l.operands) > 0 {
			return c.listNamed(ctx, q, l.operands, letters)
		}
		for e, err := range operate.All(ctx, q, queue.Selection{}) {
			if err != nil {
				return err
			}
			c.entry(&e, letters)
		}
		return nil
	})
}

func (c *command) listNamed(ctx context.Context, q world.Operator, names []string, letters string) error {
	wanted := make([]queue.ID, len(names))
	for i, name := range names {
		wanted[i] = queue.ID(name)
	}
	found, err := world.Find(ctx, q, wanted)
	if err != nil {
		return err
	}
	for _, id := range wanted {
		if e, ok := found[id]; ok {
			c.entry(&e, letters)
			continue
		}
		fmt.Fprintf(c.out, "      %s\n    *** spool read error: No such file or directory ***\n\n", plain.Line(string(id)))
	}
	return nil
}

// entry prints a message of the queue as the letters behind -bp ask for it.
func (c *command) entry(e *operate.Entry, letters string) {
	if strings.Contains(letters, "i") {
		fmt.Fprintln(c.out, e.ID)
		return
	}
	head(c.out, e, age(c.Time().Sub(e.Accepted)), size(e.Size))
	for _, r := range e.Recipients {
		mark := " "
		if world.Settled(&r) {
			mark = "D"
		}
		if mark == " " || !strings.Contains(letters, "u") {
			fmt.Fprintf(c.out, "        %s %s\n", mark, r.Address)
		}
	}
	fmt.Fprintln(c.out)
}

// head prints the first line about a message.
func head(out *bufio.Writer, e *operate.Entry, age, size string) {
	fmt.Fprintf(out, "%3s %5s %s <%s>", age, size, e.ID, e.From)
	if world.Frozen(e) {
		out.WriteString(" *** frozen ***")
	}
	fmt.Fprintln(out)
}

// age is how long a message has been there, in minutes up to an hour and a half, then in hours up
// to three days, then in days, each rounded as Exim does it.
func age(d time.Duration) string {
	minutes := max(0, int64(d/time.Minute))
	if minutes <= 90 {
		return fmt.Sprintf("%dm", minutes)
	}
	hours := (minutes + 30) / 60
	if hours <= 72 {
		return fmt.Sprintf("%dh", hours)
	}
	return fmt.Sprintf("%dd", (hours+12)/24)
}

// size is a number of bytes in five columns.
func size(n int64) string {
	const k, m = 1 << 10, 1 << 20
	switch {
	case n <= 0:
		return ""
	case n < k:
		return fmt.Sprint(n)
	case n < 10*k:
		return fmt.Sprintf("%.1fK", float64(n)/k)
	case n < m:
		return fmt.Sprintf("%dK", (n+k/2)/k)
	case n < 10*m:
		return fmt.Sprintf("%.1fM", float64(n)/m)
	default:
		return fmt.Sprintf("%dM", (n+m/2)/m)
	}
}

// count is -bpc.
func (c *command) count(ctx context.Context, _ *line) error {
	return c.Ask(ctx, func(q world.Operator) error {
		st, err := q.Stats(ctx)
		if err == nil {
			fmt.Fprintln(c.out, st.Waiting+st.Captured)
		}
		return err
	})
}
