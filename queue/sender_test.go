package queue_test

import (
	"testing"

	"dinkymail/message"
	"dinkymail/queue"
)

// Who takes turns with whom: accounts are senders of their own whatever address they use, a mailing
// with an address per recipient is one sender, and the queue's own notices are one, apart from
// other mail from the null sender.
func TestSender(t *testing.T) {
	of := func(door, user, from string) uint32 {
		m := queue.Message{Origin: queue.Origin{Door: door, User: user}}
		if from != "" {
			var err error
			if m.Envelope.From, err = message.ParseAddress(from); err != nil {
				t.Fatal(err)
			}
		}
		if m.Sender() == 0 {
			t.Errorf("%s %s %s: 0 means unknown", door, user, from)
		}
		return m.Sender()
	}
	for _, same := range [][2]uint32{
		{of("smtp", "shop", "a@example.com"), of("http", "shop", "b@example.org")},
		{of("smtp", "", "bounces+17=bob@example.com"), of("smtp", "", "bounces+4711=eve@example.com")},
		{of("smtp", "", "news-1-eve@example.com"), of("smtp", "", "news@example.com")},
		{of("bounce", "", ""), of("bounce", "", "")},
	} {
		if same[0] != same[1] {
			t.Errorf("%v are to be the same", same)
		}
	}
	all := []uint32{of("smtp", "shop", "a@example.com"), of("smtp", "form", "a@example.com"), of("smtp", "", "a@example.com"),
		of("form", "", "a@example.com"), of("smtp", "", "a@example.org"), of("smtp", "", "b@example.com"), of("smtp", "", ""), of("bounce", "", "")}
	seen := map[uint32]int{}
	for i, n := range all {
		if j, ok := seen[n]; ok {
			t.Errorf("senders %d and %d are the same", i, j)
		}
		seen[n] = i
	}
}
