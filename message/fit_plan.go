package message

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"
)

const (
	// maxFitParts is how many parts of a mail Fit changes.
	maxFitParts = 10_000
	// planBuffer is how much of a line is looked at, at once; delimiters and lines of a header are
	// much shorter.
	planBuffer = 32 << 10
)

// planner reads a mail once, from front to back, and decides what becomes of each of its entities
// (RFC 2045, 2.4).
type planner struct {
	hop     Hop
	charset string // that the mail's own Content-Type names
	src     *bufio.Reader
	at      int64 // bytes of the source that were read
	rest    bool  // the line that is read has more

	boundaries []string // of the multiparts around what is read
	met        int      // index of that whose delimiter ended what was read; -1: the mail is over
	last       bool     // it was the closing one
	end        int64    // of what was read, without the line end that is the delimiter's

	pieces  []piece
	done    int64 // up to here the source is in pieces
	parts   int
	encoded int  // bodies whose encoding is another now
	high    bool // a byte above 127 stays
}

// context is what surrounds an entity.
type context struct {
	kind   string // of one that does not say
	mail   bool   // it is a whole mail, ours or one inside it
	sealed bool   // a DKIM signature covers it
	depth  int
}

// plan decides about the mail r.
func plan(r io.ReadSeeker, hop Hop) (Fitted, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Fitted{}, err
	}
	p := planner{hop: hop, src: bufio.NewReaderSize(r, planBuffer)}
	if err := p.entity(context{kind: "text/plain", mail: true}); err != nil {
		return Fitted{}, err
	}
	p.keepTo(p.at)
	f := &fitted{src: r, pieces: p.pieces}
	size, err := f.length()
	if err != nil {
		return Fitted{}, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return Fitted{Body: f, Size: size, EightBit: p.high}, err
}

// keepTo leaves the source as it is up to there.
func (p *planner) keepTo(to int64) {
	if to > p.done {
		p.pieces = append(p.pieces, piece{from: p.done, to: to})
		p.done = to
	}
}

// line reads a line, or of a long one as much as the buffer holds; rest says that it goes on. It is
// false at a delimiter of a multipart around, which is read, and at the end.
func (p *planner) line() ([]byte, bool, error) {
	begins := !p.rest
	line, err := p.src.ReadSlice('\n')
	p.rest = err == bufio.ErrBufferFull
	if err != nil && err != io.EOF && !p.rest {
		return nil, false, err
	}
	if len(line) == 0 {
		p.met, p.end = -1, p.at
		return nil, false, nil
	}
	from := p.at
	p.at += int64(len(line))
	if begins && !p.rest && bytes.HasPrefix(line, []byte("--")) {
		for i, boundary := range p.boundaries {
			if delimiter, last := isDelimiter(line, boundary); delimiter {
				p.met, p.last, p.end = i, last, from-int64(len(crlfBytes))
				return nil, false, nil
			}
		}
	}
	return line, true, nil
}

// looks is what was seen of a stretch of the source.
type looks struct {
	from, to int64
	longest  int // line
	high     bool
	odd      int64 // see countOdd
	invalid  bool  // it is not UTF-8
	pgp      bool  // it is signed or encrypted in itself
}

// pgpBytes begin the armour of OpenPGP (RFC 9580, 6.2).
var pgpBytes = []byte("-----BEGIN PGP ")

// look reads up to the next delimiter.
func (p *planner) look() (l looks, err error) {
	l.from = p.at
	length := 0
	var torn, text []byte // the beginning of a character, and what it goes on with
	for {
		begins := !p.rest
		line, ok, err := p.line()
		if err != nil || !ok {
			l.to = max(p.end, l.from)
			l.invalid = l.invalid || len(torn) > 0
			return l, err
		}
		if hasHighBit(line) {
			l.high = true
		}
		l.pgp = l.pgp || begins && bytes.HasPrefix(line, pgpBytes)
		l.odd += int64(countOdd(line))
		length += len(bytes.TrimRight(line, "\r\n"))
		l.longest = max(l.longest, length)
		if !p.rest {
			length = 0
		}
		if l.high && !l.invalid {
			if len(torn) > 0 {
				text = append(append(text[:0], torn...), line...)
				line = text
			}
			n := wholeRunes(line)
			l.invalid = !utf8.Valid(line[:n])
			torn = append(torn[:0], line[n:]...)
		}
	}
}

// wholeRunes is the length of b without the beginning of a character at its end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
