package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"dinkymail/internal/gate"
)

// forwardKey leads to the forward of a request that a trusted proxy passed on.
type forwardKey struct{}

// forward is whom a proxy names as the client.
type forward struct {
	client netip.Addr // not valid: nobody
	sure   bool       // false when nobody is named, or the fields contradict each other: the client may have written one of them
}

// forwarded makes the client known whom a trusted proxy names, and notes proxies that are not
// trusted.
func (s *Server) forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if field := passedOn(r.Header); field != "" {
			peer := gate.ParsePeer(r.RemoteAddr)
			if gate.Contains(s.cfg.TrustedProxies, peer) {
				r = r.WithContext(context.WithValue(r.Context(), forwardKey{}, forwardOf(r.Header, s.cfg.TrustedProxies)))
			} else {
				s.noteProxy(peer, field)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// proxyHeaders are the fields that proxies add. The first three name the client, and are read in
// this order.
var proxyHeaders = [...]string{
	"X-Forwarded-For", "Forwarded", "X-Real-Ip",
	"X-Forwarded-Host", "X-Forwarded-Proto", "Via", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Scheme",
	"X-Forwarded-Ssl", "X-Forwarded-Prefix", "X-Original-Forwarded-For", "X-Client-Ip", "X-Cluster-Client-Ip",
	"True-Client-Ip", "Cf-Connecting-Ip", "Cdn-Loop", "Fastly-Client-Ip", "X-Envoy-External-Address",
}

// passedOn names the field by which a proxy shows that it passed the request on; "" when there is
// none.
func passedOn(h http.Header) string {
	for _, name := range proxyHeaders {
		if len(h[name]) > 0 {
			return name
		}
	}
	return ""
}

// forwardOf finds the client that the proxy at the other end names. Every proxy appends the address
// that it was called from, so the rightmost that is no trusted proxy is the client, and what stands
// to the left of it is the client's own word. Of several fields the first counts. One that names
// somebody else was not written by this proxy, or the first was not.
func forwardOf(h http.Header, proxies []netip.Prefix) forward {
	f := forward{sure: true}
	for _, one := range [...]struct {
		name string
		read func(lines []string) (nodes []string, ok bool)
	}{{"X-Forwarded-For", listed}, {"Forwarded", forNodes}, {"X-Real-Ip", listed}} {
		lines := h[one.name]
		if len(lines) == 0 {
			continue
		}
		nodes, ok := one.read(lines)
		client := netip.Addr{}
		if ok {
			client = rightmost(nodes, proxies)
		}
		switch {
		case !client.IsValid():
			f.sure = false
		case !f.client.IsValid():
			f.client = client
		case f.client != client && !gate.Contains(proxies, client):
			f.sure = false
		}
	}
	f.sure = f.sure && f.client.IsValid()
	return f
}

// rightmost is the last of some nodes that is no trusted proxy, or the last one when all are; not
// valid when a node that must be known is none we can read.
func rightmost(nodes []string, proxies []netip.Prefix) netip.Addr {
	for _, node := range slices.Backward(nodes) {
		a := nodeAddr(node)
		if !a.IsValid() || !gate.Contains(proxies, a) {
			return a
		}
	}
	if len(nodes) == 0 {
		return netip.Addr{}
	}
	return nodeAddr(nodes[len(nodes)-1])
}

// nodeAddr reads the address of a node: an address, an address:port, [v6] or [v6]:port. What RFC
// 7239 calls unknown or obfuscated has none.
func nodeAddr(s string) netip.Addr {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if address, ok := strings.CutSuffix(inner, "]"); ok {
			s = address
		} else if i := strings.LastIndex(inner, "]:"); i >= 0 {
			s = inner[:i] // the port may be an obfuscated one
		}
	} else if host, port, ok := strings.Cut(s, ":"); ok && !strings.Contains(port, ":") {
		s = host
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// listed splits the lines of a field whose value is a list separated by commas. Quotation marks
// around a node are dropped.
func listed(lines []string) ([]string, bool) {
	var nodes []string
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.Trim(strings.TrimSpace(entry), `"`); entry != "" {
				nodes = append(nodes, entry)
			}
		}
	}
	return nodes, true
}

// forNodes reads the for= of each element of Forwarded (RFC 7239); "" stands for an element without
// one. It is not ok when the field is malformed anywhere: a quotation mark that the client left
// open must not swallow what the proxy appended.
func forNodes(lines []string) (nodes []string, ok bool) {
	rest := strings.Join(lines, ",")
	node := ""
	for {
		rest = strings.TrimLeft(rest, " \t")
		if rest != "" && rest[0] != ';' && rest[0] != ',' {
			var name, value string
			if name, value, rest, ok = forPair(rest); !ok {
				return nil, false
			}
			if strings.EqualFold(name, "for") {
				node = value
			}
		}
		if rest == "" || rest[0] == ',' {
			nodes, node = append(nodes, node), ""
		}
		if rest == "" {
			return nodes, true
		}
		rest = rest[1:]
	}
}

// forPair reads name=token or name="string" up to the next ; or , or the end.
func forPair(s string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t\",;") {
		return "", "", "", false
	}
	if quoted, is := strings.CutPrefix(rest, `"`); is {
		if value, rest, ok = strings.Cut(quoted, `"`); !ok || strings.Contains(value, `\`) {
			return "", "", "", false // no address needs an escape
		}
	} else {
		end := strings.IndexAny(rest, ";, \t\"")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
	}
	rest = strings.TrimLeft(rest, " \t")
	return name, value, rest, rest == "" || rest[0] == ';' || rest[0] == ','
}
