package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	netsmtp "net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/account"
	"dinkymail/cli"
	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/internal/smtptest"
)

// asProgram in the environment makes this process the program itself, for tests in which it becomes
// another user.
const asProgram = "DINKYMAIL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	_ = flag.Set("test.parallel", "8") // the tests that run side by side mostly wait
	goleak.VerifyTestMain(m)
}

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// appliance is a running Dinkymail: the whole program, in this process, with its log.
type appliance struct {
	t      *testing.T
	stop   context.CancelFunc
	status chan int
	log    *logbook
	ports  map[string]string // door, and door with a number behind it from the second on → address
}

// start runs the appliance with these settings on ports of its own and waits until it listens.
func start(t *testing.T, dir string, settings ...string) *appliance {
	t.Helper()
	return begin(t, dir, settings, func(ctx context.Context, args, environ []string, log io.Writer) int {
		return run(ctx, append([]string{"dinkymail"}, args...), strings.NewReader(""), io.Discard, log, environ)
	})
}

// startTuned does as start does, and gives the appliance settings that no operator can change.
func startTuned(t *testing.T, dir string, tune func(*config.Settings), settings ...string) *appliance {
	t.Helper()
	return begin(t, dir, settings, func(ctx context.Context, args, environ []string, log io.Writer) int {
		p := cli.Program{Name: "dinkymail", World: world.World{In: strings.NewReader(""), Out: io.Discard, Err: log, Environ: environ}}
		p.Serve = func(ctx context.Context, s *config.Settings, reload func() (*config.Settings, error)) error {
			tune(s)
			return serve(ctx, s, reload, log)
		}
		return p.Run(ctx, args)
	})
}

// begin starts the program and waits until it listens.
func begin(t *testing.T, dir string, settings []string, program func(ctx context.Context, args, environ []string, log io.Writer) int) *appliance {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	a := &appliance{t: t, stop: stop, status: make(chan int, 1), log: newLogbook(), ports: map[string]string{}}
	environ := append([]string{
		"DATA_DIR=" + filepath.Join(dir, "data"), "LOG_FORMAT=json", "SHUTDOWN_GRACE=5s",
		"SMTP_LISTEN=127.0.0.1:0", "HTTP_LISTEN=127.0.0.1:0",
	}, settings...)
	go func() { a.status <- program(ctx, []string{"--env-file", filepath.Join(dir, ".env")}, environ, a.log) }()
	t.Cleanup(a.end)
	for {
		line := a.log.next(t)
		if line["msg"] == "listening" {
			a.ports[line["door"].(string)] = line["addr"].(string)
		}
		if line["door"] == "http" {
			return a
		}
	}
}

// end stops the appliance, which must have had nothing to complain about at its end.
func (a *appliance) end() {
	if a.stop == nil {
		return
	}
	a.stop()
	a.stop = nil
	select {
	case code := <-a.status:
		if code != 0 {
			a.t.Errorf("exit status %d\n%s", code, a.log)
		}
	case <-time.After(soon):
		a.t.Fatalf("did not stop\n%s", a.log)
	}
}

// logbook keeps what is logged and hands out its lines one by one.
type logbook struct {
	mu    sync.Mutex
	all   bytes.Buffer
	lines chan map[string]any
}

func newLogbook() *logbook { return &logbook{lines: make(chan map[string]any, 10_000)} }

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.all.Write(p)
	l.mu.Unlock()
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		line = map[string]any{"msg": string(p)}
	}
	select {
	case l.lines <- line:
	default: // nobody reads on
	}
	return len(p), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (l *logbook) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case line := <-l.lines:
		return line
	case <-time.After(soon):
		t.Fatalf("nothing more is logged\n%s", l)
		return nil
	}
}

// wait reads the log on to the first line with this message.
func (l *logbook) wait(t *testing.T, msg string) map[string]any {
	t.Helper()
	for {
		if line := l.next(t); line["msg"] == msg {
			return line
		}
	}
}

