package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"dinkymail/config"
	"dinkymail/operate"
	"dinkymail/queue"
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
func (c showCommand) Run(ctx context.Context, p *program) error {
	if client, _, err := p.running(ctx); err == nil && p.given == "" {
		defer client.Close()
		report, err := client.Settings(ctx)
		if err == nil {
			return c.ofRunning(p, report)
		}
		if !errors.Is(err, queue.ErrNotFound) { // an older version runs
			return refused(err)
		}
	}
	s, failed := p.settings()
	var rows []operate.Setting
	for _, r := range s.Effective() {
		rows = append(rows, r.Setting)
	}
	switch {
	case c.JSON && failed != nil:
		p.result = struct {
			Settings []operate.Setting `json:"settings"`
		}{rows}
		return failed
	case c.JSON:
		p.result = rows
		return nil
	}
	if err := printSettings(p.Out, rows, nil); err != nil {
		return err
	}
	p.warn(s)
	return failed
}

// ofRunning prints what the running appliance told.
func (c showCommand) ofRunning(p *program, report operate.SettingsReport) error {
	if c.JSON {
		type row struct {
			operate.Setting
			Pending *operate.SettingChange `json:"pending,omitempty"` // what a reload, or a restart, makes of it
		}
		rows := []row{}
		for _, r := range report.Settings {
			rows = append(rows, row{r, changeOf(report.Changes, r.Name)})
		}
		p.result = rows
		return nil
	}
	if err := printSettings(p.Out, report.Settings, report.Changes); err != nil {
		return err
	}
	for _, text := range report.Problems {
		fmt.Fprintln(p.Err, "warning: the settings file has a mistake:", text)
	}
	for _, text := range report.Warnings {
		fmt.Fprintln(p.Err, "warning:", text)
	}
	if len(report.Changes) > 0 {
		fmt.Fprintln(p.Err, "note: the appliance runs, and what is marked with > stands otherwise in its settings: "+
			"dinkymail reload makes it heed that")
	}
	return nil
}

// printSettings prints a line for each setting, and below it what it would be after a reload.
func printSettings(w io.Writer, rows []operate.Setting, changes []operate.SettingChange) error {
	wide, wider := 0, 0
	for _, r := range rows {
		wide, wider = max(wide, len(r.Name)), max(wider, min(60, len([]rune(r.Value))))
	}
	line := func(name, value, source string) error {
		if value == "" {
			value = "–"
		}
		_, err := fmt.Fprintf(w, "%-*s  %-*s  %s\n", wide, name, wider, value, source)
		return err
	}
	for _, r := range rows {
		if err := line(r.Name, r.Value, r.Source); err != nil {
			return err
		}
		c := changeOf(changes, r.Name)
		if c == nil {
			continue
		}
		source := c.Source
		if c.Restart {
			source += ", takes a restart"
		}
		if err := line(">", c.File, source); err != nil {
			return err
		}
	}
	return nil
}

