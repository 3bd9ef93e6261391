package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"sync"
)

// What is different on Unix sockets.
const (
	socketHeader  = 1 << 20 // bytes of a request's header, in which the recipients of a letter stand
	socketPerUser = 100     // connections at a time; root has no limit
)

// ServeControl is Serve with the operator's part, for the control socket. An answer may take as long as it likes; one that
// follows what happens ends when ctx does. What may be done is the file system's choice: whoever can open the socket may do
// everything.
func (s *Server) ServeControl(ctx context.Context, ln net.Listener) error {
	return s.run(ctx, s.socketServer(ctx, s.Control()), ln, newPeerListener(ln))
}

// ServeSubmit takes mail in from users of this machine and does nothing else, for the submit socket. Who hands a mail in is what
// the kernel says of the connection.
func (s *Server) ServeSubmit(ctx context.Context, ln net.Listener) error {
	server := s.socketServer(ctx, s.submitDoor())
	server.ReadTimeout = s.cfg.ReadTimeout
	return s.run(ctx, server, ln, newPeerListener(ln))
}

func (s *Server) socketServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    socketHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), stoppingKey{}, ctx.Done())
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if p, ok := c.(*peerConn); ok {
				return context.WithValue(ctx, uidKey{}, p.uid)
			}
			return ctx
		},
	}
}

type (
	stoppingKey struct{} // → a channel that is closed when the server begins to stop
	uidKey      struct{} // → the user at the other end of a socket
	callerKey   struct{} // → the caller, where the listener tells who that is
)

// stopping is closed when the server that a request came to begins to stop; nil where it never does.
func stopping(r *http.Request) <-chan struct{} {
	c, _ := r.Context().Value(stoppingKey{}).(<-chan struct{})
	return c
}

// as makes everybody who comes through a caller of this rank, named as the kernel names it.
func as(rank rank) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := caller{rank: rank, address: "unix"}
			if uid, ok := r.Context().Value(uidKey{}).(int); ok && uid >= 0 {
				who.address = "unix:" + strconv.Itoa(uid)
				who.user = userName(uid)
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
		})
	}
}

// userName is the name of a user of this machine; its number where it has none.
func userName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil && u.Username != "" {
		return u.Username
	}
	return number
}

// nobodyKnown is the uid of a peer of whom the system does not tell.
const nobodyKnown = -1

// peerListener finds out who connects to a Unix socket, and closes the connection of whoever has too many.
type peerListener struct {
	net.Listener

	mu    sync.Mutex // guards users
	users map[int]int
}

func newPeerListener(ln net.Listener) *peerListener {
	return &peerListener{Listener: ln, users: map[int]int{}}
}

// Accept returns the next connection of somebody who may have one more.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid := peerOf(c)
		if l.enter(uid) {
			return &peerConn{limitedConn: limitedConn{Conn: c, leave: func() { l.leave(uid) }}, uid: uid}, nil
		}
		_ = c.Close()
	}
}

func (l *peerListener) enter(uid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uid != 0 && l.users[uid] >= socketPerUser {
		return false
	}
	l.users[uid]++
	return true
}

func (l *peerListener) leave(uid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users[uid]--; l.users[uid] <= 0 {
		delete(l.users, uid)
	}
}

// peerConn is a connection and whose it is.
type peerConn struct {
	limitedConn
	uid int
}
