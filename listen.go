package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"dinkymail/cli"
	"dinkymail/config"
)

// doors are the open listeners.
type doors struct {
	smtp, smtps, http []net.Listener
	control           []net.Listener // the operator's socket
	submit            []net.Listener // that of the members of SUBMIT_GROUP
	notices           []string
}

type doorway struct {
	name      string
	listeners []net.Listener
}

func (d *doors) all() []doorway {
	return []doorway{{"control", d.control}, {"submit", d.submit}, {"smtp", d.smtp}, {"smtps", d.smtps}, {"http", d.http}}
}

// close closes what nobody serves any more.
func (d *doors) close() {
	for _, door := range d.all() {
		closeAll(door.listeners)
	}
}

// openDoors opens every listener on TCP, or none. Development mode takes other ports where the standard ones may not be bound and
// nobody asked for them.
func openDoors(ctx context.Context, s *config.Settings) (*doors, error) {
	d := &doors{}
	var err error
	d.smtp, err = openAll(ctx, "SMTP_LISTEN", s.SMTPListen)
	if err != nil && s.Development && !s.SMTPListenGiven {
		d.notices = append(d.notices, fmt.Sprintf("SMTP listens on %s, because %s could not be opened.",
			strings.Join(config.DevelopmentSMTPListen, " and "), strings.Join(s.SMTPListen, " and ")))
		d.smtp, err = openAll(ctx, "SMTP_LISTEN", config.DevelopmentSMTPListen)
	}
	if err == nil {
		d.smtps, err = openAll(ctx, "SMTPS_LISTEN", s.SMTPSListen)
	}
	if err == nil {
		d.http, err = openAll(ctx, "HTTP_LISTEN", s.HTTPListen)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func openAll(ctx context.Context, setting string, addrs []string) ([]net.Listener, error) {
	// Every wait of a door has an end of its own, so the kernel need not ask whether a client is still there: that would cost each
	// connection four system calls.
	config := net.ListenConfig{KeepAlive: -1}
	var open []net.Listener
	for _, addr := range addrs {
		ln, err := config.Listen(ctx, "tcp", addr)
		if err != nil {
			closeAll(open)
			return nil, explain(setting, addr, err)
		}
		open = append(open, ln)
	}
	return open, nil
}

// whereabouts are where listeners listen.
func whereabouts(listeners []net.Listener) []string {
	all := make([]string, len(listeners))
	for i, ln := range listeners {
		all[i] = ln.Addr().String()
	}
	return all
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close() // a door that has served is closed already
	}
}

// explain says which setting asked for an address that cannot be listened on, and what to do about it.
func explain(setting, addr string, err error) error {
	host, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("%s: port %s of %s is taken by another program; "+
			"stop that one (ss -ltnp 'sport = :%s' names it), or set %s to another port", setting, port, orAny(host), port,
			setting)}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &cli.Exit{Code: cli.ExitNoPermission, Err: fmt.Errorf("%s: port %s of %s needs rights that this user does not have. "+
			"One of three helps: give the program the right with setcap cap_net_bind_service=+ep on its file, or "+
			"AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit; "+
			"let everyone have such ports with sysctl net.ipv4.ip_unprivileged_port_start=25; "+
			"or set %s to ports above 1023", setting, port, orAny(host), setting)}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("%s: this machine has no address %s; correct %s", setting,
			host, setting)}
	default:
		return &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("%s: listen on %s: %w", setting, addr, err)}
	}
}

func orAny(host string) string {
	if host == "" {
		return "every address"
	}
	return host
}
