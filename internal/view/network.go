package view

import (
	"maps"
	"os"
	"slices"
	"syscall"

	"gearloop/api"
	"gearloop/reactor"
)

// Network returns counts of connections, the remaining file descriptors, and when certificates expire.
func (s *Source) Network() api.Network {
	n := api.Network{
		Descriptors: s.Descriptors(), Accepted: map[string]api.Count{}, Closed: map[string]api.Count{}, Errors: map[string]api.Count{},
		Handshakes: map[string]api.Count{}, Certificates: []api.Certificate{},
	}
	if s.cfg.Certificates != nil {
		all := s.cfg.Certificates()
		for _, file := range slices.Sorted(maps.Keys(all)) {
			n.Certificates = append(n.Certificates, api.Certificate{File: file, Expires: all[file].UTC()})
		}
	}
	server := s.cfg.Server
	if server == nil {
		return n
	}
	for _, d := range server.Doors() {
		n.Accepted[d.Kind+":"+d.Address] = api.Count(d.Accepted)
	}
	for result, k := range server.Counters().HandshakesBy() {
		n.Handshakes[result] = api.Count(k)
	}
	reasons := reactor.CloseReasons()
	for _, l := range s.LoopStats() {
		n.Received += api.Count(l.BytesIn)
		n.Sent += api.Count(l.BytesOut)
		for code, k := range l.Errors {
			n.Errors[code] += api.Count(k)
		}
		for reason, k := range l.Closed {
			n.Closed[reasons[reason]] += api.Count(k)
		}
	}
	return n
}

// Descriptors returns how many file descriptors the process has open and may have, up to a second ago.
func (s *Source) Descriptors() api.Descriptors {
	d, _ := s.descriptors.get(s.cfg.Now(), descriptors)
	return d
}

func descriptors() (d api.Descriptors) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		d.Limit = int64(min(limit.Cur, 1<<62))
	}
	const all = "/proc/self/fd"
	if info, err := os.Stat(all); err == nil && info.Size() > 0 { // from Linux 6.2 on it is their number
		d.Used = info.Size()
		return d
	}
	f, err := os.Open(all)
	if err != nil {
		return d
	}
	defer f.Close()
	if names, err := f.Readdirnames(-1); err == nil {
		d.Used = int64(len(names)) - 1 // without the one that reads them
	}
	return d
}
