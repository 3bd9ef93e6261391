package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/internal/listen"
)

// A port that cannot be opened stops the start with port, setting and remedy, and nothing stays
// open.
func TestTakenPortIsNamed(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	d, err := openDoors(t.Context(), &config.Settings{SMTPListen: []string{"127.0.0.1:0"},
		HTTPListen: []string{taken.Addr().String()}, SMTPListenGiven: true})
	var exit *cli.Exit
	if d != nil || !errors.As(err, &exit) || exit.Code != cli.ExitUnavailable {
		t.Fatalf("got %v, %v", d, err)
	}
	for _, want := range []string{"HTTP_LISTEN: port " + port + " of 127.0.0.1 is taken", "ss -ltnp",
		"set HTTP_LISTEN to another port"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

// In development mode other ports take over from defaults that cannot be opened, and it is said; a
// setting is never replaced.
func TestDevelopmentTakesOtherPorts(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := &config.Settings{Development: true, SMTPListen: []string{taken.Addr().String()}}
	d, err := openDoors(t.Context(), s)
	if err != nil {
		if !strings.Contains(err.Error(), "port 25") { // 2587 and 2525 may be in use on this machine
			t.Fatal(err)
		}
	} else {
		defer d.close()
		if got := d.smtp[0].Addr().String(); got != "127.0.0.1:2587" || len(d.notices) != 1 || !strings.Contains(d.notices[0],
			"127.0.0.1:2587 and 127.0.0.1:2525") {
			t.Errorf("listens on %s, says %v", got, d.notices)
		}
	}
	s.SMTPListenGiven = true
	if _, err := openDoors(t.Context(), s); err == nil {
		t.Error("a port that somebody asked for was replaced")
	}
}

// Whichever task ends first ends all, and every error is told.
func TestTogetherEndsTogether(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	err := together(t.Context(),
		func(context.Context) error { return first },
		func(ctx context.Context) error { <-ctx.Done(); return second },
		func(ctx context.Context) error { <-ctx.Done(); return nil })
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("got %v", err)
	}
	if err := together(t.Context(), func(context.Context) error { return nil },
		func(ctx context.Context) error { <-ctx.Done(); return nil }); err != nil {
		t.Errorf("got %v", err)
	}
}

// Why a listener could not be opened is seen from the exit status.
func TestShut(t *testing.T) {
	for err, want := range map[error]int{listen.ErrRights: cli.ExitNoPermission, listen.ErrPath: cli.ExitConfig, net.ErrClosed: cli.ExitUnavailable} {
		var exit *cli.Exit
		if !errors.As(shut(err), &exit) || exit.Code != want {
			t.Errorf("%v: exit %d, want %d", err, exit.Code, want)
		}
	}
}
