package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is a certificate authority that lives as long as the test.
type CA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewCA makes an authority for a test, that nobody knows but who asks for its Pool.
func NewCA(testing.TB) *CA { return Authority() }

// Authority is NewCA for those that are no test.
func Authority() *CA {
	ca := &CA{key: newKey()}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "smtptest CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	ca.cert = must(x509.ParseCertificate(ca.sign(template, template, ca.key)))
	return ca
}

// sign makes a certificate for a key. Parent is the authority's own.
func (ca *CA) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	return must(x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, ca.key))
}

// Pool has this authority alone: what a client that trusts it is given.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM is the authority's certificate as a file would have it.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Server is the TLS configuration of a server with a good certificate for names, which may be IP
// addresses.
func (ca *CA) Server(names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.Certificate(names...)}}
}

// Certificate issues a certificate that is good for a day.
func (ca *CA) Certificate(names ...string) tls.Certificate {
	return ca.issue(time.Now().Add(24*time.Hour), names)
}

// Lasting issues a certificate that is good from now for d.
func (ca *CA) Lasting(d time.Duration, names ...string) tls.Certificate {
	return ca.issue(time.Now().Add(d), names)
}

// Expired issues a certificate that was good until an hour ago.
func (ca *CA) Expired(names ...string) tls.Certificate {
	return ca.issue(time.Now().Add(-time.Hour), names)
}

func (ca *CA) issue(until time.Time, names []string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "smtptest"},
		NotBefore:    earlier(until.Add(-48*time.Hour), time.Now().Add(-time.Hour)),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key := newKey()
	return tls.Certificate{Certificate: [][]byte{ca.sign(template, ca.cert, key)}, PrivateKey: key}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// PEMFiles returns a certificate and its key in PEM, for servers that read them from files.
func PEMFiles(c tls.Certificate) (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// must is for what fails only where the program is wrong.
func must[T any](v T, err error) T {
	if err != nil {
		panic("smtptest: " + err.Error())
	}
	return v
}
