package cli

import (
	"context"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/operate"
	"dinkymail/queue"
)

// printTrouble tells what stands still as a whole: the lanes that wait, what is paused, a disk that
// failed.
func (p *program) printTrouble(ctx context.Context, q world.Operator) error {
	st, err := q.Stats(ctx)
	if err == nil {
		for _, line := range p.trouble(st) {
			p.printf("%s\n", p.screen().paint(yellow, line))
		}
	}
	return err
}

// trouble is a line for each thing that stands still, with what ends it.
func (p *program) trouble(st operate.Stats) []string {
	var lines []string
	if st.Broken != "" {
		lines = append(lines, "Nothing is delivered: "+plain(st.Broken)+". dinkymail doctor looks into it.")
	}
	for _, w := range st.Paused {
		line := "Paused since " + p.clock(w.Since)
		if w.By != "" {
			line += " by " + plain(w.By)
		}
		line += ": " + what(w.What)
		if w.Reason != "" {
			line += " (" + plain(w.Reason) + ")"
		}
		lines = append(lines, line+fmt.Sprintf(". dinkymail resume %s ends it.", w.What))
	}
	for _, l := range st.Lanes {
		if l.Status == queue.LaneWaiting {
			lines = append(lines, p.waitingLane(l))
		}
	}
	if st.Damaged > 0 {
		lines = append(lines, count(st.Damaged, "record")+" or mail could not be read: see DATA_DIR/damaged and the log, and look at the disk.")
	}
	return lines
}

func (p *program) waitingLane(l operate.LaneDetail) string {
	line := "Lane " + l.Name + " waits"
	if l.Since != nil {
		line += " since " + p.clock(*l.Since)
	}
	line += ": " + strings.TrimSuffix(plain(l.Reason), ".") + "."
	if l.NextProbe != nil {
		line += " It is tried again " + p.relative(*l.NextProbe) + "; dinkymail retry --everything does so now."
	}
	return line
}
