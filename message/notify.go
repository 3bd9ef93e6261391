package message

import (
	"slices"
	"strings"
)

// notifyWords are the NOTIFY keywords, each at the place of its bit.
var notifyWords = [...]string{"never", "success", "failure", "delay"}

// Words are the keywords with commas between, as "success,failure"; empty when the sender said
// nothing.
func (n Notify) Words() string {
	var words []string
	for bit, word := range notifyWords {
		if n&(1<<bit) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ",")
}

// ParseNotify reads what Words writes, in any case. It reports false for what NOTIFY cannot be.
func ParseNotify(text string) (n Notify, ok bool) {
	if text == "" {
		return 0, true
	}
	for word := range strings.SplitSeq(strings.ToLower(text), ",") {
		bit := slices.Index(notifyWords[:], strings.TrimSpace(word))
		if bit < 0 {
			return 0, false
		}
		n |= 1 << bit
	}
	return n, n&NotifyNever == 0 || n == NotifyNever
}
