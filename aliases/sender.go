package aliases

import (
	"strings"

	"dinkymail/message"
)

// Sender is the envelope sender that a goes out as: what the map of senders says of it, else
// Config.From when it is of this machine alone and nobody elsewhere could answer it. The null
// reverse-path stays.
func (b *Book) Sender(a message.Address) message.Address {
	if a.IsNull() {
		return a
	}
	if to, ok := b.senderMap(a); ok {
		return to
	}
	if (a.Domain == "" || b.hosts[a.Domain]) && !b.cfg.From.IsNull() {
		return b.cfg.From
	}
	return a
}

func (b *Book) senderMap(a message.Address) (message.Address, bool) {
	if len(b.senders) == 0 {
		return message.Address{}, false
	}
	keys := []string{strings.ToLower(a.String())}
	if b.local(a.Domain) {
		keys = append(keys, strings.ToLower(a.Local))
	}
	if a.Domain != "" {
		keys = append(keys, "@"+a.Domain)
	}
	for _, key := range keys {
		if e, ok := b.senders[key]; ok {
			to, _ := b.target(e.targets[0], a)
			return to, true
		}
	}
	return message.Address{}, false
}

// From rewrites the value of a From field whose one address Sender would change: the display name
// stays. It is false when the field stays as it is, which is so too when it cannot be read.
func (b *Book) From(field string) (string, bool) {
	if !b.mayConcern(field) {
		return "", false
	}
	m, ok := parseFrom(field)
	if !ok {
		return "", false
	}
	to := b.Sender(m.Address)
	if to == m.Address {
		return "", false
	}
	m.Address = to
	return m.String(), true
}

// mayConcern is a quick look: most fields name an address elsewhere.
func (b *Book) mayConcern(field string) bool {
	at := strings.LastIndexByte(field, '@')
	if at < 0 || len(b.senders) > 0 {
		return true
	}
	domain := field[at+1:]
	if end := strings.IndexAny(domain, "> \t\r\n(,;"); end >= 0 {
		domain = domain[:end]
	}
	return b.hosts[strings.ToLower(domain)] || strings.ContainsAny(field, "(,") // a comment may have an @ too
}

// parseFrom reads a From field, also as local programs write it: "root", "root (Cron Daemon)",
// "Cron <root>".
func parseFrom(field string) (message.Mailbox, bool) {
	if m, err := message.ParseMailbox(field); err == nil {
		return m, true
	}
	name, comment, _ := strings.Cut(strings.TrimSpace(field), " (")
	if before, inner, ok := strings.Cut(name, "<"); ok {
		inner, _, _ = strings.Cut(inner, ">")
		m, err := message.ParseMailbox(before + "<" + inner + "@localhost>")
		m.Address.Domain = ""
		return m, err == nil
	}
	text := name + "@localhost"
	if comment != "" {
		text += " (" + comment
	}
	m, err := message.ParseMailbox(text)
	m.Address.Domain = ""
	return m, err == nil
}
