package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
	"dinkymail/relay"
)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// operated is a running queue with both sockets and a next hop.
type operated struct {
	*Client
	t      *testing.T
	queue  *queue.Queue
	server *Server
	hop    *smtptest.Server
	submit string // the path of the submit socket
	stop   func() // ends the sockets and waits for it
}

// operate starts a queue that waits an hour between attempts and delivers to a next hop that follows rules.
func operate(t *testing.T, rules ...smtptest.Rule) *operated {
	t.Helper()
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(rules...)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, discard)
	if err != nil {
		t.Fatal(err)
	}
	next := relay.New(relay.Config{Host: hop.Host(), Port: hop.Port()}, discard)
	q := queue.New(store, queue.One(next), queue.Config{Hostname: "mail.example.org", Domain: "example.org", Retry: []time.Duration{time.Hour}}, discard)
	cfg := config(t)
	cfg.Machine = "web1"
	o := &operated{t: t, queue: q, hop: hop, server: New(q, cfg, discard)}
	ctx, cancel := context.WithCancel(context.Background())
	serving, end := context.WithCancel(ctx)
	dir := t.TempDir()
	o.submit = filepath.Join(dir, "submit.sock")
	results, served := make(chan error, 1), make(chan error, 2)
	control, submit := listenUnix(t, filepath.Join(dir, "control.sock")), listenUnix(t, o.submit)
	go func() { results <- q.Run(ctx) }()
	go func() { served <- o.server.ServeControl(serving, control) }()
	go func() { served <- o.server.ServeSubmit(serving, submit) }()
	o.Client = NewSocketClient(filepath.Join(dir, "control.sock"))
	o.stop = func() {
		end()
		for range 2 {
			if err := <-served; err != nil {
				t.Errorf("Serve = %v", err)
			}
		}
		o.stop = func() {}
	}
	t.Cleanup(func() {
		o.Close()
		o.stop()
		cancel()
		if err := errors.Join(<-results, next.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return o
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// put hands a mail in and returns its id.
func (o *operated) put(subject string, to ...string) queue.ID {
	o.t.Helper()
	sent, err := o.Submit(o.t.Context(), "ada@example.org", to, strings.NewReader("Subject: "+subject+"\n\nHello.\n"))
	if err != nil {
		o.t.Fatal(err)
	}
	return queue.ID(sent.ID)
}

// await asks until the message is in this state.
func (o *operated) await(id queue.ID, want queue.State) Detail {
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
func (o *operated) act(a Action) ActionResult {
	o.t.Helper()
	res, err := o.Act(o.t.Context(), a)
	if err != nil || len(res.Failed) > 0 {
		o.t.Fatalf("%s = %+v, %v", a.Verb, res, err)
	}
	return res
}

func named(ids ...queue.ID) queue.Selection { return queue.Selection{IDs: ids} }

var later = smtptest.Rule{Stage: smtptest.Rcpt, Address: "later@example.net", Answer: smtptest.Reply("451 4.7.1 come back later")}

// wantCode checks that err is the API's answer with this code, and that its message has these words.
func wantCode(t *testing.T, err error, status int, code Code, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != status || e.Code != code {
		t.Fatalf("error = %v (%+v), want %d %s", err, e, status, code)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			t.Errorf("%q is not in %q", w, e.Message)
		}
	}
}

// A waiting message is listed with the reply that keeps it, shown with its history, and read part by part.
func TestWaitingMessageIsShown(t *testing.T) {
	o := operate(t, later)
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

// A finished message has no text any more, and the answer says why; an unknown one is not there at all.
func TestWhatIsGone(t *testing.T) {
	o := operate(t)
	id := o.put("gone", "bob@example.net")
	if d := o.await(id, queue.StateDelivered); d.HasBody || d.Expires != nil || d.Finished == nil {
		t.Errorf("detail = %+v", d)
	}
	wantCode(t, o.Cat(t.Context(), id, "raw", new(bytes.Buffer)), 404, codeNotFound, "delivered", "record")
	_, err := o.Show(t.Context(), "0000000000000000")
	wantCode(t, err, 404, codeNotFound, "no such mail")
	wantCode(t, o.Log(t.Context(), string(id), new(bytes.Buffer)), 404, codeNotFound, "journalctl")
}

// Every verb does what it says to a waiting message, by its id.
func TestVerbs(t *testing.T) {
	o := operate(t, later)
	id := o.put("one", "later@example.net")
	o.await(id, queue.StateDeferred)

	o.act(Action{Verb: Hold, Selection: named(id), Reason: "ask\r\n Ada "})
	if d := o.await(id, queue.StateHeld); d.Reason != "ask Ada" || d.Expires != nil {
		t.Errorf("held: %q until %v", d.Reason, d.Expires)
	}
	res, err := o.Act(t.Context(), Action{Verb: Retry, Selection: named(id)})
	if err != nil || res.Matched != 1 || res.Done != 0 || len(res.Failed) != 1 || !strings.Contains(res.Failed[0].Message, "release") {
		t.Errorf("retry of a held one = %+v, %v", res, err)
	}
	o.act(Action{Verb: Release, Selection: named(id)})
	o.await(id, queue.StateDeferred)

	o.act(Action{Verb: Retry, Selection: named(id)})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for o.await(id, queue.StateDeferred).Attempts < 2 { // the test's own deadline ends this
		<-tick.C
	}
	o.act(Action{Verb: Edit, Selection: named(id), Add: []string{"later@example.net", "Carol@example.net"}})
	o.hop.Wait(1, soon)
	o.act(Action{Verb: Redirect, Selection: named(id), To: "bob@example.net"})
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
	o.act(Action{Verb: Bounce, Selection: named(id), Reason: "no longer needed"})
	if d := o.await(id, queue.StateFailed); !strings.Contains(d.Recipients[0].Text, "no longer needed") {
		t.Errorf("given up with %+v", d.Recipients)
	}
	o.hop.Wait(3, soon) // the last is the notice
}

// Removal takes what the filters select, says what that is before and after, and one undo brings all of it back.
func TestPurgeAndUndo(t *testing.T) {
	o := operate(t, later)
	var ids []queue.ID
	for range 12 {
		ids = append(ids, o.put("newsletter", "later@example.net"))
	}
	keep := o.put("invoice", "later@example.net")
	o.await(keep, queue.StateDeferred)
	purge := Action{Verb: Remove, Selection: queue.Selection{Subject: "newsletter"}, DryRun: true}
	res := o.act(purge)
	if res.Matched != 12 || res.Done != 0 || res.Bytes == 0 || len(res.Sample) != 10 || res.Oldest == nil || res.Newest.Before(*res.Oldest) {
		t.Errorf("dry run = %+v", res)
	}
	purge.DryRun = false
	if res = o.act(purge); res.Matched != 12 || res.Done != 12 {
		t.Errorf("purge = %+v", res)
	}
	o.act(Action{Verb: Remove, Selection: named(keep)})
	if d := o.await(keep, queue.StateRemoved); d.Removed == nil {
		t.Error("there is no time of removal")
	}
	if page, err := o.List(t.Context(), queue.Selection{}, "", 10); err != nil || len(page.Messages) != 0 {
		t.Errorf("list = %+v, %v", page, err)
	}
	if st, err := o.Stats(t.Context()); err != nil || st.Removed != 13 || st.Waiting != 0 {
		t.Errorf("stats = %+v, %v", st, err)
	}
	if res = o.act(Action{Verb: Restore, Last: true}); res.Done != 1 {
		t.Errorf("the first undo brings back %d", res.Done)
	}
	if res = o.act(Action{Verb: Restore, Selection: queue.Selection{Subject: "newsletter"}}); res.Done != 12 {
		t.Errorf("the second undo brings back %d", res.Done)
	}
	o.await(ids[0], queue.StateDeferred)
	if res = o.act(Action{Verb: Restore, Last: true}); res.Matched != 0 {
		t.Errorf("an undo of nothing = %+v", res)
	}
}

// What is being handed over while it is held or removed is counted, for it may be delivered all the same.
func TestTooLate(t *testing.T) {
	o := operate(t, later, smtptest.Rule{Stage: smtptest.Rcpt, Address: "slow@example.net", Answer: smtptest.Answer{}.After(3 * time.Second)})
	slow, waits := o.put("slow", "slow@example.net"), o.put("waits", "later@example.net")
	o.await(waits, queue.StateDeferred)
	o.await(slow, queue.StateActive)
	if res := o.act(Action{Verb: Retry, Selection: named(slow)}); res.Active != 0 {
		t.Errorf("a retry cannot be too late: %+v", res)
	}
	for _, verb := range []Verb{Hold, Remove} {
		if res := o.act(Action{Verb: verb, Selection: named(slow, waits)}); res.Done != 2 || res.Active != 1 {
			t.Errorf("%s: %d done, %d active", verb, res.Done, res.Active)
		}
	}
	if d := o.await(slow, queue.StateDelivered); len(d.History) != 1 || d.Removed != nil {
		t.Errorf("removed %v, history %+v", d.Removed, d.History)
	}
}

// What cannot be done to single messages is told by id, missing ones apart; the rest is done.
func TestActionsOnSomeThatFail(t *testing.T) {
	o := operate(t, later)
	waits, gone := o.put("waits", "later@example.net"), o.put("gone", "bob@example.net")
	o.await(waits, queue.StateDeferred)
	o.await(gone, queue.StateDelivered)
	res, err := o.Act(t.Context(), Action{Verb: Hold, Selection: named(gone, waits, waits, "nonsense", "0000000000000000")})
	if err != nil || res.Matched != 2 || res.Done != 1 || len(res.Failed) != 3 {
		t.Fatalf("result = %+v, %v", res, err)
	}
	for _, f := range res.Failed {
		want := codeNotFound
		if f.ID == gone {
			want = codeSettled
		}
		if f.Missing != (f.ID != gone) || f.Message == "" || f.Code != want {
			t.Errorf("failed: %+v", f)
		}
	}
}

// Of messages named each failure is told, of those that filters select a hundred.
func TestManyFail(t *testing.T) {
	o := operate(t, later)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	const many = 150
	var ids []queue.ID
	for range many {
		ids = append(ids, o.put("waits", "bob@example.net"))
	}
	o.act(Action{Verb: Hold, Selection: named(ids...)})
	for want, sel := range map[int]queue.Selection{many + 1: named(append(ids, "nonsense")...), 100: {From: "ada@example.org"}} {
		res, err := o.Act(t.Context(), Action{Verb: Retry, Selection: sel})
		if err != nil || res.Matched != many || res.Done != 0 || len(res.Failed) != want {
			t.Errorf("%d matched, %d done, %d failed, want %d; %v", res.Matched, res.Done, len(res.Failed), want, err)
		}
	}
}

// Everything that is released is everything that is held: what else waits is neither done nor failed, also while its lane waits.
func TestReleaseMeansWhatIsHeld(t *testing.T) {
	o := operate(t)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	held := o.put("held", "bob@example.net")
	o.put("other", "bob@example.net")
	o.act(Action{Verb: Hold, Selection: named(held)})
	if res := o.act(Action{Verb: Release}); res.Matched != 1 || res.Done != 1 {
		t.Errorf("release = %+v", res)
	}
	if res := o.act(Action{Verb: Release, Selection: queue.Selection{States: []queue.State{queue.StateHeld}}}); res.Matched != 0 {
		t.Errorf("release of what the lane holds = %+v", res)
	}
}

// A list of IDs without any means nothing, and not everything: that is what a script sends which found none.
func TestNoIDsAreNothing(t *testing.T) {
	o := operate(t)
	if err := o.Pause(t.Context(), "upstream", "", "ada"); err != nil {
		t.Fatal(err)
	}
	o.put("Hello", "bob@example.net")
	none := queue.Selection{IDs: []queue.ID{}}
	if res := o.act(Action{Verb: Remove, Selection: none}); res.Matched != 0 || res.Done != 0 {
		t.Errorf("remove = %+v", res)
	}
	if page, err := o.List(t.Context(), none, "", 10); err != nil || len(page.Messages) != 0 {
		t.Errorf("list = %+v, %v", page, err)
	}
	if page, err := o.List(t.Context(), queue.Selection{}, "", 10); err != nil || len(page.Messages) != 1 {
		t.Errorf("the queue = %+v, %v", page, err)
	}
}

// A request that makes no sense is refused before anything is done, and the answer says what is wrong with it.
func TestSenselessRequests(t *testing.T) {
	o := operate(t, later)
	id := o.put("waits", "later@example.net")
	o.await(id, queue.StateDeferred)
	for _, c := range []struct {
		a     Action
		code  Code
		words string
	}{
		{Action{}, codeFormat, "is no verb"},
		{Action{Verb: "delete"}, codeFormat, `"delete" is no verb`},
		{Action{Verb: Redirect, Selection: named(id)}, codeAddress, "redirect"},
		{Action{Verb: Redirect, Selection: named(id), To: "bob"}, codeAddress, `"bob"`},
		{Action{Verb: Edit, Selection: named(id)}, codeFormat, "nothing to add"},
		{Action{Verb: Edit, Selection: named(id), Add: []string{"@"}}, codeAddress, "add"},
		{Action{Verb: Edit, Selection: named(id), Drop: []string{"<>"}}, codeAddress, "drop"},
		{Action{Verb: Remove, Selection: queue.Selection{From: "/(/"}}, codeSelection, "from"},
		{Action{Verb: Remove, Selection: queue.Selection{Lane: "moon"}}, codeSelection, "moon"},
	} {
		_, err := o.Act(t.Context(), c.a)
		wantCode(t, err, 400, c.code, c.words)
	}
	wantCode(t, o.Pause(t.Context(), "moon", "", "ada"), 400, codeSelection, "moon")
	wantCode(t, o.Pause(t.Context(), "", "", "ada"), 400, codeFormat, "what")
	wantCode(t, o.Resume(t.Context(), ""), 400, codeFormat, "what")
	for body, words := range map[string]string{
		`{"verb":"remove","form":"x"}`:   "form",
		`{"verb":"remove","from":1}`:     "from",
		`{"verb":"remove"} {}`:           "behind",
		`{"verb":"remove"`:               "too early",
		``:                               "too early",
		`{"verb":"remove","older":"1h"}`: "older",
	} {
		err := o.fetch(t.Context(), "POST", actionPath, "", strings.NewReader(body), &struct{}{})
		wantCode(t, err, 400, codeFormat, words)
	}
	err := o.fetch(t.Context(), "POST", actionPath, "", strings.NewReader(strings.Repeat(" ", largestRequest+1)), &struct{}{})
	wantCode(t, err, 413, codeTooLarge, "67108864")
	if d := o.await(id, queue.StateDeferred); d.Removed != nil {
		t.Error("something was done")
	}
}

// A long list comes in pages, forwards and backwards.
func TestListsInPages(t *testing.T) {
	o := operate(t)
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
	for e, err := range o.All(t.Context(), queue.Selection{Newest: true}) {
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

// Stats count what waits by state, domain and age, and tell of lanes and pauses.
func TestStats(t *testing.T) {
	o := operate(t, later)
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
		len(st.Domains) != 1 || st.Domains[0] != (DomainStats{Domain: "example.net", Total: 1, Ages: [10]int{1}}) ||
		len(st.Paused) != 1 || st.Paused[0].Reason != "moving house" {
		t.Errorf("stats = %+v", st)
	}
}

// Ages double from column to column.
func TestAgeColumns(t *testing.T) {
	for minutes, want := range map[int]int{-1: 0, 0: 0, 4: 0, 5: 1, 9: 1, 10: 2, 39: 3, 1279: 8, 1280: 9, 100000: 9} {
		if got := ageColumn(time.Duration(minutes) * time.Minute); got != want {
			t.Errorf("%d minutes stand in column %d, want %d", minutes, got, want)
		}
	}
}

// While intake is paused no door of ours takes mail, each with a word for when to try again; notices and deliveries go on.
func TestPausedIntake(t *testing.T) {
	o := operate(t)
	if err := o.Pause(t.Context(), queue.Intake, "moving house", "ada"); err != nil {
		t.Fatal(err)
	}
	_, err := o.Submit(t.Context(), "", []string{"bob@example.net"}, strings.NewReader("Subject: s\n\n"))
	wantCode(t, err, 503, codePaused, "paused")
	w := serveOne(o.server, "POST", "/send", plainMail)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"paused"`) {
		t.Errorf("/send = %d %v %s", w.Code, w.Header(), w.Body)
	}
	h, err := o.Health(t.Context())
	if err != nil || h.Status != "degraded" || h.Reason != "the operator has paused taking mail in" {
		t.Errorf("health says %+v, %v", h, err)
	}
	if w := serveOne(o.server, "GET", "/health", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"intake":"paused"`) {
		t.Errorf("/health = %d %s", w.Code, w.Body)
	}
	if st, err := o.Stats(t.Context()); err != nil || st.Paused[0].By != "ada" {
		t.Errorf("stats = %+v, %v", st, err)
	}
	if err := o.Resume(t.Context(), queue.Intake); err != nil {
		t.Fatal(err)
	}
	if h, err := o.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("health says %+v, %v", h, err)
	}
	o.put("s", "bob@example.net")
	o.hop.Wait(1, soon)
}

// A page ends early where its messages have very many recipients, and the next begins behind it.
func TestPageOfManyRecipients(t *testing.T) {
	q := new(plenty)
	for i := range 3 {
		m := queue.Message{ID: queue.ID("00000000000000a" + strconv.Itoa(i)), Envelope: message.Envelope{To: make([]message.Recipient, 15_000)}}
		q.mail = append(q.mail, m)
	}
	c := NewLocalClient(New(q, config(t), discard).Control())
	page, err := c.List(t.Context(), queue.Selection{}, "", 10)
	if err != nil || len(page.Messages) != 1 || page.Next != q.mail[0].ID {
		t.Errorf("%d messages and next %q, %v", len(page.Messages), page.Next, err)
	}
}

// A watcher who sees nothing is shown every 15 seconds that the connection lives.
func TestSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{events: make(chan queue.Event)}
		c := NewLocalClient(New(q, Config{}, discard).Control())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err := c.open(ctx, "GET", eventsPath, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b := make([]byte, 10)
		for i := range 3 {
			if n, err := resp.Body.Read(b); string(b[:n]) != "\n" || err != nil || time.Since(began) != time.Duration(i+1)*lifeSign {
				t.Errorf("after %v: %q, %v", time.Since(began), b[:n], err)
			}
		}
		close(q.events) // the queue has ended
		if n, err := resp.Body.Read(b); n != 0 || err == nil {
			t.Errorf("after the end: %q, %v", b[:n], err)
		}
		resp.Body.Close()
	})
}

// quiet is a queue of which events tells what happens.
type quiet struct {
	memory
	events chan queue.Event
}

func (q *quiet) Watch(context.Context) <-chan queue.Event { return q.events }

// A watcher who stopped reading, as one whose terminal is stopped, does not hold up the end of the appliance.
func TestWatcherWhoDoesNotRead(t *testing.T) {
	o := operate(t)
	resp, err := o.open(t.Context(), http.MethodGet, eventsPath, "", nil)
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
	if took := time.Since(start); took > o.server.cfg.Grace/2 {
		t.Errorf("stopping took %v", took)
	}
}
