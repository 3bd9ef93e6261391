package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/account"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Queue that keeps what it is given and fails when it is told to. All its mail is
// captured.
type memory struct {
	operate.States
	mu     sync.Mutex
	mail   []queue.Message
	bodies map[queue.ID][]byte
	fail   error // of Submit
	sick   error // of Check
	checks int
	state  queue.Status
	meters queue.Meters
	hook   func()
}

func (q *memory) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	s.Trace.ID, s.Trace.By, s.Trace.Domain, s.Trace.Time = string(s.ID), "mail.example.org", "example.org", time.Now()
	in := message.Accept(s.Body, s.Trace)
	body, err := io.ReadAll(in)
	if err != nil {
		return "", err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.hook != nil {
		q.hook()
	}
	if q.fail != nil {
		return "", q.fail
	}
	if q.bodies == nil {
		q.bodies = map[queue.ID][]byte{}
	}
	q.bodies[s.ID] = body
	q.mail = append(q.mail, queue.Message{
		ID: s.ID, Envelope: s.Envelope, Origin: s.Origin, Accepted: time.Now(), NotBefore: s.NotBefore,
		Size:    int64(len(body)),
		Results: make([]queue.Result, len(s.Envelope.To)), Tags: s.Tags, Metadata: s.Metadata, Captured: true,
		Facts: in.Facts(),
	})
	return s.ID, nil
}

func (q *memory) Get(id queue.ID) (queue.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.mail {
		if m.ID == id {
			return m, nil
		}
	}
	return queue.Message{}, queue.ErrNotFound
}

func (q *memory) List(_ context.Context, _ queue.Filter, after queue.ID, limit int) ([]queue.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []queue.Message
	for _, m := range slices.Backward(q.mail) {
		if (after == "" || m.ID < after) && len(out) < limit {
			out = append(out, m)
		}
	}
	return out, nil
}

func (q *memory) Body(id queue.ID) (io.ReadSeekCloser, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return nopCloser{bytes.NewReader(q.bodies[id])}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (q *memory) State(m *queue.Message) (queue.State, string) { return m.State(), "" }

func (*memory) Lane(*queue.Message) string { return "upstream" }

func (q *memory) Status() queue.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state
}

func (q *memory) Check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.checks++
	return q.sick
}

// last is the newest mail and its bytes.
func (q *memory) last(t testing.TB) (queue.Message, string) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mail) == 0 {
		t.Fatal("no mail was sent")
	}
	m := q.mail[len(q.mail)-1]
	return m, string(q.bodies[m.ID])
}

func (q *memory) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mail)
}

func mailbox(t testing.TB, s string) message.Mailbox {
	t.Helper()
	m, err := message.ParseMailbox(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// config is an owner at example.org who trusts this machine.
func config(t testing.TB) Config {
	return Config{
		Domain: "example.org", Hostname: "mail.example.org", Version: "1.2.3",
		DefaultFrom: mailbox(t, "noreply@example.org"), DefaultTo: mailbox(t, "owner@example.com"),
		AllowedHosts: []string{"example.org"}, TrustedNetworks: loopback, Hosts: []string{"Mail-API:20001"},
		Accounts: accounts(
			account.Key{Name: "shop", Secret: "shop-secret", From: []string{"billing@example.org", "@shop.example.org"}},
			account.Key{Name: "own", Secret: "own-secret", From: own},
			account.Key{Name: "any", Secret: "any-secret", From: []string{"*"}},
			account.Key{Name: "unset"},
		),
	}
}

// own is what programs of the owner may send as.
var own = []string{"noreply@example.org", "@example.org"}

// accounts are those of keys, and of the programs at example.org.
func accounts(keys ...account.Key) *account.Accounts {
	return account.New(account.Config{Own: own, Keys: keys}, discard)
}

// outside is the same owner, to whom this machine is a stranger.
func outside(t testing.TB) Config {
	cfg := config(t)
	cfg.TrustedNetworks = nil
	return cfg
}

// start serves cfg on loopback until the test ends and returns its base URL.
func start(t testing.TB, q Queue, cfg Config) string {
	t.Helper()
	base, _ := startLogged(t, q, cfg)
	return base
}

func startLogged(t testing.TB, q Queue, cfg Config) (string, *logged) {
	t.Helper()
	log := new(logged)
	s := New(q, cfg, slog.New(slog.NewJSONHandler(log, nil)))
	return serveUntilEnd(t, s), log
}

// serveUntilEnd serves s on loopback until the test ends and returns its base URL.
func serveUntilEnd(t testing.TB, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	return "http://" + ln.Addr().String()
}

// logged is a log that a test can read.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// ask makes one request. Headers are "Name: value"; Host sets the Host.
func ask(t testing.TB, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// fields is a JSON object.
func fields(t testing.TB, text string) map[string]any {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return f
}

var errDisk = errors.New("write /var/lib/secret-path: input/output error")

var discard = slog.New(slog.DiscardHandler)

// serveOne serves one request of a program on this machine without a network.
func serveOne(s *Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		switch name {
		case "Host":
			r.Host = value
		case "Peer":
			r.RemoteAddr = value
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func (q *memory) Meters() queue.Meters { return q.meters }
