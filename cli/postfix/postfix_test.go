package postfix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/stock"
	"dinkymail/operate"
	"dinkymail/queue"
)

// The queue report has Postfix's columns, its JSON the names and blanks of postqueue.
func TestReport(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "report.txt", step{line: "postqueue -p"}, step{line: "mailq -Ac"}, step{line: "postqueue -j"})
		w, out, _ := lives(to(s), "")
		Run(t.Context(), "postqueue", []string{"-j"}, w)
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("this is no JSON: %s", line)
			}
		}
	})
}

// An empty queue, a queue with one message, and one whose lane is down are shown as Postfix shows
// them.
func TestReportOfOneLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stock.Open(t, queue.Config{})
		s.Down()
		transcript(t, s, "empty.txt", step{line: "mailq"}, step{line: "postqueue -j"}, step{line: "postsuper -d ALL"},
			step{line: "postqueue -f"})
		s.Put(stock.Deferred, stock.Letter("One", 40), "ada@example.org", "bob@grey.example", "carol@grey.example")
		s.Start()
		synctest.Wait()
		transcript(t, s, "down.txt", step{line: "mailq"}, step{line: "postqueue -j"})
	})
}

// Mail that was captured is in the hold queue, from where it never leaves.
func TestCaptured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stock.Open(t, queue.Config{Capture: true})
		s.Put(stock.Deferred, stock.Letter("One", 4), "ada@example.org", "bob@grey.example")
		transcript(t, s, "captured.txt", step{line: "mailq"}, step{line: "postsuper -H ALL"}, step{line: "postsuper -f ALL"},
			step{line: "postsuper -d ALL hold"}, step{line: "mailq"})
	})
}

// However many cannot be released, each is named with the reason, and none as released.
func TestManyFail(t *testing.T) {
	s := stock.Open(t, queue.Config{Capture: true})
	var ids strings.Builder
	const many = 150
	for i := range many {
		id := queue.ID(fmt.Sprintf("%016d", i))
		s.Put(id, stock.Letter("One", 4), "ada@example.org", "bob@grey.example")
		fmt.Fprintln(&ids, id)
	}
	w, out, errs := lives(to(s), ids.String())
	status := Run(t.Context(), "postsuper", []string{"-H", "-"}, w)
	said := out.String() + errs.String()
	if n := strings.Count(said, "never leaves the machine"); status != 0 || n != many || strings.Contains(said, "eleased") {
		t.Errorf("status %d, %d warnings:\n%s", status, n, said)
	}
}

// Mistakes on a command line are answered as Postfix does, with its exit statuses.
func TestUsage(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		var steps []step
		for _, line := range []string{
			"postqueue", "postqueue -x", "postqueue -i", "postqueue -p extra", "postqueue -p -f", "postqueue -c /etc/postfix -v -p -j",
			"postqueue -i ../x", "postqueue -s nonsense$", "postqueue -i 00000000000000zz",
			"postcat -z", "postcat", "postcat -q", "postcat -q nosuch", "postcat -q 0000000000000000",
			"postsuper -x", "postsuper -d", "postsuper", "postsuper -s", "postsuper -p", "postsuper -d ALL nosuch",
			"postsuper -d all", "postsuper -d ../x", "postsuper -d 0000000000000000", "postsuper -h " + string(stock.Held),
			"postsuper -H " + string(stock.Deferred), "postsuper -h ALL corrupt",
			"postmap", "postmap -z", "postmap -q", "postmap -q a -s table", "postmap -d a table", "postmap -s",
			"postconf -Z", "postconf -e relayhost=x", "postconf relayhost=x", "postconf -M",
			"postfix", "postfix -x", "postfix nosuch", "postfix start", "postfix abort", "postfix start-fg", "postfix set-permissions",
			"postfinger",
		} {
			steps = append(steps, step{line: line})
		}
		transcript(t, s, "usage.txt", steps...)
	})
}

// postcat shows a message in the order of a queue file of Postfix, found by its ID or by a path.
func TestPostcat(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "postcat.txt",
			step{line: "postcat -q " + string(stock.Held)},
			step{line: "postcat -qe " + string(stock.Deferred)},
			step{line: "postcat -qh " + string(stock.Bounce)},
			step{line: "postcat -qb " + string(stock.Bounce)},
			step{line: "postcat -bh -c /etc/postfix -q /var/spool/postfix/hold/" + string(stock.Held) + " " + string(stock.Later)},
			step{line: "postcat -qv 0000000000000000"})
	})
}

