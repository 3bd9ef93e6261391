// Package smtptest is the next hop that tests talk to: an SMTP server on loopback that keeps what
// it was given and, told by a script, refuses, stalls, lies or hangs up at any point of the
// conversation.
//
//	hop := smtptest.New(t, smtptest.Config{})
//	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "bob@example.org", Answer: smtptest.Reply("550 5.1.1 no such user")})
//	… deliver to hop.Host(), hop.Port() …
//	got := hop.Wait(1, 10*time.Second)
//
// # What it promises
//
// It is strict where real next hops are lenient. A client that sends a bare LF or CR, talks ahead
// of a reply although PIPELINING was not offered, or sends eight-bit data that it did not announce
// fails the test when the test ends, unless Config.Lenient is set.
//
// # Who runs where
//
// One goroutine accepts, and each connection has one. All of them are gone when Stop returns; the
// test's cleanup calls it.
//
// # Limits
//
// Everything received is kept in memory, unless Config.Take takes it. CHUNKING is not spoken.
package smtptest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Config says what the next hop is able to do. The zero value offers DefaultExtensions, no TLS and
// no AUTH, and takes everything.
type Config struct {
	// Addr is where it listens; empty means a free port of 127.0.0.1. With the port of another
	// server, and 127.0.0.2 or ::1, it is the second address of one name.
	Addr string
	// Extensions are the lines of its EHLO reply, such as "SIZE 1000". Nil means DefaultExtensions;
	// an empty slice means none. STARTTLS and AUTH are added where they are due.
	Extensions []string
	// TLS makes it offer STARTTLS, or demand TLS from the first byte when ImplicitTLS is set too.
	TLS         *tls.Config
	ImplicitTLS bool
	// Users are names and passwords for AUTH. While it is not empty, MAIL without AUTH is answered
	// 530.
	Users map[string]string
	// Mechanisms is what AUTH offers; nil means PLAIN and LOGIN. CRAM-MD5 is known too.
	Mechanisms []string
	// OldAuth offers them as AUTH=PLAIN alone, as was done before there was a standard.
	OldAuth bool
	// Prompts are the two questions of LOGIN as they go out behind 334; nil means "Username:" and
	// "Password:" in base64.
	Prompts []string
	// NoEhlo answers EHLO with 502, as servers of the last century do.
	NoEhlo bool
	// Lenient keeps the client's mistakes out of the test's result; Problems still lists them.
	Lenient bool
	// Ask says what to answer at a stage that no Rule is for; a zero Answer is the usual one.
	Ask func(stage Stage, address string) Answer
	// Take gets each message in place of Messages: for benchmarks. Its Data is good until Take
	// returns. Commands are forgotten, and eight-bit data is not looked for.
	Take func(Received)
	// HeaderOnly leaves the body out of Received.Data.
	HeaderOnly bool
	// Pause is made before every reply.
	Pause time.Duration
}

// DefaultExtensions are offered by a zero Config.
var DefaultExtensions = []string{"PIPELINING", "SIZE 36700160", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN"}

// Received is one message that was accepted.
type Received struct {
	From       string   // as it stood between < and >
	To         []string // likewise, those that were accepted
	MailParams string   // what followed the address, such as "SIZE=3 BODY=8BITMIME"
	RcptParams []string // likewise, one per To
	Data       []byte   // without the dots added for the transport and without the final one
	TLS        bool
	User       string // the account, empty without AUTH
	Helo       string // the name the client gave
	Conn       int    // the number of its connection, from 1
}

// Server is a running next hop.
type Server struct {
	t   testing.TB
	cfg Config

	mu       sync.Mutex // guards what follows
	ln       net.Listener
	addr     string
	open     map[net.Conn]bool
	rules    []Rule
	used     []int // how often each rule was followed
	messages []Received
	count    int
	commands []string
	problems []string
	conns    int
	changed  chan struct{} // closed and renewed when a message came or a connection went
	stop     chan struct{} // closed by Stop

	running sync.WaitGroup
}

// New starts a next hop on a free port of 127.0.0.1. When the test ends it is stopped, and the
// client's mistakes fail the test.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatalf("smtptest: %v", err)
	}
	s.t = t
	t.Cleanup(func() {
		s.Stop()
		if !cfg.Lenient {
			for _, p := range s.Problems() {
				t.Errorf("the next hop was treated badly: %s", p)
			}
		}
	})
	return s
}

