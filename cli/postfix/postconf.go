package postfix

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"dinkymail/config"
	"dinkymail/internal/getopt"
)

const postconfUsage = "postconf [-dhHn] [name...] (-d defaults, -n what was set, -h no names, -H no values), or postconf -m"

// display says how postconf prints.
type display struct{ defaults, given, noNames, noValues bool }

func (c *command) postconf(_ context.Context, args []string) error {
	options, names, err := getopt.Parse(args, "aAbc:C:deEfFhHlmMno:pPtT:vxX#")
	if err != nil {
		return c.misused(1, err, postconfUsage)
	}
	for _, o := range options {
		switch o.Letter {
		case 'm':
			for _, kind := range slices.Sorted(slices.Values(append([]string{patterns}, textTables...))) {
				fmt.Fprintln(c.out, kind)
			}
			return nil
		case 'e', 'X', '#':
			return c.edited()
		case 'c', 'C', 'd', 'f', 'h', 'H', 'n', 'p', 'v', 'x':
		default:
			return fail(1, "-%c: there is no such part of Postfix here; dinkymail config shows the settings", o.Letter)
		}
	}
	if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "=") }) {
		return c.edited()
	}
	show := display{options.Has('d'), options.Has('n'), options.Has('h'), options.Has('H')}
	all, err := c.parameters(show)
	if err != nil {
		return err
	}
	c.print(all, names, show)
	return nil
}

// edited refuses to write settings, which have their own file and names.
func (*command) edited() error {
	return fail(1, "the settings are not Postfix's and are not edited by postconf; "+
		"dinkymail config shows each and where it stands, change it there and run: dinkymail reload")
}

// print prints the parameters named, or all.
func (c *command) print(all []parameter, names []string, show display) {
	for _, name := range names {
		i := slices.IndexFunc(all, func(p parameter) bool { return p.name == name })
		if i < 0 {
			_ = c.out.Flush() // so that the two outputs keep their order where they are one; an error stays
			c.say("warning: %s: unknown parameter", name)
			continue
		}
		c.printOne(&all[i], show)
	}
	if len(names) > 0 {
		return
	}
	for i := range all {
		if !show.given || all[i].given {
			c.printOne(&all[i], show)
		}
	}
}

func (c *command) printOne(p *parameter, show display) {
	switch {
	case show.noValues:
		fmt.Fprintln(c.out, p.name)
	case show.noNames:
		fmt.Fprintln(c.out, p.value)
	default:
		fmt.Fprintln(c.out, strings.TrimRight(p.name+" = "+p.value, " "))
	}
}

// parameter is a setting, under Postfix's name or ours.
type parameter struct {
	name, value string
	given       bool // somebody set it, or what it comes from
}

// parameters are all of Postfix's names that have an answer here, and then our own settings.
// Secrets are masked.
func (c *command) parameters(show display) ([]parameter, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if show.defaults {
		// The mistakes of settings nobody made are of no interest.
		s, _ = config.Load([]string{"ENVIRONMENT=production"}, os.DevNull)
	}
	rows := s.Effective()
	given := map[string]bool{}
	for _, r := range rows {
		given[r.Name] = r.Source != "default"
	}
	all := make([]parameter, 0, len(known)+len(rows))
	for _, k := range known {
		p := parameter{name: k.name, value: k.value(s)}
		if k.name == "mail_version" {
			p.value = c.Version
		}
		for _, from := range k.from {
			p.given = p.given || given[from]
		}
		all = append(all, p)
	}
	for _, r := range rows {
		all = append(all, parameter{r.Name, r.Value, given[r.Name]})
	}
	return all, nil
}