// postsuper does what it reports, and one action can be undone as one.
func TestPostsuper(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "postsuper.txt",
			step{line: "postsuper -h " + string(stock.Bounce)},
			step{line: "postsuper -h ALL deferred"},
			step{line: "postqueue -j"},
			step{line: "postsuper -H - -d " + string(stock.Later),
				in: string(stock.Bounce) + "!\n\n" + string(stock.Held) + " again\n" +
					string(stock.Bounce) + "\nxx-yy\n"},
			step{line: "postsuper -r " + string(stock.Deferred)},
			step{line: "postsuper -e " + string(stock.Evil) + " -e " + string(stock.Bounce)},
			step{line: "postsuper -f " + string(stock.Evil)},
			step{line: "postqueue -i " + string(stock.Held)},
			step{line: "postsuper -h ALL -d - incoming deferred", in: string(stock.Deferred) + "\n"},
			step{line: "mailq"},
			step{line: "postsuper -d ALL"},
			step{line: "mailq"})
	})
}

// The well-known way to delete what concerns an address goes through the trash.
func TestDeletedCanBeRestored(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		w, _, _ := lives(to(s), string(stock.Deferred)+"\n"+string(stock.Bounce)+"\n")
		if status := Run(t.Context(), "postsuper", []string{"-d", "-"}, w); status != 0 {
			t.Fatalf("postsuper: %d", status)
		}
		result, err := s.Client.Act(t.Context(), operate.Action{Verb: operate.Restore, Last: true})
		if err != nil || result.Done != 2 {
			t.Errorf("restored %d, %v; want 2", result.Done, err)
		}
	})
}

// A flush makes what waits due at once, but not what is on hold.
func TestFlush(t *testing.T) {
	for _, line := range []string{"postqueue -f", "postfix flush", "postqueue -i " + string(stock.Deferred),
		"postqueue -s GREY.example"} {
		mixed(t, func(t *testing.T, s *stock.Stock) {
			words := strings.Fields(line)
			w, out, errOut := lives(to(s), "")
			status := Run(t.Context(), words[0], words[1:], w)
			<-time.After(10 * time.Second) // the attempts have their pace; a retry would not be due yet
			d, err := s.Client.Show(t.Context(), stock.Deferred)
			if status != 0 || out.Len()+errOut.Len() > 0 || err != nil || d.Attempts != 2 {
				t.Errorf("%s: status %d, printed %s%s, %d attempts, %v; want 0, nothing, 2", line, status, out, errOut, d.Attempts, err)
			}
			if held, err := s.Client.Show(t.Context(), stock.Held); err != nil || held.Held == "" || held.Attempts != 0 {
				t.Errorf("%s: what was held is %+v, %v", line, held.Entry, err)
			}
		})
	}
}

// While nobody answers, each command says so as it would of Postfix.
func TestNobodyAnswers(t *testing.T) {
	var b strings.Builder
	for _, line := range []string{"mailq", "postqueue -f", "postqueue -i 0000000000000000", "postcat -q x",
		"postsuper -d ALL", "postfix status",
		"postfix check", "postfix flush"} {
		w, out, errOut := lives(func(context.Context) (operate.Operator, func(), error) {
			return nil, nil, errors.New("the appliance does not run")
		}, "")
		words := strings.Fields(line)
		status := Run(t.Context(), words[0], words[1:], w)
		fmt.Fprintf(&b, "$ %s\n%s%s[%d]\n", line, out, errOut, status)
	}
	golden(t, "down-system.txt", b.String())
}

// postfix says how the system is.
func TestPostfix(t *testing.T) {
	mixed(t, func(t *testing.T, s *stock.Stock) {
		transcript(t, s, "postfix.txt", step{line: "postfix status"}, step{line: "postfix -v check"}, step{line: "postfix reload"})
	})
	synctest.Test(t, func(t *testing.T) {
		s := stock.Open(t, queue.Config{})
		s.Down()
		s.Put(stock.Deferred, stock.Letter("One", 4), "ada@example.org", "bob@grey.example")
		s.Start()
		synctest.Wait()
		transcript(t, s, "postfix-down.txt", step{line: "postfix check"})
	})
}

