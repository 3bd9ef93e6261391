package exim

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/queue"
)

// usage is for those who say nothing that could be done.
const usage = `exim: this command line says nothing that Dinkymail, which stands in for Exim, could do.
It knows -bp, -bpc, -bP, -bV, -bt, -bv, -q, -R, -S, -M and the -M options about messages; dinkymail --help has more.`

// help is what exim --help prints.
const help = `Usage: exim [option] [message or recipient ...]

Stands in for Exim, with Dinkymail's queue:

  -bp             list the queue; -bpc counts it, -bpr, -bpa, -bpi and -bpu list otherwise
  -bP, -bV        the settings, the version
  -bt, -bv        where mail to an address goes
  -q, -qf, -qff   the queue runs by itself; try all now; what is frozen, too
  -R, -S WORD     try now what has the word in a recipient, or in the sender
  -M, -Mvh, -Mvb, -Mvl, -Mvc ID          try; print header, body, log, all of it
  -Mf, -Mt, -Mg, -Mrm, -Mmad ID          freeze, thaw, give up, remove, mark as delivered
  -Mar, -Mmd ID ADDRESS                  add a recipient, mark one as delivered

With other options mail is sent, as sendmail does; sendmail --help has them.

Example:

    exim -bp
    exim -Mvh 0cagh3h68onkmkga
`

// line is a command line taken apart: one option that says what to do, and its operands.
type line struct {
	option   string
	operands []string
	nameless bool // -n
}

// verb does what an option says.
type verb func(c *command, ctx context.Context, l *line) error

// verbs are the options that say what to do, but for those with letters of their own behind them:
// -bp, -q, -R and -S.
var verbs = map[string]verb{
	"-bpc":      (*command).count,
	"-bP":       (*command).options,
	"-bV":       (*command).version,
	"-V":        (*command).version,
	"--version": (*command).version,
	"-bt":       (*command).route,
	"-bv":       (*command).route,
	"-bi":       nothing,
	"-bd":       daemon,
	"-bdf":      daemon,

	"-Mvh": view("Failed to open input file for %s-H", (*command).viewHeader),
	"-Mvb": view("Failed to open input file for %s-D", (*command).viewBody),
	"-Mvl": view("Failed to open msglog file for %s", (*command).viewLog),
	"-Mvc": view("Failed to open input file for %s-D", (*command).viewCopy),

	"-Mrm":  act(&remove),
	"-Mf":   act(&freeze),
	"-Mt":   act(&thaw),
	"-Mg":   act(&giveUp),
	"-Mmad": act(&finish),
	"-M":    named((*command).deliver),
	"-Mc":   named((*command).deliver),
	"-Mar":  edit("adding recipient", addRecipients),
	"-Mmd":  edit(droppingRecipient, dropRecipients),
	"-Mes":  cannot("the sender of a message cannot be changed here"),
	"-Meb":  cannot("the body of a message cannot be changed here"),
	"-MG":   cannot("there is one queue only"),
}

var (
	listOption = regexp.MustCompile(`^-bp(r?[aui]?)$`)
	runOption  = regexp.MustCompile(`^-qq?i?(f{0,2})l?(G.*)?(\d+[smhdw])*$`)
	pickOption = regexp.MustCompile(`^-([RS])(r?)(f{0,2})$`)
)

// exim does what its command line says. One that says nothing of this sends mail.
func (c *command) exim(ctx context.Context, args []string) error {
	l := parse(args)
	if l.option == "--help" {
		_, err := fmt.Fprint(c.out, help)
		return err
	}
	do, ok := verbs[l.option]
	switch {
	case ok:
		return do(c, ctx, &l)
	case listOption.MatchString(l.option):
		return c.list(ctx, &l)
	case runOption.MatchString(l.option):
		return c.runQueue(ctx, &l)
	case pickOption.MatchString(l.option):
		return c.runSome(ctx, &l)
	case strings.HasPrefix(l.option, "-q"):
		return fail("exim: bad time value %s: abandoned", plain.Line(l.option))
	case strings.HasPrefix(l.option, "-M"), strings.HasPrefix(l.option, "-bp"), l.option == "-C":
		return fail("exim abandoned: unknown, malformed, or incomplete option %s", plain.Line(l.option))
	case c.Play == nil || len(args) == 0:
		return fail("%s", usage)
	}
	return world.Ended(c.Play(ctx, "sendmail", args...))
}

// parse finds the option that says what to do. Those that change nothing here are passed over.
func parse(args []string) (l line) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "-n" && strings.HasPrefix(l.option, "-bP"):
			l.nameless = true
		case arg == "-C" && len(args) > 0:
			args = args[1:]
		case arg == "-v", arg == "-N", strings.HasPrefix(arg, "-d"), strings.HasPrefix(arg, "-D"):
		case strings.HasPrefix(arg, "-C") && arg != "-C":
		case l.option == "" && strings.HasPrefix(arg, "-") && len(arg) > 1:
			l.option = arg
		default:
			l.operands = append(l.operands, arg)
		}
	}
	return l
}

// hyphenated is the form of Exim's own message IDs, of which there are none here.
var hyphenated = regexp.MustCompile(`^[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}$`)

// ids are the messages that an option names.
func ids(l *line) ([]queue.ID, error) {
	if len(l.operands) == 0 {
		return nil, fail("exim: no message ids given after %s option", l.option)
	}
	all := make([]queue.ID, 0, len(l.operands))
	for _, text := range l.operands {
		id := queue.ID(strings.TrimSpace(text))
		if !id.Valid() && !hyphenated.MatchString(string(id)) {
			return nil, fail("exim: malformed message id %s after %s option", plain.Line(text), l.option)
		}
		all = append(all, id)
	}
	return all, nil
}

// named makes a verb of what is done with the messages that its option names.
func named(do func(*command, context.Context, world.Operator, *line, []queue.ID) error) verb {
	return func(c *command, ctx context.Context, l *line) error {
		wanted, err := ids(l)
		if err != nil {
			return err
		}
		return c.Ask(ctx, func(q world.Operator) error { return do(c, ctx, q, l, wanted) })
	}
}

func nothing(*command, context.Context, *line) error { return nil }

func daemon(*command, context.Context, *line) error {
	return fail("exim: systemd does this: systemctl start dinkymail")
}

func cannot(why string) verb {
	return func(*command, context.Context, *line) error { return fail("exim: %s", why) }
}

func (c *command) version(context.Context, *line) error {
	fmt.Fprintf(c.out, "Dinkymail version %s, which stands in for Exim\n", c.Version)
	return nil
}
