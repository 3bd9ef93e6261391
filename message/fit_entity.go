package message

import (
	"bytes"
	"strings"
)

// entity decides about one entity.
func (p *planner) entity(c context) error {
	from := p.at
	raw, hasBody, err := p.header()
	if err != nil {
		return err
	}
	if p.parts++; len(raw) > 2*MaxHeader || p.parts > maxFitParts || c.depth > maxDepth {
		p.high = p.high || hasHighBit(raw)
		return p.opaque("its parts are nested more than %d levels deep, or their headers too large", maxDepth)
	}
	headEnd := from + int64(len(raw))
	if !hasBody && p.met >= 0 {
		headEnd = max(p.end, from)
		raw = raw[:headEnd-from]
	}
	h := entityHeader{raw: raw, hop: p.hop, charset: p.charset, sealed: c.sealed, mail: c.mail}
	h.read(c.kind)
	if c.mail && c.depth == 0 {
		p.charset = h.charset
	}
	c.sealed = c.sealed || h.signed
	p.keepTo(from)
	p.pieces = append(p.pieces, piece{from: from, to: headEnd}) // until it is known what the body needs
	p.done = headEnd
	at, before := len(p.pieces)-1, p.encoded
	if hasBody {
		c.sealed = c.sealed || h.isSMIME()
		if err := p.body(&h, c); err != nil {
			return err
		}
	}
	if p.encoded > before {
		h.encodedWithin()
	}
	text := h.fit()
	p.high = p.high || hasHighBit(text)
	if !bytes.Equal(text, raw) {
		p.pieces[at].text = text
	}
	return nil
}

// header reads up to the empty line, which is no part of it. hasBody is false when a delimiter or
// the end came before one.
func (p *planner) header() (raw []byte, hasBody bool, err error) {
	for {
		begins := !p.rest
		line, ok, err := p.line()
		if err != nil || !ok {
			return raw, false, err
		}
		if begins && len(bytes.TrimRight(line, "\r\n")) == 0 {
			return raw, true, nil
		}
		if raw = append(raw, line...); len(raw) > 2*MaxHeader {
			return raw, true, nil
		}
	}
}

// body decides about what stands behind a header.
func (p *planner) body(h *entityHeader, c context) error {
	switch {
	case h.kind == "multipart/signed" || h.kind == "multipart/encrypted":
		return p.opaque("it is signed or encrypted (%s), and would not be the same", h.kind)
	case h.encoding == quotedPrintable || h.encoding == base64Encoding:
		return p.recode(h, c)
	case h.encoding != "" && h.encoding != sevenBit && h.encoding != "8bit" && h.encoding != "binary":
		return p.opaque("a part of it is marked as %s and is not", printable(h.encoding, maxFieldName))
	case strings.HasPrefix(h.kind, "multipart/"):
		return p.multipart(h, c)
	case h.kind == "message/rfc822":
		return p.entity(context{kind: "text/plain", mail: true, sealed: c.sealed, depth: c.depth + 1})
	case strings.HasPrefix(h.kind, "message/"):
		return p.opaque("it has a part of type %s", printable(h.kind, maxFieldName))
	}
	return p.leaf(h, c)
}

// opaque leaves what comes as it is.
func (p *planner) opaque(reason string, args ...any) error {
	l, err := p.look()
	if err == nil && l.high && !p.hop.EightBit {
		err = undowngradable(reason, args...)
	}
	p.high = p.high || l.high
	return err
}

// tooLong reports whether l has to be changed for its lines.
func (p *planner) tooLong(l looks, c context) bool {
	return l.longest > maxLine && !p.hop.LongLines && !c.sealed && !l.pgp
}

// tooHigh reports whether l has to be changed for its bytes above 127.
func (p *planner) tooHigh(l looks) bool { return l.high && !p.hop.EightBit }

// leaf decides about what has no parts and is not encoded.
func (p *planner) leaf(h *entityHeader, c context) error {
	l, err := p.look()
	if err != nil {
		return err
	}
	if !p.tooHigh(l) && !p.tooLong(l, c) {
		p.high = p.high || l.high
		return nil
	}
	how, encoding := toBase64, base64Encoding
	if strings.HasPrefix(h.kind, "text/") && 2*l.odd <= (l.to-l.from)/3 {
		how, encoding = toQuotedPrintable, quotedPrintable
	}
	h.encodeAs(encoding)
	if !h.typed && h.kind == "text/plain" {
		h.add("Content-Type: text/plain; charset=" + l.charset() + "\r\n")
	}
	p.encode(l, how)
	p.encoded++
	return nil
}

// charset names the character set of text that came without a name: RFC 1428 has one for what
// nobody knows.
func (l looks) charset() string {
	switch {
	case !l.high:
		return "us-ascii"
	case !l.invalid:
		return "utf-8"
	}
	return "unknown-8bit"
}

// recode decides about what is encoded already, or says so.
func (p *planner) recode(h *entityHeader, c context) error {
	l, err := p.look()
	switch long, high := p.tooLong(l, c), p.tooHigh(l); {
	case err != nil:
		return err
	case h.encoding == base64Encoding && high:
		return undowngradable("a part of it is marked as base64 and is not")
	case h.encoding == base64Encoding && long:
		p.encode(l, rewrapBase64)
	case long || high:
		p.encode(l, rewrapQuotedPrintable)
	default:
		p.high = p.high || l.high
	}
	return nil
}

func (p *planner) encode(l looks, how coding) {
	p.keepTo(l.from)
	p.pieces = append(p.pieces, piece{from: l.from, to: l.to, how: how})
	p.done = l.to
}

// multipart decides about the parts. What stands before the first and behind the last is for
// nobody, and dropped if it does not fit.
func (p *planner) multipart(h *entityHeader, c context) error {
	if h.boundary == "" || !isASCII(h.boundary) {
		return p.opaque("a multipart in it has no boundary")
	}
	level := len(p.boundaries)
	p.boundaries = append(p.boundaries, h.boundary)
	l, err := p.look()
	if err != nil {
		return err
	}
	if p.met != level {
		p.boundaries = p.boundaries[:level]
		p.high = p.high || l.high
		if p.tooHigh(l) {
			return undowngradable("a multipart in it has no parts")
		}
		return nil
	}
	p.drop(l, max(l.from, p.end+int64(len(crlfBytes))), c)
	kind := "text/plain"
	if h.kind == "multipart/digest" {
		kind = "message/rfc822"
	}
	for p.met == level && !p.last {
		if err := p.entity(context{kind: kind, sealed: c.sealed, depth: c.depth + 1}); err != nil {
			return err
		}
	}
	p.boundaries = p.boundaries[:level]
	if p.met != level {
		return nil
	}
	if l, err = p.look(); err == nil {
		p.drop(l, l.to, c)
	}
	return err
}

// drop leaves out what is for nobody, up to there, if it does not fit.
func (p *planner) drop(l looks, to int64, c context) {
	if !p.tooHigh(l) && !p.tooLong(l, c) {
		p.high = p.high || l.high
		return
	}
	p.keepTo(l.from)
	p.done = to
}
