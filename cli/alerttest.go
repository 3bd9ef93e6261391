package cli

import (
	"context"

	"dinkymail/alert"
	"dinkymail/cli/world"
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
		return world.Failf(world.ExitConfig, "ALERT_WEBHOOK is not set; set it to a URL such as https://ntfy.sh/your-topic")
	}
	if err := alert.Test(ctx, s.Alert); err != nil {
		return &Exit{Code: world.ExitUnavailable, Err: err}
	}
	p.tell(struct{}{}, "Posted. If nothing arrives, look at the topic or channel that ALERT_WEBHOOK names.\n")
	return nil
}
