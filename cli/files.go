package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"

	"dinkymail/cli/world"
)

// systemFile is where an installed appliance has its settings.
const systemFile = "/etc/dinkymail/dinkymail.env"

// settingsFile is the file that holds the settings: the one given, else the one that
// DINKYMAIL_ENV_FILE names, else the first of .env in the working directory, .env beside the
// binary, links resolved, and systemFile that is there. Of the last two one that may not be read
// counts as missing: systemd reads it for the appliance and hands it over in the environment. Under
// the name of another program the working directory does not count: anybody may have put a file
// there.
func (w Program) settingsFile(given string) string {
	if named := cmp.Or(given, w.Getenv("DINKYMAIL_ENV_FILE")); named != "" {
		return named
	}
	const here = ".env"
	if !w.disguised() {
		if _, err := os.Stat(here); !errors.Is(err, fs.ErrNotExist) {
			return here
		}
	}
	files := otherFiles()
	if i := slices.IndexFunc(files, readable); i >= 0 {
		return files[i]
	}
	if w.disguised() {
		return systemFile
	}
	return here
}

// otherFiles are those files of settingsFile that belong to an installed appliance, wherever this
// is run.
func otherFiles() []string { return append(world.Beside(".env"), systemFile) }

func readable(path string) bool { return opens(path) == nil }
