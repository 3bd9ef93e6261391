package aliases

import (
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/message"
)

// Live is a Book that follows its files: a change is seen within a second, without a signal. A file
// that is being written may be read half; it is read again once it has changed further.
type Live struct {
	cfg  Config
	log  *slog.Logger
	none bool // there is no file to follow
	book atomic.Pointer[Book]

	mu     sync.Mutex // guards looked
	looked time.Time
}

// stamp is how a file looked before it was read; the zero stamp is of one that cannot be looked at.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

// NewLive reads the files and follows them. Mistakes in them now are Load's to tell; later ones are
// logged.
func NewLive(cfg Config, log *slog.Logger) *Live {
	l := &Live{cfg: cfg, log: log, none: len(cfg.Aliases)+len(cfg.Virtual) == 0 && cfg.Senders == "", looked: time.Now()}
	book, _ := Load(cfg)
	l.book.Store(book)
	return l
}

// again reads the files once more.
func (l *Live) again() {
	book, err := Load(l.cfg)
	l.book.Store(book)
	if err != nil {
		l.log.Warn("aliases have mistakes; the rest of them is used", "err", err)
	}
	l.log.Info("aliases read again")
}

// Book is the maps as they are now.
func (l *Live) Book() *Book {
	const every = time.Second
	if !l.none && l.mu.TryLock() {
		if time.Since(l.looked) >= every {
			l.looked = time.Now()
			if l.book.Load().changed() {
				l.again()
			}
		}
		l.mu.Unlock()
	}
	return l.book.Load()
}

// changed reports whether a file looks otherwise than when it was read.
func (b *Book) changed() bool {
	for name, was := range b.stamps {
		if stampOf(name) != was {
			return true
		}
	}
	return false
}

// Knows is Book.Knows now.
func (l *Live) Knows(a message.Address) bool { return l.Book().Knows(a) }

// Recipients is Book.Recipients now.
func (l *Live) Recipients(to []message.Recipient) []message.Recipient { return l.Book().Recipients(to) }

// Sender is Book.Sender now.
func (l *Live) Sender(a message.Address) message.Address { return l.Book().Sender(a) }

// From is Book.From now.
func (l *Live) From(field string) (string, bool) { return l.Book().From(field) }
