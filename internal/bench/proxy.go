package main

import (
	"errors"
	"os"

	"dinkymail/internal/rig"
)

// smtprelaySide starts a proxy that keeps nothing: it answers a mail when the upstream has.
func smtprelaySide(dir string) (*side, func() error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{})
	if err != nil {
		return nil, nil, err
	}
	p, start, err := rig.NewSmtprelay(dir, sink.Addr())
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	s := &side{name: smtprelayName, addr: p.Addr, pid: p.PID(), start: start, sink: sink}
	if err := s.rest(); err != nil {
		return nil, nil, errors.Join(err, p.Close(), sink.Close())
	}
	return s, func() error { return errors.Join(p.Close(), sink.Close()) }, nil
}
