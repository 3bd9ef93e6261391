package cli

import "runtime/debug"

// Version is the release's number as it was linked in, or else what the Go toolchain recorded about
// the source.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	facts := map[string]string{}
	for _, s := range info.Settings {
		facts[s.Key] = s.Value
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		if commit := facts["vcs.revision"]; len(commit) >= 12 {
			v += "-" + commit[:12]
		}
		if facts["vcs.modified"] == "true" {
			v += "-modified"
		}
	}
	return v
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail version --help.
func (versionCommand) Help() string { return "Example:\n\n    dinkymail version" }

// Run prints the version.
func (versionCommand) Run(p *program) error {
	p.tell(struct {
		Version string `json:"version"`
	}{p.Version}, "dinkymail %s\n", p.Version)
	return nil
}
