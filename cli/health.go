package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dinkymail/cli/world"
	"dinkymail/httpapi"
	"dinkymail/operate"
)

type healthCommand struct {
	URL  string `name:"url" placeholder:"URL" help:"Where the appliance is, such as http://mail-api:20001; the one on this machine when not given."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail health --help.
func (healthCommand) Help() string {
	return `Exits 0 when the appliance answers that it takes mail, and 1 otherwise. It is well and degraded while mail waits for an upstream.
The addresses of HTTP_LISTEN are tried as well: it is not well when nobody is served there.

Example:

    dinkymail health
    dinkymail health --url http://mail-api:20001`
}

const healthTimeout = 8 * time.Second

// Run asks for /health.
func (c healthCommand) Run(ctx context.Context, p *program) error {
	client, err := p.appliance(ctx, c.URL)
	if err != nil {
		return &Exit{Code: 1, Err: err}
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	h, err := client.Health(ctx)
	if err == nil && c.URL == "" {
		if err = tryDoors(ctx, h.Detail.HTTP); err != nil {
			h.Status, h.Reason = "degraded", err.Error()
			err = errors.New("degraded: " + h.Reason)
		}
	}
	if p.json && h.Status != "" { // one that is down says so, too
		p.result = h
	}
	if err != nil {
		return &Exit{Code: 1, Err: err}
	}
	line := h.Status
	if h.Reason != "" {
		line += ": " + h.Reason
	}
	p.tell(h, "%s\n", line)
	return nil
}

// doorTimeout is how long one address of the API may take to answer.
const doorTimeout = 3 * time.Second

// tryDoors asks at every address of the API. Over its socket the appliance may be well while nobody
// else is served.
func tryDoors(ctx context.Context, listening []string) error {
	for _, at := range listening {
		ctx, cancel := context.WithTimeout(ctx, doorTimeout)
		door := httpapi.NewClient(reach(at), "")
		_, err := door.Health(ctx)
		door.Close()
		cancel()
		var refused *operate.Error
		switch {
		case err == nil, errors.As(err, &refused) && refused.Code != operate.CodeBusy:
		case refused != nil:
			return fmt.Errorf("HTTP_LISTEN: nobody is served at %s: %w", at, err)
		default:
			return fmt.Errorf("HTTP_LISTEN: %s does not answer: %s", at, world.Cause(err))
		}
	}
	return nil
}
