package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
)

// issue is a certificate for name, and the same as a server has it.
func issue(t *testing.T, ca *smtptest.CA, name string) (*Own, *x509.Certificate) {
	t.Helper()
	cert, key, err := smtptest.PEMFiles(ca.Certificate(name))
	if err != nil {
		t.Fatal(err)
	}
	own, err := Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return own, own.Leaf()
}

// A certificate that was read again is used from the next handshake on; one without its key is
// none.
func TestCertificateIsReplaced(t *testing.T) {
	ca := smtptest.NewCA(t)
	inUse, _ := issue(t, ca, "old.example.com")
	fresh, _ := issue(t, ca, "new.example.com")
	offered := inUse.TLSConfig()
	inUse.Use(fresh)
	got, err := offered.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || got.Leaf.DNSNames[0] != "new.example.com" || inUse.Leaf().NotAfter.Before(time.Now()) {
		t.Errorf("got %v, %v", got.Leaf.DNSNames, err)
	}
	if own, err := Parse(ca.PEM(), nil); err == nil {
		t.Errorf("without a key: %v", own.Leaf())
	}
}

// Authorities in a file are trusted beside those of the machine, and a certificate is verified with
// its name.
func TestRoots(t *testing.T) {
	ca, stranger := smtptest.NewCA(t), smtptest.NewCA(t)
	_, leaf := issue(t, ca, "mail.example.com")
	chain := []*x509.Certificate{leaf}
	if err := Verify(chain, "mail.example.com", Roots(ca.PEM())); err != nil {
		t.Error(err)
	}
	if Verify(chain, "other.example.com", Roots(ca.PEM())) == nil || Verify(chain, "mail.example.com", Roots(stranger.PEM())) == nil {
		t.Error("a certificate is taken under another name, or of another authority")
	}
	if Roots([]byte("none")) != nil {
		t.Error("authorities were found in a file without any")
	}
}
