package cli

import (
	"context"
	"errors"

	"github.com/alecthomas/kong"

	"dinkymail/cli/exim"
	"dinkymail/cli/postfix"
	"dinkymail/cli/sendmail"
	"dinkymail/cli/world"
)

// Guises are the names of other programs under which this one does what they do.
var Guises = []string{"sendmail", "mailq", "newaliases", "postqueue", "postcat", "postsuper", "postconf", "postmap", "postfix", "exim", "exim4",
	"exiqgrep"}

// guises are the same names as commands: dinkymail postqueue -p.
type guises struct {
	Sendmail   guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"Hand mail in, as sendmail -t does."`
	Mailq      guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"List the queue as Postfix does."`
	Newaliases guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"Check ALIASES_FILE; there is nothing to build."`
	Postqueue  guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"postqueue -p, -j, -f, -i ID, -s SITE."`
	Postcat    guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"postcat -q ID, with -h, -b or -e."`
	Postsuper  guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"postsuper -d, -h, -H, -r ID, ALL or -."`
	Postconf   guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"Settings under Postfix's names."`
	Postmap    guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"postmap -q KEY TABLE."`
	Postfix    guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"postfix check, status, flush, reload."`
	Exim       guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"exim -bp, -bpc, -Mvh, -Mrm, -Mf, -Mt, -M, -q and others."`
	Exiqgrep   guise `cmd:"" passthrough:"" group:"Postfix and Exim:" help:"Search the queue as Exim's exiqgrep does."`
}

// guise is another program: which one, kong knows.
type guise struct {
	Args []string `arg:"" optional:"" help:"What that program is given."`
}

// Run does what that program does.
func (g guise) Run(ctx context.Context, p *program, parsed *kong.Context) error {
	return world.Ended(p.play(ctx, parsed.Selected().Name, g.Args))
}

// play is one of Guises with its own arguments. It prints what is wrong itself, and returns the
// exit status.
func (p *program) play(ctx context.Context, name string, args []string) int {
	p.quiet = true
	w := p.World
	w.Open = func(ctx context.Context) (world.Operator, func(), error) {
		q, done, err := p.operator(ctx)
		if err != nil {
			err = errors.New(err.Error()) // each guise has exit statuses of its own
		}
		return q, done, err
	}
	switch name {
	case "sendmail":
		return sendmail.Run(ctx, name, args, w)
	case "exim", "exim4", "exiqgrep":
		return exim.Run(ctx, name, args, w)
	default:
		return postfix.Run(ctx, name, args, w)
	}
}
