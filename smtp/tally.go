package smtp

import "sync/atomic"

// Tally counts what became of the mails that clients began.
type Tally struct {
	Begun    int64 // with MAIL, also where that was refused
	Accepted int64
	GivenUp  int64 // by the client, with RSET, HELO or EHLO
	Refused  int64 // commands
}

// tally is a Tally as it grows.
type tally struct{ begun, accepted, givenUp, refused atomic.Int64 }

// Tally is what has happened so far on all connections.
func (s *Server) Tally() Tally {
	t := &s.tally
	return Tally{Begun: t.begun.Load(), Accepted: t.accepted.Load(), GivenUp: t.givenUp.Load(), Refused: t.refused.Load()}
}
