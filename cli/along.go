package cli

import (
	"context"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"dinkymail/aliases"
	"dinkymail/backup"
	"dinkymail/config"
	"dinkymail/maildrop"
	"dinkymail/queue"
)

// taker takes mail of the maildrop into a restored queue, as the appliance would. No limit of the
// queue is in its way: it had room where it comes from.
func (c restoreCommand) taker(s *config.Settings, store queue.Store, log *slog.Logger) func(context.Context, backup.Left, io.Reader) error {
	cfg := s.Queue
	const endless = math.MaxInt64 / 4
	cfg.MaxBytes, cfg.MaxMessages, cfg.MaxMessageBytes, cfg.MaxRecipients = endless, math.MaxInt, endless, math.MaxInt
	cfg.Rewriter = aliases.NewLive(s.Aliases, log)
	q := queue.New(store, nil, cfg, log)
	drop := maildrop.New(q, s.Maildrop, log)
	return func(ctx context.Context, l backup.Left, mail io.Reader) error {
		err := drop.TakeIn(ctx, maildrop.Mail{ID: l.ID, UID: l.UID, User: l.User}, mail)
		if err == nil && c.Hold && !cfg.Capture {
			err = q.Hold(l.ID, "restored from a backup, where it stood in the maildrop")
		}
		return err
	}
}

// movedAway is the directory beside dir, such as dir.old, that has the queue which was in dir last;
// empty where there is none.
func movedAway(dir string) string {
	var last os.FileInfo
	var found string
	beside, _ := filepath.Glob(escapeGlob(filepath.Clean(dir)) + `[._~\-]*`) // the pattern is well formed
	for _, other := range beside {
		info, err := os.Stat(other)
		if err == nil && info.IsDir() && occupied(other) && (last == nil || info.ModTime().After(last.ModTime())) {
			last, found = info, other
		}
	}
	return found
}

// escapeGlob makes a pattern of a name that matches nothing else.
func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// bringAlong moves mail that sendmail left in the maildrop inside an old DATA_DIR, and that is not
// known from the backup, to where the appliance will look for it.
func bringAlong(s *config.Settings, old string, known map[queue.ID]bool) (int, error) {
	rel, err := filepath.Rel(s.DataDir, s.Maildrop.Dir)
	if err != nil || !filepath.IsLocal(rel) {
		return 0, nil //nolint:nilerr // then it is somewhere else, and nobody moved it
	}
	return maildrop.Move(filepath.Join(old, rel), s.Maildrop.Dir, known)
}
