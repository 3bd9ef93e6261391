package httpapi

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// Health proves a write, tells the outside little, and logs nothing when all is well.
func TestHealth(t *testing.T) {
	q := new(memory)
	q.state.Lanes = []queue.LaneStatus{{Name: "upstream", State: queue.LaneFlowing}}
	base, log := startLogged(t, q, config(t))
	for _, path := range []string{"/health", "/api/health"} {
		resp, text := ask(t, "GET", base+path, "")
		f := fields(t, text)
		if resp.StatusCode != 200 || f["success"] != true || f["message"] != "Mail API service is running" ||
			f["status"] != "ok" || q.checks == 0 {
			t.Errorf("%s = %d %s", path, resp.StatusCode, text)
		}
		if !strings.Contains(text, "1.2.3") {
			t.Errorf("a program does not learn the version: %s", text)
		}
		if resp, text := ask(t, "HEAD", base+path, ""); resp.StatusCode != 200 || text != "" {
			t.Errorf("HEAD %s = %d %s", path, resp.StatusCode, text)
		}
	}
	if log.String() != "" {
		t.Errorf("log = %s", log)
	}
}

// A lane that waits is degraded and 200; its reason is told in words that name no next hop, except
// to the owner.
func TestHealthDegraded(t *testing.T) {
	q := new(memory)
	s := New(q, config(t), discard)
	for kind, want := range map[string]string{"not configured": "no upstream configured",
		"unreachable": "the next hop does not answer; mail is kept and tried again",
		"":            "the operator has paused delivery; mail is kept"} {
		state := queue.LaneWaiting
		if kind == "" {
			state = queue.LanePaused
		}
		q.state.Lanes = []queue.LaneStatus{{Name: "smtp.secret.example:587", State: state, Kind: kind, Reason: "secret words"}}
		w := serveOne(s, "GET", "/health", "", "Peer: 192.0.2.1:1")
		f := fields(t, w.Body.String())
		if w.Code != 200 || f["status"] != "degraded" || f["reason"] != want || strings.Contains(w.Body.String(),
			"secret") ||
			strings.Contains(w.Body.String(), "1.2.3") {
			t.Errorf("visitor = %d %s", w.Code, w.Body)
		}
		if !strings.Contains(w.Body.String(), `"delivery":"`+string(state)+`"`) {
			t.Errorf("delivery is not %s: %s", state, w.Body)
		}
		if w := serveOne(s, "GET", "/health", ""); !strings.Contains(w.Body.String(), `"status":"`+string(state)+`","reason":"secret words"`) {
			t.Errorf("program = %s", w.Body)
		}
	}
}

// A store that cannot be written is 503, told to the log once.
func TestHealthDown(t *testing.T) {
	q := &memory{sick: errDisk}
	base, log := startLogged(t, q, config(t))
	for range 2 {
		resp, text := ask(t, "GET", base+"/health", "")
		f := fields(t, text)
		if resp.StatusCode != 503 || f["success"] != false || f["status"] != "down" || f["code"] != "unavailable" ||
			f["message"] == "" || f["error"] == "" ||
			f["details"] == "" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("answer = %d %s", resp.StatusCode, text)
		}
	}
	if n := strings.Count(log.String(), "store check failed"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
	if w := serveOne(New(q, outside(t), discard), "GET", "/health", ""); w.Code != 503 || strings.Contains(w.Body.String(),
		"secret-path") {
		t.Errorf("visitor = %d %s", w.Code, w.Body)
	}
	q = &memory{state: queue.Status{Broken: errors.New("disk")}}
	if w := serveOne(New(q, config(t), discard), "GET", "/health", ""); w.Code != 503 {
		t.Errorf("broken queue = %d", w.Code)
	}
}

// Strangers cannot make the disk work: they share one check a second.
func TestVisitorsShareHealthChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := new(memory)
		s := New(q, outside(t), discard)
		for range 20 {
			serveOne(s, "GET", "/health", "")
		}
		<-time.After(time.Second)
		serveOne(s, "GET", "/health", "")
		if q.checks != 2 {
			t.Errorf("%d checks, want 2", q.checks)
		}
	})
}

// sensor always tells the same.
type sensor Vitals

func (s sensor) Vitals() Vitals { return Vitals(s) }

