package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/httpapi"
	"dinkymail/operate"
	"dinkymail/queue"
)

// appliance is the running appliance: at a given address, else over its control socket, else where HTTP_LISTEN says.
func (p *program) appliance(ctx context.Context, url string) (*httpapi.Client, error) {
	if url != "" {
		s, _ := config.Load(p.Environ, p.dotenv) // for a key, where there is one
		return httpapi.NewClient(url, widestKey(s)), nil
	}
	client, s, err := p.running(ctx)
	if err == nil {
		client.Close()
		return httpapi.NewSocketClient(filepath.Join(s.DataDir, control.Socket)), nil
	}
	var absent *absentError
	if !errors.As(err, &absent) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if url = apiURL(s); url == "" {
		return nil, err
	}
	if absent != nil && !listens(ctx, url) {
		return nil, &Exit{ExitUnavailable, fmt.Errorf("the appliance does not run: nobody answers at %s (%s), nor at %s; "+
			"start it with systemctl start dinkymail, or dinkymail serve. If it runs elsewhere, name its settings with --env-file, "+
			"or its address with --url", absent.socket, cause(absent.err), url)}
	}
	return httpapi.NewClient(url, widestKey(s)), nil
}

// listens tries whether somebody takes connections at a URL.
func listens(ctx context.Context, url string) bool {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// apiURL is where this machine reaches the API; "" when nothing listens.
func apiURL(s *config.Settings) string {
	if len(s.HTTPListen) == 0 {
		return ""
	}
	return reach(s.HTTPListen[0])
}

// reach is the URL under which this machine reaches what listens at an address.
func reach(listen string) string {
	host, port, _ := net.SplitHostPort(listen) // config checked it, or the listener said it
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// widestKey is a key that may send from DEFAULT_FROM, for the case that loopback is not trusted; "" without one.
func widestKey(s *config.Settings) string {
	address := s.HTTP.DefaultFrom.Address
	for _, k := range s.Account.Keys {
		for _, from := range k.From {
			if from == "*" || from == "@"+address.Domain || from == address.String() {
				return k.Secret
			}
		}
	}
	return ""
}

type healthCommand struct {
	URL  string `name:"url" placeholder:"URL" help:"Where the appliance is, such as http://mail-api:20001; the one on this machine when not given."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail health --help.
func (healthCommand) Help() string {
	return `Exits 0 when the appliance answers that it takes mail, and 1 otherwise. It is well and degraded while mail waits for an upstream.
The addresses of HTTP_LISTEN are tried as well: it is not well when nobody is served there.

Example:

    dinkymail health
    dinkymail health --url http://mail-api:20001`
}

const healthTimeout = 8 * time.Second

// Run asks for /health.
func (c healthCommand) Run(ctx context.Context, p *program) error {
	client, err := p.appliance(ctx, c.URL)
	if err != nil {
		return &Exit{1, err}
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	h, err := client.Health(ctx)
	if err == nil && c.URL == "" {
		if err = tryDoors(ctx, h.Detail.HTTP); err != nil {
			h.Status, h.Reason = "degraded", err.Error()
			err = errors.New("degraded: " + h.Reason)
		}
	}
	if c.JSON && h.Status != "" { // one that is down says so, too
		p.result = h
	}
	if err != nil {
		return &Exit{1, err}
	}
	if c.JSON {
		return nil
	}
	line := h.Status
	if h.Reason != "" {
		line += ": " + h.Reason
	}
	_, err = fmt.Fprintln(p.Out, line)
	return err
}

// doorTimeout is how long one address of the API may take to answer.
const doorTimeout = 3 * time.Second

// tryDoors asks at every address of the API. Over its socket the appliance may be well while nobody else is served.
func tryDoors(ctx context.Context, listening []string) error {
	for _, at := range listening {
		ctx, cancel := context.WithTimeout(ctx, doorTimeout)
		door := httpapi.NewClient(reach(at), "")
		_, err := door.Health(ctx)
		door.Close()
		cancel()
		var refused *operate.Error
		switch {
		case err == nil, errors.As(err, &refused) && refused.Code != operate.CodeBusy:
		case refused != nil:
			return fmt.Errorf("HTTP_LISTEN: nobody is served at %s: %w", at, err)
		default:
			return fmt.Errorf("HTTP_LISTEN: %s does not answer: %s", at, cause(err))
		}
	}
	return nil
}

type testCommand struct {
	Address string        `arg:"" help:"To whom."`
	Wait    bool          `help:"Follow the mail until it is delivered or failed, or something keeps it waiting."`
	Timeout time.Duration `default:"2m" help:"How long to follow it."`
	URL     string        `name:"url" placeholder:"URL" help:"Where the appliance is; the one on this machine when not given."`
	JSON    bool          `name:"json" help:"Print JSON, when it is over: the mail as the API shows it."`
}

// Help is shown by dinkymail send-test --help.
func (testCommand) Help() string {
	return `The mail goes the way of all mail: accepted by the running appliance, queued, handed to the upstream. With --wait the
exit status is 0 when it was delivered (or captured, in development mode), 69 when it failed, 75 when it waits or is held.

Example:

    dinkymail send-test you@example.com --wait`
}

// Run sends the mail and follows it.
func (c testCommand) Run(ctx context.Context, p *program) error {
	client, err := p.appliance(ctx, c.URL)
	if err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	sent, err := client.Send(ctx, httpapi.SendRequest{
		To:      []string{c.Address},
		Subject: "Test mail from Dinkymail",
		Body: "This mail was sent with dinkymail send-test on " + start.Format(time.RFC1123Z) + ".\n\n" +
			"That you can read it shows that the whole way works: the appliance, its queue, and your upstream.\n",
	})
	if err != nil {
		return &Exit{ExitUnavailable, fmt.Errorf("send the test mail: %w", err)}
	}
	if c.JSON {
		p.result = sent // who may not read the mail's status is told this alone
	}
	if c.JSON && !c.Wait {
		if st, err := client.Status(ctx, sent.ID); err == nil {
			p.result = st.Entry()
		}
		return nil
	}
	t := timeline{p: p, start: start, quiet: c.JSON}
	if err := t.print("queued as " + sent.ID); err != nil || !c.Wait {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err = t.follow(ctx, client, sent.ID)
	if c.JSON && t.known.ID != "" {
		p.result = t.known.Entry()
	}
	return err
}

// timeline prints what becomes of a mail, each change once.
type timeline struct {
	p     *program
	start time.Time
	last  string
	quiet bool                  // nothing is printed
	known httpapi.MessageStatus // the last that was heard
}

func (t *timeline) print(what string) error {
	if t.quiet || what == t.last {
		return nil
	}
	t.last = what
	_, err := fmt.Fprintf(t.p.Out, "%6.1fs  %s\n", time.Since(t.start).Seconds(), what)
	return err
}

// pollEvery is how often the appliance is asked what became of a mail.
const pollEvery = 300 * time.Millisecond

// follow asks until the mail's fate is known or ctx ends.
func (t *timeline) follow(ctx context.Context, client *httpapi.Client, id string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		st, err := client.Status(ctx, id)
		if err != nil && ctx.Err() == nil {
			return &Exit{ExitUnavailable, fmt.Errorf("ask what became of %s: %w", id, err)}
		}
		if err == nil {
			t.known = st
			if err := t.print(describe(st)); err != nil {
				return err
			}
			if done, err := verdict(st); done {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return &Exit{ExitTempFail, fmt.Errorf("%s is not settled yet; the appliance keeps trying", id)}
		case <-tick.C:
		}
	}
}

// describe is a mail's status in one line.
func describe(st httpapi.MessageStatus) string {
	line := string(st.Status)
	if st.Reason != "" {
		return line + ": " + st.Reason
	}
	for _, r := range st.Recipients[:min(1, len(st.Recipients))] { // the test mail has one
		if r.Remote != "" {
			line += " by " + r.Remote
		}
		if r.Code != 0 {
			line += fmt.Sprintf(": %d %s", r.Code, r.Text)
		} else if r.Text != "" {
			line += ": " + r.Text
		}
	}
	if st.Attempts.Next != nil && st.Status == queue.StateDeferred {
		line += "; next attempt at " + st.Attempts.Next.Local().Format(time.TimeOnly)
	}
	return line
}

// verdict reports whether following has an end, and which.
func verdict(st httpapi.MessageStatus) (done bool, err error) {
	switch st.Status {
	case queue.StateDelivered, queue.StateCaptured:
		return true, nil
	case queue.StateFailed, queue.StatePartial:
		return true, &Exit{ExitUnavailable, errors.New("the test mail was refused for good")}
	case queue.StateHeld:
		return true, &Exit{ExitTempFail, errors.New("the test mail is held; dinkymail release lets it go")}
	case queue.StateQueued, queue.StateDeferred:
		if st.Reason != "" {
			return true, &Exit{ExitTempFail, errors.New("the test mail waits, and goes out once the reason above is gone")}
		}
	}
	return false, nil
}
