package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Client is the Operator of an appliance that runs. Its methods may be called from any goroutine. It uses no proxy and follows no
// redirect, and waits for an answer as long as the context does.
type Client struct {
	path string
	http http.Client
}

var _ operate.Operator = (*Client)(nil)

// NewClient makes a Client of the appliance that listens on the Unix socket at path, such as DATA_DIR/control.sock. At the submit
// socket it may only Submit.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{Transport: web.Unix(path), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// List asks for a page of the queue.
func (c *Client) List(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (page operate.List, err error) {
	err = c.post(ctx, listPath, listRequest{sel, after, limit}, &page)
	return page, err
}

// Show asks for all that is known of a message.
func (c *Client) Show(ctx context.Context, id queue.ID) (d operate.Detail, err error) {
	err = c.fetch(ctx, http.MethodGet, messagePath+url.PathEscape(string(id)), nil, &d)
	return d, err
}

// Cat writes a message to w, as it comes.
func (c *Client) Cat(ctx context.Context, id queue.ID, part string, w io.Writer) error {
	return c.copy(ctx, messagePath+url.PathEscape(string(id))+"/"+part, w)
}

// Act asks for an action.
func (c *Client) Act(ctx context.Context, a operate.Action) (result operate.ActionResult, err error) {
	err = c.post(ctx, actionPath, a, &result)
	return result, err
}

// Stats asks for counts.
func (c *Client) Stats(ctx context.Context) (st operate.Stats, err error) {
	err = c.fetch(ctx, http.MethodGet, statsPath, nil, &st)
	return st, err
}

// Pause asks for a pause. The appliance heeds by only from root, who may be anybody behind sudo.
func (c *Client) Pause(ctx context.Context, what, reason, by string) error {
	return c.post(ctx, pausePath, pauseRequest{what, reason, by}, &struct{}{})
}

// Resume asks for the end of a pause.
func (c *Client) Resume(ctx context.Context, what string) error {
	return c.post(ctx, resumePath, pauseRequest{What: what}, &struct{}{})
}

// Watch passes events on. It returns nil when the appliance ends.
func (c *Client) Watch(ctx context.Context, each func(queue.Event) error) error {
	resp, err := c.open(ctx, http.MethodGet, eventsPath, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e queue.Event
		if len(lines.Bytes()) == 0 { // a sign of life
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return lines.Err()
}

// Submit hands a mail in. Who does so the appliance learns from the kernel.
func (c *Client) Submit(ctx context.Context, m operate.Mail) (answer operate.Accepted, err error) {
	err = c.fetch(ctx, http.MethodPost, submitPath+"?"+m.Query().Encode(), m.Body, &answer)
	return answer, err
}

// Backup writes the archive to w, as it comes.
func (c *Client) Backup(ctx context.Context, w io.Writer) error { return c.copy(ctx, backupPath, w) }

// Log writes log lines about a message to w.
func (c *Client) Log(ctx context.Context, id string, w io.Writer) error {
	return c.copy(ctx, logPath+"?"+url.Values{"id": {id}}.Encode(), w)
}

// NewestLog writes the newest log lines to w.
func (c *Client) NewestLog(ctx context.Context, lines int, w io.Writer) error {
	return c.copy(ctx, logPath+"?"+url.Values{"lines": {strconv.Itoa(lines)}}.Encode(), w)
}

// Settings asks what the appliance was told.
func (c *Client) Settings(ctx context.Context) (report operate.SettingsReport, err error) {
	err = c.fetch(ctx, http.MethodGet, settingsPath, nil, &report)
	return report, err
}

// Reload makes the appliance read its settings again.
func (c *Client) Reload(ctx context.Context) (report operate.SettingsReport, err error) {
	err = c.post(ctx, reloadPath, struct{}{}, &report)
	return report, err
}

func (c *Client) post(ctx context.Context, path string, v, into any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return c.fetch(ctx, http.MethodPost, path, bytes.NewReader(body), into)
}

// largestPage bounds what is read of an answer, in bytes.
const largestPage = 256 << 20

// fetch asks for JSON.
func (c *Client) fetch(ctx context.Context, method, path string, body io.Reader, into any) error {
	resp, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, largestPage)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return nil
}

// copy writes an answer that is no JSON to w.
func (c *Client) copy(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return nil
}

// open sends a request and returns its answer when that is a success.
func (c *Client) open(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	var resp *http.Response
	if err == nil {
		resp, err = c.http.Do(r)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the address says nothing to people, and may be as long as a list of recipients
	}
	if err != nil {
		return nil, fmt.Errorf("ask the appliance at %s: %w", c.path, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return nil, operate.Answered(c.path, resp.Status, text)
}
