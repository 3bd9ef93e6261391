package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// invisibleNames are the characters that copying out of a web page, a letter or a table brings
// along, and the control characters that people know by name.
var invisibleNames = map[rune]string{
	0x00: "null character", '\t': "tab", '\n': "line feed", '\r': "carriage return", 0x1b: "escape", 0x7f: "delete",
	0x85: "next line", 0xa0: "no-break space", 0xad: "soft hyphen", 0x34f: "combining grapheme joiner",
	0x61c: "arabic letter mark", 0x1680: "ogham space mark", 0x180e: "mongolian vowel separator",
	0x2000: "en quad", 0x2001: "em quad", 0x2002: "en space", 0x2003: "em space", 0x2004: "three-per-em space",
	0x2005: "four-per-em space", 0x2006: "six-per-em space", 0x2007: "figure space", 0x2008: "punctuation space",
	0x2009: "thin space", 0x200a: "hair space", 0x200b: "zero width space", 0x200c: "zero width non-joiner",
	0x200d: "zero width joiner", 0x200e: "left-to-right mark", 0x200f: "right-to-left mark", 0x2028: "line separator",
	0x2029: "paragraph separator", 0x202a: "left-to-right embedding", 0x202b: "right-to-left embedding",
	0x202c: "pop directional formatting", 0x202d: "left-to-right override", 0x202e: "right-to-left override",
	0x202f: "narrow no-break space", 0x205f: "medium mathematical space", 0x2060: "word joiner",
	0x2066: "left-to-right isolate", 0x2067: "right-to-left isolate", 0x2068: "first strong isolate",
	0x2069: "pop directional isolate", 0x2800: "braille pattern blank", 0x3000: "ideographic space", 0x3164: "hangul filler",
	0xfe0e: "variation selector-15", 0xfe0f: "variation selector-16", 0xfeff: "zero width no-break space",
}

// isInvisible reports whether r leaves no mark of its own where it is shown: control and format
// characters, separators and blanks other than the space, and fillers.
func isInvisible(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r < ' ' || r == 0x7f
	case isControl(r), unicode.In(r, unicode.Cf, unicode.Zs, unicode.Variation_Selector):
		return true
	}
	return r == 0x34f || r == 0x115f || r == 0x1160 || r == 0x2800 || r == 0x3164 || r == 0xffa0
}

// isJoiner reports whether r joins or parts letters, as Persian and the scripts of India need it
// inside words.
func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// TrimInvisible is s without the white space and the invisible characters at its ends. NUL and the
// other control characters but tab and line ends stay, as do variation selectors, which belong to
// the character before them.
func TrimInvisible(s string) string { return strings.TrimFunc(s, isTrimmed) }

func isTrimmed(r rune) bool {
	if r < utf8.RuneSelf {
		return r == ' ' || '\t' <= r && r <= '\r'
	}
	return unicode.IsSpace(r) || isInvisible(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Variation_Selector, r)
}

// Invisible names the first invisible character of s and where it stands, counted in characters
// from 1, such as "U+200B zero width space at position 4"; "" when there is none. A joiner behind a
// letter beyond ASCII is a part of the word.
func Invisible(s string) string {
	if isPrintable(s) {
		return ""
	}
	position, before := 0, rune(0)
	for _, r := range s {
		position++
		if isInvisible(r) && !(isJoiner(r) && before >= utf8.RuneSelf && (unicode.IsLetter(before) || unicode.IsMark(before))) {
			return fmt.Sprintf("%s at position %d", CodePoint(r), position)
		}
		before = r
	}
	return ""
}

// CodePoint names a character that cannot be seen, such as "U+00A0 no-break space".
func CodePoint(r rune) string {
	if name := invisibleNames[r]; name != "" {
		return fmt.Sprintf("U+%04X %s", r, name)
	}
	return fmt.Sprintf("U+%04X", r)
}
