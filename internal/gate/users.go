package gate

import (
	"net"
	"os/user"
	"strconv"
	"sync"
)

// perUser is how many connections to a Unix socket one user may have at a time; root has no limit.
const perUser = 100

// nobodyKnown is the uid of a peer of whom the system does not tell.
const nobodyKnown = -1

// Users finds out who connects to a Unix socket, and closes the connection of whoever has too many.
type Users struct {
	net.Listener
	in Counter[int]
}

// NewUsers counts who connects to ln.
func NewUsers(ln net.Listener) *Users { return &Users{Listener: ln} }

// Accept returns the next connection of somebody who may have one more.
func (l *Users) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid := peerOf(c)
		if l.enter(uid) {
			return &UserConn{Conn: c, uid: uid, leave: sync.OnceFunc(func() { l.in.Leave(uid) })}, nil
		}
		_ = c.Close()
	}
}

func (l *Users) enter(uid int) bool { return l.in.Enter(uid, most(uid)) }

func most(uid int) int {
	if uid == 0 {
		return 1 << 30
	}
	return perUser
}

// UserConn is a connection and whose it is.
type UserConn struct {
	net.Conn
	uid   int
	leave func()
}

// User is the name of the user at the other end, its number where it has none, and how a log names
// the connection: "unix:UID". Where the system does not tell who it is, name is empty.
func (c *UserConn) User() (name, address string) {
	if c.uid == nobodyKnown {
		return "", "unix"
	}
	return UserName(c.uid), "unix:" + strconv.Itoa(c.uid)
}

// Close closes the connection; only the first time counts.
func (c *UserConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}

// UserName is the name of a user of this machine; its number where it has none.
func UserName(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil && u.Username != "" {
		return u.Username
	}
	return number
}
