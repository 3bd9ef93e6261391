package message

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// report is a notification of one failure, to be changed by tests.
func report(original string) BounceReport {
	return BounceReport{
		From:     Mailbox{"Mail Delivery System", Address{"mailer-daemon", "example.org"}},
		To:       ada.Address,
		Hostname: "mail.example.org", ID: "0cagh3h68onkmkga", MessageID: "<b1@example.org>", Arrived: noon, Time: noon.Add(time.Hour),
		Recipients: []BounceRecipient{{
			Address: bob.Address, Action: ActionFailed, Status: "5.1.1", Remote: "mx.example.net:25",
			Diagnostic: "550 5.1.1 no such user here", LastAttempt: noon.Add(time.Minute),
		}},
		Original:      strings.NewReader(original),
		OriginalFacts: Facts{Subject: "Figures", MessageID: "<1@example.org>", HeaderSize: int64(strings.Index(original, "\r\n\r\n") + 4)},
	}
}

const original = "Received: from laptop\r\nFrom: Ada <ada@example.org>\r\nSubject: Figures\r\nMessage-ID: <1@example.org>\r\n\r\nSecret body\r\n"

// bounces are the cases whose full text is in testdata/bounce.
var bounces = map[string]func() BounceReport{
	"failed": func() BounceReport { return report(original) },
	"full": func() BounceReport {
		r := report(original)
		r.Ret, r.EnvID = "FULL", "env 42"
		return r
	},
	"full-8bit": func() BounceReport {
		r := report(strings.ReplaceAll(original, "Secret", "Geheimer Körper"))
		r.Ret, r.OriginalFacts.EightBit = "FULL", true
		return r
	},
	"delayed": func() BounceReport {
		r := report(original)
		r.Ret = "FULL"
		to := &r.Recipients[0]
		to.Action, to.Status, to.Diagnostic, to.WillRetryUntil = ActionDelayed, "4.4.1", "dial tcp 192.0.2.1:25: connection refused", noon.AddDate(0, 0, 5)
		return r
	},
	"relayed": func() BounceReport {
		r := report(original)
		r.Recipients[0] = BounceRecipient{Address: bob.Address, Original: "rfc822;bob@alias.example", Action: ActionRelayed, Remote: "mx.example.net:25",
			Diagnostic: "250 2.0.0 ok", LastAttempt: noon}
		return r
	},
	"mixed-utf8": func() BounceReport {
		r := report("Subject: Grüße\r\nX: y\r\n\r\nbody\r\n")
		r.To = Address{"jürgen", "example.org"}
		r.OriginalFacts = Facts{Subject: "Grüße", UTF8Header: true, EightBit: true}
		r.Ret = "FULL"
		r.Recipients = append(r.Recipients,
			BounceRecipient{Address: Address{"jörg", "example.net"}, Original: "utf-8;jörg@alias.example", Action: ActionDelayed},
			BounceRecipient{Address: Address{"a b", "[192.0.2.1]"}, Action: "?", Status: "9.9", Remote: "192.0.2.1",
				Diagnostic: "550-first\r\n550 sec\x00ond ü " + strings.Repeat("x", 2000)})
		return r
	},
	"nothing": func() BounceReport {
		r := report("")
		r.Original, r.OriginalFacts, r.Recipients[0].Diagnostic, r.Recipients[0].Remote = nil, Facts{}, "", ""
		return r
	},
}

// A notification is, word for word, what is in testdata/bounce. UPDATE=1 writes the files anew.
func TestBounce(t *testing.T) {
	for name, build := range bounces {
		t.Run(name, func(t *testing.T) {
			r := build()
			env, body, err := Bounce(r)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(body)
			checkBounce(t, r, env, string(got))
			file := filepath.Join("testdata", "bounce", name+".eml")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
			}
		})
	}
}

// checkBounce wants what RFC 3464 and RFC 6522 want of every notification.
func checkBounce(t *testing.T, r BounceReport, env Envelope, raw string) {
	t.Helper()
	if !env.From.IsNull() || len(env.To) != 1 || env.To[0].Address != r.To || env.To[0].Notify != NotifyNever || env.UTF8 != r.To.NeedsUTF8() {
		t.Errorf("envelope %+v", env)
	}
	checkLines(t, []byte(raw))
	if n := longestLine(raw); n > maxLine {
		t.Errorf("a line of %d bytes", n)
	}
	header, tree := leaves(t, raw)
	if header.Get("Auto-Submitted") != "auto-replied" || !strings.Contains(header.Get("Content-Type"), "report-type=delivery-status") {
		t.Errorf("header %v", header)
	}
	kinds := ""
	for _, part := range tree {
		kinds += part.kind + " "
	}
	want := "multipart/report text/plain message/delivery-status text/rfc822-headers end "
	if r.Original == nil {
		want = strings.Replace(want, "text/rfc822-headers ", "", 1)
	}
	if kinds != want && kinds != strings.Replace(want, "text/rfc822-headers", "message/rfc822", 1) {
		t.Errorf("parts %s", kinds)
	}
	groups := strings.Split(strings.TrimSpace(tree[2].content), "\r\n\r\n")
	if len(groups) != len(r.Recipients)+1 {
		t.Fatalf("status %q", tree[2].content)
	}
	for i, group := range groups {
		m, err := mail.ReadMessage(strings.NewReader(group + "\r\n\r\n"))
		if err != nil || !isASCII(group) {
			t.Fatalf("%v in %q", err, group)
		}
		if i == 0 && m.Header.Get("Reporting-MTA") == "" || i > 0 && (m.Header.Get("Final-Recipient") == "" || m.Header.Get("Status") == "") {
			t.Errorf("status %q", group)
		}
	}
	in := Accept(strings.NewReader(raw), trace)
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("we would not take it ourselves: %v", err)
	}
}

