//go:build crash

package survival

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// What the appliance may hold at most under any of these attacks, with its default limits: 256 MiB
// of request bodies in buffers that double as they grow, as much again until the garbage collector
// has been there, and 1000 connections on each of two doors.
const (
	mostRSS         = 768 << 20
	mostGoroutines  = 4096
	mostDescriptors = 2300
)

// leastShare is how much of their usual rate the well-behaved clients must keep over all attacks
// together. It is generous: the attackers run on the same processors.
const leastShare = 0.1

// Under every attack the limits of each door hold, the appliance stays within its bounds and comes
// back to normal, and no message of a well-behaved client is refused or lost. ATTACK is the length
// of one attack in seconds (4).
func TestHostile(t *testing.T) {
	certs, err := rig.NewCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	settings := rig.Relayed(sink.Addr())
	maps.Copy(settings, map[string]string{
		"TLS_CERT_FILE": certs.Cert, "TLS_KEY_FILE": certs.Key,
		"TRUSTED_NETWORKS": "127.0.0.1/32," + insiders, "LOG_LEVEL": "warn",
	})
	a := launch(t, settings)
	good := send(a, "good", func() string { return "bob@example.net" })
	window := time.Duration(number(t, "ATTACK", 4)) * time.Second
	good.rate(window / 2) // warm up

	fmt.Println("| attack | connections | answered with | RSS | goroutines | descriptors | usual rate | during | ratio |\n" +
		"|---|---|---|---|---|---|---|---|---|")
	var usual, during float64
	for _, attack := range append([]attack{control(t)}, attacks()...) {
		before := good.rate(window / 2)
		got := attack.on(t, a, good, max(window, attack.least))
		usual, during = usual+before, during+got.rate
		fmt.Printf("| %s | %d | %s | %s | %d | %d | %.0f/s | %.0f/s | %.2f |\n", attack.name, got.connections, got.answers(),
			mib(got.worst.RSS), got.worst.Goroutines, got.worst.Descriptors, before, got.rate, got.rate/before)
	}
	told := good.end()
	fmt.Printf("\n%d messages of well-behaved clients, %d failed; rate under attack %.2f of the usual one\n",
		len(told), good.failed.Load(), during/usual)
	if n := good.failed.Load(); n > 0 {
		t.Errorf("%d messages of well-behaved clients failed, such as %v", n, good.first)
	}
	if during/usual < leastShare {
		t.Errorf("well-behaved clients kept %.2f of their rate, want %.2f", during/usual, leastShare)
	}
	arrived(t, told, sink)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

// control is no attack: the same kind of client floods a port that is not the appliance's, where it
// is closed without a word. What the others lose meanwhile, they lose to the attackers' own use of
// the processors.
func control(t *testing.T) attack {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return attack{name: "none: the same clients at a port that is not ours", from: outsiders, workers: 16, want: []string{"closed"},
		door: func(*rig.Appliance) string { return ln.Addr().String() }, act: flood("", "FOO bar\r\n")}
}

// arrived waits until all that was acknowledged has come to one of sinks.
func arrived(t *testing.T, told map[string]bool, sinks ...*rig.Sink) {
	t.Helper()
	var missing []string
	ok := rig.Settles(3*time.Minute, func() bool {
		missing = missing[:0]
		came := map[string]bool{}
		for _, s := range sinks {
			for id := range s.Arrivals() {
				came[id] = true
			}
		}
		for key := range told {
			if id, _, _ := strings.Cut(key, " "); !came[id] {
				missing = append(missing, id)
			}
		}
		return len(missing) == 0
	})
	if !ok {
		t.Errorf("%d of %d acknowledged messages were lost, such as %.5q", len(missing), len(told), missing)
	}
}

// attack is what one kind of hostile client does.
type attack struct {
	name    string
	door    func(a *rig.Appliance) string
	from    string        // the network that the clients come from
	workers int           // clients at a time
	once    bool          // each client comes once and stays; otherwise it comes again and again
	least   time.Duration // the attack takes at least so long, to see a time limit pass
	act     func(ctx context.Context, conn net.Conn) string
	open    bool     // the attack may end before there is an answer
	want    []string // answers that are right, besides waiting; unless open, the first one must be among those that came
}

// attacked is what came of an attack.
type attacked struct {
	connections int
	verdicts    map[string]int
	worst       rig.Vitals
	rate        float64
}

func (r *attacked) answers() string {
	var all []string
	for _, v := range slices.Sorted(maps.Keys(r.verdicts)) {
		all = append(all, fmt.Sprintf("%s × %d", v, r.verdicts[v]))
	}
	return strings.Join(all, ", ")
}

// on runs the attack and checks its answers and bounds.
func (k attack) on(t *testing.T, a *rig.Appliance, good *clients, window time.Duration) *attacked {
	t.Helper()
	normal, err := a.Vitals()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), window)
	defer cancel()
	r := &attacked{verdicts: map[string]int{}}
	var mu sync.Mutex // guards r
	var all sync.WaitGroup
	for n := range k.workers {
		all.Go(func() {
			for deadline, _ := ctx.Deadline(); time.Until(deadline) > 0; {
				verdict := k.visit(ctx, a, n)
				mu.Lock()
				r.connections++
				r.verdicts[verdict]++
				mu.Unlock()
				if k.once {
					return
				}
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			if v, err := a.Vitals(); err == nil {
				mu.Lock()
				r.worst.RSS, r.worst.Goroutines = max(r.worst.RSS, v.RSS), max(r.worst.Goroutines, v.Goroutines)
				r.worst.Descriptors = max(r.worst.Descriptors, v.Descriptors)
				mu.Unlock()
			}
			<-time.After(200 * time.Millisecond)
		}
	})
	r.rate = good.rate(window)
	all.Wait()
	k.check(t, r)
	if !rig.Settles(time.Minute, func() bool {
		v, err := a.Vitals()
		return err == nil && v.Goroutines <= normal.Goroutines+50 && v.Descriptors <= normal.Descriptors+50
	}) {
		v, err := a.Vitals()
		t.Errorf("%s: a minute later it is %+v, was %+v (%v)", k.name, v, normal, err)
	}
	return r
}

