package relay

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/queue"
)

// tape is a next hop that says what is on it, line by line, whatever it hears.
type tape struct {
	net.Conn
	says  string
	heard bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	if t.says == "" {
		return 0, io.EOF
	}
	line, _, _ := strings.Cut(t.says, "\n")
	n := copy(p, t.says[:min(len(line)+1, len(t.says))])
	t.says = t.says[n:]
	return n, nil
}

func (t *tape) Write(p []byte) (int, error)      { return t.heard.Write(p) }
func (t *tape) Close() error                     { return nil }
func (t *tape) RemoteAddr() net.Addr             { return nil }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

const goodDay = "220 hi\r\n250-hop\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n"

// takenAtLast matches what must have been said for a message to count as delivered: 354, and later
// a yes.
var takenAtLast = regexp.MustCompile(`(?s)(^|\n)354.*\n2\d\d`)

// Whatever bytes come from the next hop, Deliver ends without a panic, results are bounded and
// clean, and nothing counts as delivered that was not sent to its end and then answered with 2xx.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		goodDay,
		"220 hi\r\n250-hop\r\n250 SIZE 10\r\n",
		"220 hi\r\n500 what\r\n250 hop\r\n250 ok\r\n550 5.1.1 no\r\n452 4.5.3 x\r\n354 go\r\n250 taken\r\n",
		"220 hi\r\n250-hop\r\n250 AUTH PLAIN LOGIN\r\n235 ok\r\n421 4.7.0 bye\r\n",
		"220 hi\r\n250-hop\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 \r\n535-5.7.8 no\r\n535 5.7.8 no\r\n",
		"220 hi\r\n250-hop\r\n250-8BITMIME\r\n250-DSN\r\n250 PIPELINING\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n554 5.7.1 spam\r\n",
		"220 hi\r\n250-hop\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 PIPELINING\r\n504 5.5.4 no\r\n334 Username:\r\n334 Password:\r\n235 ok\r\n250 a\r\n",
		"220 hi\r\n250 hop\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n550 5.5.3 too many recipients\r\n250 r\r\n250 a\r\n250 b\r\n354 d\r\n250 yes\r\n250 a\r\n421 too many messages in this session\r\n",
		"220 hi\r\n250 hop\r\n250 a\r\n250 b\r\n354 d\r\n250 yes\r\n451 4.4.2 timeout\r\n",
		"554 no\r\n", "\x00", "220-\r\n", "999\r\n", "220 hi\n250 hop\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, says string) {
		for n, user := range []string{"", "ada", ""} {
			var tapes []*tape
			r := New(Config{Host: "192.0.2.1", Username: user, Password: "secret", Recipients: 2 - n/2}, slog.New(slog.DiscardHandler))
			var dialed sync.Mutex
			r.pool.dial = func(context.Context, string) (net.Conn, error) {
				dialed.Lock()
				defer dialed.Unlock()
				tapes = append(tapes, &tape{says: says})
				return tapes[len(tapes)-1], nil
			}
			d, said := mail(t, letter, "bob@example.net", "carol@example.net"), ""
			d.Dialogue = func(lines string) { said = lines }
			results := r.Deliver(context.Background(), d)
			r.Close()
			checkDialogue(t, said, results)
			if says == goodDay && n == 0 && outcomes(results) != "delivered delivered" {
				t.Errorf("a good next hop, and got %+v", results)
			}
			for _, res := range results {
				if len(res.Text) > maxText || strings.ContainsAny(res.Text, "\r\n") || res.Stage == "" {
					t.Errorf("got %+v", res)
				}
				if res.Outcome != queue.Delivered {
					continue
				}
				if !takenAtLast.MatchString(says) || !slices.ContainsFunc(tapes, func(t *tape) bool { return strings.Contains(t.heard.String(), letter+".\r\n") }) {
					t.Errorf("delivered after %q, having said it nowhere", says)
				}
			}
			sent := 0
			for _, t := range tapes {
				sent += strings.Count(t.heard.String(), letter+".\r\n")
			}
			if len(tapes) > 4 || sent > 5 { // both, each one, and once more over a fresh connection
				t.Errorf("%d connections, and the message %d times, after %q", len(tapes), sent, says)
			}
		}
	})
}

// dialogueLine matches a line of a dialogue: whose it is, and nothing that steers a terminal.
var dialogueLine = regexp.MustCompile(`^(C:|S:|--) [\pL\pM\pN\pP\pS ]*$`)

func checkDialogue(t *testing.T, said string, results []queue.Result) {
	t.Helper()
	if (said == "") != (outcomes(results) == "delivered delivered") || len(said) > queue.MaxDialogue {
		t.Errorf("%d bytes of dialogue with %+v", len(said), results)
	}
	for line := range strings.SplitSeq(said, "\n") {
		if said != "" && (!dialogueLine.MatchString(line) || strings.Contains(line, "secret")) {
			t.Errorf("the dialogue has %q", line)
		}
	}
}

// What the dotWriter writes, two readers that are not ours read back as the message, and find
// nothing behind it. What it refuses has a bare CR or LF, and has no end on the wire.
func FuzzDotWriter(f *testing.F) {
	for _, s := range []string{letter, "", ".", "..\r\n.\r\n", "a\r\n.\r\nQUIT\r\n", "a\n.\r\n", "a\r\n.\n", "\r", "\r\r\n.\r\n", "x\r\n\r\n"} {
		f.Add(s, 1)
		f.Add(s, 1000)
	}
	f.Fuzz(func(t *testing.T, text string, chunk int) {
		if chunk = chunk % 4096; chunk <= 0 {
			chunk = 3
		}
		var out bytes.Buffer
		w := bufio.NewWriterSize(&out, 64)
		d := dotWriter{w: w}
		var err error
		for rest := text; rest != "" && err == nil; {
			n := min(chunk, len(rest))
			_, err = d.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if err == nil {
			err = d.Close()
		}
		w.Flush()
		bare := strings.NewReplacer("\r\n", "").Replace(text)
		if strings.ContainsAny(bare, "\r\n") != (err != nil) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			s := "\r\n" + out.String()
			if strings.Contains(s, "\n.\n") || strings.Contains(s, "\n.\r") || strings.Contains(s, "\r.\r") {
				t.Fatalf("%q: refused, yet its end is on the wire: %q", text, out.String())
			}
			return
		}
		want := text
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		wire := out.String()
		if got := undot(t, wire); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		r := textproto.NewReader(bufio.NewReader(strings.NewReader(wire)))
		got, err := io.ReadAll(r.DotReader())
		if err != nil || string(got) != strings.ReplaceAll(want, "\r\n", "\n") {
			t.Fatalf("textproto: %v: got %q, want %q", err, got, want)
		}
		if rest, _ := io.ReadAll(r.R); len(rest) > 0 {
			t.Fatalf("behind the end stands %q", rest)
		}
	})
}

// undot reads by the letter of RFC 5321, 4.5.2, from strings that end in CRLF.
func undot(t *testing.T, wire string) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(wire, "\r\n") {
		switch {
		case line == ".\r\n":
			if !strings.HasSuffix(wire, line) || strings.Count("\r\n"+wire, "\r\n.\r\n") != 1 {
				t.Fatalf("more than one end in %q", wire)
			}
			return b.String()
		case strings.HasPrefix(line, "."):
			line = line[1:]
		}
		b.WriteString(line)
	}
	t.Fatalf("no end in %q", wire)
	return ""
}
