package relay

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // CRAM-MD5 is made of it (RFC 2195)
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"
)

// maxInitial is how long an AUTH line with its initial response may be; a longer one waits for the challenge (RFC 4954, 4).
const maxInitial = 510

var (
	errNoAuth      = errors.New("the next hop offers no AUTH, though SMTP_RELAY_USERNAME is set")
	errNoMechanism = errors.New("the next hop offers none of PLAIN, LOGIN and CRAM-MD5")
	errRounds      = errors.New("AUTH asked more questions than its mechanism has")
)

// authenticate logs in with the best mechanism that is offered (RFC 4954).
func (c *conn) authenticate() *fault {
	client, err := c.mechanism()
	if err != nil {
		return &fault{stage: stageAuth, err: err, secrets: c.cfg}
	}
	f := c.exchange(client)
	if f != nil {
		f.secrets = c.cfg
	}
	return f
}

// mechanism chooses: PLAIN, else LOGIN, and CRAM-MD5 only where neither is offered. Whether the password may go out at all was
// decided when TLS was demanded or waived.
func (c *conn) mechanism() (sasl.Client, error) {
	switch offered := c.ext.auth; {
	case offered == nil:
		if c.cfg.UseTLS || c.secure() {
			return nil, errNoAuth
		}
		return nil, fmt.Errorf("%w; many offer it only under TLS: set USE_TLS=yes", errNoAuth)
	case offered["PLAIN"]:
		return sasl.NewPlainClient("", c.cfg.Username, c.cfg.Password), nil
	case offered["LOGIN"]:
		return &loginClient{username: c.cfg.Username, password: c.cfg.Password}, nil
	case offered["CRAM-MD5"]:
		return &cramMD5Client{username: c.cfg.Username, password: c.cfg.Password}, nil
	default:
		return nil, errNoMechanism
	}
}

func (c *conn) exchange(client sasl.Client) *fault {
	mech, initial, err := client.Start()
	if err != nil {
		return &fault{stage: stageAuth, err: err}
	}
	line := "AUTH " + mech
	if initial != nil {
		if full := line + " " + encode(initial); len(full) <= maxInitial {
			line, initial = full, nil
		}
	}
	for range 4 {
		r, f := c.command(stageAuth, line, c.cfg.CommandTimeout)
		switch {
		case f != nil:
			return f
		case r.code == 235:
			return nil
		case r.code != 334:
			return &fault{stage: stageAuth, reply: r}
		}
		answer := initial
		if initial = nil; answer == nil {
			challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.text))
			if err == nil {
				answer, err = client.Next(challenge)
			}
			if err != nil {
				return &fault{stage: stageAuth, err: fmt.Errorf("%s: %w", mech, err)}
			}
		}
		line = encode(answer)
	}
	return &fault{stage: stageAuth, err: errRounds}
}

// encode writes an answer as AUTH wants it: the empty one is "=" where it stands on the AUTH line, which it never does here.
func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// loginClient is LOGIN, which has no standard: the first question is for the name and the second for the password, whatever
// their words.
type loginClient struct {
	username, password string
	asked              int
}

func (l *loginClient) Start() (mech string, initial []byte, err error) { return "LOGIN", nil, nil }

func (l *loginClient) Next([]byte) ([]byte, error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.username), nil
	case 2:
		return []byte(l.password), nil
	default:
		return nil, sasl.ErrUnexpectedServerChallenge
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
