// Package cli is what operators type.
//
// # What it promises
//
// A command that did its work exits 0. Otherwise one sentence on standard error says what is wrong
// and what to do, and the exit status is one of sysexits.h:
//
//	64  wrong usage; a verb that was told neither messages nor filters
//	65  a backup that is not whole
//	66  there is no such message, or nothing to read
//	69  the appliance or its next hop cannot do it
//	70  a mistake of this program
//	73  a file cannot be made
//	74  a backup is complete but for mail that cannot be read here
//	75  not now: try later
//	77  no right to
//	78  wrong settings
//
// health exits 1, as health checks want it, and so does alias for an address without one; what is
// run under the name of another program exits as that does. A verb for several messages does what
// it can, names on standard error each message it could not be done to, and does not exit 0 then.
//
// Tables fit a terminal. Where the output is no terminal nothing is cut, nothing is coloured, and
// the columns stay; NO_COLOR is honoured. With --json a list is one object a line, everything else
// one indented object: the API's own, with "success", which is true exactly where the exit status
// is 0. What fails prints an object too, a list as its last line: "success" is false in it, and
// "message", "code" and "exit" say why. What strangers wrote into a mail or a reply is shown
// without control characters. A password is read from the terminal without echo or from standard
// input, never from the command line.
//
// # Limits
//
// The commands about mail ask the running appliance over its control socket. While it does not run
// they open the queue themselves, as the user its files belong to.
package cli

import (
	"context"
	"slices"

	"github.com/alecthomas/kong"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/operate"
)

// Exit is how a command ends, with the statuses of sysexits.h.
type Exit = world.Exit

// Exit statuses that the appliance ends with.
const (
	ExitUnavailable  = world.ExitUnavailable
	ExitNoPermission = world.ExitNoPermission
	ExitConfig       = world.ExitConfig
)

// Serve runs the appliance until it is told to stop. reload reads the settings again, for SIGHUP.
type Serve func(ctx context.Context, s *config.Settings, reload func() (*config.Settings, error)) error

// Program is a command line to come and the world it comes into. Run makes the ways to settings and
// queue.
type Program struct {
	world.World
	Serve Serve
	// Name is the base name that the program was started under; one of Guises makes it that
	// program. Empty: dinkymail.
	Name string
	// Offline opens the queue of an appliance that does not run, until close. Nil: the commands
	// about mail need a running appliance.
	Offline func(s *config.Settings) (o operate.Operator, close func() error, err error)
}

// disguised reports whether the program was started under the name of another.
func (w Program) disguised() bool { return slices.Contains(Guises, w.Name) }

