package dnstest_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/internal/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The resolver gets what the server knows, over TCP where it is long, along aliases, and no such
// host where nothing is known.
func TestResolver(t *testing.T) {
	long := strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10)
	dns := dnstest.New(t, "example.org. MX 10 mx.example.org.", "example.org. TXT "+long, "mx.example.org. A 127.0.0.1",
		"alias.example.org. CNAME MX.example.org.")
	r, ctx := dns.Resolver(), t.Context()
	if mx, err := r.LookupMX(ctx, "example.org"); err != nil || len(mx) != 1 || mx[0].Host != "mx.example.org." {
		t.Errorf("got %v, %v", mx, err)
	}
	if txt, err := r.LookupTXT(ctx, "example.org"); err != nil || len(txt) != 1 || len(txt[0]) != 2000 {
		t.Errorf("got %q, %v", txt, err)
	}
	if addrs, err := r.LookupHost(ctx, "alias.example.org"); err != nil || !slices.Equal(addrs, []string{"127.0.0.1"}) {
		t.Errorf("got %v, %v", addrs, err)
	}
	var dnsErr *net.DNSError
	if _, err := r.LookupTXT(ctx, "other.example.org"); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		t.Errorf("got %v", err)
	}
	if _, err := r.LookupTXT(ctx, "mx.example.org"); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		t.Errorf("got %v", err)
	}
	if !slices.Contains(dns.Asked(), "TXT other.example.org.") {
		t.Errorf("got %q", dns.Asked())
	}
}

// A name can be scripted to fail, and never to answer.
func TestMishaps(t *testing.T) {
	dns := dnstest.New(t)
	dns.Script("Broken.example.org.", dnstest.ServerFailure)
	dns.Script("silent.example.org.", dnstest.Silence)
	var dnsErr *net.DNSError
	if _, err := dns.Resolver().LookupTXT(t.Context(), "broken.example.org."); !errors.As(err, &dnsErr) || dnsErr.IsNotFound {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dns.Resolver().LookupTXT(ctx, "silent.example.org."); !errors.As(err, &dnsErr) || !dnsErr.IsTimeout {
		t.Errorf("got %v", err)
	}
}
