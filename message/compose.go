package message

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"mime"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// dateFormat is RFC 5322's date-time with a numeric zone.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 -0700"

// WriteTo writes the Draft as RFC 5322 with MIME, in ASCII but for addresses whose local part is
// not, with lines of at most 78 characters wherever they can be folded, and returns how many bytes
// that took. Bcc is not written. Mail without a To or Cc is addressed to
// "undisclosed-recipients:;". A Draft that does not Validate is not written; the error is then
// Validate's. It can be one *DraftError or several joined.
//
// HTML always comes with a text for those who do not show HTML (multipart/alternative), with the
// files that it refers to (multipart/related); all other attachments stand behind both
// (multipart/mixed).
func (d Draft) WriteTo(w io.Writer) (int64, error) {
	if err := d.Validate(); err != nil {
		return 0, err
	}
	c := newComposer(w, d.messageID())
	c.draftHeader(d)
	c.draftBody(d)
	return c.close()
}

// composer writes a mail and remembers the first error.
type composer struct {
	*scratch
	out     io.Writer
	n       int64
	err     error
	id      string // Message-ID
	mark    string // what all boundaries of this mail begin with
	counter int
}

// scratch holds the buffers that a mail passes through. They go round, since every mail needs them.
type scratch struct {
	buf  []byte // what is written and has not gone out
	text []byte // a text whose encoding is being chosen
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	const kept = 64 << 10 // a rare giant should not stay
	if cap(s.buf) <= kept && cap(s.text) <= kept {
		s.buf, s.text = s.buf[:0], s.text[:0]
		scratches.Put(s)
	}
}

func newComposer(w io.Writer, messageID string) *composer {
	sum := sha256.Sum256([]byte(messageID))
	return &composer{
		scratch: scratches.Get().(*scratch),
		out:     w,
		id:      messageID,
		mark:    "=_" + hex.EncodeToString(sum[:10]) + "_",
	}
}

// close writes what is left. The composer is of no use afterwards.
func (c *composer) close() (int64, error) {
	c.write()
	c.release()
	c.scratch = nil
	return c.n, c.err
}

// flush writes what has gathered in buf, if that is worth a write.
func (c *composer) flush() {
	if len(c.buf) >= 16<<10 {
		c.write()
	}
}

func (c *composer) write() {
	if c.err == nil && len(c.buf) > 0 {
		var n int
		n, c.err = c.out.Write(c.buf)
		c.n += int64(n)
	}
	c.buf = c.buf[:0]
}

func (c *composer) field(name string, words ...string) { c.buf = appendField(c.buf, name, words...) }

func (c *composer) line(s string) { c.buf = append(append(c.buf, s...), "\r\n"...) }

func (c *composer) draftHeader(d Draft) {
	date := d.Date
	if date.IsZero() {
		date = time.Now()
	}
	c.field("Date", date.Format(dateFormat))
	c.field("From", d.From.words()...)
	if len(d.To) > 0 {
		c.field("To", mailboxWords(d.To)...)
	}
	if len(d.Cc) > 0 {
		c.field("Cc", mailboxWords(d.Cc)...)
	}
	if len(d.To)+len(d.Cc) == 0 {
		c.field("To", "undisclosed-recipients:;")
	}
	if len(d.ReplyTo) > 0 {
		c.field("Reply-To", mailboxWords(d.ReplyTo)...)
	}
	if subject := clean(d.Subject); subject != "" {
		c.field("Subject", textWords(subject, longWord)...)
	}
	c.field("Message-ID", c.id)
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		if value := clean(d.Headers[name]); value != "" {
			c.field(name, textWords(value, longest)...)
		} else {
			c.field(name)
		}
	}
	c.field("MIME-Version", "1.0")
}

func (c *composer) draftBody(d Draft) {
	var inline, attached []Attachment
	shown := d.mentioned()
	for _, a := range d.Attachments {
		if shown[a.ContentID] {
			inline = append(inline, a)
		} else {
			attached = append(attached, a)
		}
	}
	if len(attached) == 0 {
		c.words(d, inline)
		return
	}
	boundary := c.open("multipart/mixed")
	c.delimiter(boundary)
	c.words(d, inline)
	for _, a := range attached {
		c.delimiter(boundary)
		c.attachment(a, "attachment")
	}
	c.end(boundary)
}

// words writes the part of the mail that is read: text, or text and HTML.
func (c *composer) words(d Draft, inline []Attachment) {
	text := validUTF8(d.Text)
	if d.HTML == "" {
		c.readable("text/plain", text)
		return
	}
	markup := validUTF8(d.HTML)
	if text == "" {
		text = textOf(markup)
	}
	alternative := c.open("multipart/alternative")
	c.delimiter(alternative)
	c.readable("text/plain", text)
	c.delimiter(alternative)
	if len(inline) == 0 {
		c.readable("text/html", markup)
	} else {
		related := c.open("multipart/related", `type="text/html"`)
		c.delimiter(related)
		c.readable("text/html", markup)
		for _, a := range inline {
			c.delimiter(related)
			c.attachment(a, "inline")
		}
		c.end(related)
	}
	c.end(alternative)
}

