package smtptest

import (
	"strings"
	"time"
)

// Stage is a point of the conversation at which the next hop answers.
type Stage string

// The stages, in the order they come. A Rule without a Stage is for all of them.
const (
	Greeting  Stage = "greeting" // before the client said anything
	Ehlo      Stage = "ehlo"     // EHLO or HELO
	StartTLS  Stage = "starttls"
	Handshake Stage = "handshake" // in place of the TLS handshake
	Auth      Stage = "auth"      // AUTH and each of its continuation lines
	Mail      Stage = "mail"
	Rcpt      Stage = "rcpt"
	Data      Stage = "data"    // the command
	Content   Stage = "content" // once the first line of the message has come
	Body      Stage = "body"    // the end of the message
	Rset      Stage = "rset"
	Quit      Stage = "quit"
)

// Rule says how one stage is answered. The fields left zero match everything.
type Rule struct {
	Stage   Stage
	Conn    int    // only on this connection, counted from 1 since New
	Nth     int    // only the nth time that its connection comes to this stage, counted from 1
	Address string // Mail and Rcpt: only for this address; Auth: only for this mechanism's first line
	Times   int    // only so often, all connections together
	Answer  Answer
}

// Script replaces the rules, also while the server runs. The first rule that matches is followed;
// without one the stage is answered as a well-behaved next hop would.
func (s *Server) Script(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.used = rules, make([]int, len(rules))
}

// Answer is what the next hop does instead of answering well. The zero value is a good answer.
type Answer struct {
	raw        string
	line       bool // CR LF follows
	disconnect bool
	silence    bool
	taken      bool
	delay      time.Duration
}

// Reply answers with a reply: the code first, and more lines separated by "\n", which get the code
// too. One of 2xx or 3xx is acted upon as the usual one. After a 421 the connection is closed.
func Reply(text string) Answer {
	code := text[:min(3, len(text))]
	if !strings.Contains(text, "\n") {
		return Answer{raw: text, line: true, disconnect: code == "421"}
	}
	lines := strings.Split(strings.TrimPrefix(text[len(code):], " "), "\n")
	var b strings.Builder
	for i, line := range lines {
		b.WriteString(code)
		if i < len(lines)-1 {
			b.WriteString("-" + line + "\r\n")
		} else {
			b.WriteString(" " + line + "\r\n")
		}
	}
	return Answer{raw: b.String(), disconnect: code == "421"}
}

// Raw sends these bytes in place of the reply, nothing added.
func Raw(bytes string) Answer { return Answer{raw: bytes} }

// Garbage answers with a line that is no reply.
func Garbage() Answer { return Raw("\x00\xffHTTP/1.1 400 Bad Request\r\n") }

// Disconnect closes the connection in place of a reply.
func Disconnect() Answer { return Answer{disconnect: true} }

// Silence never answers, and reads nothing more, until the client goes or the server is stopped.
func Silence() Answer { return Answer{silence: true} }

// Taken keeps the message and closes the connection without a word: at the stage Body, the one case
// in which a client cannot know.
func Taken() Answer { return Answer{taken: true, disconnect: true} }

// ThenDisconnect closes the connection once a has been sent.
func (a Answer) ThenDisconnect() Answer {
	a.disconnect = true
	return a
}

// After waits before it does a: a slow next hop. Answer{}.After(d) answers well, but late.
func (a Answer) After(d time.Duration) Answer {
	a.delay = d
	return a
}

// find returns the rule's answer for a stage, or the one of Config.Ask.
func (s *Server) find(stage Stage, conn, nth int, address string) (Answer, bool) {
	if a, scripted := s.rule(stage, conn, nth, address); scripted || s.cfg.Ask == nil {
		return a, scripted
	}
	a := s.cfg.Ask(stage, address)
	return a, a != Answer{}
}

func (s *Server) rule(stage Stage, conn, nth int, address string) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.rules {
		if r.Stage != "" && r.Stage != stage || r.Conn != 0 && r.Conn != conn || r.Nth != 0 && r.Nth != nth ||
			r.Address != "" && r.Address != address || r.Times != 0 && s.used[i] >= r.Times {
			continue
		}
		s.used[i]++
		return r.Answer, true
	}
	return Answer{}, false
}
