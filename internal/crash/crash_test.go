//go:build crash

package crash

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/rig"
	"dinkymail/queue"
)

const (
	defaultRounds = 20
	submitters    = 8 // of each kind, SMTP and HTTP
	messageSize   = 4096

	// connections is SMTP_RELAY_CONNECTIONS of the appliance under test.
	connections = 10

	// repeatLimit is how many messages one kill may cause to come again: those being handed over,
	// and those whose outcome waits to be written.
	repeatLimit = connections + queue.MaxUnwritten

	// drainLimit is how long the last start may go without handing on anything of what waits.
	drainLimit = time.Minute
)

// round is what one life of the appliance came to.
type round struct {
	ran          time.Duration // from start to kill
	started      time.Duration // from exec to listening
	acknowledged int
	arrived      int // at the next hop during the round, repeats included
	repeats      int // messages of any round that came once more in this one
}

// ROUNDS times (20 if it is not set) the appliance is killed at a random moment under load from
// both doors and started again on the same data; then it drains. After every third kill the index
// is gone or damaged besides. Everything that was acknowledged has arrived, and no round repeated
// more than it had in flight.
func TestKill(t *testing.T) {
	binary := build(t)
	sink := nextHop(t)
	settings := rig.Relayed(sink.Addr())
	settings["SMTP_RELAY_CONNECTIONS"] = strconv.Itoa(connections)
	settings["QUEUE_RETRY"] = "1s"
	a, err := rig.NewAppliance(binary, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Kill)

	total := rounds(t)
	told := map[string]bool{}
	var lives []round
	for n := range total {
		life, accepted := liveAndDie(t, a, sink, n)
		maps.Copy(told, accepted)
		lives = append(lives, life)
		if n%3 == 2 {
			harmIndex(t, filepath.Join(a.Data, "queue.db"), n/3)
		}
	}
	last := drain(t, a, sink, told)
	report(t, append(lives, last), sink, told)
}

// harmIndex deletes the index, or spoils one of its pages, or some bytes anywhere in it.
func harmIndex(t *testing.T, path string, how int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(b, "\x00"))
	switch how % 3 {
	case 0:
		err = os.Remove(path)
	case 1:
		clear(b[rand.IntN(used)&^4095:][:4096])
		err = os.WriteFile(path, b, 0o600)
	default:
		for range 20 {
			b[rand.IntN(used)] ^= byte(1 + rand.IntN(255))
		}
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ROUNDS")
	if text == "" {
		return defaultRounds
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ROUNDS=%s is no number of rounds", text)
	}
	return n
}

