package message

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The text of HTML is what its reader sees: nothing runs together, nothing is lost, and nothing
// shows that the HTML hides.
func TestTextOfHTML(t *testing.T) {
	for _, c := range []struct{ html, want string }{
		{"a<br>b<br/>c<br />d<BR\n/>e", "a\nb\nc\nd\ne"},
		{"a<br><br>b<br><br><br><br>c", "a\n\nb\n\nc"},
		{"<div>a</div><div>b</div><DIV>c<div>d</div></DIV>e", "a\nb\nc\nd\ne"},
		{"<p>a</p><p>b<p>c", "a\n\nb\n\nc"},
		{"<h1>Title</h1>words<h2>More</h2>words", "Title\n\nwords\n\nMore\n\nwords"},
		{"one\n  two\t three <b>four</b><i>five</i> <u> six</u>", "one two three fourfive six"},
		{"a<hr>b", "a\n--------------------\nb"},
		{"your balance is < 100 and > 50, 1<2, a <= b", "your balance is < 100 and > 50, 1<2, a <= b"},
		{"x <y", "x <y"},
		{"write to Ada <ada@example.org> or <https://example.org>", "write to Ada <ada@example.org> or <https://example.org>"},
		{`<img alt="5 > 4" src="x>y.png"><a title="a > b" href='#x'>z</a>`, "5 > 4 z"},
		{`a<img src=1.gif>b<img alt="" src=2.gif>c<img alt=D>e`, "a b c D e"},
		{"a<!-- b > c --><!---->d<!doctype html><?xml version='1'?>e", "ade"},
		{"<!--[if mso]><table><tr><td>Outlook<![endif]-->a<!--[if !mso]><!-->b<!--<![endif]--><![if !IE]>c<![endif]>", "abc"},
		{"<head><title>T</title><style>p{a:b}</style><meta name=x content=y></head><body>a<script>if(a<b)x='</div>'</script>b", "ab"},
		{"<style>p > a { color: red }\n@media x{}</style><STYLE type=x></STYLE>a<noscript>b <i>c</i></noscript>", "ab c"},
		{"<xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>a<o:p>b</o:p><template>c</template>", "ab"},
		{"&lt;b&gt; &amp;amp; &eacute;&#233;&#xe9; &copy &nosuch; &euro;5&nbsp;000 &#xD800;", "<b> &amp; ééé © &nosuch; €5 000 \ufffd"},
		{"a&nbsp;&nbsp;b <p>&nbsp;</p>c", "a  b\n\nc"},
		{`<div style="DISPLAY : none !important; x:y">pre<div>header&zwnj;&nbsp;</div></div>a<span hidden>b</span>c`, "ac"},
		{`<div style="max-height:0">Preview&zwnj;&nbsp;&zwnj;&nbsp;&#847;&shy;&#8203;&#65279;</div>so&shy;ft`, "Preview\nsoft"},
		{`<div style="display:none">never closed <p>still <p>there`, "never closed\n\nstill\n\nthere"},
		{"<pre>\n  a\n\n\n\tb  c \n</pre>d", "a\n\n\n        b  c\n\nd"},
		{"x<pre>  a\n  b</pre>", "x\n\n  a\n  b"},
		{"<ul><li>a<li><p>b</p></li><li>c<ul><li>d</ul></ul>e", "- a\n- b\n\n- c\n  - d\n\ne"},
		{"<ol><li>a</li><li>b</li></ol><ol start=5><li>c<li value=9>d<li>e</ol>", "1. a\n2. b\n\n5. c\n9. d\n10. e"},
		{"<li>a<li>b", "- a\n- b"},
		{"<dl><dt>a<dd>b<dt>c<dd>d</dl>e", "a\nb\nc\nd\n\ne"},
		{"Ada wrote:<blockquote>a<br>b<blockquote>c</blockquote></blockquote>d", "Ada wrote:\n\n> a\n> b\n\n> > c\n\nd"},
		{"<q>a</q> <sup>2</sup><textarea>a <b></textarea><select><option>x<option>y</select><button>z</button>", "\"a\" 2\na <b>\nx\ny\nz"},
		{"<TABLE><tr><th>Item<th>Price</tr><tr><td>Tea<td>3 &euro;</table>after", "Item | Price\nTea | 3 €\nafter"},
		{"<table><tr><th>a<th>b<th>c<tr><td>1<td><td>3<tr><td></td><td>2</table>", "a | b | c\n1 | | 3\n| 2"},
		{"<table><tr><td></td><td>a</td><td>&nbsp;</td><td>b</td><td></td></tr></table>", "a | b"},
		{"<table><tr><td><p>a</p></td><td><p>b</p></td></tr><tr><td><div>c<td>d</table>", "a | b\nc | d"},
		{"<table><tr><td>a<br>b</td><td>c</td></tr><tr><td>d</table>", "a\nb\nc\nd"},
		{"x<table><tr><td><table><tr><td>a</td><td>b</td></tr></table></td></tr><tr><td>c</td></tr></table>y", "x\na | b\nc\ny"},
		{"a<td>b<td>c", "a\nb\nc"},
		{"<table><thead><tr><td>a</thead><tbody><tr><td>b</tbody><caption>c", "a\nb\nc"},
		{`<a href="https://example.org/x?a=1&amp;b=2">here</a>, please`, "here (https://example.org/x?a=1&b=2), please"},
		{`<a href="https://example.org/">https://example.org</a> <a href="http://Example.org">example.org.</a>`, "https://example.org example.org."},
		{`<a href="mailto:ada@example.org?subject=x">ada@example.org</a> <a href=tel:+4912>call</a>`, "ada@example.org call (tel:+4912)"},
		{`<a href="#top">up</a> <a href="javascript:x()">do</a> <a href=" DATA:x">d</a> <a name=x>n</a> <a href="">e</a>`, "up do d n e"},
		{`<a href="https://a.example"><img src=x></a> <a href="https://b.example"><img alt=Logo></a>`, "https://a.example Logo (https://b.example)"},
		{`<a href="https://a.example">one<a href="https://b.example">two`, "one (https://a.example)two (https://b.example)"},
		{`<p><a href="https://a.example"><span>Buy</span></a></p><p>next`, "Buy (https://a.example)\n\nnext"},
		{"<a href='https://a.example/x\r\ny z'>w</a>", "w (https://a.example/xy%20z)"},
		{"a\x00b\x07\x1b[31mc\r\nd\u2028e", "ab[31mc d e"},
		{"</p></div></a></table></ul></blockquote></pre>a<//><a", "a<a"},
		{"<unknown-thing>a</unknown-thing><font color=red>b</font><center>c", "ab\nc"},
		{"", ""}, {"plain words\n\nnew line", "plain words new line"}, {"<", "<"}, {"a <", "a <"}, {"a</", "a</"}, {"a<!", "a"}, {"<br", "<br"},
	} {
		if got := textOf(c.html); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.html, got, c.want)
		}
	}
}