// Listen is New for those that are no test: Stop ends it.
func Listen(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	s := &Server{cfg: cfg, addr: cfg.Addr, open: map[net.Conn]bool{}, changed: make(chan struct{})}
	return s, s.listen()
}

// Start listens again, at the address it had, after Stop.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.listen(); err != nil {
		s.t.Fatalf("smtptest: %v", err)
	}
}

func (s *Server) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.ln, s.addr, s.stop = ln, ln.Addr().String(), make(chan struct{})
	s.running.Go(func() { s.accept(ln, s.stop) })
	return nil
}

// Stop closes the listener and every connection, as a power cut would, and waits until all is
// quiet. Messages stay to be read.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.ln != nil {
		s.ln.Close()
		s.ln = nil
		close(s.stop)
	}
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// DropConnections closes every connection and goes on listening, as a next hop does with clients
// that idle.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
}

func (s *Server) accept(ln net.Listener, stop chan struct{}) {
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // out of descriptors for a moment: the queue of connections keeps the client
		}
		s.mu.Lock()
		select {
		case <-stop:
			s.mu.Unlock()
			nc.Close()
			return
		default:
		}
		s.conns++
		n := s.conns
		s.open[nc] = true
		s.running.Go(func() {
			newSession(s, nc, n, stop).serve()
			nc.Close()
			s.mu.Lock()
			delete(s.open, nc)
			s.change()
			s.mu.Unlock()
		})
		s.mu.Unlock()
	}
}

// Addr is where it listens, host:port. It stays the same over Stop and Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Host is the host of Addr.
func (s *Server) Host() string {
	host, _, _ := net.SplitHostPort(s.Addr())
	return host
}

// Port is the port of Addr.
func (s *Server) Port() int {
	_, port, _ := net.SplitHostPort(s.Addr())
	n, _ := strconv.Atoi(port)
	return n
}

// Messages are those accepted so far, in the order they were.
func (s *Server) Messages() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.messages...)
}

// Count is how many messages were accepted, also with Config.Take.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Connections is how many connections were accepted so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Open is how many connections are open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Commands are the command lines received so far over all connections, without their CRLF and
// without AUTH's secrets.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

// Problems are the client's offences against the protocol so far.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.problems...)
}

// Wait returns the messages once there are at least n, and fails the test when there are not in
// time. It belongs to the test's own goroutine, and is of no use with Config.Take.
func (s *Server) Wait(n int, timeout time.Duration) []Received {
	s.t.Helper()
	s.until(timeout, func() bool { return len(s.messages) >= n }, func() string {
		return fmt.Sprintf("%d messages, want %d", len(s.messages), n)
	})
	return s.Messages()
}

// WaitClosed returns when no connection is open, and fails the test when that is not in time.
func (s *Server) WaitClosed(timeout time.Duration) {
	s.t.Helper()
	s.until(timeout, func() bool { return len(s.open) == 0 }, func() string {
		return fmt.Sprintf("%d connections are open, want none", len(s.open))
	})
}

// until waits for a condition; both functions are called with mu held.
func (s *Server) until(timeout time.Duration, fulfilled func() bool, missing func() string) {
	s.t.Helper()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for expired := false; ; {
		s.mu.Lock()
		ok, changed, what := fulfilled(), s.changed, ""
		if !ok {
			what = missing()
		}
		s.mu.Unlock()
		switch {
		case ok:
			return
		case expired:
			s.t.Fatalf("smtptest: after %v: %s", timeout, what)
		}
		select {
		case <-changed:
		case <-late.C:
			expired = true
		}
	}
}

func (s *Server) keep(m Received) {
	if s.cfg.Take != nil {
		s.cfg.Take(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if s.cfg.Take != nil {
		return
	}
	s.messages = append(s.messages, m)
	s.change()
}

// change wakes who waits. The caller holds mu.
func (s *Server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) problem(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, text)
}

func (s *Server) heard(line string) {
	if s.cfg.Take != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, line)
}
