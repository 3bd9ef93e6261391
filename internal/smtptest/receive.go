package smtptest

import (
	"fmt"
	"strings"
)

func (s *session) mailFrom(arg string) bool {
	from, params, ok := path(arg, "FROM:")
	switch {
	case !ok:
		return s.say("501 5.5.4 MAIL FROM:<address>")
	case s.mail != nil:
		return s.say("503 5.5.1 nested MAIL")
	case len(s.srv.cfg.Users) > 0 && s.user == "":
		return s.say("530 5.7.0 authentication required")
	}
	if !strings.Contains(params, "SMTPUTF8") {
		s.checkASCII(from)
	}
	if !s.answer(Mail, from, "250 2.1.0 sender ok") {
		return false
	}
	if s.accepted {
		s.mail = &Received{From: from, MailParams: params, TLS: s.tls, User: s.user, Helo: s.helo, Conn: s.n}
	}
	return true
}

func (s *session) rcptTo(arg string) bool {
	to, params, ok := path(arg, "TO:")
	switch {
	case !ok:
		return s.say("501 5.5.4 RCPT TO:<address>")
	case s.mail == nil:
		return s.say("503 5.5.1 MAIL first")
	}
	if !strings.Contains(s.mail.MailParams, "SMTPUTF8") {
		s.checkASCII(to)
	}
	if !s.answer(Rcpt, to, "250 2.1.5 recipient ok") {
		return false
	}
	if s.accepted {
		s.mail.To = append(s.mail.To, to)
		s.mail.RcptParams = append(s.mail.RcptParams, params)
	}
	return true
}

func (s *session) checkASCII(address string) {
	for i := range len(address) {
		if address[i] >= 0x80 {
			s.srv.problem(fmt.Sprintf("address %q without SMTPUTF8", address))
			return
		}
	}
}

// path takes "FROM:<address> PARAMS" apart.
func path(arg, word string) (address, params string, ok bool) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", "", false
	}
	rest := strings.TrimPrefix(arg[len(word):], " ")
	if !strings.HasPrefix(rest, "<") {
		return "", "", false
	}
	quoted := false
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return rest[1:i], strings.TrimSpace(rest[i+1:]), true
		}
	}
	return "", "", false
}

func (s *session) data() bool {
	usual := "354 go ahead"
	if s.mail == nil || len(s.mail.To) == 0 {
		usual = "554 5.5.1 no valid recipients"
	}
	if !s.answer(Data, "", usual) {
		return false
	}
	if !s.accepted {
		return true
	}
	m := s.mail
	s.mail = nil
	if m == nil {
		m = &Received{}
	}
	data, ok := s.content()
	if !ok {
		return false
	}
	m.Data = data
	s.checkData(m)
	if len(m.To) == 0 {
		return s.say("554 5.5.1 no valid recipients")
	}
	a, scripted := s.next(Body, "")
	if scripted && !a.taken && !strings.HasPrefix(a.raw, "2") {
		return s.do(a)
	}
	s.srv.keep(*m)
	if scripted {
		return s.do(a)
	}
	return s.say("250 2.0.0 taken")
}

func (s *session) checkData(m *Received) {
	if s.srv.cfg.Take != nil || strings.Contains(m.MailParams, "BODY=8BITMIME") || strings.Contains(m.MailParams, "SMTPUTF8") {
		return
	}
	for _, c := range m.Data {
		if c >= 0x80 {
			s.srv.problem("eight-bit data without BODY=8BITMIME")
			return
		}
	}
}

// content reads the message to its final dot. Config.Take gets it in a buffer that is used again.
func (s *session) content() ([]byte, bool) {
	data, skip := s.room[:0], false
	for first := true; ; first = false {
		line, ok := s.slice("the message")
		if !ok {
			return nil, false
		}
		if first {
			if a, scripted := s.next(Content, ""); scripted && !s.do(a) {
				return nil, false
			}
		}
		if len(line) == 3 && line[0] == '.' {
			if s.srv.cfg.Take != nil {
				s.room = data
			}
			return data, true
		}
		if line[0] == '.' {
			line = line[1:]
		}
		if !skip {
			data = append(data, line...)
			skip = s.srv.cfg.HeaderOnly && len(line) == len("\r\n")
		}
	}
}
