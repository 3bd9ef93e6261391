package smtp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzSession: whatever bytes a client sends, the server neither panics nor loses step with
// go-smtp, takes no more mails than transactions can have been completed, none without a recipient,
// and none at all from a stranger.
func FuzzSession(f *testing.F) {
	for _, talk := range clientSides(f) {
		f.Add(talk)
	}
	f.Add([]byte("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\r\n.\r\r\n.\r\r\n.\r\nNOOP\r\n"))
	f.Add([]byte("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 3\r\nX:yBDAT 0\r\nRSET\r\nBDAT 2 LAST\r\n\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if mails, _ := exchange(t, "192.0.2.1:1", input); len(mails) > 0 {
			t.Fatal("a stranger's mail was accepted")
		}
		mails, replies := exchange(t, "10.0.0.1:1", input)
		upper := bytes.ToUpper(input)
		ends := bytes.Count(upper, []byte("DATA")) + bytes.Count(upper, []byte("LAST"))
		most := min(bytes.Count(upper, []byte("MAIL")), ends)
		if len(mails) > most || strings.Count(replies, "queued as") > len(mails) {
			t.Fatalf("%d mails accepted of at most %d: %q", len(mails), most, replies)
		}
		for _, m := range mails {
			if len(m.Envelope.To) == 0 {
				t.Fatal("a mail to nobody was accepted")
			}
		}
		if strings.Contains(replies, errDesync.Error()) || strings.Contains(replies, "Internal server error") {
			t.Fatalf("the server lost its way: %q", replies)
		}
	})
}

// exchange sends input over a pipe and returns what came of it.
func exchange(t *testing.T, from string, input []byte) ([]mail, string) {
	r := &recorder{}
	connect, stop := piped(t, here(Config{MaxMessageBytes: 2000, Accounts: accounts(map[string]string{"ada": cheap})}), r)
	c := connect(from)
	c.SetDeadline(time.Now().Add(patience))
	replies := make(chan string)
	go func() {
		b, _ := io.ReadAll(c)
		replies <- string(b)
	}()
	if _, err := c.Write(input); errors.Is(err, os.ErrDeadlineExceeded) { // other errors: the server has had enough
		t.Fatal("the server neither reads nor closes")
	}
	c.Close()
	said := <-replies
	stop()
	return r.all(), said
}

// clientSides are what the clients say in the transcripts.
func clientSides(t testing.TB) (sides [][]byte) {
	files, err := filepath.Glob("testdata/*.talk")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var side []byte
		for line := range strings.Lines(string(text)) {
			verb, arg, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
			arg = strings.TrimPrefix(arg, " ")
			if raw, err := strconv.Unquote(arg); verb == "RAW" && err == nil {
				side = append(side, raw...)
			}
			if verb == "C" {
				side = append(side, arg+"\r\n"...)
			}
		}
		sides = append(sides, side)
	}
	return sides
}
