package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dinkymail/cli/world"
	"dinkymail/config"
)

// candidate is where an appliance may keep its mail: settings, with that directory in them, and
// what is wrong with them.
type candidate struct {
	settings *config.Settings
	wrong    error
}

// candidates yields the places where an appliance may keep its mail, the likeliest first: what the
// settings say, and unless somebody named those, what the other files say that settings are looked
// for in.
func (p *program) candidates(yield func(candidate) bool) {
	files := []string{p.dotenv}
	if p.given == "" && p.Getenv("DINKYMAIL_ENV_FILE") == "" && p.Getenv("DATA_DIR") == "" {
		files = append(files, otherFiles()...)
	}
	seen := map[string]bool{}
	for i, file := range files {
		if i > 0 && (file == p.dotenv || !readable(file)) {
			continue
		}
		s, err := config.Load(p.Environ, file)
		if err != nil {
			err = &Exit{Code: world.ExitConfig, Err: err}
		}
		for _, dir := range p.dataDirs(s, file) {
			if !seen[dir] && !yield(candidate{movedTo(s, dir), err}) {
				return
			}
			seen[dir] = true
		}
	}
}

// withSudo is the error about settings that cannot be used, where opened is what opening their file
// gave: who may not read it may not ask the appliance either.
func withSudo(file string, wrong, opened error) error {
	if !errors.Is(opened, fs.ErrPermission) {
		return wrong
	}
	return world.Failf(world.ExitNoPermission, "only root and the user the appliance runs as may read its settings in %s; "+
		"run this with sudo", file)
}

// opens tries whether a file can be opened.
func opens(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// dataDirs are the directories in which an appliance with the settings of a file may keep its mail:
// DATA_DIR, and while that was not set the one of the systemd unit, which is the only one for
// settings of systemFile.
func (p *program) dataDirs(s *config.Settings, file string) []string {
	given := func(r config.Row) bool { return r.Name == "DATA_DIR" && r.Source != "default" }
	switch {
	case slices.ContainsFunc(s.Effective(), given):
		return []string{s.DataDir}
	case file == systemFile:
		return []string{config.SystemDataDir}
	default:
		return []string{s.DataDir, config.SystemDataDir}
	}
}

// movedTo is settings with dir as their DATA_DIR, and with what is in it.
func movedTo(s *config.Settings, dir string) *config.Settings {
	moved := *s
	if rel, err := filepath.Rel(s.DataDir, s.Maildrop.Dir); err == nil && filepath.IsLocal(rel) {
		moved.Maildrop.Dir = filepath.Join(dir, rel)
	}
	moved.DataDir = dir
	return &moved
}
