//go:build interop

package interop

import (
	"path/filepath"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// slow is an upstream that needs a moment for every mail, so that there is something in the queue.
func slow(t *testing.T) *rig.Sink {
	t.Helper()
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{Delay: func() time.Duration { return 100 * time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// A backup made while mail comes in and goes out has every message that was accepted before and not
// delivered before: restored elsewhere, each of them is delivered, once.
func TestBackupUnderLoad(t *testing.T) {
	d := &desk{t: t, sink: slow(t)}
	d.layOut(rig.Relayed(d.sink.Addr()))
	run(t, d.a)
	before := rig.Load{Addr: d.a.Plain, Connections: 4, Messages: 500, Reuse: true, Size: 4 << 10, Prefix: "before"}.Run()
	if before.Err != nil {
		t.Fatal(before.Err)
	}
	beside := make(chan *rig.Loaded)
	go func() {
		beside <- rig.Load{Addr: d.a.Plain, Connections: 4, Messages: 3000, Reuse: true, Size: 4 << 10, Prefix: "beside"}.Run()
	}()
	file := filepath.Join(t.TempDir(), "queue.tar")
	t.Logf("%s%s", d.sh("dinkymail backup "+file), d.sh("dinkymail verify "+file))
	made := time.Now()
	if l := <-beside; l.Err != nil {
		t.Fatal(l.Err)
	}
	if out, status := d.status("dinkymail restore " + file); status == 0 {
		t.Errorf("a queue was restored over the one of a running appliance: %s", out)
	}

	heir := &desk{t: t, sink: slow(t)}
	heir.layOut(rig.Relayed(heir.sink.Addr()))
	t.Logf("%s", heir.sh("dinkymail restore --no-hold "+file))
	run(t, heir.a)
	early := d.sink.Arrivals()
	want := 0
	for _, id := range before.Accepted {
		if a, ok := early[id]; !ok || a.First.After(made) {
			want++
			if !rig.Settles(patience, func() bool { return heir.sink.Arrivals()[id].Count > 0 }) {
				t.Errorf("%s was not restored", id)
			}
		}
	}
	if want < len(before.Accepted)/2 {
		t.Errorf("only %d of %d were to be restored: the backup came late", want, len(before.Accepted))
	}
	t.Logf("%d accepted before and not delivered by then, %d in the backup", want, heir.sink.Distinct())
	for id, a := range heir.sink.Arrivals() {
		if a.Count != 1 {
			t.Errorf("%s came %d times", id, a.Count)
		}
	}
}
