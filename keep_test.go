package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/operate"
	"dinkymail/queue"
)

// waiting is a stopped appliance in a directory of a name that sockets have room for, with one mail
// to the next hop in its queue.
func waiting(t *testing.T, text string) (hop *smtptest.Server, dir string, settings []string, id string) {
	t.Helper()
	hop = smtptest.New(t, smtptest.Config{})
	dir, err := os.MkdirTemp("", "dm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	settings = []string{"MAIL_DOMAIN=example.org", "USE_TLS=no", "SMTP_RELAY_HOST=" + hop.Host(), "SMTP_RELAY_PORT=" + strconv.Itoa(hop.Port())}
	a := start(t, dir, settings...)
	if status, out := dinkymail(dir, settings, "pause", "upstream"); status != 0 {
		t.Fatalf("pause: status %d\n%s", status, out)
	}
	_, answer := a.call("POST", "/send", `{"to":"bob@example.net","subject":"kept","body":"`+text+`"}`)
	a.end()
	return hop, dir, settings, fmt.Sprint(answer["id"])
}

// leave has sendmail leave a mail in the maildrop.
func leave(t *testing.T, dir, subject string) {
	t.Helper()
	var out bytes.Buffer
	status := run(context.Background(), []string{"sendmail", "-t", "-v", "-f", "ada@example.org"},
		strings.NewReader("To: bob@example.net\nSubject: "+subject+"\n\nHello\n"), &out, &out,
		[]string{"DINKYMAIL_SUBMIT_DIR=" + filepath.Join(dir, "data", "submit")})
	if status != 0 || !strings.HasPrefix(out.String(), "left in ") {
		t.Fatalf("sendmail: status %d, %s", status, out.String())
	}
}

// Mail that is damaged on the disk keeps no other out of a backup, whether that goes to a file or
// to standard output. The backup names it and has an exit status of its own, the archive is whole,
// a restore says what it lacks, and health, metrics, statistics and the log know of it.
func TestBackupOverDamagedMail(t *testing.T) {
	_, dir, settings, bad := waiting(t, "DAMAGED")
	segment := filepath.Join(dir, "data", "segments", "00000001.seg")
	text, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	text[bytes.LastIndex(text, []byte("DAMAGED"))] = 'd'
	write(t, segment, string(text))
	a := start(t, dir, settings...)
	good := a.send("good")
	file := filepath.Join(dir, "backup.tar")
	status, out := dinkymail(dir, settings, "backup", file)
	if status != 74 || !strings.Contains(out, "2 messages, 2 of them waiting") || !strings.Contains(out, "complete and verified but for 1 mail") ||
		!strings.Contains(out, bad) || strings.Contains(out, good) {
		t.Errorf("backup: status %d\n%s", status, out)
	}
	if status, out := dinkymail(dir, settings, "backup", "-"); status != 74 || !strings.Contains(out, bad) {
		t.Errorf("backup to standard output: status %d\n%.2000s", status, out)
	}
	if status, out := dinkymail(dir, settings, "verify", file); status != 0 || !strings.Contains(out, bad) {
		t.Errorf("verify: status %d\n%s", status, out)
	}
	_, health := a.call("GET", "/health", "")
	if detail, ok := health["detail"].(map[string]any); !ok || detail["damaged"] != 1.0 {
		t.Errorf("health: %v", health)
	}
	if res, err := http.Get("http://" + a.ports["http"] + "/metrics"); err != nil {
		t.Error(err)
	} else {
		text, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil || !strings.Contains(string(text), "\ndinkymail_queue_damaged_records 1\n") {
			t.Errorf("metrics: %v\n%s", err, text)
		}
	}
	if _, out := dinkymail(dir, settings, "stats", "--json"); !strings.Contains(out, `"damaged": 1`) {
		t.Errorf("stats: %s", out)
	}
	if log := a.log.String(); strings.Count(log, "body is damaged") != 1 || !strings.Contains(log, bad) {
		t.Errorf("log: %s", log)
	}
	a.end()
	other := t.TempDir()
	status, out = dinkymail(other, settings, "restore", "--no-hold", file)
	if status != 0 || !strings.Contains(out, bad) || !strings.Contains(out, "dinkymail bounce") {
		t.Errorf("restore: status %d\n%s", status, out)
	}
	if status, out := dinkymail(other, settings, "show", bad); status != 0 || !strings.Contains(out, "could not be read when the backup was made") {
		t.Errorf("show: status %d\n%s", status, out)
	}
}

// A backup that cannot be written to its end is never a success, wherever it goes.
func TestBackupThatBreaksOff(t *testing.T) {
	_, dir, settings, _ := waiting(t, "kept")
	environ := append(settings, "DATA_DIR="+filepath.Join(dir, "data"))
	var errs bytes.Buffer
	status := run(context.Background(), []string{"dinkymail", "--env-file", filepath.Join(dir, ".env"), "backup", "-"}, nil,
		&full{room: 600}, &errs, environ)
	if status == 0 || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("status %d, %s", status, errs.String())
	}
}