// call asks the HTTP API and returns the answer's status and fields.
func (a *appliance) call(method, path, body string, header ...string) (int, map[string]any) {
	a.t.Helper()
	req, err := http.NewRequest(method, "http://"+a.ports["http"]+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	res, err := client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, answer
}

// send posts a mail to /send, which must accept it, and returns its id.
func (a *appliance) send(subject string) string {
	a.t.Helper()
	status, answer := a.call("POST", "/send", `{"to":"bob@example.net","subject":"`+subject+`","body":"Hello Bob."}`)
	if status != http.StatusOK {
		a.t.Fatalf("/send answered %d %v", status, answer)
	}
	return answer["id"].(string)
}

// upstream is a next hop that wants TLS and a login, and the settings that lead there.
func upstream(t *testing.T) (*smtptest.Server, []string) {
	t.Helper()
	ca := smtptest.NewCA(t)
	hop := smtptest.New(t, smtptest.Config{TLS: ca.Server("127.0.0.1"), Users: map[string]string{"ada@example.org": "p@ss $1 #word"}})
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, string(ca.PEM()))
	return hop, []string{
		"MAIL_DOMAIN=example.org", "DEFAULT_TO=ada@example.org",
		"SMTP_RELAY_HOST=127.0.0.1", fmt.Sprintf("SMTP_RELAY_PORT=%d", hop.Port()), "SMTP_RELAY_CA_FILE=" + file,
		"SMTP_RELAY_USERNAME=ada@example.org", "SMTP_RELAY_PASSWORD=p@ss $1 #word",
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mail(subject string) []byte {
	return []byte("From: ada@example.org\r\nTo: bob@example.net\r\nSubject: " + subject + "\r\n\r\n.Hello\r\n..Bob.\r\n")
}

// Mail from every door reaches the upstream over authenticated TLS, and the API says that it was
// delivered.
func TestEveryDoorReachesTheUpstream(t *testing.T) {
	hop, settings := upstream(t)
	own := smtptest.NewCA(t)
	dir := t.TempDir()
	cert, key, err := smtptest.PEMFiles(own.Certificate("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(cert))
	write(t, filepath.Join(dir, "key.pem"), string(key))
	hash, err := account.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, dir, append(settings, "SMTPS_LISTEN=127.0.0.1:0", "SMTP_USERS=grace:"+hash, "API_KEYS=shop:0123456789abcdef",
		"TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"), "TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))...)

	trust := &tls.Config{RootCAs: own.Pool(), ServerName: "127.0.0.1"}
	login := netsmtp.PlainAuth("", "grace", "correct horse", "127.0.0.1")
	submit(t, dial(t, a.ports["smtp"], nil), nil, nil, "plain")
	submit(t, dial(t, a.ports["smtp"], nil), trust, login, "starttls")
	submit(t, dial(t, a.ports["smtps"], trust), nil, login, "smtps")
	id := a.send("http")
	if status, answer := a.call("POST", "/api/v1/email/send", `{"to":"bob@example.net","subject":"key","text":"Hello"}`,
		"X-API-KEY", "0123456789abcdef"); status != http.StatusOK {
		t.Errorf("/api/v1/email/send answered %d %v", status, answer)
	}

	subjects := map[string]bool{}
	for _, m := range hop.Wait(5, soon) {
		if !m.TLS || m.User != "ada@example.org" {
			t.Errorf("a message came with TLS=%v as %q", m.TLS, m.User)
		}
		for line := range strings.Lines(string(m.Data)) {
			if s, ok := strings.CutPrefix(line, "Subject: "); ok {
				subjects[strings.TrimSpace(s)] = true
			}
		}
	}
	for _, want := range []string{"plain", "starttls", "smtps", "http", "key"} {
		if !subjects[want] {
			t.Errorf("the mail from the door %q did not arrive: %v", want, subjects)
		}
	}
	a.awaitStatus(id, "delivered")
}

// awaitStatus asks until the message has this status.
func (a *appliance) awaitStatus(id, want string) map[string]any {
	a.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); ; <-tick.C {
		_, answer := a.call("GET", "/api/v1/email/status/"+id, "")
		if answer["status"] == want {
			return answer
		}
		if time.Now().After(end) {
			a.t.Fatalf("%s is %v, want %s\n%s", id, answer, want, a.log)
		}
	}
}

// awaitReason asks until the message has this status and waits for the upstream with such a reason,
// and nobody holds it.
func (a *appliance) awaitReason(id, status, reason string) {
	a.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); ; <-tick.C {
		answer := a.awaitStatus(id, status)
		if why := fmt.Sprint(answer["reason"]); strings.HasPrefix(why, "waits for the upstream: ") && strings.Contains(why, reason) {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("%s is %v, want it to wait for the upstream: %s\n%s", id, answer, reason, a.log)
		}
	}
}

func dial(t *testing.T, addr string, cfg *tls.Config) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		c = tls.Client(c, cfg)
	}
	return c
}

