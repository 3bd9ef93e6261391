package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"dinkymail/account"
	"dinkymail/httpapi"
	"dinkymail/message"
)

// addressReason is why message refused an address, without the address, which stands before it
// already.
func addressReason(err error) string {
	var ae *message.AddressError
	if errors.As(err, &ae) {
		return ae.Reason
	}
	return err.Error()
}

func domain(to *string) func(string) error {
	return func(text string) error {
		d, err := message.ParseDomain(strings.TrimSuffix(strings.TrimSpace(text), "."))
		if err != nil || strings.HasPrefix(d, "[") {
			return bad("is no domain", "write a domain such as example.com, without @, http:// or a path")
		}
		*to = d
		return nil
	}
}

func hostname(to *string) func(string) error {
	return func(text string) error {
		d, err := message.ParseDomain(strings.TrimSuffix(strings.TrimSpace(text), "."))
		if err != nil {
			return bad("is no host name", "write a name such as mail.example.com")
		}
		*to = d
		return nil
	}
}

// relayHost reads a host name or an IP address. A port or Postfix's brackets belong elsewhere.
func relayHost(to *string) func(string) error {
	return func(text string) error {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
			*to = ip.String()
			return nil
		}
		if strings.Contains(text, "://") {
			return bad("is an address of the web", "write the host's name alone, such as smtp.example.com")
		}
		if _, port, err := net.SplitHostPort(text); err == nil {
			return bad("has a port", "write the name alone, and the port in SMTP_RELAY_PORT="+port)
		}
		d, err := message.ParseDomain(strings.TrimSuffix(strings.Trim(text, "[]"), "."))
		if err != nil {
			return bad("is no host name", "write a name such as smtp.example.com, or an IP address")
		}
		*to = d
		return nil
	}
}

func origins(to *[]string) func(string) error {
	return func(text string) error {
		for _, part := range list(text) {
			if wrong := among(part); wrong != "" {
				return bad(fmt.Sprintf("%+q is no website%s", part, wrong), "write this entry anew")
			}
			if part == "*" {
				return bad("would let every website in the world send", "list your own sites, such as example.com,*.example.com")
			}
			if _, err := httpapi.ParseOrigins([]string{part}); err != nil {
				return bad(err.Error(), "correct this entry")
			}
		}
		*to = list(text)
		return nil
	}
}

// recipients reads addresses and @domains.
func recipients(to *[]string) func(string) error {
	return func(text string) error {
		var all []string
		for _, part := range list(text) {
			entry, reason := sender(part)
			if reason != "" {
				return bad(fmt.Sprintf("%q %s", part, reason), "write addresses or @domain, comma separated")
			}
			all = append(all, entry)
		}
		*to = all
		return nil
	}
}

// sender normalises an address or an @domain.
func sender(text string) (entry, reason string) {
	if d, ok := strings.CutPrefix(text, "@"); ok {
		d, err := message.ParseDomain(d)
		if err != nil {
			return "", "is no domain: " + addressReason(err)
		}
		return "@" + d, ""
	}
	a, err := message.ParseAddress(text)
	if strings.HasSuffix(text, ">") { // with a display name
		var m message.Mailbox
		m, err = message.ParseMailbox(text)
		a = m.Address
	}
	switch {
	case err != nil:
		return "", "is no address: " + addressReason(err)
	case a.Domain == "":
		return "", "has no domain"
	}
	return a.String(), ""
}

const leastKey = 16

// keys reads name:key and name:key:from|from, comma separated. Its messages name the key and never show it.
func keys(to *[]account.Key) func(string) error {
	const remedy = "write name:key or name:key:from|from, with a key of at least 16 letters and digits"
	return func(text string) error {
		names, secrets := map[string]bool{}, map[string]string{}
		var all []account.Key
		for i, part := range list(text) {
			fields := strings.SplitN(part, ":", 3)
			k := account.Key{Name: message.TrimInvisible(fields[0])}
			if len(fields) < 2 || k.Name == "" {
				return bad(fmt.Sprintf("entry %d has no name before its key", i+1), remedy)
			}
			if k.Secret = message.TrimInvisible(fields[1]); len(k.Secret) < leastKey {
				return bad(fmt.Sprintf("the key of %s is shorter than %d characters", k.Name, leastKey),
					"make one with: openssl rand -hex 20")
			}
			if strings.ContainsFunc(k.Secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
				return bad("the key of "+k.Name+" cannot stand in an HTTP header"+among(k.Secret),
					"use letters and digits, as from: openssl rand -hex 20")
			}
			if names[k.Name] {
				return bad("two keys are named "+k.Name, "give each application its own name")
			}
			if other, ok := secrets[k.Secret]; ok {
				return bad(other+" and "+k.Name+" have the same key", "give each application its own key")
			}
			names[k.Name], secrets[k.Secret] = true, k.Name
			if len(fields) == 3 {
				from, err := senders(k.Name, fields[2])
				if err != nil {
					return err
				}
				k.From = from
			}
			all = append(all, k)
		}
		*to = all
		return nil
	}
}

