//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cli

import "os"

// isTerminal is false where echo cannot be turned off: the password is read from standard input as
// it comes.
func isTerminal(*os.File) bool { return false }

func withoutEcho(_ *os.File, read func() (string, error)) (string, error) { return read() }

func terminalWidth(*os.File) int { return 0 }
