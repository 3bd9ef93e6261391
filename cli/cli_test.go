package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dinkymail/config"
)

// TestMain lets the scripts in testdata/script run this binary as dinkymail. Its appliance only says what it was started with.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dinkymail": func() {
		os.Exit(worldOf(os.Stdin, os.Stdout, os.Stderr, os.Environ()).Run(context.Background(), os.Args[1:]))
	}})
}

func worldOf(in io.Reader, out, err io.Writer, environ []string) Program {
	return Program{In: in, Out: out, Err: err, Environ: environ, Version: "1.2.3", Serve: func(_ context.Context,
		s *config.Settings,
		reload func() (*config.Settings, error)) error {
		again, err := reload()
		if err != nil || again.Domain != s.Domain {
			return fmt.Errorf("reload: %w", err)
		}
		if s.DataDir == "broken" {
			return &Exit{ExitUnavailable, errors.New("the queue is in use")}
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

// Every command's --help shows an example.
func TestEveryHelpHasAnExample(t *testing.T) {
	for _, verb := range []string{"", "serve", "init", "config", "config show", "config check", "user", "user hash",
		"send-test", "health", "version"} {
		var out, err strings.Builder
		code := worldOf(strings.NewReader(""), &out, &err, nil).Run(t.Context(), append(strings.Fields(verb), "--help"))
		first, _, _ := strings.Cut(verb, " ")
		text := out.String()
		if code != 0 || !strings.Contains(text, "Example") || !strings.Contains(text, "dinkymail "+first) || err.String() != "" {
			t.Errorf("%s --help: %d\n%s%s", verb, code, out.String(), err.String())
		}
	}
}
