package sendmail

import (
	"bytes"
	"io"
)

// mbox writes a mail as it stands in a mailbox file: lines end in LF, and one that would look like
// the next mail's beginning has a > before it.
type mbox struct {
	to        io.Writer
	lineStart bool
	line      []byte
}

// Write writes the lines that are whole.
func (m *mbox) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		part := rest[:i+1]
		if i < 0 {
			part = rest
		}
		rest = rest[len(part):]
		m.line = append(m.line, part...)
		if i < 0 && len(m.line) < 64<<10 {
			break
		}
		if err := m.flush(i >= 0); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// flush writes the line, or the part of it that there is.
func (m *mbox) flush(whole bool) error {
	line := m.line
	if whole {
		line = append(bytes.TrimSuffix(line, []byte("\r\n")), '\n')
	}
	if m.lineStart && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		line = append([]byte(">"), line...)
	}
	m.lineStart, m.line = whole, m.line[:0]
	_, err := m.to.Write(line)
	return err
}
