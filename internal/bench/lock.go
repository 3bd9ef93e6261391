package main

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/internal/rig"
)

// user and password are what both sides of the secured appliance ask for.
const user, password = "ada", "correct horse battery staple"

// lock is what STARTTLS and AUTH on both sides need.
type lock struct {
	upstream rig.SinkConfig
	settings map[string]string
	client   *tls.Config
}

func newLock(binary, dir string) (*lock, error) {
	certs, err := rig.NewCerts(dir)
	if err != nil {
		return nil, err
	}
	server, err1 := certs.ServerTLS()
	client, err2 := certs.ClientTLS()
	account, err3 := hashed(binary, filepath.Join(dir, "hash"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return &lock{
		upstream: rig.SinkConfig{TLS: server, Login: [2]string{user, password}},
		client:   client,
		settings: map[string]string{
			"USE_TLS": "yes", "SMTP_RELAY_CA_FILE": certs.CA, "SMTP_RELAY_USERNAME": user, "SMTP_RELAY_PASSWORD": password,
			"TLS_CERT_FILE": certs.Cert, "TLS_KEY_FILE": certs.Key, "SMTP_USERS": account,
		},
	}, nil
}

// hashed is the account as SMTP_USERS wants it.
func hashed(binary, dir string) (string, error) {
	a, err := rig.NewAppliance(binary, dir, nil)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := a.Run(ctx, password+"\n", "user", "hash", user)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, user+":$") {
			return line, nil
		}
	}
	return "", errors.New("no account in: " + out)
}

// dial makes a connection that is secured and logged in.
func (l *lock) dial(addr string) (*rig.Client, error) {
	c, err := rig.Dial(addr, nil)
	if err != nil {
		return nil, err
	}
	if err := c.StartTLS(l.client); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.AuthPlain(user, password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
