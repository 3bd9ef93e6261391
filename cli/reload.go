package cli

import (
	"context"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/operate"
)

type reloadCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail reload --help.
func (reloadCommand) Help() string {
	return `The running appliance reads its settings and certificates again, as it does on SIGHUP, and says what changed. It applies to mail
already queued. With a mistake in the settings everything stays as it is, and the exit status is 78.

Example:

    dinkymail reload`
}

// Run makes the appliance reload.
func (reloadCommand) Run(ctx context.Context, p *program) error {
	return p.askRunning(ctx, func(q world.Operator) error {
		report, err := q.Reload(ctx)
		if err != nil {
			return err
		}
		if p.json {
			p.result = struct {
				operate.SettingsReport
				Message string `json:"message,omitempty"`
			}{report, strings.Join(report.Problems, "\n")}
		} else {
			p.reloaded(report)
		}
		if len(report.Problems) > 0 {
			return world.Ended(world.ExitConfig)
		}
		return nil
	})
}

// reloaded says what a reload did.
func (p *program) reloaded(report operate.SettingsReport) {
	p.note("warning:", report.Warnings)
	p.note("dinkymail:", report.Problems)
	switch {
	case len(report.Problems) > 0:
		fmt.Fprintln(p.Err, "dinkymail: the settings have mistakes, so the appliance goes on with those it had")
		return
	case len(report.Changes) == 0:
		p.printf("Nothing has changed in %s%s.\n", report.Path, fromEnvironment(report))
	}
	for _, c := range report.Changes {
		when := "now"
		if c.Restart {
			when = "at the next start"
		}
		p.printf("%s: %s → %s (%s)\n", c.Name, orNone(c.Running), orNone(c.File), when)
	}
}

// fromEnvironment says that settings of the environment stay what they are.
func fromEnvironment(report operate.SettingsReport) string {
	var names []string
	for _, r := range report.Settings {
		if r.Source == "environment" {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", and what came with the environment (" + strings.Join(names, ", ") + ") takes a restart: systemctl restart dinkymail, " +
		"or docker compose up -d"
}
