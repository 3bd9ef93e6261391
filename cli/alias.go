package cli

import (
	"strings"

	"dinkymail/aliases"
	"dinkymail/cli/world"
	"dinkymail/message"
)

type aliasCommand struct {
	Address []string `arg:"" help:"Addresses, or names at MAIL_DOMAIN."`
	JSON    bool     `name:"json" help:"Print JSON: whom each address stands for."`
}

// Help is shown by dinkymail alias --help.
func (aliasCommand) Help() string {
	return `Says who gets mail to an address, after VIRTUAL_FILE and ALIASES_FILE with all lists followed, one to a line. Exits 1 when it has no
alias; mail to it goes to the address itself, and mail to a name without a domain to DEFAULT_TO.

Examples:

    dinkymail alias root
    dinkymail alias info@example.com postmaster`
}

// Run prints whom each address stands for.
func (c aliasCommand) Run(p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	book, err := aliases.Load(s.Aliases)
	report(p.Err, err)
	var none []string
	found := map[string][]message.Address{}
	for _, text := range c.Address {
		if !strings.Contains(text, "@") {
			text += "@" + s.Domain
		}
		a, err := message.ParseAddress(text)
		if err != nil {
			return usage("%w", err)
		}
		targets, ok := book.Expand(a)
		if !ok {
			none = append(none, text)
			continue
		}
		found[text] = targets
		for _, t := range targets {
			p.tell(nil, "%s\n", t)
		}
	}
	if p.json {
		p.result = struct {
			Aliases map[string][]message.Address `json:"aliases"`
		}{found}
	}
	if len(none) > 0 {
		return world.Failf(1, "no alias: %s", strings.Join(none, ", "))
	}
	return nil
}
