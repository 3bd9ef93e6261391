package sendmail

import (
	"errors"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
	"dinkymail/message"
)

const help = `Usage: sendmail [options] [recipient ...]

Reads a mail from standard input and hands it to Dinkymail.

  -t              recipients are those of To, Cc and Bcc, and the ones given here
  -i, -oi         a line with a single dot does not end the mail
  -f, -r ADDRESS  the envelope's sender; <> for none
  -F NAME         the sender's full name, for a mail without From
  -N WHEN         what to be told of: never, or success, failure, delay with commas between
  -R WHAT         what is returned then: full or hdrs
  -V ID           the envelope's ID, for the one who is told
  -B TYPE         7BIT or 8BITMIME
  -oem            what cannot be sent is kept in ~/dead.letter
  -v              say what became of the mail
  -bm             send a mail, which is what happens without it
  -bs             speak SMTP on standard input and output
  -bp             list the queue, as mailq does
  -bi, -I         check the aliases, as newaliases does
  -q, -qIID, -qRSITE  try all, or these, again now, as postqueue does

Other options that sendmail and Postfix know are taken and change nothing.

Exit status: 0 the mail is on the disk; 64 wrong usage, 65 bad mail, 67 bad address, 69 refused, 71 the system, 74 no input,
75 try later, 77 not in SUBMIT_GROUP.

Example:

    printf 'To: you@example.com\nSubject: hello\n\nIt works.\n' | sendmail -t -i
`

type mode int

const (
	modeSend mode = iota
	modeSMTP
	modePlay
	modeNothing
	modeHelp
)

// options is a command line, understood.
type options struct {
	mode       mode
	play       []string // another program that does it, and its arguments
	extract    bool     // -t
	ignoreDot  bool     // -i
	verbose    bool
	deadLetter bool
	hasSender  bool // -f or -r was given
	sender     string
	name       string // -F
	notify     message.Notify
	ret, envid string
	args       []string // recipients
}

// letters are the options there are, as getopt has them.
const letters = "A:B:C:D:F:L:M:N:O:R:V:X:b:e:f:h:o:p:r:GIUTacimnstvxq::d::"

// parse understands a command line as GNU's getopt does: options may stand together, and behind
// recipients; -- ends them.
func parse(args []string) (*options, error) {
	given, operands, err := getopt.Parse(args, letters)
	o := &options{args: operands}
	for _, one := range given {
		if err := o.set(one.Letter, one.Value); err != nil {
			return nil, err
		}
	}
	wrong, is := errors.AsType[*getopt.Error](err)
	switch {
	case !is:
		return o, o.check()
	case wrong.Arg == "--help":
		return &options{mode: modeHelp}, nil
	case wrong.Lacks:
		return nil, world.Failf(world.ExitUsage, "the option -%c needs something behind it", wrong.Letter)
	default:
		return nil, world.Failf(world.ExitUsage, "there is no option -%c; sendmail --help lists those there are", wrong.Letter)
	}
}

// set takes one option in. What is not named here is known to others and means nothing to us.
func (o *options) set(option byte, value string) error {
	switch option {
	case 't':
		o.extract = true
	case 'i':
		o.ignoreDot = true
	case 'v':
		o.verbose = true
	case 'f', 'r':
		o.hasSender, o.sender = true, value
	case 'F':
		o.name = value
	case 'I':
		return o.setMode("i")
	case 'b':
		return o.setMode(value)
	case 'o':
		o.ignoreDot = o.ignoreDot || value == "i"
		o.deadLetter = value == "em" || value == "ew" || o.deadLetter && !strings.HasPrefix(value, "e")
	case 'e':
		o.deadLetter = value == "m" || value == "w"
	case 'q':
		return o.setFlush(value)
	case 'B':
		if t := strings.ToUpper(value); t != "7BIT" && t != "8BITMIME" {
			return world.Failf(world.ExitUsage, "-B %s: 7BIT or 8BITMIME is wanted", value)
		}
	case 'N', 'R', 'V':
		return o.setNotification(option, value)
	}
	return nil
}

func (o *options) setMode(value string) error {
	switch value {
	case "m":
		o.mode = modeSend
	case "s":
		o.mode = modeSMTP
	case "p":
		o.mode, o.play = modePlay, []string{"mailq"}
	case "i":
		o.mode, o.play = modePlay, []string{"newaliases"}
	case "h", "H":
		o.mode = modeNothing
	case "d", "D", "l":
		return world.Failf(world.ExitUsage, "-b%s: the appliance is started with systemctl start dinkymail, or dinkymail serve", value)
	case "v", "t":
		return world.Failf(world.ExitUnavailable, "-b%s: checking an address without sending is not supported; "+
			"dinkymail doctor ADDRESS tries one", value)
	default:
		return world.Failf(world.ExitUsage, "-b%s: there is no such mode; sendmail --help lists those there are", value)
	}
	return nil
}

// setFlush takes -q in. An interval is for a daemon, which the appliance is by itself.
func (o *options) setFlush(value string) error {
	switch {
	case value == "":
		o.mode, o.play = modePlay, []string{"postqueue", "-f"}
	case value[0] == 'I' && len(value) > 1:
		o.mode, o.play = modePlay, []string{"postqueue", "-i", value[1:]}
	case value[0] == 'R' && len(value) > 1, value[0] == 'S' && len(value) > 1:
		o.mode, o.play = modePlay, []string{"postqueue", "-s", value[1:]}
	case '0' <= value[0] && value[0] <= '9':
		o.mode = modeNothing
	default:
		return world.Failf(world.ExitUsage, "-q%s: nothing, an interval, or I with an ID or R with a domain may stand behind -q", value)
	}
	return nil
}

// setNotification takes the parameters of RFC 3461 in.
func (o *options) setNotification(option byte, value string) error {
	switch option {
	case 'N':
		var ok bool
		if o.notify, ok = message.ParseNotify(value); !ok || o.notify == 0 {
			return world.Failf(world.ExitUsage, "-N %s: never is wanted, or some of success, failure and delay with commas between", value)
		}
	case 'R':
		if o.ret = strings.ToUpper(value); o.ret != "FULL" && o.ret != "HDRS" {
			return world.Failf(world.ExitUsage, "-R %s: full or hdrs is wanted", value)
		}
	case 'V':
		if len(value) > 100 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return world.Failf(world.ExitUsage, "-V: at most 100 printable ASCII characters are wanted")
		}
		o.envid = value
	}
	return nil
}

// check tests the options against each other.
func (o *options) check() error {
	switch {
	case o.extract && o.mode != modeSend:
		return world.Failf(world.ExitUsage, "-t is for sending mail alone")
	case o.mode != modeSend && o.mode != modeNothing && len(o.args) > 0:
		return world.Failf(world.ExitUsage, "%s: no recipient is wanted here", o.args[0])
	}
	return nil
}
