package cli

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

// filters choose messages by what they are like.
type filters struct {
	From    string        `group:"Filters:" placeholder:"PATTERN" help:"Sender; <> for bounces. Matches anywhere; with * or ? the whole; between /slashes/ a regular expression."`
	To      string        `group:"Filters:" placeholder:"PATTERN" help:"A recipient that is not settled; of a finished message any."`
	Domain  string        `group:"Filters:" placeholder:"DOMAIN" help:"Such a recipient's domain, exactly; *.example.com for its subdomains."`
	Subject string        `group:"Filters:" placeholder:"PATTERN" help:"Subject."`
	Error   string        `group:"Filters:" placeholder:"PATTERN" help:"The last reply for such a recipient, as in \"550 5.1.1 no such user\"."`
	Status  []queue.State `aliases:"state" group:"Filters:" placeholder:"STATUS" enum:"queued,deferred,held,active,captured,delivered,failed,partial,removed" help:"queued, deferred, held, active, captured, delivered, failed, partial or removed; or several, with commas between them."`
	Lane    string        `group:"Filters:" placeholder:"LANE" help:"The way to the next hop, such as upstream."`
	Older   age           `group:"Filters:" placeholder:"AGE" help:"Accepted longer ago than 90s, 45m, 12h, 3d or 2w."`
	Younger age           `group:"Filters:" placeholder:"AGE" help:"Accepted since."`
}

// selection is what the filters select.
func (f filters) selection() queue.Selection {
	return queue.Selection{From: f.From, To: f.To, Domain: f.Domain, Subject: f.Subject, Error: f.Error, Lane: f.Lane, States: f.Status,
		Older: time.Duration(f.Older), Younger: time.Duration(f.Younger)}
}

// any reports whether one filter is set.
func (f filters) any() bool { return !reflect.ValueOf(f).IsZero() }

// targets are the messages a verb is for: named ones, or those that pass every filter, or
// everything.
type targets struct {
	IDs []string `arg:"" name:"id" optional:"" help:"Messages by ID; - reads IDs from standard input."`
	filters
	Everything bool `group:"Filters:" help:"All that waits."`
}

// selection is what a verb is for. To forget saying it is refused: nothing must happen to all mail
// by a slip.
func (t targets) selection(p *program, verb string) (queue.Selection, error) {
	if len(t.IDs) > 0 && (t.any() || t.Everything) {
		return queue.Selection{}, usage("IDs and filters do not go together; dinkymail queue with the filters shows what they match")
	}
	if len(t.IDs) > 0 {
		ids, err := p.ids(t.IDs)
		return queue.Selection{IDs: ids}, err
	}
	if !t.any() && !t.Everything {
		return queue.Selection{}, usage("say which messages: dinkymail %s ID, or filters such as --to example.com, or --everything for all that waits",
			verb)
	}
	return t.filters.selection(), nil
}

// ids reads IDs as they were typed, or were copied out of a list with its marks for active and
// held.
func (p *program) ids(words []string) ([]queue.ID, error) {
	var all []queue.ID
	for _, word := range words {
		if word == "-" {
			ids, err := listedIDs(p.In)
			if err != nil {
				return nil, err
			}
			all = append(all, ids...)
			continue
		}
		id, err := parseID(word)
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, nil
}

// parseID takes an ID with or without the marks of postqueue.
func parseID(word string) (queue.ID, error) {
	id := queue.ID(strings.TrimRight(word, "*!"))
	if !id.Valid() {
		return "", usage("%q is no message's ID, which has 16 characters, such as 0cagh3h68onkmkga; dinkymail queue lists them", plain(word))
	}
	return id, nil
}

// listedIDs reads IDs from lines that begin with one. Headings, indented lines and those that begin
// with a dash or a bracket, as lists of a queue have them, are passed over.
func listedIDs(r io.Reader) ([]queue.ID, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, queue.MaxRecord) // a list names all recipients of a message on its line
	var all []queue.ID
	for lines.Scan() {
		line := lines.Text()
		word, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		if word == "" || word == "ID" || strings.ContainsRune("-(", rune(word[0])) {
			continue
		}
		id, err := parseID(word)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		all = append(all, id)
	}
	if err := lines.Err(); err != nil {
		return nil, world.Failf(world.ExitNoInput, "read IDs from standard input: %w", err)
	}
	if len(all) == 0 {
		return nil, world.Failf(world.ExitNoInput, "there was no message's ID on standard input; nothing was done")
	}
	return all, nil
}

// usage is a mistake in what was typed.
func usage(format string, args ...any) error {
	return world.Failf(world.ExitUsage, format, args...)
}
