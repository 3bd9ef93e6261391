package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// TryDataDir tries whether this process could write to DATA_DIR, or make it. The error is a
// [Problem]. It is not part of Load: who only asks about settings need not be the user who runs the
// appliance.
func (s *Settings) TryDataDir() error {
	p := &Problem{Variable: "DATA_DIR", Value: s.DataDir}
	for _, r := range s.rows {
		if r.Name == p.Variable && r.Source != "default" {
			p.Source = r.Source
		}
	}
	dir := s.DataDir
	info, err := os.Stat(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	switch {
	case err != nil:
	case !info.IsDir():
		p.Reason, p.Remedy = dir+" is no directory", "name another place, or move that file elsewhere"
		return p
	default:
		err = tryWriting(dir)
	}
	if err == nil {
		return nil
	}
	p.Reason = "nothing can be written to " + dir + ": " + reason(err)
	p.Remedy = "give the user that runs dinkymail the right to, and run this check as that user; or name another place"
	return p
}

// tryWriting makes a file in dir and takes it away again.
func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".dinkymail-check-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
