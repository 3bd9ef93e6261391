package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// mostState bounds what is read of a file that WriteState wrote, in bytes.
const mostState = 32 << 20

// ReadState reads the JSON in a file into the value at into. A file that is not there, or has no
// name, changes nothing.
func ReadState(file string, into any) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, mostState)).Decode(into)
}

// WriteState replaces a file, which is for its owner alone, by v in JSON. Whenever the machine
// stops, the old or the new one is there whole. One without a name is not written.
func WriteState(file string, v any) error {
	if file == "" {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	next := file + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(text, '\n'))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(next, file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
