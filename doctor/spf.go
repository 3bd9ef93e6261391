package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"
)

// anybody is an address that nobody sends from (RFC 5737): a record that lets it send lets
// everyone.
var anybody = net.IPv4(203, 0, 113, 77)

// spf finds out whether the domain's record names those who send for it (RFC 7208).
func (e *exam) spf(ctx context.Context, domain string) evidence {
	records, err := e.records(ctx, domain, "v=spf1")
	f := Finding{Check: "spf", Level: Warning, Why: "receivers take mail of " + domain + " for forged, and put it aside or refuse it"}
	switch {
	case err != nil:
		return evidence{unanswered("spf", err), false}
	case len(records) == 0:
		f.What, f.Fix = domain+" has no SPF record", publish(domain, e.advised("v=spf1 ~all"))
		return evidence{f, false}
	case len(records) > 1:
		f.Level, f.What = Error, fmt.Sprintf("%s has %d SPF records, and receivers then look at none", domain, len(records))
		f.Fix = publish(domain, e.advised(merged(records))) + ", in place of all of them"
		return evidence{f, false}
	}
	record := records[0]
	sender := "postmaster@" + domain
	result, err := spf.CheckHostWithSender(anybody, e.Settings.Hostname, sender, spf.WithContext(ctx), spf.WithResolver(e.Resolver))
	switch result {
	case spf.PermError:
		f.Level, f.What = Error, "the SPF record of "+domain+" cannot be used: "+printable(err.Error())+" ("+printable(record)+")"
		f.Fix = "correct it in DNS; at most 10 look-ups may hang on it (RFC 7208, 4.6.4)"
		return evidence{f, false}
	case spf.TempError:
		return evidence{unanswered("spf", err), false}
	case spf.Pass:
		f.What, f.Why = "the SPF record of "+domain+" lets everyone send: "+printable(record), "whoever likes sends in your name"
		f.Fix = publish(domain, strings.Replace(record, "+all", "~all", 1))
		return evidence{f, true}
	}
	return e.upstreamIn(ctx, domain, record, f)
}

// upstreamIn finds out whether the record has the upstream among those who send.
func (e *exam) upstreamIn(ctx context.Context, domain, record string, f Finding) evidence {
	host := e.Settings.Relay.Host
	if host == "" {
		return evidence{Finding{Check: "spf", Level: OK, What: domain + " has one: " + printable(record)}, false}
	}
	if p := providerOf(host); p != nil && p.include != "" {
		budget := 20
		if e.includes(ctx, domain, p.include, &budget) {
			return evidence{Finding{Check: "spf", Level: OK, What: domain + " includes " + p.include}, true}
		}
		f.What = "the SPF record of " + domain + " does not include " + p.include + ", from where " + host + " sends: " + printable(record)
		f.Fix = publish(domain, e.advised(record))
		return evidence{f, false}
	}
	addrs, err := e.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil { // the upstream's own check tells about it
		return evidence{Finding{Check: "spf", Level: Note, What: domain + " has one, but " + host + " was not found to compare"}, false}
	}
	public := false
	for _, ip := range addrs {
		public = public || !ip.IsPrivate() && !ip.IsLoopback()
		result, _ := spf.CheckHostWithSender(ip.Unmap().AsSlice(), e.Settings.Hostname, "postmaster@"+domain,
			spf.WithContext(ctx), spf.WithResolver(e.Resolver))
		if result == spf.Pass {
			return evidence{Finding{Check: "spf", Level: OK, What: domain + " lets " + host + " (" + ip.Unmap().String() + ") send"}, true}
		}
	}
	if !public {
		return evidence{Finding{Check: "spf", Level: Note, What: domain + " has one: " + printable(record),
			Why: host + " is on your own network; what counts is the public address that it sends from, which cannot be seen from here"}, false}
	}
	f.What = "the SPF record of " + domain + " does not let " + host + " send: " + printable(record)
	f.Why += "; if the provider sends from other addresses than that it takes mail at, its manual names them"
	f.Fix = publish(domain, withMechanism(record, mechanism(addrs[0].Unmap()))) + ", or with the include: that its manual names"
	return evidence{f, false}
}

// records are the TXT records of a name that begin with a version tag.
func (e *exam) records(ctx context.Context, name, version string) ([]string, error) {
	all, err := e.Resolver.LookupTXT(ctx, name)
	if missing(err) {
		return nil, nil
	}
	var records []string
	for _, text := range all {
		tag, _, _ := strings.Cut(strings.ReplaceAll(text, ";", " "), " ")
		if strings.EqualFold(tag, version) {
			records = append(records, text)
		}
	}
	return records, err
}

// includes reports whether the record of domain leads to want, by include or redirect, within a
// budget of look-ups.
func (e *exam) includes(ctx context.Context, domain, want string, budget *int) bool {
	if *budget--; *budget < 0 {
		return false
	}
	records, err := e.records(ctx, domain, "v=spf1")
	if err != nil || len(records) != 1 {
		return false
	}
	for _, word := range strings.Fields(records[0]) {
		word = strings.ToLower(strings.TrimPrefix(word, "+"))
		next, ok := strings.CutPrefix(word, "include:")
		if !ok {
			next, ok = strings.CutPrefix(word, "redirect=")
		}
		if next = strings.TrimSuffix(next, "."); ok && (next == want || e.includes(ctx, next, want, budget)) {
			return true
		}
	}
	return false
}

// advised is a record with the upstream in it, as far as that is known.
func (e *exam) advised(record string) string {
	host := e.Settings.Relay.Host
	p := providerOf(host)
	switch ip, err := netip.ParseAddr(host); {
	case p != nil && p.include != "":
		return withMechanism(record, "include:"+p.include)
	case err == nil && !ip.IsPrivate() && !ip.IsLoopback():
		return withMechanism(record, mechanism(ip))
	default:
		return withMechanism(record, "include:THE-PROVIDER-NAMES-THIS")
	}
}

func mechanism(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4:" + ip.String()
	}
	return "ip6:" + ip.String()
}

// withMechanism puts one more in front of what ends a record.
func withMechanism(record, mechanism string) string {
	words := strings.Fields(record)
	at := len(words)
	for i, word := range words {
		low := strings.ToLower(word)
		if strings.HasSuffix(low, "all") && len(low) <= 4 || strings.HasPrefix(low, "redirect=") {
			at = i
			break
		}
	}
	words = append(words[:at:at], append([]string{mechanism}, words[at:]...)...)
	return strings.Join(words, " ")
}

// merged makes one record of several.
func merged(records []string) string {
	all, seen := []string{"v=spf1"}, map[string]bool{}
	for _, record := range records {
		for _, word := range strings.Fields(record)[1:] {
			if low := strings.ToLower(word); !seen[low] && !(strings.HasSuffix(low, "all") && len(low) <= 4) {
				seen[low] = true
				all = append(all, word)
			}
		}
	}
	return strings.Join(append(all, "~all"), " ")
}

// publish is a TXT record as a zone file has it.
func publish(name, text string) string {
	return fmt.Sprintf(`in DNS: %s. TXT "%s"`, name, printable(text))
}
