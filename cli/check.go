package cli

import (
	"errors"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/config"
)

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
		err = &Exit{Code: world.ExitConfig, Err: errors.Join(err, unwritable)}
	}
	if err == nil && c.Strict && len(s.Warnings) > 0 {
		err = &Exit{Code: world.ExitConfig}
	}
	if p.json {
		p.result = resultOf(s, err)
		if err != nil {
			err = &Exit{Code: world.ExitConfig}
		}
		return err
	}
	p.warn(s)
	if err != nil && !world.Said(err) {
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
	p.printf("%s (%s; upstream: %s).\n", verdict, mode, s.Upstream())
	return err
}

// resultOf tells the same as one object. The mistakes are in it, so that nothing more is said of
// them.
func resultOf(s *config.Settings, wrong error) checkResult {
	r := checkResult{Mode: "production", Upstream: s.Upstream(), Errors: []string{},
		Warnings: append([]string{}, s.Warnings...), Notices: append([]string{}, s.Notices...)}
	if s.Development {
		r.Mode = "development"
	}
	switch {
	case wrong == nil:
		return r
	case world.Said(wrong):
		r.Message = "there are warnings, and --strict takes them for mistakes: " + strings.Join(r.Warnings, "\n")
		return r
	}
	for line := range strings.Lines(wrong.Error()) {
		r.Errors = append(r.Errors, strings.TrimRight(line, "\n"))
	}
	r.Message = strings.Join(r.Errors, "\n")
	return r
}
