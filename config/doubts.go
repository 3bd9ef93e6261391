package config

import (
	"fmt"
	"strings"
	"unicode"

	"dinkymail/message"
)

// typographic are quotation marks that word processors and web pages put in place of ' and ".
var typographic = map[rune]string{
	'\u2018': "left single quotation mark", '\u2019': "right single quotation mark", '\u201a': "single low-9 quotation mark",
	'\u201c': "left double quotation mark", '\u201d': "right double quotation mark", '\u201e': "double low-9 quotation mark",
	'\u00ab': "left-pointing double angle quotation mark", '\u00bb': "right-pointing double angle quotation mark",
	'\u2032': "prime", '\u2033': "double prime",
}

// warnSecrets says which secrets hold what nobody types into a password field, or sees there. They
// are used as they are all the same, since a password may hold anything.
func (s *Settings) warnSecrets(read []value) {
	for _, v := range read {
		if !v.setting.Secret || v.text == "" || v.setting.Name == "SMTP_RELAY_PASSWORD" && v.text != s.Relay.Password {
			continue
		}
		where := v.name + " (" + v.source + ")"
		if name := Doubt(v.text); name != "" {
			s.Warnings = append(s.Warnings, where+" holds the character "+name+
				". Copying from a web page or a letter brings such along; if it is not meant, write the value anew.")
		} else if strings.Trim(v.text, " ") != v.text {
			s.Warnings = append(s.Warnings, where+" begins or ends with a space, which counts. Remove it if it is not meant.")
		}
	}
}

// Doubt names the first character that is probably not meant. Line ends stand between the entries
// of a list.
func Doubt(text string) string {
	for _, r := range text {
		if name, ok := typographic[r]; ok {
			return fmt.Sprintf("U+%04X %s", r, name)
		}
		if r != '\n' && r != '\r' && message.Invisible(string(r)) != "" {
			return message.CodePoint(r)
		}
	}
	return ""
}

// among is Doubt as the end of a sentence, with the place where the character stands.
func among(text string) string {
	if hidden := message.Invisible(text); hidden != "" {
		return ": there is an invisible character in it, " + hidden
	}
	if name := Doubt(text); name != "" {
		return ": it holds the character " + name
	}
	return ""
}

// withoutBlanks drops white space of every kind and what is invisible.
func withoutBlanks(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || message.Invisible(string(r)) != "" {
			return -1
		}
		return r
	}, text)
}
