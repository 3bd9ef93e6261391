package operate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"dinkymail/queue"
)

// Cat writes the mail, or a part of it, byte for byte.
func (l *Local) Cat(_ context.Context, id queue.ID, part string, w io.Writer) error {
	m, err := get(l.queue, id)
	if err != nil {
		return told(err)
	}
	body, err := l.queue.Body(m.ID)
	if errors.Is(err, queue.ErrNotFound) {
		return Refuse(CodeNotFound, "The mail "+string(m.ID)+" is "+string(m.State())+", so its text is gone; its record is kept.")
	}
	if err != nil {
		return told(err)
	}
	defer body.Close()
	return told(write(w, body, part))
}

// write writes a part of a mail: the header up to the empty line behind it, or what stands behind
// that line.
func write(w io.Writer, mail io.Reader, part string) error {
	in := bufio.NewReader(mail)
	for begins := true; part != "raw"; {
		line, err := in.ReadSlice('\n')
		if begins && string(line) == "\r\n" || errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		begins = err == nil
		if part == "headers" {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
	}
	if part == "headers" {
		return nil
	}
	_, err := io.Copy(w, in)
	return err
}

// Log writes the lines of the kept log that name a message.
func (l *Local) Log(ctx context.Context, id string, w io.Writer) error {
	if l.parts.Log == nil {
		return Refuse(CodeNotFound, "The appliance keeps no log of its own: look where its standard error goes, "+
			"such as journalctl -u dinkymail.")
	}
	return told(l.parts.Log.Search(ctx, id, w))
}

// NewestLog writes the newest lines of the kept log.
func (l *Local) NewestLog(ctx context.Context, lines int, w io.Writer) error {
	if l.parts.Log != nil && (lines < 1 || lines > mostLogLines) {
		return Malformed(fmt.Sprintf("the parameter id is missing, or lines with a number from 1 to %d.", mostLogLines))
	}
	newest := lastLines{most: lines}
	if err := l.Log(ctx, "", &newest); err != nil {
		return err
	}
	_, err := w.Write(bytes.Join(newest.lines, nil))
	return err
}

// mostLogLines bounds how many of the newest log lines are shown at once.
const mostLogLines = 10_000

// lastLines keeps the lines last written to it, of which each Write is one.
type lastLines struct {
	most  int
	lines [][]byte
}

// Write takes in one line.
func (l *lastLines) Write(line []byte) (int, error) {
	l.lines = append(l.lines[max(0, len(l.lines)+1-l.most):], bytes.Clone(line))
	return len(line), nil
}
