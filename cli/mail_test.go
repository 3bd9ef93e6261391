package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/account"
	"dinkymail/cli/world"
	"dinkymail/httpapi"
	"dinkymail/message"
	"dinkymail/queue"
)

// played is a queue in which the one mail goes through given states, one each time it is asked.
type played struct {
	httpapi.Queue
	check error

	mu     sync.Mutex
	states []queue.State
	reason string // of State
	mail   queue.Message
	body   string
}

func (*played) Lane(*queue.Message) string { return "upstream" }

func (p *played) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	body, err := io.ReadAll(s.Body)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := s.ID
	if id == "" {
		id = queue.NewID()
	}
	p.mail = queue.Message{ID: id, Envelope: s.Envelope, Results: make([]queue.Result, len(s.Envelope.To)), Accepted: time.Now()}
	p.body = string(body)
	return id, nil
}

func (p *played) Get(queue.ID) (queue.Message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.mail
	m.Results = append([]queue.Result(nil), m.Results...)
	if len(p.states) > 1 {
		p.states = p.states[1:]
	}
	switch p.states[0] {
	case queue.StateDelivered:
		m.Results[0] = queue.Result{Outcome: queue.Delivered, Code: 250, Text: "2.0.0 ok", Remote: "mx.example.net:587"}
	case queue.StateFailed:
		m.Results[0] = queue.Result{Outcome: queue.Failed, Code: 550, Text: "5.1.1 no such user", Remote: "mx.example.net:587"}
	case queue.StateDeferred:
		m.Legs = []queue.Leg{{Lane: queue.Upstream, Tries: 1, Next: time.Now().Add(time.Minute)}}
		m.Results[0] = queue.Result{Code: 451, Text: "4.3.0 later", Remote: "mx.example.net:587"}
	}
	return m, nil
}

func (p *played) State(*queue.Message) (queue.State, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[0], p.reason
}

func (p *played) Status() queue.Status { return queue.Status{} }
func (p *played) Check() error         { return p.check }

// appliance serves the real API over a queue, for a caller with a key.
func appliance(t *testing.T, q httpapi.Queue) (environ []string) {
	t.Helper()
	cfg := httpapi.Config{Domain: "example.com", DefaultFrom: message.Mailbox{Address: message.Address{Local: "noreply",
		Domain: "example.com"}},
		TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Accounts: account.New(account.Config{Keys: []account.Key{{Name: "cli", Secret: "0123456789abcdef", From: []string{"*"}}}},
			slog.New(slog.DiscardHandler))}
	server := httptest.NewServer(httpapi.New(q, cfg, slog.New(slog.DiscardHandler)).Handler())
	t.Cleanup(server.Close)
	return []string{"MAIL_DOMAIN=example.com", "API_KEYS=other:fedcba9876543210:x@example.net,cli:0123456789abcdef:*",
		"HTTP_LISTEN=" + strings.TrimPrefix(server.URL, "http://")}
}

// send-test tells each change once, and its exit status tells the end.
func TestSendTestFollowsTheMail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		states []queue.State
		reason string
		code   int
		want   []string
	}{
		{[]queue.State{queue.StateQueued, queue.StateQueued, queue.StateDelivered}, "", 0, []string{"queued as ",
			"delivered by mx.example.net:587: 250 2.0.0 ok"}},
		{[]queue.State{queue.StateDeferred, queue.StateDeferred, queue.StateFailed}, "", world.ExitUnavailable,
			[]string{"deferred by mx.example.net:587: 451 4.3.0 later; next attempt at", "failed by mx.example.net:587: 550",
				"refused for good"}},
		{[]queue.State{queue.StateQueued}, "waits for the upstream: 535 no", world.ExitTempFail,
			[]string{"queued: waits for the upstream: 535 no", "goes out once the reason above is gone"}},
		{[]queue.State{queue.StateDeferred}, "waits for the upstream: 535 no", world.ExitTempFail,
			[]string{"deferred: waits for the upstream: 535 no", "goes out once the reason above is gone"}},
		{[]queue.State{queue.StateHeld}, "ask Ada", world.ExitTempFail, []string{"held: ask Ada", "dinkymail release lets it go"}},
		{[]queue.State{queue.StateCaptured}, "", 0, []string{"captured"}},
		{[]queue.State{queue.StateQueued}, "", world.ExitTempFail, []string{"is not settled yet"}},
	} {
		q := &played{states: c.states, reason: c.reason}
		patience := "30s"
		if c.states[0] == queue.StateQueued && len(c.states) == 1 && c.reason == "" {
			patience = "400ms"
		}
		var out strings.Builder
		code := worldOf(nil, &out, &out, appliance(t, q)).Run(t.Context(), []string{"send-test", "--wait", "--timeout",
			patience, "ada@example.org"})
		if code != c.code {
			t.Errorf("%v: exit status %d, want %d", c.states, code, c.code)
		}
		for _, want := range c.want {
			if strings.Count(out.String(), want) != 1 {
				t.Errorf("%v: want %q once in\n%s", c.states, want, out.String())
			}
		}
		if to := q.mail.Envelope.To; len(to) != 1 || to[0].String() != "ada@example.org" || !strings.Contains(q.body,
			"Subject: Test mail from Dinkymail") {
			t.Errorf("sent to %v:\n%s", to, q.body)
		}
	}
}

