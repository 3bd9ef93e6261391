package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"dinkymail/internal/web"
	"dinkymail/queue"
)

// NewSocketClient makes a Client of the appliance that listens on the Unix socket at path, such as DATA_DIR/control.sock. It may
// do what the socket allows: everything, or only hand mail in.
func NewSocketClient(path string) *Client { return &Client{web.NewSocketClient(path)} }

// Paths of the operator's part of the API. They exist on the control socket alone, submitPath on the submit socket too.
const (
	listPath    = "/api/v1/queue/list"
	actionPath  = "/api/v1/queue/actions"
	messagePath = "/api/v1/queue/messages/" // + ID, and "/headers", "/body" or "/raw"
	eventsPath  = "/api/v1/events"
	statsPath   = "/api/v1/stats"
	pausePath   = "/api/v1/pause"
	resumePath  = "/api/v1/resume"
	submitPath  = "/api/v1/submit"
	backupPath  = "/api/v1/backup"
	logPath     = "/api/v1/log"

	settingsPath = "/api/v1/settings"
	reloadPath   = "/api/v1/reload"
)

// listRequest is the body of POST /api/v1/queue/list.
type listRequest struct {
	queue.Selection
	After queue.ID `json:"after,omitempty"`
	Limit int      `json:"limit,omitempty"`
}

// pauseRequest is the body of POST /api/v1/pause and /api/v1/resume.
type pauseRequest struct {
	What   string `json:"what"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // who asks; heeded of root alone, for the kernel tells who everybody else is
}

// List returns a page of at most limit messages, beginning behind after.
func (c *Client) List(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (page List, err error) {
	err = c.Post(ctx, listPath, listRequest{sel, after, limit}, &page)
	return page, err
}

// All goes through everything selected, a page at a time. The error comes last.
func (c *Client) All(ctx context.Context, sel queue.Selection) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		after := queue.ID("")
		for {
			page, err := c.List(ctx, sel, after, 500)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Messages {
				if !yield(e, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

// Show returns all that is known of a message.
func (c *Client) Show(ctx context.Context, id queue.ID) (d Detail, err error) {
	err = c.Get(ctx, messagePath+url.PathEscape(string(id)), &d)
	return d, err
}

// Cat writes a message as it is on the disk to w: "raw" all of it, "headers" or "body" that part.
func (c *Client) Cat(ctx context.Context, id queue.ID, part string, w io.Writer) error {
	return c.Copy(ctx, messagePath+url.PathEscape(string(id))+"/"+part, w)
}

// Act does a verb to messages, or only says what it would do. An error means that nothing was done for a reason that concerns
// all of it; what could not be done to single messages is in the result.
func (c *Client) Act(ctx context.Context, a Action) (result ActionResult, err error) {
	err = c.Post(ctx, actionPath, a, &result)
	return result, err
}

// Stats returns counts of the queue.
func (c *Client) Stats(ctx context.Context) (st Stats, err error) {
	err = c.Get(ctx, statsPath, &st)
	return st, err
}

// Pause stops taking mail in (queue.Intake), delivering on a lane, or queue.Everything, until Resume, restarts included.
// by is who asks, for the log and the lists.
func (c *Client) Pause(ctx context.Context, what, reason, by string) error {
	return c.Post(ctx, pausePath, pauseRequest{what, reason, by}, &struct{}{})
}

// Resume ends what Pause began.
func (c *Client) Resume(ctx context.Context, what string) error {
	return c.Post(ctx, resumePath, pauseRequest{What: what}, &struct{}{})
}

// Watch calls each with every event from now on, until ctx ends or each returns an error, which it returns. Events that come
// faster than each takes them are dropped.
func (c *Client) Watch(ctx context.Context, each func(queue.Event) error) error {
	resp, err := c.Open(ctx, http.MethodGet, eventsPath, "", nil)
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

// Submit hands in a mail as it is, with its envelope. An empty from is the null reverse-path. A
// recipient without a domain has an alias, or is DEFAULT_TO; a sender without one, such as "root",
// at the appliance's machine. The body's lines may end in LF.
func (c *Client) Submit(ctx context.Context, from string, to []string, body io.Reader) (answer SendResponse, err error) {
	query := url.Values{"from": {from}, "to": to}
	err = c.Fetch(ctx, http.MethodPost, submitPath+"?"+query.Encode(), "message/rfc822", body, &answer)
	return answer, err
}

// Backup writes a consistent copy of the whole queue, a tar archive, to w.
func (c *Client) Backup(ctx context.Context, w io.Writer) error { return c.Copy(ctx, backupPath, w) }

// Log writes the kept log lines that name id to w, oldest first.
func (c *Client) Log(ctx context.Context, id string, w io.Writer) error {
	return c.Copy(ctx, logPath+"?"+url.Values{"id": {id}}.Encode(), w)
}

// NewestLog writes the newest kept log lines to w, at most lines of them, oldest first.
func (c *Client) NewestLog(ctx context.Context, lines int, w io.Writer) error {
	return c.Copy(ctx, logPath+"?"+url.Values{"lines": {strconv.Itoa(lines)}}.Encode(), w)
}
