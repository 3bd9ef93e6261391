package message

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// blocks are the elements that begin and end a line: 2 with an empty line between it and the text
// around.
var blocks = map[string]int{
	"p": 2, "h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2, "blockquote": 2, "pre": 2, "listing": 2, "xmp": 2, "plaintext": 2,
	"dl": 2, "figure": 2, "address": 1, "article": 1, "aside": 1, "body": 1, "caption": 1, "center": 1, "dd": 1, "details": 1,
	"dialog": 1, "div": 1, "dt": 1, "fieldset": 1, "figcaption": 1, "footer": 1, "form": 1, "header": 1, "hgroup": 1, "hr": 1,
	"html": 1, "legend": 1, "li": 1, "main": 1, "nav": 1, "optgroup": 1, "option": 1, "search": 1, "section": 1, "select": 1,
	"summary": 1, "table": 1, "tbody": 1, "textarea": 1, "tfoot": 1, "thead": 1, "tr": 1,
}

// neverShown are the elements whose content no mail program shows.
var neverShown = map[string]bool{"iframe": true, "script": true, "style": true, "template": true, "title": true, "xml": true}

// rawElements are those whose content the tokenizer takes as text without tags.
var rawElements = map[string]bool{
	"iframe": true, "plaintext": true, "script": true, "style": true, "textarea": true, "title": true, "xmp": true,
}

// voidElements have no content and no end tag.
var voidElements = map[string]bool{
	"area": true, "base": true, "br": true, "col": true, "embed": true, "hr": true, "img": true, "input": true, "link": true,
	"meta": true, "param": true, "source": true, "track": true, "wbr": true,
}

// isElement reports whether a tag can be one of HTML or of Word's additions to it. An address in
// angle brackets is none.
func isElement(name string) bool {
	colons := 0
	for i := range len(name) {
		c := name[i]
		if c == ':' {
			colons++
		}
		if !isLetterDigitHyphen(c) && c != '_' && c != ':' {
			return false
		}
	}
	return colons == 0 || colons == 1 && !strings.HasSuffix(name, ":")
}

// isHidden reports whether an element is there to be not seen.
func isHidden(t html.Token) bool {
	if slices.ContainsFunc(t.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
		return true
	}
	style := strings.ToLower(strings.Join(strings.Fields(attribute(t, "style")), ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

// attribute is the value of an attribute; empty when there is none.
func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// wordless are the kinds of link that lead nowhere outside the HTML.
var wordless = []string{"#", "javascript:", "vbscript:", "data:", "cid:", "about:", "blob:"}

// linkOf is an address as it can stand in text; empty when it leads nowhere.
func linkOf(href string) string {
	href = strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(href))
	low := strings.ToLower(href[:min(len(href), 20)])
	if slices.ContainsFunc(wordless, func(p string) bool { return strings.HasPrefix(low, p) }) {
		return ""
	}
	return strings.ReplaceAll(href, " ", "%20")
}

// isLink reports whether one of the words is the address of a link, as people write it.
func isLink(words, link string) bool {
	link = bareLink(link)
	return slices.ContainsFunc(strings.Fields(words), func(w string) bool {
		return strings.EqualFold(bareLink(strings.Trim(w, `.,;:!?()<>[]"'`)), link)
	})
}

// bareLink is an address without what may be left out when it is written down.
func bareLink(link string) string {
	for _, scheme := range []string{"https://", "http://", "mailto:", "tel:"} {
		if len(link) >= len(scheme) && strings.EqualFold(link[:len(scheme)], scheme) {
			link = link[len(scheme):]
			if scheme == "mailto:" {
				link, _, _ = strings.Cut(link, "?")
			}
			break
		}
	}
	return strings.TrimRight(link, "/")
}
