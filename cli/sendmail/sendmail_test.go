package sendmail

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dinkymail/aliases"
	"dinkymail/cli/world"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/queue"
)

// While nobody answers the mail is left in the maildrop, with all that its envelope says, and the
// appliance picks it up.
func TestMaildrop(t *testing.T) {
	a := newAppliance(t, queue.Config{})
	r := a.sendmail("To: bob@example.net\n\nHello\n", "-t", "-i", "-v", "-f", "ada@example.org", "-N", "success,failure", "-R", "full", "-V", "x 1")
	if r.status != 0 || r.err != "" || !strings.HasPrefix(r.out, "left in "+a.dir) {
		t.Fatalf("got %+v", r)
	}
	a.empty()
	a.pickUp()
	m, text := a.one()
	to := m.Envelope.To[0]
	if m.Envelope.From.String() != "ada@example.org" || to.Notify != message.NotifySuccess|message.NotifyFailure || m.Envelope.Ret != "FULL" ||
		m.Envelope.ID != "x 1" || to.Address.String() != "bob@example.net" {
		t.Errorf("got %+v", m.Envelope)
	}
	if want := "To: bob@example.net\nFrom: Ada Lovelace <ada@example.org>\n\nHello\n"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

// pickUp lets the appliance look into the maildrop until it is empty.
func (a *appliance) pickUp() {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	last := submits(func(ctx context.Context, s queue.Submission) (queue.ID, error) {
		defer cancel()
		return a.queue.Submit(context.WithoutCancel(ctx), s)
	})
	if err := maildrop.New(last, a.drop, discard).Run(ctx); err != nil {
		a.t.Error(err)
	}
}

// submits is a function in the place of the queue.
type submits func(ctx context.Context, s queue.Submission) (queue.ID, error)

func (f submits) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) { return f(ctx, s) }

// A paused intake, too, is what the maildrop is for; a full queue is not, for there it would be as
// full.
func TestNotNow(t *testing.T) {
	a := newAppliance(t, queue.Config{MaxMessages: 1}).start()
	if err := a.queue.Pause(queue.Intake, "maintenance", "ada"); err != nil {
		t.Fatal(err)
	}
	if r := a.sendmail("Hello\n", "-v", "bob@example.net"); r.status != 0 || !strings.HasPrefix(r.out, "left in ") {
		t.Errorf("paused: got %+v", r)
	}
	if err := a.queue.Resume(queue.Intake); err != nil {
		t.Fatal(err)
	}
	a.pickUp()
	r := a.sendmail("Hello\n", "bob@example.net")
	if r.status != world.ExitTempFail || !strings.Contains(r.err, "full") {
		t.Errorf("full: got %+v", r)
	}
}

