package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// What bodies may hold together is measured in memory, not in what came in: a buffer that doubled
// counts whole, and is given back whole.
func TestBodiesCountTheirMemory(t *testing.T) {
	s := New(new(memory), config(t), discard)
	r := httptest.NewRequest("POST", "/send", strings.NewReader(strings.Repeat("x", 3<<20)))
	b, release, err := s.readBody(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	if held := s.cfg.MaxBuffered - s.bodies.left.Load(); held < int64(b.Cap()) {
		t.Errorf("%d bytes are counted for a buffer of %d", held, b.Cap())
	}
	release()
	if left := s.bodies.left.Load(); left != s.cfg.MaxBuffered {
		t.Errorf("%d bytes were not given back", s.cfg.MaxBuffered-left)
	}
}

// The largest body that is allowed at all is read, however tight the room for all of them is set.
func TestLargestBodyHasRoom(t *testing.T) {
	cfg := config(t)
	cfg.MaxBody, cfg.MaxBuffered = 5<<20, 1
	s := New(new(memory), cfg, discard)
	r := httptest.NewRequest("POST", "/send", strings.NewReader(strings.Repeat("x", 5<<20)))
	_, release, err := s.readBody(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// While large bodies hold all the room there is, small ones are still read.
func TestSmallBodiesFindRoom(t *testing.T) {
	s := New(new(memory), config(t), discard)
	s.bodies.left.Store(0)
	for size, ok := range map[int]bool{4 << 10: true, 1 << 20: false} {
		r := httptest.NewRequest("POST", "/send", strings.NewReader(strings.Repeat("x", size)))
		_, release, err := s.readBody(httptest.NewRecorder(), r)
		if (err == nil) != ok {
			t.Errorf("a body of %d bytes: %v", size, err)
		}
		if err == nil {
			release()
		}
	}
}
