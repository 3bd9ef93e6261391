// Package listen opens listeners, on TCP and on Unix sockets, and says of each that cannot be
// opened which setting asked for it and what to do about it.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Why a listener cannot be opened, where that is not that something is in the way. The errors of
// TCP and Unix wrap them.
var (
	ErrRights = errors.New("the rights are missing")
	ErrPath   = errors.New("the path is too long")
)

// refused is an error in the words that people read, of a kind.
type refused struct {
	error
	kind error
}

func (r refused) Unwrap() []error { return []error{r.error, r.kind} }

// TCP listens on all addresses that a setting has, or on none.
func TCP(ctx context.Context, setting string, addrs []string) ([]net.Listener, error) {
	// Every wait of a door has an end of its own, so the kernel need not ask whether a client is
	// still there: that would cost each connection four system calls.
	config := net.ListenConfig{KeepAlive: -1}
	var open []net.Listener
	for _, addr := range addrs {
		ln, err := config.Listen(ctx, "tcp", addr)
		if err != nil {
			Close(open)
			return nil, explain(setting, addr, err)
		}
		open = append(open, ln)
	}
	return open, nil
}

// Close closes all listeners that are not closed yet.
func Close(all []net.Listener) {
	for _, ln := range all {
		_ = ln.Close() // one that was served is closed already
	}
}

// Addresses are where listeners listen.
func Addresses(listeners []net.Listener) []string {
	all := make([]string, len(listeners))
	for i, ln := range listeners {
		all[i] = ln.Addr().String()
	}
	return all
}

// explain says which setting asked for an address that cannot be listened on, and what to do about
// it.
func explain(setting, addr string, err error) error {
	host, port, _ := net.SplitHostPort(addr)
	every := host
	if host == "" {
		every = "every address"
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: port %s of %s is taken by another program; "+
			"stop that one (ss -ltnp 'sport = :%s' names it), or set %s to another port", setting, port, every, port, setting)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return refused{fmt.Errorf("%s: port %s of %s needs rights that this user does not have. "+
			"One of three helps: give the program the right with setcap cap_net_bind_service=+ep on its file, or "+
			"AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit; "+
			"let everyone have such ports with sysctl net.ipv4.ip_unprivileged_port_start=25; "+
			"or set %s to ports above 1023", setting, port, every, setting), ErrRights}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no address %s; correct %s", setting, host, setting)
	default:
		return fmt.Errorf("%s: listen on %s: %w", setting, addr, err)
	}
}
