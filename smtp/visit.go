package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"dinkymail/internal/gate"
)

// A visit is one Serve call: its connections, and their way to go-smtp, for which it is the net.Listener.
type visit struct {
	server *Server
	ctx    context.Context // for Submit; outlives the Serve call's own until Grace is over
	addr   net.Addr
	talks  chan net.Conn

	mu    sync.Mutex // guards the fields below
	wires map[*wire]bool
	here  int           // connections, and bodies on their way to the Submitter
	empty chan struct{} // set at the end, closed once here is zero
	shut  bool

	done chan struct{} // closed by Close
	once sync.Once
}

func newVisit(ctx context.Context, s *Server, addr net.Addr) *visit {
	return &visit{
		server: s, ctx: ctx, addr: addr,
		talks: make(chan net.Conn),
		wires: make(map[*wire]bool),
		done:  make(chan struct{}),
	}
}

// acceptPause is the first wait after Accept failed, as it does when there are no file descriptors; it doubles up to
// acceptPauseMax.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// accept takes connections in until ctx ends.
func (v *visit) accept(ctx context.Context, ln net.Listener, implicit bool) error {
	pause := acceptPause
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if c != nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil:
			v.server.log.Error("accept failed", "err", err, "next", pause,
				"remedy", "where too many files are open, allow more: LimitNOFILE= in the systemd unit, or ulimit -n")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, acceptPauseMax)
		default:
			pause = acceptPause
			v.admit(c, implicit)
		}
	}
}

// admit lets a client in, or tells it in one sentence that there is no place.
func (v *visit) admit(c net.Conn, implicit bool) {
	peer := gate.Peer(c)
	now := v.server.latest.Load()
	trusted := now.trusts(peer)
	if err := v.server.doors.Enter(gate.Client(peer), trusted); err != nil {
		v.server.refusals.Do(func() {
			v.server.log.Warn("connection refused", "client", c.RemoteAddr().String(), "err", err)
		})
		if !implicit {
			c.SetWriteDeadline(time.Now().Add(refusalTime))
			_, _ = c.Write([]byte(line(reply(err)))) // the buffer of a new connection takes a line at once
		}
		c.Close()
		return
	}
	w := newWire(c, peer, now, trusted, v.forget)
	v.mu.Lock()
	v.wires[w] = true
	v.here++
	v.mu.Unlock()
	if implicit {
		_ = v.startTLS(w)
		return
	}
	v.hand(newTalk(w, w, v))
}

// refusalTime bounds how long a refused client may keep the accept loop.
const refusalTime = 100 * time.Millisecond

// startTLS goes on with a connection under TLS: a conversation of its own that knows nothing of what came before.
func (v *visit) startTLS(w *wire) error {
	config := w.server.cfg.TLS
	if config == nil {
		config = v.server.cfg.TLS // this door was opened with one
	}
	t := newTalk(tls.Server(w, config), w, v)
	t.body.quiet = w.greeted
	v.hand(t)
	return nil
}

// hand gives a connection to go-smtp.
func (v *visit) hand(t *talk) {
	t.wire.greeted = true
	select {
	case v.talks <- t:
	case <-v.done:
		_ = t.wire.Close()
	}
}

// forget is told of every connection that was closed.
func (v *visit) forget(w *wire) {
	v.server.doors.Leave(gate.Client(w.peer), w.trusted)
	v.mu.Lock()
	delete(v.wires, w)
	v.mu.Unlock()
	v.leave()
}

// enter counts a body on its way to the Submitter; false when nobody would wait for it any more.
func (v *visit) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		return false
	}
	v.here++
	return true
}

func (v *visit) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.here--
	v.check()
}

// check ends the visit when it should end and nobody is left. The caller holds mu.
func (v *visit) check() {
	if v.empty != nil && v.here == 0 && !v.shut {
		v.shut = true
		close(v.empty)
	}
}

// end sends everybody away: at once who is idle, after grace who is not. It returns when all are gone.
func (v *visit) end(grace time.Duration, abandon func()) {
	v.mu.Lock()
	v.empty = make(chan struct{})
	v.check()
	for w := range v.wires {
		w.wake()
	}
	v.mu.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-v.empty:
		return
	case <-timer.C:
	}
	abandon()
	v.mu.Lock()
	for w := range v.wires {
		w.abort()
	}
	v.mu.Unlock()
	<-v.empty
}

// Accept is for go-smtp.
func (v *visit) Accept() (net.Conn, error) {
	select {
	case t := <-v.talks:
		return t, nil
	case <-v.done:
		return nil, net.ErrClosed
	}
}

// Addr is the address of the listener that the connections come from.
func (v *visit) Addr() net.Addr { return v.addr }

// Close ends Accept.
func (v *visit) Close() error {
	v.once.Do(func() { close(v.done) })
	return nil
}