// postconf answers under Postfix's names and ours, and never shows a secret.
func TestPostconf(t *testing.T) {
	transcript(t, nil, "postconf.txt",
		step{line: "postconf myhostname mydomain myorigin relayhost mynetworks message_size_limit queue_directory mail_version " +
			"maximal_queue_lifetime inet_interfaces smtp_tls_security_level alias_maps"},
		step{line: "postconf -h myhostname"}, step{line: "postconf nosuch relayhost"}, step{line: "postconf -n"},
		step{line: "postconf -d relayhost SMTP_RELAY_HOST message_size_limit"}, step{line: "postconf -m"},
		step{line: "postconf -H relayhost"},
		step{line: "postconf SMTP_RELAY_PASSWORD"})
	w, out, _ := lives(nil, "")
	status := Run(t.Context(), "postconf", nil, w)
	if status != 0 || !strings.Contains(out.String(), "\nmyhostname = mail.example.org\n") {
		t.Errorf("postconf: %d, %s", status, out)
	}
	if strings.Contains(out.String(), "very secret") {
		t.Error("postconf shows a password")
	}
}

// postmap reads tables as Postfix's do, and answers with nothing but an exit status where there is
// nothing.
func TestPostmap(t *testing.T) {
	var steps []step
	for _, args := range []string{
		"-q a@b.c texthash:testdata/table", "-q A@B.C testdata/table", "-q key hash:testdata/table", "-q zz lmdb:testdata/table",
		"-q lonely testdata/table", "-q zz testdata/virtual testdata/table", "-q key testdata/virtual testdata/table",
		"-q a1@x regexp:testdata/patterns", "-q nobody regexp:testdata/patterns", "-q CASE@x pcre:testdata/patterns",
		"-q case@x pcre:testdata/patterns", "-q x regexp:testdata/conditions",
		"-q root hash:testdata/aliases", "-q root", "-q info@example.org", "-q nobody", "-s testdata/table", "-s testdata/aliases",
		"-s regexp:testdata/patterns", "-q a nosuch:testdata/table", "-q a hash:testdata/nosuch", "testdata/table",
		"testdata/nosuch",
	} {
		steps = append(steps, step{line: "postmap " + args})
	}
	steps = append(steps, step{line: "postmap -q - testdata/table", in: "a@b.c\nzz\nkey"},
		step{line: "postmap -q - testdata/table", in: "zz\n"},
		step{line: "newaliases"})
	transcript(t, nil, "postmap.txt", steps...)
}

// No text makes postmap's reader of tables panic, or gives an entry without a key.
func FuzzTable(f *testing.F) {
	f.Add("a b\n# c\n\n d\ne: f\n\"g h\": i\n", false)
	f.Add("/a/ b\n!/c\\/d/i e\nif /x/\nendif\n", true)
	f.Fuzz(func(t *testing.T, text string, pattern bool) {
		entries := parseTable(text, pattern)
		for _, e := range entries {
			if !pattern && e.key == "" {
				t.Errorf("%q has an entry without a key", text)
			}
		}
		if pattern {
			if d, err := new(command).compile("fuzz", entries); err == nil {
				d("a")
			}
		}
	})
}

// No command line and no list of IDs makes a command about the queue panic, and what is wrong is
// said on standard error alone.
func FuzzCommandLine(f *testing.F) {
	f.Add("-d\x00-\x00-h\x00ALL\x00deferred", "0000000000000001!\nxx yy\n")
	f.Add("-qbeh\x00x", "")
	f.Add("-c\x00x\x00-i\x00a b", "")
	f.Add("\r", "\x1b[2J")
	f.Fuzz(func(t *testing.T, line, in string) {
		for _, name := range []string{"mailq", "postqueue", "postcat", "postsuper", "postfix"} {
			w, out, errOut := lives(func(context.Context) (operate.Operator, func(), error) { return nil, nil, errors.New("nobody") }, in)
			status := Run(t.Context(), name, strings.Split(line, "\x00"), w)
			if out.Len() > 0 || status > 1 && status != world.ExitUnavailable || strings.ContainsAny(errOut.String(), "\x00\x1b\r") {
				t.Errorf("%s %q: status %d, printed %q and %q", name, line, status, out, errOut)
			}
		}
	})
}

// Every command tells its use and an example when it is asked with --help alone, and needs no
// appliance for it.
func TestHelp(t *testing.T) {
	for name := range commands {
		w, out, errs := lives(nil, "")
		status := Run(t.Context(), name, []string{"--help"}, w)
		text := out.String()
		if status != 0 || errs.Len() > 0 || !strings.HasPrefix(text, "Usage: "+name) || !strings.Contains(text, "Example:\n\n    "+name) {
			t.Errorf("%s --help: exit status %d, %s%s", name, status, text, errs)
		}
	}
}
