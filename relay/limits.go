package relay

import (
	"maps"
	"strings"
	"time"
)

const (
	relearn   = time.Hour   // after which a limit that was learned doubles
	leastIdle = time.Second // below, idleness is not what ended a connection
)

// learnedLimit is a limit that the next hop's replies have learnedLimit. It comes back slowly, so that one
// stray reply does not hold it down for ever. The zero value was never learnedLimit.
type learnedLimit struct {
	limit int64
	since time.Time
}

// now is what is left of a limit that is most by the settings.
func (l *learnedLimit) now(most int64, at time.Time) int64 {
	if l.limit == 0 {
		return most
	}
	limit := l.limit
	for age := at.Sub(l.since); age >= relearn && limit < most; age -= relearn {
		limit *= 2
	}
	return min(limit, most)
}

// observed is what the end of a connection teaches; zero fields teach nothing.
type observed struct {
	messages int           // it had carried so many and took no more
	idle     time.Duration // it had idled so long
}

// learn lowers what a observed is about.
func (p *pool) learn(l observed) {
	if l.messages > 0 {
		p.lower(&p.messages, "messages per connection", int64(p.cfg.PerConnection), int64(l.messages))
	}
	if l.idle > 0 {
		p.lower(&p.idleFor, "idle time in ns", int64(p.cfg.IdleTimeout), int64(max(l.idle/2, leastIdle)))
	}
}

// lower sets one of the pool's limits, unless it is lower already.
func (p *pool) lower(l *learnedLimit, name string, most, limit int64) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := l.now(most, now); limit >= before {
		return
	}
	l.limit, l.since = limit, now
	p.log.Info("upstream limit learned", "remote", p.cfg.address(), "limit", name, "n", limit)
}

// inherit takes over what was learned of the same next hop.
func (p *pool) inherit(old *pool) {
	if p.cfg.address() != old.cfg.address() {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	p.messages, p.idleFor, p.recipients = old.messages, old.idleFor, old.recipients
	p.choice, p.demoted = old.choice, maps.Clone(old.demoted)
	p.usual.Store(old.usual.Load())
	if p.cfg.UseTLS || p.cfg.implicit() {
		p.ends.Store(old.ends.Load())
	}
}

// exhausted reports whether a connection that took messages before has had its number.
func (p *pool) exhausted(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.used >= p.perConnection(time.Now())
}

// perConnection is how many messages a connection may carry. The caller holds mu.
func (p *pool) perConnection(now time.Time) int {
	return int(p.messages.now(int64(p.cfg.PerConnection), now))
}

// idleTimeout is how long a connection may idle. The caller holds mu.
func (p *pool) idleTimeout(now time.Time) time.Duration {
	return time.Duration(p.idleFor.now(int64(p.cfg.IdleTimeout), now))
}

// perTransaction is how many recipients go in one transaction.
func (p *pool) perTransaction() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.recipients.now(int64(p.cfg.Recipients), time.Now()))
}

// fewer learns that a transaction is to have at most n recipients.
func (p *pool) fewer(n int) int {
	n = max(n, 1)
	p.lower(&p.recipients, "recipients per transaction", int64(p.cfg.Recipients), int64(n))
	return n
}

var (
	sessionWords = []string{"session", "connection", "conversation"}
	enoughWords  = []string{"too many", "maximum", "max ", "limit", "exceed", "expire", "reached", "messages per"}
	spentWords   = []string{"too many messages", "too many mails", "too many emails", "too many transactions", "too many mail transactions",
		"reconnect"}
	idleWords = []string{"timeout", "timed out", "time out", "time-out", "idle", "inactiv"}

	manyWords = []string{"too many recipients", "too many rcpt", "too many to addresses", "recipient count exceed",
		"recipients count exceed", "recipients exceed", "recipient limit", "recipients limit", "number of recipients", "maximum recipients",
		"max recipients", "many recipients", "recipients per"}
	overTimeWords = []string{"hour", "minute", "day", "daily", "month", " rate", "quota", "recipients from"}
)

// sessionOver recognises that a connection is to carry no more mail, though another one may.
func sessionOver(words string) bool {
	return containsAny(words, sessionWords) && containsAny(words, enoughWords) && !aboutConnections(words)
}

// hasHadNumber does so too where the connection is not named.
func hasHadNumber(words string) bool {
	return sessionOver(words) ||
		containsAny(words, spentWords) && !containsAny(words, overTimeWords) && !aboutConnections(words)
}

// aboutConnections recognises that there are too many connections, rather than messages over one.
func aboutConnections(words string) bool {
	return containsAny(words, paceWords) && !strings.Contains(words, "messages")
}

// hasIdled recognises that a connection was without mail for too long.
func hasIdled(r reply, words string) bool {
	return r.code/100 == 4 && (strings.HasSuffix(r.status, ".4.2") || containsAny(words, idleWords))
}

// tooMany recognises that a transaction has more recipients than the next hop takes in one. What is
// counted over time, or over the messages of a connection, is another thing.
func tooMany(r reply) bool {
	words := strings.ToLower(r.text)
	if r.code < 400 || containsAny(words, overTimeWords) || hasHadNumber(words) && !strings.Contains(words, "recip") {
		return false
	}
	return strings.HasSuffix(r.status, ".5.3") || containsAny(words, manyWords)
}

// tooManyYet recognises in the reply to a recipient that the ones before it are all that the next
// hop takes (RFC 5321, 4.5.3.1.10, which also wants 552 read so).
func tooManyYet(r reply) bool {
	return tooMany(r) || r.code == 452 && (r.status == "" || strings.HasSuffix(r.status, ".5.3")) && !hasHadNumber(strings.ToLower(r.text))
}

// aboutConnection reports whether a reply is about the connection, used before, and not about this mail.
// Where it comes on a fresh connection it is what it says, and what the connection before it seemed
// to teach is idlePatience.
func (t *transact) aboutConnection(stage string, r reply) bool {
	words := strings.ToLower(r.text)
	number, idled := hasHadNumber(words), hasIdled(r, words)
	early := stage != stageBody // nothing of the message was sent
	switch {
	case r.code < 400:
		return false
	case early && (r.code == 421 || number || idled || tooMany(r)):
	case !early && r.code != 421 && sessionOver(words):
	default:
		return false
	}
	if t.c.used == 0 {
		t.a.observed = observed{}
	}
	if t.c.used == 0 || t.a.renewed {
		return false
	}
	if number || tooMany(r) {
		t.a.observed = observed{messages: t.c.used}
	} else if t.c.idled >= leastIdle {
		t.a.observed = observed{idle: t.c.idled}
	}
	return true
}
