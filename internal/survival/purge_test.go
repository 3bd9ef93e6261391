//go:build crash

package survival

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

const (
	pageSize    = 100
	pageRepeats = 51
	removers    = 128 // remove at a time, so that they share a sync of the journal
)

// comparePages times pages of the list of what waits in two stores and prints them.
func comparePages(t *testing.T, large, small *boltstore.Store) {
	t.Helper()
	big, little := timePages(t, large), timePages(t, small)
	for n, name := range []string{"first", "middle", "last"} {
		one, other := big[n], little[n]
		fmt.Printf("| %s page of %d messages, from the store, median of %d | %v | %v | %.2f | |\n", name, pageSize, pageRepeats,
			one.Round(time.Microsecond), other.Round(time.Microsecond), one.Seconds()/other.Seconds())
	}
}

// timePages times the first page of a list, one in the middle and the last.
func timePages(t *testing.T, store *boltstore.Store) [3]time.Duration {
	t.Helper()
	all := identify(t, store)
	var took [3]time.Duration
	for n, after := range []queue.ID{"", all[len(all)/2], all[len(all)-pageSize-1]} {
		var each []time.Duration
		for range pageRepeats {
			begin := time.Now()
			list, err := store.List(queue.Filter{Waiting: true}, after, pageSize)
			if err != nil || len(list) != pageSize {
				t.Fatalf("a page of %d messages has %d: %v", pageSize, len(list), err)
			}
			each = append(each, time.Since(begin))
		}
		took[n] = median(each)
	}
	return took
}

// identify lists the IDs of all that waits.
func identify(t *testing.T, store *boltstore.Store) []queue.ID {
	t.Helper()
	var all []queue.ID
	for after := queue.ID(""); ; after = all[len(all)-1] {
		list, err := store.List(queue.Filter{Waiting: true}, after, 5000)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return all
		}
		for i := range list {
			all = append(all, list[i].ID)
		}
	}
}

// purge removes every second message of a store, then half of the rest, and wants all others to be
// there with their bodies. It prints how fast that is, and what of the disk it gives back.
func purge(t *testing.T, store *boltstore.Store, dir string) {
	t.Helper()
	before := diskUse(t, dir)
	for _, part := range []string{"every second message", "every second one of the rest"} {
		all := identify(t, store)
		took := remove(t, store, everySecond(all, 1))
		left := everySecond(all, 0)
		checkLeft(t, store, left)
		after := settledUse(t, dir)
		fmt.Printf("| removing %s | %d in %v, %.0f/s | | | |\n", part, len(all)-len(left), took.Round(time.Millisecond),
			float64(len(all)-len(left))/took.Seconds())
		fmt.Printf("| disk before and after that | %s, %s | | | |\n", mib(before), mib(after))
		before = after
	}
}

func everySecond(all []queue.ID, from int) []queue.ID {
	half := make([]queue.ID, 0, len(all)/2+1)
	for n := from; n < len(all); n += 2 {
		half = append(half, all[n])
	}
	return half
}

// remove removes messages, many at a time.
func remove(t *testing.T, store *boltstore.Store, ids []queue.ID) time.Duration {
	t.Helper()
	begin := time.Now()
	next := make(chan queue.ID)
	var all sync.WaitGroup
	for range removers {
		all.Go(func() {
			for id := range next {
				if err := store.Remove(id); err != nil {
					t.Errorf("remove %s: %v", id, err)
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	all.Wait()
	return time.Since(begin)
}

// checkLeft wants exactly these messages to be left, and reads the body of every hundredth.
func checkLeft(t *testing.T, store *boltstore.Store, want []queue.ID) {
	t.Helper()
	got := identify(t, store)
	if len(got) != len(want) || store.Stats().Waiting != len(want) {
		t.Fatalf("%d messages are left, and %d counted, want %d", len(got), store.Stats().Waiting, len(want))
	}
	for n, id := range want {
		if got[n] != id {
			t.Fatalf("%s is left where %s should be", got[n], id)
		}
		if n%100 != 0 {
			continue
		}
		body, err := store.Body(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			t.Errorf("body of %s: %v", id, err)
		}
		_ = body.Close()
	}
}

// settledUse is what a directory takes of the disk once that has stopped changing.
func settledUse(t *testing.T, dir string) int64 {
	t.Helper()
	use, quiet := diskUse(t, dir), 0
	for quiet < 5 {
		<-time.After(time.Second)
		now := diskUse(t, dir)
		if quiet++; now != use {
			use, quiet = now, 0
		}
	}
	return use
}

// diskUse is how many bytes of the disk a directory takes.
func diskUse(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		var st syscall.Stat_t
		if syscall.Lstat(path, &st) == nil { // a segment may just have been deleted
			bytes += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