// The names, types and help of our metrics; scrapers and dashboards depend on them.
func TestMetrics(t *testing.T) {
	q := new(memory)
	q.state = queue.Status{Store: queue.Stats{Waiting: 3, Oldest: time.Now().Add(-time.Minute)}, Submitted: 7, Delivered: 4,
		Lanes: []queue.LaneStatus{{Name: "upstream", State: queue.LaneWaiting, Concurrency: 4}}, Paused: []queue.PauseStatus{{What: queue.Intake}}}
	q.meters = queue.Meters{Results: []queue.ResultCount{{Outcome: queue.Deferred, Class: "4xx", N: 5}}}
	cfg := config(t)
	cfg.Sensor = sensor{Free: 1 << 30, Size: 1 << 40, Certificates: map[string]time.Time{"own": time.Unix(1_800_000_000, 0)}}
	s := New(q, cfg, discard)
	serveOne(s, "GET", "/health", "")
	serveOne(s, "GET", "/made/up", "")
	w := serveOne(s, "GET", "/metrics", "")
	text := w.Body.String()
	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# ") && strings.Contains(line, " dinkymail_") {
			got = append(got, line)
		}
	}
	const golden = "testdata/metrics.golden"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || strings.Join(got, "") != string(want) {
		t.Errorf("metrics are\n%s\n%v", strings.Join(got, ""), err)
	}
	for _, line := range []string{
		`dinkymail_queue_messages{status="waiting"} 3`, `dinkymail_messages_accepted_total 7`,
		`dinkymail_recipients_total{outcome="delivered"} 4`,
		`dinkymail_lane_waiting{lane="upstream"} 1`, `dinkymail_http_requests_total{route="/health",status="200"} 1`,
		`dinkymail_http_requests_total{route="other",status="404"} 1`, `go_goroutines `, `process_resident_memory_bytes `,
		`dinkymail_build_info{version="1.2.3"} 1`, `dinkymail_lane_concurrency{lane="upstream"} 4`, `dinkymail_paused{what="intake"} 1`,
		`dinkymail_paused{what="upstream"} 0`,
		`dinkymail_attempts_total{class="4xx",outcome="deferred"} 5`, `dinkymail_data_dir_free_bytes 1.073741824e+09`,
		`dinkymail_certificate_end_seconds{whose="own"} 1.8e+09`, `dinkymail_delivery_seconds_count 0`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	if !regexp.MustCompile(`dinkymail_queue_oldest_seconds 6\d`).MatchString(text) {
		t.Error("the age of the oldest message is wrong")
	}
}

// Metrics are for the owner: not through a proxy, not for pages, not under a name that is not ours.
func TestMetricsAreLocal(t *testing.T) {
	s := New(new(memory), config(t), discard)
	for _, h := range []string{"Peer: 192.0.2.1:1", "X-Forwarded-For: 127.0.0.1", "Origin: https://example.org",
		"Host: evil.example"} {
		if w := serveOne(s, "GET", "/metrics", "", h); w.Code != 403 || fields(t, w.Body.String())["code"] != "local_only" {
			t.Errorf("%s = %d %s", h, w.Code, w.Body)
		}
	}
	if w := serveOne(s, "GET", "/metrics", "", "Peer: 192.0.2.1:1", "X-API-KEY: own-secret"); w.Code != 200 {
		t.Errorf("with a key = %d", w.Code)
	}
	if w := serveOne(s, "GET", "/metrics", "", "X-API-KEY: wrong"); w.Code != 401 {
		t.Errorf("with a wrong key = %d", w.Code)
	}
}

// Where there is nothing the answer is JSON and 404; a method that is not known is 405 and Allow
// says which are.
func TestUnknownRoutesAndMethods(t *testing.T) {
	s := New(new(memory), config(t), discard)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""}, {"BREW", "/nothing", 404, ""}, {"POST", "/send/", 400, ""}, {"POST", "/sends/", 404, ""}, {"GET", "/captured", 404,
			""},
		{"GET", "/captured/x/raw", 404, ""}, {"POST", "/api/v2", 404, ""},
		{"POST", "/health", 405, "GET, HEAD"}, {"DELETE", "/metrics", 405, "GET, HEAD"}, {"BREW", "/health", 405,
			"GET, HEAD"},
		{"POST", "/api/v1/email/status/x", 405, "GET, HEAD, OPTIONS"}, {"HEAD", "/send", 405, "POST, OPTIONS"}, {"DELETE",
			"/send", 405, "POST, OPTIONS"},
		{"GET", "/", 200, ""}, {"HEAD", "/health", 200, ""}, {"HEAD", "/metrics", 200, ""}, {"POST", "/", 405, "GET, HEAD"},
	} {
		w := serveOne(s, c.method, c.path, "")
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s = %d, Allow %q; want %d, %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.status,
				c.allow)
		}
		if c.path == "/metrics" && c.status == 200 {
			continue
		}
		f := fields(t, w.Body.String())
		keys := []string{"success", "message", "error", "details", "code"}
		if c.status >= 400 && slices.ContainsFunc(keys, func(k string) bool { _, ok := f[k]; return !ok }) {
			t.Errorf("%s %s = %s", c.method, c.path, w.Body)
		}
	}
}

// Refusals are logged with client and code, never with the key, and not without bound.
func TestRefusalsAreLogged(t *testing.T) {
	base, log := startLogged(t, new(memory), config(t))
	for range 200 {
		ask(t, "POST", base+"/send", plainMail, "X-API-KEY: tried-secret")
	}
	text := log.String()
	if !strings.Contains(text, `"msg":"refused","client":"127.0.0.1:`) || !strings.Contains(text,
		`"code":"invalid_key"`) || strings.Contains(text, "tried-secret") {
		t.Errorf("log = %.400s", text)
	}
	if n := strings.Count(text, "\n"); n > 100 {
		t.Errorf("%d lines", n)
	}
}
