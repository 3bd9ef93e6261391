package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks an appliance. It uses no proxy and follows no redirect. How long an answer may take
// is up to each call's context. Its methods may be called from any goroutine.
type Client struct {
	base, key string
	place     string // for people: base, or where the socket is
	http      http.Client
	refused   Refused
}

// Refused is the error that an answer stands for which came from place with a status that is no
// success.
type Refused func(place, status string, body []byte) error

// NewClient makes a Client of the appliance at baseURL, such as "http://127.0.0.1:20001", that
// shows key unless it is empty.
func NewClient(baseURL, key string, refused Refused) *Client {
	base := strings.TrimSuffix(baseURL, "/")
	return &Client{base: base, key: key, place: base, refused: refused, http: http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// NewSocketClient makes a Client of the appliance that listens on the Unix socket at path.
func NewSocketClient(path string, refused Refused) *Client {
	c := NewClient("http://localhost", "", refused)
	c.place, c.http.Transport = path, Unix(path)
	return c
}

// Unix makes connections to the Unix socket at path, whatever address is asked for.
func Unix(path string) *http.Transport {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &http.Transport{
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Bounds of what is read of an answer, in bytes.
const (
	largestAnswer  = 256 << 20
	largestRefusal = 1 << 20
)

// ask sends a request and returns its answer.
func (c *Client) ask(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the appliance at %s: %w", c.place, err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the address says nothing to people, and may be as long as a list of recipients
	}
	if err != nil {
		return nil, fmt.Errorf("ask the appliance at %s: %w", c.place, err)
	}
	return resp, nil
}

// refusal reads what an answer says that is no success.
func (c *Client) refusal(resp *http.Response) (text []byte, err error) {
	if text, err = io.ReadAll(io.LimitReader(resp.Body, largestRefusal)); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	return text, c.refused(c.place, resp.Status, text)
}

// Open asks for path, and returns the answer when it is a success.
func (c *Client) Open(ctx context.Context, path string) (*http.Response, error) {
	resp, err := c.ask(ctx, http.MethodGet, path, "", nil)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	_, err = c.refusal(resp)
	return nil, err
}

// Fetch sends a request and reads the JSON of the answer into the value at into, also where it is
// no success and there is an error.
func (c *Client) Fetch(ctx context.Context, method, path, contentType string, body io.Reader, into any) error {
	resp, err := c.ask(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := c.refusal(resp)
		_ = json.Unmarshal(text, into) // the error counts
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, largestAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	return nil
}

// Get is Fetch without a body.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.Fetch(ctx, http.MethodGet, path, "", nil, into)
}

// Post is Fetch with v in JSON as the body.
func (c *Client) Post(ctx context.Context, path string, v, into any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return c.Fetch(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body), into)
}

// Copy writes an answer that is no JSON to w.
func (c *Client) Copy(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.Open(ctx, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	return nil
}
