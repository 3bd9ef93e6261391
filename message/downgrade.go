package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
)

// MaxDowngrade is the largest mail, in bytes, that Downgrade works on; it does so in memory.
const MaxDowngrade = 8 << 20

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

// Downgrade returns the mail r, which Accept has let through and f is about, as one that a next hop without 8BITMIME takes
// (RFC 6152, 3), and its size: parts with bytes above 127 or lines beyond 998 bytes are encoded as quoted-printable or base64 and
// decode to the same bytes as before. Multiparts keep their boundaries, and mail inside the mail is treated likewise. A body
// without a Content-Type becomes text/plain, as UTF-8 when it is that. Mail that needs none of this is returned as it is.
//
// It is refused with a *DowngradeError when it is larger than MaxDowngrade, has bytes above 127 in a header (RFC 6532 mail goes
// to servers with SMTPUTF8 only), or would change inside a multipart/signed or multipart/encrypted or a message/* other than
// message/rfc822. A DKIM signature over the body does not survive, which its signer had to foresee (RFC 6376, 5.3).
func Downgrade(r io.ReadSeeker, f Facts) (io.ReadSeeker, int64, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, 0, err
	}
	switch {
	case !f.EightBit && f.LongestLine <= maxLine:
		return r, size, nil
	case f.UTF8Header:
		return nil, 0, undowngradable("its header is not ASCII")
	case size > MaxDowngrade:
		return nil, 0, undowngradable("it is larger than %d bytes", MaxDowngrade)
	}
	raw, err := io.ReadAll(io.LimitReader(r, MaxDowngrade))
	if err != nil {
		return nil, 0, err
	}
	d := downgrader{out: make([]byte, 0, len(raw)+len(raw)/4)}
	if err := d.mail(raw, 0); err != nil {
		return nil, 0, err
	}
	return bytes.NewReader(d.out), int64(len(d.out)), nil
}

// downgrader writes the entities of a mail (RFC 2045, 2.4) one behind the other.
type downgrader struct{ out []byte }

// fits reports whether b can go over a 7-bit hop as it is.
func fits(b []byte) bool {
	if hasHighBit(b) {
		return false
	}
	for line := range bytes.SplitSeq(b, crlfBytes) {
		if len(line) > maxLine {
			return false
		}
	}
	return true
}

// mail changes a whole mail, which must say that it has MIME.
func (d *downgrader) mail(raw []byte, depth int) error {
	head, body := splitEntity(raw)
	if _, _, ok := findField(head, "mime-version"); !ok && !fits(raw) {
		raw = bytes.Join([][]byte{head, []byte("MIME-Version: 1.0\r\n\r\n"), body}, nil)
	}
	return d.entity(raw, "text/plain", depth)
}

// entity changes one entity; it is of type otherwise unless it says so itself.
func (d *downgrader) entity(raw []byte, otherwise string, depth int) error {
	if fits(raw) {
		d.out = append(d.out, raw...)
		return nil
	}
	if depth > maxDepth {
		return undowngradable("its parts are nested more than %d levels deep", maxDepth)
	}
	head, body := splitEntity(raw)
	if !fits(head) {
		return undowngradable("a header in it is not ASCII, or has a line beyond %d bytes", maxLine)
	}
	encoding := strings.ToLower(fieldValue(head, "content-transfer-encoding"))
	kind, params, err := mime.ParseMediaType(fieldValue(head, "content-type"))
	if _, _, typed := findField(head, "content-type"); !typed {
		kind, params, err = otherwise, nil, nil
		if kind == "text/plain" {
			head = append(head[:len(head):len(head)], "Content-Type: text/plain; charset="+charsetOf(body)+"\r\n"...)
		}
	}
	switch {
	case err != nil:
		return undowngradable("a Content-Type in it cannot be read")
	case encoding != "" && encoding != sevenBit && encoding != "8bit" && encoding != "binary":
		return undowngradable("a part of it is marked as %s and is not", printable(encoding, maxFieldName))
	case kind == "multipart/signed" || kind == "multipart/encrypted":
		return undowngradable("it is signed or encrypted (%s), and would not be the same", kind)
	case strings.HasPrefix(kind, "multipart/"):
		d.head(head, sevenBit)
		return d.multipart(body, kind, params["boundary"], depth)
	case kind == "message/rfc822":
		d.head(head, sevenBit)
		return d.mail(body, depth+1)
	case strings.HasPrefix(kind, "message/"):
		return undowngradable("it has a part of type %s", kind)
	}
	d.leaf(head, body, kind)
	return nil
}

