package message

import "strings"

// maxMailboxes bounds what ParseMailboxes reads, in bytes.
const maxMailboxes = 1 << 18

// Mailbox is an address with the name that people know its owner by (RFC 5322, 3.4). Name is plain
// text, undecorated.
type Mailbox struct {
	Name    string
	Address Address
}

// ParseMailbox parses one mailbox as it stands in a header field: "ada@example.org", "Ada
// <ada@example.org>", with comments and encoded words. Groups and lists are refused. Every error is
// an *AddressError.
func ParseMailbox(s string) (Mailbox, error) {
	list, err := ParseMailboxes(s)
	if err != nil {
		return Mailbox{}, err
	}
	if len(list) != 1 {
		return Mailbox{}, &AddressError{Input: s, Reason: "exactly one address is wanted here"}
	}
	return list[0], nil
}

// ParseMailboxes parses a comma-separated list as it stands in a header field (RFC 5322, 3.4), with
// display names, comments, encoded words and groups, whose members are returned in their place. An
// empty group such as "undisclosed-recipients:;" is an empty list; empty text is an error. Each
// address passes the checks of ParseAddress, and a comment behind one without a name is its name.
// Control characters in a name become spaces. The list has at most 256 KiB. Every error is an
// *AddressError that shows the element of the list that is wrong.
func ParseMailboxes(s string) ([]Mailbox, error) {
	if len(s) > maxMailboxes {
		return nil, &AddressError{Input: s, Reason: "the list is longer than 256 KiB"}
	}
	s = TrimInvisible(s)
	p := listParser{s: s}
	list, reason := p.list(false)
	switch {
	case s == "":
		reason = "it is empty"
	case reason == "" && len(list) == 0 && !p.groups:
		reason = "there is no address in it"
	}
	if reason != "" {
		return nil, &AddressError{Input: p.culprit(), Reason: reason}
	}
	return list, nil
}

// String is the mailbox as it stands in a header field, on one line: the name as it is, quoted or
// in RFC 2047 encoded words. A local part beyond ASCII stays as it is (RFC 6532).
func (m Mailbox) String() string { return strings.Join(m.words(), " ") }

func (m Mailbox) words() []string {
	name := clean(m.Name)
	if name == "" {
		return []string{m.Address.String()}
	}
	return append(phraseWords(name), "<"+m.Address.String()+">")
}

// phraseWords writes a display name.
func phraseWords(name string) []string {
	words := textWords(name, longWord)
	if strings.HasPrefix(words[0], "=?") || isPhrase(words) {
		return words
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	return spaced(quoted)
}

// isPhrase reports whether the words are atoms with single spaces between them.
func isPhrase(words []string) bool {
	for _, w := range words {
		for i := range len(w) {
			if !isAtext(w[i]) {
				return false
			}
		}
	}
	return true
}

// mailboxWords is a comma-separated list as words to fold between.
func mailboxWords(list []Mailbox) []string {
	var words []string
	for i, m := range list {
		words = append(words, m.words()...)
		if i < len(list)-1 {
			words[len(words)-1] += ","
		}
	}
	return words
}
