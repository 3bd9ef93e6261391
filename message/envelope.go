package message

// Envelope is what the SMTP transaction says about a mail, apart from the mail itself: who sends
// it, to whom, and what the sender wants to be told (RFC 5321, RFC 3461). The zero From is the null
// reverse-path "<>".
type Envelope struct {
	From Address
	To   []Recipient
	UTF8 bool   // SMTPUTF8 was asked for (RFC 6531)
	Ret  string // "FULL", "HDRS" or "": how much of the mail a notification returns (RFC 3461, 4.3)
	ID   string // ENVID, decoded: the sender's own name for this transaction (RFC 3461, 4.4)
}

// Recipient is one forward-path with its DSN parameters. The zero Notify means that the sender said
// nothing, which RFC 3461 reads as: tell me of failures.
type Recipient struct {
	Address
	Notify Notify
	// Original is ORCPT as "addr-type;address", decoded; empty when it was not given (RFC 3461,
	// 4.2).
	Original string
}

// Notify is the set of NOTIFY keywords a recipient came with (RFC 3461, 4.1).
type Notify uint8

// The NOTIFY keywords. NotifyNever stands alone; the others combine.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// OnFailure reports whether the sender wants to hear that this recipient failed: yes unless told
// otherwise.
func (n Notify) OnFailure() bool { return n == 0 || n&NotifyFailure != 0 }

// OnSuccess reports whether the sender asked to hear of a delivery.
func (n Notify) OnSuccess() bool { return n&NotifySuccess != 0 }
