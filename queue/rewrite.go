package queue

import (
	"fmt"
	"slices"

	"dinkymail/message"
)

// rewrite lets the Rewriter say whom a submission is really from and to. What the sender was is
// kept in the header. A mail without From is from its sender. The error is ErrNoMailbox for a
// recipient without a domain whom nobody knows.
func (q *Queue) rewrite(s *Submission) error {
	if r := q.cfg().Rewriter; r != nil {
		s.Envelope.To = r.Recipients(s.Envelope.To)
		if from := r.Sender(s.Envelope.From); from != s.Envelope.From {
			s.Trace.Sender = s.Envelope.From.String()
			s.Envelope.From = from
		}
		s.Trace.From = r.From
	}
	if err := q.complete(&s.Envelope); err != nil {
		return err
	}
	s.Trace.Author = message.Mailbox{Address: s.Envelope.From}
	if s.Envelope.From.IsNull() {
		s.Trace.Author = q.cfg().Author
	}
	return nil
}

// complete gives addresses without a domain ours. With a Rewriter, recipients have had their chance
// to be somebody; captured mail is kept whoever it is for.
func (q *Queue) complete(e *message.Envelope) error {
	if !e.From.IsNull() && e.From.Domain == "" {
		e.From.Domain = q.cfg().Domain
	}
	owned := false
	for i, r := range e.To {
		if r.Address.Domain != "" {
			continue
		}
		if q.cfg().Rewriter != nil && !q.cfg().Capture {
			return fmt.Errorf("%w: %s", ErrNoMailbox, r.Address)
		}
		if !owned {
			e.To, owned = slices.Clone(e.To), true
		}
		e.To[i].Address.Domain = q.cfg().Domain
	}
	return nil
}
