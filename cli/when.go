package cli

import (
	"fmt"
	"strconv"
	"time"
)

// age is a span of time as operators write it: 90s, 45m, 12h, 3d, 2w, or several of them together
// such as 1d12h.
type age time.Duration

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// longestAge keeps sums from overflowing.
const longestAge = 100 * 365 * 24 * time.Hour

// UnmarshalText reads an age.
func (a *age) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is no span of time; write for example 90s, 45m, 12h, 3d, 2w or 1d12h", text)
	var sum time.Duration
	for rest := string(text); ; {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil || digits == len(rest) {
			return wrong
		}
		unit, ok := units[rest[digits]]
		if !ok || n > int64(longestAge/unit) {
			return wrong
		}
		if sum += time.Duration(n) * unit; sum > longestAge {
			return wrong
		}
		if rest = rest[digits+1:]; rest == "" {
			*a = age(sum)
			return nil
		}
	}
}

// span is a duration in one short word: 12s, 3m, 5h, 4d. Below a minute it never says 0s.
func span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 90*time.Second:
		return fmt.Sprintf("%ds", max(1, int(d.Round(time.Second).Seconds())))
	case d < 90*time.Minute:
		return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Round(time.Hour).Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Round(24*time.Hour).Hours()/24))
	}
}

// relative says when t is, seen from now: "3m ago", "just now", "in 12m".
func (p *program) relative(t time.Time) string {
	switch d := t.Sub(p.Time()); {
	case d <= 0 && d > -time.Second:
		return "just now"
	case d < 0:
		return span(d) + " ago"
	default:
		return "in " + span(d)
	}
}

// clock is a time of day, with the day when that is not today's.
func (p *program) clock(t time.Time) string {
	now := p.Time()
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format(time.TimeOnly)
	}
	if t.Year() == now.Year() {
		return t.Format("2 Jan 15:04:05")
	}
	return t.Format("2 Jan 2006 15:04:05")
}

// size is a number of bytes in three digits and a unit.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		f /= 1000
		if f < 9.95 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		if f < 999.5 {
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return fmt.Sprintf("%.0f PB", f/1000)
}

// count is a number and a noun: "1 message", "12,345 messages".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number is n with commas between the thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
