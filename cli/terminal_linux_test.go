package cli

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}

// While a password is typed the terminal does not echo; afterwards it does again.
func TestNoEchoWhileAPasswordIsTyped(t *testing.T) {
	keyboard, screen := terminal(t)
	echo := func() bool {
		state, err := unix.IoctlGetTermios(int(screen.Fd()), getTermios)
		if err != nil {
			t.Error(err)
			return false
		}
		return state.Lflag&unix.ECHO != 0
	}
	if !isTerminal(screen) || !echo() {
		t.Fatal("no terminal with echo to begin with")
	}
	got, err := withoutEcho(screen, func() (string, error) {
		if echo() {
			t.Error("the terminal echoes")
		}
		fmt.Fprintln(keyboard, "correct horse")
		return readLine(screen)
	})
	if err != nil || got != "correct horse" {
		t.Errorf("read %q, %v", got, err)
	}
	if !echo() {
		t.Error("the echo stays off")
	}
}
