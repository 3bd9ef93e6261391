// Package cli is what operators type.
//
// # What it promises
//
// A command that did its work exits 0. Otherwise one sentence on standard error says what is wrong and what to do, and the
// exit status is one of sysexits.h: 64 wrong usage, 66 nothing to read, 69 the appliance or its next hop cannot do it, 70 a mistake
// of this program, 73 a file cannot be made, 75 try later, 77 no right to, 78 wrong settings. Only health exits 1, as health checks want it.
// A password is read from the terminal without echo or from standard input, never from the command line.
//
// # Limits
//
// The commands about mail ask the running appliance over HTTP; none of them opens the queue's files, which it has locked.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"dinkymail/config"
)

// Exit statuses of sysexits.h that the commands use.
const (
	ExitUsage        = 64
	ExitNoInput      = 66
	ExitUnavailable  = 69
	ExitSoftware     = 70
	ExitCantCreate   = 73
	ExitTempFail     = 75
	ExitNoPermission = 77
	ExitConfig       = 78
)

// Exit is an error with the exit status it means.
type Exit struct {
	Code int
	Err  error
}

// Error is the text of Err.
func (e *Exit) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *Exit) Unwrap() error { return e.Err }

// Serve runs the appliance until it is told to stop. reload reads the settings again, for SIGHUP.
type Serve func(ctx context.Context, s *config.Settings, reload func() (*config.Settings, error)) error

// Program is the world a command lives in.
type Program struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string // as os.Environ gives it
	Version  string   // see Version
	Serve    Serve
}

// program is what every command is given.
type program struct {
	Program
	dotenv string
}

// commands is the whole command line.
type commands struct {
	EnvFile string `name:"env-file" placeholder:"FILE" default:".env" help:"File with settings; it may be missing. The environment wins."`

	Serve   serveCommand   `cmd:"" default:"1" help:"Run the appliance. This is what happens without a command."`
	Init    initCommand    `cmd:"" help:"Write a commented .env to start from."`
	Config  configCommands `cmd:"" help:"Show or check the settings."`
	User    userCommands   `cmd:"" help:"Accounts for SMTP clients."`
	Test    testCommand    `cmd:"" name:"send-test" help:"Send a test mail through the running appliance."`
	Health  healthCommand  `cmd:"" help:"Ask the running appliance whether it is well; for health checks."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// Run does what args say, which do not have the program's name, and returns the exit status.
func (w Program) Run(ctx context.Context, args []string) int {
	var c commands
	ended, status := false, 0
	parser, err := kong.New(&c, kong.Name("dinkymail"),
		kong.Description("Dinkymail takes mail in over SMTP and HTTP, keeps it in a queue on disk, and hands it to your provider until every "+
			"recipient is settled.\n\nExample: dinkymail init, then dinkymail config check, then dinkymail."),
		kong.Writers(w.Out, w.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Exit(func(code int) { ended, status = true, code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		return report(w.Err, err)
	}
	parsed, err := parser.Parse(args)
	if ended { // --help has been printed
		return status
	}
	if err != nil {
		fmt.Fprintf(w.Err, "dinkymail: %s; dinkymail --help lists the commands\n", strings.TrimSuffix(err.Error(), "."))
		return ExitUsage
	}
	return report(w.Err, parsed.Run(&program{Program: w, dotenv: c.EnvFile}))
}

// report prints an error as sentences, one line for each that is joined in it, and returns its exit status.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "dinkymail: %s\n", strings.TrimRight(line, "\r\n"))
	}
	var exit *Exit
	if errors.As(err, &exit) {
		return exit.Code
	}
	return ExitSoftware
}

// settings loads the settings and tells about mistakes.
func (p *program) settings() (*config.Settings, error) {
	s, err := config.Load(p.Environ, p.dotenv)
	if err != nil {
		return s, &Exit{ExitConfig, err}
	}
	return s, nil
}

type serveCommand struct{}

// Help is shown by dinkymail serve --help.
func (serveCommand) Help() string {
	return `Settings come from the environment and from .env. Without any, the appliance starts in development mode: mail is captured and
shown under http://127.0.0.1:20001/captured, and nothing leaves the machine. SIGTERM stops it, SIGHUP reads certificates and
upstream settings again.

Example:

    dinkymail serve
    ENVIRONMENT=development dinkymail`
}

// Run runs the appliance.
func (serveCommand) Run(ctx context.Context, p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	return p.Serve(ctx, s, p.settings)
}

type versionCommand struct{}

// Help is shown by dinkymail version --help.
func (versionCommand) Help() string { return "Example:\n\n    dinkymail version" }

// Run prints the version.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintln(p.Out, "dinkymail", p.Version)
	return err
}
