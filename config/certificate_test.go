package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed pair valid until then and returns the paths.
func certificate(t *testing.T, name string, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile = write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	return certFile, write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY",
		Bytes: pkcs8})))
}

// A certificate is offered to SMTP clients, complained of when they would refuse it, and refused
// when it does not fit its key.
func TestCertificateSettings(t *testing.T) {
	soon := time.Now().Add(60 * 24 * time.Hour)
	good, goodKey := certificate(t, "mail.example.com", soon)
	expired, expiredKey := certificate(t, "mail.example.com", time.Now().Add(-time.Hour))
	nearly, nearlyKey := certificate(t, "mail.example.com", time.Now().Add(time.Hour))
	future, futureKey := certificate(t, "mail.example.com", time.Now().Add(365*24*time.Hour))
	other, otherKey := certificate(t, "other.example.com", soon)
	for _, c := range []struct {
		cert, key, says string
		wrong           bool
	}{
		{good, goodKey, "", false},
		{expired, expiredKey, "expired on", false},
		{nearly, nearlyKey, "expires on", false},
		{future, futureKey, "valid only from", false},
		{other, otherKey, "is not for MAIL_HOSTNAME, mail.example.com, but for other.example.com", false},
		{good, otherKey, "does not fit TLS_KEY_FILE=" + otherKey, true},
		{goodKey, goodKey, "does not fit", true},
	} {
		s := with(t, "", ok, "TLS_CERT_FILE="+c.cert, "TLS_KEY_FILE="+c.key, "SMTPS_LISTEN=127.0.0.1:465")
		if (s.err != nil) != c.wrong || !strings.Contains(s.said(), c.says) || c.says == "" && len(s.Warnings) > 0 {
			t.Errorf("want %q: %v; said %s", c.says, s.err, s.said())
		}
		if s.err == nil && s.SMTP.TLS == nil {
			t.Error("SMTP has no certificate")
		}
	}
}

// SMTP_RELAY_CA_FILE adds authorities; a file without any is refused.
func TestUpstreamAuthorities(t *testing.T) {
	cert, key := certificate(t, "ca.example.com", time.Now().Add(time.Hour))
	if s := with(t, "", ok, "SMTP_RELAY_CA_FILE="+cert); s.err != nil || s.Relay.RootCAs == nil {
		t.Errorf("got %v", s.err)
	}
	if s := with(t, "", ok, "SMTP_RELAY_CA_FILE="+key); s.err == nil || !strings.Contains(s.err.Error(),
		"has no certificate in PEM") {
		t.Errorf("got %v", s.err)
	}
}
