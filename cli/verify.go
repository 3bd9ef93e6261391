package cli

import (
	"fmt"
	"io"
	"os"

	"dinkymail/backup"
	"dinkymail/cli/world"
)

// input opens the file that a command reads, or standard input for "-", and says what it is.
func (p *program) input(name string) (in io.ReadCloser, what string, err error) {
	if name == "-" {
		return io.NopCloser(p.In), "standard input", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, "", &Exit{Code: world.ExitNoInput, Err: err}
	}
	return f, name, nil
}

type verifyCommand struct {
	File string `arg:"" help:"The backup; - for standard input."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail verify --help.
func (verifyCommand) Help() string {
	return `Reads a backup to its end and compares every record and every mail with its checksum. Exits 0 when it is whole
and 65 when it is not. Mail that could not be read when it was made is named.

Example:

    dinkymail verify /var/backups/dinkymail.tar`
}

// Run verifies a backup.
func (c verifyCommand) Run(p *program) error {
	in, what, err := p.input(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	s, err := backup.Verify(in)
	if err != nil {
		return notWhole(what, err)
	}
	p.tell(summary(c.File, s), "%s: whole: %s\n%s", c.File, contents(s), lacking(s))
	return nil
}

// lacking says of which messages a backup does not have the mail.
func lacking(s backup.Summary) string {
	if len(s.Missing) == 0 {
		return ""
	}
	return fmt.Sprintf("%s could not be read when it was made:%s\n", count(len(s.Missing), "mail"), missing(s))
}
