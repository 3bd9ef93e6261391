package smtp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/account"
	"dinkymail/message"
	"dinkymail/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Submitter that keeps what it is given, read the way the queue reads it.
type recorder struct {
	mu    sync.Mutex
	mails []mail
	early func(queue.Submission) error // asked before the body is read
	late  func(queue.Submission) error // asked after it
}

type mail struct {
	queue.Submission
	raw string
}

func (r *recorder) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	if r.early != nil {
		if err := r.early(s); err != nil {
			return "", err
		}
	}
	s.ID = queue.NewID()
	s.Trace.ID, s.Trace.By, s.Trace.Domain, s.Trace.Time = string(s.ID), "mail.example.org", "example.org", time.Now()
	raw, err := io.ReadAll(message.Accept(s.Body, s.Trace))
	if err != nil {
		return "", err
	}
	if r.late != nil {
		if err := r.late(s); err != nil {
			return "", err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mails = append(r.mails, mail{s, string(raw)})
	return s.ID, nil
}

func (r *recorder) all() []mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]mail(nil), r.mails...)
}

// logBook is a log that a test can read.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// house is a Server that listens on loopback until its test ends.
type house struct {
	*recorder
	server *Server
	log    *logBook
	addr   string // plain, with STARTTLS if there is a certificate
	tls    string // TLS from the first byte
	stop   func() // ends the context of all Serve calls
	done   chan error
}

// open starts a Server. Loopback is trusted unless cfg says otherwise by a non-nil Trusted.
func open(t testing.TB, cfg Config) *house {
	t.Helper()
	if cfg.Trusted == nil {
		cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	cfg.Hostname, cfg.Domain = "mail.example.org", "example.org"
	h := &house{recorder: &recorder{}, log: &logBook{}, done: make(chan error, 2)}
	h.server = New(h.recorder, cfg, slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, cancel := context.WithCancel(t.Context())
	h.stop = cancel
	serving := 1
	plain := listen(t)
	h.addr = plain.Addr().String()
	go func() { h.done <- h.server.Serve(ctx, plain) }()
	if cfg.TLS != nil {
		serving++
		secure := listen(t)
		h.tls = secure.Addr().String()
		go func() { h.done <- h.server.ServeTLS(ctx, secure) }()
	}
	t.Cleanup(func() {
		cancel()
		for range serving {
			if err := <-h.done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	})
	return h
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// nobody is a Trusted that trusts nobody, unlike nil, which open fills in.
var nobody = []netip.Prefix{}

// certificate makes one for mail.example.org and 127.0.0.1, and what a client trusts it by.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mail.example.org"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"mail.example.org"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: pool, ServerName: "mail.example.org"}
}

// accounts are those of users, name to hash.
func accounts(users map[string]string) *account.Accounts {
	return account.New(account.Config{Users: users}, slog.New(slog.DiscardHandler))
}

// cheap is a bcrypt hash of "geheim" that costs no time.
const cheap = "$2a$04$a14eCzUcZiqEnipKVfH05uvUVYBX30K/aABwvsqGQx3Sq7TyveKK2"

var errTest = errors.New("out of order")