// leaf encodes what has no parts.
func (d *downgrader) leaf(head, body []byte, kind string) {
	if strings.HasPrefix(kind, "text/") {
		encoded, encoding := encodeBytes(nil, body)
		d.head(head, encoding)
		d.out = append(d.out, encoded...)
		return
	}
	d.head(head, base64Encoding)
	d.out = appendBase64(d.out, body)
}

// head writes a header with its encoding changed, and the empty line.
func (d *downgrader) head(head []byte, encoding string) {
	const name = "content-transfer-encoding"
	for start, end, ok := findField(head, name); ok; start, end, ok = findField(head, name) {
		d.out = append(d.out, head[:start]...)
		head = head[end:]
	}
	d.out = append(d.out, head...)
	d.out = append(appendField(d.out, "Content-Transfer-Encoding", encoding), crlfBytes...)
}

// multipart changes the parts. What stands before the first and behind the last is for nobody, and dropped if it does not fit.
func (d *downgrader) multipart(body []byte, kind, boundary string, depth int) error {
	if boundary == "" || !isASCII(boundary) {
		return undowngradable("a multipart in it has no boundary")
	}
	otherwise := "text/plain"
	if kind == "multipart/digest" {
		otherwise = "message/rfc822"
	}
	start, parts, closed := 0, 0, false // of what lies before the next delimiter
	for at := 0; at < len(body) && !closed; {
		end := at + lineLength(body[at:])
		delimiter, last := isDelimiter(body[at:end], boundary)
		if delimiter {
			if err := d.part(body[start:at], otherwise, parts, depth); err != nil {
				return err
			}
			d.out = append(d.out, body[at:end]...)
			start, closed = end, last
			parts++
		}
		at = end
	}
	switch {
	case parts == 0:
		return undowngradable("a multipart in it has no parts")
	case closed:
		if rest := body[start:]; fits(rest) {
			d.out = append(d.out, rest...)
		}
		return nil
	}
	return d.entity(body[start:], otherwise, depth+1)
}

// part changes what stands before a delimiter: the line end in front of that is the delimiter's (RFC 2046, 5.1.1).
func (d *downgrader) part(raw []byte, otherwise string, before, depth int) error {
	if before == 0 {
		if fits(raw) {
			d.out = append(d.out, raw...)
		}
		return nil
	}
	content, ended := bytes.CutSuffix(raw, crlfBytes)
	if err := d.entity(content, otherwise, depth+1); err != nil {
		return err
	}
	if ended {
		d.out = append(d.out, crlfBytes...)
	}
	return nil
}

func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func isDelimiter(line []byte, boundary string) (delimiter, last bool) {
	rest, ok := bytes.CutPrefix(line, []byte("--"))
	if !ok {
		return false, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(boundary)); !ok {
		return false, false
	}
	if tail, ok := bytes.CutPrefix(rest, []byte("--")); ok {
		rest, last = tail, true
	}
	return len(bytes.Trim(rest, " \t\r\n")) == 0, last
}

// splitEntity splits an entity at the empty line behind its header, which belongs to neither.
func splitEntity(raw []byte) (head, body []byte) {
	if body, ok := bytes.CutPrefix(raw, crlfBytes); ok {
		return nil, body
	}
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		return raw[:i+2], raw[i+4:]
	}
	if !bytes.HasSuffix(raw, crlfBytes) {
		raw = append(raw[:len(raw):len(raw)], crlfBytes...)
	}
	return raw, nil
}

// findField finds the first field of that name, which is in small letters, with its continuation lines.
func findField(head []byte, name string) (start, end int, ok bool) {
	for at := 0; at < len(head); {
		next := at + lineLength(head[at:])
		for next < len(head) && (head[next] == ' ' || head[next] == '\t') {
			next += lineLength(head[next:])
		}
		if n := fieldName(head[at:next]); len(n) == len(name) && isName(n, name) {
			return at, next, true
		}
		at = next
	}
	return 0, 0, false
}

// fieldValue is the value of the first field of that name, unfolded; "" without one.
func fieldValue(head []byte, name string) string {
	start, end, ok := findField(head, name)
	if !ok {
		return ""
	}
	_, value, _ := strings.Cut(string(head[start:end]), ":")
	return strings.TrimSpace(unfold(value))
}

// charsetOf names the character set of text that came without a name: RFC 1428 has one for what nobody knows.
func charsetOf(text []byte) string {
	switch {
	case !hasHighBit(text):
		return "us-ascii"
	case bytes.Equal(bytes.ToValidUTF8(text, nil), text):
		return "utf-8"
	}
	return "unknown-8bit"
}
