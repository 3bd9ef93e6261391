package aliases

import (
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/message"
)

// Live is a Book that follows its files: a change is seen within a second, without a signal. A file that is being written may be
// read half; it is read again once it has changed further.
type Live struct {
	cfg  Config
	log  *slog.Logger
	none bool // there is no file to follow
	book atomic.Pointer[Book]

	mu     sync.Mutex // guards what follows
	looked time.Time
	stamps map[string]stamp
}

// stamp is how a file looked when it was read.
type stamp struct {
	size int64
	at   time.Time
}

// NewLive reads the files and follows them. Mistakes in them are logged, and told by Load before.
func NewLive(cfg Config, log *slog.Logger) *Live {
	l := &Live{cfg: cfg, log: log, none: len(cfg.Aliases)+len(cfg.Virtual) == 0 && cfg.Senders == ""}
	l.Reload()
	return l
}

// Reload reads the files now.
func (l *Live) Reload() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read()
}

// read is called with mu held.
func (l *Live) read() {
	book, err := Load(l.cfg)
	l.stamps, l.looked = look(book.files), time.Now()
	if err != nil {
		l.log.Warn("aliases have mistakes; the rest of them is used", "err", err)
	}
	l.book.Store(book)
}

// Book is the maps as they are now.
func (l *Live) Book() *Book {
	const every = time.Second
	if !l.none && l.mu.TryLock() {
		if time.Since(l.looked) >= every {
			l.looked = time.Now()
			if now := look(l.book.Load().files); !maps.Equal(now, l.stamps) {
				l.read()
				l.log.Info("aliases read again")
			}
		}
		l.mu.Unlock()
	}
	return l.book.Load()
}

// look sees how the files are. One that cannot be looked at has the zero stamp.
func look(files []string) map[string]stamp {
	stamps := make(map[string]stamp, len(files))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			stamps[name] = stamp{info.Size(), info.ModTime()}
		} else {
			stamps[name] = stamp{}
		}
	}
	return stamps
}

// Recipients is Book.Recipients now.
func (l *Live) Recipients(to []message.Recipient) []message.Recipient { return l.Book().Recipients(to) }

// Sender is Book.Sender now.
func (l *Live) Sender(a message.Address) message.Address { return l.Book().Sender(a) }

// From is Book.From now.
func (l *Live) From(field string) (string, bool) { return l.Book().From(field) }
