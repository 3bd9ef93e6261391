package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// control is a client of an appliance's control socket.
func (a *appliance) control() *control.Client {
	c := control.NewClient(a.ports["control"])
	a.t.Cleanup(c.Close)
	return c
}

// The control socket of the whole appliance is its owner's, does everything, pauses every door, and
// is gone at the end; a watcher does not keep the appliance from ending.
func TestControlSocket(t *testing.T) {
	hop, settings := upstream(t)
	dir := t.TempDir()
	a := start(t, dir, settings...)
	path := filepath.Join(dir, "data", "control.sock")
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 || a.ports["control"] != path {
		t.Fatalf("%s = %v, %v", a.ports["control"], info, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("DATA_DIR = %v, %v", info.Mode(), err)
	}
	c := a.control()
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	watching := make(chan error, 1)
	go func() {
		var last error
		for _, err := range events {
			last = err
		}
		watching <- last
	}()
	sent, err := c.Submit(t.Context(), letter(message.Address{Local: "anybody", Domain: "example.com"},
		message.Address{Local: "bob", Domain: "example.net"}, "Subject: socket\n\nHello.\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.awaitStatus(string(sent.ID), "delivered")
	if d, err := c.Show(t.Context(), sent.ID); err != nil || d.Origin.Door != "sendmail" || d.Recipients[0].Code != 250 {
		t.Errorf("%+v, %v", d, err)
	}
	if status, answer := a.call("GET", "/api/v1/stats", ""); status != 404 {
		t.Errorf("on TCP: %d %v", status, answer)
	}
	testPaused(t, a, c)
	hop.Wait(2, soon)
	c.Close()
	began := time.Now()
	a.end()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("with a watcher the end took %v", took)
	}
	if err := <-watching; err != nil {
		t.Errorf("Watch = %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// testPaused checks that a pause of the intake shuts every door for the time being, and lasts until
// it is ended.
func testPaused(t *testing.T, a *appliance, c operate.Operator) {
	t.Helper()
	if err := c.Pause(t.Context(), queue.Intake, "moving house", "ada"); err != nil {
		t.Fatal(err)
	}
	if status, answer := a.call("POST", "/send", `{"to":"bob@example.net","subject":"s","body":"b"}`); status != 503 || answer["code"] != "paused" {
		t.Errorf("/send answered %d %v", status, answer)
	}
	if text := refusedMail(t, a.ports["smtp"]); !strings.HasPrefix(text, "451 4.3.2 ") {
		t.Errorf("SMTP answered %q", text)
	}
	if err := c.Resume(t.Context(), queue.Intake); err != nil {
		t.Fatal(err)
	}
	a.send("after the pause")
}

// refusedMail hands a mail in over SMTP and returns the reply that refuses it.
func refusedMail(t *testing.T, addr string) string {
	t.Helper()
	conn := dial(t, addr, nil)
	defer conn.Close()
	talk := func(line string) string {
		if line != "" {
			if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, 1000)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	talk("")
	for _, line := range []string{"HELO x", "MAIL FROM:<ada@example.org>", "RCPT TO:<bob@example.net>", "DATA"} {
		if text := talk(line); text[0] != '2' && text[0] != '3' {
			return text
		}
	}
	return talk("Subject: s\r\n\r\nb\r\n.")
}

// While the appliance does not run its queue answers the same, within the process; while it runs it
// is left alone, and where there is none nothing is made.
func TestOffline(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, "MAIL_DOMAIN=example.org")
	id := queue.ID(a.send("wait for me"))
	a.awaitReason(string(id), "queued", "no upstream configured")
	s := &config.Settings{DataDir: filepath.Join(dir, "data"), LogKeep: 1 << 20}
	_, _, err := offline(s, newLog(a.log, s, slog.LevelInfo))
	var exit *cli.Exit
	if !errors.As(err, &exit) || exit.Code != cli.ExitUnavailable || !strings.Contains(err.Error(), "does not answer at its socket "+a.ports["control"]) {
		t.Errorf("while it runs: %v", err)
	}
	a.end()

	c, end, err := offline(s, newLog(a.log, s, slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.Act(t.Context(), operate.Action{Verb: operate.Hold, Reason: "not yet"}); err != nil || res.Done != 1 {
		t.Errorf("hold = %+v, %v", res, err)
	}
	var said strings.Builder
	if err := c.Log(t.Context(), string(id), &said); err != nil || !strings.Contains(said.String(), "queued") {
		t.Errorf("log = %q, %v", said.String(), err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	for _, verb := range []string{"pause", "resume"} {
		if status, out := dinkymail(dir, []string{"MAIL_DOMAIN=example.org"}, verb, "intake"); status != 0 || strings.Contains(out, "level=") {
			t.Errorf("%s: status %d\n%s", verb, status, out)
		}
	}
	a = start(t, dir, "MAIL_DOMAIN=example.org")
	if d, err := a.control().Show(t.Context(), id); err != nil || d.Reason != "not yet" {
		t.Errorf("after it all: %+v, %v", d, err)
	}

	s.DataDir = filepath.Join(t.TempDir(), "data")
	if _, _, err := offline(s, newLog(a.log, s, slog.LevelInfo)); err == nil || !strings.Contains(err.Error(), "no queue is kept in DATA_DIR="+s.DataDir) {
		t.Errorf("without a queue: %v", err)
	}
	if _, err := os.Stat(s.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a queue was made")
	}
}

// letter is a mail for control.Client.Submit.
func letter(from, to message.Address, text string) operate.Mail {
	return operate.Mail{Envelope: message.Envelope{From: from, To: []message.Recipient{{Address: to}}}, Body: strings.NewReader(text)}
}
