//go:build interop

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dinkymail/internal/rig"
)

// A Postfix with its defaults as the smarthost reads user%domain, domain!user and "user@domain" at
// its own domain as addresses elsewhere. None of them carries a visitor's mail there.
func TestVisitorReachesNoStranger(t *testing.T) {
	local, stranger := farEnd(t), farEnd(t)
	addrs, err := rig.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	smarthost := postfix(t, "smarthost", map[string]string{
		"mydestination": "example.org", "local_transport": "smtp:[127.0.0.1]:" + rig.Port(local.Addr()),
		"relayhost":                "[127.0.0.1]:" + rig.Port(stranger.Addr()),
		"smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
	}, addrs[0]+" inet n - n - - smtpd")
	start(t, smarthost, addrs[0])
	settings := rig.Relayed(addrs[0])
	settings["TRUSTED_NETWORKS"], settings["FORM_RATE_LIMIT"] = strangersOnly, "0"
	settings["API_KEYS"] = "shop:0123456789abcdef0123:*"
	a := appliance(t, settings)
	send := func(to, subject, key string) int {
		body, _ := json.Marshal(map[string]string{"to": to, "subject": subject, "body": "hello"})
		r, err := http.NewRequest("POST", "http://"+a.HTTP+"/send", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("X-API-KEY", key)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	// Whoever may write to anyone shows that this smarthost does follow such addresses.
	if got := send("victim%third.test@example.org", "with a key", "0123456789abcdef0123"); got != 200 {
		t.Fatalf("with a key: %d", got)
	}
	arrives(t, stranger, "Subject: with a key")
	for i, to := range []string{
		"victim%third.test@example.org", "third.test!victim@example.org", `"victim@third.test"@example.org`, "VICTIM%THIRD.TEST@EXAMPLE.ORG",
		`"victim%third.test"@example.org`, `"third.test!victim"@example.org`, "a%third.test%example.org@example.org",
		`"@third.test:victim"@example.org`, "<@third.test:victim@example.org>", "Us <victim%third.test@example.org>",
		"info@example.org, victim%third.test@example.org", "victim%third.test@example.org.",
	} {
		if got := send(to, fmt.Sprintf("trick %d", i), ""); got == 200 {
			t.Errorf("a visitor wrote to %s", to)
		}
	}
	for _, to := range []string{"info@example.org", "info+a_b=c-d@example.org"} {
		if got := send(to, "honest to "+to, ""); got != 200 {
			t.Errorf("a visitor's mail to %s: %d", to, got)
		}
	}
	arrives(t, local, "Subject: honest to info@example.org")
	if got := stranger.Total(); got != 1 {
		t.Errorf("%d mails went to strangers, want the one with a key", got)
	}
}

// nginxConf is an instance of its own that streams requests, as nginx does when it is told to.
const nginxConf = `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	map $http_x_client $client { default $http_x_client; "" $remote_addr; }
	server {
		listen %[2]s;
		location / {
			proxy_pass http://%[4]s;
			proxy_request_buffering off;
			proxy_http_version 1.1;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $client;
		}
	}
	server {
		listen %[3]s;
		location / { proxy_pass http://%[4]s; }
	}
}
`

// fronted starts nginx before an appliance. The first address streams and says who calls, which a
// request chooses by X-Client; the second has proxy_pass and nothing else.
func fronted(t *testing.T, a *rig.Appliance) (streaming, silent string) {
	t.Helper()
	nginx := tool(t, "nginx", "apt-get install nginx-light")
	dir := t.TempDir()
	addrs, err := rig.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addrs[0], addrs[1], a.HTTP), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx said %s", &said)
		}
	})
	for begin := time.Now(); ; {
		c, err := net.Dial("tcp", addrs[0])
		if err == nil {
			c.Close()
			return addrs[0], addrs[1]
		}
		if time.Since(begin) > patience {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
}

// through makes a request through a proxy and returns the status; 0 when there was no answer.
func through(t *testing.T, proxy, method, path, body string, headers ...string) int {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+proxy+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Through a real streaming proxy a thousand requests without the body that they announce shut
// nobody out, one client takes no more than its share, and the health check, which asks at the
// door, says the truth.
func TestStreamingProxy(t *testing.T) {
	a := appliance(t, map[string]string{"ENVIRONMENT": "development", "DEFAULT_TO": "owner@example.org", "TRUSTED_PROXIES": "127.0.0.1",
		"FORM_RATE_LIMIT": "2/min"})
	streaming, _ := fronted(t, a)
	for i := range 1050 {
		c, err := net.Dial("tcp", streaming)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Client: 192.0.2.%d\r\nContent-Length: 100\r\n\r\n", i%20)
		if i == 0 {
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
				t.Errorf("the request itself: %v, %v", resp, err)
			}
		}
	}
	begin := time.Now()
	for through(t, streaming, "GET", "/health", "", "X-Client: 198.51.100.1") != 200 {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("another client is not served")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := a.Run(ctx, "", "health"); err != nil || !strings.HasPrefix(out, "ok") {
		t.Errorf("health: %s, %v", out, err)
	}
	const mail = `{"to":"owner@example.org","subject":"s","body":"b"}`
	for _, client := range []string{"203.0.113.1:1000", "[2001:db8::1]:4711"} {
		for i, want := range []int{200, 200, 429} {
			if got := through(t, streaming, "POST", "/send", mail, "X-Client: "+client); got != want {
				t.Errorf("mail %d of %s: %d, want %d", i+1, client, got, want)
			}
		}
	}
}

// Behind an nginx with proxy_pass and nothing else a browser is no program on this machine, and
// with LOCAL_HTTP=no nobody is.
func TestSilentProxy(t *testing.T) {
	const foreign = `{"to":"anyone@example.net","subject":"s","body":"b"}`
	a := appliance(t, map[string]string{"ENVIRONMENT": "development"})
	_, silent := fronted(t, a)
	for _, mark := range []string{"Origin: http://127.0.0.1", "Referer: https://shop.example/", "Cookie: a=b", "Sec-Fetch-Site: same-origin"} {
		if got := through(t, silent, "POST", "/send", foreign, mark); got != 403 {
			t.Errorf("with %s: %d, want 403", mark, got)
		}
	}
	a = appliance(t, map[string]string{"ENVIRONMENT": "development", "LOCAL_HTTP": "no"})
	_, silent = fronted(t, a)
	if got := through(t, silent, "POST", "/send", foreign); got != 403 {
		t.Errorf("LOCAL_HTTP=no: %d, want 403", got)
	}
	if got := through(t, silent, "GET", "/captured", ""); got != 403 {
		t.Errorf("LOCAL_HTTP=no, captured mail: %d, want 403", got)
	}
}

// A page whose tracing script and fetch library add headers of their own sends all the same, and to
// an address with a slash, too.
func TestBrowserWithFurtherHeaders(t *testing.T) {
	chromium(t)
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>form</title>")
	}))
	t.Cleanup(website.Close)
	a := appliance(t, map[string]string{"ENVIRONMENT": "development", "ALLOWED_HOSTS": "site.localhost", "DEFAULT_TO": "owner@example.org"})
	browser := newBrowser(t)
	const script = `fetch(%q, {method: 'POST', cache: 'no-store', body: JSON.stringify({to: 'owner@example.org', subject: 's', body: 'b'}), headers: {
		'Content-Type': 'application/json', 'sentry-trace': 'a', 'baggage': 'b', 'traceparent': 'c', 'tracestate': 'd', 'cache-control': 'no-cache',
		'pragma': 'no-cache', 'x-csrf-token': 'e', 'x-requested-with': 'XMLHttpRequest', 'idempotency-key': 'f', 'x-something-new': 'g',
	}}).then(r => String(r.status), err => 'blocked: ' + err)`
	for host, want := range map[string]string{"site.localhost": "200", "evil.localhost": "blocked: "} {
		tab := visit(t, browser, "http://"+host+":"+rig.Port(strings.TrimPrefix(website.URL, "http://")))
		for _, path := range []string{"/send", "/send/", "/api/v1/email/send/"} {
			said, err := chromedp.Run(tab, chromedp.Evaluate[string](fmt.Sprintf(script, "http://"+a.HTTP+path), chromedp.EvalAwaitPromise))
			if err != nil || !strings.HasPrefix(said, want) {
				t.Errorf("%s at %s got %s, %v", host, path, said, err)
			}
		}
	}
	if log := a.LogTail(); !strings.Contains(log, "ALLOWED_HOSTS=site.localhost,evil.localhost") {
		t.Errorf("the log does not name the cure:\n%s", log)
	}
}
