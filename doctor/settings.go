package doctor

import (
	"context"
	"errors"
	"strings"

	"dinkymail/config"
)

// toldElsewhere begins what the settings say and a check of its own says better.
var toldElsewhere = []string{"The certificate in TLS_CERT_FILE ", "TRUSTED_NETWORKS has ", "HTTP_LISTEN has ",
	"SMTP_LISTEN has ", "No upstream is configured", "USE_TLS=no: ",
	"ALLOWED_HOSTS lets websites send"}

// settings tells what reading the settings told. Wrong ones leave nothing else to examine.
func (e *exam) settings(context.Context) []Finding {
	var all []Finding
	for _, err := range each(e.Problems) {
		f := Finding{Check: "settings", Level: Error, What: err.Error(), Why: "the appliance does not start with it",
			Fix: "correct it in " + e.envFile()}
		var p *config.Problem
		if errors.As(err, &p) {
			whole := *p
			whole.Remedy = ""
			f.What, f.Fix = strings.TrimSuffix(whole.Error(), "; "), p.Remedy
		}
		all = append(all, f)
	}
	for _, text := range e.Settings.Warnings {
		if !e.elsewhere(text) {
			all = append(all, Finding{Check: "settings", Level: Warning, What: text})
		}
	}
	for _, text := range e.Settings.Notices {
		if !e.elsewhere(text) {
			all = append(all, Finding{Check: "settings", Level: Note, What: text})
		}
	}
	if len(all) > 0 {
		return all
	}
	mode := "production"
	if e.Settings.Development {
		mode = "development"
	}
	return []Finding{{Check: "settings", Level: OK, What: mode + ", for " + e.Settings.Domain + ", upstream " + e.Settings.Upstream()}}
}

func (e *exam) elsewhere(text string) bool {
	for _, start := range append(toldElsewhere, e.EnvFile+" holds a secret") {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// each takes joined errors apart.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, each(err)...)
		}
		return all
	default:
		return []error{err}
	}
}
