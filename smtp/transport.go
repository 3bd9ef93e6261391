package smtp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A body is not measured against Config.MinRate during its first minute.
const rateGrace = time.Minute

// transport is the TCP connection underneath everything, TLS included. Every read and write on it
// has a deadline of ours; go-smtp sets none. Only wake and abort may be called from other
// goroutines.
type transport struct {
	net.Conn
	peer    netip.Addr
	client  string  // host:port of the peer, as it stands in the log
	trusted bool    // the peer is of Config.Trusted
	server  *Server // with the settings of the moment when it came in
	limit   *Config
	gone    func(*transport) // called once, when the connection is closed

	// What the present phase allows: one read may take idle, and none may end after until (zero: no
	// such limit).
	idle    time.Duration
	until   time.Time
	overdue error     // what passing until is called
	loginBy time.Time // the end of UnauthenticatedTimeout; zero once it does not apply

	body  time.Time // when the present body began; zero outside
	bytes int64     // read since then

	readBy, writeBy time.Time // deadlines as they are set on the connection

	busy    bool        // a transaction is open, which a shutdown lets finish
	closing atomic.Bool // the server is shutting down
	once    sync.Once
}

func newTransport(c net.Conn, peer netip.Addr, server *Server, trusted bool, gone func(*transport)) *transport {
	t := &transport{
		Conn: c, peer: peer, client: c.RemoteAddr().String(), trusted: trusted,
		server: server, limit: &server.cfg, gone: gone,
	}
	if !trusted {
		t.loginBy = time.Now().Add(t.limit.UnauthenticatedTimeout)
	}
	t.awaitCommand()
	return t
}

// awaitCommand begins the phase in which the client may think about its next command.
func (t *transport) awaitCommand() {
	t.idle, t.until, t.overdue = t.limit.IdleTimeout, t.loginBy, errUnauthenticated
}

// awaitRest begins the phase in which a line, or a TLS handshake, is under way: it must be complete
// in time.
func (t *transport) awaitRest(within time.Duration) {
	until := time.Now().Add(within)
	if t.loginBy.IsZero() || until.Before(t.loginBy) {
		t.until, t.overdue = until, errIdle
	}
}

// awaitBody begins the phase in which a body comes in, or goes on with it: BDAT has several parts.
func (t *transport) awaitBody() {
	if t.body.IsZero() {
		t.body, t.bytes = time.Now(), 0
	}
	t.idle, t.until, t.overdue = t.limit.StallTimeout, t.body.Add(t.limit.DataTimeout), errTooSlow
}

// endBody forgets the body's clock.
func (t *transport) endBody() { t.body = time.Time{} }

// welcome lifts the limit for those who have not logged in.
func (t *transport) welcome() {
	t.loginBy = time.Time{}
	t.awaitCommand()
}

// Read waits within the limits of the present phase. During a shutdown it returns errShutdown
// unless a transaction is open.
func (t *transport) Read(p []byte) (int, error) {
	for {
		now := time.Now()
		if err := t.expired(now); err != nil {
			return 0, err
		}
		if err := t.extendRead(now); err != nil {
			return 0, err
		}
		// Asked after the deadline was set: whoever sets closing moves the deadline afterwards, so
		// one of both is noticed.
		if t.closing.Load() && !t.busy {
			return 0, errShutdown
		}
		n, err := t.Conn.Read(p)
		t.bytes += int64(n)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !time.Now().Before(t.readBy) {
			if err := t.expired(time.Now()); err != nil {
				return 0, err
			}
			if !t.body.IsZero() {
				return 0, errTooSlow
			}
			return 0, errIdle
		}
		t.readBy = time.Time{} // woken before its time
	}
}

// expired reports what the client took too long for.
func (t *transport) expired(now time.Time) error {
	if !t.until.IsZero() && !now.Before(t.until) {
		return t.overdue
	}
	if t.body.IsZero() {
		return nil
	}
	if took := now.Sub(t.body); took > rateGrace && t.bytes < int64(took.Seconds())*t.limit.MinRate {
		return errTooSlow
	}
	return nil
}

// extendRead moves the read deadline on when it has come nearer than the phase allows. It is set an
// eighth too far, so that most reads need not touch it.
func (t *transport) extendRead(now time.Time) error {
	least := now.Add(t.idle)
	if !t.until.IsZero() && t.until.Before(least) {
		least = t.until
	}
	most := least.Add(t.idle / 8)
	if !t.until.IsZero() && t.until.Before(most) {
		most = t.until
	}
	if !t.readBy.Before(least) && !t.readBy.After(most) {
		return nil
	}
	t.readBy = most
	return t.Conn.SetReadDeadline(most)
}

// Write gives the client WriteTimeout to take p.
func (t *transport) Write(p []byte) (int, error) {
	if least := time.Now().Add(t.limit.WriteTimeout); t.writeBy.Before(least) {
		t.writeBy = least.Add(t.limit.WriteTimeout / 8)
		if err := t.Conn.SetWriteDeadline(t.writeBy); err != nil {
			return 0, err
		}
	}
	return t.Conn.Write(p)
}

// wake ends a wait for a command at a shutdown.
func (t *transport) wake() {
	t.closing.Store(true)
	t.Conn.SetReadDeadline(time.Unix(1, 0)) // an error means that it is closed already
}

// abort cuts the connection off, whatever happens on it.
func (t *transport) abort() { t.Conn.Close() }

// Close closes the connection and gives its place back.
func (t *transport) Close() error {
	var err error
	t.once.Do(func() {
		err = t.Conn.Close()
		t.gone(t)
	})
	return err
}

// A client that was told to go away may still be sending for so long, and so much.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// drain reads what the client was sending while we said our last word. Closing at once would reset
// the connection, and the client might never see that word.
func (t *transport) drain() {
	tcp, ok := t.Conn.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil || tcp.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	var scrap [4096]byte
	for total := 0; total < lingerBytes; {
		n, err := tcp.Read(scrap[:])
		if err != nil {
			return
		}
		total += n
	}
}
