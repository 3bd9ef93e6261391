package exim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/internal/stock"
	"dinkymail/operate"
	"dinkymail/queue"
)

// environ is what the settings in tests are made of.
var environ = []string{
	"MAIL_DOMAIN=example.org", "MAIL_HOSTNAME=mail.example.org", "ENVIRONMENT=production", "DATA_DIR=/var/lib/dinkymail",
	"SMTP_RELAY_HOST=smtp.example.net", "SMTP_LISTEN=127.0.0.1:587,[::1]:587",
}

// lives is where commands of tests live.
func lives(open func(context.Context) (operate.Operator, func(), error)) (w world.World, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return world.World{
		Out: out, Err: err, Now: func() time.Time { return time.Now().UTC() }, Version: "1.2.3", Open: open,
		Settings: func() (*config.Settings, error) { return config.Load(environ, os.DevNull) },
	}, out, err
}

func to(s *stock.Stock) func(context.Context) (operate.Operator, func(), error) {
	return func(context.Context) (operate.Operator, func(), error) { return s.Client, func() {}, nil }
}

// transcript runs command lines one after the other and compares what they print, standard error
// marked with "! ", and their exit statuses with a file.
func transcript(t *testing.T, s *stock.Stock, file string, lines ...string) {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		w, out, err := lives(to(s))
		words := strings.Fields(line)
		status := Run(t.Context(), words[0], words[1:], w)
		fmt.Fprintf(&b, "$ %s\n%s", line, out)
		for line := range strings.Lines(err.String()) {
			b.WriteString("! " + line)
		}
		fmt.Fprintf(&b, "[%d]\n\n", status)
		if s != nil {
			synctest.Wait() // what was set going comes to its end
		}
	}
	golden(t, file, notice.ReplaceAllString(b.String(), "03e6nxxxxxxxxxxx"))
}

// notice is the ID of a notice that the queue made itself, in the year 2000.
var notice = regexp.MustCompile(`\b03e6n[0-9a-v]{11}\b`)

// golden compares got with a file of testdata, which UPDATE=1 rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nUPDATE=1 go test accepts it", path, got, want)
	}
}

// mixed runs what it is given on a queue of its own, in a bubble.
func mixed(t *testing.T, test func(t *testing.T, s *stock.Stock)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, stock.Mixed(t)) })
}

// The queue is listed as Exim lists it, with D for what is settled and *** frozen *** for what an
// operator holds.
func TestList(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "list.txt", "exim -bp", "exim4 -C /etc/exim4/exim4.conf -bpru",
			"exim -bpa "+string(stock.Deferred)+" 1abcde-000000-aa",
			"exim -bpi", "exim -bpc", "exim -v -bpc")
	})
}

// Ages and sizes are rounded as Exim rounds them.
func TestAgeAndSize(t *testing.T) {
	for seconds, want := range map[int64]string{
		-5: "0m", 59: "0m", 60: "1m", 5459: "90m", 5460: "2h", 90000: "25h",
		259260: "72h", 261000: "3d", 300000: "3d", 864000: "10d",
	} {
		if got := age(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("age(%d s) = %q, want %q", seconds, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "", 333: "333", 1023: "1023", 1332: "1.3K", 9332: "9.1K", 10240: "10K", 100332: "98K", 1048332: "1024K", 1048908: "1.0M",
		10486091: "10M", 104857932: "100M",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

// A message's parts are shown in the form of Exim's spool.
func TestView(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "view.txt", "exim -Mvh "+string(stock.Deferred), "exim -Mvb "+string(stock.Bounce),
			"exim -Mvc "+string(stock.Later),
			"exim -Mvl "+string(stock.Deferred), "exim -Mvl "+string(stock.Held),
			"exim -Mvl "+string(stock.Evil), "exim -Mvh "+string(stock.Held),
			"exim -Mvh 1abcde-000000-aa", "exim -Mvl 0000000000000000", "exim -Mvb", "exim -Mvb nonsense",
			"exim -Mvb "+string(stock.Held)+" "+string(stock.Later))
	})
}

// The verbs do what they say in Exim's words.
func TestAct(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "act.txt",
			"exim -Mf "+string(stock.Bounce)+" "+string(stock.Held)+" 0000000000000000",
			"exim -Mt "+string(stock.Held), "exim -Mt "+string(stock.Held), "exim -Mt 1abcde-000000-aa",
			"exim -Mes "+string(stock.Deferred)+" new@example.org",
			"exim -Mar "+string(stock.Deferred)+" eve@grey.example mallory@grey.example",
			"exim -Mar "+string(stock.Deferred), "exim -Mar "+string(stock.Deferred)+" nonsense",
			"exim -Mar 0000000000000000 a@example.org", "exim -Mar",
			"exim -Mmd "+string(stock.Deferred)+" BOB@grey.example", "exim -Mmd "+string(stock.Deferred)+" nobody@grey.example",
			"exim -Mmd "+string(stock.Deferred)+" dave@good.example",
			"exim -Mmd "+string(stock.Evil)+" mallory@evil.example",
			"exim -Mmad "+string(stock.Later),
			"exim -bp",
			"exim -Mg "+string(stock.Deferred)+" 0000000000000000",
			"exim -M "+string(stock.Bounce)+" 0000000000000000", "exim -Mc "+string(stock.Held),
			"exim -Mrm "+string(stock.Bounce)+" 1abcde-000000-aa "+string(stock.Bounce), "exim -Mrm", "exim -Mrm nonsense",
			"exim -bp")
	})
}

