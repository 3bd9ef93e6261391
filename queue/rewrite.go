package queue

// rewrite lets the Rewriter say whom a submission is really from and to. What the sender was is kept in the header.
func (q *Queue) rewrite(s *Submission) {
	r := q.cfg.Rewriter
	if r == nil {
		return
	}
	s.Envelope.To = r.Recipients(s.Envelope.To)
	if from := r.Sender(s.Envelope.From); from != s.Envelope.From {
		s.Trace.Sender = s.Envelope.From.String()
		s.Envelope.From = from
	}
	s.Trace.From = r.From
}
