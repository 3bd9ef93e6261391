package smtp

import (
	"fmt"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/message"
	"dinkymail/queue"
)

// transaction is a mail under way. Once its body begins, nothing in it changes any more.
type transaction struct {
	envelope message.Envelope
	known    map[message.Address]bool // recipients by address, made once there are several
	asked    int                      // RCPT commands, those that name a recipient again included
	trace    message.Trace
}

// manyRecipients is where looking through the list becomes slower than a map.
const manyRecipients = 16

func (tx *transaction) add(r message.Recipient, most int) error {
	to := tx.envelope.To
	tx.asked++
	switch {
	case r.NeedsUTF8() && !tx.envelope.UTF8:
		return errUTF8
	case strings.ContainsFunc(r.Original, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 }):
		return fmt.Errorf("%w: malformed ORCPT", errParameter)
	case tx.asked > 2*most:
		return queue.ErrTooManyRecipients
	case tx.has(r.Address):
		return nil
	case len(to) >= most:
		return queue.ErrTooManyRecipients
	}
	tx.envelope.To = append(to, r)
	if tx.known != nil {
		tx.known[r.Address] = true
	}
	return nil
}

func (tx *transaction) has(a message.Address) bool {
	if tx.known == nil && len(tx.envelope.To) >= manyRecipients {
		tx.known = make(map[message.Address]bool)
		for _, r := range tx.envelope.To {
			tx.known[r.Address] = true
		}
	}
	if tx.known != nil {
		return tx.known[a]
	}
	for _, r := range tx.envelope.To {
		if r.Address == a {
			return true
		}
	}
	return false
}

// notify translates NOTIFY, whose words go-smtp has checked.
func notify(words []gosmtp.DSNNotify) (n message.Notify) {
	for _, w := range words {
		switch w {
		case gosmtp.DSNNotifyNever:
			n |= message.NotifyNever
		case gosmtp.DSNNotifySuccess:
			n |= message.NotifySuccess
		case gosmtp.DSNNotifyFailure:
			n |= message.NotifyFailure
		case gosmtp.DSNNotifyDelayed:
			n |= message.NotifyDelay
		}
	}
	return n
}

// original puts ORCPT together again.
func original(o *gosmtp.RcptOptions) string {
	if o.OriginalRecipient == "" {
		return ""
	}
	return strings.ToLower(string(o.OriginalRecipientType)) + ";" + o.OriginalRecipient
}