// check compares with what the limits promise.
func (k attack) check(t *testing.T, r *attacked) {
	t.Helper()
	for verdict := range r.verdicts {
		if !slices.Contains(k.want, verdict) && verdict != waiting && verdict != "not reached" {
			t.Errorf("%s: answered %q, want one of %q", k.name, verdict, k.want)
		}
	}
	// On a machine so slow that nobody was answered before the end, there is nothing to compare.
	unanswered := r.verdicts[waiting] + r.verdicts["not reached"]
	if r.verdicts[k.want[0]] == 0 && unanswered < r.connections && !k.open {
		t.Errorf("%s: nobody was answered %q but %v", k.name, k.want[0], r.verdicts)
	}
	if r.worst.RSS > mostRSS || r.worst.Goroutines > mostGoroutines || r.worst.Descriptors > mostDescriptors {
		t.Errorf("%s: %+v is beyond the bounds", k.name, r.worst)
	}
}

// visit is one connection of the n-th client, and what it was answered.
func (k attack) visit(ctx context.Context, a *rig.Appliance, n int) string {
	_, network, err := net.ParseCIDR(k.from)
	if err != nil {
		return err.Error()
	}
	ip := network.IP.To4()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(ip[0], ip[1], 0, byte(1+n%50))}}
	conn, err := dialer.DialContext(ctx, "tcp", k.door(a))
	if err != nil {
		return "not reached" // the kernel's queue of connections is full, or the attack is over
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	return k.act(ctx, conn)
}

// crowdSize is how many connections the crowd tries to keep at once: ten thousand, if this process
// may have as many files.
func crowdSize() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 500
	}
	return min(10_000, max(500, int(min(limit.Cur, 1<<20))-1000))
}
