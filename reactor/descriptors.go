package reactor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fitDescriptors returns how many descriptors are reserved for other uses than connections. If the process
// may have few, it reserves fewer, and lowers the number of connections on their way to a loop.
func (s *Server) fitDescriptors() (reserved int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	all, listeners := int(min(limit.Cur, 1<<24)), max(len(s.listeners), 1)
	const each = 3 // descriptors of a connection during its hand-over
	s.cfg.Accept = min(s.cfg.Accept, max(1, all/4/each/listeners))
	others := 2 * max(s.cfg.Loops, 1) // pacers
	if len(s.cfg.Proxies) > 0 {
		n := max(1, min(maxProxied, all/8))
		s.proxied.room = make(chan struct{}, n)
		others += n
	}
	return min(descriptorsKept, all/3) + s.cfg.Descriptors + each*s.cfg.Accept*len(s.listeners) + others, nil
}

// connectionLimit returns the limit of connections, and the additional ones for administrators and for
// waiting. asked = 0 means as many as the descriptors allow besides reserved.
func connectionLimit(asked, reserved int) (connections, admins, room int, err error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, 0, err
	}
	all := int(min(limit.Cur, 1<<24))
	most := max(all, asked)
	admins, room = max(1, min(adminSlots, most/64)), max(1, min(minRoom, most/64))
	reserved += admins
	possible := all - reserved - room
	switch {
	case possible < 1:
		return 0, 0, 0, fmt.Errorf("too few file descriptors: %d, of which %d are needed for other things (see ulimit -n)",
			limit.Cur, reserved+room)
	case asked == 0:
		room = max(room, min((all-reserved)/16, maxRoom))
		return all - reserved - room, admins, room, nil
	case asked > possible:
		return 0, 0, 0, fmt.Errorf("%d connections need %d file descriptors, but there are %d (see ulimit -n)",
			asked, asked+reserved+room, limit.Cur)
	}
	return asked, admins, min(all-reserved-asked, maxRoom), nil
}
