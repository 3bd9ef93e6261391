package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Client asks a running appliance over its API. What the API refuses is an *operate.Error. Its methods may be called from any goroutine.
type Client struct {
	base, key string
	place     string // for people: base, or where the socket is
	http      http.Client
}

// NewClient makes a Client of the appliance at baseURL, such as "http://127.0.0.1:20001". With an empty key it is whatever the
// place it calls from makes of it: a program on the appliance's machine, or a visitor. It uses no proxy, follows no redirect,
// and gives every call 30 seconds at most.
func NewClient(baseURL, key string) *Client {
	base := strings.TrimSuffix(baseURL, "/")
	return &Client{base: base, place: base, key: key, http: http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NewSocketClient makes a Client of the appliance that listens on the Unix socket at path, such as DATA_DIR/control.sock, where it
// may do everything.
func NewSocketClient(path string) *Client {
	c := NewClient("http://localhost", "")
	c.place, c.http.Transport = path, web.Unix(path)
	return c
}

// Health is how the appliance says it is.
type Health struct {
	Message string `json:"message"`
	Status  string `json:"status"`           // "ok", "degraded" or "down"
	Reason  string `json:"reason,omitempty"` // why it is not ok
	Detail  struct {
		Version string `json:"version"`
		Waiting int    `json:"waiting"`
		Lanes   []struct {
			Name   string          `json:"name"`
			Status queue.LaneState `json:"status"`
			Reason string          `json:"reason"`
		} `json:"lanes"`
		HTTP             []string `json:"http"`             // the addresses of the API
		UntrustedProxies []string `json:"untrustedProxies"` // who passed requests on without being in TRUSTED_PROXIES
	} `json:"detail"` // empty for visitors
}

// SendRequest is a mail to send. HTML is the HTML form of Body, or alone all there is.
type SendRequest struct {
	To          []string          `json:"to"`
	Cc          []string          `json:"cc,omitempty"`
	Bcc         []string          `json:"bcc,omitempty"`
	From        string            `json:"from,omitempty"` // empty: DEFAULT_FROM of the appliance
	ReplyTo     []string          `json:"reply_to,omitempty"`
	Subject     string            `json:"subject"`
	Body        string            `json:"body,omitempty"`
	HTML        string            `json:"html,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Attachments []SendAttachment  `json:"attachments,omitempty"`
	SendAt      *time.Time        `json:"send_at,omitempty"`
	Tags        []string          `json:"tags,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// SendAttachment is one file of a SendRequest.
type SendAttachment struct {
	Filename    string `json:"filename"`
	Content     []byte `json:"content"`
	ContentType string `json:"content_type,omitempty"`
	ContentID   string `json:"content_id,omitempty"`
}

// SendResponse names an accepted mail.
type SendResponse struct {
	ID        string `json:"id"`
	MessageID string `json:"messageId"`
	Status    string `json:"status"`
	// Warnings name what was not understood of the request.
	Warnings []string `json:"warnings,omitempty"`
}

// Health asks whether the appliance is well. One that answers that it is not gives both a Health and an *operate.Error.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	err = c.call(ctx, http.MethodGet, "/health", nil, &h)
	return h, err
}

// Send hands a mail in. A nil error means that it is on the appliance's disk.
func (c *Client) Send(ctx context.Context, m SendRequest) (answer SendResponse, err error) {
	body, err := json.Marshal(m)
	if err != nil {
		return answer, fmt.Errorf("write request: %w", err)
	}
	err = c.call(ctx, http.MethodPost, sendPath, body, &answer)
	return answer, err
}

// Status tells what became of a mail, by its queue ID or its Message-ID.
func (c *Client) Status(ctx context.Context, id string) (st MessageStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/api/v1/email/status/"+url.PathEscape(id), nil, &st)
	return st, err
}

// largestAnswer bounds what is read of an answer, in bytes.
const largestAnswer = 64 << 20

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the appliance at %s: %w", c.place, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the appliance at %s: %w", c.place, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	parsed := json.Unmarshal(text, into)
	if resp.StatusCode == http.StatusOK && parsed == nil {
		return nil
	}
	return operate.Answered(c.place, resp.Status, text)
}
