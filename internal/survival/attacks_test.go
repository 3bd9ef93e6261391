//go:build crash

package survival

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"dinkymail/internal/rig"
)

// Where attackers come from: outsiders are nobody's friends, insiders a trusted network gone bad.
const (
	outsiders = "127.66.0.0/16"
	insiders  = "127.99.0.0/16"
)

func plain(a *rig.Appliance) string  { return a.Submission }
func secure(a *rig.Appliance) string { return a.TLS }
func web(a *rig.Appliance) string    { return a.HTTP }

// attacks are the hostile clients of all doors.
func attacks() []attack {
	crowd := crowdSize()
	all := []attack{
		{name: "SMTP: a byte a second", door: plain, from: outsiders, workers: 500, once: true,
			act: drip("EHLO " + strings.Repeat("slow.", 100)), want: []string{waiting}},
		{name: "SMTP: endless line", door: plain, from: outsiders, workers: 16, act: flood("EHLO ", "x"), want: []string{"500", "closed"}},
		{name: "SMTP: pipelined garbage", door: plain, from: outsiders, workers: 16, act: flood("", "FOO bar\r\n"),
			want: []string{"421", "closed"}},
		{name: "SMTP: bytes that are no text", door: plain, from: outsiders, workers: 16, act: flood("", "\xff\xfe\x80 \xc3\x28\r\n"),
			want: []string{"421", "closed"}},
		{name: "SMTP: endless header", door: plain, from: insiders, workers: 4, open: true, act: flood(mailTo(1)+"DATA\r\n", "X-More: and more\r\n"),
			want: []string{"554", "421", "552", "closed"}},
		{name: "SMTP: RCPT flood", door: plain, from: insiders, workers: 4, act: flood(mailTo(1000), "RCPT TO:<bob@example.net>\r\n"),
			want: []string{"421", "closed"}},
		{name: fmt.Sprintf("SMTP: %d connections", crowd), door: plain, from: outsiders, workers: crowd, once: true,
			act: hold, want: []string{"421", waiting, "closed"}},
		{name: "SMTPS: half-open handshakes", door: secure, from: outsiders, workers: 500, once: true, act: halfOpen,
			want: []string{waiting}},
		{name: "SMTPS: no TLS at all", door: secure, from: outsiders, workers: 16, act: flood("EHLO me\r\n", "NOOP\r\n"),
			want: []string{"closed"}},
		{name: fmt.Sprintf("SMTPS: %d connections", crowd), door: secure, from: outsiders, workers: crowd, once: true,
			act: hold, want: []string{"closed", waiting}},
	}
	return append(all, webAttacks(crowd)...)
}

func webAttacks(crowd int) []attack {
	const head = "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	return []attack{
		{name: "HTTP: a byte a second", door: web, from: outsiders, workers: 500, once: true, least: 12 * time.Second,
			act: drip("GET /health HTTP/1.1\r\nX-Slow: " + strings.Repeat("s", 500)), want: []string{"400", "408", "closed"}},
		{name: "HTTP: endless header", door: web, from: outsiders, workers: 16, act: flood("GET / HTTP/1.1\r\n", "X-More: and more\r\n"),
			want: []string{"431", "closed"}},
		{name: "HTTP: endless line", door: web, from: outsiders, workers: 16, act: flood("GET /", "x"), want: []string{"431", "closed"}},
		{name: "HTTP: pipelined garbage", door: web, from: outsiders, workers: 16, act: flood("", "FOO bar\r\n"),
			want: []string{"400", "closed"}},
		{name: "HTTP: oversized JSON", door: web, from: insiders, workers: 4,
			act:  flood(head+"Transfer-Encoding: chunked\r\n\r\n9\r\n{\"body\":\"\r\n", "8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n"),
			want: []string{"413", "503", "closed"}, open: true},
		{name: "HTTP: deep JSON, 1 MB", door: web, from: insiders, workers: 4,
			act: flood(head+"Connection: close\r\nContent-Length: 1000000\r\n\r\n{\"to\":"+strings.Repeat("[", 999_994), ""), want: []string{"400", "closed"}},
		{name: "HTTP: compressed body", door: web, from: insiders, workers: 4,
			act:  flood(head+"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08"+strings.Repeat("\x00", 17), ""),
			want: []string{"415", "closed"}},
		{name: "HTTP: bad UTF-8", door: web, from: insiders, workers: 4,
			act: flood(head+"Connection: close\r\nContent-Length: 11\r\n\r\n{\"to\":\"\xff\xfe\"}", ""), want: []string{"400", "closed"}},
		{name: "HTTP: bodies that stop half way", door: web, from: insiders, workers: 300, once: true,
			act: flood(head+"Content-Length: 30000000\r\n\r\n{\"body\":\""+strings.Repeat("x", 1<<20), ""), want: []string{waiting, "503", "closed"}},
		{name: fmt.Sprintf("HTTP: %d connections", crowd), door: web, from: outsiders, workers: crowd, once: true, act: hold,
			want: []string{"closed", waiting}},
	}
}

// mailTo opens a transaction with n recipients.
func mailTo(n int) string {
	return "EHLO me.example\r\nMAIL FROM:<ada@example.org>\r\n" + strings.Repeat("RCPT TO:<bob@example.net>\r\n", n)
}

// drip writes a byte a second of text, and reads what is answered.
func drip(text string) func(context.Context, net.Conn) string {
	return func(ctx context.Context, conn net.Conn) string {
		go func() {
			for i := range len(text) {
				if _, err := conn.Write([]byte{text[i]}); err != nil {
					return
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
				}
			}
		}()
		return listen(conn)
	}
}

// flood writes first, then again and again the rest, if there is any, as fast as it is taken.
func flood(first, rest string) func(context.Context, net.Conn) string {
	again := []byte(strings.Repeat(rest, 1+(16<<10)/max(1, len(rest))))
	return func(_ context.Context, conn net.Conn) string {
		go func() {
			_, err := io.WriteString(conn, first)
			for err == nil && rest != "" {
				_, err = conn.Write(again)
			}
		}()
		return listen(conn)
	}
}

// hold says nothing and stays.
func hold(_ context.Context, conn net.Conn) string { return listen(conn) }

// halfOpen sends the first half of a TLS handshake.
func halfOpen(_ context.Context, conn net.Conn) string {
	_ = tls.Client(&firstHalf{Conn: conn}, &tls.Config{ServerName: "localhost"}).Handshake()
	return listen(conn)
}

// firstHalf lets half of the first write through and reads nothing.
type firstHalf struct{ net.Conn }

func (h *firstHalf) Write(p []byte) (int, error) {
	_, _ = h.Conn.Write(p[:len(p)/2])
	return 0, io.ErrClosedPipe
}

// waiting is the verdict on a connection that is still open when the attack ends.
const waiting = "waiting"

// listen reads to the end and returns the code of the last reply, "closed" if there was at most a
// greeting, or waiting.
func listen(conn net.Conn) string {
	var last string
	buf := make([]byte, 8<<10)
	var rest []byte
	for {
		n, err := conn.Read(buf)
		rest = append(rest, buf[:n]...)
		for {
			line, after, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			last, rest = code(last, string(line)), after
		}
		if err != nil {
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return waiting
			case last == "", last == "220":
				return "closed"
			}
			return last
		}
	}
}

// code is the reply code in a line, or what it was when the line has none.
func code(last, line string) string {
	if after, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok && len(after) > 3 {
		return after[:3]
	}
	if len(line) > 3 && (line[3] == ' ' || line[3] == '-') && strings.Trim(line[:3], "0123456789") == "" {
		return line[:3]
	}
	return last
}
