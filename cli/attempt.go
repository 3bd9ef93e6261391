package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

// shownDialogues is of how many attempts, the newest, the dialogue is shown.
const shownDialogues = 1

// attempt prints one try: when, what was answered for whom, and what was said.
func (p *program) attempt(out *strings.Builder, s screen, a operate.AttemptDetail, dialogue bool) {
	fmt.Fprintf(out, "  %s, took %s\n", p.when(&a.At), took(a.Took))
	for _, answer := range a.Answers {
		line := s.paint(outcomeColor(answer.Outcome), answer.Outcome)
		if answer.Stage != "" && answer.Outcome != queue.Delivered.String() {
			line += " at " + answer.Stage
		}
		if text := reply(answer.Code, answer.Status, answer.Text); text != "" {
			line += ": " + text
		}
		if answer.Remote != "" {
			line += " (" + plain(answer.Remote) + ")"
		}
		fmt.Fprintf(out, "    %s\n", line)
		if len(answer.Recipients) > 0 {
			fmt.Fprintf(out, "      for %s\n", whom(answer.Recipients))
		}
	}
	if !dialogue || a.Dialogue == "" {
		return
	}
	for line := range strings.Lines(a.Dialogue) {
		fmt.Fprintf(out, "      %s\n", s.paint(gray, plain(strings.TrimRight(line, "\r\n"))))
	}
}

// whom is a few recipients by name and the others by number.
func whom(recipients []string) string {
	const few = 3
	names := make([]string, 0, few)
	for _, r := range recipients[:min(few, len(recipients))] {
		names = append(names, plain(r))
	}
	line := strings.Join(names, ", ")
	if more := len(recipients) - few; more > 0 {
		line += fmt.Sprintf(" and %s more", number(more))
	}
	return line
}

// took is a short time, in milliseconds or seconds.
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// hints are the commands that make sense for a message as it stands, and what they do.
func hints(d operate.Detail) [][2]string {
	id := string(d.ID)
	hint := func(command, does string) [2]string { return [2]string{"dinkymail " + command, does} }
	cat := hint("cat "+id, "prints it")
	remove := hint("remove "+id, "removes it; undo brings it back")
	waiting := [][2]string{
		hint("bounce "+id, "gives up now and tells the sender"),
		hint("redirect "+id+" ADDRESS", "sends it to another address"),
		cat, remove,
	}
	switch d.State {
	case queue.StateQueued, queue.StateDeferred:
		if d.Reason != "" {
			return append([][2]string{hint("doctor", "looks for what is wrong with the upstream"),
				hint("retry "+id, "tries it, and the lane, now"), hint("hold "+id, "keeps it back")}, waiting...)
		}
		return append([][2]string{hint("retry "+id, "tries it now"), hint("hold "+id, "keeps it back")}, waiting...)
	case queue.StateHeld:
		return append([][2]string{hint("release "+id, "lets it go")}, waiting...)
	case queue.StateActive:
		return [][2]string{hint("watch", "follows what happens")}
	case queue.StateRemoved:
		return [][2]string{hint("undo "+id, "brings it back")}
	case queue.StateCaptured:
		return [][2]string{cat, remove}
	}
	if d.HasBody {
		return [][2]string{cat}
	}
	return nil
}

// widest is the length of the longest command.
func widest(hints [][2]string) int {
	n := 0
	for _, h := range hints {
		n = max(n, len(h[0]))
	}
	return n
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
