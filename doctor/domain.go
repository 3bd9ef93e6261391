package doctor

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"

	"dinkymail/internal/plain"
)

// domain asks DNS about MAIL_DOMAIN, and about the domain of DEFAULT_FROM where that is another.
func (e *exam) domain(ctx context.Context) []Finding {
	s := e.Settings
	if s.Development {
		return []Finding{{Check: "dns", Level: Note, What: "development mode: DNS is not asked, as no mail leaves this machine"}}
	}
	if private(s.Domain) {
		return []Finding{{Check: "dns", Level: Warning, What: "MAIL_DOMAIN " + s.Domain + " is no domain of the world's DNS",
			Why: "receivers out there refuse senders whose domain they cannot find", Fix: e.line("MAIL_DOMAIN", "example.com")}}
	}
	domains := []string{s.Domain}
	if from := s.HTTP.DefaultFrom.Address.Domain; from != s.Domain && !private(from) {
		domains = append(domains, from)
	}
	found := make([][]Finding, len(domains))
	var asking sync.WaitGroup
	for i, domain := range domains {
		asking.Go(func() { found[i] = e.oneDomain(ctx, domain) })
	}
	hostname := e.hostname(ctx)
	asking.Wait()
	var all []Finding
	for i, domain := range domains {
		if i > 0 && organisation(domain) != organisation(s.Domain) {
			all = append(all, Finding{Check: "sender", Level: Note,
				What: "DEFAULT_FROM is at " + domain + ", and MAIL_DOMAIN is " + s.Domain + ": receivers look at the records of " + domain})
		}
		all = append(all, found[i]...)
	}
	return append(all, hostname)
}

// oneDomain looks up all that receivers do. DMARC rests on the other two.
func (e *exam) oneDomain(ctx context.Context, domain string) []Finding {
	var mx, policy Finding
	var sender, key evidence
	var asking sync.WaitGroup
	asking.Go(func() { mx = e.mx(ctx, domain) })
	asking.Go(func() { sender = e.spf(ctx, domain) })
	asking.Go(func() { key = e.dkim(ctx, domain) })
	asking.Wait()
	policy = e.dmarc(ctx, domain, sender.good, key.good)
	return []Finding{mx, sender.Finding, key.Finding, policy}
}

// evidence is a finding, and whether receivers will take it for a proof that mail comes from its
// domain.
type evidence struct {
	Finding
	good bool
}

// mx finds out whether answers and bounces to the domain arrive.
func (e *exam) mx(ctx context.Context, domain string) Finding {
	f := Finding{Check: "mx", Level: Warning, Why: "answers to your mail, and notices that it failed, have nowhere to go"}
	records, err := e.Resolver.LookupMX(ctx, domain)
	switch {
	case missing(err):
		f.What = domain + " has no MX record"
		f.Fix = "in DNS: " + domain + ". MX 10 mail." + domain + ". (the machine that takes mail for you)"
	case err != nil && len(records) == 0:
		return unanswered("mx", err)
	case len(records) == 1 && (records[0].Host == "." || records[0].Host == ""):
		f.What = domain + " says by a null MX that it takes no mail"
	default:
		return Finding{Check: "mx", Level: OK, What: domain + " takes mail at " + strings.TrimSuffix(records[0].Host, ".")}
	}
	return f
}

// hostname finds out whether the name in our EHLO is one. A provider does not mind; a receiver that
// is spoken to directly does.
func (e *exam) hostname(ctx context.Context) Finding {
	name := e.Settings.Hostname
	addrs, err := e.Resolver.LookupNetIP(ctx, "ip", name)
	switch {
	case missing(err):
		return Finding{Check: "hostname", Level: Note, What: "MAIL_HOSTNAME " + name + " has no address in DNS",
			Why: "a provider that you log in to does not mind; a smarthost that looks names up may refuse it",
			Fix: e.line("MAIL_HOSTNAME", "the name of this machine in DNS")}
	case err != nil:
		return unanswered("hostname", err)
	default:
		return Finding{Check: "hostname", Level: OK, What: name + " is " + addrs[0].Unmap().String()}
	}
}

func unanswered(check string, err error) Finding {
	return Finding{Check: check, Level: Warning, What: "DNS gave no answer: " + printable(err.Error()),
		Why: "what the world finds there is not known", Fix: "look at /etc/resolv.conf, and whether this machine may ask its name servers"}
}

// private reports whether a name has no place in the world's DNS.
func private(domain string) bool {
	if !strings.Contains(domain, ".") || strings.HasPrefix(domain, "[") {
		return true
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return true
	}
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	switch last {
	case "local", "internal", "lan", "home", "test", "invalid", "localhost", "localdomain":
		return true
	}
	return false
}

// organisation is the domain that somebody registered, above which others own it.
func organisation(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// printable makes a stranger's text fit for one line of a terminal, at most 300 characters of it.
func printable(s string) string {
	r := []rune(plain.Line(s))
	return string(r[:min(len(r), 300)])
}