// full is a disk with little room.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

// By the letter of operate.md a restored appliance has what its queue had and what stood in the
// maildrop, then and when the old DATA_DIR was moved away, which stays. What root restores belongs
// to the user whom that belonged to.
func TestRestoreByTheLetter(t *testing.T) {
	hop, dir, settings, id := waiting(t, "kept")
	leave(t, dir, "before")
	file := filepath.Join(dir, "backup.tar")
	if status, out := dinkymail(dir, settings, "backup", file); status != 0 || !strings.Contains(out, "and 1 from the maildrop") {
		t.Fatalf("backup: status %d\n%s", status, out)
	}
	leave(t, dir, "since")
	data, old := filepath.Join(dir, "data"), filepath.Join(dir, "data.old")
	if err := os.Rename(data, old); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 65532
		giveAll(t, old, uid)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	out, err := program(dir, settings, "restore", file)
	if err != nil || !strings.Contains(out, "and 1 from the maildrop") || !strings.Contains(out, "the old queue is still in "+old) ||
		!strings.Contains(out, "1 mail left in its maildrop") || os.Getuid() == 0 && !strings.Contains(out, "as the one that was moved away") {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	belongs(t, data, uid)
	if left, err := os.Stat(filepath.Join(old, "queue.db")); err != nil || left.Size() == 0 {
		t.Errorf("the old queue: %v", err)
	}
	a := start(t, dir, settings...)
	a.awaitStatus(id, "held")
	hop.Wait(1, soon) // what was never accepted
	if status, out := dinkymail(dir, settings, "release", "--everything"); status != 0 {
		t.Fatalf("release: status %d\n%s", status, out)
	}
	var got []string
	for _, m := range hop.Wait(3, soon) {
		_, subject, _ := strings.Cut(string(m.Data), "\nSubject: ")
		got = append(got, strings.TrimSpace(strings.SplitN(subject, "\n", 2)[0]))
	}
	if all := strings.Join(got, " "); got[0] != "since" || !strings.Contains(all, "kept") || !strings.Contains(all, "before") {
		t.Errorf("arrived: %q", got)
	}
}

// giveAll gives everything in a directory to a user.
func giveAll(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// belongs checks that everything in a directory is a user's, and nobody else's to read but for mail
// on its way.
func belongs(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; !ok || int(st.Uid) != uid ||
			info.Mode().Perm() != want && !strings.Contains(path, "maildrop") {
			t.Errorf("%s: %v of %d", path, info.Mode(), st.Uid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// program runs a command as a process of its own.
func program(dir string, settings []string, args ...string) (string, error) {
	cmd := exec.Command(os.Args[0], append([]string{"--env-file", filepath.Join(dir, ".env")}, args...)...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "DATA_DIR="+filepath.Join(dir, "data")), settings...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// What root restores where nothing tells whose it is belongs to the user it names, and a directory
// with anything of a queue in it is left alone.
func TestRestoreSaysWhose(t *testing.T) {
	_, dir, settings, _ := waiting(t, "kept")
	file := filepath.Join(dir, "backup.tar")
	if status, out := dinkymail(dir, settings, "backup", file); status != 0 {
		t.Fatalf("backup: status %d\n%s", status, out)
	}
	data := filepath.Join(dir, "data")
	if err := os.Remove(filepath.Join(data, "queue.db")); err != nil {
		t.Fatal(err)
	}
	if out, err := program(dir, settings, "restore", file); err == nil || !strings.Contains(out, "has a queue") {
		t.Errorf("without an index: %v\n%s", err, out)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		if out, err := program(dir, settings, "restore", "--owner", "nobody", file); err == nil || !strings.Contains(out, "only root") {
			t.Errorf("--owner: %v\n%s", err, out)
		}
		return
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := program(dir, settings, "restore", "--owner", "nosuchuser", file); err == nil || !strings.Contains(out, "no such user") {
		t.Errorf("--owner nosuchuser: %v\n%s", err, out)
	}
	if out, err := program(dir, settings, "restore", "--owner", "nobody", file); err != nil || !strings.Contains(out, "belong to nobody (as --owner says)") {
		t.Errorf("--owner nobody: %v\n%s", err, out)
	}
	belongs(t, data, 65534)
	if err := os.Rename(data, filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if out, err := program(dir, settings, "restore", "--owner", "65532", file); err != nil {
		t.Errorf("--owner 65532: %v\n%s", err, out)
	}
	belongs(t, data, 65532)
}

// Mail to 1,000 recipients who are all deferred, each in words of its own, attempt after attempt,
// stays small on the disk, and what a backup of it writes is taken by verify, from a file and from
// standard output.
func TestBackupOfMassMail(t *testing.T) {
	t.Parallel()
	const recipients, attempts = 1000, 12
	hop := smtptest.New(t, smtptest.Config{})
	var to []string
	var rules []smtptest.Rule
	for i := range recipients {
		address := fmt.Sprintf("recipient%d@example.net", i)
		to = append(to, `"`+address+`"`)
		rules = append(rules, smtptest.Rule{Stage: smtptest.Rcpt, Address: address,
			Answer: smtptest.Reply("450 4.2.1 <" + address + ">: " + strings.Repeat("the mailbox is busy, ", 20))})
	}
	hop.Script(rules...)
	dir := t.TempDir()
	settings := []string{"MAIL_DOMAIN=example.org", "USE_TLS=no", "SMTP_RELAY_HOST=" + hop.Host(), "SMTP_RELAY_PORT=" + strconv.Itoa(hop.Port()),
		"QUEUE_RETRY=1s", "LOG_KEEP=0"}
	a := start(t, dir, settings...)
	c := a.control()
	_, answer := a.call("POST", "/send", `{"to":[`+strings.Join(to, ",")+`],"subject":"`+strings.Repeat("long ", 100)+`","body":"x"}`)
	id := queue.ID(fmt.Sprint(answer["id"]))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for tried := 0; tried < attempts; <-tick.C {
		d, err := c.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err, answer)
		}
		if d.Attempts == tried {
			continue
		}
		tried = d.Attempts
		if _, err := c.Act(t.Context(), operate.Action{Verb: operate.Retry, Selection: queue.Selection{IDs: []queue.ID{id}}}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := c.Stats(t.Context())
	if err != nil || st.Records > 1<<20 {
		t.Errorf("records of %d bytes, %v", st.Records, err)
	}
	file := filepath.Join(dir, "backup.tar")
	if status, out := dinkymail(dir, settings, "backup", file); status != 0 {
		t.Errorf("backup: status %d\n%s", status, out)
	}
	status, text := dinkymail(dir, settings, "backup", "-")
	if status != 0 {
		t.Errorf("backup to standard output: status %d", status)
	}
	write(t, file, text)
	if status, out := dinkymail(dir, settings, "verify", file); status != 0 {
		t.Errorf("verify: status %d\n%s", status, out)
	}
}