// open writes the header of a multipart and returns its boundary. Neither quoted-printable nor
// base64 can hold "=_", and no text that does is written plainly, so no part can end its multipart.
func (c *composer) open(kind string, params ...string) string {
	c.counter++
	boundary := fmt.Sprint(c.mark, c.counter)
	c.contentType(kind, append([]string{`boundary="` + boundary + `"`}, params...)...)
	c.line("")
	return boundary
}

// delimiter begins the next part. The line end before it belongs to it.
func (c *composer) delimiter(boundary string) { c.line("\r\n--" + boundary) }

func (c *composer) end(boundary string) {
	c.line("\r\n--" + boundary + "--")
	c.flush()
}

func (c *composer) contentType(kind string, params ...string) {
	c.field("Content-Type", joinParams(kind, params)...)
}

func (c *composer) readable(kind, text string) {
	c.contentType(kind, "charset=utf-8")
	c.text = appendCRLF(c.text[:0], text)
	body, encoding := encodeText(c.text)
	c.field("Content-Transfer-Encoding", encoding)
	c.line("")
	c.buf = append(c.buf, body...)
	c.flush()
}

func (c *composer) attachment(a Attachment, disposition string) {
	kind, params, content := a.contentType(), []string(nil), a.Content
	kind, values, _ := mime.ParseMediaType(kind)
	plain := false
	if strings.HasPrefix(kind, "message/") {
		// RFC 2046, 5.2.1: a mail inside a mail must not be encoded. One that would need it travels
		// as a file.
		text := crlf(string(content))
		if plain = isASCII(text) && !strings.Contains(text, c.mark) && longestLine(text) <= maxLine; plain {
			content = []byte(text)
		} else {
			kind, values = "application/octet-stream", nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		params = append(params, paramWords(name, values[name])...)
	}
	c.contentType(kind, params...)
	var filename []string
	if name := a.basename(); name != "" {
		filename = paramWords("filename", name)
	}
	c.field("Content-Disposition", joinParams(disposition, filename)...)
	if a.ContentID != "" {
		c.field("Content-ID", "<"+a.ContentID+">")
	}
	if plain {
		c.field("Content-Transfer-Encoding", sevenBit)
		c.line("")
		c.buf = append(c.buf, content...)
		c.flush()
		return
	}
	c.field("Content-Transfer-Encoding", base64Encoding)
	c.line("")
	for chunk := range slices.Chunk(content, 57*256) {
		c.buf = appendBase64(c.buf, chunk)
		c.flush()
	}
}

func longestLine(text string) int {
	most := 0
	for line := range strings.SplitSeq(text, "\r\n") {
		most = max(most, len(line))
	}
	return most
}

// contentType is what the caller said or, failing that, what the file name says.
func (a Attachment) contentType() string {
	for _, kind := range []string{a.ContentType, mime.TypeByExtension(path.Ext(a.basename()))} {
		if k, _, err := mime.ParseMediaType(kind); err == nil && isMediaType(k) && !strings.HasPrefix(k, "multipart/") {
			return kind
		}
	}
	return "application/octet-stream"
}

// basename is the file name without directories, whichever system they come from.
func (a Attachment) basename() string {
	name := clean(a.Filename)
	return strings.Trim(name[strings.LastIndexAny(name, `/\`)+1:], " ")
}

// joinParams is a value with parameters as words to fold between.
func joinParams(value string, params []string) []string {
	words := append([]string{value}, params...)
	for i := range words[:len(words)-1] {
		words[i] += ";"
	}
	return words
}

// paramWords is one parameter: quoted when it is short and ASCII, else in the encoding and the
// pieces of RFC 2231. What looks like an encoded word is encoded too: many programs decode those in
// quotes, against RFC 2047, 5.
func paramWords(name, value string) []string {
	const room = 48
	value = clean(value)
	if isASCII(value) && len(value) <= room && !strings.Contains(value, "=?") {
		return []string{name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`}
	}
	var pieces []string
	piece := "utf-8''"
	for _, r := range value {
		encoded := percent(string(r))
		if len(piece)+len(encoded) > room {
			pieces = append(pieces, piece)
			piece = ""
		}
		piece += encoded
	}
	pieces = append(pieces, piece)
	if len(pieces) == 1 {
		return []string{name + "*=" + pieces[0]}
	}
	for i := range pieces {
		pieces[i] = fmt.Sprintf("%s*%d*=%s", name, i, pieces[i])
	}
	return pieces
}

// percent writes the attribute characters of RFC 2231, 7 as they are and all other bytes as %XX.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isLetterDigitHyphen(c) || c == '.' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
