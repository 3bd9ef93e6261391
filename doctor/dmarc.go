package doctor

import (
	"context"
	"fmt"

	"github.com/emersion/go-msgauth/dmarc"
)

// dmarc finds out what receivers are asked to do with mail of domain that neither SPF nor DKIM
// proves (RFC 7489), and whether ours would be among it. The envelope sender and From are at the
// same domain, so that SPF is aligned where it passes at all.
func (e *exam) dmarc(ctx context.Context, domain string, sender, key bool) Finding {
	at := "_dmarc." + domain
	records, err := e.records(ctx, at, "v=DMARC1")
	if org := organisation(domain); err == nil && len(records) == 0 && org != domain {
		at = "_dmarc." + org
		records, err = e.records(ctx, at, "v=DMARC1")
	}
	f := Finding{Check: "dmarc", Level: Warning}
	switch {
	case err != nil:
		return unanswered("dmarc", err)
	case len(records) == 0:
		f.What, f.Why = domain+" has no DMARC record", "large receivers ask for one, and nobody tells you who sends in your name"
		f.Fix = publish("_dmarc."+domain, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
		return f
	case len(records) > 1:
		f.What, f.Why = fmt.Sprintf("%s has %d DMARC records", at, len(records)), "receivers then look at none"
		f.Fix = "keep one of them in DNS"
		return f
	}
	policy, err := dmarc.Parse(records[0])
	if err != nil {
		f.What, f.Why = "the DMARC record at "+at+" cannot be read: "+printable(err.Error()), "receivers then do as if there were none"
		f.Fix = publish(at, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
		return f
	}
	want := policy.Policy
	if at != "_dmarc."+domain && policy.SubdomainPolicy != "" {
		want = policy.SubdomainPolicy
	}
	return e.policy(f, domain, at, want, policy, sender, key)
}

// policy weighs a record that can be read.
func (e *exam) policy(f Finding, domain, at string, want dmarc.Policy, policy *dmarc.Record, sender, key bool) Finding {
	from := e.Settings.HTTP.DefaultFrom.Address
	switch {
	case want != dmarc.PolicyNone && !sender && !key:
		f.What = fmt.Sprintf("DMARC of %s asks receivers to %s what neither SPF nor DKIM proves, and nothing was found that proves mail of %s",
			domain, verb(want), from)
		f.Why = "it is put aside or refused, unless the provider signs with a selector that is not well known"
		if want == dmarc.PolicyReject {
			f.Level = Error
		}
		f.Fix = "mend SPF or DKIM above; until then " + publish(at, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
	case want == dmarc.PolicyNone && len(policy.ReportURIAggregate) == 0:
		f.Level, f.What = Note, "DMARC of "+domain+" asks for nothing (p=none) and for no reports"
		f.Why = "it protects nobody from mail in your name, and you do not learn of it"
		f.Fix = publish(at, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
	case want == dmarc.PolicyNone:
		f.Level, f.What = Note, "DMARC of "+domain+" only reports (p=none)"
		f.Why = "anybody may still send in your name"
		f.Fix = "once the reports are clean: " + publish(at, "v=DMARC1; p=quarantine; rua="+policy.ReportURIAggregate[0])
	default:
		f.Level, f.What = OK, fmt.Sprintf("%s of %s is proved by %s", verbing(want), domain, proof(sender, key))
	}
	return f
}

func verb(p dmarc.Policy) string {
	if p == dmarc.PolicyReject {
		return "refuse"
	}
	return "put aside"
}

func verbing(p dmarc.Policy) string { return "p=" + string(p) + ", and mail" }

func proof(sender, key bool) string {
	switch {
	case sender && key:
		return "SPF, and DKIM where the provider signs with that key"
	case sender:
		return "SPF"
	default:
		return "DKIM, where the provider signs with that key"
	}
}
