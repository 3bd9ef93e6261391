// Package message knows what mail is made of: addresses, envelopes, and the text of RFC 5322 with
// its MIME parts. It writes mail from a [Draft], takes in mail that others wrote ([Accept]), writes
// delivery reports ([Bounce]), reads mail for people to look at ([Read]), and makes mail fit for
// what a next hop takes ([Fit]).
//
// # What it promises
//
//   - What a [Draft] holds can never become a header field, a recipient or a MIME part that nobody
//     asked for. Control characters become spaces or are refused; there is no way to write a raw
//     line.
//   - What [Accept] lets through has no NUL, no CR without LF and no LF without CR, so that no
//     server behind us can see another end of the mail than we did. Apart from the fields it names,
//     it changes no byte.
//   - Bcc is in no mail that leaves this package.
//   - An [Address] that came out of [ParseAddress] can be written into an SMTP command as it is.
//   - Reading is bounded: a hostile mail costs time in proportion to its size, whatever its
//     nesting.
//
// # Limits
//
// A header has at most [MaxHeader] bytes, an address 498 octets, so that it fits on a command line
// of SMTP. [Read] looks at 50 levels and 1,000 parts. [Fit] changes at most 10,000 parts of a mail.
//
// # Who runs where
//
// Nothing here starts a goroutine or keeps state between calls; values may be used from one
// goroutine at a time.
package message