// However many cannot be thawed, each is named with the reason.
func TestManyFail(t *testing.T) {
	s := stock.Open(t, queue.Config{Capture: true})
	args := []string{"-Mt"}
	const many = 150
	for i := range many {
		id := queue.ID(fmt.Sprintf("%016d", i))
		s.Put(id, stock.Letter("One", 4), "ada@example.org", "bob@grey.example")
		args = append(args, string(id))
	}
	w, out, _ := lives(to(s))
	status := Run(t.Context(), "exim", args, w)
	if n := strings.Count(out.String(), "never leaves the machine"); status == 0 || n != many || strings.Contains(out.String(), "is no longer frozen") {
		t.Errorf("status %d, %d told:\n%s", status, n, out)
	}
}

// What -Mrm removes comes back by one undo.
func TestRemovedCanBeRestored(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		w, _, _ := lives(to(s))
		if status := Run(t.Context(), "exim", []string{"-Mrm", string(stock.Deferred), string(stock.Bounce)}, w); status != 0 {
			t.Fatalf("exim -Mrm: %d", status)
		}
		result, err := s.Client.Act(t.Context(), operate.Action{Verb: operate.Restore, Last: true})
		if err != nil || result.Done != 2 {
			t.Errorf("restored %d, %v; want 2", result.Done, err)
		}
	})
}

// The queue runs as it is told to: -q leaves what is not due, -qf tries it, -qff what is frozen as
// well; -R and -S choose.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		line            string
		deferred, held  int // attempts afterwards
		status, outputs int
	}{
		{"exim -q", 1, 0, 0, 0}, {"exim -v -qi", 1, 0, 0, 0}, {"exim -qf", 2, 0, 0, 0}, {"exim -qff", 2, 1, 0, 0},
		{"exim -qqffl", 2, 1, 0, 0},
		{"exim -R grey", 2, 0, 0, 0}, {"exim -Rr ^carol@", 2, 0, 0, 0}, {"exim -R nobody", 1, 0, 0, 0},
		{"exim -S ada@", 2, 0, 0, 0},
		{"exim -Sff grace", 1, 1, 0, 0}, {"exim -M " + string(stock.Held), 1, 1, 0, 0},
		{"exim -Mc " + string(stock.Held), 1, 0, 0, 0},
		{"exim -R", 1, 0, 1, 1}, {"exim -q15m", 1, 0, 1, 1}, {"exim -qx", 1, 0, 1, 1},
	} {
		mixed(t, func(t *testing.T, s *stock.Stock) {
			w, out, errOut := lives(to(s))
			words := strings.Fields(c.line)
			status := Run(t.Context(), words[0], words[1:], w)
			<-time.After(10 * time.Second) // the attempts have their pace; a retry would not be due yet
			deferred, err := s.Client.Show(t.Context(), stock.Deferred)
			held, heldErr := s.Client.Show(t.Context(), stock.Held)
			if err = errors.Join(err, heldErr); err != nil {
				t.Fatal(err)
			}
			outputs := strings.Count(out.String()+errOut.String(), "\n")
			if status != c.status || deferred.Attempts != c.deferred || held.Attempts != c.held || outputs != c.outputs {
				t.Errorf("%s: status %d, %d and %d attempts, printed %s%s", c.line, status, deferred.Attempts, held.Attempts, out, errOut)
			}
		})
	}
}

