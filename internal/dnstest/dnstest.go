// Package dnstest is the DNS that tests ask: a real name server on loopback that knows the records
// it was given, and a resolver that asks it and nobody else.
//
//	dns := dnstest.New(t, "example.org. MX 10 mx.example.org.", `example.org. TXT "v=spf1 -all"`)
//	dns.Script("broken.example.org.", dnstest.ServerFailure)
//	addrs, err := dns.Resolver().LookupMX(ctx, "example.org")
//
// # What it promises
//
// A name without records does not exist; a name with others than those asked for exists and has
// none. CNAMEs are followed. The test's cleanup stops the server.
//
// # Limits
//
// It answers over UDP and TCP, and knows nothing of zones, caches or DNSSEC.
package dnstest

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Mishap is what becomes of questions about a name that is not answered well.
type Mishap int

// The mishaps: the answer SERVFAIL, and no answer at all.
const (
	ServerFailure Mishap = iota + 1
	Silence
)

// Server is a running name server.
type Server struct {
	addr map[string]string // by network

	mu      sync.Mutex // guards what follows
	records map[string][]dns.RR
	mishaps map[string]Mishap
	asked   []string
}

// New starts a name server that knows records, each as a zone file has it, with absolute names.
func New(t testing.TB, records ...string) *Server {
	t.Helper()
	s := &Server{records: map[string][]dns.RR{}, mishaps: map[string]Mishap{}}
	s.Add(t, records...)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("dnstest: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("dnstest: %v", err)
	}
	s.addr = map[string]string{"udp": packets.LocalAddr().String(), "tcp": listener.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // the last one
	for _, srv := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: listener, Handler: s}} {
		ready := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(ready) }
		running.Go(func() { _ = srv.ActivateAndServe() }) // ends with the error of the closed listener
		<-ready
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return s
}

// Add makes more records known.
func (s *Server) Add(t testing.TB, records ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil || rr == nil {
			t.Fatalf("dnstest: %q is no record: %v", text, err)
		}
		name := strings.ToLower(rr.Header().Name)
		s.records[name] = append(s.records[name], rr)
	}
}

// Script says what goes wrong with a name, which ends in a dot.
func (s *Server) Script(name string, m Mishap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mishaps[strings.ToLower(name)] = m
}

// Resolver asks this server and nobody else.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr[network])
	}}
}

// Asked are the questions so far, such as "TXT example.org."
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// ServeDNS answers one question.
func (s *Server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(question)
	answer.RecursionAvailable = true
	if len(question.Question) == 1 && !s.find(answer) {
		return
	}
	if len(answer.Answer) > 0 && w.LocalAddr().Network() == "udp" {
		answer.Truncate(dns.MinMsgSize)
	}
	_ = w.WriteMsg(answer) // a client that is gone needs none
}

// find fills in the answer, and reports whether there is one.
func (s *Server) find(answer *dns.Msg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := answer.Question[0]
	name := strings.ToLower(q.Name)
	s.asked = append(s.asked, dns.TypeToString[q.Qtype]+" "+name)
	for range 8 {
		switch s.mishaps[name] {
		case Silence:
			return false
		case ServerFailure:
			answer.Rcode = dns.RcodeServerFailure
			return true
		}
		if len(s.records[name]) == 0 {
			answer.Rcode = dns.RcodeNameError
			return true
		}
		next := ""
		for _, rr := range s.records[name] {
			if alias, ok := rr.(*dns.CNAME); ok {
				next = strings.ToLower(alias.Target)
			} else if rr.Header().Rrtype != q.Qtype {
				continue
			}
			answer.Answer = append(answer.Answer, rr)
		}
		if next == "" {
			return true
		}
		name = next
	}
	return true
}
