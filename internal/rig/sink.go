package rig

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
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
	Sequential bool          // no PIPELINING: a command that came together with the next one is refused
	ASCII      bool          // no SMTPUTF8
	TLS        *tls.Config   // STARTTLS is offered, and mail taken after it and AUTH PLAIN alone; nil: neither
	Login      [2]string     // with TLS: user name and password
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

// Sink is a black hole: an SMTP server on loopback that takes everything at once and remembers which ids came, and how often.
// It offers PIPELINING, 8BITMIME, SMTPUTF8, SIZE and ENHANCEDSTATUSCODES, if SinkConfig says nothing else. A message counts when its last byte is there, whether
// or not the reply reaches anybody.
type Sink struct {
	cfg     SinkConfig
	ln      net.Listener
	serving sync.WaitGroup

	mu       sync.Mutex // guards what follows
	arrivals map[string]Arrival
	total    int
	rcpts    int // of all messages
	kept     []Received
	changed  chan struct{} // closed and made anew at every arrival while somebody waits
	waiting  int
	conns    map[net.Conn]bool
	shut     bool
}

// NewSink listens on addr, such as "127.0.0.1:0", and serves until Close.
func NewSink(addr string, cfg SinkConfig) (*Sink, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open the sink: %w", err)
	}
	s := &Sink{
		cfg: cfg, ln: ln, arrivals: map[string]Arrival{}, changed: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	s.serving.Go(s.accept)
	return s, nil
}

// Addr is the host:port it listens on.
func (s *Sink) Addr() string { return s.ln.Addr().String() }

// Close ends all connections and waits for their goroutines. What came stays readable.
func (s *Sink) Close() error {
	s.mu.Lock()
	s.shut = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	err := s.ln.Close()
	s.serving.Wait()
	return err
}

// Arrivals is a copy of what came, by id.
func (s *Sink) Arrivals() map[string]Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Arrival, len(s.arrivals))
	for id, a := range s.arrivals {
		all[id] = a
	}
	return all
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

