package postfix

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dinkymail/aliases"
	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
)

const postmapUsage = "postmap -q key [map_type:]file..., postmap -s [map_type:]file, or postmap [map_type:]file..."

// dictionary answers what a key stands for.
type dictionary func(key string) (value string, found bool)

func (c *command) postmap(_ context.Context, args []string) error {
	options, names, err := getopt.Parse(args, "bc:d:fFhimnNopq:rsuUvw")
	if err != nil {
		return c.misused(1, err, postmapUsage)
	}
	key, query, list := "", false, false
	for _, o := range options {
		switch o.Letter {
		case 'q':
			if query {
				return c.misused(1, nil, postmapUsage)
			}
			key, query = o.Value, true
		case 's':
			list = true
		case 'b', 'h', 'm', 'd', 'i', 'r':
			return fail(1, "-%c: tables are plain text here: edit the file, or ask it with postmap -q", o.Letter)
		}
	}
	switch {
	case query && list, list && len(names) != 1, !query && len(names) == 0:
		return c.misused(1, nil, postmapUsage)
	case list:
		return c.listTable(names[0])
	case query:
		return c.query(key, names)
	}
	for _, name := range names { // there is nothing to build: text files are read as they are
		if _, err := c.dictionary(name); err != nil {
			return err
		}
	}
	return nil
}

// query prints what a key stands for in the first table that has it, or in the aliases where no
// table is named. A lone hyphen means the keys on standard input. Where nothing is found the status
// is 1, without a word.
func (c *command) query(key string, names []string) error {
	var tables []dictionary
	for _, name := range names {
		d, err := c.dictionary(name)
		if err != nil {
			return err
		}
		tables = append(tables, d)
	}
	if len(names) == 0 {
		d, err := c.aliases()
		if err != nil {
			return err
		}
		tables = append(tables, d)
	}
	if key == "-" {
		return c.queryAll(tables)
	}
	value, found := lookUp(tables, key)
	if !found {
		return world.Ended(1)
	}
	fmt.Fprintln(c.out, value)
	return nil
}

func lookUp(tables []dictionary, key string) (string, bool) {
	if key == "" {
		return "", false
	}
	for _, d := range tables {
		if value, found := d(key); found {
			return value, true
		}
	}
	return "", false
}

// queryAll prints each key of standard input that is found, and what it stands for.
func (c *command) queryAll(tables []dictionary) error {
	some := false
	for key, err := range world.Lines(c.In) {
		if err != nil {
			return fail(1, "read standard input: %v", err)
		}
		if value, found := lookUp(tables, key); found {
			some = true
			fmt.Fprintf(c.out, "%s\t%s\n", key, value)
		}
	}
	if !some {
		return world.Ended(1)
	}
	return nil
}

func (c *command) listTable(name string) error {
	kind, file := cutKind(name)
	if kind == patterns {
		return fail(1, "unsupported dictionary type: %s does not support sequence operations", kind)
	}
	entries, err := readTable(kind, file)
	if err != nil {
		return err
	}
	for _, e := range entries {
		fmt.Fprintf(c.out, "%s\t%s\n", e.key, e.value)
	}
	return nil
}

// dictionary opens a table, "type:file" or a file of the default type.
func (c *command) dictionary(name string) (dictionary, error) {
	kind, file := cutKind(name)
	entries, err := readTable(kind, file)
	if err != nil {
		return nil, err
	}
	if kind == patterns || kind == perlPatterns {
		return c.compile(file, entries)
	}
	table := make(map[string]string, len(entries))
	for _, e := range entries {
		key := strings.ToLower(e.key)
		if _, twice := table[key]; twice {
			c.say("warning: %s, line %d: duplicate entry: \"%s\"", file, e.line, e.key)
			continue
		}
		table[key] = e.value
	}
	return func(key string) (string, bool) {
		value, found := table[strings.ToLower(key)]
		return value, found
	}, nil
}

// aliases are the tables of our own settings.
func (c *command) aliases() (dictionary, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if len(s.Aliases.Aliases)+len(s.Aliases.Virtual) == 0 {
		return nil, fail(1, "name a table, or set ALIASES_FILE or VIRTUAL_FILE\nusage: %s", postmapUsage)
	}
	book, err := aliases.Load(s.Aliases)
	if err := c.problems(err); err != nil {
		return nil, err
	}
	return func(key string) (string, bool) {
		targets, found := book.Lookup(key)
		return strings.Join(targets, ", "), found
	}, nil
}

// newaliases checks the files of aliases. There is nothing to build: the appliance reads them again
// when they change.
func (c *command) newaliases(context.Context, []string) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	_, err = aliases.Load(s.Aliases)
	return c.problems(err)
}

// problems warns of mistakes in the files of aliases, each of which costs one entry. A file that
// cannot be read is an error.
func (c *command) problems(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return err
	}
	for _, one := range joined.Unwrap() {
		var p *aliases.Problem
		if !errors.As(one, &p) {
			return fail(1, "%v", one)
		}
		c.say("warning: %v", p)
	}
	return nil
}
