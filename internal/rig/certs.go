package rig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dinkymail/internal/smtptest"
)

// Certs are PEM files of an authority and of a certificate it issued for localhost and 127.0.0.1.
type Certs struct {
	CA, Cert, Key string // paths
}

// NewCerts makes an authority and a certificate, valid for a day, and writes them into dir.
func NewCerts(dir string) (Certs, error) {
	c := Certs{
		CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
	}
	ca := smtptest.Authority()
	cert, key, err := smtptest.PEMFiles(ca.Certificate("localhost", "127.0.0.1"))
	if err == nil {
		err = errors.Join(
			os.WriteFile(c.CA, ca.PEM(), 0o644),
			os.WriteFile(c.Cert, cert, 0o644),
			os.WriteFile(c.Key, key, 0o600))
	}
	if err != nil {
		return c, fmt.Errorf("write certificates: %w", err)
	}
	return c, nil
}

// ClientTLS is a client's configuration that trusts the authority alone.
func (c Certs) ClientTLS() (*tls.Config, error) {
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}, nil
}

// ServerTLS is a server's configuration with the certificate.
func (c Certs) ServerTLS() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}
