package httpapi

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// everyRoute is what the control socket has beyond TCP.
var everyRoute = []struct{ method, path, body string }{
	{"POST", listPath, "{}"}, {"POST", actionPath, `{"verb":"remove","dryRun":true}`}, {"GET", messagePath + "0000000000000000", ""},
	{"GET", messagePath + "0000000000000000/raw", ""}, {"GET", statsPath, ""}, {"POST", pausePath, `{"what":"intake"}`},
	{"POST", resumePath, `{"what":"intake"}`}, {"GET", logPath + "?id=0000000000000000", ""}, {"GET", eventsPath, ""},
	{"POST", submitPath + "?from=ada@example.org&to=bob@example.net", "Subject: s\n\n"},
}

// On TCP there is no operator's part: not for programs on this machine, nor for any key. The submit socket has none either.
func TestOperatorIsOnTheSocketAlone(t *testing.T) {
	o := operate(t)
	base := start(t, o.queue, config(t))
	submit := NewSocketClient(o.submit)
	defer submit.Close()
	for _, route := range everyRoute {
		for _, header := range []string{"X-A: b", "X-API-KEY: any-secret"} {
			resp, text := ask(t, route.method, base+route.path, route.body, header)
			if resp.StatusCode != 404 || fields(t, text)["code"] != string(web.CodeNotFound) {
				t.Errorf("%s %s = %d %s", route.method, route.path, resp.StatusCode, text)
			}
		}
		if strings.HasPrefix(route.path, submitPath) {
			continue
		}
		err := submit.Fetch(t.Context(), route.method, route.path, "", strings.NewReader(route.body), &struct{}{})
		wantCode(t, err, 404, web.CodeNotFound)
	}
	for _, path := range []string{"/health", "/metrics", "/send", "/"} {
		err := submit.Fetch(t.Context(), "GET", path, "", nil, &struct{}{})
		wantCode(t, err, 404, web.CodeNotFound)
	}
}

