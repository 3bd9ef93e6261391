package httpapi

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"

	"dinkymail/message"
	"dinkymail/operate"
)

// maxPage is how much of the address of a visitor's page is shown, in bytes.
const maxPage = 500

// settle gives every field its meaning for this caller, and checks that nothing is missing.
func (s *Server) settle(q *request, who caller, r *http.Request) error {
	if who.rank != visitor {
		if err := q.others.refuse(); err != nil {
			return err
		}
	}
	page := ""
	if q.form != nil || who.rank == visitor {
		page = pageOf(r)
	}
	q.settle(who, page)
	if q.form != nil && who.rank == visitor {
		q.show(page)
	}
	if err := q.complete(who.rank == visitor && !s.cfg.DefaultTo.Address.IsNull()); err != nil {
		return err
	}
	if q.form == nil && who.rank == visitor {
		q.show(page)
	}
	return nil
}

// complete checks that nothing is missing: recipient, unless there is one by default, subject and
// body, in this order.
func (q *request) complete(defaultTo bool) error {
	switch {
	case blank(strings.Join(q.To, "")) && !defaultTo:
		return refuse(operate.CodeMissingTo, "Recipient (to) is required")
	case blank(q.Subject):
		return refuse(operate.CodeMissingSubject, "Subject is required")
	case blank(q.Body) && blank(q.Text) && blank(q.HTML.text):
		return refuse(operate.CodeMissingBody, "Email body is required")
	case q.Body != "" && q.Text != "" && q.Body != q.Text && !q.HTML.body:
		return refuse(operate.CodeBodyTwice, "Give either body or text, or set html to true if body is the HTML form of text.")
	}
	return nil
}

// settle gives the fields that forms have under names of their own their meaning: message is the
// body when there is none, and a visitor's email is whom an answer goes to when nothing else says
// so. A visitor's address that cannot stand in a header stays in the text: a typing mistake in it
// must not lose the mail.
func (q *request) settle(who caller, page string) {
	if blank(q.Body) && blank(q.Text) && blank(q.HTML.text) {
		q.Body = q.others.takeMessage()
	}
	if q.form != nil && blank(q.Subject) {
		q.Subject = defaultSubject(page)
	}
	if who.rank != visitor {
		return
	}
	q.From = q.answerable("from", q.From)
	kept := q.ReplyTo[:0]
	for _, text := range q.ReplyTo {
		if q.answerable("reply_to", text) != "" {
			kept = append(kept, text)
		}
	}
	q.ReplyTo = kept
	if q.From != "" || len(kept) > 0 {
		return
	}
	if box, ok := usable(q.others.email); ok {
		if name := q.others.name; box.Name == "" && len(name) <= maxWord {
			box.Name = line(name)
		}
		q.From = box.String()
	}
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// answerable is the text of an address field, if every address in it can stand in Reply-To.
// Otherwise the field is shown.
func (q *request) answerable(field, text string) string {
	if blank(text) {
		return ""
	}
	boxes, err := message.ParseMailboxes(text)
	if err != nil || field == "from" && len(boxes) != 1 {
		q.others.first(field, text)
		return ""
	}
	for _, b := range boxes {
		if _, ok := usable(b.String()); !ok {
			q.others.first(field, text)
			return ""
		}
	}
	return text
}

// usable is the one address in text, if mail to it needs nothing that a server may lack.
func usable(text string) (message.Mailbox, bool) {
	box, err := message.ParseMailbox(text)
	return box, err == nil && box.Address.Domain != "" && !box.Address.NeedsUTF8()
}

// defaultSubject is the subject of a form that has none.
func defaultSubject(page string) string {
	if u, err := url.Parse(page); err == nil && u.Host != "" {
		return "Contact form: " + u.Hostname()
	}
	return "Contact form"
}

// pageOf is the address of the page that made a request, as far as the browser tells; empty when it
// does not.
func pageOf(r *http.Request) string {
	for _, name := range [...]string{"Referer", "Origin"} {
		u, err := url.Parse(r.Header.Get(name))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			continue
		}
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		return cut(line(u.String()), maxPage)
	}
	return ""
}

// show puts a visitor's further fields, and the page they came from, behind what the visitor wrote.
func (q *request) show(page string) {
	list, left := q.others.shown()
	if left > 0 {
		list = append(list, other{"Left out", fmt.Sprintf("%d more fields", left)})
	}
	written := q.Body != "" || q.Text != "" || q.HTML.text != ""
	if len(list) == 0 && (q.form == nil || !written) {
		return
	}
	if page != "" {
		list = append(list, other{"Page", page})
	}
	if len(list) == 0 {
		return
	}
	var text, markup strings.Builder
	for _, f := range list {
		lines := strings.Split(strings.TrimRight(strings.Map(shownLines, strings.ReplaceAll(f.value, "\r\n", "\n")), " \n"), "\n")
		if len(lines) == 1 {
			fmt.Fprintf(&text, "%s: %s\n", f.name, strings.TrimSpace(lines[0]))
		} else {
			fmt.Fprintf(&text, "%s:\n    %s\n", f.name, strings.Join(lines, "\n    "))
		}
		fmt.Fprintf(&markup, "%s: %s<br>\n", html.EscapeString(f.name),
			strings.ReplaceAll(html.EscapeString(strings.Join(lines, "\n")), "\n", "<br>\n&nbsp;&nbsp;&nbsp;&nbsp;"))
	}
	behind(&q.HTML.text, "\n<hr>\n<p>"+markup.String()+"</p>\n")
	switch plain := text.String(); {
	case q.HTML.body:
		behind(&q.Body, "\n<hr>\n<p>"+markup.String()+"</p>\n")
		behind(&q.Text, "\n\n"+plain)
	case q.Body != "" || q.Text != "":
		behind(&q.Body, "\n\n"+plain)
		behind(&q.Text, "\n\n"+plain)
	case q.HTML.text == "":
		q.Body = plain
	}
}

// behind puts more behind a text that there is.
func behind(text *string, more string) {
	if *text != "" {
		*text = strings.TrimRight(*text, " \t\r\n") + more
	}
}

// shownLines is visible, with line ends as they are.
func shownLines(r rune) rune {
	if r == '\n' || r == '\r' {
		return '\n'
	}
	return visible(r)
}
