package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

type statsCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail stats --help.
func (statsCommand) Help() string {
	return `Counts what the queue holds and what it did since it started, says how each lane stands, and shows the domains most mail waits for
by how long it has been waiting.

Example:

    dinkymail stats`
}

// Run prints counts.
func (c statsCommand) Run(ctx context.Context, p *program) error {
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	st, err := client.Stats(ctx)
	if err != nil {
		return refused(err)
	}
	if p.local {
		st.Started = time.Time{} // what started just now is this command
	}
	if c.JSON {
		p.result = st
		return nil
	}
	var out strings.Builder
	p.counts(&out, st)
	p.lanes(&out, st)
	if trouble := p.trouble(st); len(trouble) > 0 {
		out.WriteString("\n")
		for _, line := range trouble {
			out.WriteString(p.screen().paint(yellow, line) + "\n")
		}
	}
	if err := domains(&out, st); err != nil {
		return err
	}
	_, err = fmt.Fprint(p.Out, out.String())
	return err
}

func (p *program) counts(out *strings.Builder, st operate.Stats) {
	waiting := fmt.Sprintf("%s, %s", count(st.Waiting, "message"), size(st.Bytes))
	if st.Oldest != nil {
		waiting += ", the oldest from " + p.relative(*st.Oldest)
	}
	rows := [][2]string{{"Waiting", waiting}, {"", states(st)}}
	for _, r := range []struct {
		name string
		n    int
	}{{"Finished", st.Finished}, {"Captured", st.Captured}, {"In the trash", st.Removed}, {"Damaged", st.Damaged}} {
		if r.n > 0 {
			rows = append(rows, [2]string{r.name, number(r.n)})
		}
	}
	if !st.Started.IsZero() {
		rows = append(rows,
			[2]string{"Started", p.when(&st.Started)},
			[2]string{"Since then", fmt.Sprintf("%s accepted; %s delivered, %s failed; %s; %s",
				number(int(st.Since.Accepted)), count(int(st.Since.Delivered), "recipient"), number(int(st.Since.Failed)),
				count(int(st.Since.Deferred), "deferral"), count(int(st.Since.Bounces), "bounce"))})
	}
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(out, "%-13s %s\n", r[0], r[1])
		}
	}
}

// states are the counts by status, in the order of a message's life.
func states(st operate.Stats) string {
	var parts []string
	for _, s := range []queue.State{queue.StateQueued, queue.StateActive, queue.StateDeferred, queue.StateHeld} {
		if n := st.States[string(s)]; n > 0 {
			parts = append(parts, number(n)+" "+string(s))
		}
	}
	line := strings.Join(parts, ", ")
	if st.Sampled && line != "" {
		line += " of those looked at"
	}
	return line
}

func (p *program) lanes(out *strings.Builder, st operate.Stats) {
	for _, l := range st.Lanes {
		state := fmt.Sprintf("flowing, %s of at most %d at a time", number(l.InFlight), l.Concurrency)
		if p.local {
			state = "stands still while the appliance does not run"
		}
		if l.Status != queue.LaneFlowing {
			state = string(l.Status)
			if l.Kind != "" {
				state += " (" + l.Kind + ")"
			}
		}
		fmt.Fprintf(out, "%-13s %s: %s\n", "Lane", plain(l.Name), state)
	}
}

// domains is the table of whom mail waits for.
func domains(out *strings.Builder, st operate.Stats) error {
	if len(st.Domains) == 0 {
		return nil
	}
	out.WriteString("\nWaiting recipients by minutes since the message was accepted")
	if st.Sampled {
		out.WriteString(", of those looked at")
	}
	out.WriteString("\n")
	heads := []string{"DOMAIN", "TOTAL", "<5", "<10", "<20", "<40", "<80", "<160", "<320", "<640", "<1280", "more"}
	t := table{heads: heads, right: map[int]bool{}}
	for i := range heads[1:] {
		t.right[i+1] = true
	}
	for _, d := range st.Domains {
		row := []string{plain(d.Domain), number(d.Total)}
		for _, n := range d.Ages {
			row = append(row, number(n))
		}
		t.add(row...)
	}
	return t.flush(out)
}
