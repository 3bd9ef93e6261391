package boltstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

const one, two = queue.ID("06h00000000000av"), queue.ID("06h00000000000b0")

func at(k kept, seg uint32, n int64) place {
	return place{kept: k, key: 1, body: location{where: inSegment, seg: seg, off: 64, n: n}}
}

func same(a, b place) bool { return reflect.DeepEqual(a, b) }

// What the index has not is what changed since the last flush, against what the index has or will
// have after the flush that runs; what came and went meanwhile never costs the index anything.
func TestLag(t *testing.T) {
	l, msg := newLag(), &queue.Message{ID: one}
	put := newChange(kindPut, one, place{}, at(waiting, 1, 10))
	put.msg, put.Meta = msg, []byte("record")
	l.take(put)
	moved := newChange(kindMove, one, put.now, at(waiting, 2, 10))
	l.take(moved)
	if st := l.pending(one); !same(st.base, place{}) || !same(st.now, moved.now) || st.msg != msg || string(st.meta) != "record" {
		t.Errorf("moved before a flush: %+v", st)
	}
	l.begin(snapshot{})
	again := newChange(kindMove, one, moved.now, at(waiting, 3, 10))
	l.take(again)
	if st := l.pending(one); !same(st.base, moved.now) || !same(st.now, again.now) || st.msg != msg || st.meta != nil {
		t.Errorf("moved during a flush: %+v", st)
	}
	flushed := l.flushed
	l.end(errors.New("no space"))
	select {
	case <-flushed:
	default:
		t.Error("who waits for the flush is not told")
	}
	if l.stuck == nil || len(l.flushing.states) != 1 {
		t.Errorf("after a flush that failed: %+v", l)
	}
	l.end(nil)
	l.take(newChange(kindRemove, one, again.now, place{}))
	if st := l.pending(one); l.stuck != nil || st == nil || !same(st.base, moved.now) || !same(st.now, place{}) {
		t.Errorf("removed: %+v", st)
	}
	l.take(newChange(kindPut, two, place{}, at(waiting, 1, 10)))
	l.take(newChange(kindRemove, two, at(waiting, 1, 10), place{}))
	if l.pending(two) != nil {
		t.Error("what came and went is still for the index")
	}
}

// A segment is needed for as long as there is a body in it, an empty one too.
func TestTotals(t *testing.T) {
	s := newTotals()
	s.move(place{}, at(waiting, 1, 0))
	s.move(place{}, at(waiting, 1, 100))
	if s.live[1] != 64+164 || s.count.Waiting != 2 || s.count.Bytes != 100 {
		t.Errorf("%+v", s)
	}
	s.move(at(waiting, 1, 100), at(waiting, 2, 100))
	s.move(at(waiting, 1, 0), place{kept: finished, key: 1})
	if _, needed := s.live[1]; needed || s.live[2] != 164 || s.count.Waiting != 1 || s.count.Finished != 1 {
		t.Errorf("%+v", s)
	}
}

// Who changes a message keeps others from it and nobody from others, and the next goes on once it
// lets go.
func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := locks{busy: make(map[queue.ID]chan struct{})}
		l.lockID(one)
		if l.tryLockID(one) || !l.tryLockID(two) {
			t.Error("a lock is of one message")
		}
		holders := 0
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				l.lockID(one)
				if holders++; holders != 1 {
					t.Errorf("%d at once", holders)
				}
				<-time.After(time.Second)
				holders--
				l.unlockID(one)
			})
		}
		synctest.Wait()
		l.unlockID(one)
		l.unlockID(two)
		all.Wait()
		if len(l.busy) != 0 {
			t.Errorf("left: %v", l.busy)
		}
	})
}

// What is damaged is written down once, is known after a restart, and is forgotten with its note.
func TestDamage(t *testing.T) {
	home := &directory{dir: t.TempDir(), disk: osDisk{}, log: quiet}
	if err := home.makeDirs(); err != nil {
		t.Fatal(err)
	}
	d := newDamage(home)
	d.harmed(one, errors.New("why"))
	note := home.damagedPath(string(one) + harmExt)
	if b, err := os.ReadFile(note); err != nil || string(b) != "why\n" {
		t.Errorf("%q, %v", b, err)
	}
	for _, name := range []string{string(two) + ".record", string(two) + ".eml", "00000001-64.record"} {
		if err := home.keepDamaged(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	d = newDamage(home)
	if err := d.recall(); err != nil || d.damaged != 2 || !d.harm[one] || len(d.harm) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	d.unharmed(two)
	d.unharmed(one)
	if _, err := os.Stat(note); !errors.Is(err, fs.ErrNotExist) || len(d.harm) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

// A large body is in its file before it is anything else, and the file goes unless the body is
// kept.
func TestBodies(t *testing.T) {
	home := &directory{dir: t.TempDir(), disk: osDisk{}, log: quiet}
	if err := home.makeDirs(); err != nil {
		t.Fatal(err)
	}
	b := bodies{home: home, largest: 1000, fault: journal.NewFault(queue.ErrBroken, func(error) {})}
	text := make([]byte, 5000)
	for _, keep := range []bool{false, true} {
		in, err := b.take(bytes.NewReader(text))
		if err != nil || in.size != 5000 || in.large == "" {
			t.Fatalf("%+v, %v", in, err)
		}
		if keep {
			if err := in.keep(one); err != nil {
				t.Fatal(err)
			}
			in.kept = true
		}
		in.discard()
		names, err := filepath.Glob(home.path("large/*"))
		if err != nil || (len(names) == 1) != keep {
			t.Errorf("kept=%t: %v, %v", keep, names, err)
		}
	}
	if some, err := b.some(); err != nil || !some {
		t.Errorf("%t, %v", some, err)
	}
	if _, err := b.open(one, location{where: inLarge, n: 4999}); !errors.Is(err, ErrDamaged) {
		t.Errorf("of another size: %v", err)
	}
	b.drop(newChange(kindRemove, one, place{kept: waiting, body: location{where: inLarge, n: 5000}}, place{}))
	if some, err := b.some(); err != nil || some {
		t.Errorf("%t, %v", some, err)
	}
}
