package message

import (
	"bytes"
	"strings"
)

// entityHeader is the header of a mail or of a part, and what becomes of it.
type entityHeader struct {
	raw     []byte
	hop     Hop
	charset string // of text in 8 bits: the entity's own, else that of the mail
	sealed  bool   // a signature covers all of it
	mail    bool   // it is that of a whole mail

	kind, encoding, boundary string // in small letters, but for the boundary
	typed                    bool   // there is a Content-Type
	signed                   bool   // there is a DKIM-Signature: it covers the body
	covered                  map[string]bool

	newEncoding string // in place of the one it has; empty: that stays
	more        []byte // fields to add
}

// read finds out what the header says of the body; otherwise is the type of one that does not say.
func (h *entityHeader) read(otherwise string) {
	h.kind = otherwise
	if value, ok := h.value("content-type"); ok {
		h.typed = true
		var params map[string]string
		if h.kind, params = mediaType(decodeBytes([]byte(value), h.charset)); h.kind == "" {
			h.kind = "text/plain" // RFC 2045, 5.2
		}
		h.boundary = params["boundary"]
		if params["charset"] != "" {
			h.charset = params["charset"]
		}
	}
	value, _ := h.value("content-transfer-encoding")
	h.encoding = token(value)
	if h.mail {
		h.readSignatures()
	}
}

func (h *entityHeader) value(name string) (string, bool) {
	_, _, ok := findField(h.raw, name)
	return fieldValue(h.raw, name), ok
}

// isSMIME reports whether the entity is an S/MIME message.
func (h *entityHeader) isSMIME() bool {
	return h.kind == "application/pkcs7-mime" || h.kind == "application/x-pkcs7-mime"
}

// readSignatures finds which fields DKIM (RFC 6376, 3.5) or ARC (RFC 8617, 4.1.2) covers. It does
// not matter which of several of one name: none of them is touched.
func (h *entityHeader) readSignatures() {
	for raw := range headerFields(h.raw) {
		name := strings.ToLower(string(fieldName(raw)))
		if name != "dkim-signature" && name != "arc-message-signature" {
			continue
		}
		h.signed = true
		if h.covered == nil {
			h.covered = map[string]bool{}
		}
		_, value, _ := strings.Cut(unfold(string(raw)), ":")
		for tag := range strings.SplitSeq(value, ";") {
			key, names, _ := strings.Cut(tag, "=")
			if strings.TrimSpace(key) != "h" {
				continue
			}
			for name := range strings.SplitSeq(names, ":") {
				h.covered[strings.ToLower(strings.TrimSpace(name))] = true
			}
		}
	}
}

// encodeAs says how the body is encoded now.
func (h *entityHeader) encodeAs(encoding string) { h.newEncoding = encoding }

// add adds a field, with its line end.
func (h *entityHeader) add(field string) { h.more = append(h.more, field...) }

// encodedWithin takes note that the entity, or a part of it, is encoded now.
func (h *entityHeader) encodedWithin() {
	if h.newEncoding == "" && !h.hop.EightBit && (h.encoding == "8bit" || h.encoding == "binary") {
		h.newEncoding = sevenBit
	}
	if _, ok := h.value("mime-version"); !ok && h.mail {
		h.add("MIME-Version: 1.0\r\n")
	}
}

// fit is the header as it goes out.
func (h *entityHeader) fit() []byte {
	if h.newEncoding == "" && len(h.more) == 0 && h.fits(h.raw) {
		return h.raw
	}
	out := make([]byte, 0, len(h.raw)+len(h.raw)/8)
	for raw := range headerFields(h.raw) {
		name := strings.ToLower(string(fieldName(raw)))
		switch {
		case name == "content-transfer-encoding" && h.newEncoding != "":
		case name == "" || h.fits(raw) || h.untouchable(name, raw):
			out = append(out, raw...)
		default:
			out = h.fitField(out, name, raw)
		}
	}
	if h.newEncoding == "" && len(h.more) == 0 {
		if !bytes.HasSuffix(h.raw, crlfBytes) {
			out = bytes.TrimSuffix(out, crlfBytes)
		}
		return out
	}
	if len(out) > 0 && !bytes.HasSuffix(out, crlfBytes) {
		out = append(out, crlfBytes...)
	}
	out = append(out, h.more...)
	if h.newEncoding != "" {
		out = appendField(out, "Content-Transfer-Encoding", h.newEncoding)
	}
	return out
}

// fits reports whether text of the header can go out as it is.
func (h *entityHeader) fits(raw []byte) bool { return !h.tooHigh(raw) && !h.tooLong(raw) }

func (h *entityHeader) tooHigh(raw []byte) bool { return !h.hop.UTF8 && hasHighBit(raw) }

func (h *entityHeader) tooLong(raw []byte) bool {
	if h.hop.LongLines || len(raw) <= maxLine {
		return false
	}
	for line := range bytes.Lines(raw) {
		if len(bytes.TrimRight(line, "\r\n")) > maxLine {
			return true
		}
	}
	return false
}

// untouchable reports whether a signature covers the field. In a part it gives way to a hop that
// takes no 8 bits.
func (h *entityHeader) untouchable(name string, raw []byte) bool {
	if h.sealed {
		return h.hop.EightBit || !hasHighBit(raw)
	}
	return h.covered[name] || name == "dkim-signature" || strings.HasPrefix(name, "arc-")
}

// fitField appends a field in the form that fits.
func (h *entityHeader) fitField(out []byte, name string, raw []byte) []byte {
	written, value, _ := bytes.Cut(raw, []byte(":"))
	written = bytes.TrimRight(written, " \t")
	if !h.tooHigh(raw) {
		return refold(out, name, raw)
	}
	text := clean(decodeBytes([]byte(unfold(string(value))), h.charset))
	return appendField(out, string(written), fieldWords(name, text)...)
}

// headerFields gives the fields of a header with their continuation lines and line ends. A line
// that is no field is one, too.
func headerFields(head []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(head) > 0 {
			end := lineLength(head)
			for end < len(head) && (head[end] == ' ' || head[end] == '\t') {
				end += lineLength(head[end:])
			}
			if !yield(head[:end]) {
				return
			}
			head = head[end:]
		}
	}
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

// findField finds the first field of that name, which is in small letters, with its continuation
// lines.
func findField(head []byte, name string) (start, end int, ok bool) {
	at := 0
	for raw := range headerFields(head) {
		if n := fieldName(raw); len(n) == len(name) && isName(n, name) {
			return at, at + len(raw), true
		}
		at += len(raw)
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
