package smtp

import "io"

// dataReader reads the body of DATA straight from the talk, which finds its end in any case. go-smtp's reader looks at each byte
// by itself, which costs more than anything else that is done with a mail here. It belongs to the connection's goroutine.
type dataReader struct {
	talk *talk
	at   ending
}

// Read gives the body as it was before it was made fit for SMTP.
func (d *dataReader) Read(p []byte) (int, error) {
	for len(p) > 0 && d.at != bodyEnded {
		n, err := d.talk.Read(p)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the body has an end of its own
		}
		if err != nil {
			return 0, err
		}
		if n = d.at.unstuff(p[:n]); n > 0 {
			return n, nil
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, io.EOF
}

// leave passes over what nobody has read, and gives go-smtp, which is about to read the rest, an empty body. Where the connection
// has ended, go-smtp will see that.
func (d *dataReader) leave() {
	if _, err := io.Copy(io.Discard, d); err == nil {
		d.talk.pass = append(d.talk.pass[:0], ".\r\n"...)
		d.talk.ready = d.talk.pass
	}
}
