// Package sendmail is the program that everything on a Unix machine sends its mail with: cron,
// PHP's mail(), git send-email, mutt, mailx, logwatch.
//
// # What it promises
//
// Exit status 0 means that the mail is on the disk: accepted by the appliance, or, while that is
// down or pauses, left in the maildrop of SUBMIT_DIR, where the appliance picks it up. It is
// accepted once, also when the appliance dies at the moment of its answer. Otherwise one sentence
// on standard error says what is wrong, and the exit status is one of sysexits.h:
//
//	64  wrong usage, or no recipient at all
//	65  something is wrong with the mail: its header is too long, or it goes in circles
//	67  an address that is none
//	69  the appliance refuses the mail for good, such as one that is too large; or what is asked for does not exist here
//	70  a mistake of this program
//	71  the system does not say who the user is, or has no room for temporary files
//	74  standard input cannot be read
//	75  not now: the queue is full, or neither the appliance nor a maildrop is there
//	77  this user is not in SUBMIT_GROUP
//
// With -bs it means that every mail of the conversation was accepted, but for those that RSET gave
// up, or that there was none: whoever only looks at the status must not take one for sent that was
// refused, cut off, or never ended by CR LF "." CR LF.
//
// With -oem, as cron has it, a mail that cannot be handed in is appended to dead.letter in the
// user's home directory.
//
// # What is done to a mail
//
// Line ends become CRLF. NUL bytes, and CR bytes that end no line, become spaces, which an
// X-Dinkymail-Note field then tells. A line in the header that is no field begins the body. An mbox
// line (From ada Sun Nov 22 …) before the header is dropped. Without From there comes one, of the
// sender and the user's full name. All else is done by the appliance: Date and Message-ID, taking
// Bcc out, aliases, addresses without a domain.
//
// With -t the recipients are those of To, Cc and Bcc, and those on the command line as well, as
// with Postfix. In a mail that was resent, Resent-To, Resent-Cc and Resent-Bcc of the latest
// resending take the place of the others (RFC 5322, 3.6.6).
//
// # Where the appliance is
//
// In $DINKYMAIL_SUBMIT_DIR if that is set. Otherwise in SUBMIT_DIR, where this user may read the
// settings; in data/submit beside the binary; in /var/lib/dinkymail/submit. For root and the
// appliance's own user, the control socket does as well.
package sendmail

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"

	"dinkymail/cli/world"
)

// program is the program as it runs.
type program struct{ world.World }

// Run does what args say, which do not have the program's name, and returns the exit status. name
// is what it was called by.
func Run(ctx context.Context, name string, args []string, w world.World) int {
	o, err := parse(args)
	if err == nil {
		err = program{w}.run(ctx, o)
	}
	if err == nil {
		return 0
	}
	code := world.Status(err, world.ExitSoftware)
	if !world.Said(err) {
		fmt.Fprintf(w.Err, "%s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return code
}

// run does it.
func (w program) run(ctx context.Context, o *options) error {
	switch o.mode {
	case modeHelp:
		_, err := io.WriteString(w.Out, help)
		return err
	case modeSMTP:
		return w.talk(ctx, o)
	case modePlay:
		return world.Ended(w.Play(ctx, o.play[0], o.play[1:]...))
	case modeNothing:
		return nil
	default:
		return w.send(ctx, o)
	}
}

// user is who runs the program.
func (w program) user() (*user.User, error) {
	if w.User != nil {
		return w.User, nil
	}
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return nil, world.Failf(world.ExitOS, "the system does not say who you are; give the sender with -f")
	}
	return u, nil
}
