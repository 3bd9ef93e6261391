package rig

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dinkymail/internal/smtptest"
)

// IDField is the header field by which a Sink knows one message from another.
const IDField = "X-Rig-Id"

// SinkConfig says what a Sink does with mail. The zero value counts ids and throws the rest away.
type SinkConfig struct {
	Keep  bool                   // keep envelopes and bytes, for Find and Wait
	Delay func() time.Duration   // asked before each final reply; nil: no delay
	Rcpt  func(to string) string // the answer to RCPT TO:to; nil or "": taken
	Drop  func() bool            // asked before each final reply, whether to hang up instead; nil: never
	Leave func() bool            // the same before each reply to RCPT

	Pause      time.Duration // before every reply, of whatever command
	Sequential bool          // no PIPELINING
	ASCII      bool          // no SMTPUTF8
	TLS        *tls.Config   // STARTTLS is offered; nil: it is not
	Login      [2]string     // with TLS: user name and password, without which no mail is taken
}

// Arrival is what a Sink knows of one id.
type Arrival struct {
	Count int       // how many times it came whole
	First time.Time // when the first of them was complete
}

// Received is one message as it came, dot-stuffing undone.
type Received struct {
	From string   // the argument of MAIL FROM with its parameters, such as "<ada@example.org> BODY=8BITMIME"
	To   []string // those of RCPT TO
	Data []byte
}

// Sink is a black hole: a next hop (package smtptest) that takes everything at once and remembers
// which ids came, and how often. It offers PIPELINING, 8BITMIME, SMTPUTF8, SIZE and
// ENHANCEDSTATUSCODES, if SinkConfig says nothing else. A message counts when its last byte is
// there, whether or not the reply reaches anybody.
type Sink struct {
	cfg SinkConfig
	hop *smtptest.Server

	mu       sync.Mutex // guards what follows
	arrivals map[string]Arrival
	total    int
	rcpts    int // of all messages
	kept     []Received
	changed  chan struct{} // closed and made anew at every arrival while somebody waits
	waiting  int
}

// NewSink listens on addr, such as "127.0.0.1:0", and serves until Close.
func NewSink(addr string, cfg SinkConfig) (*Sink, error) {
	s := &Sink{cfg: cfg, arrivals: map[string]Arrival{}, changed: make(chan struct{})}
	hop := smtptest.Config{
		Addr: addr, Extensions: []string{"8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES"},
		TLS: cfg.TLS, Pause: cfg.Pause, Ask: s.answer, Take: s.take, HeaderOnly: !cfg.Keep,
	}
	if !cfg.Sequential {
		hop.Extensions = append(hop.Extensions, "PIPELINING")
	}
	if !cfg.ASCII {
		hop.Extensions = append(hop.Extensions, "SMTPUTF8")
	}
	if cfg.TLS != nil {
		hop.Users = map[string]string{cfg.Login[0]: cfg.Login[1]}
	}
	var err error
	if s.hop, err = smtptest.Listen(hop); err != nil {
		return nil, fmt.Errorf("open the sink: %w", err)
	}
	return s, nil
}

// Addr is the host:port it listens on.
func (s *Sink) Addr() string { return s.hop.Addr() }

// Close ends all connections and waits for their goroutines. What came stays readable.
func (s *Sink) Close() error {
	s.hop.Stop()
	return nil
}

// Arrivals is a copy of what came, by id.
func (s *Sink) Arrivals() map[string]Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.arrivals)
}

// Has reports whether id came.
func (s *Sink) Has(id string) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.arrivals[id].Count > 0 }

// Distinct is how many different ids came, Total how many messages.
func (s *Sink) Distinct() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.arrivals) }

// Total is how many messages came, repeats and those without an id included.
func (s *Sink) Total() int { s.mu.Lock(); defer s.mu.Unlock(); return s.total }

// Recipients is how many recipients the messages that came had, all together.
func (s *Sink) Recipients() int { s.mu.Lock(); defer s.mu.Unlock(); return s.rcpts }

// Reset forgets everything that came.
func (s *Sink) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals, s.kept, s.total, s.rcpts = map[string]Arrival{}, nil, 0, 0
}

// WaitDistinct waits until n different ids came, or until ctx ends.
func (s *Sink) WaitDistinct(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return len(s.arrivals) >= n })
}

// Wait waits for a kept message whose bytes contain text and returns it. With Keep only.
func (s *Sink) Wait(ctx context.Context, text string) (Received, error) {
	var found Received
	seen := 0
	err := s.wait(ctx, func() bool {
		for ; seen < len(s.kept); seen++ {
			if bytes.Contains(s.kept[seen].Data, []byte(text)) {
				found = s.kept[seen]
				return true
			}
		}
		return false
	})
	return found, err
}

// Find returns every kept message whose bytes contain text.
func (s *Sink) Find(text string) []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.kept), func(r Received) bool { return !bytes.Contains(r.Data, []byte(text)) })
}

// Kept is every message so far, in the order of arrival. With Keep only.
func (s *Sink) Kept() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// wait asks done, with the lock held, now and after every arrival.
func (s *Sink) wait(ctx context.Context, done func() bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	defer func() { s.waiting-- }()
	for !done() {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
			s.mu.Lock()
		case <-ctx.Done():
			s.mu.Lock()
			return fmt.Errorf("the sink has %d messages, %d distinct: %w", s.total, len(s.arrivals), context.Cause(ctx))
		}
	}
	return nil
}

var gone = smtptest.Reply("250 2.0.0 gone")

// answer is what SinkConfig says of a stage.
func (s *Sink) answer(stage smtptest.Stage, address string) smtptest.Answer {
	switch stage {
	case smtptest.Rcpt:
		if s.cfg.Leave != nil && s.cfg.Leave() {
			return smtptest.Disconnect()
		}
		if s.cfg.Rcpt != nil {
			if refusal := s.cfg.Rcpt("<" + address + ">"); refusal != "" {
				return smtptest.Reply(refusal)
			}
		}
	case smtptest.Body:
		a := gone
		if s.cfg.Drop != nil && s.cfg.Drop() {
			a = smtptest.Taken()
		}
		if s.cfg.Delay != nil {
			a = a.After(s.cfg.Delay())
		}
		return a
	}
	return smtptest.Answer{}
}

// take counts a message.
func (s *Sink) take(m smtptest.Received) {
	id := idOf(m.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	s.rcpts += len(m.To)
	if id != "" {
		a := s.arrivals[id]
		if a.Count == 0 {
			a.First = time.Now()
		}
		a.Count++
		s.arrivals[id] = a
	}
	if s.cfg.Keep {
		s.kept = append(s.kept, kept(m))
	}
	if s.waiting > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// idOf is the id in the header of a message.
func idOf(data []byte) string {
	for line := range bytes.Lines(data) {
		if len(line) == len("\r\n") {
			break
		}
		if id, ok := bytes.CutPrefix(line, []byte(IDField+":")); ok {
			return string(bytes.TrimSpace(id))
		}
	}
	return ""
}

func kept(m smtptest.Received) Received {
	r := Received{From: argument(m.From, m.MailParams), Data: bytes.Clone(m.Data)}
	for i, to := range m.To {
		r.To = append(r.To, argument(to, m.RcptParams[i]))
	}
	return r
}

func argument(address, params string) string {
	return strings.TrimSuffix("<"+address+"> "+params, " ")
}

var _ io.Closer = (*Sink)(nil)
