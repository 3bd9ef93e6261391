package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dinkymail/account"
	"dinkymail/httpapi"
	"dinkymail/internal/smtptest"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
	"dinkymail/queue/memstore"
	"dinkymail/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// operated is a running queue with its control socket and a next hop.
type operated struct {
	*Client
	t     *testing.T
	queue *queue.Queue
	api   *httpapi.Client // the public API, over the same socket
	hop   *smtptest.Server
	stop  func() // ends the socket and waits for it
}

// grace is how long requests may go on at the end.
const grace = 10 * time.Second

// appliance starts a queue that waits an hour between attempts and delivers to a next hop that
// follows rules.
func appliance(t *testing.T, rules ...smtptest.Rule) *operated {
	t.Helper()
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(rules...)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, discard)
	if err != nil {
		t.Fatal(err)
	}
	next := relay.New(relay.Config{Host: hop.Host(), Port: hop.Port()}, discard)
	q := queue.New(store, queue.One(next), queue.Config{Hostname: "mail.example.org", Domain: "example.org", Retry: []time.Duration{time.Hour}}, discard)
	path := filepath.Join(t.TempDir(), "control.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	o := &operated{t: t, queue: q, hop: hop, Client: NewClient(path), api: httpapi.NewSocketClient(path)}
	ctx, cancel := context.WithCancel(context.Background())
	serving, end := context.WithCancel(ctx)
	results, served := make(chan error, 1), make(chan error, 1)
	go func() { results <- q.Run(ctx) }()
	go func() {
		served <- Serve(serving, ln, operate.New(q, operate.Parts{Machine: "web1"}), publicAPI(t, q).Trusted(),
			func() time.Duration { return grace }, discard)
	}()
	o.stop = func() {
		end()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
		o.stop = func() {}
	}
	t.Cleanup(func() {
		o.Close()
		o.api.Close()
		o.stop()
		cancel()
		if err := errors.Join(<-results, next.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return o
}

// publicAPI is the API of an owner at example.org who trusts this machine.
func publicAPI(t *testing.T, q *queue.Queue) *httpapi.Server {
	t.Helper()
	from, err := message.ParseMailbox("noreply@example.org")
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.New(q, httpapi.Config{Domain: "example.org", Hostname: "mail.example.org", Version: "1.2.3", DefaultFrom: from,
		TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Accounts:        account.New(account.Config{Own: []string{"noreply@example.org", "@example.org"}, Keys: []account.Key{{Name: "any", Secret: "any-secret", From: []string{"*"}}}}, discard)}, discard)
}

// address parses an address of a test.
func address(t *testing.T, text string) message.Address {
	t.Helper()
	a, err := message.ParseLocalAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// letter is a mail from ada.
func letter(t *testing.T, text string, to ...string) operate.Mail {
	t.Helper()
	m := operate.Mail{Envelope: message.Envelope{From: address(t, "ada@example.org")}, Body: strings.NewReader(text)}
	for _, one := range to {
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: address(t, one)})
	}
	return m
}

// put hands a mail in and returns its id.
func (o *operated) put(subject string, to ...string) queue.ID {
	o.t.Helper()
	sent, err := o.Submit(o.t.Context(), letter(o.t, "Subject: "+subject+"\n\nHello.\n", to...))
	if err != nil {
		o.t.Fatal(err)
	}
	return sent.ID
}

// await asks until the message is in this state.
func (o *operated) await(id queue.ID, want queue.State) operate.Detail {
	o.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); ; <-tick.C {
		d, err := o.Show(o.t.Context(), id)
		if err != nil {
			o.t.Fatal(err)
		}
		if d.State == want {
			return d
		}
		if time.Now().After(end) {
			o.t.Fatalf("%s is %s (%s), want %s", id, d.State, d.Reason, want)
		}
	}
}

// act does a verb, to which every message must agree, and returns what it did.
func (o *operated) act(a operate.Action) operate.ActionResult {
	o.t.Helper()
	res, err := o.Act(o.t.Context(), a)
	if err != nil || len(res.Failed) > 0 {
		o.t.Fatalf("%s = %+v, %v", a.Verb, res, err)
	}
	return res
}

func named(ids ...queue.ID) queue.Selection { return queue.Selection{IDs: ids} }

var later = smtptest.Rule{Stage: smtptest.Rcpt, Address: "later@example.net", Answer: smtptest.Reply("451 4.7.1 come back later")}

// wantCode checks that err is the API's answer with this code, and that its message has these
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

// A waiting message is listed with the reply that keeps it, shown with its history, and read part
// by part.
func TestWaitingMessageIsShown(t *testing.T) {
	o := appliance(t, later)
	id := o.put("a stuck one", "later@example.net", "bob@example.net")
	d := o.await(id, queue.StateDeferred)
	page, err := o.List(t.Context(), queue.Selection{Error: "come back"}, "", 10)
	if err != nil || len(page.Messages) != 1 || page.Next != "" {
		t.Fatalf("list = %+v, %v", page, err)
	}
	e := page.Messages[0]
	if e.ID != id || e.From != "ada@example.org" || e.Subject != "a stuck one" || e.Attempts != 1 || e.Next == nil || e.Lane == "" ||
		len(e.Recipients) != 2 || e.Recipients[0].Code != 451 || e.Recipients[0].Status != "4.7.1" ||
		e.Recipients[0].Text != "come back later" || e.Recipients[1].Outcome != "delivered" {
		t.Errorf("entry = %+v", e)
	}
	if d.Origin.Door != "sendmail" || !strings.HasPrefix(d.Origin.Client, "unix:") || d.Origin.User == "" || !d.HasBody ||
		d.Expires == nil || d.Expires.Sub(d.Accepted) != 5*24*time.Hour || len(d.History) != 1 || len(d.History[0].Answers) != 2 {
		t.Errorf("detail = %+v", d)
	}
	parts := map[string]string{}
	for _, part := range []string{"headers", "body", "raw"} {
		var b bytes.Buffer
		if err := o.Cat(t.Context(), id, part, &b); err != nil {
			t.Fatal(err)
		}
		parts[part] = b.String()
	}
	if parts["body"] != "Hello.\r\n" || !strings.HasSuffix(parts["headers"], "\r\n") || strings.Contains(parts["headers"], "Hello") ||
		parts["headers"]+"\r\n"+parts["body"] != parts["raw"] {
		t.Errorf("parts = %q", parts)
	}
}

// A finished message has no text any more, and the answer says why; an unknown one is not there at
// all.
func TestWhatIsGone(t *testing.T) {
	o := appliance(t)
	id := o.put("gone", "bob@example.net")
	if d := o.await(id, queue.StateDelivered); d.HasBody || d.Expires != nil || d.Finished == nil {
		t.Errorf("detail = %+v", d)
	}
	wantCode(t, o.Cat(t.Context(), id, "raw", new(bytes.Buffer)), operate.CodeNotFound, "delivered", "record")
	_, err := o.Show(t.Context(), "0000000000000000")
	wantCode(t, err, operate.CodeNotFound, "no such mail")
	wantCode(t, o.Log(t.Context(), string(id), new(bytes.Buffer)), operate.CodeNotFound, "journalctl")
}

// Every verb does what it says to a waiting message, by its id.
func TestVerbs(t *testing.T) {
	o := appliance(t, later)
	id := o.put("one", "later@example.net")
	o.await(id, queue.StateDeferred)

	o.act(operate.Action{Verb: operate.Hold, Selection: named(id), Reason: "ask\r\n Ada "})
	if d := o.await(id, queue.StateHeld); d.Reason != "ask Ada" || d.Expires != nil {
		t.Errorf("held: %q until %v", d.Reason, d.Expires)
	}
	res, err := o.Act(t.Context(), operate.Action{Verb: operate.Retry, Selection: named(id)})
	if err != nil || res.Matched != 1 || res.Done != 0 || len(res.Failed) != 1 || !strings.Contains(res.Failed[0].Message, "release") {
		t.Errorf("retry of a held one = %+v, %v", res, err)
	}
	o.act(operate.Action{Verb: operate.Release, Selection: named(id)})
	o.await(id, queue.StateDeferred)

	o.act(operate.Action{Verb: operate.Retry, Selection: named(id)})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for o.await(id, queue.StateDeferred).Attempts < 2 { // the test's own deadline ends this
		<-tick.C
	}
	o.act(operate.Action{Verb: operate.Edit, Selection: named(id), Add: []string{"later@example.net", "Carol@example.net"}})
	o.hop.Wait(1, soon)
	o.act(operate.Action{Verb: operate.Redirect, Selection: named(id), To: "bob@example.net"})
	for i, m := range o.hop.Wait(2, soon) {
		if want := []string{"Carol@example.net", "bob@example.net"}[i]; len(m.To) != 1 || m.To[0] != want {
			t.Errorf("went to %v, want %s", m.To, want)
		}
	}
	if d := o.await(id, queue.StateDelivered); len(d.Recipients) != 3 || d.Recipients[0].Outcome != "dropped" {
		t.Errorf("recipients = %+v", d.Recipients)
	}

	id = o.put("two", "later@example.net")
	o.await(id, queue.StateDeferred)
	o.act(operate.Action{Verb: operate.Bounce, Selection: named(id), Reason: "no longer needed"})
	if d := o.await(id, queue.StateFailed); !strings.Contains(d.Recipients[0].Text, "no longer needed") {
		t.Errorf("given up with %+v", d.Recipients)
	}
	o.hop.Wait(3, soon) // the last is the notice
}

// Removal takes what the filters select, says what that is before and after, and one undo brings
// all of it back.
func TestPurgeAndUndo(t *testing.T) {
	o := appliance(t, later)
	var ids []queue.ID
	for range 12 {
		ids = append(ids, o.put("newsletter", "later@example.net"))
	}
	keep := o.put("invoice", "later@example.net")
	o.await(keep, queue.StateDeferred)
	purge := operate.Action{Verb: operate.Remove, Selection: queue.Selection{Subject: "newsletter"}, DryRun: true}
	res := o.act(purge)
	if res.Matched != 12 || res.Done != 0 || res.Bytes == 0 || len(res.Sample) != 10 || res.Oldest == nil || res.Newest.Before(*res.Oldest) {
		t.Errorf("dry run = %+v", res)
	}
	purge.DryRun = false
	if res = o.act(purge); res.Matched != 12 || res.Done != 12 {
		t.Errorf("purge = %+v", res)
	}
	o.act(operate.Action{Verb: operate.Remove, Selection: named(keep)})
	if d := o.await(keep, queue.StateRemoved); d.Removed == nil {
		t.Error("there is no time of removal")
	}
	if page, err := o.List(t.Context(), queue.Selection{}, "", 10); err != nil || len(page.Messages) != 0 {
		t.Errorf("list = %+v, %v", page, err)
	}
	if st, err := o.Stats(t.Context()); err != nil || st.Removed != 13 || st.Waiting != 0 {
		t.Errorf("stats = %+v, %v", st, err)
	}
	if res = o.act(operate.Action{Verb: operate.Restore, Last: true}); res.Done != 1 {
		t.Errorf("the first undo brings back %d", res.Done)
	}
	if res = o.act(operate.Action{Verb: operate.Restore, Selection: queue.Selection{Subject: "newsletter"}}); res.Done != 12 {
		t.Errorf("the second undo brings back %d", res.Done)
	}
	o.await(ids[0], queue.StateDeferred)
	if res = o.act(operate.Action{Verb: operate.Restore, Last: true}); res.Matched != 0 {
		t.Errorf("an undo of nothing = %+v", res)
	}
}

// What is being handed over while it is held or removed is counted, for it may be delivered all the
// same.
func TestTooLate(t *testing.T) {
	o := appliance(t, later, smtptest.Rule{Stage: smtptest.Rcpt, Address: "slow@example.net", Answer: smtptest.Answer{}.After(3 * time.Second)})
	slow, waits := o.put("slow", "slow@example.net"), o.put("waits", "later@example.net")
	o.await(waits, queue.StateDeferred)
	o.await(slow, queue.StateActive)
	if res := o.act(operate.Action{Verb: operate.Retry, Selection: named(slow)}); res.Active != 0 {
		t.Errorf("a retry cannot be too late: %+v", res)
	}
	for _, verb := range []operate.Verb{operate.Hold, operate.Remove} {
		if res := o.act(operate.Action{Verb: verb, Selection: named(slow, waits)}); res.Done != 2 || res.Active != 1 {
			t.Errorf("%s: %d done, %d active", verb, res.Done, res.Active)
		}
	}
	if d := o.await(slow, queue.StateDelivered); len(d.History) != 1 || d.Removed != nil {
		t.Errorf("removed %v, history %+v", d.Removed, d.History)
	}
}

// What cannot be done to single messages is told by id, missing ones apart; the rest is done.
func TestActionsOnSomeThatFail(t *testing.T) {
	o := appliance(t, later)
	waits, gone := o.put("waits", "later@example.net"), o.put("gone", "bob@example.net")
	o.await(waits, queue.StateDeferred)
	o.await(gone, queue.StateDelivered)
	res, err := o.Act(t.Context(), operate.Action{Verb: operate.Hold, Selection: named(gone, waits, waits, "nonsense", "0000000000000000")})
	if err != nil || res.Matched != 2 || res.Done != 1 || len(res.Failed) != 3 {
		t.Fatalf("result = %+v, %v", res, err)
	}
	for _, f := range res.Failed {
		want := operate.CodeNotFound
		if f.ID == gone {
			want = operate.CodeSettled
		}
		if f.Missing != (f.ID != gone) || f.Message == "" || f.Code != want {
			t.Errorf("failed: %+v", f)
		}
	}
}

// Of messages named each failure is told, of those that filters select a hundred.
func TestManyFail(t *testing.T) {
	o := appliance(t, later)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	const many = 150
	var ids []queue.ID
	for range many {
		ids = append(ids, o.put("waits", "bob@example.net"))
	}
	o.act(operate.Action{Verb: operate.Hold, Selection: named(ids...)})
	for want, sel := range map[int]queue.Selection{many + 1: named(append(ids, "nonsense")...), 100: {From: "ada@example.org"}} {
		res, err := o.Act(t.Context(), operate.Action{Verb: operate.Retry, Selection: sel})
		if err != nil || res.Matched != many || res.Done != 0 || len(res.Failed) != want {
			t.Errorf("%d matched, %d done, %d failed, want %d; %v", res.Matched, res.Done, len(res.Failed), want, err)
		}
	}
}

// Everything that is released is everything that is held: what else waits is neither done nor
// failed, also while its lane waits.
func TestReleaseMeansWhatIsHeld(t *testing.T) {
	o := appliance(t)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	held := o.put("held", "bob@example.net")
	o.put("other", "bob@example.net")
	o.act(operate.Action{Verb: operate.Hold, Selection: named(held)})
	if res := o.act(operate.Action{Verb: operate.Release}); res.Matched != 1 || res.Done != 1 {
		t.Errorf("release = %+v", res)
	}
	if res := o.act(operate.Action{Verb: operate.Release, Selection: queue.Selection{States: []queue.State{queue.StateHeld}}}); res.Matched != 0 {
		t.Errorf("release of what the lane holds = %+v", res)
	}
}

// A list of IDs without any means nothing, and not everything: that is what a script sends which
// found none.
func TestNoIDsAreNothing(t *testing.T) {
	o := appliance(t)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	o.put("Hello", "bob@example.net")
	none := queue.Selection{IDs: []queue.ID{}}
	if res := o.act(operate.Action{Verb: operate.Remove, Selection: none}); res.Matched != 0 || res.Done != 0 {
		t.Errorf("remove = %+v", res)
	}
	if page, err := o.List(t.Context(), none, "", 10); err != nil || len(page.Messages) != 0 {
		t.Errorf("list = %+v, %v", page, err)
	}
	if page, err := o.List(t.Context(), queue.Selection{}, "", 10); err != nil || len(page.Messages) != 1 {
		t.Errorf("the queue = %+v, %v", page, err)
	}
}

// A request that makes no sense is refused before anything is done, and the answer says what is
// wrong with it.
func TestSenselessRequests(t *testing.T) {
	o := appliance(t, later)
	id := o.put("waits", "later@example.net")
	o.await(id, queue.StateDeferred)
	for _, c := range []struct {
		a     operate.Action
		code  operate.Code
		words string
	}{
		{operate.Action{}, operate.CodeFormat, "is no verb"},
		{operate.Action{Verb: "delete"}, operate.CodeFormat, `"delete" is no verb`},
		{operate.Action{Verb: operate.Redirect, Selection: named(id)}, operate.CodeAddress, "redirect"},
		{operate.Action{Verb: operate.Redirect, Selection: named(id), To: "bob"}, operate.CodeAddress, `"bob"`},
		{operate.Action{Verb: operate.Edit, Selection: named(id)}, operate.CodeFormat, "nothing to add"},
		{operate.Action{Verb: operate.Edit, Selection: named(id), Add: []string{"@"}}, operate.CodeAddress, "add"},
		{operate.Action{Verb: operate.Edit, Selection: named(id), Drop: []string{"<>"}}, operate.CodeAddress, "drop"},
		{operate.Action{Verb: operate.Remove, Selection: queue.Selection{From: "/(/"}}, operate.CodeSelection, "from"},
		{operate.Action{Verb: operate.Remove, Selection: queue.Selection{Lane: "moon"}}, operate.CodeSelection, "moon"},
	} {
		_, err := o.Act(t.Context(), c.a)
		wantCode(t, err, c.code, c.words)
	}
	wantCode(t, o.Pause(t.Context(), "moon", "", "ada"), operate.CodeSelection, "moon")
	wantCode(t, o.Pause(t.Context(), "", "", "ada"), operate.CodeFormat, "what")
	wantCode(t, o.Resume(t.Context(), ""), operate.CodeFormat, "what")
	for body, words := range map[string]string{
		`{"verb":"remove","form":"x"}`:   "form",
		`{"verb":"remove","from":1}`:     "from",
		`{"verb":"remove"} {}`:           "behind",
		`{"verb":"remove"`:               "too early",
		``:                               "too early",
		`{"verb":"remove","older":"1h"}`: "older",
	} {
		err := o.to.Fetch(t.Context(), "POST", actionPath, "application/json", strings.NewReader(body), &struct{}{})
		wantCode(t, err, operate.CodeFormat, words)
	}
	err := o.to.Fetch(t.Context(), "POST", actionPath, "application/json", strings.NewReader(strings.Repeat(" ", largestRequest+1)), &struct{}{})
	wantCode(t, err, operate.CodeTooLarge, "67108864")
	if d := o.await(id, queue.StateDeferred); d.Removed != nil {
		t.Error("something was done")
	}
}

// A long list comes in pages, forwards and backwards.
func TestListsInPages(t *testing.T) {
	o := appliance(t)
	if err := o.Pause(t.Context(), queue.Everything, "", "ada"); err != nil {
		t.Fatal(err)
	}
	if err := o.Resume(t.Context(), queue.Intake); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		o.put("s", "bob@example.net")
	}
	var first, newest []queue.ID
	after := queue.ID("")
	for pages := 1; ; pages++ {
		page, err := o.List(t.Context(), queue.Selection{}, after, 3)
		if err != nil || len(page.Messages) > 3 {
			t.Fatalf("page %d = %+v, %v", pages, page, err)
		}
		for _, e := range page.Messages {
			first = append(first, e.ID)
			if e.State != queue.StateQueued || e.Reason == "" {
				t.Errorf("%s is %s (%s)", e.ID, e.State, e.Reason)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	for e, err := range operate.All(t.Context(), o, queue.Selection{Newest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		newest = append([]queue.ID{e.ID}, newest...)
	}
	if len(first) != 7 || strings.Join(strs(first), " ") != strings.Join(strs(newest), " ") {
		t.Errorf("%v\n%v", first, newest)
	}
}

func strs(ids []queue.ID) (out []string) {
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

// operate.Stats count what waits by state, domain and age, and tell of lanes and pauses.
func TestStats(t *testing.T) {
	o := appliance(t, later)
	o.await(o.put("s", "later@example.net", "bob@example.net"), queue.StateDeferred)
	if err := o.Pause(t.Context(), queue.Intake, "moving house", "ada"); err != nil {
		t.Fatal(err)
	}
	st, err := o.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Waiting != 1 || st.Bytes == 0 || st.Oldest == nil || st.Since.Accepted != 1 || st.Since.Delivered != 1 || st.States["deferred"] != 1 ||
		len(st.Lanes) != 1 || st.Sampled || time.Since(st.Started) > time.Hour ||
		len(st.Domains) != 1 || st.Domains[0] != (operate.DomainStats{Domain: "example.net", Total: 1, Ages: [10]int{1}}) ||
		len(st.Paused) != 1 || st.Paused[0].Reason != "moving house" {
		t.Errorf("stats = %+v", st)
	}
}

// While intake is paused no door of ours takes mail, each with a word for when to try again;
// notices and deliveries go on.
func TestPausedIntake(t *testing.T) {
	o := appliance(t)
	if err := o.Pause(t.Context(), queue.Intake, "moving house", "ada"); err != nil {
		t.Fatal(err)
	}
	_, err := o.Submit(t.Context(), letter(t, "Subject: s\n\n", "bob@example.net"))
	wantCode(t, err, operate.CodePaused, "paused")
	w := onTCP(t, o, "POST", "/send", `{"to":"bob@example.net","subject":"s","body":"b"}`)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"paused"`) {
		t.Errorf("/send = %d %v %s", w.Code, w.Header(), w.Body)
	}
	h, err := o.api.Health(t.Context())
	if err != nil || h.Status != "degraded" || h.Reason != "the operator has paused taking mail in" {
		t.Errorf("health says %+v, %v", h, err)
	}
	if w := onTCP(t, o, "GET", "/health", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"intake":"paused"`) {
		t.Errorf("/health = %d %s", w.Code, w.Body)
	}
	if st, err := o.Stats(t.Context()); err != nil || st.Paused[0].By != "ada" {
		t.Errorf("stats = %+v, %v", st, err)
	}
	if err := o.Resume(t.Context(), queue.Intake); err != nil {
		t.Fatal(err)
	}
	if h, err := o.api.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("health says %+v, %v", h, err)
	}
	o.put("s", "bob@example.net")
	o.hop.Wait(1, soon)
}

// quietQueue is a queue in memory that nobody runs. It has a message with so many recipients for
// each of them.
func quietQueue(t *testing.T, recipients ...int) *queue.Queue {
	t.Helper()
	q := queue.New(memstore.New(), nil, queue.Config{Hostname: "mail.example.org", Domain: "example.org", MaxRecipients: 20_000}, discard)
	for i, n := range recipients {
		s := queue.Submission{ID: queue.ID("00000000000000a" + strconv.Itoa(i)), Body: strings.NewReader("Subject: s\r\n\r\n")}
		for k := range n {
			s.Envelope.To = append(s.Envelope.To, message.Recipient{Address: message.Address{Local: strconv.Itoa(k), Domain: "example.net"}})
		}
		if _, err := q.Submit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// A page ends early where its messages have very many recipients, and the next begins behind it.
func TestPageOfManyRecipients(t *testing.T) {
	q := quietQueue(t, 15_000, 15_000, 15_000)
	c := operate.New(q, operate.Parts{})
	page, err := c.List(t.Context(), queue.Selection{}, "", 10)
	if err != nil || len(page.Messages) != 1 || page.Next != page.Messages[0].ID {
		t.Errorf("%d messages and next %q, %v", len(page.Messages), page.Next, err)
	}
}

// A watcher who sees nothing is shown every 15 seconds that the connection lives.
func TestSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &quiet{end: make(chan struct{})}
		body, in := io.Pipe()
		go func() {
			defer in.Close()
			newServer(o, http.NotFoundHandler(), discard).ServeHTTP(&streamed{in, http.Header{}}, httptest.NewRequest("GET", eventsPath, nil))
		}()
		began := time.Now()
		b := make([]byte, 10)
		for i := range 3 {
			if n, err := body.Read(b); string(b[:n]) != "\n" || err != nil || time.Since(began) != time.Duration(i+1)*lifeSign {
				t.Errorf("after %v: %q, %v", time.Since(began), b[:n], err)
			}
		}
		close(o.end) // the queue has ended
		if n, err := body.Read(b); n != 0 || err == nil {
			t.Errorf("after the end: %q, %v", b[:n], err)
		}
	})
}

// quiet is an Operator of a queue in which nothing happens, until its end.
type quiet struct {
	operate.Operator
	end chan struct{}
}

func (q *quiet) Watch(context.Context) (iter.Seq2[queue.Event, error], error) {
	return func(func(queue.Event, error) bool) { <-q.end }, nil
}

// streamed is an answer that is read while it is written.
type streamed struct {
	io.Writer
	header http.Header
}

func (s *streamed) Header() http.Header { return s.header }
func (*streamed) WriteHeader(int)       {}
func (*streamed) Flush()                {}

// A watcher who stopped reading, as one whose terminal is stopped, does not hold up the end of the
// appliance.
func TestWatcherWhoDoesNotRead(t *testing.T) {
	o := appliance(t)
	resp, err := o.to.Open(t.Context(), eventsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 400 { // more than the socket holds
		if err := errors.Join(o.Pause(t.Context(), queue.Intake, strings.Repeat("x", 1000), "ada"), o.Resume(t.Context(), queue.Intake)); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	o.stop()
	if took := time.Since(start); took > grace/2 {
		t.Errorf("stopping took %v", took)
	}
}

// everyRoute is what the control socket has beyond TCP.
var everyRoute = []struct{ method, path, body string }{
	{"POST", listPath, "{}"}, {"POST", actionPath, `{"verb":"remove","dryRun":true}`}, {"GET", messagePath + "0000000000000000", ""},
	{"GET", messagePath + "0000000000000000/raw", ""}, {"GET", statsPath, ""}, {"POST", pausePath, `{"what":"intake"}`},
	{"POST", resumePath, `{"what":"intake"}`}, {"GET", logPath + "?id=0000000000000000", ""}, {"GET", eventsPath, ""},
	{"POST", submitPath + "?from=ada@example.org&to=bob@example.net", "Subject: s\n\n"},
}

// onTCP asks the API of the same queue as a program on this machine does.
func onTCP(t *testing.T, o *operated, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost"
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	publicAPI(t, o.queue).Handler().ServeHTTP(w, r)
	return w
}

// On TCP there is no operator's part: not for programs on this machine, nor for any key.
func TestOperatorIsOnTheSocketAlone(t *testing.T) {
	o := appliance(t)
	for _, route := range everyRoute {
		for _, header := range [][]string{{"X-A", "b"}, {"X-API-KEY", "any-secret"}} {
			if w := onTCP(t, o, route.method, route.path, route.body, header...); w.Code != 404 || !strings.Contains(w.Body.String(), `"code":"not_found"`) {
				t.Errorf("%s %s = %d %s", route.method, route.path, w.Code, w.Body)
			}
		}
	}
}

// A method that a path does not know is refused with the one that it does, with a slash at the end
// or without.
func TestWrongMethod(t *testing.T) {
	s := newServer(operate.New(quietQueue(t), operate.Parts{}), http.NotFoundHandler(), discard)
	for _, route := range everyRoute {
		path, _, _ := strings.Cut(route.path, "?")
		for _, path := range []string{path, path + "/"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("DELETE", path, nil))
			if w.Code != 405 || w.Header().Get("Allow") != route.method || !strings.Contains(w.Body.String(), `"code":"method_not_allowed"`) {
				t.Errorf("DELETE %s = %d %v %s", path, w.Code, w.Header(), w.Body)
			}
		}
	}
}

// The rest of the API works on the control socket, without a key, and its caller may send as
// anybody.
func TestWholeAPIOnTheControlSocket(t *testing.T) {
	o := appliance(t)
	h, err := o.api.Health(t.Context())
	if err != nil || h.Status != "ok" || h.Detail.Version != "1.2.3" {
		t.Errorf("health = %+v, %v", h, err)
	}
	sent, err := o.api.Send(t.Context(), httpapi.SendRequest{To: []string{"bob@example.net"}, From: "eve@example.com", Subject: "s", Body: "b"})
	if err != nil {
		t.Fatal(err)
	}
	o.await(queue.ID(sent.ID), queue.StateDelivered)
	if st, err := o.api.Status(t.Context(), sent.ID); err != nil || st.Status != queue.StateDelivered {
		t.Errorf("status = %+v, %v", st, err)
	}
	resp, err := o.to.Open(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// A watcher sees a mail go by from acceptance to delivery, and the operator's verbs.
func TestWatch(t *testing.T) {
	o := appliance(t, later)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := o.to.Open(ctx, eventsPath)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("Content-Type = %q", resp.Header.Get("Content-Type"))
	}
	resp.Body.Close()
	events, err := o.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	o.put("hello", "bob@example.net")
	id := o.put("stuck", "later@example.net")
	o.await(id, queue.StateDeferred)
	o.act(operate.Action{Verb: operate.Hold, Selection: named(id)})
	kinds := map[queue.EventKind]bool{}
	for e, err := range events {
		if err != nil {
			t.Fatalf("Watch = %v", err)
		}
		kinds[e.Kind] = true
		if e.At.IsZero() || e.ID == id && e.Kind == queue.EventDeferred && !strings.Contains(e.Text, "come back later") {
			t.Errorf("event = %+v", e)
		}
		if e.Kind == queue.EventHeld {
			break
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
	o := appliance(t)
	resp, err := o.to.Open(t.Context(), eventsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	o.stop()
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
		t.Errorf("read %d, %v", n, err)
	}
}
