package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"dinkymail/alert"
	"dinkymail/aliases"
	"dinkymail/backup"
	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/internal/disk"
	"dinkymail/internal/logfile"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/relay"
)

// openLog is the log: to w, and as much of its end as LOG_KEEP says to DATA_DIR/log. Where that
// cannot be kept, the log says so and the appliance goes on; kept is nil then. It begins at a level
// that may be another later.
func openLog(w io.Writer, s *config.Settings, level *slog.LevelVar) (log *slog.Logger, kept *logfile.File) {
	level.Set(s.LogLevel)
	if s.LogKeep == 0 {
		return newLog(w, s, level), nil
	}
	kept, err := logfile.Open(filepath.Join(s.DataDir, "log"), s.LogKeep)
	if err != nil {
		log = newLog(w, s, level)
		log.Warn("no log is kept for dinkymail log", "err", err)
		return log, nil
	}
	return newLog(io.MultiWriter(w, kept), s, level), kept
}

// newLog writes to w as LOG_FORMAT says, from level on.
func newLog(w io.Writer, s *config.Settings, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// addresses gives queue and SMTP the aliases.
func addresses(s *config.Settings, log *slog.Logger) {
	book := aliases.NewLive(s.Aliases, log)
	s.Queue.Rewriter = book
	s.SMTP.Knows = func(a message.Address) bool { return s.Development || book.Knows(a) }
}

// parts are what an operator reaches besides the queue: the kept log, backups, and where the
// appliance runs its settings.
func parts(now *reloads, q *queue.Queue, kept *logfile.File) operate.Parts {
	p := operate.Parts{Backup: copier{now, q}, Machine: now.current().Maildrop.Machine}
	if kept != nil {
		p.Log = kept
	}
	if now.read != nil {
		p.Settings = now
	}
	return p
}

// copier makes backups.
type copier struct {
	settings *reloads
	queue    *queue.Queue
}

// Write writes a backup to w.
func (c copier) Write(ctx context.Context, w io.Writer) error {
	s := c.settings.current()
	return backup.Write(ctx, c.queue, backup.Origin{Host: s.Hostname, Version: cli.Version(version), Left: func() ([]backup.Left, error) {
		return left(s.Maildrop.Dir)
	}}, w)
}

// sensor tells what the machine of the appliance is like.
type sensor struct {
	settings *config.Settings
	next     *relay.Relay
}

// Vitals looks at the disk and the certificates.
func (m sensor) Vitals() httpapi.Vitals {
	space, _ := disk.Look(m.settings.DataDir) // zero where the system does not tell
	return httpapi.Vitals{Free: space.Free, Size: space.Size, Certificates: certificates(m.settings, m.next)}
}

// left is what stands in the maildrop of dir.
func left(dir string) ([]backup.Left, error) {
	mails, err := maildrop.List(dir)
	all := make([]backup.Left, len(mails))
	for i, m := range mails {
		all[i] = backup.Left{ID: m.ID, UID: m.UID, User: m.User, Open: m.Open}
	}
	return all, err
}

// certificates is when each certificate that matters ends.
func certificates(s *config.Settings, next *relay.Relay) map[string]time.Time {
	ends := map[string]time.Time{"upstream": next.CertificateEnds()}
	if s.Certificate != nil {
		ends["own"] = s.Certificate.Leaf().NotAfter
	}
	for whose, end := range ends {
		if end.IsZero() {
			delete(ends, whose)
		}
	}
	return ends
}

// alerts looks after the appliance and tells ALERT_WEBHOOK.
func alerts(now func() *config.Settings, q *queue.Queue, log *slog.Logger) *alert.Alerts {
	cfg := now().Alert
	cfg.File = filepath.Join(now().DataDir, "alerts.json")
	return alert.New(cfg, func(at time.Time) []alert.Condition {
		s := now()
		v, st := s.HTTP.Sensor.Vitals(), q.Status()
		return alert.Conditions(alert.Facts{Queue: st, Oldest: oldest(q, st.Store, s.Stuck), Free: v.Free, Size: v.Size, Certificates: v.Certificates},
			alert.Thresholds{Stuck: s.Stuck}, at)
	}, log)
}

// oldest is when the oldest message was accepted that waits and that nobody holds. Where some are
// held it looks for one older than that, which is all that matters then, among the first hundred
// thousand or so.
func oldest(q *queue.Queue, st queue.Stats, than time.Duration) time.Time {
	if st.Held == 0 {
		return st.Oldest
	}
	old := queue.Selection{States: []queue.State{queue.StateQueued, queue.StateDeferred}, Older: than}
	after := queue.ID("")
	for range 20 {
		page, err := q.Select(context.Background(), old, after, 10)
		if err != nil {
			return time.Time{}
		}
		for _, m := range page.Messages {
			if m.Held == "" {
				return m.Accepted
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	return time.Time{}
}