func build(t *testing.T) string {
	t.Helper()
	binary, err := rig.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// nextHop takes everything sooner or later. Its answers are a little late, so that a kill falls
// between its reading and its answer as often as it can, and some are very late; it defers one
// recipient in twenty, and now and then hangs up in the middle of an envelope. It never hangs up on
// a message that it has read: that would be a repeat which no kill has caused.
func nextHop(t *testing.T) *rig.Sink {
	t.Helper()
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{
		Delay: func() time.Duration {
			if rand.IntN(200) == 0 {
				return 200 * time.Millisecond
			}
			return between(0, 8*time.Millisecond)
		},
		Rcpt: func(string) string {
			if rand.IntN(20) == 0 {
				return "451 4.3.0 try later"
			}
			return ""
		},
		Leave: func() bool { return rand.IntN(5000) == 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// liveAndDie starts the appliance, loads it for a while, and kills it. accepted are the ids that
// were acknowledged.
func liveAndDie(t *testing.T, a *rig.Appliance, sink *rig.Sink, n int) (life round, accepted map[string]bool) {
	t.Helper()
	before := sink.Arrivals()
	took, err := a.Start()
	if err != nil {
		t.Fatalf("round %d: %v", n+1, err)
	}
	life = round{started: took, ran: between(100*time.Millisecond, 2500*time.Millisecond)}
	crowd := submit(t.Context(), a, "crash-"+strconv.Itoa(n))
	<-time.After(life.ran)
	a.Kill()
	accepted = crowd.end()
	quiet(t, sink)
	life.acknowledged = len(accepted)
	life.count(before, sink.Arrivals())
	return life, accepted
}

// count compares what had arrived before a round with what has afterwards.
func (life *round) count(before, after map[string]rig.Arrival) {
	for id, a := range after {
		had := before[id].Count
		life.arrived += a.Count - had
		life.repeats += max(0, a.Count-max(had, 1))
	}
}

// quiet waits until the next hop has finished what the killed appliance had sent it: its total
// stands still.
func quiet(t *testing.T, sink *rig.Sink) {
	t.Helper()
	for total := -1; total != sink.Total(); {
		total = sink.Total()
		<-time.After(50 * time.Millisecond)
	}
}

// drain starts the appliance a last time, without load, and waits until everything that was
// acknowledged has arrived.
func drain(t *testing.T, a *rig.Appliance, sink *rig.Sink, told map[string]bool) round {
	t.Helper()
	before := sink.Arrivals()
	took, err := a.Start()
	if err != nil {
		t.Fatalf("last start: %v", err)
	}
	begin := time.Now()
	allArrive(sink, told)
	quiet(t, sink)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	life := round{started: took, ran: time.Since(begin)}
	life.count(before, sink.Arrivals())
	return life
}

// allArrive waits until all that was acknowledged has arrived, or until nothing new has for
// drainLimit.
func allArrive(sink *rig.Sink, told map[string]bool) {
	left := len(told) + 1
	for news := time.Now(); time.Since(news) < drainLimit; <-time.After(500 * time.Millisecond) { // each look copies all arrivals
		missing := len(lost(sink.Arrivals(), told))
		if missing < left {
			left, news = missing, time.Now()
		}
		if missing == 0 {
			return
		}
	}
}

// lost are the acknowledged ids that have not arrived.
func lost(arrivals map[string]rig.Arrival, told map[string]bool) []string {
	var missing []string
	for id := range told {
		if arrivals[id].Count == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// report prints the table and fails the test for a lost message or too many repeats.
func report(t *testing.T, lives []round, sink *rig.Sink, told map[string]bool) {
	t.Helper()
	fmt.Println("| round | start | ran | acknowledged | arrived | repeated |\n|---|---|---|---|---|---|")
	repeats, most := 0, 0
	for i, life := range lives {
		name := strconv.Itoa(i + 1)
		if i == len(lives)-1 {
			name = "drain"
		}
		fmt.Printf("| %s | %v | %v | %d | %d | %d |\n", name, life.started.Round(time.Millisecond), life.ran.Round(time.Millisecond),
			life.acknowledged, life.arrived, life.repeats)
		repeats, most = repeats+life.repeats, max(most, life.repeats)
	}
	arrivals := sink.Arrivals()
	missing := lost(arrivals, told)
	unasked := 0
	for id := range arrivals {
		if !told[id] {
			unasked++ // on disk, but the kill came before the client heard of it
		}
	}
	fmt.Printf("\n%d kills: %d acknowledged, %d lost, %d repeated (at most %d after one kill; allowed %d), %d arrived that nobody was told of\n",
		len(lives)-1, len(told), len(missing), repeats, most, repeatLimit, unasked)
	if len(missing) > 0 {
		t.Errorf("%d acknowledged messages were lost: %.10q", len(missing), missing)
	}
	if most > repeatLimit {
		t.Errorf("%d messages were repeated after one kill; at most %d may be", most, repeatLimit)
	}
	if len(told) == 0 {
		t.Error("nothing was acknowledged: there was no load")
	}
}

// crowd is a load that runs until the appliance is gone.
type crowd struct {
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex // guards told
	told map[string]bool
}

// submit starts clients of both doors.
func submit(ctx context.Context, a *rig.Appliance, prefix string) *crowd {
	ctx, stop := context.WithCancel(ctx)
	c := &crowd{stop: stop, told: map[string]bool{}}
	for n := range submitters {
		c.all.Go(func() { c.bySMTP(ctx, a, fmt.Sprintf("%s-s%d", prefix, n), n%2 == 0) })
		c.all.Go(func() { c.byHTTP(ctx, a, fmt.Sprintf("%s-h%d", prefix, n)) })
	}
	return c
}

// end stops the clients and returns what they were told is accepted.
func (c *crowd) end() map[string]bool {
	c.stop()
	c.all.Wait()
	return c.told
}

func (c *crowd) note(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told[id] = true
}

// bySMTP submits until something fails, over one connection or over many.
func (c *crowd) bySMTP(ctx context.Context, a *rig.Appliance, prefix string, reuse bool) {
	var client *rig.Client
	for n := 0; ctx.Err() == nil; n++ {
		if client == nil {
			var err error
			if client, err = rig.Dial(a.Submission, nil); err != nil {
				return
			}
		}
		id := prefix + "-" + strconv.Itoa(n)
		if _, err := client.Send("ada@example.org", []string{"bob@example.net"}, rig.Mail(id, messageSize), rig.Transfer{}); err != nil {
			client.Close()
			return
		}
		c.note(id)
		if !reuse {
			client.Close()
			client = nil
		}
	}
	if client != nil {
		client.Close()
	}
}

// byHTTP posts until something fails.
func (c *crowd) byHTTP(ctx context.Context, a *rig.Appliance, prefix string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		id := prefix + "-" + strconv.Itoa(n)
		if rig.Post(client, "http://"+a.HTTP+"/send", id, messageSize) != nil {
			return
		}
		c.note(id)
	}
}

// between is a random duration of [from, to).
func between(from, to time.Duration) time.Duration { return from + rand.N(to-from) }
