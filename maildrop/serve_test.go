//go:build unix

package maildrop

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dinkymail/control"
	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// socket is a queue that nobody runs, behind a submit socket.
type socket struct {
	t     *testing.T
	path  string
	queue *queue.Queue
	*control.Client
}

func newSocket(t *testing.T) *socket {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(store, nil, queue.Config{Hostname: "mail.example.org", Domain: "example.org"}, log)
	s := &socket{t: t, path: filepath.Join(t.TempDir(), "submit.sock"), queue: q}
	ln, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	grace := func() time.Duration { return 10 * time.Second }
	go func() { done <- Serve(ctx, ln, operate.New(q, operate.Parts{Machine: "web1"}), grace, log) }()
	s.Client = control.NewClient(s.path)
	t.Cleanup(func() {
		s.Close()
		cancel()
		if err := errors.Join(<-done, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask makes a request and reads the answer to a mail.
func (s *socket) ask(method, path, body string) (answer operate.Accepted, err error) {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	wire := web.Unix(s.path)
	defer wire.CloseIdleConnections()
	resp, err := wire.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		err := operate.Answered(s.path, resp.Status, text)
		if err.Code.Status() != resp.StatusCode {
			s.t.Errorf("%s is answered with %s", err.Code, resp.Status)
		}
		return answer, err
	}
	return answer, json.Unmarshal(text, &answer)
}

// post hands a mail in as curl does.
func (s *socket) post(query, body string) (operate.Accepted, error) {
	s.t.Helper()
	return s.ask("POST", operate.SubmitPath+query, body)
}

// wantCode checks that err is an operate.Error with this code, and that its message has these
// words.
func wantCode(t *testing.T, err error, code operate.Code, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*operate.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error = %v (%+v), want %s", err, e, code)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			t.Errorf("%q is not in %q", w, e.Message)
		}
	}
}

// The submit socket takes mail in and knows nothing else.
func TestSubmitSocketIsForMailAlone(t *testing.T) {
	s := newSocket(t)
	for _, path := range []string{"/health", "/metrics", "/send", "/", "/api/v1/stats", "/api/v1/queue/list"} {
		for _, method := range []string{"GET", "POST"} {
			_, err := s.ask(method, path, "{}")
			wantCode(t, err, operate.CodeNotFound)
		}
	}
	_, err := s.ask("GET", operate.SubmitPath, "")
	wantCode(t, err, operate.CodeMethod, "POST")
}

// A mail that is handed in again under its ID is accepted once; its envelope arrives with every
// parameter.
func TestHandIn(t *testing.T) {
	s := newSocket(t)
	e := message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"}, Ret: "HDRS", ID: "x 1", To: []message.Recipient{
		{Address: message.Address{Local: "bob", Domain: "example.net"}, Notify: message.NotifyFailure, Original: "rfc822;robert@example.net"},
		{Address: message.Address{Local: "carol", Domain: "example.net"}, Notify: message.NotifyNever},
		{Address: message.Address{Local: "dan", Domain: "example.net"}},
	}}
	id := queue.NewID()
	for range 2 {
		sent, err := s.Submit(t.Context(), operate.Mail{ID: id, Envelope: e, Body: strings.NewReader("Subject: s\n\nb\n")})
		if err != nil || sent.ID != id {
			t.Fatalf("got %+v, %v", sent, err)
		}
	}
	m, err := s.queue.Get(id)
	if got := m.Envelope; err != nil || got.From != e.From || !slices.Equal(got.To, e.To) || got.Ret != e.Ret || got.ID != e.ID {
		t.Errorf("got %+v, %v, want %+v", got, err, e)
	}
	if st := s.queue.Status(); st.Submitted != 1 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
}