// submit sends one mail over a fresh connection, with STARTTLS and a login where they are given.
func submit(t *testing.T, conn net.Conn, starttls *tls.Config, login netsmtp.Auth, subject string) {
	t.Helper()
	c, err := netsmtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	steps := []func() error{
		func() error { return c.Mail("ada@example.org") },
		func() error { return c.Rcpt("bob@example.net") },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			if _, err := w.Write(mail(subject)); err != nil {
				return err
			}
			return w.Close()
		},
		c.Quit,
	}
	if login != nil {
		steps = append([]func() error{func() error { return c.Auth(login) }}, steps...)
	}
	if starttls != nil {
		steps = append([]func() error{func() error { return c.StartTLS(starttls) }}, steps...)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
}

// What arrives is what was submitted, with a Received field, a Date and a Message-ID before it and
// the dots intact.
func TestMailPassesByteForByte(t *testing.T) {
	hop, settings := upstream(t)
	a := start(t, t.TempDir(), settings...)
	submit(t, dial(t, a.ports["smtp"], nil), nil, nil, "bytes")
	got := hop.Wait(1, soon)[0]
	if got.From != "ada@example.org" || len(got.To) != 1 || got.To[0] != "bob@example.net" {
		t.Errorf("envelope %s → %v", got.From, got.To)
	}
	if !bytes.HasPrefix(got.Data, []byte("Received: ")) {
		t.Errorf("begins with %.40q", got.Data)
	}
	if !bytes.HasSuffix(got.Data, mail("bytes")[bytes.Index(mail("bytes"), []byte("\r\n\r\n")):]) {
		t.Errorf("the body changed: %q", got.Data)
	}
}

// While nobody answers upstream, mail is accepted and waits with the reason; it flows once somebody
// does, also after a restart.
func TestOutageAndRestartLoseNothing(t *testing.T) {
	t.Parallel()
	hop, settings := upstream(t)
	dir := t.TempDir()
	hop.Stop()
	a := start(t, dir, settings...)
	id := a.send("patience")
	a.log.wait(t, "lane waits")
	a.awaitReason(id, "queued", "check SMTP_RELAY_HOST")
	if status, health := a.call("GET", "/health", ""); status != http.StatusOK || health["status"] != "degraded" ||
		!strings.Contains(fmt.Sprint(health["checks"]), "delivery:waiting") {
		t.Errorf("/health answered %d %v", status, health)
	}
	a.end()
	a = start(t, dir, settings...)
	a.send("second")
	hop.Start()
	if got := hop.Wait(2, soon); len(got) != 2 {
		t.Errorf("%d messages arrived, want 2", len(got))
	}
	a.awaitStatus(id, "delivered")
}

// Whatever becomes of the index between two starts, what waits is delivered, what was delivered is
// not delivered again, and its history is there.
func TestLostIndexLosesNothing(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"gone":   os.Remove,
		"zeroed": func(path string) error { return os.WriteFile(path, make([]byte, 64<<10), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hop, settings := upstream(t)
			dir := t.TempDir()
			a := start(t, dir, settings...)
			done := a.send("delivered")
			a.awaitStatus(done, "delivered")
			hop.Stop()
			waits := a.send("waiting")
			a.log.wait(t, "lane waits")
			a.end()
			if err := harm(filepath.Join(dir, "data", "queue.db")); err != nil {
				t.Fatal(err)
			}
			a = start(t, dir, settings...)
			a.awaitStatus(done, "delivered")
			hop.Start()
			a.awaitStatus(waits, "delivered")
			if got := hop.Messages(); len(got) != 2 {
				t.Errorf("%d messages arrived, want 2", len(got))
			}
		})
	}
}

