package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type manCommand struct{}

// Help is shown by dinkymail man --help.
func (manCommand) Help() string {
	return `Prints dinkymail(1), made from what --help says.

Examples:

    dinkymail man | man -l -
    dinkymail man > /usr/local/share/man/man1/dinkymail.1`
}

// Run prints the manual page.
func (manCommand) Run(p *program, k *kong.Context) error {
	var page manual
	page.line(`.TH DINKYMAIL 1 "" "Dinkymail" "Dinkymail"`)
	page.line(".SH NAME")
	page.text(`dinkymail - a mail appliance: takes mail in, keeps it, and hands it on`)
	page.line(".SH SYNOPSIS")
	page.line(".B dinkymail")
	page.line(`[\fB\-\-env\-file\fR=\fIFILE\fR] [\fIcommand\fR [\fIargument\fR ...]]`)
	page.line(".SH DESCRIPTION")
	page.text(`Dinkymail takes mail in over SMTP, HTTP and sendmail, keeps it in a queue on disk, and hands it to your provider until every
recipient is settled. Without a command it runs the appliance. The commands about mail ask the appliance that runs over its control
socket; while none runs they open its queue themselves.`)
	page.commands(k.Model.Node)
	page.line(".SH OPTIONS")
	page.text("These may be given to every command.")
	page.flags(k.Model.Flags)
	for _, section := range manualSections {
		page.line(".SH " + section.title)
		page.detail(section.text, ".PP")
	}
	_, err := fmt.Fprint(p.Out, page.String())
	return err
}

// manualSections are the parts of the page that no command tells.
var manualSections = []struct{ title, text string }{
	{"SELECTING MESSAGES", `A command about messages takes their IDs, or - for IDs from standard input, of which the first word of each line is read, or
filters. All filters given must match. A text filter matches anywhere and in any case; with * or ? it matches the whole, as a shell's
pattern does; between /slashes/ it is a regular expression. A command that changes mail is refused when it is told neither; --everything
means all that waits.`},
	{"OUTPUT", `On a terminal tables fit its width, or COLUMNS, and are coloured unless NO_COLOR is set. Elsewhere nothing is cut and the columns
stay the same: of a list, each but the last is one word. With --json a list is one JSON object a line, everything else one object.`},
	{"EXIT STATUS", `0 when it was done, 64 for wrong usage, 65 for a backup that is not whole, 66 when there is no such message or nothing to read, 69
when the appliance or its next hop cannot do it, 70 for a mistake of this program, 73 when a file cannot be made, 74 for a backup that lacks mail, 75 when it may work
later, 77 without the right to, 78 for wrong settings. health says 1 when it is not well, and alias when there is none. Under the name
of another program its statuses are used.`},
	{"ENVIRONMENT", `Every setting may stand in the environment, which wins over the file. DINKYMAIL_ENV_FILE names the file. NO_COLOR, COLUMNS
and TERM are honoured.`},
	{"FILES", `The settings are read from the first of these that is there: the file that --env-file or DINKYMAIL_ENV_FILE names, .env in the
working directory, .env beside the program, /etc/dinkymail/dinkymail.env. The queue is in DATA_DIR, with the control socket
DATA_DIR/control.sock, which its owner and root may use.`},
	{"EXAMPLES", `See why mail waits, and try it again:

    dinkymail queue
    dinkymail show 0cagh3h68onkmkga
    dinkymail retry 0cagh3h68onkmkga

Remove what a runaway script sent, and think better of it:

    dinkymail purge --from cron@example.com --younger 2h
    dinkymail undo`},
	{"SEE ALSO", `The documents that come with the program: operate.md, config.md, api.md.`},
}

// manual is a page in roff's man macros.
type manual struct{ strings.Builder }

func (m *manual) line(s string) { m.WriteString(s + "\n") }

// text prints prose.
func (m *manual) text(s string) {
	for line := range strings.Lines(s) {
		m.line(escape(strings.TrimSpace(line)))
	}
}

// escape makes plain text of what would be a request or an escape to roff.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// detail prints a help text: paragraphs, with a request between them, and examples, which are
// indented.
func (m *manual) detail(s, between string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			m.line(between)
		}
		m.paragraph(paragraph)
	}
}

func (m *manual) paragraph(s string) {
	if !strings.HasPrefix(s, "    ") {
		m.text(s)
		return
	}
	m.line(".EX")
	for line := range strings.Lines(s) {
		m.line(escape(strings.TrimRight(strings.TrimPrefix(line, "    "), "\n")))
	}
	m.line(".EE")
}

// commands prints every command, by group.
func (m *manual) commands(root *kong.Node) {
	m.line(".SH COMMANDS")
	var titles []string
	groups := map[string][]*kong.Node{}
	for _, leaf := range root.Leaves(true) {
		title := "The appliance"
		if g := leaf.ClosestGroup(); g != nil {
			title = strings.TrimSuffix(g.Title, ":")
		}
		if groups[title] == nil {
			titles = append(titles, title)
		}
		groups[title] = append(groups[title], leaf)
	}
	for _, title := range titles {
		m.line(".SS " + title)
		for _, command := range groups[title] {
			m.command(command)
		}
	}
}

func (m *manual) command(node *kong.Node) {
	m.line(".TP")
	m.line(`\fB` + escape(node.Path()) + `\fR` + arguments(node))
	m.text(node.Help)
	if node.Passthrough {
		return
	}
	if node.Detail != "" {
		m.line(".IP")
		m.detail(node.Detail, ".IP")
	}
	if len(node.Flags) > 0 {
		m.line(".RS")
		m.flags(node.Flags)
		m.line(".RE")
	}
}

// arguments are a command's, as its synopsis shows them.
func arguments(node *kong.Node) string {
	line := ""
	for _, v := range node.Positional {
		name := `\fI` + escape(v.Name) + `\fR`
		if v.IsCumulative() && !strings.Contains(v.Name, "...") {
			name += " ..."
		}
		if v.Tag.Optional {
			name = "[" + name + "]"
		}
		line += " " + name
	}
	return line
}

func (m *manual) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		m.line(".TP")
		name := `\fB` + escape("--"+f.Name) + `\fR`
		if !f.IsBool() {
			name += `=\fI` + escape(strings.Trim(f.FormatPlaceHolder(), `"`)) + `\fR`
		}
		m.line(name)
		m.text(f.Help)
	}
}
