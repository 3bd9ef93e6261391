// Package web serves HTTP safely, whatever is served, and asks safely: what doors share of
// answering, and a client for TCP and Unix sockets.
//
// # What it promises
//
// Every request has a time and a header size within which it must stay. A body that nobody needs is
// not waited for. A panic costs its own request only. Once told to end, Serve lets requests in
// flight finish within a time and cuts off the rest.
//
// # Who runs where
//
// Serve blocks; net/http runs a goroutine per connection. When Serve has returned, none of them is
// left.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits are what a client may use up. A zero time has no end.
type Limits struct {
	HeaderTimeout  time.Duration        // for the request line and header
	ReadTimeout    time.Duration        // for a whole request
	WriteTimeout   time.Duration        // from the end of the header to the end of the answer
	IdleTimeout    time.Duration        // between requests
	MaxHeaderBytes int                  // of a request
	Grace          func() time.Duration // for requests in flight once Serve is told to end, asked then
}

// Socket are the limits of a Unix socket. An answer may take as long as it likes, and the
// recipients of some 15,000 addresses fit into a header.
func Socket(grace func() time.Duration) Limits {
	return Limits{HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 20, Grace: grace}
}

// Serve answers requests from ln until ctx ends. Then it takes no more, lets those in flight finish
// within their Grace, cuts off the rest and returns nil; nothing of it is left running. It closes
// ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, limits Limits, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.HeaderTimeout,
		ReadTimeout:       limits.ReadTimeout,
		WriteTimeout:      limits.WriteTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    limits.MaxHeaderBytes,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), stoppingKey{}, ctx.Done())
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		DisableGeneralOptionsHandler: true, // it would wait for a body
		// What net/http has to say is about broken clients: port scanners, resets, bad TLS.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served, failed := make(chan struct{}), error(nil)
	go func() {
		defer close(served)
		failed = server.Serve(ln)
	}()
	select {
	case <-served:
		_ = server.Close()
		return fmt.Errorf("serve http on %s: %w", ln.Addr(), failed)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Grace())
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("requests cut off at shutdown", "err", err)
		_ = server.Close()
	}
	_ = ln.Close() // Shutdown does not know of it when Serve has not come so far yet
	<-served
	return nil
}

type (
	stoppingKey struct{} // → a channel that is closed when the server begins to stop
	connKey     struct{} // → the connection
)

// Stopping is closed when the server that a request came to begins to stop; nil where it never
// does.
func Stopping(r *http.Request) <-chan struct{} {
	c, _ := r.Context().Value(stoppingKey{}).(<-chan struct{})
	return c
}

// Conn is the connection that a request came over, as the listener returned it; nil where there is
// none.
func Conn(r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}

// User is who is at the other end of a Unix socket, as gate.UserConn tells: the name, empty where
// that is not known, and how a log names the connection.
func User(r *http.Request) (name, address string) {
	if c, ok := Conn(r).(interface{ User() (name, address string) }); ok {
		return c.User()
	}
	return "", "unix"
}