// What is too long for a text ends with words that say so.
func TestLongHTMLSaysThatItIsCut(t *testing.T) {
	for _, source := range []string{strings.Repeat("<p>word", maxDerived/5), strings.Repeat("<b></b>", maxHTML/6)} {
		if got := textOf(source); !strings.HasSuffix(got, strings.TrimSpace(cutShort)) || len(got) > maxDerived+200 {
			t.Errorf("%d bytes that end in %q", len(got), got[max(0, len(got)-80):])
		}
	}
	image := `<img src="data:image/png;base64,` + strings.Repeat("QUJD", 500_000) + `">`
	if got := textOf("before" + image + "after"); got != "before after" {
		t.Errorf("a large image leaves %.100q", got)
	}
}

// HTML made to be slow to read is not.
func TestDerivedTextIsQuick(t *testing.T) {
	const size = 512 << 10
	many := "<p " + attributes(size/4) + ">"
	for _, unit := range []string{
		"<", ">", "<>", "&", "<a href=", "</a>", "<ul>", "&#x41;", "<p>", "<a>", "\n ", "<!--", "<td>", "<table><tr><td>", "<blockquote>x",
		"<pre>\n", "<a href=x>", "<title>", "<div hidden>", "<li>x", "<!", "<p a>", "&nbsp;", "<script>", "<svg><title>", "<p " + attributes(3000) + ">",
	} {
		start := time.Now()
		textOf(many + strings.Repeat(unit, (size-len(many))/len(unit)))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%.20q repeated takes %v", unit, took)
		}
	}
}

// attributes are n bytes of attributes with different names.
func attributes(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(" " + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576%26)))
	}
	return b.String()
}

// Whatever the HTML, its text is short, whole UTF-8 without control characters, and has the words
// that stand outside every tag.
func FuzzTextOfHTML(f *testing.F) {
	for _, seed := range []string{
		"a<br />b", "<table><tr><td>a<td>b", "<a href=x>y</a>", "<ul><li>a", "<pre>\n a\n", "<!-- x --><style>y</style>", "<div hidden>x", "a < b > c",
		"<blockquote><ol start=-3><li value=x>", "&nbsp;&zwnj;", "<noscript><p", "<p " + attributes(3000) + "><script>x</script>z", "<textarea " + attributes(3000) + ">x</textarea>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		got := textOf(source + "<p>last words")
		if !utf8.ValidString(got) || len(got) > maxDerived+200 || strings.TrimSpace(got) != got {
			t.Fatalf("%q", got)
		}
		for _, r := range got {
			if isControl(r) && r != '\n' {
				t.Fatalf("%q has %U", got, r)
			}
		}
		if !strings.ContainsAny(source, "<&") && !strings.HasSuffix(got, "last words") {
			t.Fatalf("%q lost its end", got)
		}
	})
}
