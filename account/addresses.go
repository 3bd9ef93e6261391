package account

import (
	"errors"
	"fmt"
	"strings"

	"dinkymail/message"
)

// Addresses is a set of addresses that somebody may use: as the sender for a key, as recipients for
// visitors. The zero value has none. Local parts are compared without regard to the case of ASCII
// letters, as every large provider does.
type Addresses struct {
	all       bool
	addresses map[string]bool
	domains   map[string]bool
}

// ParseAddresses reads entries of an address, "@domain" or "*" for all. Entries that are none of
// these are left out and reported.
func ParseAddresses(entries []string) (Addresses, error) {
	s := Addresses{addresses: map[string]bool{}, domains: map[string]bool{}}
	var bad []error
	for _, entry := range entries {
		text := strings.TrimSpace(entry)
		switch {
		case text == "":
		case text == "*":
			s.all = true
		case text[0] == '@':
			domain, err := message.ParseDomain(text[1:])
			if err != nil {
				bad = append(bad, fmt.Errorf("%q: is no domain; write @example.com", entry))
				continue
			}
			s.domains[domain] = true
		default:
			a, err := message.ParseAddress(text)
			if err != nil {
				bad = append(bad, fmt.Errorf("%q: %w", entry, err))
				continue
			}
			s.addresses[fold(a)] = true
		}
	}
	return s, errors.Join(bad...)
}

// Has reports whether a is in the set. The null address never is. A domain covers no local part in
// which a program behind us may find another address.
func (s *Addresses) Has(a message.Address) bool {
	if a.IsNull() {
		return false
	}
	return s.all || s.domains[strings.ToLower(a.Domain)] && !routed(a.Local) || s.addresses[fold(a)]
}

// Names reports whether a is in the set by itself, and not only as one of a domain.
func (s *Addresses) Names(a message.Address) bool { return s.addresses[fold(a)] }

// routed reports whether some mail server may read a local part as a route to another domain:
// user%domain, domain!user, "user@domain" and @relay:user@domain were the ways to write one before
// DNS, and Postfix still follows them by default.
func routed(local string) bool {
	return strings.ContainsFunc(local, func(r rune) bool {
		return r <= ' ' || strings.ContainsRune("%!@:;,\"\\<>()[]", r)
	})
}

// Plain reports whether a local part has only letters, digits and . _ + = - of ASCII. Every program
// reads it as we do.
func Plain(local string) bool {
	return local != "" && !strings.ContainsFunc(local, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._+=-", r)
	})
}

// Same reports whether two addresses are compared as one.
func Same(a, b message.Address) bool { return fold(a) == fold(b) }

// fold is the form in which addresses are compared. Letters beyond ASCII stay: some of them have an
// ASCII letter as their small form, and are another mailbox all the same.
func fold(a message.Address) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, a.Local+"@"+a.Domain)
}