// How much is returned is bounded, whatever was asked for, and the body only goes back when it may
// and fits.
func TestBounceReturns(t *testing.T) {
	big := original + strings.Repeat("line\r\n", maxReturned/6)
	wide := "X: " + strings.Repeat("wide\r\n ", 20000) + "end\r\n\r\nSecret body\r\n"
	for name, test := range map[string]struct {
		original string
		change   func(*BounceReport)
		full     bool
	}{
		"asked for":                {original, func(r *BounceReport) { r.Ret = "FULL" }, true},
		"not asked for":            {original, func(*BounceReport) {}, false},
		"header asked for":         {original, func(r *BounceReport) { r.Ret = "HDRS" }, false},
		"too big":                  {big, func(r *BounceReport) { r.Ret = "FULL" }, false},
		"wide header":              {wide, func(*BounceReport) {}, false},
		"nothing but header":       {"Subject: x\r\n", func(r *BounceReport) { r.Ret = "FULL" }, false},
		"long line":                {original + strings.Repeat("x", 999) + "\r\n", func(r *BounceReport) { r.Ret = "FULL" }, false},
		"header that is not ASCII": {"Subject: ü\r\n\r\nSecret body\r\n", func(r *BounceReport) { r.Ret = "FULL" }, false},
		"a copy of ourselves":      {original + newComposer(io.Discard, "<b1@example.org>").mark + "1--\r\n", func(r *BounceReport) { r.Ret = "FULL" }, false},
	} {
		r := report(test.original)
		test.change(&r)
		env, body, err := Bounce(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw, _ := io.ReadAll(body)
		checkBounce(t, r, env, string(raw))
		if full := bytes.Contains(raw, []byte("Secret body")); full != test.full || !full && len(raw) > maxReturnedHeader+maxReturnedHeader/2 {
			t.Errorf("%s: %d bytes, full: %v", name, len(raw), full)
		}
	}
}

// Nobody is told of what they did not send, and a mail that cannot be read is no notification.
func TestNoBounce(t *testing.T) {
	sick := errors.New("input/output error")
	for name, change := range map[string]func(*BounceReport){
		"null sender":   func(r *BounceReport) { r.To = Address{} },
		"no recipients": func(r *BounceReport) { r.Recipients = nil },
		"sick disk":     func(r *BounceReport) { r.Original = iotest.ErrReader(sick) },
	} {
		r := report(original)
		change(&r)
		if _, body, err := Bounce(r); err == nil || body != nil || name == "sick disk" && !errors.Is(err, sick) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the next hop, the sender or the client said stays inside the fields it was put in.
func FuzzBounce(f *testing.F) {
	f.Add("550 no\r\nBcc: x@y", "mx:25", "rfc822;a@b\r\n", "env", "5.1.1", original, "FULL", "subject")
	f.Add("\xff\x00", "[::1]:25", ";;", "\r\n\r\n", "5.1.1\r\n", "ü\r\n\r\n", "FULL", "\r\nBcc: x@y")
	f.Fuzz(func(t *testing.T, diagnostic, remote, orcpt, envid, status, original, ret, subject string) {
		r := report(original)
		r.EnvID, r.Ret, r.OriginalFacts.Subject = envid, ret, subject
		to := &r.Recipients[0]
		to.Diagnostic, to.Remote, to.Original, to.Status = diagnostic, remote, orcpt, status
		in := Accept(strings.NewReader(original), trace)
		kept, err := io.ReadAll(in)
		if err != nil {
			return
		}
		r.Original = bytes.NewReader(kept)
		env, body, err := Bounce(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(body)
		checkBounce(t, r, env, string(raw))
		if m, _ := mail.ReadMessage(bytes.NewReader(raw)); len(m.Header) != 10 {
			t.Fatalf("header %v", m.Header)
		}
	})
}
