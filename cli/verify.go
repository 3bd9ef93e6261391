package cli

import (
	"fmt"
	"os"

	"dinkymail/backup"
	"dinkymail/cli/world"
)

func verifyFile(name string) (backup.Summary, error) {
	f, err := os.Open(name)
	if err != nil {
		return backup.Summary{}, &Exit{Code: world.ExitNoInput, Err: err}
	}
	defer f.Close()
	s, err := backup.Verify(f)
	return s, notWhole(name, err)
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
	var s backup.Summary
	var err error
	if c.File == "-" {
		s, err = backup.Verify(p.In)
		err = notWhole("standard input", err)
	} else {
		s, err = verifyFile(c.File)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		p.result = summary(c.File, s)
		return nil
	}
	_, err = fmt.Fprintf(p.Out, "%s: whole: %s\n%s", c.File, contents(s), lacking(s))
	return err
}

// lacking says of which messages a backup does not have the mail.
func lacking(s backup.Summary) string {
	if len(s.Missing) == 0 {
		return ""
	}
	return fmt.Sprintf("%s could not be read when it was made:%s\n", count(len(s.Missing), "mail"), missing(s))
}
