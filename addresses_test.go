package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// strange are addresses as real systems have and people paste them, and what goes over the wire.
var strange = []struct{ written, wire string }{
	{"ilo.@docomo.ne.jp", `"ilo."@docomo.ne.jp`},
	{"foo..bar@example.net", `"foo..bar"@example.net`},
	{strings.Repeat("v", 77) + "@example.net", strings.Repeat("v", 77) + "@example.net"},
	{"a@my_shop.example", "a@my_shop.example"},
	{"b@Example.NET.", "b@example.net"},
	{"\u00a0c@example.net\u200b", "c@example.net"},
	{"\ufeff\u202ad@example.net\u202c\u00ad", "d@example.net"},
	{`"e f"@example.net`, `"e f"@example.net`},
	{"g@bücher.example", "g@xn--bcher-kva.example"},
}

// hidden are what stays refused, and what the answer names.
var hidden = map[string]string{
	"a\u200bda@example.net":    "U+200B zero width space at position 2",
	"ada@exam\u00adple.net":    "U+00AD soft hyphen at position 9",
	"a\u202eda@example.net":    "U+202E right-to-left override at position 2",
	"ada@example.net\u00a0a":   "U+00A0 no-break space at position 16",
	"\"a\u2066b\"@example.net": "U+2066 left-to-right isolate at position 2",
	"ada\ufeff@example.net":    "U+FEFF zero width no-break space at position 4",
}

// Strange addresses are taken through every door and go out quoted where they must; what cannot be
// seen inside is named.
func TestStrangeAddresses(t *testing.T) {
	hop, settings := plainHop(t, "8BITMIME", "PIPELINING")
	dir, err := os.MkdirTemp("", "dm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := start(t, dir, settings...)
	var written, want []string
	for _, s := range strange {
		written, want = append(written, s.written), append(want, s.wire)
	}
	sendmail := func(args ...string) (int, string) {
		var errs bytes.Buffer
		status := run(context.Background(), append([]string{"/usr/sbin/sendmail", "-f", "ilo.@example.org\r\n"}, args...),
			strings.NewReader("Subject: x\n\nx\n"), io.Discard, &errs, []string{"DINKYMAIL_SUBMIT_DIR=" + filepath.Join(dir, "data", "submit")})
		return status, errs.String()
	}
	post := func(to any) (int, string) {
		body, err := json.Marshal(map[string]any{"to": to, "subject": "x", "body": "x", "from": "ada@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := a.call("POST", "/send", string(body))
		return status, fmt.Sprint(answer)
	}
	arrives := func(nth int, want []string) {
		t.Helper()
		if m := hop.Wait(nth, soon)[nth-1]; !slices.Equal(m.To, want) {
			t.Errorf("%d: got %q, want %q", nth, m.To, want)
		}
	}
	say(t, a.ports["smtp"], "", "Subject: x\r\n\r\nx\r\n", written...)
	arrives(1, want)
	written, want = append(written, "h@example.net\r\n", "ada@x.example <i@example.net>"), append(want, "h@example.net", "i@example.net")
	if status, text := sendmail(written...); status != 0 {
		t.Errorf("sendmail: %d %s", status, text)
	}
	arrives(2, want)
	if status, text := post(written); status != http.StatusOK {
		t.Errorf("/send: %d %s", status, text)
	}
	arrives(3, want)
	for address, want := range hidden {
		if status, text := sendmail(address); status == 0 || !strings.Contains(text, want) {
			t.Errorf("sendmail %q: %d %s", address, status, text)
		}
		if status, text := post([]string{address}); status != http.StatusBadRequest || !strings.Contains(text, want) && address[0] != '"' {
			t.Errorf("/send %q: %d %s", address, status, text)
		}
	}
	for _, address := range []string{"a@example.net\r\nBcc: eve@example.net", "a@example.net> NOTIFY=NEVER", "a@example.net\r\nRCPT TO:<eve@example.net>"} {
		if status, text := post([]string{address}); status != http.StatusBadRequest {
			t.Errorf("/send %q: %d %s", address, status, text)
		}
	}
	if n := hop.Count(); n != 3 {
		t.Errorf("%d mails, want 3", n)
	}
}
