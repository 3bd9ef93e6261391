package doctor

import "strings"

// provider is what is known of an upstream beyond what it says of itself.
type provider struct {
	hosts     []string // the ends of its host names
	include   string   // what the SPF record of a customer includes
	selectors []string // of the DKIM keys that its customers publish
	rewrites  bool     // it puts the account's address in place of a sender that is not one of it
}

var providers = []provider{
	{[]string{"smtp.gmail.com", "smtp-relay.gmail.com", "smtp.googlemail.com"}, "_spf.google.com", []string{"google"}, true},
	{[]string{".office365.com", ".outlook.com"}, "spf.protection.outlook.com", []string{"selector1", "selector2"}, false},
	{[]string{"smtp.sendgrid.net"}, "sendgrid.net", []string{"s1", "s2"}, false},
	{[]string{"smtp.mailgun.org", "smtp.eu.mailgun.org"}, "mailgun.org", []string{"k1", "mx", "smtp", "mailo"}, false},
	{[]string{".amazonaws.com"}, "amazonses.com", nil, false},
	{[]string{"smtp.postmarkapp.com"}, "spf.mtasv.net", []string{"pm"}, false},
	{[]string{"smtp-relay.brevo.com", "smtp-relay.sendinblue.com"}, "spf.brevo.com", []string{"brevo1", "brevo2", "mail"}, false},
	{[]string{".mailjet.com"}, "spf.mailjet.com", []string{"mailjet"}, false},
	{[]string{"smtp.mandrillapp.com"}, "spf.mandrillapp.com", []string{"mandrill", "mte1", "mte2"}, false},
	{[]string{".fastmail.com"}, "spf.messagingengine.com", []string{"fm1", "fm2", "fm3"}, false},
	{[]string{".zoho.com", ".zoho.eu"}, "zohomail.com", []string{"zmail", "zoho"}, false},
	{[]string{"smtp.migadu.com"}, "spf.migadu.com", []string{"key1", "key2", "key3"}, false},
	{[]string{"smtp.mail.me.com"}, "icloud.com", []string{"sig1"}, false},
	{[]string{"smtp.protonmail.ch"}, "_spf.protonmail.ch", []string{"protonmail", "protonmail2", "protonmail3"}, false},
	{[]string{"smtp.resend.com"}, "", []string{"resend"}, false},
}

// commonSelectors are those that many set up by hand, and of providers behind names that tell
// nothing.
var commonSelectors = []string{"default", "dkim", "mail", "selector1", "selector2", "google", "s1", "s2", "k1", "k2", "key1", "pm",
	"mx", "smtp", "fm1", "resend", "dkim1", "rsa", "ed25519", "20230601"}

// providerOf knows the upstream by its name; nil when it does not.
func providerOf(host string) *provider {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for i := range providers {
		for _, end := range providers[i].hosts {
			if host == end || strings.HasPrefix(end, ".") && strings.HasSuffix(host, end) {
				return &providers[i]
			}
		}
	}
	return nil
}
