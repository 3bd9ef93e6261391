package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"dinkymail/cli/world"
	"dinkymail/config"
)

// TestMain lets the scripts in testdata/script run this binary as dinkymail. Its appliance only
// says what it was started with.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dinkymail": func() {
		w := worldOf(os.Stdin, os.Stdout, os.Stderr, os.Environ())
		if os.Getenv("NIGHT") != "" {
			w.Now = func() time.Time { return night }
		}
		os.Exit(w.Run(context.Background(), os.Args[1:]))
	}})
}

func worldOf(in io.Reader, out, err io.Writer, environ []string) Program {
	return Program{World: world.World{In: in, Out: out, Err: err, Environ: environ, Version: "1.2.3"}, Offline: offline, Serve: func(_ context.Context,
		s *config.Settings,
		reload func() (*config.Settings, error)) error {
		again, err := reload()
		if err != nil || again.Domain != s.Domain {
			return fmt.Errorf("reload: %w", err)
		}
		if s.DataDir == "broken" {
			return world.Failf(world.ExitUnavailable, "the queue is in use")
		}
		_, err = fmt.Fprintln(out, "serving", s.Domain)
		return err
	}}
}

// What an operator types and sees, one conversation a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, "COLUMNS=100")
			return nil
		},
	})
}

// What an operator types at an appliance with a stocked queue in which nothing moves, and sees.
func TestOperate(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/operate",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			stop, err := standing(filepath.Join(env.WorkDir, "data"))
			if err != nil {
				return err
			}
			ended := sync.OnceValue(stop)
			env.Values["stop"] = ended
			env.Defer(func() {
				if err := ended(); err != nil {
					t.Error(err)
				}
			})
			env.Vars = append(env.Vars, "MAIL_DOMAIN=example.com", "NIGHT=1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"stop": func(ts *testscript.TestScript, _ bool, _ []string) { // stops the appliance
				ts.Check(ts.Value("stop").(func() error)())
			},
		},
	})
}

// Every command's --help shows an example.
func TestEveryHelpHasAnExample(t *testing.T) {
	verbs := []string{"", "config", "user"}
	for _, leaf := range grammar(t).Leaves(true) {
		if !leaf.Passthrough {
			verbs = append(verbs, leaf.Path())
		}
	}
	for _, verb := range verbs {
		var out, err strings.Builder
		code := worldOf(strings.NewReader(""), &out, &err, nil).Run(t.Context(), append(strings.Fields(verb), "--help"))
		first, _, _ := strings.Cut(verb, " ")
		text := out.String()
		if code != 0 || !strings.Contains(text, "Example") || !strings.Contains(text, "dinkymail "+first) || err.String() != "" {
			t.Errorf("%s --help: %d\n%s%s", verb, code, out.String(), err.String())
		}
	}
}

// grammar is the whole command line.
func grammar(t *testing.T) *kong.Node {
	t.Helper()
	k, err := Program{World: world.World{Out: io.Discard, Err: io.Discard}}.parser(t.Context(), &commands{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return k.Model.Node
}

// The manual page comes from the commands themselves, and roff has nothing to say against it.
func TestManual(t *testing.T) {
	var out, errs strings.Builder
	if code := worldOf(nil, &out, &errs, nil).Run(t.Context(), []string{"man"}); code != 0 {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	golden(t, "dinkymail.1", out.String())
	groff, err := exec.LookPath("groff")
	if err != nil {
		return // not every machine that tests has it
	}
	c := exec.CommandContext(t.Context(), groff, "-man", "-Tascii", "-ww", "-z")
	c.Stdin = strings.NewReader(out.String())
	if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("groff: %v\n%s", err, said)
	}
}

// dinkymail NAME --help tells how that program is called, with an example, and is no mistake.
func TestHelpOfGuises(t *testing.T) {
	for _, leaf := range grammar(t).Leaves(true) {
		if !leaf.Passthrough {
			continue
		}
		code, out, errs := console{t, t.TempDir()}.run("", leaf.Name, "--help")
		if code != 0 || errs != "" || !strings.Contains(out, leaf.Name) || !strings.Contains(out, "Example:\n") {
			t.Errorf("%s --help: exit status %d: %s%s", leaf.Name, code, out, errs)
		}
	}
}

// Under another program's name, and as a command of that name, the same is done, with that
// program's own output.
func TestGuises(t *testing.T) {
	c := stocked(t)
	for _, name := range []string{"mailq", "exim", "postconf"} {
		args := map[string][]string{"exim": {"-bpc"}, "postconf": {"mydomain"}}[name]
		_, direct, _ := c.run("", append([]string{name}, args...)...)
		var out, errs strings.Builder
		w := worldOf(strings.NewReader(""), &out, &errs, []string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + c.dir})
		w.Name, w.Now = name, func() time.Time { return night }
		code := w.Run(t.Context(), args)
		want := map[string]string{"mailq": "0cagh3h68onkmkg1!", "exim": "4\n", "postconf": "mydomain = example.com\n"}[name]
		if code != 0 || out.String() != direct || !strings.Contains(direct, want) {
			t.Errorf("%s: %d, %s\n%s\nas a command:\n%s", name, code, errs.String(), out.String(), direct)
		}
	}
	if code, _, errs := c.run("", "postqueue", "-x"); code == 0 || strings.Contains(errs, "dinkymail:") {
		t.Errorf("postqueue -x: %d %s", code, errs)
	}
}
