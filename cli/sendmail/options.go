package sendmail

import (
	"strings"

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
	modeMailq
	modeAliases
	modeFlush
	modeNothing
	modeHelp
)

// options is a command line, understood.
type options struct {
	mode       mode
	flush      []string // arguments for postqueue
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

// The options that have a value behind them, be it in the next argument, and those that have none. -q and -d have one only in the
// same argument.
const (
	valued = "ABCDFLMNORVXbefhopr"
	flags  = "GIUTacimnstvxqd"
)

// parse understands a command line as GNU's getopt does: options may stand together, and behind recipients; -- ends them.
func parse(args []string) (*options, error) {
	o := &options{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			o.args = append(o.args, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			o.args = append(o.args, arg)
			continue
		}
		if arg == "--help" {
			return &options{mode: modeHelp}, nil
		}
		for cluster := arg[1:]; cluster != ""; {
			option := cluster[0]
			cluster = cluster[1:]
			value := ""
			switch {
			case option == 'q' || option == 'd':
				value, cluster = cluster, ""
			case strings.IndexByte(flags, option) >= 0:
			case strings.IndexByte(valued, option) < 0:
				return nil, failf(exitUsage, "there is no option -%c; sendmail --help lists those there are", option)
			case cluster != "":
				value, cluster = cluster, ""
			case len(args) == 0:
				return nil, failf(exitUsage, "the option -%c needs something behind it", option)
			default:
				value, args = args[0], args[1:]
			}
			if err := o.set(option, value); err != nil {
				return nil, err
			}
		}
	}
	return o, o.check()
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
		o.mode = modeAliases
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
			return failf(exitUsage, "-B %s: 7BIT or 8BITMIME is wanted", value)
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
		o.mode = modeMailq
	case "i":
		o.mode = modeAliases
	case "h", "H":
		o.mode = modeNothing
	case "d", "D", "l":
		return failf(exitUsage, "-b%s: the appliance is started with systemctl start dinkymail, or dinkymail serve", value)
	case "v", "t":
		return failf(exitUnavailable, "-b%s: checking an address without sending is not supported; "+
			"dinkymail doctor ADDRESS tries one", value)
	default:
		return failf(exitUsage, "-b%s: there is no such mode; sendmail --help lists those there are", value)
	}
	return nil
}

// setFlush takes -q in. An interval is for a daemon, which the appliance is by itself.
func (o *options) setFlush(value string) error {
	switch {
	case value == "":
		o.mode, o.flush = modeFlush, []string{"-f"}
	case value[0] == 'I' && len(value) > 1:
		o.mode, o.flush = modeFlush, []string{"-i", value[1:]}
	case value[0] == 'R' && len(value) > 1, value[0] == 'S' && len(value) > 1:
		o.mode, o.flush = modeFlush, []string{"-s", value[1:]}
	case '0' <= value[0] && value[0] <= '9':
		o.mode = modeNothing
	default:
		return failf(exitUsage, "-q%s: nothing, an interval, or I with an ID or R with a domain may stand behind -q", value)
	}
	return nil
}

// setNotification takes the parameters of RFC 3461 in.
func (o *options) setNotification(option byte, value string) error {
	words := map[string]message.Notify{"never": message.NotifyNever, "success": message.NotifySuccess,
		"failure": message.NotifyFailure, "delay": message.NotifyDelay}
	switch option {
	case 'N':
		o.notify = 0
		for word := range strings.SplitSeq(strings.ToLower(value), ",") {
			n, known := words[strings.TrimSpace(word)]
			if o.notify |= n; !known || o.notify&message.NotifyNever != 0 && o.notify != message.NotifyNever {
				return failf(exitUsage, "-N %s: never is wanted, or some of success, failure and delay with commas between", value)
			}
		}
	case 'R':
		if o.ret = strings.ToUpper(value); o.ret != "FULL" && o.ret != "HDRS" {
			return failf(exitUsage, "-R %s: full or hdrs is wanted", value)
		}
	case 'V':
		if len(value) > 100 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return failf(exitUsage, "-V: at most 100 printable ASCII characters are wanted")
		}
		o.envid = value
	}
	return nil
}

// check tests the options against each other.
func (o *options) check() error {
	switch {
	case o.extract && o.mode != modeSend:
		return failf(exitUsage, "-t is for sending mail alone")
	case o.mode != modeSend && o.mode != modeNothing && len(o.args) > 0:
		return failf(exitUsage, "%s: no recipient is wanted here", o.args[0])
	}
	return nil
}
