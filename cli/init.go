package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"os"

	"dinkymail/cli/world"
	"dinkymail/config"
)

type initCommand struct{}

// Help is shown by dinkymail init --help.
func (initCommand) Help() string {
	return "Writes the example settings to .env, readable for you only. A file that exists is never touched.\n\nExample:\n\n" +
		"    dinkymail init\n    dinkymail init --env-file /etc/dinkymail/dinkymail.env"
}

// Run writes the example settings.
func (initCommand) Run(p *program) error {
	path := cmp.Or(p.given, p.Getenv("DINKYMAIL_ENV_FILE"), ".env")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return world.Failf(world.ExitCantCreate, "%s exists and stays as it is; remove it or name another file with --env-file", path)
	}
	if err != nil {
		return world.Failf(world.ExitCantCreate, "write settings: %w", err)
	}
	_, err = f.WriteString(config.Example())
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path)) // half a file would be taken for a whole one
		return world.Failf(world.ExitCantCreate, "write settings: %w", err)
	}
	p.printf("Wrote %s. Edit it, then try: dinkymail config check\n", path)
	return nil
}
