package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const maxLine = 1 << 20 // of a command or of the message, in bytes

// session is one conversation. Only its own goroutine touches it.
type session struct {
	srv  *Server
	n    int // number of the connection
	stop chan struct{}
	raw  net.Conn
	c    net.Conn // raw, or TLS on top of it
	r    *bufio.Reader
	w    *bufio.Writer

	seen map[Stage]int
	ext  map[string]bool
	tls  bool
	user string
	helo string
	mail *Received // the transaction that is open
	room []byte    // for messages that Config.Take gets

	accepted bool // the latest answer was 2xx or 3xx
}

func newSession(srv *Server, nc net.Conn, n int, stop chan struct{}) *session {
	s := &session{srv: srv, n: n, stop: stop, raw: nc, seen: map[Stage]int{}, ext: map[string]bool{}}
	for _, e := range s.extensions() {
		word, _, _ := strings.Cut(e, " ")
		s.ext[strings.ToUpper(word)] = true
	}
	s.use(nc)
	return s
}

func (s *session) use(c net.Conn) {
	s.c, s.r, s.w = c, bufio.NewReaderSize(c, 32<<10), bufio.NewWriter(c)
}

func (s *session) serve() {
	if s.srv.cfg.ImplicitTLS && !s.handshake() {
		return
	}
	if !s.answer(Greeting, "", "220 hop.test ESMTP smtptest") {
		return
	}
	for {
		line, ok := s.line("a command")
		if !ok || !s.command(line) {
			return
		}
	}
}

// command does one command and reports whether the conversation goes on.
func (s *session) command(line string) bool {
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if verb == "AUTH" {
		mech, _, _ := strings.Cut(arg, " ")
		s.srv.heard("AUTH " + mech)
	} else {
		s.srv.heard(line)
	}
	s.checkAhead(verb)
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, arg)
	case "STARTTLS":
		return s.startTLS()
	case "AUTH":
		return s.auth(arg)
	case "MAIL":
		return s.mailFrom(arg)
	case "RCPT":
		return s.rcptTo(arg)
	case "DATA":
		return s.data()
	case "RSET":
		s.mail = nil
		return s.answer(Rset, "", "250 2.0.0 reset")
	case "NOOP":
		return s.say("250 2.0.0 ok")
	case "QUIT":
		s.answer(Quit, "", "221 2.0.0 bye")
		return false
	default:
		return s.say("500 5.5.2 unknown command")
	}
}

// checkAhead notes commands that came before the reply to this one was sent, where that is not
// allowed (RFC 2920, 3.1).
func (s *session) checkAhead(verb string) {
	if s.r.Buffered() == 0 {
		return
	}
	last := verb == "EHLO" || verb == "HELO" || verb == "STARTTLS" || verb == "AUTH" || verb == "DATA" || verb == "QUIT"
	if last || !s.ext["PIPELINING"] {
		s.srv.problem("more was sent before the reply to " + verb)
	}
}

func (s *session) extensions() []string {
	ext := s.srv.cfg.Extensions
	if ext == nil {
		ext = DefaultExtensions
	}
	ext = append([]string(nil), ext...)
	if s.srv.cfg.TLS != nil && !s.tls && !s.srv.cfg.ImplicitTLS {
		ext = append(ext, "STARTTLS")
	}
	if len(s.srv.cfg.Users) > 0 {
		sep := " "
		if s.srv.cfg.OldAuth {
			sep = "="
		}
		ext = append(ext, "AUTH"+sep+strings.Join(s.mechanisms(), " "))
	}
	return ext
}

func (s *session) hello(verb, name string) bool {
	s.helo, s.mail = name, nil
	if verb == "HELO" {
		return s.answer(Ehlo, "", "250 hop.test")
	}
	if s.srv.cfg.NoEhlo {
		return s.answer(Ehlo, "", "502 5.5.1 not implemented")
	}
	return s.answer(Ehlo, "", strings.Join(append([]string{"250 hop.test greets " + name}, s.extensions()...), "\n"))
}

func (s *session) startTLS() bool {
	if s.srv.cfg.TLS == nil || s.tls {
		return s.say("503 5.5.1 no TLS here")
	}
	if s.r.Buffered() > 0 {
		return s.say("501 5.5.4 talk after STARTTLS")
	}
	if !s.answer(StartTLS, "", "220 2.0.0 go ahead") {
		return false
	}
	return !s.accepted || s.handshake()
}

func (s *session) handshake() bool {
	if a, ok := s.next(Handshake, ""); ok {
		if s.do(a) {
			_, _ = io.Copy(io.Discard, s.c) // the client speaks TLS, which is no lines, until it gives up
		}
		return false
	}
	c := tls.Server(s.c, s.srv.cfg.TLS)
	if c.Handshake() != nil {
		return false
	}
	s.use(c)
	s.tls, s.helo, s.user, s.mail = true, "", "", nil
	return true
}

// slice reads a line with its CRLF. It is good until the next read.
func (s *session) slice(what string) ([]byte, bool) {
	line, err := s.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line)
		for err == bufio.ErrBufferFull && len(line) < maxLine {
			var more []byte
			more, err = s.r.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	if err != nil {
		return nil, false
	}
	if n := len(line); n < 2 || line[n-2] != '\r' {
		s.srv.problem(fmt.Sprintf("bare LF in %s: %.60q", what, line))
		return nil, false
	}
	if bytes.IndexByte(line[:len(line)-2], '\r') >= 0 {
		s.srv.problem(fmt.Sprintf("bare CR in %s: %.60q", what, line))
		return nil, false
	}
	return line, true
}

func (s *session) line(what string) (string, bool) {
	line, ok := s.slice(what)
	return strings.TrimSuffix(string(line), "\r\n"), ok
}

// next looks for the rule for a stage that is reached now. A rule that only says to wait is done
// with here.
func (s *session) next(stage Stage, address string) (Answer, bool) {
	s.seen[stage]++
	a, scripted := s.srv.find(stage, s.n, s.seen[stage], address)
	if a == (Answer{delay: a.delay}) {
		s.wait(a.delay)
		return Answer{}, false
	}
	return a, scripted
}

// answer does what the script says of this stage, or else gives the usual reply. It reports whether
// the conversation goes on; s.accepted tells whether the answer was a good one.
func (s *session) answer(stage Stage, address, usual string) bool {
	a, scripted := s.next(stage, address)
	if !scripted {
		a = Reply(usual)
	}
	return s.do(a)
}

func (s *session) do(a Answer) bool {
	s.accepted = len(a.raw) > 0 && (a.raw[0] == '2' || a.raw[0] == '3')
	if !s.wait(a.delay) || !s.wait(s.srv.cfg.Pause) {
		return false
	}
	if a.silence {
		s.w.Flush()
		io.Copy(io.Discard, s.raw)
		return false
	}
	s.w.WriteString(a.raw)
	if a.line {
		s.w.WriteString("\r\n")
	}
	// While more commands wait here their replies go out together (RFC 2920, 3.2).
	if a.disconnect || s.r.Buffered() == 0 {
		if s.w.Flush() != nil {
			return false
		}
	}
	return !a.disconnect
}

// say sends lines as one reply.
func (s *session) say(text string) bool { return s.do(Reply(text)) }

// wait is how a slow next hop works. What it said before is on its way meanwhile.
func (s *session) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	s.w.Flush()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}
