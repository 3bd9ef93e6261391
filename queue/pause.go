package queue

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/queue/lane"
)

// pauses is what an operator paused. It is kept in the store's notes.
type pauses struct {
	changing sync.Mutex                    // held while list is replaced
	list     atomic.Pointer[[]PauseStatus] // never changed
}

// notePause begins the name of the note of each pause.
const notePause = "pause "

// get is the pause of what, or nil.
func (p *pauses) get(what string) *PauseStatus {
	list := p.all()
	for i := range list {
		if list[i].What == what {
			return &list[i]
		}
	}
	return nil
}

func (p *pauses) all() []PauseStatus {
	if list := p.list.Load(); list != nil {
		return *list
	}
	return nil
}

// set replaces or, with nil, ends the pause of what.
func (p *pauses) set(what string, s *PauseStatus) {
	p.changing.Lock()
	defer p.changing.Unlock()
	list := slices.DeleteFunc(slices.Clone(p.all()), func(s PauseStatus) bool { return s.What == what })
	if s != nil {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b PauseStatus) int { return strings.Compare(a.What, b.What) })
	p.list.Store(&list)
}

// Pause stops taking mail in (Intake), delivering on a lane, by its name, or both (Everything),
// until Resume; a restart does not end it. While intake is paused Submit returns ErrPaused; notices
// of the queue itself are taken in all the same. On a paused lane nothing is tried, not even a
// probe, and nothing expires; attempts that go on come to their end. Pausing again changes the
// reason, and by, which is who does it. The error of an unknown name wraps ErrSelection.
func (q *Queue) Pause(what, reason, by string) error {
	names, err := q.pausable(what)
	for _, name := range names {
		s := PauseStatus{What: name, Reason: reason, By: by, Since: time.Now().UTC()}
		if old := q.pauses.get(name); old != nil {
			s.Since = old.Since
		}
		note, err := json.Marshal(s)
		if err == nil {
			err = q.store.SetNote(notePause+name, string(note))
		}
		if err != nil {
			return fmt.Errorf("pause %s: %w", name, err)
		}
		q.pauses.set(name, &s)
		q.log.Warn("paused", "lane", name, "reason", cmp.Or(reason, reasonPaused), "by", by)
		q.tellLane(EventPaused, name, reason)
	}
	return err
}

// Resume ends what Pause began. What is not paused stays as it is.
func (q *Queue) Resume(what string) error {
	names, err := q.pausable(what)
	for _, name := range names {
		if q.pauses.get(name) == nil {
			continue
		}
		if err := q.store.SetNote(notePause+name, ""); err != nil {
			return fmt.Errorf("resume %s: %w", name, err)
		}
		q.pauses.set(name, nil)
		if d := q.lanes.get(name); d != nil {
			poke(d.wake)
		}
		q.log.Info("resumed", "lane", name)
		q.tellLane(EventResumed, name, "")
	}
	return err
}

// pausable is the names that what stands for.
func (q *Queue) pausable(what string) ([]string, error) {
	lanes := q.laneNames()
	switch {
	case what == Everything:
		return append(lanes, Intake), nil
	case what == Intake, slices.Contains(lanes, what), q.pauses.get(what) != nil:
		return []string{what}, nil
	default:
		return nil, q.unknownLane(what)
	}
}

func (q *Queue) unknownLane(name string) error {
	return fmt.Errorf("%w: there is no lane %q; the lanes are: %s", ErrSelection, name, strings.Join(q.laneNames(), ", "))
}

// recallPauses reads what was paused before the start.
func (q *Queue) recallPauses() {
	for name, note := range q.store.Notes() {
		what, ours := strings.CutPrefix(name, notePause)
		if !ours {
			continue
		}
		s := PauseStatus{}
		if err := json.Unmarshal([]byte(note), &s); err != nil {
			s.Reason = "" // a pause that cannot be read counts all the same
		}
		s.What = what
		q.pauses.set(what, &s)
	}
}

// warnOfPauses reminds the operator at the start.
func (q *Queue) warnOfPauses() {
	for _, p := range q.pauses.all() {
		q.log.Warn("still paused", "lane", p.What, "reason", cmp.Or(p.Reason, reasonPaused), "by", p.By, "since", p.Since,
			"remedy", "dinkymail resume "+p.What)
	}
}

// reasonPaused is why a lane is paused when the operator does not say.
const reasonPaused = "paused by the operator"

// now is the state of the lane as an operator should see it.
func (d *dispatcher) now() LaneStatus {
	s := d.status.Load()
	l := LaneStatus{Name: d.name, State: LaneFlowing, Kind: s.Kind.String(), Reason: s.Reason, Since: s.Since, NextProbe: s.NextProbe,
		InFlight: int(d.handing.Load()), Concurrency: int(d.concurrency.Load())}
	if s.Kind != lane.None {
		l.State = LaneWaiting
	}
	if p := d.q.pauses.get(d.name); p != nil {
		l.State, l.Kind, l.Reason, l.Since, l.NextProbe = LanePaused, "", reasonPaused, p.Since, time.Time{}
		if p.Reason != "" {
			l.Reason += ": " + p.Reason
		}
	}
	return l
}

// waitsFor is why mail waits for its lane and what ends that; empty while the lane flows.
func (l LaneStatus) waitsFor() string {
	switch l.State {
	case LaneFlowing:
		return ""
	case LanePaused:
		return "waits for the " + l.Name + ": " + l.Reason + "; dinkymail resume " + l.Name + " lets it go"
	default:
		return "waits for the " + l.Name + ": " + l.Reason
	}
}
