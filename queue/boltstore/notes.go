package boltstore

import (
	"fmt"
	"maps"

	"github.com/fxamacker/cbor/v2"
)

// note is how a note stands in the journal and in the index. Its bytes are no text, which would
// have to be UTF-8.
type note struct {
	_    struct{} `cbor:",toarray"`
	Name []byte
	Text []byte
}

// SetNote implements queue.Store.
func (s *Store) SetNote(name, text string) (err error) {
	c := newChange(kindNote, "", place{}, place{})
	if c.Meta, err = (note{Name: []byte(name), Text: []byte(text)}).encode(); err == nil {
		err = s.journal.Append(c)
	}
	if err != nil {
		return fmt.Errorf("keep a note: %w", err)
	}
	return nil
}

func (n note) encode() ([]byte, error) { return cbor.Marshal(n) }

// listed and named are notes as they stand in the index and as they are in memory.
func listed(all map[string]string) (list []note) {
	for name, text := range all {
		list = append(list, note{Name: []byte(name), Text: []byte(text)})
	}
	return list
}

func named(list []note) map[string]string {
	all := make(map[string]string)
	for _, n := range list {
		all[string(n.Name)] = string(n.Text)
	}
	return all
}

// Notes implements queue.Store.
func (s *Store) Notes() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.notes)
}
