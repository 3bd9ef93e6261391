package rig

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Nowhere is an address at which nobody listens: the port of tcpmux (RFC 1078), which no system
// gives out by itself. A port that was free a moment ago may be given to the very program that is
// to find nobody there.
const Nowhere = "127.0.0.1:1"

// FreeAddr returns an address on 127.0.0.1 with a port that nobody listened on a moment ago.
func FreeAddr() (string, error) {
	addrs, err := FreeAddrs(1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}

// FreeAddrs returns n different addresses, as FreeAddr does.
func FreeAddrs(n int) ([]string, error) {
	addrs := make([]string, 0, n)
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer ln.Close() // held until all are found, so that none is found twice
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// Port is the port of a host:port.
func Port(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return port
}

// waitGreeting dials addr again and again until a server says 220, ended is closed, or ctx ends.
func waitGreeting(ctx context.Context, addr string, ended <-chan struct{}) error {
	for {
		if greets(addr) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s: the server ended before it listened", addr)
		case <-ctx.Done():
			return fmt.Errorf("%s: no greeting: %w", addr, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

func greets(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	var head [3]byte
	n, _ := conn.Read(head[:])
	if n != 3 || string(head[:]) != "220" {
		return false
	}
	_, _ = conn.Write([]byte("QUIT\r\n"))
	return true
}
