package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/operate"
)

type configCommands struct {
	Show  showCommand  `cmd:"" default:"withargs" help:"Print the settings in force and where each came from, secrets masked."`
	Check checkCommand `cmd:"" help:"Look for mistakes in the settings without starting."`
}

// Help is shown by dinkymail config --help.
func (configCommands) Help() string {
	return "Without a further word it shows them.\n\nExample:\n\n    dinkymail config\n    dinkymail config check"
}

type showCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail config show --help.
func (showCommand) Help() string {
	return `Shows what the running appliance has, and marks what its settings file says otherwise by now; dinkymail reload makes it heed that.
While no appliance runs, or with --env-file, what a start would read.

Example:

    dinkymail config
    dinkymail config --json`
}

// Run prints the settings; when some are wrong it tells so as well.
func (showCommand) Run(ctx context.Context, p *program) error {
	if q, done, err := p.live(ctx); err == nil && p.given == "" {
		defer done()
		report, err := q.Settings(ctx)
		if err == nil {
			p.showRunning(report)
		}
		if !world.Missing(err) { // else an older version runs, which does not tell
			return refused(err)
		}
	}
	s, failed := p.settings()
	var rows []operate.Setting
	for _, r := range s.Effective() {
		rows = append(rows, r.Setting)
	}
	switch {
	case p.json && failed != nil:
		p.result = struct {
			Settings []operate.Setting `json:"settings"`
		}{rows}
	case p.json:
		p.result = rows
	default:
		p.printSettings(rows, nil)
		p.warn(s)
	}
	return failed
}

// showRunning prints what the running appliance told.
func (p *program) showRunning(report operate.SettingsReport) {
	if p.json {
		type row struct {
			operate.Setting
			Pending *operate.SettingChange `json:"pending,omitempty"` // what a reload, or a restart, makes of it
		}
		rows := []row{}
		for _, r := range report.Settings {
			rows = append(rows, row{r, changeOf(report.Changes, r.Name)})
		}
		p.result = rows
		return
	}
	p.printSettings(report.Settings, report.Changes)
	p.note("warning: the settings file has a mistake:", report.Problems)
	p.note("warning:", report.Warnings)
	if len(report.Changes) > 0 {
		fmt.Fprintln(p.Err, "note: the appliance runs, and what is marked with > stands otherwise in its settings: "+
			"dinkymail reload makes it heed that")
	}
}

// printSettings prints a line for each setting, and below it what it would be after a reload.
func (p *program) printSettings(rows []operate.Setting, changes []operate.SettingChange) {
	wide, wider := 0, 0
	for _, r := range rows {
		wide, wider = max(wide, len(r.Name)), max(wider, min(60, len([]rune(r.Value))))
	}
	for _, r := range rows {
		p.printf("%-*s  %-*s  %s\n", wide, r.Name, wider, orNone(r.Value), r.Source)
		c := changeOf(changes, r.Name)
		if c == nil {
			continue
		}
		source := c.Source
		if c.Restart {
			source += ", takes a restart"
		}
		p.printf("%-*s  %-*s  %s\n", wide, ">", wider, orNone(c.File), source)
	}
}

func changeOf(changes []operate.SettingChange, name string) *operate.SettingChange {
	i := slices.IndexFunc(changes, func(c operate.SettingChange) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &changes[i]
}

// warn prints what is worth knowing about settings that work.
func (p *program) warn(s *config.Settings) {
	p.note("warning:", s.Warnings)
	p.note("note:", s.Notices)
}

// note prints texts on standard error, each behind what it is.
func (p *program) note(what string, texts []string) {
	for _, text := range texts {
		fmt.Fprintln(p.Err, what, text)
	}
}

func orNone(value string) string { return cmp.Or(value, "–") }
