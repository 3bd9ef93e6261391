//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// An upstream whose name has two addresses gets the mail over the second one within seconds when
// the first accepts connections and is no use: it is silent, hangs up, says 421, or speaks
// something else where TLS is due.
func TestUpstreamWithTwoAddresses(t *testing.T) {
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN")
	for name, says := range map[string]string{
		"silent": "", "hangs-up": "bye", "421": "421 4.3.2 shutting down\r\n", "no-tls": "220 hi\r\n250-hi\r\n250 STARTTLS\r\n220 go\r\nno TLS\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			deaf(t, net.JoinHostPort("::1", rig.Port(up.starttls)), says)
			a := namedBy(t, "::1 localhost\n127.0.0.1 localhost\n", up.settings(up.starttls))
			m := submit(t, a, "two-addresses-"+name)
			began := time.Now()
			arrives(t, sink, m.subject)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// deaf listens, says its lines to whoever connects, and either closes the connection then or,
// having nothing to say, keeps it.
func deaf(t *testing.T, addr, says string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		missing(t, err.Error())
	}
	var conns sync.WaitGroup
	done := make(chan struct{})
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if says == "" {
					<-done
				}
				_, _ = c.Write([]byte(says))
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		ln.Close()
		conns.Wait()
	})
}

// namedBy starts an appliance that sees another /etc/hosts, in a mount namespace of its own.
func namedBy(t *testing.T, hosts string, settings map[string]string) *rig.Appliance {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "only root can mount in a namespace of its own")
	}
	unshare := tool(t, "unshare", "util-linux")
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, wrapper := filepath.Join(dir, "hosts"), filepath.Join(dir, "dinkymail")
	mount := unshare + " -m --propagation private sh -c 'mount --bind " + file + " /etc/hosts && "
	for path, text := range map[string]string{file: hosts, wrapper: fmt.Sprintf("#!/bin/sh\nexec %sexec \"$0\" \"$@\"' %s \"$@\"\n", mount, binary)} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(wrapper, "version").CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no mounts in a namespace: %v %s", err, out))
	}
	a, err := rig.NewAppliance(wrapper, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Kill)
	run(t, a)
	return a
}

// A Postfix that takes few recipients in one transaction, and answers 452 to the others, gets a
// mail to many in several, and each recipient once.
func TestUpstreamWithFewRecipients(t *testing.T) {
	sink := farEnd(t)
	addr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := postfix(t, "few", map[string]string{
		"relayhost": "[127.0.0.1]:" + rig.Port(sink.Addr()), "mynetworks": "127.0.0.0/8", "smtpd_recipient_limit": "20",
		"smtpd_recipient_overshoot_limit": "5",
	}, addr+" inet n - n - - smtpd")
	start(t, p, addr)
	a := appliance(t, rig.Relayed(addr))
	m := compose(t, "few-recipients")
	text, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for i := range 60 {
		to = append(to, fmt.Sprintf("r%d@example.net", i))
	}
	c, err := rig.Dial(a.Plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Send(m.from, to, text, rig.Transfer{Params: " BODY=8BITMIME"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); sink.Recipients() < len(to) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	seen := map[string]int{}
	for _, r := range sink.Find(m.subject) {
		for _, rcpt := range r.To {
			seen[rcpt]++
		}
	}
	if len(seen) != len(to) || sink.Recipients() != len(to) {
		t.Errorf("%d recipients in %d deliveries, want %d", len(seen), sink.Recipients(), len(to))
	}
}
