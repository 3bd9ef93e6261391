package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

type watchCommand struct {
	JSON bool `name:"json" help:"One JSON object a line."`
}

// Help is shown by dinkymail watch --help.
func (watchCommand) Help() string {
	return `Follows what happens, a line an event, until Ctrl-C: mail taken in, delivered, deferred, failed, what operators do, and lanes that
stop and flow again. Events that come faster than they can be printed are left out.

Examples:

    dinkymail watch
    dinkymail watch --json | jq 'select(.kind == "failed")'`
}

// Run prints events until it is interrupted, which is success.
func (c watchCommand) Run(ctx context.Context, p *program) error {
	p.lines = c.JSON
	s := p.screen()
	encoder := world.JSON(p.Out)
	return p.askRunning(ctx, func(q world.Operator) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		events, err := q.Watch(ctx)
		if err != nil {
			return err
		}
		for e, ended := range events {
			switch {
			case ended != nil:
				err = ended
			case c.JSON:
				err = encoder.Encode(e)
			default:
				_, err = fmt.Fprintln(p.Out, p.event(s, e))
			}
			if err != nil {
				break
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		return cmp.Or(err, errors.New("the appliance stopped"))
	})
}

// event is one line.
func (p *program) event(s screen, e queue.Event) string {
	words := []string{s.paint(gray, e.At.In(p.Time().Location()).Format(time.TimeOnly)),
		s.paint(eventColors[e.Kind], fmt.Sprintf("%-10s", e.Kind))}
	if e.ID != "" {
		words = append(words, string(e.ID))
	}
	if e.From != "" || e.To != "" {
		words = append(words, sender(e.From)+" → "+plain(e.To))
	}
	if e.Size > 0 {
		words = append(words, size(e.Size))
	}
	if e.ID == "" && e.Lane != "" {
		words = append(words, plain(e.Lane))
	}
	line := strings.Join(words, "  ")
	if e.Text != "" {
		line += ": " + plain(e.Text)
	}
	if !e.Next.IsZero() {
		line += "; again " + p.relative(e.Next)
	}
	if s.terminal && columns(line) > s.width && !s.colors {
		line = cut(line, s.width)
	}
	return line
}

// eventColors are what the kinds of events are painted with.
var eventColors = map[queue.EventKind]color{
	queue.EventDelivered: green, queue.EventLaneFlows: green, queue.EventResumed: green, queue.EventFailed: red,
	queue.EventDeferred: yellow, queue.EventLaneWaits: yellow, queue.EventPaused: yellow, queue.EventHeld: yellow,
}
