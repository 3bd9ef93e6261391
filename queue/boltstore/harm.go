package boltstore

import (
	"errors"
	"os"
	"syscall"

	"dinkymail/queue"
)

// harmExt ends the name of a file in damaged/ that says of a message, whose ID is the rest of the
// name, why its body cannot be read. It goes when the message's body does, or can be read after
// all.
const harmExt = ".body"

// harms reports whether an error says that what was written is not there any more.
func harms(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, syscall.EIO) }

// harmed notes that the body of a message cannot be read, for whoever counts and for the log, once.
func (s *Store) harmed(id queue.ID, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.damage.harmed(id, why)
	}
}

func (d *damage) harmed(id queue.ID, why error) {
	if d.harm[id] {
		return
	}
	d.harm[id] = true
	err := d.home.keepDamaged(string(id)+harmExt, []byte(why.Error()+"\n"))
	d.home.log.Error("body is damaged", "id", id, "err", errors.Join(why, err), "remedy", "check the disk; put the file back if you have it "+
		"whole; dinkymail bounce tells the sender of it, and dinkymail remove forgets it")
}

// unharmed notes that a body can be read, or is not needed any more.
func (d *damage) unharmed(id queue.ID) {
	if len(d.harm) == 0 || !d.harm[id] {
		return
	}
	delete(d.harm, id)
	if err := os.Remove(d.home.damagedPath(string(id) + harmExt)); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.home.log.Warn("note of a damaged body not deleted", "id", id, "err", err)
	}
}

// whole notes that a body was read whole.
func (s *Store) whole(id queue.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unharmed(id)
}

// forgetHarm drops from these what has no body any more.
func (s *Store) forgetHarm() {
	for id := range s.harm {
		if at, err := s.locate(id); err == nil && (at.body.where != nowhere || at.kept == waiting) || err != nil && !errors.Is(err, queue.ErrNotFound) {
			continue
		}
		s.mu.Lock()
		s.unharmed(id)
		s.mu.Unlock()
	}
}

// watched is a body of which the store learns whether it can be read.
type watched struct {
	*largeBody
	s  *Store
	id queue.ID
}

// Read notes damage that only reading shows, and that there is none.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.largeBody.Read(p)
	switch {
	case harms(err):
		w.s.harmed(w.id, err)
	case w.upTo == w.want.n && n > 0:
		w.s.whole(w.id)
	}
	return n, err
}
