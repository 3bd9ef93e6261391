package gate

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf is the user who connected, as the kernel remembers it; nobodyKnown when that is no Unix
// socket.
func peerOf(c net.Conn) int {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return nobodyKnown
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nobodyKnown
	}
	uid := nobodyKnown
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return nobodyKnown
	}
	return uid
}