// Without any settings mail is captured, shown parsed and raw, and stays here also when production
// opens the same directory.
func TestDevelopmentModeCaptures(t *testing.T) {
	hop, settings := upstream(t)
	dir := t.TempDir()
	a := start(t, dir, "ENVIRONMENT=development")
	id := a.send("look at me")
	status, list := a.call("GET", "/captured", "")
	if status != http.StatusOK || !strings.Contains(fmt.Sprint(list), "look at me") {
		t.Errorf("/captured answered %d %v", status, list)
	}
	status, one := a.call("GET", "/captured/"+id, "")
	if text := fmt.Sprint(one); status != http.StatusOK || !strings.Contains(text, "Hello Bob.") || !strings.Contains(text, "Received: ") {
		t.Errorf("/captured/%s answered %d %v", id, status, one)
	}
	if !strings.Contains(a.log.String(), "nothing leaves this machine") {
		t.Error("the log does not say that nothing leaves the machine")
	}
	a.end()
	a = start(t, dir, settings...)
	a.send("real")
	if got := hop.Wait(1, soon); len(got) != 1 || !bytes.Contains(got[0].Data, []byte("Subject: real")) {
		t.Errorf("arrived: %v", got)
	}
}

// Production without an upstream accepts and keeps mail, says so in /health, and delivers it once
// one is configured and SIGHUP was sent.
func TestWaitsUntilAnUpstreamIsConfigured(t *testing.T) {
	hop, settings := upstream(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "MAIL_DOMAIN=example.org\n")
	a := start(t, dir)
	id := a.send("wait for me")
	a.awaitReason(id, "queued", "no upstream configured")
	if _, health := a.call("GET", "/health", ""); health["status"] != "degraded" {
		t.Errorf("/health says %v", health)
	}
	var env strings.Builder
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		fmt.Fprintf(&env, "%s='%s'\n", name, value)
	}
	write(t, filepath.Join(dir, ".env"), env.String())
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	a.log.wait(t, "settings read again")
	hop.Wait(1, soon)
	a.awaitStatus(id, "delivered")
}

// A refused password stops the lane and fails nothing; once it is corrected, SIGHUP lets mail flow
// at once, though the next probe was not due for a minute.
func TestCorrectedPasswordFlowsAtOnce(t *testing.T) {
	hop, settings := upstream(t)
	dir := t.TempDir()
	env := func(password string) {
		var b strings.Builder
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if name == "SMTP_RELAY_PASSWORD" && password != "" {
				value = password
			}
			fmt.Fprintf(&b, "%s='%s'\n", name, value)
		}
		write(t, filepath.Join(dir, ".env"), b.String())
	}
	env("wrong")
	a := start(t, dir)
	id := a.send("patience")
	if line := a.log.wait(t, "lane waits"); line["kind"] != "credentials" {
		t.Errorf("waits as %v", line)
	}
	a.awaitReason(id, "queued", "then dinkymail reload")
	env("")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hop.Wait(1, soon)
	a.awaitStatus(id, "delivered")
}

