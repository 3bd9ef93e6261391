package config

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"time"
)

// Certificate is our own TLS certificate, which can be replaced while doors use it. All methods may be called from any
// goroutine.
type Certificate struct {
	now atomic.Pointer[tls.Certificate]
}

// OpenCertificate reads a certificate chain and its key. The error is a [Problem] of TLS_CERT_FILE or TLS_KEY_FILE.
func OpenCertificate(certFile, keyFile string) (*Certificate, error) {
	const unreadable = "correct the path, or give the user that runs dinkymail the right to read it"
	chain, err := readLimited(certFile)
	if err != nil {
		return nil, &Problem{Variable: "TLS_CERT_FILE", Value: certFile, Reason: "cannot be read: " + reason(err),
			Remedy: unreadable}
	}
	key, err := readLimited(keyFile)
	if err != nil {
		return nil, &Problem{Variable: "TLS_KEY_FILE", Value: keyFile, Reason: "cannot be read: " + reason(err), Remedy: unreadable}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return nil, &Problem{Variable: "TLS_CERT_FILE", Value: certFile,
			Reason: "does not fit TLS_KEY_FILE=" + keyFile + ": " + strings.TrimPrefix(err.Error(), "tls: "),
			Remedy: "name a chain in PEM and the private key that belongs to its first certificate"}
	}
	c := &Certificate{}
	c.now.Store(&pair)
	return c, nil
}

// Use replaces the certificate by another that was opened later, for every handshake from now on.
func (c *Certificate) Use(other *Certificate) { c.now.Store(other.now.Load()) }

// TLSConfig offers whatever certificate was read last.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}

// Ends is when the certificate that is in use ends.
func (c *Certificate) Ends() time.Time { return c.now.Load().Leaf.NotAfter }

// Complaint says why clients that verify would refuse the certificate at a time and under a host name; "" when it is fine.
func (c *Certificate) Complaint(hostname string, at time.Time) string {
	leaf := c.now.Load().Leaf
	const day = "2 January 2006"
	switch {
	case at.After(leaf.NotAfter):
		return "The certificate in TLS_CERT_FILE expired on " + leaf.NotAfter.Format(day) +
			"; clients will refuse it. Renew it and run: dinkymail reload"
	case at.Before(leaf.NotBefore):
		return "The certificate in TLS_CERT_FILE is valid only from " + leaf.NotBefore.Format(day) +
			"; is this machine's clock right?"
	case at.Add(7 * 24 * time.Hour).After(leaf.NotAfter):
		return "The certificate in TLS_CERT_FILE expires on " + leaf.NotAfter.Format(day) + "."
	case leaf.VerifyHostname(hostname) != nil:
		return "The certificate in TLS_CERT_FILE is not for MAIL_HOSTNAME, " + hostname + ", but for " +
			strings.Join(leaf.DNSNames, ", ") + "."
	}
	return ""
}
