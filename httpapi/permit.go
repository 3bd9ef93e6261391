package httpapi

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"dinkymail/account"
	"dinkymail/message"
	"dinkymail/operate"
)

// visitorRecipients is how many addresses one mail of a visitor may have, all of them the owner's.
const visitorRecipients = 10

// permit checks that who may send this mail, and sets its sender. from is what the caller asked
// for, nil if nothing.
func (s *Server) permit(d *message.Draft, from *message.Mailbox, q *request, who caller) error {
	if who.rank == visitor {
		return s.permitVisitor(d, from, q, who)
	}
	d.From = s.cfg.DefaultFrom
	if from != nil {
		d.From = *from
	}
	switch {
	case d.From.Address.IsNull():
		return refuse(operate.CodeMissingFrom, "Sender (from) is required, because DEFAULT_FROM is not set.")
	case who.user.MaySendAs(d.From.Address):
		return nil
	case who.rank == application && from == nil:
		return refuse(operate.CodeSender, fmt.Sprintf("The key %q may not send from DEFAULT_FROM (%s): "+
			"give from, or add the address to the key in API_KEYS.", who.user.Name, d.From.Address))
	case who.rank == application:
		return refuse(operate.CodeSender, fmt.Sprintf("The key %q may not send from %s: add the address to the key in API_KEYS.",
			who.user.Name, d.From.Address))
	default:
		return refuse(operate.CodeSender,
			fmt.Sprintf("Without an API key mail may be sent from your own domain only, not from %s: "+
				"see MAIL_DOMAIN and API_KEYS.", d.From.Address))
	}
}

// permitVisitor makes the mail one from the appliance to its owner, which the owner can answer.
func (s *Server) permitVisitor(d *message.Draft, from *message.Mailbox, q *request, who caller) error {
	switch {
	case len(q.Headers) > 0:
		return refuse(operate.CodeField, "A visitor may not set headers; a caller with a key from API_KEYS may.")
	case q.SendAt != "":
		return refuse(operate.CodeField, "A visitor may not set send_at; a caller with a key from API_KEYS may.")
	}
	all := 0
	for _, boxes := range [...][]message.Mailbox{d.To, d.Cc, d.Bcc} {
		for _, b := range boxes {
			if err := s.callers.mayWrite(b.Address, who); err != nil {
				return err
			}
			all++
		}
	}
	if all > visitorRecipients {
		return refuse(operate.CodeManyRecipients, fmt.Sprintf("A visitor may write to at most %d addresses at once.",
			visitorRecipients))
	}
	d.From = s.cfg.DefaultFrom
	if d.From.Address.IsNull() {
		return refuse(operate.CodeMissingFrom, "This appliance cannot send form mail, because DEFAULT_FROM is not set.")
	}
	if from != nil && len(d.ReplyTo) == 0 && from.Address != d.From.Address {
		d.ReplyTo = []message.Mailbox{*from}
	}
	return nil
}

// mayWrite checks that a visitor may write to an address. A domain of FORM_RECIPIENTS covers plain
// local parts only: the servers behind us read others in ways of their own, and the mail would go
// to a stranger.
func (c *callers) mayWrite(to message.Address, who caller) error {
	switch {
	case c.form.Names(to), c.form.Has(to) && (account.Plain(to.Local) || account.Same(to, c.cfg.DefaultTo.Address)):
		return nil
	case c.form.Has(to):
		return refuse(operate.CodeRecipient, fmt.Sprintf("A visitor may not write to %s: before the @ there is something other than "+
			"letters, digits and . _ + = -. Name this very address in FORM_RECIPIENTS to allow it.", to))
	}
	return refuse(operate.CodeRecipient, fmt.Sprintf("A visitor may not write to %s: only to the addresses in FORM_RECIPIENTS. "+
		"The caller counts as a visitor because it shows no key from API_KEYS and %s.", to, who.why))
}

// tlsOf is how the Received field names a connection's encryption.
func tlsOf(r *http.Request) string {
	if r.TLS == nil {
		return ""
	}
	return tls.VersionName(r.TLS.Version) + " " + tls.CipherSuiteName(r.TLS.CipherSuite)
}
