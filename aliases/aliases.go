// Package aliases says who an address really is: aliases(5) and virtual maps for recipients, and
// what local senders such as root become.
//
// # What it promises
//
// A recipient that has an alias is replaced by all whom it stands for, each once; one that has none
// stays as it is. A loop ends where it closes: an alias that names itself, here or elsewhere, means
// the mailbox of that name. A list that is too deep or too long is cut off there: mail is sent to
// fewer, never for ever. What a file has wrong is said with file and line by Load, and costs that
// entry alone.
//
// # Limits
//
// Files of at most MaxFile bytes, plain ones, and MaxFiles bytes together; expansion at most
// MaxDepth deep and to MaxTargets addresses. Targets that are commands ("|program"), files
// ("/var/mail/x") or ":fail:"-like words are refused: this appliance delivers to its upstream
// alone. An included list is no link to another file, and no mistake quotes what stands in one: its
// writer may not be who reads the log. Keys are compared in small letters. owner- aliases do not
// change the envelope's sender.
//
// # Who runs where
//
// A Book never changes and may be read from any goroutine. Live reads the files again, in the
// goroutine that asks, when they have changed, and looks for that once a second at most.
package aliases

import (
	"errors"
	"fmt"
	"strings"

	"dinkymail/message"
)

// Bounds of what is expanded.
const (
	MaxDepth   = 50
	MaxTargets = 10_000
)

// Config says which files to read and what is local. The zero value changes nothing.
type Config struct {
	// Aliases are files in the form of aliases(5), for the local part of local addresses.
	Aliases []string
	// Virtual are files in the form of Postfix's virtual(5): "key value, value", where key is an
	// address, "@domain" or a local part. They come before Aliases.
	Virtual []string
	// Senders is a file of the same form for senders; empty: none.
	Senders string

	// Domain is what an address without a domain belongs to. Addresses there may have aliases.
	Domain string
	// Hosts are names of this machine: nobody upstream knows mailboxes there. "localhost" is always
	// one of them.
	Hosts []string
	// Catch is who gets mail to a mailbox of Hosts, or to a name without a domain, that has no
	// alias; the null address: it stays as it is.
	Catch message.Address
	// From replaces senders of Hosts, and those without a domain, that Senders does not name; the
	// null address: they stay.
	From message.Address
}

// Book is all the maps as they were read.
type Book struct {
	cfg     Config
	hosts   map[string]bool
	aliases table
	virtual table
	senders table
	stamps  map[string]stamp // of all files that were read, included lists as well
}

// table is a map's entries by key, in small letters.
type table map[string]entry

// Problem is one mistake in a file.
type Problem struct {
	File   string
	Line   int
	Reason string
}

// Error names file, line and reason.
func (p *Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason) }

// Load reads the files. The Book is good for what could be read even with an error, which joins a
// *Problem for each mistake and an error for each file that cannot be read.
func Load(cfg Config) (*Book, error) {
	b := &Book{cfg: cfg, hosts: map[string]bool{"localhost": true, "localhost.localdomain": true},
		aliases: table{}, virtual: table{}, senders: table{}}
	for _, h := range cfg.Hosts {
		b.hosts[strings.ToLower(h)] = true
	}
	delete(b.hosts, strings.ToLower(cfg.Domain))
	r := newReading()
	var problems []error
	for _, name := range cfg.Aliases {
		problems = append(problems, b.aliases.read(r, name, r.parseAliases)...)
	}
	for _, name := range cfg.Virtual {
		problems = append(problems, b.virtual.read(r, name, r.parseMap)...)
	}
	if cfg.Senders != "" {
		problems = append(problems, b.senders.read(r, cfg.Senders, r.parseMap)...)
	}
	b.stamps = r.stamps
	problems = append(problems, b.check()...)
	return b, errors.Join(problems...)
}

// read adds what parse finds in a file.
func (t table) read(r *reading, name string, parse func(file, text string) ([]entry, []error)) []error {
	text, err := r.text(name, false)
	if err != nil {
		return []error{err}
	}
	entries, problems := parse(name, text)
	for _, e := range entries {
		if _, twice := t[e.key]; twice {
			problems = append(problems, &Problem{name, e.line, fmt.Sprintf("%q stands there a second time; the first one counts", shown(e.key))})
			continue
		}
		e.file = name
		t[e.key] = e
	}
	return problems
}

// Lookup is what a key stands for in the maps themselves, one step and unexpanded, as postmap -q
// answers; false when it has no entry.
func (b *Book) Lookup(key string) ([]string, bool) {
	if k, err := mapKey(key); err == nil {
		if e, ok := b.virtual[k]; ok {
			return e.targets, true
		}
	}
	e, ok := b.aliases[strings.ToLower(key)]
	return e.targets, ok
}

// Table reads one file alone, in either form, and returns what key stands for in it; false when it
// has no entry. An error is one of reading the file.
func Table(file, key string) ([]string, bool, error) {
	text, err := readFile(file, MaxFile, false)
	if err != nil {
		return nil, false, err
	}
	r := newReading()
	entries, _ := r.parseMap(file, text)
	k, _ := mapKey(key)
	if isAliases(text) {
		entries, _ = r.parseAliases(file, text)
		k = strings.ToLower(key)
	}
	for _, e := range entries {
		if e.key == k {
			return e.targets, true, nil
		}
	}
	return nil, false, nil
}
