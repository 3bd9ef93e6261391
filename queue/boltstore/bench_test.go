package boltstore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

func benchMessage() queue.Message {
	m := queuetest.Message("bob")
	m.Results, m.History, m.Tags, m.Metadata, m.Legs[0].Tries = make([]queue.Result, 1), nil, nil, nil, 0
	return m
}

// BenchmarkPut is the rate at which mail of 4 KB is accepted, by how many at a time. The first line
// is the disk alone: one append of the same size and one sync.
func BenchmarkPut(b *testing.B) {
	b.Run("disk", func(b *testing.B) {
		f, err := osDisk{}.Open(b.TempDir()+"/f", os.O_RDWR|os.O_CREATE)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		text := make([]byte, 4500)
		for i := range b.N {
			if _, err := f.WriteAt(text, int64(i*len(text))); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, n := range []int{1, 10, 50, 200} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := open(b, b.TempDir(), Config{})
			defer shut(b, s)
			b.ReportAllocs()
			b.ResetTimer()
			share(b, n, func() { benchPut(b, s) })
		})
	}
}

// share lets n goroutines do b.N things.
func share(b *testing.B, n int, do func()) {
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for range work {
				do()
			}
		})
	}
	all.Wait()
}

var benchText = bytes.Repeat([]byte("four kilobytes of mail, more or less\r\n"), 108)

func benchPut(b *testing.B, s *Store) {
	m := benchMessage()
	if _, err := s.Put(bytes.NewReader(benchText), func(int64) (queue.Message, error) { return m, nil }); err != nil {
		b.Error(err)
	}
}

// BenchmarkCycle is the rate at which mail is accepted, claimed, read and finished by 50 submitters
// and 50 workers.
func BenchmarkCycle(b *testing.B) {
	s := open(b, b.TempDir(), Config{})
	defer shut(b, s)
	b.ReportAllocs()
	b.ResetTimer()
	cycle(b, s)
}

func cycle(b *testing.B, s *Store) {
	var workers sync.WaitGroup
	wake := make(chan struct{}, b.N)
	for range 50 {
		workers.Go(func() {
			for range wake {
				claims, err := s.Claim(firstLane, 1)
				if err != nil || len(claims) != 1 {
					b.Error(len(claims), err)
					return
				}
				m, err := s.Begin(claims[0])
				if err != nil {
					b.Error(err)
					return
				}
				body, err := s.Body(m.ID)
				if err != nil {
					b.Error(err)
					return
				}
				body.Close()
				if _, err := s.Settle(claims[0], func(m *queue.Message) {
					m.Results[0] = queue.Result{Outcome: queue.Delivered, Code: 250, Text: "2.0.0 queued as 4711", Remote: "127.0.0.1:25"}
					m.Legs[0].Next, m.Finished = time.Time{}, time.Now()
				}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	share(b, 50, func() { benchPut(b, s); wake <- struct{}{} })
	close(wake)
	workers.Wait()
}

// BenchmarkFull is the same cycle with very many other messages waiting, and how long it takes to
// open with them: after a clean stop, without an index, and with one that must be walked through.
// How many stands in WAITING; 20,000 without.
func BenchmarkFull(b *testing.B) {
	n := 20000
	if v := os.Getenv("WAITING"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	s := open(b, dir, Config{})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for range n / 100 {
				m := benchMessage()
				m.Legs[0].Next = m.Legs[0].Next.Add(time.Hour)
				if _, err := s.Put(bytes.NewReader(benchText), func(int64) (queue.Message, error) { return m, nil }); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.Run(fmt.Sprint("cycle-", n), func(b *testing.B) { cycle(b, s) })
	shut(b, s)
	b.Run(fmt.Sprint("open-", n), func(b *testing.B) {
		for range b.N {
			s := open(b, dir, Config{})
			b.StopTimer()
			var mem runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&mem)
			b.ReportMetric(float64(mem.HeapAlloc)/1e6, "heapMB")
			shut(b, s)
			b.StartTimer()
		}
	})
	b.Run(fmt.Sprint("checkpoint-", n), func(b *testing.B) {
		s := open(b, dir, Config{})
		defer shut(b, s)
		b.ResetTimer()
		for range b.N {
			if err := s.writeCheckpoint(false); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(s.held.Size)/1e6, "MB")
	})
	b.Run(fmt.Sprint("anew-", n), func(b *testing.B) {
		for range b.N {
			if err := os.Remove(filepath.Join(dir, "queue.db")); err != nil {
				b.Fatal(err)
			}
			s := open(b, dir, Config{})
			b.StopTimer()
			shut(b, s)
			b.StartTimer()
		}
	})
	b.Run(fmt.Sprint("unclean-", n), func(b *testing.B) {
		for range b.N {
			if err := os.Remove(filepath.Join(dir, "sum")); err != nil {
				b.Fatal(err)
			}
			s := open(b, dir, Config{})
			b.StopTimer()
			shut(b, s)
			b.StartTimer()
		}
	})
}
