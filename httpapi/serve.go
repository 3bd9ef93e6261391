package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// Serve answers requests from ln until ctx ends. Then it takes no more, lets those in flight finish within Config.Grace, cuts
// off the rest and returns nil; nothing of it is left running. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		DisableGeneralOptionsHandler: true, // it would wait for a body
		// What net/http has to say is about broken clients: port scanners, resets, bad TLS.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s.run(ctx, server, ln, s.limited(ln))
}

// run serves limited, which is ln with limits, until ctx ends.
func (s *Server) run(ctx context.Context, server *http.Server, ln, limited net.Listener) error {
	served, failed := make(chan struct{}), error(nil)
	go func() {
		defer close(served)
		failed = server.Serve(limited)
	}()
	select {
	case <-served:
		_ = server.Close()
		return fmt.Errorf("serve http on %s: %w", ln.Addr(), failed)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.latest.Load().cfg.Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.log.Warn("requests cut off at shutdown", "err", err)
		_ = server.Close()
	}
	_ = ln.Close() // Shutdown does not know of it when Serve has not come so far yet
	<-served
	return nil
}
