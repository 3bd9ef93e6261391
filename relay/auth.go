package relay

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5 is made of it (RFC 2195)
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// maxInitial is how long an AUTH line with its initial response may be; a longer one waits for the challenge (RFC 4954, 4).
const maxInitial = 510

// Mechanisms are the ways to log in that are known, in the order in which they are tried unless
// Config.Mechanisms says otherwise. Whether the password may go out at all is decided when TLS is
// demanded or waived.
var Mechanisms = []string{"PLAIN", "LOGIN", "CRAM-MD5"}

var (
	errNoAuth      = errors.New("the next hop offers no AUTH, though SMTP_RELAY_USERNAME is set")
	errNoMechanism = errors.New("the next hop offers none")
	errRounds      = errors.New("AUTH asked more questions than its mechanism has")
)

// authenticate logs in (RFC 4954). A mechanism that is offered and then not known is no refusal of
// the account: the next one is tried, and the refused one comes last from then on.
func (p *pool) authenticate(c *conn) *fault {
	names, err := c.mechanisms()
	if err != nil {
		return &fault{stage: stageAuth, err: err, secrets: c.cfg}
	}
	p.mu.Lock()
	slices.SortStableFunc(names, func(a, b string) int { return order(p.unfit[a]) - order(p.unfit[b]) })
	p.mu.Unlock()
	var f *fault
	for _, name := range names {
		f = c.exchange(name)
		if f == nil {
			return nil
		}
		f.secrets = c.cfg
		if !f.unfit {
			return f
		}
		p.mu.Lock()
		if p.unfit == nil {
			p.unfit = map[string]bool{}
		}
		p.unfit[name] = true
		p.mu.Unlock()
	}
	return f
}

// mechanisms are those that may be used and are offered, in order.
func (c *conn) mechanisms() ([]string, error) {
	offered := c.ext.auth
	if offered == nil {
		if c.cfg.UseTLS || c.secure() {
			return nil, advisedError{errNoAuth, "if it wants no login, leave SMTP_RELAY_USERNAME empty"}
		}
		return nil, advisedError{errNoAuth, "many offer it only under TLS: set USE_TLS=yes"}
	}
	var names []string
	for _, name := range c.cfg.Mechanisms {
		if offered[name] {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, advisedError{fmt.Errorf("%w of %s, which SMTP_RELAY_AUTH allows; it offers %s", errNoMechanism,
			strings.Join(c.cfg.Mechanisms, ", "), strings.Join(slices.Sorted(maps.Keys(offered)), ", ")),
			"allow one of those in SMTP_RELAY_AUTH"}
	}
	return names, nil
}

func (c *conn) client(mechanism string) sasl.Client {
	switch mechanism {
	case "LOGIN":
		return &loginClient{username: c.cfg.Username, password: c.cfg.Password}
	case "CRAM-MD5":
		return &cramMD5Client{username: c.cfg.Username, password: c.cfg.Password}
	default:
		return sasl.NewPlainClient("", c.cfg.Username, c.cfg.Password)
	}
}

// exchange does AUTH with one mechanism.
func (c *conn) exchange(mechanism string) *fault {
	client := c.client(mechanism)
	_, initial, err := client.Start()
	if err != nil {
		return &fault{stage: stageAuth, err: err}
	}
	line := "AUTH " + mechanism
	if initial != nil {
		if full := line + " " + encode(initial); len(full) <= maxInitial {
			line, initial = full, nil
		}
	}
	for round := range 4 {
		r, f := c.command(stageAuth, line, c.cfg.CommandTimeout)
		switch {
		case f != nil:
			return f
		case r.code == 235:
			return nil
		case r.code != 334:
			return &fault{stage: stageAuth, reply: r, unfit: round == 0 && notKnown(r)}
		}
		answer := initial
		if initial = nil; answer == nil {
			challenge, err := question(mechanism, strings.TrimSpace(r.text))
			if err == nil {
				answer, err = client.Next(challenge)
			}
			if err != nil {
				return &fault{stage: stageAuth, err: fmt.Errorf("%s: %w", mechanism, err)}
			}
		}
		line = encode(answer)
	}
	return &fault{stage: stageAuth, err: errRounds}
}

// notKnown recognises in the reply to AUTH that its mechanism, or the command in this form, is not
// known (RFC 4954, 4).
func notKnown(r reply) bool {
	switch r.code {
	case 500, 501, 502, 504:
		return true
	case 530, 534, 535, 538:
		return false
	}
	return r.status == "5.5.4"
}

// question is what a 334 asks. LOGIN's questions may be plain text, which some servers send.
func question(mechanism, text string) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(text)
	if mechanism == "LOGIN" && (err != nil || !plain(strings.TrimRight(string(challenge), "\x00"))) {
		return []byte(text), nil
	}
	return challenge, err
}

// encode writes an answer as AUTH wants it: the empty one is "=" where it stands on the AUTH line, which it never does here.
func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// loginClient is LOGIN, which has no standard: the first question is for the name and the second
// for the password, whatever their words. Only where the second clearly asks for the name again, it
// gets that, and not the password.
type loginClient struct {
	username, password string
	asked              int
	told               bool // the password was
}

func (l *loginClient) Start() (mech string, initial []byte, err error) { return "LOGIN", nil, nil }

func (l *loginClient) Next(question []byte) ([]byte, error) {
	words := strings.ToLower(string(question))
	l.asked++
	switch {
	case l.told:
		return nil, sasl.ErrUnexpectedServerChallenge
	case l.asked == 1, strings.Contains(words, "user") && !strings.Contains(words, "pass"):
		return []byte(l.username), nil
	default:
		l.told = true
		return []byte(l.password), nil
	}
}

// cramMD5Client is CRAM-MD5 (RFC 2195).
type cramMD5Client struct {
	username, password string
	asked              bool
}

func (m *cramMD5Client) Start() (mech string, initial []byte, err error) { return "CRAM-MD5", nil, nil }

func (m *cramMD5Client) Next(challenge []byte) ([]byte, error) {
	if m.asked {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	m.asked = true
	mac := hmac.New(md5.New, []byte(m.password))
	mac.Write(challenge)
	return []byte(m.username + " " + hex.EncodeToString(mac.Sum(nil))), nil
}