// commands is the whole command line.
type commands struct {
	Printed kong.VersionFlag `name:"version" help:"Print the version."`
	EnvFile string           `name:"env-file" placeholder:"FILE" help:"File with settings; it may be missing. The environment wins. Default: .env here or beside the program, or /etc/dinkymail/dinkymail.env."`

	Serve   serveCommand   `cmd:"" default:"1" help:"Run the appliance. This is what happens without a command."`
	Init    initCommand    `cmd:"" help:"Write a commented .env to start from."`
	Reload  reloadCommand  `cmd:"" help:"Make the running appliance read its settings again, and say what changed."`
	Config  configCommands `cmd:"" help:"Show or check the settings."`
	User    userCommands   `cmd:"" help:"Accounts for SMTP clients."`
	Test    testCommand    `cmd:"" name:"send-test" help:"Send a test mail through the running appliance."`
	Health  healthCommand  `cmd:"" help:"Ask the running appliance whether it is well; for health checks."`
	Doctor  doctorCommand  `cmd:"" help:"Look at everything that mail has to pass on its way out, and say what to change."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Queue queueCommand `cmd:"" group:"See the queue:" help:"List what waits, and why."`
	Show  showMessage  `cmd:"" group:"See the queue:" help:"Tell all about a message: recipients, attempts, what was said."`
	Cat   catCommand   `cmd:"" group:"See the queue:" help:"Print a message."`
	Log   logCommand   `cmd:"" group:"See the queue:" help:"Print the log lines about a message."`
	Watch watchCommand `cmd:"" group:"See the queue:" help:"Follow what happens."`
	Stats statsCommand `cmd:"" group:"See the queue:" help:"Count what waits, by status, lane, domain and age."`

	Retry    retryCommand    `cmd:"" group:"Act on mail:" help:"Try messages now."`
	Hold     holdCommand     `cmd:"" group:"Act on mail:" help:"Keep messages back."`
	Release  releaseCommand  `cmd:"" group:"Act on mail:" help:"Let go what was held."`
	Remove   removeCommand   `cmd:"" group:"Act on mail:" help:"Put messages into the trash."`
	Purge    purgeCommand    `cmd:"" group:"Act on mail:" help:"Show what matches, ask, and put it into the trash."`
	Undo     undoCommand     `cmd:"" group:"Act on mail:" help:"Bring removed messages back."`
	Bounce   bounceCommand   `cmd:"" group:"Act on mail:" help:"Give up now and tell the sender."`
	Redirect redirectCommand `cmd:"" group:"Act on mail:" help:"Send messages to another address."`
	Edit     editCommand     `cmd:"" group:"Act on mail:" name:"edit-recipients" help:"Change to whom messages go."`
	Pause    pauseCommand    `cmd:"" group:"Act on mail:" help:"Stop taking mail in, a lane, or everything."`
	Resume   resumeCommand   `cmd:"" group:"Act on mail:" help:"End a pause."`

	guises

	Links      linksCommand      `cmd:"" name:"install-links" group:"Setting up:" help:"Make links under the names of sendmail, Postfix's and Exim's programs."`
	Completion completionCommand `cmd:"" group:"Setting up:" help:"Print completion for bash, zsh or fish."`
	Man        manCommand        `cmd:"" group:"Setting up:" help:"Print the manual page."`
	Complete   completeCommand   `cmd:"" hidden:"" passthrough:"" help:"What may follow the words given."`

	Backup    backupCommand    `cmd:"" group:"Keep it:" help:"Write the whole queue to a file, while it runs."`
	Verify    verifyCommand    `cmd:"" group:"Keep it:" help:"Read a backup and compare its checksums."`
	Restore   restoreCommand   `cmd:"" group:"Keep it:" help:"Make a queue of a backup."`
	Alias     aliasCommand     `cmd:"" group:"Look things up:" help:"Say who gets mail to an address."`
	AlertTest alertTestCommand `cmd:"" name:"alert-test" group:"Look things up:" help:"Post a test alert to ALERT_WEBHOOK."`
}

// Run does what args say, which do not have the program's name, and returns the exit status.
func (w Program) Run(ctx context.Context, args []string) int {
	if w.disguised() {
		return w.program("").play(ctx, w.Name, args)
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	var c commands
	ended, status := false, 0
	parser, err := w.parser(ctx, &c, func(code int) { ended, status = true, code })
	if err != nil {
		return report(w.Err, err)
	}
	parsed, err := parser.Parse(args)
	if ended { // --help has been printed
		return status
	}
	p := w.program(c.EnvFile)
	p.json = wantsJSON(args, parsed)
	if err != nil {
		return p.finish(usage("%s", misused(err)))
	}
	return p.finish(parsed.Run(p))
}

// parser reads the command line into c. exit is called when --help has been printed.
func (w Program) parser(ctx context.Context, c *commands, exit func(int)) (*kong.Kong, error) {
	return kong.New(c, kong.Name("dinkymail"),
		kong.Description("Dinkymail takes mail in over SMTP and HTTP, keeps it in a queue on disk, and hands it to your provider until every "+
			"recipient is settled.\n\nExample: dinkymail init, then dinkymail config check, then dinkymail."),
		kong.Writers(w.Out, w.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Exit(exit),
		kong.Vars{"version": "dinkymail " + w.Version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
}
