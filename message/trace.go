package message

import "time"

// Trace says how a mail came to us: what its Received field tells (RFC 5321, 4.4).
type Trace struct {
	ID       string    // our queue ID
	By       string    // our host name
	Domain   string    // right-hand side of a Message-ID that we add
	Helo     string    // the name the client gave; empty for HTTP
	Client   string    // the client's IP address; empty when it was this process itself
	Protocol string    // "ESMTPSA", "SMTP", "HTTP" … (RFC 3848, RFC 6531)
	TLS      string    // version and cipher suite, empty without TLS
	User     string    // the authenticated account, empty without
	For      Address   // the recipient, only when there is exactly one
	Time     time.Time // of acceptance

	// Author is who a mail without From is from; the null address: it stays without.
	Author Mailbox
	// From says what the value of a From field becomes, and false when it stays. What it was is
	// kept in X-Original-From. Nil: every one stays.
	From func(value string) (string, bool)
	// Sender is the envelope's sender as the client gave it, when the mail goes out under another;
	// it is kept in X-Original-Sender. Empty otherwise.
	Sender string
}
