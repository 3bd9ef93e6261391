//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"dinkymail/internal/rig"
)

// contactPage is a contact form without a script. Its address says how it is posted.
func contactPage(action string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/thanks" {
			fmt.Fprint(w, `<!doctype html><title>thanks</title><p id="thanks">Danke`)
			return
		}
		query := r.URL.Query()
		fmt.Fprintf(w, `<!doctype html><meta charset="utf-8"><title>contact</title>
<form action="%s" method="post" enctype="%s"><input type="hidden" name="_next" value="%s">
<input id="name" name="name"><input id="email" name="email" type="email"><textarea id="message" name="message"></textarea>
<input id="file" name="file" type="file"><button id="go">Send</button></form>`, action, query.Get("enctype"), query.Get("next"))
	}
}

// A form without a script, posted by a browser in each of its three encodings, is one mail also
// when the button is clicked twice. The browser is led back to the website, or thanked; what is
// wrong is shown in a page, from which the browser goes back to the form.
func TestBrowserPostsForms(t *testing.T) {
	chromium(t)
	a := appliance(t, map[string]string{
		"ENVIRONMENT": "development", "ALLOWED_HOSTS": "site.localhost", "DEFAULT_TO": "owner@example.org", "FORM_RATE_LIMIT": "100/min",
	})
	website := httptest.NewServer(contactPage("http://" + a.HTTP + "/send"))
	t.Cleanup(website.Close)
	site := "http://site.localhost:" + rig.Port(strings.TrimPrefix(website.URL, "http://"))
	file := filepath.Join(t.TempDir(), "Lebenslauf ü.txt")
	if err := os.WriteFile(file, []byte("my life"), 0o600); err != nil {
		t.Fatal(err)
	}
	browser := newBrowser(t)
	sent := 0
	for _, enctype := range []string{"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"} {
		for _, next := range []string{"/thanks", "https://elsewhere.example/"} {
			tab := visit(t, browser, site+"/?"+url.Values{"enctype": {enctype}, "next": {next}}.Encode())
			landed := "#thanks"
			if next != "/thanks" {
				landed = "h1"
			}
			steps := []chromedp.Action[chromedp.Void]{
				chromedp.SendKeys("#name", "Ada Lovelace"), chromedp.SendKeys("#email", "ada@example.net"),
				chromedp.SendKeys("#message", "Grüße = "+enctype+"\nto "+next),
			}
			if enctype == "multipart/form-data" {
				steps = append(steps, chromedp.SetUploadFiles("#file", []string{file}))
			}
			steps = append(steps, chromedp.DoubleClick("#go"), chromedp.WaitVisible(chromedp.CSS(landed)))
			if err := chromedp.Do(tab, steps...); err != nil {
				t.Fatalf("%s: %v", enctype, err)
			}
			sent++
			checkFormMail(t, "http://"+a.HTTP, sent, enctype, next)
			if next == "/thanks" {
				if at, err := chromedp.Run(tab, chromedp.Location()); err != nil || at != site+"/thanks" {
					t.Errorf("%s led to %s, %v", enctype, at, err)
				}
			}
		}
	}
	checkRefusedForms(t, a, site)
}

// checkFormMail looks at the newest captured mail, which must be the one with this number.
func checkFormMail(t *testing.T, base string, number int, enctype, next string) {
	t.Helper()
	var list struct {
		Messages []struct{ ID, To, Subject string }
	}
	if err := json.Unmarshal([]byte(body(t, base+"/captured")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Messages) != number {
		t.Fatalf("%s: %d mails were captured, want %d", enctype, len(list.Messages), number)
	}
	var mail struct {
		Text        string
		Raw         string
		Attachments []struct{ Filename string }
	}
	if err := json.Unmarshal([]byte(body(t, base+"/captured/"+list.Messages[0].ID)), &mail); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(mail.Text, "\r\n", "\n")
	if !strings.HasPrefix(text, "Grüße = "+enctype+"\nto "+next+"\n\nname: Ada Lovelace\nemail: ada@example.net\n") || !strings.Contains(text, "\nPage: http://site.localhost") ||
		list.Messages[0].To != "owner@example.org" || list.Messages[0].Subject != "Contact form: site.localhost" ||
		!strings.Contains(mail.Raw, "Reply-To: Ada Lovelace <ada@example.net>") {
		t.Errorf("%s: %+v\n%s", enctype, list.Messages[0], mail.Raw)
	}
	if want := enctype == "multipart/form-data"; want != (len(mail.Attachments) == 1) || want && mail.Attachments[0].Filename != "Lebenslauf ü.txt" {
		t.Errorf("%s: files %+v", enctype, mail.Attachments)
	}
}

// checkRefusedForms posts an empty form, and one from another website.
func checkRefusedForms(t *testing.T, a *rig.Appliance, site string) {
	t.Helper()
	browser := newBrowser(t)
	for _, c := range []struct{ page, says string }{
		{site + "/", "Email body is required"}, {strings.Replace(site, "site.", "other.", 1) + "/", "ALLOWED_HOSTS"},
	} {
		tab := visit(t, browser, c.page)
		if err := chromedp.Do(tab, chromedp.Click("#go"), chromedp.WaitVisible(chromedp.CSS("h1"))); err != nil {
			t.Fatal(err)
		}
		said, err := chromedp.Run(tab, chromedp.Evaluate[string]("document.body.innerText"))
		if err != nil || !strings.Contains(said, "Your message was not sent") || !strings.Contains(said, c.says) {
			t.Errorf("%s is told %q, %v", c.page, said, err)
		}
	}
}
