package sendmail

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/maildrop"
	"dinkymail/message"
)

// send takes a mail from standard input and hands it in.
func (w program) send(ctx context.Context, o *options) error {
	if len(o.args) == 0 && !o.extract {
		return world.Failf(world.ExitUsage, "there is no recipient: give some, or -t for those in the header")
	}
	places := w.places()
	limits := about(places)
	l, err := read(w.In, !o.ignoreDot, limits.MaxMessageBytes)
	if err != nil {
		return err
	}
	defer l.close()
	e, err := w.envelope(o, l, limits)
	kept := ""
	if err == nil {
		_, kept, err = handIn(ctx, places, e, l)
	}
	if err != nil && o.deadLetter {
		return w.bury(err, e, l)
	}
	if err == nil && o.verbose {
		_, err = fmt.Fprintln(w.Out, kept)
	}
	return err
}

// bury keeps a mail that could not be sent where its owner may find it.
func (w program) bury(why error, e message.Envelope, l *letter) error {
	home := w.Getenv("HOME")
	if u, err := w.user(); home == "" && err == nil {
		home = u.HomeDir
	}
	path, err := deadLetter(home, e, l)
	code := world.Status(why, world.ExitSoftware)
	if err != nil {
		return world.Failf(code, "%w; and it is in no dead.letter: %w", why, err)
	}
	return world.Failf(code, "%w; the mail is in %s", why, path)
}

// envelope says from whom the mail is and to whom it goes, and completes its header.
func (w program) envelope(o *options, l *letter, limits maildrop.About) (e message.Envelope, err error) {
	if e.From, err = w.sender(o); err != nil {
		return e, err
	}
	e.Ret, e.ID = o.ret, o.envid
	var to []message.Address
	for _, arg := range o.args {
		list, err := addresses(arg)
		if err == nil && len(list) == 0 {
			err = world.Failf(world.ExitNoUser, "%q is no address", arg)
		}
		if err != nil {
			return e, err
		}
		to = append(to, list...)
	}
	if o.extract {
		list, err := l.recipients()
		if err != nil {
			return e, err
		}
		to = append(to, list...)
	}
	e.UTF8 = e.From.NeedsUTF8()
	seen := map[message.Address]bool{}
	for _, a := range to {
		if !seen[a] {
			seen[a] = true
			e.UTF8 = e.UTF8 || a.NeedsUTF8()
			e.To = append(e.To, message.Recipient{Address: a, Notify: o.notify})
		}
	}
	switch n := len(e.To); {
	case n == 0:
		return e, world.Failf(world.ExitUsage, "there is no recipient in To, Cc or Bcc of the mail")
	case limits.MaxRecipients > 0 && n > limits.MaxRecipients:
		return e, world.Failf(world.ExitUnavailable, "the mail has %d recipients, and one may have %d (MESSAGE_MAX_RECIPIENTS)", n, limits.MaxRecipients)
	}
	return e, w.sign(o.name, e.From, l)
}

// sender is the envelope's: what was given, or the user.
func (w program) sender(o *options) (message.Address, error) {
	if !o.hasSender {
		return w.own("give the sender with -f")
	}
	list, err := addresses(o.sender)
	switch {
	case err != nil:
		return message.Address{}, err
	case len(list) > 1:
		return message.Address{}, world.Failf(world.ExitUsage, "-f %s: one sender is wanted", o.sender)
	case len(list) == 0: // "" and <>
		return message.Address{}, nil
	}
	return list[0], nil
}

// own is the user's address. remedy says what to do where it cannot be one.
func (w program) own(remedy string) (message.Address, error) {
	u, err := w.user()
	if err != nil {
		return message.Address{}, err
	}
	a, err := message.ParseLocalAddress(u.Username)
	if err != nil {
		return a, world.Failf(world.ExitOS, "your user name cannot be an address (%w); %s", err, remedy)
	}
	return a, nil
}

// sign adds From where it is missing.
func (w program) sign(name string, from message.Address, l *letter) error {
	if l.has("from") {
		return nil
	}
	if from.IsNull() {
		var err error
		if from, err = w.own("write a From field"); err != nil {
			return err
		}
	}
	name = cmp.Or(name, w.Getenv("NAME"))
	if u, err := w.user(); name == "" && err == nil {
		name, _, _ = strings.Cut(u.Name, ",")
	}
	l.add("From", message.Mailbox{Name: name, Address: from}.String())
	return nil
}
