//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dinkymail/internal/rig"
)

// page is a contact form's script: it posts JSON, which makes the browser ask with a preflight
// first.
const page = `<!doctype html><meta charset="utf-8"><title>form</title>
<script>
async function send(url, mail) {
	try {
		const reply = await fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(mail)});
		return reply.status + ' ' + await reply.text();
	} catch (err) {
		return 'blocked: ' + err;
	}
}
async function sendPlain(url, mail) {
	try {
		await fetch(url, {method: 'POST', mode: 'no-cors', body: JSON.stringify(mail)});
		return 'sent without asking';
	} catch (err) {
		return 'blocked: ' + err;
	}
}
</script>`

// A page of an allowed origin sends with fetch and JSON, preflight included. A page of another
// origin is refused, and no mail is sent, even when it avoids the preflight; so is a page that the
// allowed origin's name merely begins.
func TestBrowser(t *testing.T) {
	chromium(t)
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(website.Close)
	a := appliance(t, map[string]string{
		"ENVIRONMENT": "development", "ALLOWED_HOSTS": "site.localhost", "DEFAULT_TO": "owner@example.org",
	})
	browser := newBrowser(t)
	port := rig.Port(strings.TrimPrefix(website.URL, "http://"))
	send := "http://" + a.HTTP + "/send"

	allowed := visit(t, browser, "http://site.localhost:"+port)
	if got := call(t, allowed, "send", send, "from the allowed page"); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"success":true`) {
		t.Errorf("an allowed page got %s", got)
	}
	for _, origin := range []string{"http://evil.localhost:" + port, "http://site.localhost.evil.localhost:" + port, "http://127.0.0.1:" + port} {
		other := visit(t, browser, origin)
		if got := call(t, other, "send", send, "from another page"); !strings.HasPrefix(got, "blocked: ") && !strings.HasPrefix(got, "403 ") {
			t.Errorf("%s got %s", origin, got)
		}
		call(t, other, "sendPlain", send, "from another page")
	}
	list := body(t, "http://"+a.HTTP+"/captured")
	if !strings.Contains(list, "from the allowed page") {
		t.Errorf("the allowed page's mail is not among the captured:\n%s", list)
	}
	if strings.Contains(list, "from another page") {
		t.Errorf("another page's mail was taken:\n%s", list)
	}
	screenshot(t, browser, "http://"+a.HTTP+"/captured", "captured.png")
}

func chromium(t *testing.T) string {
	t.Helper()
	return tool(t, "chromium", "apt-get install chromium")
}

// newBrowser starts a headless Chromium with a profile of its own that talks to nobody by itself.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.DisableGPU, chromedp.WindowSize(1100, 800),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	}
	if os.Getuid() == 0 {
		flags = append(flags, chromedp.NoSandbox)
	}
	ctx, cancel = chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	// The first Run starts the browser, which ends with the context it is given.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// visit opens a page in a tab of its own.
func visit(t *testing.T, browser context.Context, address string) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	if err := chromedp.Do(tab, chromedp.Navigate(address)); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return tab
}

// call runs one of the page's functions with a mail to the site's owner and returns what it says.
func call(t *testing.T, tab context.Context, function, endpoint, subject string) string {
	t.Helper()
	script := fmt.Sprintf(`%s(%q, {to: 'owner@example.org', subject: %q, body: 'hello'})`, function, endpoint, subject)
	said, err := chromedp.Run(tab, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return said
}

// body is what an address answers.
func body(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// screenshot keeps a picture of a page, for whoever wants to see it.
func screenshot(t *testing.T, browser context.Context, address, name string) {
	t.Helper()
	tab := visit(t, browser, address)
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(os.TempDir(), "dinkymail-screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("a picture of %s is in %s", address, file)
}
