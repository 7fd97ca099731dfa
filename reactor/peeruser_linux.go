package reactor

import (
	"net"

	"golang.org/x/sys/unix"

	"gearloop/internal/acl"
)

// userOf returns the number of the user at the other end of a unix socket, or acl.NoUser if the system does
// not say.
func userOf(socket *net.UnixConn) int {
	raw, err := socket.SyscallConn()
	if err != nil {
		return acl.NoUser
	}
	user := acl.NoUser
	raw.Control(func(fd uintptr) {
		if u, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			user = int(u.Uid)
		}
	})
	return user
}
