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

// wire is the TCP connection underneath everything, TLS included. Every read and write on it has a deadline of ours; go-smtp
// sets none. Only wake and abort may be called from other goroutines.
type wire struct {
	net.Conn
	peer    netip.Addr
	client  string  // host:port of the peer, as it stands in the log
	trusted bool    // the peer is of Config.Trusted
	greeted bool    // the client has seen, or will see, our greeting
	server  *Server // with the settings of the moment when it came in
	limit   *Config
	gone    func(*wire) // called once, when the connection is closed

	// What the present phase allows: one read may take idle, and none may end after until (zero: no such limit).
	idle     time.Duration
	until    time.Time
	overdue  error     // what passing until is called
	stranger time.Time // the end of StrangerTimeout; zero once it does not apply

	body  time.Time // when the present body began; zero outside
	bytes int64     // read since then

	readBy, writeBy time.Time // deadlines as they are set on the connection

	busy    atomic.Bool // a transaction is open, which a shutdown lets finish
	closing atomic.Bool // the server is shutting down
	once    sync.Once
}

func newWire(c net.Conn, peer netip.Addr, server *Server, trusted bool, gone func(*wire)) *wire {
	w := &wire{Conn: c, peer: peer, client: c.RemoteAddr().String(), trusted: trusted, server: server, limit: &server.cfg, gone: gone}
	if !trusted {
		w.stranger = time.Now().Add(w.limit.StrangerTimeout)
	}
	w.awaitCommand()
	return w
}

// awaitCommand begins the phase in which the client may think about its next command.
func (w *wire) awaitCommand() {
	w.idle, w.until, w.overdue = w.limit.IdleTimeout, w.stranger, errStranger
}

// awaitRest begins the phase in which a line, or a TLS handshake, is under way: it must be complete in time.
func (w *wire) awaitRest(within time.Duration) {
	until := time.Now().Add(within)
	if w.stranger.IsZero() || until.Before(w.stranger) {
		w.until, w.overdue = until, errIdle
	}
}

// awaitBody begins the phase in which a body comes in, or goes on with it: BDAT has several parts.
func (w *wire) awaitBody() {
	if w.body.IsZero() {
		w.body, w.bytes = time.Now(), 0
	}
	w.idle, w.until, w.overdue = w.limit.StallTimeout, w.body.Add(w.limit.DataTimeout), errTooSlow
}

// endBody forgets the body's clock.
func (w *wire) endBody() { w.body = time.Time{} }

// welcome lifts the limit for strangers.
func (w *wire) welcome() {
	w.stranger = time.Time{}
	w.awaitCommand()
}

// Read waits within the limits of the present phase. During a shutdown it returns errShutdown unless a transaction is open.
func (w *wire) Read(p []byte) (int, error) {
	for {
		now := time.Now()
		if err := w.expired(now); err != nil {
			return 0, err
		}
		if err := w.extendRead(now); err != nil {
			return 0, err
		}
		// Asked after the deadline was set: whoever sets closing moves the deadline afterwards, so one of both is noticed.
		if w.closing.Load() && !w.busy.Load() {
			return 0, errShutdown
		}
		n, err := w.Conn.Read(p)
		w.bytes += int64(n)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !time.Now().Before(w.readBy) {
			if err := w.expired(time.Now()); err != nil {
				return 0, err
			}
			if !w.body.IsZero() {
				return 0, errTooSlow
			}
			return 0, errIdle
		}
		w.readBy = time.Time{} // woken before its time
	}
}

// expired reports what the client took too long for.
func (w *wire) expired(now time.Time) error {
	if !w.until.IsZero() && !now.Before(w.until) {
		return w.overdue
	}
	if w.body.IsZero() {
		return nil
	}
	if took := now.Sub(w.body); took > rateGrace && w.bytes < int64(took.Seconds())*w.limit.MinRate {
		return errTooSlow
	}
	return nil
}

// extendRead moves the read deadline on when it has come nearer than the phase allows. It is set an eighth too far, so that
// most reads need not touch it.
func (w *wire) extendRead(now time.Time) error {
	least := now.Add(w.idle)
	if !w.until.IsZero() && w.until.Before(least) {
		least = w.until
	}
	most := least.Add(w.idle / 8)
	if !w.until.IsZero() && w.until.Before(most) {
		most = w.until
	}
	if !w.readBy.Before(least) && !w.readBy.After(most) {
		return nil
	}
	w.readBy = most
	return w.Conn.SetReadDeadline(most)
}

// Write gives the client WriteTimeout to take p.
func (w *wire) Write(p []byte) (int, error) {
	if least := time.Now().Add(w.limit.WriteTimeout); w.writeBy.Before(least) {
		w.writeBy = least.Add(w.limit.WriteTimeout / 8)
		if err := w.Conn.SetWriteDeadline(w.writeBy); err != nil {
			return 0, err
		}
	}
	return w.Conn.Write(p)
}

// wake ends a wait for a command at a shutdown.
func (w *wire) wake() {
	w.closing.Store(true)
	w.Conn.SetReadDeadline(time.Unix(1, 0)) // an error means that it is closed already
}

// abort cuts the connection off, whatever happens on it.
func (w *wire) abort() { w.Conn.Close() }

// Close closes the connection and gives its place back.
func (w *wire) Close() error {
	var err error
	w.once.Do(func() {
		err = w.Conn.Close()
		w.gone(w)
	})
	return err
}

// linger bounds how long, and how much, a client may still be sending that was told to go away.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// drain reads what the client was sending while we said our last word. Closing at once would reset the connection, and the
// client might never see that word.
func (w *wire) drain() {
	tcp, ok := w.Conn.(*net.TCPConn)
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
