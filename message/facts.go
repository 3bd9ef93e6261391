package message

// Facts is what was learned of a mail while it came in, so that nobody has to read it again to
// route, list or downgrade it.
type Facts struct {
	Subject     string // decoded, one line, at most 200 characters
	MessageID   string // with its angle brackets
	EightBit    bool   // a byte above 127 stands in the header or the body
	UTF8Header  bool   // a byte above 127 stands in the header: needs SMTPUTF8 on the way (RFC 6532)
	LongestLine int    // in bytes, without CRLF
	HeaderSize  int64  // bytes up to and with the empty line
}
