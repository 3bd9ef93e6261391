package httpapi

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// Origins is a set of web origins (RFC 6454) that may call. The zero value has none.
type Origins struct {
	hosts   map[string]bool // any port, http or https
	under   []string        // ".example.com": any host below it, any port, http or https
	origins map[string]bool // scheme://host[:port], normalised
}

// ParseOrigins reads entries of ALLOWED_HOSTS: a bare host such as example.com (http and https on
// any port of exactly that host), *.example.com (the hosts below it, and not itself) or a full
// origin such as https://example.com:8443. Entries that are none of these are left out and
// reported, each by its text.
func ParseOrigins(entries []string) (Origins, error) {
	o := Origins{hosts: map[string]bool{}, origins: map[string]bool{}}
	var bad []error
	for _, entry := range entries {
		text := strings.ToLower(strings.TrimSpace(entry))
		if text == "" {
			continue
		}
		if err := o.add(text); err != nil {
			bad = append(bad, fmt.Errorf("%q: %w", entry, err))
		}
	}
	return o, errors.Join(bad...)
}

func (o *Origins) add(text string) error {
	if strings.Contains(text, "://") {
		origin, ok := normalOrigin(strings.TrimSuffix(text, "/"))
		if !ok {
			return errors.New("is no origin; write it like https://example.com or https://example.com:8443")
		}
		o.origins[origin] = true
		return nil
	}
	if rest, ok := strings.CutPrefix(text, "*."); ok {
		host, ok := normalHost(rest)
		if !ok {
			return errors.New("has no host name after the *.")
		}
		o.under = append(o.under, "."+host)
		return nil
	}
	host, ok := normalHost(text)
	if !ok {
		return errors.New("is no host name; write example.com, *.example.com or https://example.com:8443")
	}
	o.hosts[host] = true
	return nil
}

// Allow reports whether a request whose Origin header is origin may call. The opaque origin "null"
// never may.
func (o *Origins) Allow(origin string) bool {
	normal, ok := normalOrigin(strings.ToLower(origin))
	if !ok {
		return false
	}
	if o.origins[normal] {
		return true
	}
	host := originHost(normal)
	if o.hosts[host] {
		return true
	}
	for _, suffix := range o.under {
		if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return true
		}
	}
	return false
}

// normalOrigin reads scheme://host[:port] in lower case, with nothing before or behind, and writes
// it with an A-label host and without the scheme's own port.
func normalOrigin(s string) (string, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" || len(s) > 512 || strings.ContainsAny(rest, "/?#@\\%") {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Path != "" {
		return "", false
	}
	host, ok := normalHost(u.Hostname())
	if !ok {
		return "", false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	switch port := u.Port(); {
	case port == "" && strings.HasSuffix(rest, ":"):
		return "", false
	case port == "", scheme == "http" && port == "80", scheme == "https" && port == "443":
		return scheme + "://" + host, true
	default:
		return scheme + "://" + host + ":" + port, true
	}
}

// originHost is the host of a normalised origin, an IPv6 address without its brackets.
func originHost(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	if rest, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
		return host
	}
	host, _, _ = strings.Cut(host, ":")
	return host
}

// normalHost brings a host name to lower-case A-labels without a final dot, and an address to its
// usual form.
func normalHost(s string) (string, bool) {
	address := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		address = strings.TrimSuffix(inner, "]")
	}
	if a, err := netip.ParseAddr(address); err == nil {
		return a.Unmap().WithZone("").String(), true
	}
	s = strings.TrimSuffix(s, ".")
	plain := s != "" && len(s) <= 253
	for i := range len(s) {
		c := s[i]
		plain = plain && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_')
	}
	if plain && !strings.Contains(s, "..") && s[0] != '.' {
		return s, true
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || ascii == "" || strings.Contains(ascii, "..") || strings.ContainsAny(ascii, "*/:@ ") {
		return "", false
	}
	return ascii, true
}
