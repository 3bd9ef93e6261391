package httpapi

import (
	"context"
	"net/url"
	"time"

	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Client asks a running appliance over its API. What the API refuses is an *operate.Error. Its
// methods may be called from any goroutine.
type Client struct{ *web.Client }

// NewClient makes a Client of the appliance at baseURL, such as "http://127.0.0.1:20001". With an
// empty key it is whatever the place it calls from makes of it: a program on the appliance's
// machine, or a visitor.
func NewClient(baseURL, key string) *Client { return &Client{web.NewClient(baseURL, key, answered)} }

// NewSocketClient makes a Client of the appliance that listens on the Unix socket at path, such as
// DATA_DIR/control.sock, where it may do everything.
func NewSocketClient(path string) *Client { return &Client{web.NewSocketClient(path, answered)} }

func answered(place, status string, body []byte) error { return operate.Answered(place, status, body) }

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

// patience bounds how long a call of the public API may take.
const patience = 30 * time.Second

// Health asks whether the appliance is well. One that answers that it is not gives both a Health
// and an *operate.Error.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.Get(ctx, "/health", &h)
	return h, err
}

// Send hands a mail in. A nil error means that it is on the appliance's disk.
func (c *Client) Send(ctx context.Context, m SendRequest) (answer SendResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.Post(ctx, sendPath, m, &answer)
	return answer, err
}

// Status tells what became of a mail, by its queue ID or its Message-ID.
func (c *Client) Status(ctx context.Context, id string) (st MessageStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.Get(ctx, "/api/v1/email/status/"+url.PathEscape(id), &st)
	return st, err
}
