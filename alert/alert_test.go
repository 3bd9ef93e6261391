package alert

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dinkymail/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// post is what a webhook got.
type post struct {
	header http.Header
	body   string
}

// hook is a real server that keeps what is posted.
func hook(t *testing.T, status int) (url string, got func() []post) {
	var mu sync.Mutex
	var posts []post
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		posts = append(posts, post{r.Header.Clone(), string(body)})
		mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []post {
		mu.Lock()
		defer mu.Unlock()
		return posts
	}
}

// A redirect is not followed, wherever it leads, and the error says what to do.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inside, got := hook(t, 200)
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.RedirectHandler(inside+"/secret", status))
		err := Test(t.Context(), Config{Webhook: srv.URL})
		if err == nil || !strings.Contains(err.Error(), "set ALERT_WEBHOOK to the final address") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: got %v", status, err)
		}
		srv.Close()
	}
	if n := len(got()); n > 0 {
		t.Errorf("%d requests came through", n)
	}
}

// A webhook that is set while it runs is told what holds then.
func TestUseReplacesTheWebhook(t *testing.T) {
	url, got := hook(t, 200)
	a := New(Config{Every: time.Millisecond}, func(now time.Time) []Condition {
		return []Condition{{Key: "disk", Text: "full", Since: now}}
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	a.Use(url)
	for len(got()) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; err != nil || len(got()) != 1 {
		t.Errorf("got %v after %d posts", err, len(got()))
	}
}

// Each form is what its reader knows.
func TestForms(t *testing.T) {
	n := Notice{Appliance: "mail.example.com", State: Firing, Condition: Condition{Key: "quota", Text: "mail waits", Fix: "Wait."}}
	for form, check := range map[string]func(post) bool{
		"slack:": func(p post) bool {
			var v struct{ Text string }
			return json.Unmarshal([]byte(p.body), &v) == nil && v.Text == "mail.example.com: mail waits. Wait."
		},
		"ntfy:": func(p post) bool {
			return p.body == "mail.example.com: mail waits. Wait." && p.header.Get("Title") == "Dinkymail: quota" && p.header.Get("Priority") == "4"
		},
		"": func(p post) bool {
			var v Notice
			return json.Unmarshal([]byte(p.body), &v) == nil && v == n
		},
	} {
		url, got := hook(t, 200)
		w, err := ParseWebhook(form + url)
		if err != nil {
			t.Fatal(err)
		}
		var client http.Client
		if err := w.Post(t.Context(), &client, n); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
		if p := got(); len(p) != 1 || !check(p[0]) {
			t.Errorf("%q: got %+v", form, p)
		}
	}
}

// The form is seen from well-known hosts, and nonsense is refused.
func TestParseWebhook(t *testing.T) {
	for text, want := range map[string]Webhook{
		"":                                   {},
		"https://hooks.slack.com/services/x": {"slack", "https://hooks.slack.com/services/x"},
		"https://ntfy.sh/topic":              {"ntfy", "https://ntfy.sh/topic"},
		"slack:http://127.0.0.1:1/x":         {"slack", "http://127.0.0.1:1/x"},
		"https://example.com/x":              {"json", "https://example.com/x"},
	} {
		if got, err := ParseWebhook(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "ftp://a/b", "slack:", "slack:x", "http://", ":", "http://%zz"} {
		if _, err := ParseWebhook(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// An error does not show the URL, which is a secret.
func TestPostHidesTheURL(t *testing.T) {
	url, _ := hook(t, 500)
	for _, target := range []string{url + "/token", "http://127.0.0.1:1/token"} {
		w, _ := ParseWebhook(target)
		var client http.Client
		err := w.Post(t.Context(), &client, Notice{})
		client.CloseIdleConnections()
		if err == nil || strings.Contains(err.Error(), "token") {
			t.Errorf("got %v", err)
		}
	}
}

// roundTrip stands for a webhook where time is not real.
type roundTrip func(r *http.Request) error

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := f(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// A condition is told once when it begins and once when it is over, across a restart and through a
// webhook that fails for a while. After the restart it takes a moment to be found again, and lasts
// anew before it would be told.
func TestOncePerCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var down, holds atomic.Bool
		down.Store(true)
		holds.Store(true)
		transport := roundTrip(func(r *http.Request) error {
			if down.Load() {
				return errors.New("down")
			}
			var n Notice
			if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
				t.Error(err)
			}
			told = append(told, n.Key+" "+string(n.State))
			return nil
		})
		began := time.Now()
		look := func(now time.Time) []Condition {
			if holds.Load() && now.Sub(began) >= 40*time.Second {
				return []Condition{{Key: "quota", Text: "x", Since: now, Early: now.Sub(began) < 3*time.Minute}}
			}
			return nil
		}
		cfg := Config{Webhook: "json:http://127.0.0.1/x", File: filepath.Join(t.TempDir(), "alerts.json")}
		begin := func() (stop func()) {
			began = time.Now()
			a := New(cfg, look, slog.New(slog.DiscardHandler))
			a.client.Transport = transport
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- a.Run(ctx) }()
			return func() { cancel(); <-done }
		}
		stop := begin()
		<-time.After(5 * time.Minute)
		down.Store(false)
		<-time.After(5 * time.Minute)
		stop()
		stop = begin() // knows what was told
		<-time.After(5 * time.Minute)
		holds.Store(false)
		<-time.After(5 * time.Minute)
		stop()
		if got := strings.Join(told, ", "); got != "quota firing, quota cleared" {
			t.Errorf("told: %s", got)
		}
	})
}

// Each condition is found, and nothing is when all is well.
func TestConditions(t *testing.T) {
	now := time.Now()
	lane := func(kind string, ago time.Duration) queue.Status {
		return queue.Status{Lanes: []queue.LaneStatus{{Name: "upstream", State: queue.LaneWaiting, Kind: kind, Reason: "why", Since: now.Add(-ago)}}}
	}
	for name, c := range map[string]struct {
		facts Facts
		want  string
	}{
		"well": {Facts{Queue: queue.Status{Store: queue.Stats{Waiting: 3}}, Oldest: now.Add(-time.Minute), Free: 50 << 30, Size: 100 << 30,
			Certificates: map[string]time.Time{"own": now.Add(1000 * time.Hour)}}, ""},
		"credentials":        {Facts{Queue: lane("credentials", 0)}, "credentials"},
		"quota":              {Facts{Queue: lane("quota", 0)}, "quota"},
		"not configured":     {Facts{Queue: lane("not configured", 0)}, "not configured"},
		"a short outage":     {Facts{Queue: lane("unreachable", time.Minute)}, ""},
		"a long outage":      {Facts{Queue: lane("unreachable", time.Hour)}, "unreachable"},
		"paused on purpose":  {Facts{Queue: queue.Status{Lanes: []queue.LaneStatus{{Name: "upstream", State: queue.LanePaused}}}}, ""},
		"paused just now":    {Facts{Queue: queue.Status{Paused: []queue.PauseStatus{{What: queue.Intake, Since: now.Add(-time.Minute)}}}}, ""},
		"paused for long":    {Facts{Queue: queue.Status{Paused: []queue.PauseStatus{{What: "upstream", Since: now.Add(-time.Hour), By: "ada"}}}}, "paused upstream"},
		"development":        {Facts{Queue: lane("development", time.Hour)}, ""},
		"stuck":              {Facts{Queue: queue.Status{Store: queue.Stats{Waiting: 1}}, Oldest: now.Add(-2 * time.Hour)}, "stuck"},
		"damaged":            {Facts{Queue: queue.Status{Store: queue.Stats{Damaged: 1}}}, "damaged"},
		"a lost notice":      {Facts{Queue: queue.Status{LostLast: now.Add(-time.Hour)}}, "notices"},
		"lost long ago":      {Facts{Queue: queue.Status{LostLast: now.Add(-25 * time.Hour)}}, ""},
		"broken":             {Facts{Queue: queue.Status{Broken: errors.New("EIO")}}, "store"},
		"little left":        {Facts{Free: 100 << 20, Size: 1 << 30}, "disk"},
		"a small share left": {Facts{Free: 1 << 30, Size: 100 << 30}, "disk"},
		"our certificate":    {Facts{Certificates: map[string]time.Time{"own": now.Add(time.Hour)}}, "certificate own"},
		"theirs":             {Facts{Certificates: map[string]time.Time{"upstream": now.Add(time.Hour)}}, "certificate upstream"},
	} {
		var keys []string
		for _, c := range Conditions(c.facts, Thresholds{}, now) {
			if !c.Early {
				keys = append(keys, c.Key)
			}
			if c.Text == "" {
				t.Errorf("%s: no text", name)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
