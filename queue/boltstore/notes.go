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
func (s *Store) SetNote(name, text string) error {
	c, err := newNote(name, text)
	if err != nil {
		return err
	}
	if err := s.journal.Append(c); err != nil {
		return fmt.Errorf("keep a note: %w", err)
	}
	return nil
}

func newNote(name, text string) (*change, error) {
	b, err := note{Name: []byte(name), Text: []byte(text)}.encode()
	c := newChange(kindNote, "", place{}, place{})
	c.Meta = b
	return c, err
}

func (n note) encode() ([]byte, error) {
	b, err := cbor.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode a note: %w", err)
	}
	return b, nil
}

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
