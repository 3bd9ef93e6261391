package boltstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

// A clock that has stepped back by years is noticed at Open. New mail, whose ID is smaller than
// those there are, is kept, listed and handed out; what is not due by that clock waits, and nothing
// is lost or expires when the clock is right again.
func TestClockStepsBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	finished := mustKeep(t, s, "finished")
	if _, err := s.Update(finished, done); err != nil {
		t.Fatal(err)
	}
	before := mustKeep(t, s, "before")
	shut(t, s)
	m := queuetest.Message("bob")
	m.ID = "00000000000000av"
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000
		var log bytes.Buffer
		s, err := Open(dir, Config{}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "remedy=") {
			t.Errorf("log: %s", log.String())
		}
		m.Legs[0].Next = time.Now()
		if _, err := s.Put(strings.NewReader("new"), func(int64) (queue.Message, error) { return m, nil }); err != nil {
			t.Fatal(err)
		}
		for range 2 { // in memory, and in the index
			if list, err := s.List(queue.Filter{}, "", 10); err != nil || len(list) != 3 || list[0].ID != m.ID || list[2].ID != before {
				t.Errorf("List: %+v, %v", list, err)
			}
			if claimed, err := s.Claim(firstLane, 10); err != nil || len(claimed) != 1 || claimed[0].ID != m.ID {
				t.Errorf("Claim: %+v, %v", claimed, err)
			}
			if n, err := s.Expire(time.Now(), time.Now(), 10); err != nil || n != 0 {
				t.Errorf("Expire: %d, %v", n, err)
			}
			pass(time.Minute)
		}
		shut(t, s)
	})
	s, log := logged(t, dir)
	defer shut(t, s)
	if claimed, err := s.Claim(firstLane, 10); err != nil || len(claimed) != 2 || log != "" {
		t.Errorf("Claim when the clock is right: %+v, %v, log %s", claimed, err, log)
	}
	mustRead(t, s, m.ID, "new")
	mustRead(t, s, before, "before")
}
