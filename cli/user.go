package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dinkymail/account"
	"dinkymail/cli/world"
	"dinkymail/config"
)

type userCommands struct {
	Hash hashCommand `cmd:"" help:"Make an account line for SMTP_USERS."`
}

// Help is shown by dinkymail user --help.
func (userCommands) Help() string { return "Example:\n\n    dinkymail user hash ada" }

type hashCommand struct {
	Name string `arg:"" help:"The account's name, such as ada or ada@example.com."`
}

// Help is shown by dinkymail user hash --help.
func (hashCommand) Help() string {
	return `Asks for the password, or reads one line of standard input, and prints name:hash. Put that into SMTP_USERS, in .env between
'single quotes', or as a line of the file that SMTP_USERS_FILE names.

Example:

    dinkymail user hash ada
    openssl rand -base64 18 | tee ada.password | dinkymail user hash ada`
}

// maxPassword bounds a password in bytes.
const maxPassword = 1024

// Run prints the account line.
func (c hashCommand) Run(p *program) error {
	if c.Name == "" || strings.ContainsAny(c.Name, ":,$ \t\r\n") {
		return world.Failf(world.ExitUsage, "the name %q cannot stand in SMTP_USERS; leave out spaces, colons, commas and $",
			c.Name)
	}
	password, err := p.password(c.Name)
	if err != nil {
		return err
	}
	if name := config.Doubt(password); name != "" {
		fmt.Fprintln(p.Err, "warning: the password holds the character "+name+"; if it is not meant, type it anew.")
	}
	hash, err := account.HashPassword(password)
	if err != nil {
		return fmt.Errorf("hash the password: %w", err)
	}
	_, err = fmt.Fprintf(p.Out, "%s:%s\n", c.Name, hash)
	return err
}

// password asks twice on a terminal, and takes one line from anything else.
func (p *program) password(name string) (string, error) {
	file, ok := p.In.(*os.File)
	if !ok || !isTerminal(file) {
		return checkPassword(readLine(p.In))
	}
	first, err := checkPassword(p.prompt(file, "Password for "+name+": "))
	if err != nil {
		return "", err
	}
	again, err := p.prompt(file, "Once more: ")
	if err == nil && again != first {
		err = world.Failf(world.ExitUsage, "the two passwords differ; try again")
	}
	return first, err
}

func (p *program) prompt(terminal *os.File, question string) (string, error) {
	fmt.Fprint(p.Err, question)
	defer fmt.Fprintln(p.Err)
	return withoutEcho(terminal, func() (string, error) { return readLine(terminal) })
}

// readLine reads one line. A terminal gives a line at a time, so the next question finds its answer
// unread.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", world.Failf(world.ExitNoInput, "read the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

func checkPassword(password string, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", world.Failf(world.ExitNoInput, "there was no password on standard input; type or pipe one line")
	case len(password) > maxPassword:
		return "", world.Failf(world.ExitUsage, "the password is longer than %d bytes; take a shorter one", maxPassword)
	case strings.ContainsRune(password, 0):
		return "", world.Failf(world.ExitUsage, "the password has a NUL character, which no mail client can send; take another")
	}
	return password, nil
}