func changeOf(changes []operate.SettingChange, name string) *operate.SettingChange {
	i := slices.IndexFunc(changes, func(c operate.SettingChange) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &changes[i]
}

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
func (c reloadCommand) Run(ctx context.Context, p *program) error {
	client, _, err := p.running(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	report, err := client.Reload(ctx)
	if err != nil {
		return refused(err)
	}
	if c.JSON {
		p.result = struct {
			operate.SettingsReport
			Message string `json:"message,omitempty"`
		}{report, strings.Join(report.Problems, "\n")}
	} else {
		err = printReload(p.Out, p.Err, report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = &Exit{Code: ExitConfig}
	}
	return err
}

// printReload says what a reload did.
func printReload(out, problems io.Writer, report operate.SettingsReport) error {
	for _, text := range report.Warnings {
		fmt.Fprintln(problems, "warning:", text)
	}
	if len(report.Problems) > 0 {
		for _, text := range report.Problems {
			fmt.Fprintln(problems, "dinkymail:", text)
		}
		_, err := fmt.Fprintln(problems, "dinkymail: the settings have mistakes, so the appliance goes on with those it had")
		return err
	}
	if len(report.Changes) == 0 {
		_, err := fmt.Fprintf(out, "Nothing has changed in %s%s.\n", report.Path, fromEnvironment(report))
		return err
	}
	for _, c := range report.Changes {
		when := "now"
		if c.Restart {
			when = "at the next start"
		}
		if _, err := fmt.Fprintf(out, "%s: %s → %s (%s)\n", c.Name, orNone(c.Running), orNone(c.File), when); err != nil {
			return err
		}
	}
	return nil
}

func orNone(value string) string {
	if value == "" {
		return "–"
	}
	return value
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

type checkCommand struct {
	Strict bool `help:"Warnings are mistakes, too."`
	JSON   bool `name:"json" help:"Print JSON."`
}

// checkResult is what config check prints with --json.
type checkResult struct {
	Message  string   `json:"message,omitempty"` // in one text what Errors say, or that there must be no warning
	Mode     string   `json:"mode"`
	Upstream string   `json:"upstream"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
	Notices  []string `json:"notices"`
}

// Help is shown by dinkymail config check --help.
func (checkCommand) Help() string {
	return `Exits 0 when the appliance would start with these settings as the user who asks, and 78 otherwise; with --strict also
when there is a warning.

Example:

    dinkymail config check
    sudo -u dinkymail dinkymail config check --strict`
}

// Run reports every mistake and warning.
func (c checkCommand) Run(p *program) error {
	s, err := p.settings()
	if unwritable := s.TryDataDir(); unwritable != nil {
		err = &Exit{ExitConfig, errors.Join(err, unwritable)}
	}
	if err == nil && c.Strict && len(s.Warnings) > 0 {
		err = &Exit{Code: ExitConfig}
	}
	if c.JSON {
		p.result = resultOf(s, err)
		if err != nil {
			err = &Exit{Code: ExitConfig}
		}
		return err
	}
	p.warn(s)
	if exit := new(Exit); errors.As(err, &exit) && exit.Err != nil {
		return err
	}
	mode := "production"
	if s.Development {
		mode = "development: nothing leaves the machine"
	}
	verdict := "The settings are fine"
	switch n := len(s.Warnings); {
	case n == 1:
		verdict = "The settings work, with one warning"
	case n > 1:
		verdict = fmt.Sprintf("The settings work, with %d warnings", n)
	}
	_, printed := fmt.Fprintf(p.Out, "%s (%s; upstream: %s).\n", verdict, mode, s.Upstream())
	return errors.Join(printed, err)
}

// resultOf tells the same as one object. The mistakes are in it, so that nothing more is said of them.
func resultOf(s *config.Settings, wrong error) checkResult {
	r := checkResult{Mode: "production", Upstream: s.Upstream(), Errors: []string{},
		Warnings: append([]string{}, s.Warnings...), Notices: append([]string{}, s.Notices...)}
	if s.Development {
		r.Mode = "development"
	}
	switch {
	case wrong == nil:
		return r
	case said(wrong):
		r.Message = "there are warnings, and --strict takes them for mistakes: " + strings.Join(r.Warnings, "\n")
		return r
	}
	for line := range strings.Lines(wrong.Error()) {
		r.Errors = append(r.Errors, strings.TrimRight(line, "\n"))
	}
	r.Message = strings.Join(r.Errors, "\n")
	return r
}

// warn prints what is worth knowing about settings that work.
func (p *program) warn(s *config.Settings) {
	for _, text := range s.Warnings {
		fmt.Fprintln(p.Err, "warning:", text)
	}
	for _, text := range s.Notices {
		fmt.Fprintln(p.Err, "note:", text)
	}
}

type initCommand struct{}

// Help is shown by dinkymail init --help.
func (initCommand) Help() string {
	return "Writes the example settings to .env, readable for you only. A file that exists is never touched.\n\nExample:\n\n" +
		"    dinkymail init\n    dinkymail init --env-file /etc/dinkymail/dinkymail.env"
}

// Run writes the example settings.
func (initCommand) Run(p *program) error {
	path := p.newSettingsFile(p.given)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &Exit{ExitCantCreate, fmt.Errorf("%s exists and stays as it is; remove it or name another file with --env-file", path)}
	}
	if err != nil {
		return &Exit{ExitCantCreate, fmt.Errorf("write settings: %w", err)}
	}
	_, err = f.WriteString(config.Example())
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path)) // half a file would be taken for a whole one
		return &Exit{ExitCantCreate, fmt.Errorf("write settings: %w", err)}
	}
	_, err = fmt.Fprintf(p.Out, "Wrote %s. Edit it, then try: dinkymail config check\n", path)
	return err
}
