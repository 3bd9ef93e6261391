package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// State says whether a condition begins or is over.
type State string

// The states of a Notice.
const (
	Firing  State = "firing"
	Cleared State = "cleared"
)

// Notice is what is posted as JSON: a Condition and its state.
type Notice struct {
	Appliance string `json:"appliance"`
	State     State  `json:"state"`
	Condition
}

// Webhook is where notices go, and in which form.
type Webhook struct {
	Form string // "json", "slack" or "ntfy"
	URL  string
}

// ParseWebhook reads ALERT_WEBHOOK: an http or https URL, with "slack:", "ntfy:" or "json:" before
// it where the form is not seen from its host. Slack's form is what Mattermost, Discord (with
// /slack behind its URL) and Rocket.Chat read too. Empty text is no webhook.
func ParseWebhook(text string) (Webhook, error) {
	if text == "" {
		return Webhook{}, nil
	}
	var w Webhook
	w.URL = text
	for _, form := range []string{"json", "slack", "ntfy"} {
		if rest, ok := strings.CutPrefix(text, form+":"); ok {
			w.Form, w.URL = form, rest
		}
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Webhook{}, errors.New("is no http or https URL, with slack:, ntfy: or json: before it if need be")
	}
	if w.Form == "" {
		switch host := u.Hostname(); {
		case host == "hooks.slack.com":
			w.Form = "slack"
		case host == "ntfy.sh" || strings.HasPrefix(host, "ntfy."):
			w.Form = "ntfy"
		default:
			w.Form = "json"
		}
	}
	return w, nil
}

// Post sends a notice. An error never shows the URL, which often is a secret.
func (w Webhook) Post(ctx context.Context, client *http.Client, n Notice) error {
	r, err := w.request(ctx, n)
	if err != nil {
		return errors.New("the webhook's URL cannot be used")
	}
	resp, err := client.Do(r)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return fmt.Errorf("post to %s: %w", r.URL.Host, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 == 3 {
		to := "elsewhere"
		if u, err := resp.Location(); err == nil && u.Host != "" {
			to = u.Scheme + "://" + u.Host
		}
		return fmt.Errorf("post to %s: it redirects to %s, which is not followed; set ALERT_WEBHOOK to the final address", r.URL.Host, to)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: answered %s", r.URL.Host, resp.Status)
	}
	return nil
}

func (w Webhook) request(ctx context.Context, n Notice) (*http.Request, error) {
	body, contentType := []byte(n.sentence()), "text/plain; charset=utf-8"
	switch w.Form {
	case "slack":
		body, contentType = encode(map[string]string{"text": n.sentence()}), "application/json"
	case "json":
		body, contentType = encode(n), "application/json"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "Dinkymail")
	if w.Form == "ntfy" {
		r.Header.Set("Title", "Dinkymail: "+n.Key)
		priority, tag := "4", "warning"
		if n.State == Cleared {
			priority, tag = "3", "white_check_mark"
		}
		r.Header.Set("Priority", priority)
		r.Header.Set("Tags", tag)
	}
	return r, nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // strings and times always can be written
	}
	return b
}