// What is wrong with the parameters of one mail is said, and nothing is accepted.
func TestHandInRefusals(t *testing.T) {
	s := newSocket(t)
	for query, word := range map[string]string{
		"&id=":                      "id",
		"&id=../../../../etc/x":     "id",
		"&id=7vvvvvvvvvvvvvvv":      "id", // far in the future
		"&id=00000000000000a0&id=0": "twice",
		"&orcpt=a@b.example":        "orcpt",
		"&orcpt=rfc822%3B" + url.QueryEscape("a\nb"): "orcpt",
		"&orcpt=rfc822%3Ba&orcpt=rfc822%3Bb":         "2 times for 1",
		"&notify=never&notify=delay":                 "2 times for 1",
	} {
		_, err := s.post("?from=&to=bob@example.net"+query, "b\n")
		wantCode(t, err, operate.CodeFormat, word)
	}
	if st := s.queue.Status(); st.Submitted != 0 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
}

// What is wrong with a mail itself is told in its own words, without what the layers in between say
// of each other.
func TestHandInMalformed(t *testing.T) {
	s := newSocket(t)
	for mail, want := range map[string]string{
		"Subject: x\n\na\rb\n":                     "The mail cannot be composed: line 3: a CR stands without LF.",
		"Subject: x\n\na\x00\n":                    "The mail cannot be composed: line 3: there is a NUL byte.",
		strings.Repeat("Received: x\n", 60) + "\n": "The mail cannot be composed: message has more than 50 Received fields: it is going in circles.",
	} {
		_, err := s.post("?from=&to=bob@example.net", mail)
		if e := (*operate.Error)(nil); !errors.As(err, &e) || e.Message != want || e.Code != operate.CodeMessage {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A user of this machine hands mail in as whom the kernel says it is. Lines that end in LF arrive
// with CRLF.
func TestSubmitSocket(t *testing.T) {
	s := newSocket(t)
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := s.post("?from=&to=bob@example.net&to=root&to=bob@example.net&notify=success,failure&ret=hdrs&envid=x1",
		"Message-ID: <a@b>\nSubject: s\n\none\r\ntwo\n.\nthree")
	if err != nil || sent.MessageID != "<a@b>" {
		t.Fatalf("%+v, %v", sent, err)
	}
	m, err := s.queue.Get(sent.ID)
	if err != nil {
		t.Fatal(err)
	}
	if m.Origin != (queue.Origin{Door: "sendmail", Client: "unix:" + me.Uid, User: me.Username}) {
		t.Errorf("origin = %+v", m.Origin)
	}
	if to := m.Envelope.To; !m.Envelope.From.IsNull() || len(to) != 2 || to[1].String() != "root@example.org" ||
		to[0].Notify != message.NotifySuccess|message.NotifyFailure || m.Envelope.Ret != "HDRS" || m.Envelope.ID != "x1" {
		t.Errorf("envelope = %+v", m.Envelope)
	}
	got := textOf(t, s.queue, sent.ID)
	if !strings.HasSuffix(got, "\r\n\r\none\r\ntwo\r\n.\r\nthree\r\n") || !strings.Contains(got, "(authenticated as "+me.Username+")") {
		t.Errorf("arrived: %q", got)
	}
}

// A user may send as anybody; a name alone is a user of this machine.
func TestSubmitSenders(t *testing.T) {
	s := newSocket(t)
	const body = "Subject: s\n\nb\n"
	for from, want := range map[string]string{
		"": "", "<>": "", "ada@example.org": "ada@example.org", "root": "root@web1", "www-data@web1": "www-data@web1",
		"root@localhost": "root@localhost", "x@mail.example.org": "x@mail.example.org", "eve@example.com": "eve@example.com", "a b": "refused",
		"a@": "refused",
	} {
		sent, err := s.post("?"+url.Values{"from": {from}, "to": {"bob@example.net"}}.Encode(), body)
		if want == "refused" {
			if _, ok := errors.AsType[*operate.Error](err); !ok {
				t.Errorf("%q: %v", from, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", from, err)
			continue
		}
		if m, err := s.queue.Get(sent.ID); err != nil || m.Envelope.From.String() != want {
			t.Errorf("%q becomes %q, %v, want %q", from, m.Envelope.From, err, want)
		}
	}
	if _, err := s.post("?to=bob@example.net", body); err != nil {
		t.Fatalf("without a sender: %v", err)
	}
}

// A mail that cannot be taken is refused with the reason, and what is wrong is named.
func TestSubmitRefusals(t *testing.T) {
	s := newSocket(t)
	const good = "Subject: s\n\nb\n"
	for name, r := range map[string]struct {
		query, body string
		code        operate.Code
		words       string
	}{
		"no recipient":  {"?from=", good, operate.CodeMissingTo, "to"},
		"bad recipient": {"?from=&to=bob@example.net&to=b%20c@example.net", good, operate.CodeAddress, `"b c@example.net"`},
		"empty one":     {"?from=&to=", good, operate.CodeAddress, "to"},
		"bad sender":    {"?from=a@b@c&to=bob@example.net", good, operate.CodeAddress, "from"},
		"bad notify":    {"?from=&to=bob@example.net&notify=never,delay", good, operate.CodeFormat, "notify"},
		"bad ret":       {"?from=&to=bob@example.net&ret=some", good, operate.CodeFormat, "ret"},
		"bad envid":     {"?from=&to=bob@example.net&envid=%0A", good, operate.CodeFormat, "envid"},
		"unknown":       {"?from=&rcpt=bob@example.net", good, operate.CodeFormat, "rcpt"},
		"given twice":   {"?from=&from=&to=bob@example.net", good, operate.CodeFormat, "twice"},
		"no query":      {"?from=%", good, operate.CodeFormat, "query"},
		"NUL":           {"?from=&to=bob@example.net", "Subject: s\n\n\x00\n", operate.CodeMessage, "NUL"},
		"bare CR":       {"?from=&to=bob@example.net", "Subject: s\n\na\rb\n", operate.CodeMessage, "CR"},
		"too large":     {"?from=&to=bob@example.net", "Subject: s\n\n" + strings.Repeat("0123456789\n", 3<<20), operate.CodeTooLarge, "MESSAGE_MAX_BYTES"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.post(r.query, r.body)
			wantCode(t, err, r.code, r.words)
		})
	}
}

// The recipients of a large mailing fit into one request.
func TestSubmitToMany(t *testing.T) {
	s := newSocket(t)
	query := "?from=ada@example.org"
	for i := range 1000 {
		query += "&to=a.rather.long.local.part.number." + strconv.Itoa(i) + "@a.domain.of.some.length.example.net"
	}
	if sent, err := s.post(query, "Subject: s\n\nb\n"); err != nil {
		t.Fatal(err)
	} else if m, err := s.queue.Get(sent.ID); err != nil || len(m.Envelope.To) != 1000 {
		t.Errorf("%d recipients, %v", len(m.Envelope.To), err)
	}
}

// A mail handed in again under its ID is kept once, with all that its envelope says; the ID of
// somebody else's mail is refused.
func TestHandInAgain(t *testing.T) {
	s := newSocket(t)
	env := message.Envelope{Ret: "FULL", ID: "e1"}
	for _, name := range []string{"bob", "carol"} {
		env.To = append(env.To, message.Recipient{Address: message.Address{Local: name, Domain: "example.net"},
			Notify: message.NotifyDelay, Original: "rfc822;" + name + "@example.com"})
	}
	env.To[1].Notify = message.NotifyNever
	id := queue.NewID()
	for range 2 {
		sent, err := s.Submit(t.Context(), operate.Mail{ID: id, Envelope: env, Body: strings.NewReader("Message-ID: <a@b>\nSubject: s\n\nb\n")})
		if err != nil || sent.ID != id || sent.MessageID != "<a@b>" {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	if m, err := s.queue.Get(id); err != nil || !reflect.DeepEqual(m.Envelope, env) {
		t.Errorf("envelope = %+v, %v", m.Envelope, err)
	}
	if st := s.queue.Status(); st.Submitted != 1 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
	other, err := s.queue.Submit(t.Context(), queue.Submission{ID: queue.NewID(), Envelope: env, Body: strings.NewReader("Subject: s\r\n\r\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{string(other), "nonsense", string(queue.NewID()[:1]) + "vvvvvvvvvvvvvvv"} {
		_, err = s.Submit(t.Context(), operate.Mail{ID: queue.ID(id), Envelope: env, Body: strings.NewReader("Subject: s\n\nb\n")})
		wantCode(t, err, operate.CodeFormat, "id")
	}
}
