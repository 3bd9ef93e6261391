package cli

import (
	"context"
	"fmt"
	"time"

	"dinkymail/cli/world"
	"dinkymail/httpapi"
	"dinkymail/queue"
)

type testCommand struct {
	Address string        `arg:"" help:"To whom."`
	Wait    bool          `help:"Follow the mail until it is delivered or failed, or something keeps it waiting."`
	Timeout time.Duration `default:"2m" help:"How long to follow it."`
	URL     string        `name:"url" placeholder:"URL" help:"Where the appliance is; the one on this machine when not given."`
	JSON    bool          `name:"json" help:"Print JSON, when it is over: the mail as the API shows it."`
}

// Help is shown by dinkymail send-test --help.
func (testCommand) Help() string {
	return `The mail goes the way of all mail: accepted by the running appliance, queued, handed to the upstream. With --wait the
exit status is 0 when it was delivered (or captured, in development mode), 69 when it failed, 75 when it waits or is held.

Example:

    dinkymail send-test you@example.com --wait`
}

// Run sends the mail and follows it.
func (c testCommand) Run(ctx context.Context, p *program) error {
	client, err := p.appliance(ctx, c.URL)
	if err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	sent, err := client.Send(ctx, httpapi.SendRequest{
		To:      []string{c.Address},
		Subject: "Test mail from Dinkymail",
		Body: "This mail was sent with dinkymail send-test on " + start.Format(time.RFC1123Z) + ".\n\n" +
			"That you can read it shows that the whole way works: the appliance, its queue, and your upstream.\n",
	})
	if err != nil {
		return world.Failf(world.ExitUnavailable, "send the test mail: %w", err)
	}
	if p.json {
		p.result = sent // who may not read the mail's status is told this alone
	}
	if p.json && !c.Wait {
		if st, err := client.Status(ctx, sent.ID); err == nil {
			p.result = st.Entry()
		}
		return nil
	}
	t := timeline{p: p, start: start}
	t.print("queued as " + sent.ID)
	if !c.Wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err = t.follow(ctx, client, sent.ID)
	if p.json && t.known.ID != "" {
		p.result = t.known.Entry()
	}
	return err
}

// timeline prints what becomes of a mail, each change once.
type timeline struct {
	p     *program
	start time.Time
	last  string
	known httpapi.MessageStatus // the last that was heard
}

func (t *timeline) print(what string) {
	if !t.p.json && what != t.last {
		t.last = what
		t.p.printf("%6.1fs  %s\n", time.Since(t.start).Seconds(), what)
	}
}

// pollEvery is how often the appliance is asked what became of a mail.
const pollEvery = 300 * time.Millisecond

// follow asks until the mail's fate is known or ctx ends.
func (t *timeline) follow(ctx context.Context, client *httpapi.Client, id string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		st, err := client.Status(ctx, id)
		if err != nil && ctx.Err() == nil {
			return world.Failf(world.ExitUnavailable, "ask what became of %s: %w", id, err)
		}
		if err == nil {
			t.known = st
			t.print(describe(st))
			if done, err := verdict(st); done {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return world.Failf(world.ExitTempFail, "%s is not settled yet; the appliance keeps trying", id)
		case <-tick.C:
		}
	}
}

// describe is a mail's status in one line.
func describe(st httpapi.MessageStatus) string {
	line := string(st.Status)
	if st.Reason != "" {
		return line + ": " + st.Reason
	}
	for _, r := range st.Recipients[:min(1, len(st.Recipients))] { // the test mail has one
		if r.Remote != "" {
			line += " by " + r.Remote
		}
		if r.Code != 0 {
			line += fmt.Sprintf(": %d %s", r.Code, r.Text)
		} else if r.Text != "" {
			line += ": " + r.Text
		}
	}
	if st.Attempts.Next != nil && st.Status == queue.StateDeferred {
		line += "; next attempt at " + st.Attempts.Next.Local().Format(time.TimeOnly)
	}
	return line
}

// verdict reports whether following has an end, and which.
func verdict(st httpapi.MessageStatus) (done bool, err error) {
	switch st.Status {
	case queue.StateDelivered, queue.StateCaptured:
		return true, nil
	case queue.StateFailed, queue.StatePartial:
		return true, world.Failf(world.ExitUnavailable, "the test mail was refused for good")
	case queue.StateHeld:
		return true, world.Failf(world.ExitTempFail, "the test mail is held; dinkymail release lets it go")
	case queue.StateQueued, queue.StateDeferred:
		if st.Reason != "" {
			return true, world.Failf(world.ExitTempFail, "the test mail waits, and goes out once the reason above is gone")
		}
	}
	return false, nil
}
