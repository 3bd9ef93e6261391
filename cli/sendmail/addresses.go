package sendmail

import (
	"errors"
	"regexp"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/message"
)

// addresses finds the addresses in a list as it stands in a header field or on a command line:
// names, comments, groups and routes are left out, and an address may be without a domain. It is
// more forgiving than message.ParseMailboxes, which wants a list that another program can read;
// here it is enough to know whom is meant.
func addresses(list string) ([]message.Address, error) {
	p := parser{rest: list}
	if err := p.run(); err != nil {
		return nil, world.Failf(world.ExitNoUser, "%q: %w", shorten(list), err)
	}
	var all []message.Address
	for _, text := range p.found {
		a, err := message.ParseLocalAddress(text)
		if err != nil {
			return nil, &world.Exit{Code: world.ExitNoUser, Err: err}
		}
		all = append(all, a)
	}
	return all, nil
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// parser walks over a list once.
type parser struct {
	rest  string
	found []string

	word  strings.Builder // what may be an address, without white space at its ends
	gap   bool            // white space stands behind word
	angle bool            // the address stood in angle brackets, and what else stands there is a name
	group bool
}

// run goes to the end of the list.
func (p *parser) run() error {
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		var err error
		switch c {
		case '(':
			err = p.comment()
		case '"':
			err = p.quoted()
		case '<':
			err = p.bracketed()
		case '[':
			p.add(c)
			p.literal()
		case '=':
			p.add(c)
			p.encoded()
		case ' ', '\t', '\r', '\n':
			p.gap = p.gap || p.word.Len() > 0
		case ':':
			p.start() // what stood before is the name of a group
			p.group = true
		case ';':
			p.end()
			p.group = false
		case ',':
			p.end()
		default:
			p.add(c)
		}
		if err != nil {
			return err
		}
	}
	p.end()
	return nil
}

// start forgets what was read since the last address.
func (p *parser) start() {
	p.word.Reset()
	p.gap, p.angle = false, false
}

// add puts a character to the word. White space around an @ or a dot is an old form of the address;
// elsewhere it stays, and makes the word none.
func (p *parser) add(c byte) {
	if p.angle {
		return
	}
	if p.gap {
		p.gap = false
		last := p.word.String()[p.word.Len()-1]
		if c != '@' && c != '.' && last != '@' && last != '.' {
			p.word.WriteByte(' ')
		}
	}
	p.word.WriteByte(c)
}

// end takes what was read as an address, if there is something.
func (p *parser) end() {
	if text := p.word.String(); text != "" {
		p.found = append(p.found, text)
	}
	p.start()
}

// take reads the next n characters as they are.
func (p *parser) take(n int) {
	if !p.angle {
		p.word.WriteString(p.rest[:n])
	}
	p.rest = p.rest[n:]
}

// comment skips what stands in parentheses.
func (p *parser) comment() error {
	depth := 1
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.rest = p.rest[i+1:]
				p.gap = p.gap || p.word.Len() > 0
				return nil
			}
		}
	}
	return errors.New("a parenthesis is not closed")
}

// quoted reads to the closing quotation mark.
func (p *parser) quoted() error {
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '"':
			p.add('"')
			p.take(i + 1)
			return nil
		}
	}
	return errors.New("a quotation mark is not closed")
}

// literal reads an address literal to its bracket: the colons in it begin no group.
func (p *parser) literal() {
	const longest = 100
	i := strings.IndexAny(p.rest[:min(len(p.rest), longest)], "],; \t")
	if i >= 0 && p.rest[i] == ']' {
		p.take(i + 1)
	}
}

// encodedWord is the rest of an encoded word (RFC 2047, 2) behind its first character. Commas and
// the like in it, which many programs leave as they are, part no addresses.
var encodedWord = regexp.MustCompile(`^\?[^?=\s<>"]+\?[BbQq]\?[^?<>"\r\n]*\?=`)

// encoded reads an encoded word to its end, if it is one.
func (p *parser) encoded() {
	const longest = 1000
	p.take(len(encodedWord.FindString(p.rest[:min(len(p.rest), longest)])))
}

// bracketed reads an address in angle brackets. What stood before was a name.
func (p *parser) bracketed() error {
	inner := parser{}
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch c {
		case '>':
			if p.angle {
				return errors.New("a comma is missing between two addresses")
			}
			p.start()
			p.word.WriteString(withoutRoute(inner.word.String()))
			p.angle = true
			return nil
		case '"':
			inner.rest = p.rest
			if err := inner.quoted(); err != nil {
				return err
			}
			p.rest = inner.rest
		case ' ', '\t', '\r', '\n':
			inner.gap = inner.gap || inner.word.Len() > 0
		default:
			inner.add(c)
		}
	}
	return errors.New("an angle bracket is not closed")
}

// withoutRoute is an address without the hosts that mail once had to pass: "@a,@b:ada@example.org"
// (RFC 5322, 4.4).
func withoutRoute(s string) string {
	if strings.HasPrefix(s, "@") {
		if _, address, ok := strings.Cut(s, ":"); ok {
			return address
		}
	}
	return s
}
