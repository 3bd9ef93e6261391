package gate

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// However many strangers come, programs of a trusted network still find a place.
func TestStrangersLeaveRoom(t *testing.T) {
	a := New(10, 100)
	outside, inside := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("127.0.0.1")
	for range 9 {
		if err := a.Enter(Client(outside), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Enter(Client(outside), false); !errors.Is(err, ErrFull) {
		t.Errorf("a stranger gets the last place: %v", err)
	}
	if err := a.Enter(Client(inside), true); err != nil {
		t.Errorf("a trusted program gets no place: %v", err)
	}
	a.Leave(Client(outside), false)
	if err := a.Enter(Client(outside), false); err != nil {
		t.Errorf("a place that was left is not free again: %v", err)
	}
}

// Who is trusted may still turn out to be a stranger, as far as there is a place for one, and gives
// back the place that it has then.
func TestTrustedTurnsOutToBeAStranger(t *testing.T) {
	g, turned := New(3, 2), 0
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := g.Listen(ln, netip.Addr.IsLoopback, func() { turned++ })
	defer l.Close()
	for range 2 {
		if err := g.Enter(Client(netip.MustParseAddr("192.0.2.7")), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Enter(Client(netip.MustParseAddr("192.0.2.7")), false); !errors.Is(err, ErrClient) {
		t.Errorf("a third connection of one client: %v", err)
	}
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := c.(*Conn)
	for range 2 { // the second time changes nothing
		if !conn.Stranger() || turned != 0 {
			t.Errorf("no place for the third stranger, %d were turned away", turned)
		}
	}
	if !conn.Crowded() {
		t.Error("all places are taken and it is not crowded")
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	conn.Close()
	conn.Close()
	if g.total != 2 || g.strangers != 2 {
		t.Errorf("%d are in, %d of them strangers", g.total, g.strangers)
	}
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v", err)
	}
}

// One user cannot take all connections; root, who runs things, has no such limit.
func TestConnectionsPerUser(t *testing.T) {
	l := NewUsers(nil)
	for range perUser {
		if !l.enter(1000) {
			t.Fatal("refused within the limit")
		}
	}
	if l.enter(1000) {
		t.Error("one more is let in")
	}
	if !l.enter(1001) {
		t.Error("another user is not")
	}
	for range 2 * perUser {
		if !l.enter(0) {
			t.Fatal("root is refused")
		}
	}
	l.in.Leave(1000)
	if !l.enter(1000) {
		t.Error("a place that was left is not free again")
	}
}

// A connection that is no Unix socket belongs to nobody known.
func TestPeerOfTCP(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if uid := peerOf(a); uid != nobodyKnown {
		t.Errorf("uid = %d", uid)
	}
}
