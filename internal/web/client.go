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

// Client asks an appliance. It uses no proxy and follows no redirect. How long an answer may take is up to each call's context.
// Its methods may be called from any goroutine.
type Client struct {
	base, key string
	place     string // for people: base, or where the socket is
	http      http.Client
}

// NewClient makes a Client of the appliance at baseURL, such as "http://127.0.0.1:20001", that shows key unless it is empty.
func NewClient(baseURL, key string) *Client {
	base := strings.TrimSuffix(baseURL, "/")
	c := Via(&http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}, base)
	c.base, c.key = base, key
	return c
}

// NewSocketClient makes a Client of the appliance that listens on the Unix socket at path.
func NewSocketClient(path string) *Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return Via(&http.Transport{
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}, path)
}

// Via makes a Client whose requests go over transport, to what people call place.
func Via(transport http.RoundTripper, place string) *Client {
	return &Client{base: "http://localhost", place: place, http: http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is no success.
type Error struct {
	Status  int    // of HTTP
	Code    Code   // empty when the answer was not the appliance's
	Message string // one sentence
	Body    []byte // as it came
}

func (e *Error) Error() string { return e.Message }

// Bounds of what is read of an answer, in bytes.
const (
	largestAnswer  = 256 << 20
	largestRefusal = 1 << 20
)

// Open sends a request and returns its answer when that is a success. Else the error is an *Error, or says who did not answer.
func (c *Client) Open(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
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
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, largestRefusal))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	var said ErrorBody
	if json.NewDecoder(bytes.NewReader(text)).Decode(&said) != nil || said.Message == "" {
		said.Message = fmt.Sprintf("%s answered %s, which is no answer of Dinkymail", c.place, resp.Status)
	}
	return nil, &Error{Status: resp.StatusCode, Code: said.Code, Message: said.Message, Body: text}
}

// Fetch is Open for an answer in JSON, which it reads into the value at into.
func (c *Client) Fetch(ctx context.Context, method, path, contentType string, body io.Reader, into any) error {
	resp, err := c.Open(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
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
	resp, err := c.Open(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.place, err)
	}
	return nil
}
