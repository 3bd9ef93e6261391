package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"dinkymail/config"
	"dinkymail/operate"
)

// reloads are the settings of an appliance that runs. They are read again on SIGHUP and when an
// operator asks.
type reloads struct {
	read   func() (*config.Settings, error)
	use    func(*config.Settings) // gives every part what it was told anew
	log    *slog.Logger
	hangup <-chan os.Signal

	mu  sync.Mutex // guards now, and lets one reload happen at a time
	now *config.Settings
}

// current is the settings in force.
func (r *reloads) current() *config.Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// grace is how long requests in flight may go on at the end.
func (r *reloads) grace() time.Duration { return cmp.Or(r.current().HTTP.Grace, 10*time.Second) }

// run reads the settings again at every SIGHUP until ctx ends.
func (r *reloads) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			r.Reload()
		}
	}
}

// Settings tells what is in force and what a reload would change.
func (r *reloads) Settings() operate.SettingsReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, report := r.compare()
	return report
}

// Reload uses what the settings say now. With a mistake in them everything stays as it is.
func (r *reloads) Reload() operate.SettingsReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, report := r.compare()
	if len(report.Problems) > 0 {
		r.log.Error("settings have mistakes, the old ones stay", "file", report.Path, "err", strings.Join(report.Problems, "; "))
		return report
	}
	for _, text := range fresh.Warnings {
		r.log.Warn("settings", "text", text)
	}
	fresh.Follow(r.now)
	r.use(fresh)
	r.now = fresh
	report.Settings = settingsOf(fresh)
	r.tell(report)
	return report
}

// compare reads the settings and says how they differ from those in force.
func (r *reloads) compare() (*config.Settings, operate.SettingsReport) {
	fresh, err := r.read()
	report := operate.SettingsReport{Path: r.now.File, Settings: settingsOf(r.now), Changes: []operate.SettingChange{},
		Problems: []string{}, Warnings: append([]string{}, fresh.Warnings...)}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			report.Problems = append(report.Problems, strings.TrimRight(line, "\n"))
		}
		return fresh, report
	}
	report.Changes = r.now.Changes(fresh)
	return fresh, report
}

func settingsOf(s *config.Settings) []operate.Setting {
	all := []operate.Setting{}
	for _, row := range s.Effective() {
		all = append(all, row.Setting)
	}
	return all
}

// tell logs which settings changed, and which of them wait for a restart.
func (r *reloads) tell(report operate.SettingsReport) {
	var changed, restart []string
	for _, c := range report.Changes {
		if c.Restart {
			restart = append(restart, c.Name)
		} else {
			changed = append(changed, c.Name)
		}
	}
	if len(restart) > 0 {
		r.log.Warn("settings that take a restart were changed; the old ones stay until then", "names", strings.Join(restart, ","))
	}
	if len(changed) == 0 {
		r.log.Info("settings read again, nothing to change", "file", report.Path)
		return
	}
	r.log.Info("settings read again", "file", report.Path, "changed", strings.Join(changed, ","))
}
