package smtptest

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

func (s *session) mechanisms() []string {
	if s.srv.cfg.Mechanisms == nil {
		return []string{"PLAIN", "LOGIN"}
	}
	return s.srv.cfg.Mechanisms
}

// auth does the AUTH command (RFC 4954) with a mechanism that is offered.
func (s *session) auth(arg string) bool {
	mech, initial, _ := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	if len(s.srv.cfg.Users) == 0 || !slices.Contains(s.mechanisms(), mech) {
		return s.say("504 5.5.4 mechanism not offered")
	}
	if a, scripted := s.next(Auth, mech); scripted {
		return s.do(a)
	}
	var user string
	var right, alive bool
	switch mech {
	case "PLAIN":
		user, right, alive = s.plain(initial)
	case "LOGIN":
		user, right, alive = s.login(initial)
	case "CRAM-MD5":
		user, right, alive = s.cramMD5()
	default:
		return s.say("504 5.5.4 mechanism not known")
	}
	switch {
	case !alive:
		return false
	case !right:
		return s.say("535 5.7.8 user name and password not accepted")
	}
	s.user = user
	return s.say("235 2.7.0 welcome")
}

func (s *session) plain(initial string) (user string, right, alive bool) {
	answer := decode(initial)
	if initial == "" {
		if answer, alive = s.ask(""); !alive {
			return "", false, false
		}
	}
	parts := strings.Split(answer, "\x00")
	if len(parts) != 3 {
		return "", false, true
	}
	return parts[1], s.knows(parts[1], parts[2]), true
}

func (s *session) login(initial string) (user string, right, alive bool) {
	user = decode(initial)
	if initial == "" {
		if user, alive = s.prompt(0, "Username:"); !alive {
			return "", false, false
		}
	}
	password, alive := s.prompt(1, "Password:")
	return user, s.knows(user, password), alive
}

func (s *session) cramMD5() (user string, right, alive bool) {
	const challenge = "<1896.697170952@hop.test>"
	answer, alive := s.ask(challenge)
	user, digest, _ := strings.Cut(answer, " ")
	password, known := s.srv.cfg.Users[user]
	mac := hmac.New(md5.New, []byte(password))
	mac.Write([]byte(challenge))
	return user, known && digest == hex.EncodeToString(mac.Sum(nil)), alive
}

func (s *session) knows(user, password string) bool {
	want, known := s.srv.cfg.Users[user]
	return known && want == password
}

// prompt asks one of LOGIN's questions.
func (s *session) prompt(n int, usual string) (answer string, alive bool) {
	if n < len(s.srv.cfg.Prompts) {
		return s.demand(s.srv.cfg.Prompts[n])
	}
	return s.ask(usual)
}

// ask sends a challenge and returns what the client answers, decoded.
func (s *session) ask(challenge string) (answer string, alive bool) {
	return s.demand(base64.StdEncoding.EncodeToString([]byte(challenge)))
}

func (s *session) demand(text string) (answer string, alive bool) {
	if !s.say("334 " + text) {
		return "", false
	}
	line, alive := s.line("an AUTH answer")
	if a, scripted := s.next(Auth, ""); scripted && alive {
		s.do(a)
		return "", false
	}
	return decode(line), alive
}

func decode(s string) string {
	if s == "=" {
		return ""
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}
