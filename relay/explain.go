package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// ours reports whether the fault is in our message, and not with the next hop.
func (f *fault) ours() bool {
	var unread readError
	return errors.Is(f.err, errBareLine) || errors.As(f.err, &unread)
}

// advisedError is one about which the operator can do something.
type advisedError struct {
	error
	remedy string
}

func (e advisedError) Unwrap() error { return e.error }

// explain says in a sentence for the operator why there was no reply, and what can be done; the
// remedy is empty where the queue's general one will do.
func (f *fault) explain() (text, remedy string) {
	const anyCertificate = "set TLS_VERIFY=no to take any certificate"
	var (
		advised   advisedError
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case f.ours():
		return f.err.Error(), ""
	case errors.As(f.err, &advised):
		return f.err.Error(), advised.remedy
	case outdated(f.err):
		return f.err.Error() + ": the next hop offers no TLS newer than 1.1, or RSA key exchange alone, " +
			"and nothing that is taken here; whoever runs it must update it", ""
	case errors.As(f.err, &name) && len(name.Certificate.DNSNames)+len(name.Certificate.IPAddresses) == 0:
		return "wrong certificate: it names no host (no subject alternative name, and a common name does not count)",
			"whoever runs the next hop must make one that does, or " + anyCertificate
	case errors.As(f.err, &name):
		return "wrong certificate: " + name.Error(),
			"set SMTP_RELAY_HOST to a name in it, or TLS_VERIFY=no to take any certificate"
	case errors.As(f.err, &authority):
		return "wrong certificate: it is signed by an authority that this system does not know",
			"name a file with the authority's certificate in SMTP_RELAY_CA_FILE, or " + anyCertificate
	case errors.As(f.err, &invalid) && invalid.Reason == x509.Expired:
		return "wrong certificate: " + invalid.Error() + "; its owner must renew it, or this machine's clock is wrong",
			"TLS_VERIFY=no takes any certificate"
	case errors.As(f.err, &invalid):
		return "wrong certificate: " + invalid.Error(), "TLS_VERIFY=no takes any certificate"
	case errors.As(f.err, &record):
		return "the next hop does not speak TLS from the first byte; port 587 begins without", ""
	case errors.Is(f.err, os.ErrDeadlineExceeded) && f.stage != stageConnect:
		return "no answer within " + f.patience.Round(time.Millisecond).String() + f.where(), ""
	case errors.Is(f.err, io.EOF), errors.Is(f.err, io.ErrUnexpectedEOF),
		errors.Is(f.err, syscall.ECONNRESET), errors.Is(f.err, syscall.EPIPE):
		return "the next hop closed the connection" + f.where(), ""
	default:
		return f.err.Error() + f.where(), ""
	}
}

// sentence is the explanation with its remedy.
func (f *fault) sentence() string {
	text, remedy := f.explain()
	if remedy != "" {
		text += "; " + remedy
	}
	return text
}

// where is the stage in words, to stand at the end of a sentence.
func (f *fault) where() string {
	switch f.stage {
	case stageConnect:
		return ""
	case stageGreeting:
		return " before its greeting"
	case stageBody:
		if f.midst {
			return " in the midst of the message"
		}
		return " after the end of the message, and may have taken it"
	case stageData, stageMail, stageRcpt, stageEhlo, stageStartTLS, stageAuth:
		return " at the stage " + f.stage
	default:
		return ""
	}
}

// outdated reports whether a handshake failed because the two sides have no version or cipher of TLS in common. crypto/tls has no
// type for what the other side's alerts mean.
func outdated(err error) bool {
	if err == nil {
		return false
	}
	for _, words := range []string{"tls: handshake failure", "tls: protocol version not supported", "tls: insufficient security level",
		"selected unsupported protocol version", "chose an unconfigured cipher suite"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}
