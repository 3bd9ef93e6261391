package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"dinkymail/config"
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
	return "Example:\n\n    dinkymail config\n    dinkymail config --json"
}

// Run prints the settings; when some are wrong it tells so as well.
func (c showCommand) Run(p *program) error {
	s, failed := p.settings()
	rows := s.Effective()
	if c.JSON {
		e := json.NewEncoder(p.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return errors.Join(e.Encode(rows), failed)
	}
	wide, wider := 0, 0
	for _, r := range rows {
		wide, wider = max(wide, len(r.Name)), max(wider, min(60, len([]rune(r.Value))))
	}
	for _, r := range rows {
		value := r.Value
		if value == "" {
			value = "–"
		}
		if _, err := fmt.Fprintf(p.Out, "%-*s  %-*s  %s\n", wide, r.Name, wider, value, r.Source); err != nil {
			return err
		}
	}
	p.warn(s)
	return failed
}

type checkCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// checkResult is what config check prints with --json.
type checkResult struct {
	OK       bool     `json:"ok"`
	Mode     string   `json:"mode"`
	Upstream string   `json:"upstream"`
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
	Notices  []string `json:"notices"`
}

// Help is shown by dinkymail config check --help.
func (checkCommand) Help() string {
	return "Exits 0 when the appliance would start with these settings, and 78 otherwise.\n\nExample:\n\n    dinkymail config check"
}

// Run reports every mistake and warning.
func (c checkCommand) Run(p *program) error {
	s, err := p.settings()
	if c.JSON {
		return c.print(p, s, err)
	}
	p.warn(s)
	if err != nil {
		return err
	}
	mode := "production"
	if s.Development {
		mode = "development: nothing leaves the machine"
	}
	_, err = fmt.Fprintf(p.Out, "The settings are fine (%s; upstream: %s).\n", mode, s.Upstream())
	return err
}

// print tells the same as one object. The mistakes are in it, so that nothing more is said of them.
func (checkCommand) print(p *program, s *config.Settings, wrong error) error {
	r := checkResult{OK: wrong == nil, Mode: "production", Upstream: s.Upstream(), Errors: []string{},
		Warnings: append([]string{}, s.Warnings...), Notices: append([]string{}, s.Notices...)}
	if s.Development {
		r.Mode = "development"
	}
	if wrong == nil {
		return p.printJSON(r)
	}
	for line := range strings.Lines(wrong.Error()) {
		r.Errors = append(r.Errors, strings.TrimRight(line, "\n"))
	}
	if err := p.printJSON(r); err != nil {
		return err
	}
	return &Exit{Code: ExitConfig}
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
