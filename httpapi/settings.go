package httpapi

import (
	"context"
	"net/http"

	"dinkymail/internal/web"
)

// Setting is one setting in force.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // secrets are masked
	Source string `json:"source"` // "default", "environment", ".env line 3", "file /run/secrets/x", …
	Secret bool   `json:"secret,omitempty"`
}

// SettingChange is a setting that stands otherwise in the file than the appliance has it.
type SettingChange struct {
	Name    string `json:"name"`
	Running string `json:"running"`
	File    string `json:"file"`
	Source  string `json:"source"`  // where the value of the file stands
	Restart bool   `json:"restart"` // it takes effect at the next start alone
}

// SettingsReport is what the running appliance was told, and what its settings file says now.
type SettingsReport struct {
	Path     string          `json:"file"`     // the settings file, as the appliance names it
	Settings []Setting       `json:"settings"` // in force
	Changes  []SettingChange `json:"changes"`  // that a reload would make, or has made
	Problems []string        `json:"problems"` // mistakes in the file, for which it would not be used
	Warnings []string        `json:"warnings"`
}

// Settings lets the operator see and change what the appliance was told.
type Settings interface {
	// Settings tells what is in force and what a reload would change. It changes nothing.
	Settings() SettingsReport
	// Reload reads the settings again and uses them. With mistakes in them everything stays as it is.
	Reload() SettingsReport
}

// showSettings is GET /api/v1/settings.
func (s *Server) showSettings(w http.ResponseWriter, _ *http.Request) error {
	return web.Answer(w, http.StatusOK, s.cfg.Settings.Settings())
}

// reload is POST /api/v1/reload.
func (s *Server) reload(w http.ResponseWriter, _ *http.Request) error {
	return web.Answer(w, http.StatusOK, s.cfg.Settings.Reload())
}

// Settings asks the appliance what it was told.
func (c *Client) Settings(ctx context.Context) (report SettingsReport, err error) {
	err = c.Get(ctx, settingsPath, &report)
	return report, err
}

// Reload makes the appliance read its settings again. Problems in the report mean that it goes on with the old ones.
func (c *Client) Reload(ctx context.Context) (report SettingsReport, err error) {
	err = c.Post(ctx, reloadPath, struct{}{}, &report)
	return report, err
}
