package measure

import (
	"math"
	"testing"
	"time"
)

// Each duration is counted once, below every bound it does not pass.
func TestSpread(t *testing.T) {
	var d Durations
	for _, took := range []time.Duration{-time.Second, 0, time.Millisecond, 1500 * time.Microsecond, time.Second, 1000 * time.Hour} {
		d.Observe(took)
	}
	s := d.Spread()
	if s.Count != 6 || s.UpTo[0.001] != 3 || s.UpTo[0.002] != 4 || s.UpTo[0.512] != 4 || s.UpTo[1.024] != 5 || len(s.UpTo) != buckets-1 {
		t.Errorf("got %+v", s)
	}
	if want := 3_600_000 + 1.0025; math.Abs(s.Sum-want) > 1e-6 {
		t.Errorf("sum %v, want %v", s.Sum, want)
	}
	if q := s.Quantile(0.5); q != 0.001 {
		t.Errorf("median %v", q)
	}
	if q := s.Quantile(1); !math.IsInf(q, 1) {
		t.Errorf("the largest %v", q)
	}
	if !math.IsNaN((&Durations{}).Spread().Quantile(0.5)) {
		t.Error("nothing has a median")
	}
}

func BenchmarkObserve(b *testing.B) {
	var d Durations
	b.ReportAllocs()
	for b.Loop() {
		d.Observe(30 * time.Millisecond)
	}
}