// A name without a domain has its alias, else DEFAULT_TO, else it is refused and the settings are
// named, by -bs as well. In the maildrop, where nobody could say so, it becomes an address at our
// domain.
func TestBareNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(file, []byte("root: carol@example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	owner := message.Address{Local: "owner", Domain: "example.org"}
	for _, c := range []struct {
		catch      message.Address
		name, want string
	}{
		{owner, "root", "carol@example.net"}, {owner, "postmaster", "owner@example.org"}, {owner, "www-data", "owner@example.org"},
		{message.Address{}, "postmaster", "postmaster@example.org"}, {message.Address{}, "www-data", ""},
	} {
		cfg := queue.Config{Rewriter: aliases.NewLive(aliases.Config{Aliases: []string{file}, Domain: "example.org", Catch: c.catch}, discard)}
		a := newAppliance(t, cfg)
		if c.want == "" {
			if r := a.sendmail("x\n", c.name); r.status != 0 {
				t.Errorf("down: got %+v", r)
			}
			a.pickUp()
			if m, _ := a.one(); recipients(m.Envelope) != c.name+"@example.org" {
				t.Errorf("picked up: got %s", recipients(m.Envelope))
			}
		}
		a.start()
		r := a.sendmail("To: "+c.name+"\n\nHello\n", "-t")
		if c.want == "" {
			if r.status != world.ExitNoUser || !strings.Contains(r.err, "ALIASES_FILE") || !strings.Contains(r.err, "DEFAULT_TO") {
				t.Errorf("%s: got %+v", c.name, r)
			}
			r = a.sendmail("HELO x\r\nMAIL FROM:<ada>\r\nRCPT TO:<"+c.name+">\r\nDATA\r\n.\r\nQUIT\r\n", "-bs")
			if !strings.Contains(r.out, "550 5.1.1 ") {
				t.Errorf("%s: got %+v", c.name, r)
			}
			continue
		}
		if m, _ := a.one(); r.status != 0 || recipients(m.Envelope) != c.want {
			t.Errorf("%s: got %+v, %s, want %s", c.name, r, recipients(m.Envelope), c.want)
		}
	}
}

// An appliance that dies when the mail is on its disk and the answer is not given has the mail
// once, though it comes a second time.
func TestLostAnswer(t *testing.T) {
	a := newAppliance(t, queue.Config{})
	ln, err := net.Listen("unix", maildrop.Socket(a.dir))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		_, query, _ := strings.Cut(string(buf[:n]), "id=")
		id, _, _ := strings.Cut(query, "&")
		id, _, _ = strings.Cut(id, " ")
		bob, _ := message.ParseAddress("bob@example.net")
		_, err = a.queue.Submit(context.Background(), queue.Submission{ID: queue.ID(id),
			Envelope: message.Envelope{To: []message.Recipient{{Address: bob}}}, Body: strings.NewReader("Hello\r\n")})
		if err != nil {
			t.Error(err)
		}
	}()
	r := a.sendmail("Hello\n", "-v", "bob@example.net")
	ln.Close()
	<-done
	if r.status != 0 || !strings.HasPrefix(r.out, "left in ") {
		t.Fatalf("got %+v", r)
	}
	a.pickUp()
	a.one()
	if entries, err := os.ReadDir(filepath.Join(a.dir, "maildrop")); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}

