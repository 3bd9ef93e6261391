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

// listener gives go-smtp the connections of one Serve call, those alone for which there is room.
type listener struct {
	net.Listener
	server     *Server
	ctx        context.Context // of the Serve call
	submitting context.Context // for Submit; outlives ctx until Grace is over
	implicit   bool            // TLS comes before the greeting

	mu   sync.Mutex // guards open
	open map[*transport]bool
}

// acceptPause is the first wait after Accept failed, as it does when there are no file descriptors.
// It doubles up to acceptPauseMax.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// refusalTime bounds how long a refused client may keep Accept.
const refusalTime = 100 * time.Millisecond

// Accept returns the next connection that is let in. It fails when ctx or the listener has ended.
func (l *listener) Accept() (net.Conn, error) {
	for pause := acceptPause; ; {
		c, err := l.Listener.Accept()
		switch {
		case l.ctx.Err() != nil:
			if c != nil {
				c.Close()
			}
			return nil, net.ErrClosed
		case errors.Is(err, net.ErrClosed):
			return nil, fmt.Errorf("accept: %w", err)
		case err != nil:
			l.server.log.Error("accept failed", "err", err, "next", pause,
				"remedy", "where too many files are open, allow more: LimitNOFILE= in the systemd unit, or ulimit -n")
			select {
			case <-time.After(pause):
			case <-l.ctx.Done():
			}
			pause = min(2*pause, acceptPauseMax)
		default:
			pause = acceptPause
			if admitted := l.admit(c); admitted != nil {
				return admitted, nil
			}
		}
	}
}

// admit lets a client in, or tells it in one sentence that there is no room and returns nil.
func (l *listener) admit(c net.Conn) net.Conn {
	peer := gate.Peer(c)
	now := l.server.latest.Load()
	trusted := now.trusts(peer)
	if err := l.server.doors.Enter(gate.Client(peer), trusted); err != nil {
		l.server.refusals.Do(func() {
			l.server.log.Warn("connection refused", "client", c.RemoteAddr().String(), "err", err)
		})
		if !l.implicit {
			c.SetWriteDeadline(time.Now().Add(refusalTime))
			_, _ = c.Write([]byte(line(reply(err)))) // the buffer of a new connection takes a line at once
		}
		c.Close()
		return nil
	}
	t := newTransport(c, peer, now, trusted, l.forget)
	l.mu.Lock()
	l.open[t] = true
	l.mu.Unlock()
	admitted := newConnection(t, l)
	if l.implicit {
		admitted.Conn = tls.Server(t, l.tls(now))
	}
	return admitted
}

// tls is the configuration by the settings of now. A listener that was opened for TLS alone keeps
// the one it had where they name none any more.
func (l *listener) tls(now *Server) *tls.Config {
	if now.cfg.TLS == nil {
		return l.server.cfg.TLS
	}
	return now.cfg.TLS
}

// forget is told of every connection that was closed.
func (l *listener) forget(t *transport) {
	l.server.doors.Leave(gate.Client(t.peer), t.trusted)
	l.mu.Lock()
	delete(l.open, t)
	l.mu.Unlock()
}

// end sends everybody away: at once who is idle, after grace who is not. The caller calls stop when
// all are gone.
func (l *listener) end(grace time.Duration, abandon func()) (stop func()) {
	l.each((*transport).wake)
	late := make(chan struct{})
	timer := time.AfterFunc(grace, func() {
		defer close(late)
		abandon()
		l.each((*transport).abort)
	})
	return func() {
		if !timer.Stop() {
			<-late
		}
	}
}

func (l *listener) each(do func(*transport)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.open {
		do(t)
	}
}
