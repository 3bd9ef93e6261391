// Package memstore keeps the queue in maps: the shortest Store there is, to read what a Store
// promises, and for tests. Nothing of it survives the process.
package memstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/turns"
)

// Store is a queue.Store. Make it with New.
type Store struct {
	mu       sync.Mutex // guards all of it
	messages map[queue.ID]*message
	claimed  map[queue.ID]*message // those with claims
	due      *turns.Turns
	waiting  turns.Schedule // by when they were accepted
	stats    queue.Stats
	tokens   uint64
	notes    map[string]string
	closed   bool
}

type message struct {
	record    queue.Message
	body      []byte         // nil: none is kept
	claims    map[int]*claim // by leg
	scheduled int            // the legs that may stand in turns
}

var _ queue.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return &Store{messages: map[queue.ID]*message{}, claimed: map[queue.ID]*message{}, due: turns.New(0), notes: map[string]string{}}
}

// Put implements queue.Store.
func (s *Store) Put(body io.Reader, describe func(size int64) (queue.Message, error)) (queue.Message, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return queue.Message{}, err
	}
	given, err := describe(int64(len(text)))
	if err != nil {
		return queue.Message{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !given.ID.Valid() {
		return queue.Message{}, fmt.Errorf("put: %q is no message ID", given.ID)
	}
	if m, err := s.find(given.ID); m != nil {
		return queue.Message{}, queue.ErrExists
	} else if errors.Is(err, queue.ErrClosed) {
		return queue.Message{}, err
	}
	m := &message{record: given.Clone(), body: append([]byte{}, text...), claims: map[int]*claim{}}
	m.record.Size = int64(len(text))
	m.record.Bound()
	s.messages[given.ID] = m
	s.count(m, 1)
	s.schedule(m)
	return m.record.Clone(), nil
}

// find is the message of an ID.
func (s *Store) find(id queue.ID) (*message, error) {
	switch m := s.messages[id]; {
	case s.closed:
		return nil, queue.ErrClosed
	case m == nil:
		return nil, queue.ErrNotFound
	default:
		return m, nil
	}
}

// Get implements queue.Store.
func (s *Store) Get(id queue.ID) (queue.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(id)
	if err != nil {
		return queue.Message{}, err
	}
	return m.record.Clone(), nil
}

// reader is an open body.
type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// Body implements queue.Store.
func (s *Store) Body(id queue.ID) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(id)
	if err == nil && m.body == nil {
		err = queue.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return reader{bytes.NewReader(m.body)}, nil
}

// Update implements queue.Store.
func (s *Store) Update(id queue.ID, change func(*queue.Message)) (queue.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(id)
	if err != nil {
		return queue.Message{}, err
	}
	s.change(m, change)
	s.revoke(m)
	s.schedule(m)
	return m.record.Clone(), nil
}

// Settle implements queue.Store.
func (s *Store) Settle(c queue.Claim, change func(*queue.Message)) (queue.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, _, err := s.held(c)
	if err != nil {
		return queue.Message{}, err
	}
	s.change(m, change)
	s.end(m, c.Leg)
	return m.record.Clone(), nil
}

// change changes the record.
func (s *Store) change(m *message, change func(*queue.Message)) {
	given := m.record.Clone()
	change(&given)
	r := given.Clone() // nothing of it is the caller's
	r.ID = m.record.ID
	if m.body != nil {
		r.Size = m.record.Size
	}
	r.Bound()
	s.count(m, -1)
	if m.record = r; !r.Finished.IsZero() && !r.Captured {
		m.body = nil
	}
	s.count(m, 1)
}

// Remove implements queue.Store.
func (s *Store) Remove(id queue.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.find(id)
	if err == nil {
		s.remove(id)
	}
	return err
}

func (s *Store) remove(id queue.ID) {
	s.count(s.messages[id], -1)
	for leg := range s.messages[id].scheduled {
		s.due.Remove(turns.KeyOf(string(id), leg))
	}
	delete(s.messages, id)
	delete(s.claimed, id)
}

// List implements queue.Store.
func (s *Store) List(f queue.Filter, after queue.ID, limit int) ([]queue.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	ids := slices.Sorted(maps.Keys(s.messages))
	if f.Newest {
		slices.Reverse(ids)
	}
	var out []queue.Message
	for _, id := range ids {
		if len(out) == limit {
			break
		}
		if after != "" && (f.Newest && id >= after || !f.Newest && id <= after) || !passes(f, &s.messages[id].record) {
			continue
		}
		out = append(out, s.messages[id].record.Clone())
	}
	return out, nil
}

// passes reports whether a filter selects a message.
func passes(f queue.Filter, m *queue.Message) bool {
	if !f.Waiting && !f.Finished && !f.Captured && !f.Removed {
		return true
	}
	switch {
	case !m.Removed.IsZero():
		return f.Removed
	case m.Captured:
		return f.Captured
	case !m.Finished.IsZero():
		return f.Finished
	default:
		return f.Waiting
	}
}

// Expire implements queue.Store.
func (s *Store) Expire(old, trash time.Time, limit int) (n int, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, queue.ErrClosed
	}
	for id, m := range s.messages {
		over := false
		switch r := &m.record; {
		case !r.Removed.IsZero():
			over = r.Removed.Before(trash)
		case r.Captured:
			over = r.Accepted.Before(old)
		case !r.Finished.IsZero():
			over = r.Finished.Before(old)
		}
		if over && n < limit {
			s.remove(id)
			n++
		}
	}
	return n, nil
}

// SetNote implements queue.Store.
func (s *Store) SetNote(name, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	if text == "" {
		delete(s.notes, name)
	} else {
		s.notes[name] = text
	}
	return nil
}

// Notes implements queue.Store.
func (s *Store) Notes() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.notes)
}

// Stats implements queue.Store.
func (s *Store) Stats() queue.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	if first, ok := s.waiting.First(); ok {
		st.Oldest = s.messages[queue.ID(first.Key.ID())].record.Accepted
	}
	return st
}

// count counts a message in (n is 1) or out (-1).
func (s *Store) count(m *message, n int) {
	r := &m.record
	switch st := &s.stats; {
	case !r.Removed.IsZero():
		st.Removed += n
		st.Trash += int64(n * len(m.body))
	case r.Captured:
		st.Captured += n
	case !r.Finished.IsZero():
		st.Finished += n
	default:
		st.Waiting += n
		st.Bytes += int64(n * len(m.body))
		st.Records += int64(n) * r.RecordSize()
		if r.Held != "" || r.NextAttempt().IsZero() {
			st.Held += n
		}
		key := turns.KeyOf(string(r.ID), 0)
		if s.waiting.Remove(key); n > 0 {
			s.waiting.Add(turns.Slot{Due: r.Accepted.UnixNano(), Key: key})
		}
	}
}

// Check implements queue.Store.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	return nil
}

// Close ends the use of the store until Reopen. It returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Reopen gives all claims back, as a crash does.
func (s *Store) Reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = false
	for _, m := range s.claimed {
		clear(m.claims)
		s.schedule(m)
	}
	clear(s.claimed)
}
