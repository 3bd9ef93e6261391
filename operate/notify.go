package operate

import (
	"strings"

	"dinkymail/message"
)

// notifications are the keywords of NOTIFY (RFC 3461, 4.1).
var notifications = [...]struct {
	word string
	flag message.Notify
}{
	{"never", message.NotifyNever}, {"success", message.NotifySuccess}, {"failure", message.NotifyFailure}, {"delay", message.NotifyDelay},
}

// notifyWords writes a Notify as "success,failure"; empty when the sender said nothing.
func notifyWords(n message.Notify) string {
	var words []string
	for _, k := range notifications {
		if n&k.flag != 0 {
			words = append(words, k.word)
		}
	}
	return strings.Join(words, ",")
}

// parseNotify reads what notifyWords writes, in any case.
func parseNotify(text string) (n message.Notify, ok bool) {
	if text == "" {
		return 0, true
	}
next:
	for word := range strings.SplitSeq(text, ",") {
		for _, k := range notifications {
			if strings.EqualFold(strings.TrimSpace(word), k.word) {
				n |= k.flag
				continue next
			}
		}
		return 0, false
	}
	return n, n&message.NotifyNever == 0 || n == message.NotifyNever
}
