package message

import (
	"strings"
	"time"
)

// appendReceived writes the trace field of RFC 5321, 4.4. Nothing that a client said can leave its
// place in it.
func (t *Trace) appendReceived(dst []byte) []byte {
	dst = append(dst, "Received:"...)
	literal := t.Client
	if strings.IndexByte(literal, ':') >= 0 {
		literal = "IPv6:" + literal
	}
	switch {
	case t.Helo != "" && t.Client != "":
		dst = appendHelo(append(dst, " from "...), t.Helo)
		dst = append(appendTrace(append(dst, " (["...), literal), "])\r\n"...)
	case t.Client != "":
		dst = append(appendTrace(append(dst, " from ["...), literal), "]\r\n"...)
	case t.Helo != "":
		dst = append(appendHelo(append(dst, " from "...), t.Helo), "\r\n"...)
	}
	if t.User != "" {
		dst = append(appendTrace(append(dst, " (authenticated as "...), t.User), ")\r\n"...)
	}
	dst = appendTrace(append(dst, " by "...), t.By)
	dst = append(dst, " (Dinkymail)"...)
	if t.Protocol != "" {
		dst = appendTrace(append(dst, " with "...), t.Protocol)
	}
	dst = appendTrace(append(dst, " id "...), t.ID)
	if version, cipher, both := strings.Cut(t.TLS, " "); version != "" {
		dst = appendTrace(append(dst, "\r\n ("...), version)
		if both {
			dst = appendTrace(append(dst, ' '), cipher)
		}
		dst = append(dst, ')')
	}
	if t.For.Domain != "" && !t.For.NeedsUTF8() {
		dst = append(append(append(dst, "\r\n for <"...), t.For.String()...), '>')
	}
	at := t.Time
	if at.IsZero() {
		at = time.Now()
	}
	dst = at.AppendFormat(append(dst, ";\r\n "...), dateFormat)
	return append(dst, "\r\n"...)
}

// appendHelo appends a name as a client said it. An address literal keeps its brackets (RFC 5321,
// 4.1.3).
func appendHelo(dst []byte, s string) []byte {
	last := len(s) - 1
	if last < 2 || s[0] != '[' || s[last] != ']' {
		return appendTrace(dst, s)
	}
	return append(appendTrace(append(dst, '['), s[1:last]), ']')
}

// maxTrace bounds what one value takes in the Received field.
const maxTrace = 255

// appendTrace appends s with everything replaced that means something in a Received field, or is
// not printable ASCII.
func appendTrace(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "unknown"...)
	}
	for i := range min(len(s), maxTrace) {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`()<>[]\;,"`, c) >= 0 {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}
