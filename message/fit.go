package message

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrCannotDowngrade is what every *DowngradeError is.
var ErrCannotDowngrade = errors.New("message cannot be changed to 7-bit")

// DowngradeError says why a mail cannot be sent to a next hop without 8BITMIME.
type DowngradeError struct{ Reason string }

// Error says what stands in the way.
func (e *DowngradeError) Error() string { return "cannot be changed to 7-bit: " + e.Reason }

// Is makes every DowngradeError an ErrCannotDowngrade.
func (e *DowngradeError) Is(target error) bool { return target == ErrCannotDowngrade }

func undowngradable(format string, args ...any) error {
	return &DowngradeError{Reason: fmt.Sprintf(format, args...)}
}

// Hop says what may be sent to a next hop. The zero value is a server that knows nothing but what
// RFC 5322 asks for.
type Hop struct {
	EightBit  bool // it offers 8BITMIME (RFC 6152)
	UTF8      bool // SMTPUTF8 is used: header text in 8 bits stays as it is (RFC 6532)
	LongLines bool // lines beyond 998 bytes stay as they are
}

// Fitted is a mail as a next hop takes it. Body can be read any number of times, each time after
// Seek to its start, the only place it seeks to. EightBit: a byte above 127 is left in it.
type Fitted struct {
	Body     io.ReadSeeker
	Size     int64
	EightBit bool
}

// Fit returns the mail r, which Accept has let through, f is about and size bytes long, as one that
// hop takes. Mail that needs no change, which is nearly all, is returned as it is; of that at most
// its header is read.
//
//   - Header text in 8 bits becomes encoded words (RFC 2047), MIME parameters take the form of RFC
//     2231, domains become A-labels, and an address with a local part beyond ASCII becomes the text
//     that RFC 6857, 3.1.7 wants: a group without members whose name it is. The text is UTF-8 where
//     it is valid, else in the charset that the Content-Type beside it names, else Windows-1252.
//     That goes for the headers of parts too.
//   - Parts with lines beyond 998 bytes, and for a hop without 8BITMIME parts with bytes above 127,
//     are encoded as quoted-printable or base64, and decode to the same bytes as before. Long lines
//     of a part that is encoded already are broken. A body without a Content-Type becomes
//     text/plain, as UTF-8 when it is that.
//   - Header lines beyond 998 bytes are folded where there is white space, or behind a comma
//     between addresses; in the fields that are text for people a longer word becomes encoded
//     words. Other long words stay.
//
// What is signed stays as it is: the fields that a DKIM-Signature names, and the body then;
// multipart/signed and multipart/encrypted; S/MIME, and text with PGP's armour; a message/* other
// than message/rfc822. Bytes above 127 that have to stay in a header are sent as they are. Only a
// body in 8 bits is changed in spite of DKIM where the hop has no 8BITMIME, which its signer had to
// foresee (RFC 6376, 5.3); where such a body is signed in another way, or cannot be read, Fit fails
// with a *DowngradeError.
//
// Memory does not depend on the size of the mail but for its header and the number of parts. Parts
// beyond maxFitParts stay.
func Fit(r io.ReadSeeker, size int64, f Facts, hop Hop) (Fitted, error) {
	ready, err := hop.takes(r, f)
	if err != nil {
		return Fitted{}, err
	}
	if ready {
		_, err := r.Seek(0, io.SeekStart)
		return Fitted{Body: r, Size: size, EightBit: f.EightBit}, err
	}
	return plan(r, hop)
}

// takes reports whether a mail needs no change.
func (hop Hop) takes(r io.ReadSeeker, f Facts) (bool, error) {
	switch {
	case f.LongestLine > maxLine && !hop.LongLines, f.EightBit && !hop.EightBit, f.UTF8Header && !hop.UTF8:
		return false, nil
	case !f.EightBit || hop.UTF8:
		return true, nil
	case f.HeaderSize <= 0 || f.HeaderSize > 2*MaxHeader: // nobody counted, so nobody looked
		return true, nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	head := make([]byte, f.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return false, err
	}
	// The body has bytes above 127. They may stand in the headers of its parts.
	kind := strings.ToLower(fieldValue(head, "content-type"))
	return !strings.HasPrefix(kind, "multipart/") && !strings.HasPrefix(kind, "message/"), nil
}
