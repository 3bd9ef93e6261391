package cli

import (
	"strings"
	"testing"
	"time"

	"dinkymail/cli/world"
)

// Ages are written as operators write them; what is none is refused.
func TestAge(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "45m": 45 * time.Minute, "12h": 12 * time.Hour,
		"3d": 72 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0} {
		var a age
		if err := a.UnmarshalText([]byte(text)); err != nil || time.Duration(a) != want {
			t.Errorf("%s: got %s, %v", text, time.Duration(a), err)
		}
	}
	for _, text := range []string{"", "3", "d", "3x", "-3d", "3 d", "1.5h", "99999999999999w", "5000w5000w", "3d4"} {
		var a age
		if err := a.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %s", text, time.Duration(a))
		}
	}
}

// Spans, sizes and numbers in a word.
func TestWords(t *testing.T) {
	p := program{Program: Program{World: world.World{Now: func() time.Time { return night }}}}
	for got, want := range map[string]string{
		span(0): "1s", span(89 * time.Second): "89s", span(90 * time.Second): "2m", span(-3 * time.Minute): "3m", span(89*time.Minute + 1): "89m",
		span(3 * time.Hour): "3h", span(47 * time.Hour): "47h", span(49 * time.Hour): "2d",
		p.relative(night):                       "just now",
		p.relative(night.Add(-5 * time.Hour)):   "5h ago",
		p.relative(night.Add(12 * time.Minute)): "in 12m",
		p.clock(night):                          "03:00:00",
		p.clock(night.Add(25 * time.Hour)):      "3 Mar 04:00:00",
		p.clock(night.AddDate(1, 0, 0)):         "2 Mar 2026 03:00:00",
		size(0):                                 "0 B", size(999): "999 B", size(1000): "1.0 kB", size(9949): "9.9 kB", size(9960): "10 kB",
		size(999_600): "1.0 MB", size(25 << 20): "26 MB", size(10 << 30): "11 GB", size(1 << 62): "4612 PB",
		number(7): "7", number(1234): "1,234", number(1234567): "1,234,567",
		count(1, "message"): "1 message", count(0, "message"): "0 messages",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Characters of two columns and of none are counted as a terminal shows them, and nothing is cut in
// two.
func TestColumns(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "一二": 4, "e\u0301": 1, "\x1b[33mheld\x1b[0m": 4, "ä…": 2} {
		if got := columns(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"abcdef", "一二三四", "ä", ""} {
		for n := 1; n < 10; n++ {
			if got := cut(text, n); columns(got) > n || columns(text) > n && !strings.HasSuffix(got, "…") || columns(text) <= n && got != text {
				t.Errorf("%q cut to %d is %q", text, n, got)
			}
		}
	}
}

// Lists of a queue are read back whatever program printed them; anything else is refused rather
// than passed over.
func FuzzListedIDs(f *testing.F) {
	for _, seed := range []string{"0cagh3h68onkmkg0\n", "ID  AGE\n0cagh3h68onkmkg0*  3m\n", "-Queue ID-\n0cagh3h68onkmkg0!\n   (why)\n\n-- 3 Kbytes in 2 Requests.\n",
		"Mail queue is empty\n", "", "0cagh3h68onkmkg0\tx\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, err := listedIDs(strings.NewReader(text))
		if err == nil && len(ids) == 0 {
			t.Error("nothing is listed and nothing said")
		}
		for _, id := range ids {
			if !id.Valid() || !strings.Contains(text, string(id)) {
				t.Errorf("%q is not in the list", id)
			}
		}
	})
}