// The rest of the API works on the control socket, without a key, and its caller may send as anybody.
func TestWholeAPIOnTheControlSocket(t *testing.T) {
	o := operate(t)
	h, err := o.Health(t.Context())
	if err != nil || h.Status != "ok" || h.Detail.Version != "1.2.3" {
		t.Errorf("health = %+v, %v", h, err)
	}
	sent, err := o.Send(t.Context(), SendRequest{To: []string{"bob@example.net"}, From: "eve@example.com", Subject: "s", Body: "b"})
	if err != nil {
		t.Fatal(err)
	}
	o.await(queue.ID(sent.ID), queue.StateDelivered)
	if st, err := o.Status(t.Context(), sent.ID); err != nil || st.Status != queue.StateDelivered {
		t.Errorf("status = %+v, %v", st, err)
	}
	resp, err := o.Open(t.Context(), "GET", "/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// A user of this machine hands mail in as whom the kernel says it is. Lines that end in LF arrive with CRLF.
func TestSubmitSocket(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	var sent SendResponse
	err = c.Fetch(t.Context(), "POST", submitPath+"?from=&to=bob@example.net&to=root&to=bob@example.net&notify=success,failure&ret=hdrs&envid=x1",
		"", strings.NewReader("Message-ID: <a@b>\nSubject: s\n\none\r\ntwo\n.\nthree"), &sent)
	if err != nil || sent.MessageID != "<a@b>" {
		t.Fatalf("%+v, %v", sent, err)
	}
	m, err := o.queue.Get(queue.ID(sent.ID))
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
	got := string(o.hop.Wait(1, soon)[0].Data)
	if !strings.HasSuffix(got, "\r\n\r\none\r\ntwo\r\n.\r\nthree\r\n") || !strings.Contains(got, "(authenticated as "+me.Username+")") {
		t.Errorf("arrived: %q", got)
	}
}

// A user may send as anybody; a name alone is a user of this machine.
func TestSubmitSenders(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	body := func() *strings.Reader { return strings.NewReader("Subject: s\n\nb\n") }
	for from, want := range map[string]string{
		"": "", "<>": "", "ada@example.org": "ada@example.org", "root": "root@web1", "www-data@web1": "www-data@web1",
		"root@localhost": "root@localhost", "x@mail.example.org": "x@mail.example.org", "eve@example.com": "eve@example.com", "a b": "refused",
		"a@": "refused",
	} {
		sent, err := c.Submit(t.Context(), from, []string{"bob@example.net"}, body())
		if want == "refused" {
			if _, ok := errors.AsType[*web.Error](err); !ok {
				t.Errorf("%q: %v", from, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", from, err)
			continue
		}
		if m, err := o.queue.Get(queue.ID(sent.ID)); err != nil || m.Envelope.From.String() != want {
			t.Errorf("%q becomes %q, %v, want %q", from, m.Envelope.From, err, want)
		}
	}
	resp, err := c.Open(t.Context(), "POST", submitPath+"?to=bob@example.net", "", body())
	if err != nil {
		t.Fatalf("without a sender: %v", err)
	}
	resp.Body.Close()
}

// A mail that cannot be taken is refused with the reason, and what is wrong is named.
func TestSubmitRefusals(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	const good = "Subject: s\n\nb\n"
	for name, r := range map[string]struct {
		query, body string
		status      int
		code        web.Code
		words       string
	}{
		"no recipient":  {"?from=", good, 400, web.CodeMissingTo, "to"},
		"bad recipient": {"?from=&to=bob@example.net&to=b%20c@example.net", good, 400, web.CodeAddress, `"b c@example.net"`},
		"empty one":     {"?from=&to=", good, 400, web.CodeAddress, "to"},
		"bad sender":    {"?from=a@b@c&to=bob@example.net", good, 400, web.CodeAddress, "from"},
		"bad notify":    {"?from=&to=bob@example.net&notify=never,delay", good, 400, web.CodeFormat, "notify"},
		"bad ret":       {"?from=&to=bob@example.net&ret=some", good, 400, web.CodeFormat, "ret"},
		"bad envid":     {"?from=&to=bob@example.net&envid=%0A", good, 400, web.CodeFormat, "envid"},
		"unknown":       {"?from=&rcpt=bob@example.net", good, 400, web.CodeFormat, "rcpt"},
		"given twice":   {"?from=&from=&to=bob@example.net", good, 400, web.CodeFormat, "twice"},
		"no query":      {"?from=%", good, 400, web.CodeFormat, "query"},
		"NUL":           {"?from=&to=bob@example.net", "Subject: s\n\n\x00\n", 400, web.CodeMessage, "NUL"},
		"bare CR":       {"?from=&to=bob@example.net", "Subject: s\n\na\rb\n", 400, web.CodeMessage, "CR"},
		"too large":     {"?from=&to=bob@example.net", "Subject: s\n\n" + strings.Repeat("0123456789\n", 3<<20), 413, web.CodeTooLarge, "MESSAGE_MAX_BYTES"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Open(t.Context(), "POST", submitPath+r.query, "", strings.NewReader(r.body))
			wantCode(t, err, r.status, r.code, r.words)
		})
	}
}

// The recipients of a large mailing fit into one request.
func TestSubmitToMany(t *testing.T) {
	o := operate(t)
	var to []string
	for i := range 1000 {
		to = append(to, "a.rather.long.local.part.number."+strconv.Itoa(i)+"@a.domain.of.some.length.example.net")
	}
	if sent, err := o.Submit(t.Context(), "ada@example.org", to, strings.NewReader("Subject: s\n\nb\n")); err != nil {
		t.Fatal(err)
	} else if m, err := o.queue.Get(queue.ID(sent.ID)); err != nil || len(m.Envelope.To) != 1000 {
		t.Errorf("%d recipients, %v", len(m.Envelope.To), err)
	}
}

// A watcher sees a mail go by from acceptance to delivery, and the operator's verbs.
func TestWatch(t *testing.T) {
	o := operate(t, later)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := o.Open(ctx, "GET", eventsPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("Content-Type = %q", resp.Header.Get("Content-Type"))
	}
	resp.Body.Close()
	seen := make(chan queue.Event, 100)
	watching, enough := make(chan error, 1), errors.New("seen enough")
	go func() {
		watching <- o.Watch(ctx, func(e queue.Event) error {
			seen <- e
			if e.Kind == queue.EventHeld {
				return enough
			}
			return nil
		})
	}()
	for len(seen) == 0 { // until the watcher is there, whose coming nobody announces
		o.put("hello", "bob@example.net")
	}
	id := o.put("stuck", "later@example.net")
	o.await(id, queue.StateDeferred)
	o.act(Action{Verb: Hold, Selection: named(id)})
	if err := <-watching; !errors.Is(err, enough) {
		t.Fatalf("Watch = %v", err)
	}
	close(seen)
	kinds := map[queue.EventKind]bool{}
	for e := range seen {
		kinds[e.Kind] = true
		if e.At.IsZero() || e.ID == id && e.Kind == queue.EventDeferred && !strings.Contains(e.Text, "come back later") {
			t.Errorf("event = %+v", e)
		}
	}
	for _, want := range []queue.EventKind{queue.EventQueued, queue.EventDelivered, queue.EventDeferred, queue.EventHeld} {
		if !kinds[want] {
			t.Errorf("%q was not seen", want)
		}
	}
}

// A watcher keeps nobody from stopping: the answer ends at once and whole.
func TestStopWithAWatcher(t *testing.T) {
	o := operate(t)
	resp, err := o.Open(t.Context(), http.MethodGet, eventsPath, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	o.stop()
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
		t.Errorf("read %d, %v", n, err)
	}
}

// A mail handed in again under its ID is kept once, with all that its envelope says; the ID of somebody else's mail is refused.
func TestHandInAgain(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	env := message.Envelope{Ret: "FULL", ID: "e1"}
	for _, name := range []string{"bob", "carol"} {
		env.To = append(env.To, message.Recipient{Address: message.Address{Local: name, Domain: "example.net"},
			Notify: message.NotifyDelay, Original: "rfc822;" + name + "@example.com"})
	}
	env.To[1].Notify = message.NotifyNever
	id := queue.NewID()
	for range 2 {
		sent, err := c.HandIn(t.Context(), id, env, strings.NewReader("Message-ID: <a@b>\nSubject: s\n\nb\n"))
		if err != nil || sent.ID != string(id) || sent.MessageID != "<a@b>" {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	if m, err := o.queue.Get(id); err != nil || !reflect.DeepEqual(m.Envelope, env) {
		t.Errorf("envelope = %+v, %v", m.Envelope, err)
	}
	o.hop.Wait(1, soon)
	if st := o.queue.Status(); st.Submitted != 1 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
	other, err := o.Send(t.Context(), SendRequest{To: []string{"bob@example.net"}, Subject: "s", Body: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{other.ID, "nonsense", string(queue.NewID()[:1]) + "vvvvvvvvvvvvvvv"} {
		_, err = c.HandIn(t.Context(), queue.ID(id), env, strings.NewReader("Subject: s\n\nb\n"))
		wantCode(t, err, 400, web.CodeFormat, "id")
	}
}
