package cli

import (
	"context"
	"errors"
	"fmt"

	"dinkymail/alert"
)

type alertTestCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail alert-test --help.
func (alertTestCommand) Help() string {
	return `Posts a notice that says it is a test to ALERT_WEBHOOK, so that you see where alerts arrive and what they look like. The appliance need
not run.

Example:

    dinkymail alert-test`
}

// Run posts a test alert.
func (c alertTestCommand) Run(ctx context.Context, p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	if s.Alert.Webhook == "" {
		return &Exit{ExitConfig, errors.New("ALERT_WEBHOOK is not set; set it to a URL such as https://ntfy.sh/your-topic")}
	}
	if err := alert.Test(ctx, s.Alert); err != nil {
		return &Exit{ExitUnavailable, err}
	}
	if c.JSON {
		p.result = struct{}{}
		return nil
	}
	_, err = fmt.Fprintln(p.Out, "Posted. If nothing arrives, look at the topic or channel that ALERT_WEBHOOK names.")
	return err
}
