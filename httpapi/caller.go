package httpapi

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/httprate"

	"dinkymail/account"
	"dinkymail/internal/gate"
	"dinkymail/operate"
	"dinkymail/queue"
)

// rank says how far a caller is trusted. The zero value is the least.
type rank uint8

const (
	visitor     rank = iota
	program          // runs on this machine, or in a network the owner trusts
	application      // showed a key
	operator         // at the control socket: may do everything
)

// caller is who made a request.
type caller struct {
	rank    rank
	user    account.User // an application's key, or a user of this machine at a Unix socket
	client  netip.Addr   // may be invalid
	counted netip.Addr   // whose limit counts: client's, or the proxy's where it is not sure who the client is
	here    bool         // the request was made on this machine, by a program or in a browser that its user led here
	address string       // for the log and the record: host:port, the address alone when it came through a proxy, or "unix:UID"
	why     string       // why it is only a visitor, for the answer when that matters
}

// door is how the queue remembers the way a mail came in. Visitors have their own, so that a
// mailing of the owner's, which has the same sender, does not stand before them.
func (c caller) door() string {
	if c.rank == visitor {
		return queue.DoorForm
	}
	return queue.DoorHTTP
}

// callers tells callers apart.
type callers struct {
	cfg     Config
	hosts   map[string]bool
	origins Origins
	form    account.Addresses // whom visitors may write to
	limit   *httprate.RateLimiter
}

func newCallers(cfg Config) *callers {
	c := &callers{cfg: cfg, hosts: map[string]bool{"localhost": true}}
	for _, host := range append([]string{cfg.Hostname}, cfg.Hosts...) {
		if host, ok := normalHost(withoutPort(strings.ToLower(strings.TrimSpace(host)))); ok {
			c.hosts[host] = true
		}
	}
	c.origins, _ = ParseOrigins(cfg.AllowedHosts)
	form := cfg.FormRecipients
	if len(form) == 0 {
		form = []string{cfg.DefaultTo.Address.String(), "@" + cfg.Domain}
	}
	c.form, _ = account.ParseAddresses(form)
	if cfg.FormRate.N > 0 && cfg.FormRate.Per > 0 {
		c.limit = httprate.NewRateLimiter(cfg.FormRate.N, cfg.FormRate.Per,
			httprate.WithResponseHeaders(httprate.ResponseHeaders{})) // Retry-After is ours, the rest is nobody's business
	}
	return c
}

// identify finds out who made a request. The error is a key that is not ours: whoever shows a key
// means to be known by it, and is never taken for somebody else instead.
func (c *callers) identify(r *http.Request) (caller, error) {
	if who, ok := r.Context().Value(callerKey{}).(caller); ok {
		return who, nil
	}
	peer := gate.ParsePeer(r.RemoteAddr)
	var who caller
	who.client, who.address = clientOf(r)
	who.counted = who.client
	if f, ok := r.Context().Value(forwardKey{}).(forward); ok && !f.sure {
		who.counted = peer
	}
	secret, shown, err := shownKey(r.Header)
	if err != nil {
		return who, err
	}
	if shown {
		if who.user, shown = c.cfg.Accounts.Key(secret); !shown {
			return who, refuse(operate.CodeKey, "The API key is not valid: it is none of those in API_KEYS.")
		}
		who.rank = application
		return who, nil
	}
	if who.why = c.elsewhere(r, peer); who.why != "" {
		return who, nil
	}
	who.here = true
	if mark := browserMark(r.Header); mark != "" {
		who.why = "it comes from a browser (" + mark + ")"
		return who, nil
	}
	who.rank, who.user = program, c.cfg.Accounts.Programs()
	return who, nil
}

// elsewhere says why a request was not made on this machine, or is not taken for one; "" when it
// was.
func (c *callers) elsewhere(r *http.Request, peer netip.Addr) string {
	switch passed := passedOn(r.Header); {
	case !gate.Contains(c.cfg.TrustedNetworks, peer):
		return "its address is not in TRUSTED_NETWORKS"
	case passed != "":
		return "it came through a proxy (" + passed + ")"
	case len(r.Header["Origin"]) > 0, fromOtherSite(r.Header):
		return "it came from a web page"
	case !c.ourHost(r):
		return "its Host is not one of ours (MAIL_HOSTNAME, localhost)"
	case c.cfg.KeysOnly:
		return "programs need a key while LOCAL_HTTP is no"
	}
	return ""
}

