package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"dinkymail/message"
	"dinkymail/queue"
)

// Cat writes the mail, or a part of it, byte for byte.
func (l *Local) Cat(_ context.Context, id queue.ID, part string, w io.Writer) error {
	m, err := l.get(id)
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

// write writes a part of a mail.
func write(w io.Writer, mail io.ReadSeeker, part string) error {
	if part != "raw" {
		header, err := readHeader(mail)
		if err != nil {
			return err
		}
		if part == "headers" {
			_, err = w.Write(header)
			return err
		}
		if _, err := mail.Seek(int64(len(header)), io.SeekStart); err != nil {
			return err
		}
		if err := skipLine(mail); err != nil {
			return err
		}
	}
	_, err := io.Copy(w, mail)
	return err
}

// readHeader reads a mail's header with the line ends of its fields, but without the empty line behind it. What Accept let in
// has a header of at most message.MaxHeader bytes, to which it added its own fields.
func readHeader(r io.Reader) ([]byte, error) {
	const most = message.MaxHeader + 64<<10
	var b []byte
	chunk := make([]byte, 16<<10)
	for len(b) < most {
		n, err := r.Read(chunk)
		from := max(0, len(b)-3)
		b = append(b, chunk[:n]...)
		if i := endOfHeader(b[from:]); i >= 0 {
			return b[:from+i], nil
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// endOfHeader is where the empty line begins; -1 when there is none.
func endOfHeader(b []byte) int {
	for i := 0; i+3 < len(b); i++ {
		if b[i] == '\r' && b[i+1] == '\n' && b[i+2] == '\r' && b[i+3] == '\n' {
			return i + 2
		}
	}
	return -1
}

// skipLine skips the empty line between header and body, if it is there.
func skipLine(r io.Reader) error {
	var end [2]byte
	_, err := io.ReadFull(r, end[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
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
	_, err := w.Write(bytes.Join(newest.lines[max(0, len(newest.lines)-lines):], nil))
	return err
}

// mostLogLines bounds how many of the newest log lines are shown at once.
const mostLogLines = 10_000

// lastLines keeps at least as many of the lines last written to it, of which each Write is one.
type lastLines struct {
	most  int
	lines [][]byte
}

// Write takes in one line.
func (l *lastLines) Write(line []byte) (int, error) {
	if len(l.lines) == 2*l.most { // so that each line is moved once
		l.lines = slices.Delete(l.lines, 0, l.most)
	}
	l.lines = append(l.lines, bytes.Clone(line))
	return len(line), nil
}