// senders reads from|from of a key.
func senders(name, text string) ([]string, error) {
	var all []string
	for part := range strings.SplitSeq(text, "|") {
		part = message.TrimInvisible(part)
		if part == "*" {
			all = append(all, part)
			continue
		}
		entry, reason := sender(part)
		if reason != "" {
			return nil, bad(fmt.Sprintf("of the key %s, one of the senders %s", name, reason),
				"write addresses, @domain or *, with | between them")
		}
		all = append(all, entry)
	}
	return all, nil
}

// users reads name:hash entries. A hash may contain commas ($argon2id$v=19$m=19456,t=2,p=1$…), so a
// comma separates only where a name and a colon follow.
func users(to *map[string]string) func(string) error {
	return func(text string) error {
		all := map[string]string{}
		for i, part := range splitUsers(text) {
			name, hash, ok := strings.Cut(part, ":")
			name, hash = message.TrimInvisible(name), message.TrimInvisible(hash)
			switch hidden := message.Invisible(name); {
			case hidden != "":
				return bad(fmt.Sprintf("the name of entry %d has an invisible character in it: %s", i+1, hidden), "write the name anew")
			case !ok || name == "" || strings.ContainsAny(name, "$ \t"):
				return bad(fmt.Sprintf("entry %d is no name:hash", i+1),
					"put the line there that `dinkymail user hash NAME` prints")
			case !strings.HasPrefix(hash, "$"):
				return bad("what follows "+strconv.Quote(name)+" is no hash",
					"a password itself must not stand here, and in .env a hash needs 'single quotes'; "+
						"make a hash with `dinkymail user hash "+name+"`")
			case account.CheckHash(hash) != nil:
				return bad("the hash of "+strconv.Quote(name)+" cannot be used: "+account.CheckHash(hash).Error(),
					"make one with `dinkymail user hash "+name+"`, and put it in 'single quotes' in .env")
			}
			if _, twice := all[name]; twice {
				return bad("the account "+strconv.Quote(name)+" stands there twice", "keep one of them")
			}
			all[name] = hash
		}
		*to = all
		return nil
	}
}

// splitUsers splits a list of accounts at line ends, and at commas behind which an account begins.
func splitUsers(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		start := 0
		for i := range len(line) {
			if line[i] == ',' && beginsAccount(line[i+1:]) {
				all = append(all, line[start:i])
				start = i + 1
			}
		}
		all = append(all, line[start:])
	}
	out := all[:0]
	for _, part := range all {
		if part = strings.Trim(strings.TrimSpace(part), ","); part != "" && !strings.HasPrefix(part, "#") {
			out = append(out, part)
		}
	}
	return out
}

// beginsAccount reports whether a colon comes before the next comma, dollar sign or end.
func beginsAccount(text string) bool {
	i := strings.IndexAny(text, ":,$")
	return i > 0 && text[i] == ':'
}

// listen reads host:port entries; "off" closes the door. Port 0 lets the system choose.
func listen(to *[]string) func(string) error {
	const remedy = "write address:port such as 127.0.0.1:587, [::1]:587 or :587 for every address, or off"
	return func(text string) error {
		seen := map[string]bool{}
		all := []string{}
		parts := list(text)
		if len(parts) == 1 && (strings.EqualFold(parts[0], "off") || strings.EqualFold(parts[0], "none")) {
			*to = all
			return nil
		}
		for _, part := range parts {
			host, port, err := net.SplitHostPort(part)
			if err != nil {
				return bad(strconv.Quote(part)+" is no address:port", remedy)
			}
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return bad(strconv.Quote(part)+" has no port number from 1 to 65535", remedy)
			}
			if _, err := netip.ParseAddr(host); err != nil && host != "" {
				if _, err := message.ParseDomain(host); err != nil {
					return bad(strconv.Quote(part)+" has no address before its port", remedy)
				}
			}
			if seen[part] && port != "0" {
				return bad(strconv.Quote(part)+" stands there twice", "remove one")
			}
			seen[part] = true
			all = append(all, part)
		}
		if len(all) == 0 {
			return bad("lists nothing", remedy)
		}
		*to = all
		return nil
	}
}