// browserMark names a field by which a browser shows itself; "" when there is none. Behind a proxy
// that says nothing of itself, that is all which tells a stranger from a program on this machine.
func browserMark(h http.Header) string {
	for _, name := range [...]string{"Origin", "Referer", "Cookie", "Upgrade-Insecure-Requests"} {
		if len(h[name]) > 0 {
			return name
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "Sec-") && (name != "Sec-Fetch-Mode" || !isNode(h)) {
			return name
		}
	}
	return ""
}

// isNode recognises the fetch of Node.js, which says Sec-Fetch-Mode as browsers do, but nothing
// else of them.
func isNode(h http.Header) bool {
	agent := h.Get("User-Agent")
	return agent == "node" || strings.HasPrefix(agent, "undici")
}

// shownKey is the key a request carries, if any. An Authorization of another scheme is not for us.
func shownKey(h http.Header) (secret string, shown bool, err error) {
	given := h["X-Api-Key"]
	for _, a := range h["Authorization"] {
		if scheme, rest, _ := strings.Cut(a, " "); strings.EqualFold(scheme, "Bearer") {
			given = append(given[:len(given):len(given)], strings.TrimSpace(rest))
		}
	}
	if len(given) == 0 {
		return "", false, nil
	}
	for _, g := range given[1:] {
		if g != given[0] {
			return "", true, refuse(operate.CodeKey,
				"The request carries two API keys that differ: give one, as Authorization: Bearer or X-API-KEY.")
		}
	}
	return given[0], true, nil
}

// fromOtherSite reports whether a browser says that a page of another site made the request without
// being navigated here.
func fromOtherSite(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return site != "" && site != "none" && site != "same-origin" && h.Get("Sec-Fetch-Mode") != "navigate"
}

// ourHost reports whether the request was sent to a name that only ever means us: a page elsewhere
// can make its own name resolve to this machine, but not one of these.
func (c *callers) ourHost(r *http.Request) bool {
	host, ok := normalHost(strings.ToLower(withoutPort(r.Host)))
	if !ok {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		return a.IsLoopback() || c.hosts[host] || local != nil && a == gate.ParsePeer(local.String())
	}
	return c.hosts[host] || strings.HasSuffix(host, ".localhost")
}

func withoutPort(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// checkOrigin refuses a request that a page of a foreign origin made. Our own pages are no
// foreigners.
func (c *callers) checkOrigin(r *http.Request) error {
	origins := r.Header["Origin"]
	if len(origins) == 0 || len(origins) == 1 && (c.origins.Allow(origins[0]) || c.sameOrigin(r, origins[0])) {
		return nil
	}
	return refuse(operate.CodeOrigin, "This page's origin may not send mail here: add its host to ALLOWED_HOSTS to allow it.")
}

func (c *callers) sameOrigin(r *http.Request, origin string) bool {
	_, host, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(host, r.Host) && c.ourHost(r)
}

// overRate refuses a visitor who has sent as much as FORM_RATE_LIMIT allows. It counts nothing.
func (c *callers) overRate(who caller) error {
	if c.limit == nil || who.rank != visitor {
		return nil
	}
	if _, n, err := c.limit.Status(rateKey(who)); err != nil || int(math.Round(n)) < c.cfg.FormRate.N {
		return nil // the counter is in memory and has no errors
	}
	return c.tooMany()
}

// countMail counts what is going to be a visitor's mail, and refuses it when there were too many.
// What is refused for another reason does not count: whoever sends that would use up the limit of
// all who share an address with him.
func (c *callers) countMail(r *http.Request, who caller) error {
	// The limiter writes no header, so that it needs nothing to write to.
	if c.limit == nil || who.rank != visitor || !c.limit.OnLimit(nil, r, rateKey(who)) {
		return nil
	}
	return c.tooMany()
}

// rateKey is what a limit counts by. An IPv6 client counts with its network.
func rateKey(who caller) string { return gate.Client(who.counted).String() }

func (c *callers) tooMany() error {
	return &operate.Error{
		Code:    operate.CodeRate,
		Message: "Too many requests from this address: FORM_RATE_LIMIT says how many a visitor may send. Try again later.",
		Retry:   max(c.cfg.FormRate.Per, time.Second),
	}
}

// clientOf is who made the request: the peer, or the client that a trusted proxy names. The text is
// host:port, or the address alone when it came through a proxy.
func clientOf(r *http.Request) (netip.Addr, string) {
	if who, ok := r.Context().Value(callerKey{}).(caller); ok {
		return who.client, who.address
	}
	peer := gate.ParsePeer(r.RemoteAddr)
	if f, ok := r.Context().Value(forwardKey{}).(forward); ok && f.client.IsValid() && f.client != peer {
		return f.client, f.client.String()
	}
	return peer, r.RemoteAddr
}
