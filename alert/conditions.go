package alert

import (
	"fmt"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/lane"
)

// Thresholds say from when on something is a condition. Zero means the default named here.
type Thresholds struct {
	Lost        time.Duration // since a notice reached nobody: 24 h
	Stuck       time.Duration // age of the oldest waiting message: 1 h
	Unreachable time.Duration // how long nobody may answer upstream: 10 min
	Paused      time.Duration // how long an operator may pause something: 1 h
	Expiry      time.Duration // left of a certificate: 14 days
	FreeShare   float64       // free of the disk: 0.05
	FreeBytes   int64         // and in any case this much: 256 MiB
}

// Facts is what conditions are made of.
type Facts struct {
	Queue queue.Status
	// Oldest is when the oldest message was accepted that waits and that no operator holds; zero
	// without one.
	Oldest time.Time
	// Free and Size are those of the disk with the queue, in bytes; Size zero: not known.
	Free, Size int64
	// Certificates is when each ends, by whose it is: "upstream", "own".
	Certificates map[string]time.Time
}

// Conditions is what needs a hand. Refused credentials, a used up quota and a failed disk are so at
// once; mail that waits, after a time. An upstream that does not answer, and what an operator
// paused, is Early for a time.
func Conditions(f Facts, t Thresholds, now time.Time) (all []Condition) {
	t = t.withDefaults()
	add := func(key, fix string, since time.Time, format string, args ...any) {
		all = append(all, Condition{Key: key, Text: fmt.Sprintf(format, args...), Fix: fix, Since: since})
	}
	if err := f.Queue.Broken; err != nil {
		add("store", "Look at the disk; mail that was accepted is kept.", now, "mail is neither taken nor delivered: %v", err)
	}
	if last := f.Queue.LostLast; !last.IsZero() && now.Sub(last) < t.Lost {
		add("notices", "The log names them (double bounce); see that the upstream takes mail from <> and from DEFAULT_FROM.", last,
			"notices about mail that could not be delivered reached nobody, the last one at %s", last.Format(time.RFC3339))
	}
	for _, l := range f.Queue.Lanes {
		switch {
		case l.State != queue.LaneWaiting || l.Kind == lane.Development.String():
		default:
			add(l.Kind, "", l.Since, "mail waits for the %s: %s", l.Name, l.Reason)
			all[len(all)-1].Early = (l.Kind == lane.Unreachable.String() || l.Kind == lane.Busy.String()) && now.Sub(l.Since) < t.Unreachable
		}
	}
	for _, p := range f.Queue.Paused {
		what := "taking mail in"
		if p.What != queue.Intake {
			what = "delivering on lane " + p.What
		}
		if p.By != "" {
			what += " (by " + p.By + ")"
		}
		if p.Reason != "" {
			what += ": " + p.Reason
		}
		add("paused "+p.What, "dinkymail resume "+p.What+" ends it.", p.Since, "paused since %s: %s", p.Since.Format(time.RFC3339), what)
		all[len(all)-1].Early = now.Sub(p.Since) < t.Paused
	}
	if s := f.Queue.Store; !f.Oldest.IsZero() && now.Sub(f.Oldest) >= t.Stuck {
		what := "1 message waits, since"
		if n := s.Waiting - s.Held; n != 1 {
			what = fmt.Sprintf("%d messages wait, the oldest since", n)
		}
		add("stuck", "dinkymail queue says why each waits.", f.Oldest.Add(t.Stuck), "%s %s", what, f.Oldest.Format(time.RFC3339))
	}
	if n := f.Queue.Store.Damaged; n > 0 {
		add("damaged", "Look at the disk. DATA_DIR/damaged has what could not be read, or the IDs of mail whose text could not be.", now,
			"%d records or mails of the queue are damaged", n)
	}
	if f.Size > 0 && (f.Free < t.FreeBytes || float64(f.Free) < t.FreeShare*float64(f.Size)) {
		add("disk", "Make room in DATA_DIR; mail is refused when it is full.", now, "the queue's disk has %d MiB left of %d", f.Free>>20, f.Size>>20)
	}
	for _, whose := range []string{"own", "upstream"} {
		end, known := f.Certificates[whose]
		if !known || end.IsZero() || end.Sub(now) >= t.Expiry {
			continue
		}
		fix := "Renew TLS_CERT_FILE and run: dinkymail reload"
		if whose == "upstream" {
			fix = "Whoever runs the upstream must renew it; mail waits once it has ended."
		}
		add("certificate "+whose, fix, end.Add(-t.Expiry), "the certificate (%s) ends on %s", whose, end.Format(time.DateOnly))
	}
	return all
}

func (t Thresholds) withDefaults() Thresholds {
	if t.Lost <= 0 {
		t.Lost = 24 * time.Hour
	}
	if t.Stuck <= 0 {
		t.Stuck = time.Hour
	}
	if t.Unreachable <= 0 {
		t.Unreachable = 10 * time.Minute
	}
	if t.Paused <= 0 {
		t.Paused = time.Hour
	}
	if t.Expiry <= 0 {
		t.Expiry = 14 * 24 * time.Hour
	}
	if t.FreeShare <= 0 {
		t.FreeShare = 0.05
	}
	if t.FreeBytes <= 0 {
		t.FreeBytes = 256 << 20
	}
	return t
}
