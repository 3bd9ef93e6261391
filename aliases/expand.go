package aliases

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"dinkymail/message"
)

// Recipients replaces those who have an alias. One that stands for several gives each its NOTIFY,
// and the address it was sent to as ORCPT where there was none (RFC 3461, 5.2.7). Nobody is there
// twice. The slice is to itself when nothing changes.
func (b *Book) Recipients(to []message.Recipient) []message.Recipient {
	changed := false
	var all []message.Recipient
	var seen map[message.Address]bool
	for i, r := range to {
		targets, ok := b.Expand(r.Address)
		if !ok {
			targets = []message.Address{r.Address}
		} else if !changed {
			changed, seen = true, make(map[message.Address]bool, len(to))
			for _, before := range to[:i] {
				all = append(all, before)
				seen[before.Address] = true
			}
		}
		if !changed {
			continue
		}
		for _, a := range targets {
			if seen[a] {
				continue
			}
			seen[a] = true
			n := message.Recipient{Address: a, Notify: r.Notify, Original: r.Original}
			if ok && n.Original == "" && a != r.Address {
				n.Original = "rfc822;" + b.full(r.Address).String()
			}
			all = append(all, n)
		}
	}
	if !changed {
		return to
	}
	return all
}

// Expand is everybody a recipient stands for; false when it has no alias and stays as it is.
func (b *Book) Expand(a message.Address) ([]message.Address, bool) {
	if len(b.virtual) == 0 && len(b.aliases) == 0 && a.Domain != "" && (b.cfg.Catch.IsNull() || !b.hosts[a.Domain]) {
		return nil, false
	}
	x := expansion{book: b, seen: map[message.Address]bool{}}
	x.walk(a, 0)
	if len(x.out) == 0 { // every way went in circles
		x.out = append(x.out, b.settle(a))
	}
	return x.out, len(x.out) != 1 || x.out[0] != a
}

// expansion follows aliases to their ends.
type expansion struct {
	book *Book
	seen map[message.Address]bool
	out  []message.Address
}

func (x *expansion) walk(a message.Address, depth int) {
	if x.seen[a] || len(x.out) >= MaxTargets {
		return
	}
	x.seen[a] = true
	targets, ok := x.book.step(a)
	if !ok || depth >= MaxDepth {
		x.out = append(x.out, x.book.settle(a))
		return
	}
	for _, t := range targets {
		next, last := x.book.target(t, a)
		if last || next == a { // a name that stands for itself, among others
			if end := x.book.settle(next); !slices.Contains(x.out, end) {
				x.out = append(x.out, end)
			}
			continue
		}
		x.walk(next, depth+1)
	}
}

// step is what an address stands for in the first map that has it.
func (b *Book) step(a message.Address) ([]string, bool) {
	local, full := strings.ToLower(a.Local), strings.ToLower(b.full(a).String())
	ours := b.local(a.Domain)
	if e, ok := b.virtual[full]; ok {
		return e.targets, true
	}
	if ours {
		if e, ok := b.virtual[local]; ok {
			return e.targets, true
		}
		if e, ok := b.aliases[local]; ok {
			return e.targets, true
		}
	}
	if a.Domain != "" {
		if e, ok := b.virtual["@"+a.Domain]; ok {
			return e.targets, true
		}
	}
	return nil, false
}

// local reports whether aliases(5) may name mailboxes of this domain.
func (b *Book) local(domain string) bool {
	return domain == "" || domain == b.cfg.Domain || b.hosts[domain]
}

// target is what a map's value means for the address that was looked up; last when expansion ends
// with it.
func (b *Book) target(t string, from message.Address) (a message.Address, last bool) {
	if domain, ok := strings.CutPrefix(t, "@"); ok {
		return message.Address{Local: from.Local, Domain: strings.ToLower(domain)}, false
	}
	name, last := strings.CutPrefix(t, `\`)
	if !strings.Contains(name, "@") {
		domain := b.cfg.Domain
		if domain == "" {
			domain = "localhost"
		}
		name += "@" + domain
	}
	a, _ = message.ParseAddress(name) // was checked when it was read
	return a, last
}

// settle is where an address without an alias goes. A name without a domain stays one where nobody
// is there to catch it, but for the one that everybody has (RFC 5321, 4.5.1).
func (b *Book) settle(a message.Address) message.Address {
	if (a.Domain == "" || b.hosts[a.Domain]) && !b.cfg.Catch.IsNull() {
		return b.cfg.Catch
	}
	if strings.EqualFold(a.Local, "postmaster") {
		return b.full(a)
	}
	return a
}

// full is an address with its domain, which is ours where it has none.
func (b *Book) full(a message.Address) message.Address {
	if a.Domain == "" {
		a.Domain = b.cfg.Domain
	}
	return a
}

// Knows reports whether mail to a name without a domain has somewhere to go: to an alias, or to
// Config.Catch.
func (b *Book) Knows(a message.Address) bool {
	targets, ok := b.Expand(a)
	return ok && len(targets) > 0 && targets[0].Domain != ""
}

// check finds aliases that go in circles, each circle once.
func (b *Book) check() (problems []error) {
	c := circles{book: b, done: map[string]bool{}}
	for _, key := range slices.Sorted(maps.Keys(b.aliases)) {
		if chain := c.follow(message.Address{Local: key, Domain: "localhost"}, nil); len(chain) > 0 {
			e := b.aliases[chain[0]]
			problems = append(problems, &Problem{e.file, e.line, fmt.Sprintf("alias %q goes in circles: %s; "+
				"mail to it is sent to the others it names, or as it is", chain[0], strings.Join(chain, " → "))})
		}
	}
	return problems
}

// circles looks for aliases that lead back to themselves.
type circles struct {
	book *Book
	done map[string]bool // names that were followed to their ends
}

// follow is the way from a name on the way back to it; none when there is no such way.
func (c *circles) follow(a message.Address, way []string) []string {
	name := strings.ToLower(a.Local)
	if !c.book.local(a.Domain) {
		return nil // somebody of that name elsewhere
	}
	if i := slices.Index(way, name); i >= 0 {
		return append(way[i:], name)
	}
	e, ok := c.book.aliases[name]
	if !ok || c.done[name] || len(way) >= MaxDepth {
		return nil
	}
	c.done[name] = true
	for _, t := range e.targets {
		next, last := c.book.target(t, a)
		if last || strings.EqualFold(next.Local, a.Local) && c.book.local(next.Domain) {
			continue
		}
		if chain := c.follow(next, append(slices.Clone(way), name)); len(chain) > 0 {
			return chain
		}
	}
	return nil
}
