package operate

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
