package queue

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// matcher makes one function of all filters of a Selection.
func (q *Queue) matcher(sel Selection, now time.Time) (func(*Message) bool, error) {
	var tests []func(*Message) bool
	var wrong []error
	add := func(name, pattern string, test func(is func(string) bool, m *Message) bool) {
		if pattern == "" {
			return
		}
		is, err := textMatcher(pattern)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%w: %s: %w", ErrSelection, name, err))
			return
		}
		tests = append(tests, func(m *Message) bool { return test(is, m) })
	}
	if sel.From == "<>" {
		tests = append(tests, func(m *Message) bool { return m.Envelope.From.IsNull() })
	} else {
		add("from", sel.From, func(is func(string) bool, m *Message) bool { return is(m.Envelope.From.String()) })
	}
	add("subject", sel.Subject, func(is func(string) bool, m *Message) bool { return is(m.Facts.Subject) })
	add("to", sel.To, func(is func(string) bool, m *Message) bool {
		return m.concerns(func(i int) bool { return is(m.Envelope.To[i].String()) })
	})
	add("error", sel.Error, func(is func(string) bool, m *Message) bool {
		return m.concerns(func(i int) bool { text := m.Results[i].reply(); return text != "" && is(text) })
	})
	if sel.Domain != "" {
		is := domainMatcher(sel.Domain)
		tests = append(tests, func(m *Message) bool {
			return m.concerns(func(i int) bool { return is(m.Envelope.To[i].Domain) })
		})
	}
	wrong = append(wrong, q.checkRest(&sel))
	tests = append(tests, q.timesAndStates(sel, now)...)
	return func(m *Message) bool {
		return !slices.ContainsFunc(tests, func(test func(*Message) bool) bool { return !test(m) })
	}, errors.Join(wrong...)
}

// timesAndStates are the tests of what is no text.
func (q *Queue) timesAndStates(sel Selection, now time.Time) (tests []func(*Message) bool) {
	if sel.Older > 0 {
		tests = append(tests, func(m *Message) bool { return now.Sub(m.Accepted) > sel.Older })
	}
	if sel.Younger > 0 {
		tests = append(tests, func(m *Message) bool { return now.Sub(m.Accepted) <= sel.Younger })
	}
	if sel.Lane != "" {
		tests = append(tests, func(m *Message) bool { return m.takes(sel.Lane) })
	}
	if len(sel.States) > 0 {
		tests = append(tests, func(m *Message) bool {
			shown, _ := q.State(m)
			return slices.Contains(sel.States, shown) || slices.Contains(sel.States, m.State())
		})
	}
	return tests
}

// checkRest says what is wrong with the filters that are no text.
func (q *Queue) checkRest(s *Selection) error {
	var wrong []error
	for _, d := range []struct {
		name string
		of   time.Duration
	}{{"older", s.Older}, {"younger", s.Younger}} {
		if d.of < 0 {
			wrong = append(wrong, fmt.Errorf("%w: %s: %s is negative", ErrSelection, d.name, d.of))
		}
	}
	if s.Lane != "" && !slices.Contains(q.laneNames(), s.Lane) {
		wrong = append(wrong, q.unknownLane(s.Lane))
	}
	for _, state := range s.States {
		if !slices.Contains(allStates, state) {
			wrong = append(wrong, fmt.Errorf("%w: status: there is no status %q", ErrSelection, state))
		}
	}
	return errors.Join(wrong...)
}

var allStates = []State{StateQueued, StateDeferred, StateHeld, StateActive, StateDelivered, StateFailed, StatePartial,
	StateCaptured, StateRemoved}

// concerns reports whether test holds for a recipient that is not settled, or, where all are, for
// any that was not dropped.
func (m *Message) concerns(test func(i int) bool) bool {
	n := min(len(m.Envelope.To), len(m.Results))
	settled := !m.Finished.IsZero()
	for i := range n {
		o := m.Results[i].Outcome
		if (o == Deferred || settled && o != Dropped) && test(i) {
			return true
		}
	}
	return false
}

// textMatcher is the function for a text filter, in any case: see Selection.
func textMatcher(pattern string) (func(string) bool, error) {
	if n := len(pattern); n > 1 && pattern[0] == '/' && pattern[n-1] == '/' {
		if n == 2 {
			return nil, errors.New("empty regular expression")
		}
		re, err := regexp.Compile("(?i)" + pattern[1:n-1])
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	low := strings.ToLower(pattern)
	if strings.ContainsAny(low, "*?") {
		return func(s string) bool { return glob([]rune(low), []rune(strings.ToLower(s))) }, nil
	}
	return func(s string) bool { return strings.Contains(strings.ToLower(s), low) }, nil
}

// domainMatcher is the function for Selection.Domain.
func domainMatcher(pattern string) func(string) bool {
	low := strings.ToLower(pattern)
	if strings.ContainsAny(low, "*?") {
		return func(s string) bool { return glob([]rune(low), []rune(strings.ToLower(s))) }
	}
	return func(s string) bool { return strings.ToLower(s) == low }
}

// glob reports whether a pattern in which * stands for any characters and ? for any one matches all
// of s.
func glob(pattern, s []rune) bool {
	star, from := -1, 0 // the last *, and where what it stands for ends
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // let the last * stand for one more
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
