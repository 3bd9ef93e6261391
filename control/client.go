package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Client is the Operator of an appliance that runs. Its methods may be called from any goroutine,
// and wait for an answer as long as the context does.
type Client struct{ to *web.Client }

var _ operate.Operator = (*Client)(nil)

// NewClient makes a Client of the appliance that listens on the Unix socket at path, such as
// DATA_DIR/control.sock. At the submit socket it may only Submit.
func NewClient(path string) *Client {
	return &Client{web.NewSocketClient(path, func(place, status string, body []byte) error {
		return operate.Answered(place, status, body)
	})}
}

// Close closes idle connections.
func (c *Client) Close() { c.to.Close() }

// List asks for a page of the queue.
func (c *Client) List(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (page operate.List, err error) {
	err = c.to.Post(ctx, listPath, listRequest{sel, after, limit}, &page)
	return page, err
}

// Show asks for all that is known of a message.
func (c *Client) Show(ctx context.Context, id queue.ID) (d operate.Detail, err error) {
	err = c.to.Get(ctx, messagePath+url.PathEscape(string(id)), &d)
	return d, err
}

// Cat writes a message to w, as it comes.
func (c *Client) Cat(ctx context.Context, id queue.ID, part string, w io.Writer) error {
	return c.to.Copy(ctx, messagePath+url.PathEscape(string(id))+"/"+part, w)
}

// Act asks for an action.
func (c *Client) Act(ctx context.Context, a operate.Action) (result operate.ActionResult, err error) {
	err = c.to.Post(ctx, actionPath, a, &result)
	return result, err
}

// Stats asks for counts.
func (c *Client) Stats(ctx context.Context) (st operate.Stats, err error) {
	err = c.to.Get(ctx, statsPath, &st)
	return st, err
}

// Pause asks for a pause. The appliance heeds by only from root, who may be anybody behind sudo.
func (c *Client) Pause(ctx context.Context, what, reason, by string) error {
	return c.to.Post(ctx, pausePath, pauseRequest{what, reason, by}, &struct{}{})
}

// Resume asks for the end of a pause.
func (c *Client) Resume(ctx context.Context, what string) error {
	return c.to.Post(ctx, resumePath, pauseRequest{What: what}, &struct{}{})
}

// Watch passes events on. Their error is nil when the appliance ends.
func (c *Client) Watch(ctx context.Context) (iter.Seq2[queue.Event, error], error) {
	resp, err := c.to.Open(ctx, eventsPath) //nolint:bodyclose // whoever goes through the events closes it
	if err != nil {
		return nil, err
	}
	return func(yield func(queue.Event, error) bool) {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e queue.Event
			if len(lines.Bytes()) == 0 { // a sign of life
				continue
			}
			err := json.Unmarshal(lines.Bytes(), &e)
			if err != nil {
				err = fmt.Errorf("read an event: %w", err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := cmp.Or(ctx.Err(), lines.Err()); err != nil {
			yield(queue.Event{}, err)
		}
	}, nil
}

// Submit hands a mail in. Who does so the appliance learns from the kernel.
func (c *Client) Submit(ctx context.Context, m operate.Mail) (answer operate.Accepted, err error) {
	err = c.to.Fetch(ctx, http.MethodPost, submitPath+"?"+m.Query().Encode(), "message/rfc822", m.Body, &answer)
	return answer, err
}

// Backup writes the archive to w, as it comes.
func (c *Client) Backup(ctx context.Context, w io.Writer) error { return c.to.Copy(ctx, backupPath, w) }

// Log writes log lines about a message to w.
func (c *Client) Log(ctx context.Context, id string, w io.Writer) error {
	return c.to.Copy(ctx, logPath+"?"+url.Values{"id": {id}}.Encode(), w)
}

// NewestLog writes the newest log lines to w.
func (c *Client) NewestLog(ctx context.Context, lines int, w io.Writer) error {
	return c.to.Copy(ctx, logPath+"?"+url.Values{"lines": {strconv.Itoa(lines)}}.Encode(), w)
}

// Settings asks what the appliance was told.
func (c *Client) Settings(ctx context.Context) (report operate.SettingsReport, err error) {
	err = c.to.Get(ctx, settingsPath, &report)
	return report, err
}

// Reload makes the appliance read its settings again.
func (c *Client) Reload(ctx context.Context) (report operate.SettingsReport, err error) {
	err = c.to.Post(ctx, reloadPath, struct{}{}, &report)
	return report, err
}
