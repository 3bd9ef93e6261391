package message

import (
	"strings"

	"golang.org/x/net/html"
)

// Bounds of the text that is made from HTML.
const (
	maxHTML    = 4 << 20   // bytes of HTML that are read for it
	maxDerived = 512 << 10 // bytes of text, but for the last word
	maxNesting = 16        // lists, quotations and tables within each other that show; deeper ones are read all the same
	bigTag     = 2 << 10   // bytes of a tag after which the tokenizer is made anew
)

// cutShort stands at the end of a text that does not tell all of the HTML.
const cutShort = "\n\n[The rest is only in the HTML form of this message.]"

// textOf derives the text of a mail from its HTML: what a reader of the HTML sees, line by line,
// with the addresses of links behind their words and the cells of a table side by side. It takes
// time linear in the size of the HTML.
func textOf(source string) string {
	source = strings.ToValidUTF8(source, "\ufffd")
	rest := len(source) > maxHTML
	if rest {
		source = strings.ToValidUTF8(source[:maxHTML], "")
	}
	d := new(deriver)
	d.walk(source)
	if d.hidden != "" && !d.raw {
		// What is hidden has no end. Showing it all loses nothing.
		d = &deriver{showAll: true}
		d.walk(source)
	}
	d.endLink()
	text := strings.TrimSpace(string(d.out))
	if rest || d.full() {
		text += cutShort
	}
	return text
}

// deriver walks over HTML and writes text.
type deriver struct {
	flow
	tables  []table
	link    string // the address of the open link
	linkAt  int    // where in out its words begin
	hidden  string // the element whose content is not shown
	depth   int    // how many of this name are open
	raw     bool   // it is one that is never shown
	showAll bool   // hide nothing but those
}

// table is an open table.
type table struct {
	cells  int  // of this row, so far
	header bool // it has cells of headings, so that empty cells matter
	line   int  // the one on which the newest cell begins
}

// walk reads all of source. A tag that is cut off by the end is text if it has no attribute.
func (d *deriver) walk(source string) {
	z, at, renew := html.NewTokenizer(strings.NewReader(source)), 0, false
	for !d.full() {
		kind, from := z.Next(), at
		at += len(z.Raw())
		switch kind {
		case html.ErrorToken:
			if d.hidden == "" && !strings.Contains(source[from:], "=") {
				d.text(source[from:])
			}
			return
		case html.TextToken:
			if d.hidden == "" {
				d.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			d.tag(t, source[from:at])
			switch t.Data {
			case "noscript", "noembed", "noframes":
				z.NextIsNotRawText() // a mail program runs no scripts
			}
			renew = renew || at-from > bigTag
			if renew && !rawElements[t.Data] {
				// The tokenizer clears a map of attributes at each tag, which takes as long as the
				// map ever was large.
				z, renew = html.NewTokenizer(strings.NewReader(source[at:])), false
			}
		case html.EndTagToken:
			d.end(z.Token().Data)
		}
	}
}

// tag is a start tag, whose bytes are source.
func (d *deriver) tag(t html.Token, source string) {
	switch {
	case d.hidden != "":
		if t.Data == d.hidden {
			d.depth++
		}
	case !isElement(t.Data):
		d.text(source) // such as <ada@example.org>
	case neverShown[t.Data] || !d.showAll && isHidden(t) && !voidElements[t.Data]:
		d.hidden, d.depth, d.raw = t.Data, 1, rawElements[t.Data]
	case isHidden(t):
	default:
		d.start(t)
	}
}

// start begins a visible element.
func (d *deriver) start(t html.Token) {
	if lines := blocks[t.Data]; lines > 0 {
		d.block(lines)
	}
	switch t.Data {
	case "br":
		d.br()
	case "hr":
		d.word(strings.Repeat("-", 20))
		d.block(1)
	case "a":
		d.endLink()
		d.link, d.linkAt = linkOf(attribute(t, "href")), len(d.out)
	case "img":
		d.text(" " + attribute(t, "alt") + " ")
	case "q":
		d.text(`"`)
	case "pre", "listing", "xmp", "plaintext":
		d.pre++
		d.first = true
	case "blockquote":
		d.quotes++
	case "ul", "ol", "menu", "dir":
		d.openList(t.Data == "ol", attribute(t, "start"))
	case "li":
		d.item(attribute(t, "value"))
	case "table":
		d.tables = append(d.tables, table{})
	case "tr":
		d.row()
	case "td", "th":
		d.cell(t.Data == "th")
	}
}

// end is an end tag.
func (d *deriver) end(name string) {
	if d.hidden != "" {
		if name == d.hidden {
			if d.depth--; d.depth == 0 {
				d.hidden = ""
			}
		}
		return
	}
	switch name {
	case "a":
		d.endLink()
	case "q":
		d.text(`"`)
	case "br":
		d.br()
	case "pre", "listing", "xmp":
		d.pre = max(0, d.pre-1)
	case "blockquote":
		d.quotes = max(0, d.quotes-1)
	case "ul", "ol", "menu", "dir":
		d.closeList()
	case "tr", "table":
		d.row()
		if name == "table" {
			d.tables = d.tables[:max(0, len(d.tables)-1)]
		}
	}
	if lines := blocks[name]; lines > 0 {
		d.block(lines)
	}
}

// endLink writes the address of the open link behind its words, unless these are the address.
func (d *deriver) endLink() {
	if d.link == "" {
		return
	}
	words := strings.TrimSpace(string(d.out[d.linkAt:]))
	switch {
	case words == "":
		d.word(d.link)
	case !isLink(words, d.link):
		d.out = append(d.out, " ("+d.link+")"...)
	}
	d.link = ""
}

// row begins or ends a row of a table.
func (d *deriver) row() {
	if n := len(d.tables); n > 0 {
		if t := &d.tables[n-1]; t.cells > 0 && d.lines <= t.line {
			d.breaks = min(d.breaks, 1) // a paragraph in a cell parts no rows
		}
		d.tables[n-1].cells = 0
	}
	if !d.begun {
		d.cut = 0
	}
}

// cell begins a cell. It stands beside the one before it, unless that has several lines.
func (d *deriver) cell(header bool) {
	n := len(d.tables)
	if n == 0 {
		d.block(1)
		return
	}
	t := &d.tables[n-1]
	t.header = t.header || header
	switch {
	case t.cells == 0:
	case d.lines <= t.line:
		d.breaks = t.line - d.lines
		d.cut++
	default:
		d.block(1)
	}
	t.cells++
	t.line = d.lines
	if len(d.out) > 0 {
		t.line += d.breaks
	}
	d.begun, d.wide = true, t.header
}
