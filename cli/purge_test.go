package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// meanwhile is an operator to whom a mail comes in right after each preview.
type meanwhile struct {
	operate.Operator
	late queue.ID
}

func (o *meanwhile) Act(ctx context.Context, a operate.Action) (operate.ActionResult, error) {
	result, err := o.Operator.Act(ctx, a)
	if err == nil && a.DryRun {
		_, err = o.Submit(ctx, operate.Mail{ID: o.late, Body: strings.NewReader("Subject: late\n\n"),
			Envelope: message.Envelope{From: box("ada@example.com"), To: []message.Recipient{{Address: box("bob@example.net")}}}})
	}
	return result, err
}

// What comes in between preview and removal was not shown, and stays. Where nothing was shown,
// nothing is removed.
func TestPurgeRemovesWhatItShowed(t *testing.T) {
	for name, test := range map[string]struct {
		stock []queue.Message
		says  string
	}{"some": {stock(), "Removed 4 messages."}, "none": {nil, "No message matches."}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := fill(dir, test.stock); err != nil {
				t.Fatal(err)
			}
			q, o, closeStore, err := open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			const late = "0cagh3h68onkmkgu"
			unlisten, err := listen(dir, q, &meanwhile{o, late})
			if err != nil {
				t.Fatal(err)
			}
			c := console{t, dir}
			if code, out, errs := c.run("", "purge", "--everything", "--yes"); code != 0 || !strings.Contains(out, test.says) {
				t.Errorf("purge: %d %s%s", code, out, errs)
			}
			if _, out, _ := c.run("", "queue"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "\n"+late) {
				t.Errorf("left is\n%s", out)
			}
			if err := errors.Join(unlisten(), closeStore()); err != nil {
				t.Error(err)
			}
		})
	}
}
