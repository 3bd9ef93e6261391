// Package certs keeps certificates: our own, which can be replaced while doors use it, and whom we
// trust.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
)

// Own is a TLS certificate of ours. All methods may be called from any goroutine.
type Own struct {
	now atomic.Pointer[tls.Certificate]
}

// Parse reads a certificate chain and the key of its first certificate, both in PEM.
func Parse(chain, key []byte) (*Own, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	c := &Own{}
	c.now.Store(&pair)
	return c, nil
}

// Use replaces the certificate by another that was read later, for every handshake from now on.
func (c *Own) Use(other *Own) { c.now.Store(other.now.Load()) }

// TLSConfig offers whatever certificate was read last.
func (c *Own) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}

// Leaf is the certificate that is in use, without its chain.
func (c *Own) Leaf() *x509.Certificate { return c.now.Load().Leaf }

// Chain is all of it as it is shown in a handshake.
func (c *Own) Chain() [][]byte { return c.now.Load().Certificate }

// Roots are the authorities of this machine and those in pem; nil when there are none in it.
func Roots(pem []byte) *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil
	}
	return roots
}

// Verify reports why a client that trusts roots, nil for those of this machine, would refuse a
// chain that was shown under a name.
func Verify(chain []*x509.Certificate, name string, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
	return err
}
