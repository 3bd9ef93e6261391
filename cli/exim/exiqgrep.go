package exim

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

const exiqgrepHelp = `exiqgrep finds messages in the queue.

Which (all of it must hold; REGEXP is of the RE2 kind, -f and -r do not mind the case of letters):
	-f REGEXP	the sender, with < and > around it
	-r REGEXP	a recipient that is not settled
	-s REGEXP	the size, as the list shows it
	-o SECONDS	older
	-y SECONDS	younger
	-z		frozen
	-x		not frozen

How:
	-l		as exim -bp does (this is the default)
	-b		one line each
	-i		IDs alone
	-c		only how many
	-a		settled recipients too
	-R		newest first

-C FILE, -E FILE and -G QUEUE are taken and not looked at. -h prints this.

Example:
	exiqgrep -i -f newsletter@example.com
`

// grep is what exiqgrep looks for, and how it shows it.
type grep struct {
	from, to, size *regexp.Regexp // nil: any
	younger, older time.Duration  // negative: any
	frozen, alive  bool           // those alone
	format         byte           // c, i, b or l
	newest, all    bool
}

// exiqgrep lists the messages that it is told to look for: by itself all those there are, which is
// what its use with -i alone means.
func (c *command) exiqgrep(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "--help" {
		args = []string{"-h"}
	}
	options, operands, err := getopt.Parse(args, "+hf:r:y:o:s:C:zxlibRcaG:E:")
	if err != nil {
		fmt.Fprintf(c.Err, "exiqgrep: %v\n", err)
		options, operands = nil, nil
	}
	g := grep{younger: -1, older: -1, format: 'l'}
	for _, o := range options {
		if o.Letter == 'h' {
			fmt.Fprint(c.out, exiqgrepHelp)
			return nil
		}
		if err := g.set(o); err != nil {
			return fail("exiqgrep: -%c %s: %v", o.Letter, plain.Line(o.Value), err)
		}
	}
	if len(operands) > 0 || len(options) == 0 {
		fmt.Fprint(c.out, exiqgrepHelp)
		return unhappy()
	}
	return c.Ask(ctx, func(q world.Operator) error { return c.grep(ctx, q, &g) })
}

// set takes in one option. Of several formats the first of c, i and b counts, as it does there.
func (g *grep) set(o getopt.Option) (err error) {
	switch o.Letter {
	case 'f':
		g.from, err = regexp.Compile("(?i)" + o.Value)
	case 'r':
		g.to, err = regexp.Compile("(?i)" + o.Value)
	case 's':
		g.size, err = regexp.Compile(o.Value)
	case 'y':
		g.younger, err = seconds(o.Value)
	case 'o':
		g.older, err = seconds(o.Value)
	case 'z':
		g.frozen = true
	case 'x':
		g.alive = true
	case 'R':
		g.newest = true
	case 'a':
		g.all = true
	case 'c', 'i', 'b':
		if at := strings.IndexByte("cibl", o.Letter); at < strings.IndexByte("cibl", g.format) {
			g.format = o.Letter
		}
	}
	return err
}

func seconds(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > int64(1<<62/time.Second) {
		return 0, fmt.Errorf("this is no number of seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// grep looks through the queue.
func (c *command) grep(ctx context.Context, q world.Operator, g *grep) error {
	matched, n := 0, 0
	for e, err := range operate.All(ctx, q, queue.Selection{Newest: g.newest}) {
		if err != nil {
			return err
		}
		n++
		to := g.recipients(&e)
		old := c.Time().Sub(e.Accepted)
		if !g.match(&e, to, old) {
			continue
		}
		matched++
		c.show(g, &e, to, old)
	}
	if g.format == 'c' {
		fmt.Fprintf(c.out, "%d matches out of %d messages\n", matched, n)
	}
	return nil
}

// recipients are those that count: the ones that are not settled, unless all were asked for.
func (g *grep) recipients(e *operate.Entry) (to []string) {
	for _, r := range e.Recipients {
		if g.all || !world.Settled(&r) {
			to = append(to, r.Address)
		}
	}
	return to
}

func (g *grep) match(e *operate.Entry, to []string, old time.Duration) bool {
	if g.to != nil && !slices.ContainsFunc(to, g.to.MatchString) {
		return false
	}
	return (g.from == nil || g.from.MatchString("<"+e.From+">")) &&
		(g.size == nil || g.size.MatchString(size(e.Size))) &&
		(g.younger < 0 || old < g.younger) &&
		(g.older < 0 || old > g.older) &&
		(!g.frozen || world.Frozen(e)) && (!g.alive || !world.Frozen(e))
}

// show prints a message that matched.
func (c *command) show(g *grep, e *operate.Entry, to []string, old time.Duration) {
	switch g.format {
	case 'c':
	case 'i':
		fmt.Fprintln(c.out, e.ID)
	case 'b':
		fmt.Fprintf(c.out, "%s From: <%s> To: %s\n", e.ID, e.From, strings.Join(to, ";"))
	default:
		head(c.out, e, age(old), size(e.Size))
		for _, address := range to {
			fmt.Fprintf(c.out, "\t  %s\n", address)
		}
		fmt.Fprintln(c.out)
	}
}