// Each way to fail has its status and one sentence.
func TestFailures(t *testing.T) {
	a := newAppliance(t, queue.Config{}).start()
	for _, c := range []struct {
		args, stdin string
		status      int
		says        string
	}{
		{"", "x\n", 64, "no recipient"},
		{"-t", "Subject: x\n\n", 64, "no recipient in To, Cc or Bcc"},
		{"-Z", "", 64, "no option -Z"},
		{"-f", "", 64, "-f needs something"},
		{"-B 9BIT x", "", 64, "8BITMIME"},
		{"-N never,delay x", "", 64, "never is wanted"},
		{"-N often x", "", 64, "never is wanted"},
		{"-R some x", "", 64, "full or hdrs"},
		{"-V \x01 x", "", 64, "printable"},
		{"-bd", "", 64, "systemctl start dinkymail"},
		{"-bx", "", 64, "no such mode"},
		{"-qx", "", 64, "-qx"},
		{"-t -bp", "", 64, "-t is for sending"},
		{"-bp bob", "", 64, "no recipient is wanted"},
		{"-bv bob", "", 69, "dinkymail doctor"},
		{"-f a,b bob@example.net", "x\n", 64, "one sender"},
		{"-f a@ bob@example.net", "x\n", 67, "no valid address"},
		{"bob@", "x\n", 67, "no valid address"},
		{"-t", "To: bob@\n\n", 67, "the field To: "},
		{"-- -t", "x\n", 0, ""}, // an address, odd as it is
		{"eve@example.net -t", "x\n", 0, ""},
		{"-i bob@example.net", strings.Repeat("x", 5<<20), 69, "MESSAGE_MAX_BYTES"},
		{"-i bob@example.net", strings.Repeat("Received: x\n", 60) + "\n", 65, "circles"},
		{strings.Repeat("bob@example.net ", 2) + many(60), "x\n", 69, "MESSAGE_MAX_RECIPIENTS"},
	} {
		r := a.sendmail(c.stdin, strings.Fields(c.args)...)
		if r.status != c.status || !strings.Contains(r.err, c.says) || strings.Count(r.err, "\n") != min(1, c.status) || r.out != "" {
			t.Errorf("sendmail %.60s: got %+v, want status %d", c.args, r, c.status)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("bob" + strings.Repeat("b", i+1) + "@example.net ")
	}
	return b.String()
}

// The other modes are other programs' work, and their status is ours.
func TestOtherModes(t *testing.T) {
	for args, want := range map[string]string{
		"-bp": "mailq", "-bi": "newaliases", "-I": "newaliases", "-q": "postqueue -f", "-qIabc": "postqueue -i abc",
		"-qRexample.net": "postqueue -s example.net", "-q30m": "", "-bp -v": "mailq", "-bh": "",
	} {
		got := ""
		r := run(t, world.World{Play: func(_ context.Context, name string, args ...string) int {
			got = strings.Join(append([]string{name}, args...), " ")
			return 69
		}}, "", strings.Fields(args)...)
		if got != want || r.status != 69 && want != "" || r.status != 0 && want == "" || r.err != "" {
			t.Errorf("sendmail %s: got %q, %+v", args, got, r)
		}
	}
	if r := run(t, world.World{}, "", "--help"); r.status != 0 || !strings.Contains(r.out, "Exit status") {
		t.Errorf("got %+v", r)
	}
}

// Where there is neither appliance nor maildrop a program is told to try again; with -oem, as cron
// has it, the mail is kept.
func TestDeadLetter(t *testing.T) {
	home := t.TempDir()
	w := world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=" + filepath.Join(home, "none"), "HOME=" + home}}
	if r := run(t, w, "x\n", "bob@example.net"); r.status != world.ExitTempFail || !strings.Contains(r.err, "DINKYMAIL_SUBMIT_DIR") {
		t.Errorf("got %+v", r)
	}
	for range 2 {
		r := run(t, w, "Subject: x\n\nFrom here on\n>From there\nHello", "-oem", "-i", "bob@example.net")
		if r.status != world.ExitTempFail || !strings.HasSuffix(r.err, "the mail is in "+home+"/dead.letter\n") {
			t.Errorf("got %+v", r)
		}
	}
	text, err := os.ReadFile(filepath.Join(home, "dead.letter"))
	one := "\nSubject: x\nFrom: Ada Lovelace <ada>\n\n>From here on\n>>From there\nHello\n\n"
	if n := strings.Count(string(text), one); err != nil || n != 2 || !strings.HasPrefix(string(text), "From ada ") {
		t.Errorf("got %q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(home, "dead.letter")); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

// Without a user in the system, as in some containers, the sender must be given.
func TestUserWithoutName(t *testing.T) {
	a := newAppliance(t, queue.Config{}).start()
	w := world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=" + a.dir}, User: &user.User{Username: "CORP\\ada lovelace"}, In: strings.NewReader("x\n")}
	var errs strings.Builder
	w.Err = &errs
	if status := Run(context.Background(), "sendmail", []string{"bob@example.net"}, w); status != world.ExitOS || !strings.Contains(errs.String(), "-f") {
		t.Errorf("got %d, %s", status, errs.String())
	}
}

// Of the places where an appliance may be, one named in the environment is the only one.
func TestPlaces(t *testing.T) {
	w := world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=/a", "DINKYMAIL_SUBMIT_DIR=/b"}}
	if got := (program{w}).places(); !slices.Equal(got, []place{{dir: "/b"}}) {
		t.Errorf("got %v", got)
	}
	w = world.World{}
	if got := (program{w}).places(); !slices.Contains(got, place{"/var/lib/dinkymail/submit", "/var/lib/dinkymail/control.sock"}) {
		t.Errorf("got %v", got)
	}
}

// FuzzOptions: no command line does harm, and what is understood is understood the same way again.
func FuzzOptions(f *testing.F) {
	for _, seed := range []string{"-t -i", "-fada bob", "-f ada -- -x", "-oi -oem -q", "-bs", "-N never -R full -V x bob"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		o, err := parse(args)
		if x := (*world.Exit)(nil); err != nil && !errors.As(err, &x) {
			t.Fatal(err)
		}
		if err == nil && len(o.args) > len(args) {
			t.Fatalf("%q has recipients %q", line, o.args)
		}
	})
}
