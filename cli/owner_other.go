//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cli

func becomeOwner(string) error { return nil }

func ownerOf(string) string { return "its owner" }
