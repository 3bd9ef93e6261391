package rig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what a load generator does: Messages messages over Connections connections, each with an
// id of its own.
type Load struct {
	Addr        string
	Connections int
	Messages    int
	Reuse       bool   // many messages per connection; otherwise one each, with greeting, EHLO and QUIT
	Size        int    // bytes of a message
	Recipients  int    // of each message; 0 means one
	From        string // the envelope's sender; empty means ada@example.org
	Prefix      string

	Open  func() (*Client, error) // how a connection is made; nil: Dial, without TLS
	Ready func()                  // with Reuse: all connections are made first, then Ready is called, then the clock starts; or nil
}

// Loaded is what came of a Load.
type Loaded struct {
	Start    time.Time
	Elapsed  time.Duration   // until the last message was answered
	Waits    []time.Duration // per accepted message: from its first command to its 250; sorted
	Sent     map[string]time.Time
	Accepted []string // ids that were answered with success
	Err      error    // of the first three that failed
	failed   int
}

// Rate is accepted messages per second.
func (l *Loaded) Rate() float64 { return float64(len(l.Accepted)) / l.Elapsed.Seconds() }

// Median is the middle of the waits.
func (l *Loaded) Median() time.Duration {
	if len(l.Waits) == 0 {
		return 0
	}
	return l.Waits[len(l.Waits)/2]
}

// Run submits by SMTP until all messages are answered.
func (l Load) Run() *Loaded {
	to := l.to()
	return l.spread(func() *submitter {
		s := &submitter{load: &l, to: to}
		if l.Ready != nil {
			s.err = s.open()
		}
		return s
	})
}

func (l Load) to() []string {
	to := []string{"bob@example.net"}
	for n := 2; n <= l.Recipients; n++ {
		to = append(to, "bob"+strconv.Itoa(n)+"@example.net")
	}
	return to
}

// submitter is one of a load's connections.
type submitter struct {
	load *Load
	to   []string
	post func(id string) error // over HTTP instead
	c    *Client
	err  error // of opening it beforehand
}

func (s *submitter) open() (err error) {
	if s.load.Open != nil {
		s.c, err = s.load.Open()
	} else {
		s.c, err = Dial(s.load.Addr, nil)
	}
	return err
}

func (s *submitter) submit(id string) error {
	if s.post != nil {
		return s.post(id)
	}
	if s.err != nil {
		return s.err
	}
	if s.c == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	_, err := s.c.Send(cmp.Or(s.load.From, "ada@example.org"), s.to, Mail(id, s.load.Size), Transfer{})
	if err == nil && s.load.Reuse {
		return nil
	}
	if quit := s.c.Quit(); err == nil {
		err = quit
	}
	s.c = nil
	return err
}

func (s *submitter) end() {
	if s.c != nil {
		_ = s.c.Quit()
	}
}

// RunHTTP submits by POST to url, over kept connections, until all messages are answered.
func (l Load) RunHTTP(url string) *Loaded {
	transport := &http.Transport{MaxIdleConnsPerHost: l.Connections, MaxConnsPerHost: l.Connections}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: replyLimit}
	post := func(id string) error { return Post(client, url, id, l.Size) }
	return l.spread(func() *submitter { return &submitter{load: &l, post: post} })
}

// Post sends one message of size bytes of JSON to a /send endpoint. Anything but 200 is an error.
func Post(client *http.Client, url, id string, size int) error {
	return PostTo(client, url, id, "bob@example.net", size)
}

// PostTo is Post to a recipient of the caller's choice.
func PostTo(client *http.Client, url, id, to string, size int) error {
	body, err := json.Marshal(map[string]any{
		"to": to, "subject": "load", "body": filler(max(0, size-150)),
		"headers": map[string]string{IDField: id},
	})
	if err != nil {
		return err
	}
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return nil
}

// spread runs one submitter per connection, each taking the next id until there is none.
func (l Load) spread(open func() *submitter) *Loaded {
	done := &Loaded{Sent: make(map[string]time.Time, l.Messages)}
	var (
		next atomic.Int64
		mu   sync.Mutex // guards done
		all  sync.WaitGroup
		made sync.WaitGroup
	)
	begun := make(chan struct{})
	made.Add(l.Connections)
	for range l.Connections {
		all.Go(func() {
			s := open()
			defer s.end()
			made.Done()
			<-begun
			for n := next.Add(1); n <= int64(l.Messages); n = next.Add(1) {
				id := l.Prefix + "-" + strconv.FormatInt(n, 10)
				begin := time.Now()
				err := s.submit(id)
				now := time.Now()
				mu.Lock()
				done.note(id, begin, now, err)
				mu.Unlock()
			}
		})
	}
	made.Wait()
	if l.Ready != nil {
		l.Ready()
	}
	done.Start = time.Now()
	close(begun)
	all.Wait()
	slices.Sort(done.Waits)
	return done
}

func (l *Loaded) note(id string, begin, now time.Time, err error) {
	l.Elapsed = max(l.Elapsed, now.Sub(l.Start))
	l.Sent[id] = begin
	if err == nil {
		l.Accepted = append(l.Accepted, id)
		l.Waits = append(l.Waits, now.Sub(begin))
		return
	}
	if l.failed++; l.failed <= 3 {
		l.Err = errors.Join(l.Err, fmt.Errorf("%s: %w", id, err))
	}
}

// Mail is a message of about size bytes with the given id.
func Mail(id string, size int) []byte {
	head := "From: Ada <ada@example.org>\r\nTo: bob@example.net\r\nSubject: load\r\nDate: Thu, 05 Nov 2026 10:00:00 +0000\r\n" +
		"Message-ID: <" + id + "@example.org>\r\n" + IDField + ": " + id + "\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
	return append([]byte(head), filler(max(0, size-len(head)))...)
}

var fillerLine = strings.Repeat("All work and no play makes Jack a dull boy. ", 2)[:76] + "\r\n"

// filler is text of about n bytes in lines of 76.
func filler(n int) string {
	return strings.Repeat(fillerLine, (n+len(fillerLine)-1)/len(fillerLine))
}
