package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// dkim looks for keys under the selectors that are well known (RFC 6376): no list of them can be
// had.
func (e *exam) dkim(ctx context.Context, domain string) evidence {
	selectors := commonSelectors
	known := providerOf(e.Settings.Relay.Host)
	if known != nil {
		selectors = slices.Concat(known.selectors, selectors)
	}
	selectors = unique(selectors)
	state := make([]keyState, len(selectors))
	var asking sync.WaitGroup
	for i, name := range selectors {
		asking.Go(func() { state[i] = e.key(ctx, name+"._domainkey."+domain) })
	}
	asking.Wait()
	var good, revoked []string
	for i, name := range selectors {
		switch state[i] {
		case keyGood:
			good = append(good, name)
		case keyRevoked:
			revoked = append(revoked, name)
		}
	}
	f := Finding{Check: "dkim", Level: Note, Why: "unsigned mail is trusted less, and DMARC then rests on SPF alone, which forwarding breaks",
		Fix: "switch DKIM on at the provider and publish the record that it shows; in a mail that you sent, " +
			"DKIM-Signature names the selector (s=) and the domain (d=)"}
	switch {
	case slices.Contains(state, keyUnknown) && len(good) == 0:
		return evidence{unanswered("dkim", errNoDNS), false}
	case len(good) > 0:
		return evidence{Finding{Check: "dkim", Level: OK, What: domain + " has a key under " + strings.Join(good, ", ")}, true}
	case len(revoked) > 0:
		f.What = "the DKIM key of " + domain + " under " + strings.Join(revoked, ", ") + " is revoked (empty p=)"
	case known != nil && len(known.selectors) > 0:
		f.Level = Warning
		f.What = domain + " has no DKIM key under " + strings.Join(known.selectors, ", ") + ", as customers of " + e.Settings.Relay.Host + " have"
	default:
		f.What = domain + " has no DKIM key under a well-known selector; whether there is one under another name cannot be known"
	}
	return evidence{f, false}
}

var errNoDNS = errors.New("not all of the well-known selectors could be asked for")

// keyState is what stands under a selector.
type keyState int

const (
	keyNone keyState = iota
	keyGood
	keyRevoked
	keyUnknown // DNS gave no answer
)

// key looks at one selector.
func (e *exam) key(ctx context.Context, name string) keyState {
	all, err := e.Resolver.LookupTXT(ctx, name)
	if err != nil && !missing(err) {
		return keyUnknown
	}
	for _, text := range all {
		for part := range strings.SplitSeq(text, ";") {
			tag, value, ok := strings.Cut(part, "=")
			if ok && strings.TrimSpace(tag) == "p" {
				if strings.TrimSpace(value) == "" {
					return keyRevoked
				}
				return keyGood
			}
		}
	}
	return keyNone
}

// unique keeps the first of each, in order.
func unique(all []string) []string {
	var kept []string
	for _, s := range all {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