func (s *Sink) accept() {
	for {
		conn, err := s.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // out of descriptors for a moment: the queue of connections keeps the client
		}
		s.mu.Lock()
		if s.shut {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.conns[conn] = true
		s.serving.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

func (s *Sink) serve(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	t := &taking{sink: s}
	t.use(conn)
	t.say("220 sink.example ESMTP")
	for t.step() {
	}
	_ = t.out.Flush()
}

// taking is one connection to a Sink.
type taking struct {
	sink   *Sink
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	now    Received
	id     string
	secure bool
	known  bool // logged in
}

func (t *taking) use(conn net.Conn) {
	t.conn, t.in, t.out = conn, bufio.NewReaderSize(conn, 64<<10), bufio.NewWriterSize(conn, 4<<10)
}

func (t *taking) say(line string) {
	if t.sink.cfg.Pause > 0 {
		<-time.After(t.sink.cfg.Pause)
	}
	_, _ = t.out.WriteString(line + "\r\n")
}

// hello is what EHLO is answered with.
func (t *taking) hello() string {
	text := "250-sink.example\r\n"
	if !t.sink.cfg.Sequential {
		text += "250-PIPELINING\r\n"
	}
	switch {
	case t.sink.cfg.TLS == nil:
	case t.secure:
		text += "250-AUTH PLAIN\r\n"
	default:
		text += "250-STARTTLS\r\n"
	}
	if !t.sink.cfg.ASCII {
		text += "250-SMTPUTF8\r\n"
	}
	return text + "250-8BITMIME\r\n250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES"
}

// startTLS reports whether the connection can go on.
func (t *taking) startTLS() bool {
	if t.sink.cfg.TLS == nil || t.secure || t.in.Buffered() > 0 {
		t.say("503 5.5.1 not now")
		return true
	}
	t.say("220 2.0.0 go on")
	if t.out.Flush() != nil {
		return false
	}
	t.use(tls.Server(t.conn, t.sink.cfg.TLS))
	t.secure = true
	return true
}

func (t *taking) auth(arg string) {
	login := t.sink.cfg.Login
	want := "PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+login[0]+"\x00"+login[1]))
	if t.known = t.secure && arg == want; t.known {
		t.say("235 2.7.0 welcome")
		return
	}
	t.say("535 5.7.8 user name and password do not match")
}

// step answers one command. It reports whether there may be another.
func (t *taking) step() bool {
	if t.in.Buffered() == 0 && t.out.Flush() != nil {
		return false
	}
	raw, err := t.in.ReadSlice('\n')
	if err != nil {
		return false
	}
	line := string(bytes.TrimRight(raw, "\r\n"))
	verb, arg, _ := strings.Cut(line, " ")
	if t.sink.cfg.Sequential && t.in.Buffered() > 0 {
		t.say("503 5.5.1 one command at a time")
		return true
	}
	switch strings.ToUpper(verb) {
	case "EHLO":
		t.say(t.hello())
	case "STARTTLS":
		return t.startTLS()
	case "AUTH":
		t.auth(arg)
	case "HELO":
		t.say("250 sink.example")
	case "MAIL":
		if t.sink.cfg.TLS != nil && !t.known {
			t.say("530 5.7.0 log in first")
			return true
		}
		t.now = Received{From: afterColon(arg)}
		t.say("250 2.1.0 ok")
	case "RCPT":
		return t.rcpt(afterColon(arg))
	case "DATA":
		if len(t.now.To) == 0 {
			t.say("503 5.5.1 no recipients")
			return true
		}
		t.say("354 go on")
		return t.data()
	case "RSET":
		t.now = Received{}
		t.say("250 2.0.0 ok")
	case "NOOP":
		t.say("250 2.0.0 ok")
	case "QUIT":
		t.say("221 2.0.0 bye")
		return false
	default:
		t.say("502 5.5.2 not here")
	}
	return true
}

func (t *taking) rcpt(to string) bool {
	if leave := t.sink.cfg.Leave; leave != nil && leave() {
		return false
	}
	if ask := t.sink.cfg.Rcpt; ask != nil {
		if refusal := ask(to); refusal != "" {
			t.say(refusal)
			return true
		}
	}
	t.now.To = append(t.now.To, to)
	t.say("250 2.1.5 ok")
	return true
}

func (t *taking) data() bool {
	if t.out.Flush() != nil {
		return false
	}
	t.id = ""
	for header := true; ; {
		line, err := t.in.ReadSlice('\n')
		whole := err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
		switch {
		case len(line) == 3 && line[0] == '.' && line[1] == '\r':
			return t.arrived()
		case len(line) > 0 && line[0] == '.':
			line = line[1:]
		case len(line) == 2:
			header = false
		case header && len(line) > len(IDField) && line[0] == 'X' && string(line[:len(IDField)]) == IDField:
			t.id = string(bytes.TrimSpace(line[len(IDField)+1:]))
		}
		if t.sink.cfg.Keep {
			t.now.Data = append(t.now.Data, line...)
		}
		if !whole && !t.rest() {
			return false
		}
	}
}

// rest reads the rest of a line that is longer than the buffer.
func (t *taking) rest() bool {
	for {
		more, err := t.in.ReadSlice('\n')
		if t.sink.cfg.Keep {
			t.now.Data = append(t.now.Data, more...)
		}
		if err == nil {
			return true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
	}
}

// arrived counts the message and answers it.
func (t *taking) arrived() bool {
	s := t.sink
	s.mu.Lock()
	s.total++
	s.rcpts += len(t.now.To)
	if t.id != "" {
		a := s.arrivals[t.id]
		if a.Count == 0 {
			a.First = time.Now()
		}
		a.Count++
		s.arrivals[t.id] = a
	}
	if s.cfg.Keep {
		s.kept = append(s.kept, t.now)
	}
	if s.waiting > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mu.Unlock()
	t.now = Received{}
	if s.cfg.Delay != nil {
		<-time.After(s.cfg.Delay())
	}
	if s.cfg.Drop != nil && s.cfg.Drop() {
		return false
	}
	t.say("250 2.0.0 gone")
	return true
}

func afterColon(arg string) string {
	_, after, _ := strings.Cut(arg, ":")
	return strings.TrimSpace(after)
}

var _ io.Closer = (*Sink)(nil)
