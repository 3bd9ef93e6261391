package message

import (
	"bytes"
)

// endField decides on the field that ends at end.
func (s *scanner) endField(end int) {
	if s.field < 0 {
		return
	}
	raw := s.h.in[s.field:end]
	name := fieldName(raw)
	value := raw[bytes.IndexByte(raw, ':')+1:]
	switch len(name) {
	case len("Bcc"):
		if isName(name, "bcc") {
			return
		}
	case len("Date"): // and From
		s.date = s.date || isName(name, "date")
		if isName(name, "from") {
			if s.fromNobody(value) {
				return
			}
			s.from = true
			if s.in.trace.From != nil && s.replaceFrom(value) {
				return
			}
		}
	case len("Subject"):
		if s.in.facts.Subject == "" && isName(name, "subject") {
			s.in.facts.Subject = oneLine(value)
		}
	case len("Received"):
		if isName(name, "received") {
			s.received++
		}
	case len("Message-ID"): // and Resent-Bcc
		if isName(name, "resent-bcc") {
			return
		}
		if isName(name, "message-id") {
			if !s.messageID {
				s.in.facts.MessageID = bracketed(value)
			}
			s.messageID = true
		}
	case len("Return-Path"):
		if isName(name, "return-path") {
			return
		}
	}
	s.h.out = append(s.h.out, raw...)
}

// fromNobody reports whether a From field that is to be replaced names no one at all: it is empty,
// or "<>".
func (s *scanner) fromNobody(value []byte) bool {
	value = bytes.TrimSpace(value)
	return !s.in.trace.Author.Address.IsNull() && (len(value) == 0 || string(value) == "<>")
}

// replaceFrom writes another From field and keeps the value of the one that was there, if it is to
// be another.
func (s *scanner) replaceFrom(value []byte) bool {
	const longest = 900 // and one line stays one line (RFC 5322, 2.1.1)
	old := unfold(string(bytes.TrimSpace(value)))
	to, ok := s.in.trace.From(old)
	if !ok || len(old) > longest || len(to) > longest {
		return false
	}
	s.h.out = appendField(s.h.out, "From", to)
	s.h.out = appendField(s.h.out, "X-Original-From", old)
	return true
}

// isName compares a field name with one in small letters, of the same length.
func isName(name []byte, lower string) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// complete ends the header; the body begins at body in what was read.
func (s *scanner) complete(body int) error {
	if s.received > maxReceived {
		return ErrLoop
	}
	in, out := s.in, s.h.out
	if !s.date {
		at := in.trace.Time
		out = append(at.AppendFormat(append(out, "Date: "...), dateFormat), crlfBytes...)
	}
	if !s.messageID {
		in.facts.MessageID = "<" + in.trace.ID + "@" + in.trace.Domain + ">"
		out = appendField(out, "Message-ID", in.facts.MessageID)
	}
	if author := in.trace.Author; !s.from && !author.Address.IsNull() {
		out = appendField(out, "From", author.String())
	}
	if in.trace.Sender != "" {
		out = appendField(out, "X-Original-Sender", in.trace.Sender)
	}
	out = append(out, crlfBytes...)
	in.facts.HeaderSize = int64(len(out))
	in.facts.UTF8Header = hasHighBit(out)
	in.facts.EightBit = in.facts.UTF8Header
	for line := range bytes.SplitSeq(out, crlfBytes) {
		in.facts.LongestLine = max(in.facts.LongestLine, len(line))
	}
	s.h.out = out
	in.head, in.out, in.rest = s.h, out, s.h.in[body:]
	return nil
}