// Without --wait the mail is handed in and named; what the API refuses is told.
func TestSendTestHandsIn(t *testing.T) {
	q := &played{states: []queue.State{queue.StateQueued}}
	environ := appliance(t, q)
	var out strings.Builder
	if code := worldOf(nil, &out, &out, environ).Run(t.Context(), []string{"send-test", "ada@example.org"}); code != 0 ||
		!strings.Contains(out.String(), string(q.mail.ID)) {
		t.Errorf("exit status %d: %s", code, out.String())
	}
	out.Reset()
	if code := worldOf(nil, &out, &out, environ).Run(t.Context(), []string{"send-test", "nobody"}); code != world.ExitUnavailable ||
		!strings.Contains(out.String(), "nobody") {
		t.Errorf("exit status %d: %s", code, out.String())
	}
}

// health exits 0 when the store can be written, and 1 when not or when nobody is there.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		check error
		code  int
		says  string
	}{{nil, 0, "ok"}, {queue.ErrBroken, 1, "dinkymail: "}} {
		var out strings.Builder
		code := worldOf(nil, &out, &out, appliance(t, &played{check: c.check})).Run(t.Context(), []string{"health"})
		if code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: exit status %d: %s", c.check, code, out.String())
		}
	}
}

// With --json health says how it stands also when that is not well.
func TestHealthJSON(t *testing.T) {
	for _, c := range []struct {
		check  error
		code   int
		status string
	}{{nil, 0, "ok"}, {queue.ErrBroken, 1, "down"}} {
		var out, errs strings.Builder
		code := worldOf(nil, &out, &errs, appliance(t, &played{check: c.check})).Run(t.Context(), []string{"health", "--json"})
		var h httpapi.Health
		if err := json.Unmarshal([]byte(out.String()), &h); err != nil || code != c.code || h.Status != c.status || (errs.Len() > 0) != (code != 0) {
			t.Errorf("%v: exit status %d: %s%s, %v", c.check, code, out.String(), errs.String(), err)
		}
	}
}

// What listens on every address is asked on loopback.
func TestAPIAddress(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:20001": "http://127.0.0.1:20001", ":8080": "http://127.0.0.1:8080",
		"0.0.0.0:1": "http://127.0.0.1:1",
		"[::]:80":   "http://[::1]:80", "10.1.2.3:20001": "http://10.1.2.3:20001"} {
		p := program{Program: Program{World: world.World{Environ: []string{"MAIL_DOMAIN=example.com", "HTTP_LISTEN=" + listen}}}}
		s, err := p.settings()
		if err != nil || apiURL(s) != want {
			t.Errorf("%s: got %s, %v", listen, apiURL(s), err)
		}
	}
}

// show goes on past a message that is not there, names it at the end, and tells so with its exit
// status.
func TestShowGoesOn(t *testing.T) {
	c := stocked(t)
	code, out, errs := c.run("", "show", "0cagh3h68onkmkg2", "0000000000000000", "0cagh3h68onkmkg1")
	if code != world.ExitNoInput || !strings.Contains(out, "\n\n0cagh3h68onkmkg1  held\n") || !strings.HasPrefix(out, "0cagh3h68onkmkg2") ||
		strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "0000000000000000") {
		t.Errorf("exit status %d: %s\n%s", code, errs, out)
	}
}

// health is not well when nobody is served where the API listens, although the appliance itself
// says that it is.
func TestHealthTriesTheDoor(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := silent.Addr().String()
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"message":"too many requests at once","code":"busy"}`)
	}))
	defer full.Close()
	for _, c := range []struct {
		listening []string
		code      int
		says      string
	}{
		{nil, 0, "ok"},
		{[]string{"127.0.0.1:1"}, 1, "degraded: HTTP_LISTEN: 127.0.0.1:1 does not answer: connection refused"},
		{[]string{strings.TrimPrefix(full.URL, "http://")}, 1, "too many requests at once"},
		{[]string{closed}, 1, "degraded: HTTP_LISTEN: " + closed + " does not answer"},
	} {
		api := httpapi.New(&played{}, httpapi.Config{Listening: c.listening, TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			slog.New(slog.DiscardHandler))
		server := httptest.NewServer(api.Handler())
		environ := []string{"MAIL_DOMAIN=example.com", "HTTP_LISTEN=" + strings.TrimPrefix(server.URL, "http://")}
		for _, args := range [][]string{{"health"}, {"health", "--json"}} {
			var out, errs strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // silence would take longer
			code := worldOf(nil, &out, &errs, environ).Run(ctx, args)
			cancel()
			if code != c.code || !strings.Contains(out.String()+errs.String(), c.says) || len(args) > 1 && c.code == 1 && !strings.Contains(out.String(), `"degraded"`) {
				t.Errorf("%v %v: exit status %d: %s%s", c.listening, args, code, out.String(), errs.String())
			}
		}
		server.Close()
	}
}
