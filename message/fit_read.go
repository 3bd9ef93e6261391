package message

import (
	"errors"
	"io"
)

// coding is how a piece of a mail is written.
type coding int

const (
	asIs coding = iota
	toQuotedPrintable
	toBase64
	rewrapQuotedPrintable // its lines are too long, or have bytes above 127
	rewrapBase64          // its lines are too long
)

// piece is a part of a mail, in the order of the mail: what stands from..to in the source, encoded,
// or text in its place.
type piece struct {
	from, to int64
	how      coding
	text     []byte // when it is not nil
}

// fitted reads the pieces one after the other.
type fitted struct {
	src    io.ReadSeeker
	pieces []piece

	next int    // piece
	out  []byte // of the current one, ready
	room []byte // that out may lie in
	left int64  // bytes of it that are still in the source
	enc  encoder
}

var errSeek = errors.New("a mail that was changed for the next hop is read from its beginning")

// Seek goes back to the beginning.
func (f *fitted) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errSeek
	}
	f.next, f.out, f.left, f.enc = 0, nil, 0, encoder{buf: f.enc.buf[:0]}
	return 0, nil
}

// Read implements io.Reader.
func (f *fitted) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(f.out) > 0:
			n := copy(p, f.out)
			f.out = f.out[n:]
			return n, nil
		case f.left > 0 && f.pieces[f.next-1].how == asIs:
			n, err := f.src.Read(p[:min(int64(len(p)), f.left)])
			f.left -= int64(n)
			if err == io.EOF && f.left > 0 {
				err = io.ErrUnexpectedEOF
			} else if err == io.EOF {
				err = nil
			}
			if n > 0 || err != nil {
				return n, err
			}
		case f.left > 0 || f.enc.pending():
			if err := f.encode(); err != nil {
				return 0, err
			}
		case f.next == len(f.pieces):
			return 0, io.EOF
		default:
			if err := f.begin(); err != nil {
				return 0, err
			}
		}
	}
}

// begin goes to the next piece.
func (f *fitted) begin() error {
	p := &f.pieces[f.next]
	f.next++
	if p.text != nil {
		f.out = p.text
		return nil
	}
	f.left = p.to - p.from
	f.enc = encoder{how: p.how, buf: f.enc.buf[:0]}
	_, err := f.src.Seek(p.from, io.SeekStart)
	return err
}

// encode reads some more of the source and encodes it. What it reads at once does not depend on how
// the source gives it, so that the mail is the same each time.
func (f *fitted) encode() error {
	if f.enc.buf == nil {
		f.enc.buf = make([]byte, 0, encodeChunk)
	}
	have := len(f.enc.buf)
	n := int(min(int64(encodeChunk-have), f.left))
	f.enc.buf = f.enc.buf[:have+n]
	if _, err := io.ReadFull(f.src, f.enc.buf[have:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	f.left -= int64(n)
	f.room = f.enc.encode(f.room[:0], f.left == 0)
	f.out = f.room
	return nil
}

// length is how many bytes all of it has.
func (f *fitted) length() (size int64, err error) {
	for i, p := range f.pieces {
		switch n := p.to - p.from; {
		case p.text != nil:
			size += int64(len(p.text))
		case p.how == asIs:
			size += n
		case p.how == toBase64:
			size += (n+2)/3*4 + (n+base64Line-1)/base64Line*int64(len(crlfBytes))
		default:
			one := fitted{src: f.src, pieces: f.pieces[i : i+1]}
			n, err := io.Copy(io.Discard, &one)
			if err != nil {
				return 0, err
			}
			size += n
		}
	}
	return size, nil
}
