package relay

import (
	"bufio"
	"bytes"
	"errors"
)

var errBareLine = errors.New("the message has a CR or LF that stands alone; it was not sent")

// dotWriter writes a message as DATA wants it: a dot is put before each line that begins with one,
// the last line is ended, and ".\r\n" closes (RFC 5321, 4.5.2). It refuses a CR or LF that stands
// alone with errBareLine. Nothing after the line before it is ended then, so that the next hop can
// never find an end of the message where there is none. The zero value with w set is ready.
type dotWriter struct {
	w      *bufio.Writer
	inLine bool // the line has begun
	cr     bool // the last byte was CR; it is not written yet
}

func (d *dotWriter) Write(p []byte) (int, error) {
	total := len(p)
	if d.cr && len(p) > 0 {
		if p[0] != '\n' {
			return 0, errBareLine
		}
		d.w.WriteString("\r\n")
		d.cr, d.inLine, p = false, false, p[1:]
	}
	begun := 0 // p[begun:at] is checked and not written yet
	for at := 0; at < len(p); {
		if !d.inLine && p[at] == '.' {
			d.w.Write(p[begun:at])
			d.w.WriteByte('.')
			begun = at
		}
		cr := bytes.IndexByte(p[at:], '\r')
		line := p[at:]
		if cr >= 0 {
			line = p[at : at+cr]
		}
		if bytes.IndexByte(line, '\n') >= 0 {
			return 0, errBareLine
		}
		switch next := at + cr + 1; {
		case cr < 0:
			d.inLine, at = true, len(p)
		case next == len(p):
			d.inLine, d.cr = true, true
			_, err := d.w.Write(p[begun : next-1])
			return total, err
		case p[next] != '\n':
			return 0, errBareLine
		default:
			d.inLine, at = false, next+1
		}
	}
	_, err := d.w.Write(p[begun:])
	return total, err
}

// Close ends the message, but does not flush.
func (d *dotWriter) Close() error {
	if d.cr {
		return errBareLine
	}
	if d.inLine {
		d.w.WriteString("\r\n")
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}