// Held is what an operator holds, and nothing else: mail that waits for the upstream is queued
// wherever it is shown, release has nothing to do with it and says what it waits for, and it does
// with what is held meanwhile.
func TestHeldIsTheOperatorsWord(t *testing.T) {
	t.Parallel()
	hop, settings := upstream(t)
	hop.Stop()
	dir := t.TempDir()
	a := start(t, dir, settings...)
	mine, other := a.send("mine"), a.send("other")
	a.log.wait(t, "lane waits")
	a.awaitReason(mine, "queued", "check SMTP_RELAY_HOST")
	does := func(want int, text string, args ...string) {
		t.Helper()
		if status, out := dinkymail(dir, settings, args...); status != want || !strings.Contains(out, text) {
			t.Errorf("dinkymail %q: status %d, want %d with %q\n%s", args, status, want, text, out)
		}
	}
	does(69, "message is not held: it waits for the upstream: ", "release", mine)
	does(0, "nothing was done", "release", "--status", "held")
	does(75, "goes out once the reason above is gone", "send-test", "--wait", "--url", "http://"+a.ports["http"], "bob@example.net")
	does(0, "upstream: waiting (unreachable)", "stats")
	does(0, "tries it, and the lane, now", "show", mine)
	does(0, "Held "+mine, "hold", mine, "--reason", "ask Ada")
	does(0, "held by an operator: ask Ada", "queue", "--state", "held")
	if _, out := dinkymail(dir, settings, "mailq"); !strings.Contains(out, mine+"!") || !strings.Contains(out, other+" ") ||
		!strings.Contains(out, "check SMTP_RELAY_HOST") {
		t.Errorf("mailq:\n%s", out)
	}
	if answer := a.awaitStatus(mine, "held"); answer["reason"] != "ask Ada" {
		t.Errorf("held: %v", answer)
	}
	metrics := a.metrics()
	for _, line := range []string{`dinkymail_lane_waiting{lane="upstream"} 1`, `dinkymail_queue_messages{status="held"} 1`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics have no %s", line)
		}
	}
	does(0, "Released "+mine, "release", mine)
	a.awaitReason(mine, "queued", "check SMTP_RELAY_HOST")
	hop.Start()
	a.awaitStatus(mine, "delivered")
}

// A refused recipient fails alone; its sender is told by a bounce that goes out over the same
// upstream.
func TestRefusedRecipientIsReported(t *testing.T) {
	hop, settings := upstream(t)
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "gone@example.net", Answer: smtptest.Reply("550 5.1.1 no such user")})
	a := start(t, t.TempDir(), settings...)
	status, answer := a.call("POST", "/send",
		`{"from":"grace@example.org","to":["bob@example.net","gone@example.net"],"subject":"two","body":"Hello"}`)
	if status != http.StatusOK {
		t.Fatalf("/send answered %d %v", status, answer)
	}
	a.awaitStatus(answer["id"].(string), "partial")
	for _, m := range hop.Wait(2, soon) {
		if m.From != "" {
			continue
		}
		if len(m.To) != 1 || m.To[0] != "grace@example.org" || !bytes.Contains(m.Data, []byte("550 5.1.1 no such user")) {
			t.Errorf("the bounce went to %v:\n%s", m.To, m.Data)
		}
		return
	}
	t.Error("no bounce was sent")
}

// A taken port, a taken directory and bad settings each stop the start with the sentence that helps
// and its exit status.
func TestStartRefusals(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, "ENVIRONMENT=development")
	cases := []struct {
		name     string
		settings []string
		status   int
		want     []string
	}{
		{"port taken", []string{"SMTP_LISTEN=" + a.ports["smtp"]}, 69, []string{"SMTP_LISTEN", "taken"}},
		{"directory taken", []string{"DATA_DIR=" + filepath.Join(dir, "data")}, 69, []string{"DATA_DIR", fmt.Sprint(os.Getpid())}},
		{"mistakes", []string{"SMTP_RELAY_PORT=high", "QUEUE_LIFETIME=soon"}, 78, []string{"SMTP_RELAY_PORT", "high", "QUEUE_LIFETIME", "soon"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			environ := append([]string{"DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "MAIL_DOMAIN=example.org",
				"SMTP_LISTEN=127.0.0.1:0", "HTTP_LISTEN=127.0.0.1:0"}, c.settings...)
			var stderr bytes.Buffer
			status := run(t.Context(), []string{"dinkymail", "--env-file", filepath.Join(t.TempDir(), ".env")}, strings.NewReader(""), io.Discard, &stderr, environ)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not in\n%s", want, &stderr)
				}
			}
		})
	}
}