// exiqgrep finds by its usual options, and shows in its formats.
func TestExiqgrep(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "exiqgrep.txt",
			"exiqgrep -i", "exiqgrep -iR", "exiqgrep -f ada@", "exiqgrep -bf ^<>$", "exiqgrep -r GREY -i",
			"exiqgrep -r dave -i", "exiqgrep -a -r dave -b",
			"exiqgrep -z", "exiqgrep -x -i", "exiqgrep -c", "exiqgrep -c -z",
			"exiqgrep -o 3600 -i", "exiqgrep -y 3600 -i", "exiqgrep -s K$ -i",
			"exiqgrep -C /etc/exim.conf -E /usr/sbin/exim -G x -ci -f @",
			"exiqgrep -f (", "exiqgrep -o soon", "exiqgrep -h", "exiqgrep --help", "exiqgrep -Q", "exiqgrep", "exiqgrep extra")
	})
}

// Exim's settings that have an answer here are answered, addresses are routed to the upstream.
func TestSettings(t *testing.T) {
	transcript(t, nil, "settings.txt", "exim -bP", "exim -bP primary_hostname nosuch", "exim -bP -n spool_directory", "exim -bV",
		"exim -bt bob@grey.example ada nonsense@", "exim -bv bob@grey.example", "exim -bv a@b@c")
	var b strings.Builder
	w, out, errOut := lives(nil)
	w.Settings = func() (*config.Settings, error) { return config.Load([]string{"ENVIRONMENT=production"}, os.DevNull) }
	status := Run(t.Context(), "exim", []string{"-bt", "bob@grey.example"}, w)
	fmt.Fprintf(&b, "%s%s", out, errOut)
	if status != 1 || !strings.Contains(out.String(), "bob@grey.example cannot be resolved at this time: ") {
		t.Errorf("exim -bt without an upstream: %d, %s", status, b.String())
	}
}

// Mistakes on a command line are answered as Exim does; what sends mail is handed to sendmail.
func TestUsage(t *testing.T) {
	transcript(t, nil, "usage.txt", "exim", "exim --help", "exim -zzz", "exim -Mx", "exim -bpx",
		"exim -C", "exim -bd -q30m", "exim -bi", "exim -Meb 1", "exim -t")
	w, _, _ := lives(nil)
	var sent []string
	w.Play = func(_ context.Context, name string, args ...string) int {
		sent = append([]string{name}, args...)
		return 75
	}
	args := []string{"-oi", "-f", "ada@example.org", "-t", "-v"}
	if status := Run(t.Context(), "exim4", args, w); status != 75 || !slices.Equal(sent, append([]string{"sendmail"}, args...)) {
		t.Errorf("exim -t: %d, handed on %q", status, sent)
	}
}

// While nobody answers, that is what is said, with status 1.
func TestNobodyAnswers(t *testing.T) {
	for _, line := range []string{"exim -bp", "exim -bpc", "exim -Mvh 0000000000000000", "exim -Mrm 0000000000000000",
		"exim -qf", "exim -R x",
		"exim -M 0000000000000000", "exim -Mar 0000000000000000 a@b.example", "exiqgrep -i"} {
		w, out, errOut := lives(func(context.Context) (operate.Operator, func(), error) {
			return nil, nil, errors.New("the appliance does not run")
		})
		words := strings.Fields(line)
		status := Run(t.Context(), words[0], words[1:], w)
		if status != 1 || out.Len() > 0 || errOut.String() != "exim: the appliance does not run\n" {
			t.Errorf("%s: %d, %s%s", line, status, out, errOut)
		}
	}
}

// Captured mail is frozen and counted.
func TestCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stock.Open(t, queue.Config{Capture: true})
		transcript(t, s, "empty.txt", "exim -bp", "exim -bpc", "exiqgrep -c")
		s.Put(stock.Deferred, stock.Letter("One", 4), "ada@example.org", "bob@grey.example")
		transcript(t, s, "captured.txt", "exim -bp", "exim -bpc", "exim -Mt "+string(stock.Deferred),
			"exim -M "+string(stock.Deferred))
	})
}

// No command line makes exim or exiqgrep panic, and none without a verb asks the appliance for
// anything.
func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{"-bp", "-qff", "-Mrm\x000000000000000000", "-Rrff\x00x",
		"-C\x00x\x00-bP\x00-n", "-f\x00(\x00-i", "-bt\x00a@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		w, _, _ := lives(func(context.Context) (operate.Operator, func(), error) { return nil, nil, errors.New("nobody") })
		args := strings.Split(line, "\x00")
		Run(t.Context(), "exim", args, w)
		Run(t.Context(), "exiqgrep", args, w)
	})
}
