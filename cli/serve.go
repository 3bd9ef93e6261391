package cli

import "context"

type serveCommand struct{}

// Help is shown by dinkymail serve --help.
func (serveCommand) Help() string {
	return `Settings come from the environment and from a file: --env-file, else .env here or beside the program, else
/etc/dinkymail/dinkymail.env. Without any, the appliance starts in development mode: mail is captured and shown under
http://127.0.0.1:20001/captured, and nothing leaves the machine. SIGTERM stops it, SIGHUP reads settings and certificates
again, as dinkymail reload does.

Example:

    dinkymail serve
    ENVIRONMENT=development dinkymail`
}

// Run runs the appliance.
func (serveCommand) Run(ctx context.Context, p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	return p.Serve(ctx, s, p.settings)
}
