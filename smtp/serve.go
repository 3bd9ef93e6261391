package smtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
)

// Serve takes mail from the connections of ln, with STARTTLS if there is Config.TLS, until ctx ends
// or ln fails; it closes ln. After the end of ctx, clients without a transaction get 421, those
// with one have Config.Grace to finish it, and then Serve returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.serve(ctx, ln, false)
}

// ServeTLS is Serve with TLS from the first byte (RFC 8314, 3.3). It fails at once without
// Config.TLS.
func (s *Server) ServeTLS(ctx context.Context, ln net.Listener) error {
	if s.cfg.TLS == nil {
		ln.Close()
		return errors.New("smtp: no certificate to serve TLS with")
	}
	return s.serve(ctx, ln, true)
}

func (s *Server) serve(ctx context.Context, ln net.Listener, implicit bool) error {
	submitting, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	l := &listener{Listener: ln, server: s, ctx: ctx, submitting: submitting, implicit: implicit, open: map[*transport]bool{}}
	library := s.library()
	stopListening := context.AfterFunc(ctx, func() { ln.Close() })
	err := library.Serve(l)
	stopListening()
	ln.Close()
	stop := l.end(s.latest.Load().cfg.Grace, abandon)
	_ = library.Shutdown(submitting) // waits for its goroutines; the listener is closed already
	stop()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// library is a go-smtp server that keeps its hands off everything that connection and session do.
func (s *Server) library() *gosmtp.Server {
	g := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		return c.Conn().(*connection).session, nil
	}))
	g.MaxMessageBytes = 0 // session bounds mails, by settings that may change
	g.MaxLineLength = 0   // connection bounds command lines
	g.EnableSMTPUTF8 = true
	g.EnableDSN = true
	g.ErrorLog = libraryLog{s.log}
	return g
}

// libraryLog takes what go-smtp has to say: panics are for somebody to look at, lost connections
// are not.
type libraryLog struct{ log *slog.Logger }

// Printf logs one event.
func (l libraryLog) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic") {
		l.log.Error("panic in a connection", "err", fmt.Sprintf(format, v...))
		return
	}
	l.log.Debug("connection ended", "err", fmt.Sprintf(format, v...))
}

// Println logs one event.
func (l libraryLog) Println(v ...any) { l.log.Debug("connection ended", "err", fmt.Sprint(v...)) }
