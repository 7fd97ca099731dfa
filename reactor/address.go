package reactor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrAddress is wrapped by the errors of Listen and CheckAddress for text that is not an address.
var ErrAddress = errors.New("not an address")

// addressError describes what is wrong with an address.
type addressError string

func (e addressError) Error() string        { return string(e) }
func (e addressError) Is(target error) bool { return target == ErrAddress }

func badAddress(format string, a ...any) error { return addressError(fmt.Sprintf(format, a...)) }

// CheckAddress checks the form of an address for Listen. It does not check that the host exists or that the
// address is free.
func CheckAddress(address string) error {
	inner, secure := strings.CutPrefix(address, tlsScheme)
	scheme, _, _ := strings.Cut(inner, ":")
	path, unix := strings.CutPrefix(inner, unixScheme)
	switch {
	case inner == passedScheme:
		return badAddress("%q has no name: it must be fd:NAME, the name of a socket that the service manager passes", address)
	case strings.HasPrefix(inner, passedScheme):
		return nil
	case unix && secure:
		return badAddress("%q is TLS on a unix socket, which is not possible: leave tls:// out", address)
	case unix:
		_, err := socketPath(path)
		return err
	case strings.EqualFold(scheme, "tls") || strings.EqualFold(scheme, "ssl"):
		return badAddress("%q is not an address: one for TLS begins with tls://", address)
	case strings.Contains(inner, "://"):
		return badAddress("%q is not an address: it must be HOST:PORT, with tls:// before it for TLS, or unix:PATH", address)
	}
	_, _, err := splitAddress(inner, 0)
	return err
}

// unixScheme begins addresses that are paths of unix sockets.
const unixScheme = "unix:"

// passedScheme begins addresses that name inherited sockets (Config.Passed).
const passedScheme = "fd:"

// maxSocketPath is the longest path of a unix socket, in bytes: the kernel's field for it ends with a NUL.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// socketPath makes the path of a unix socket absolute, because a daemon changes its directory.
func socketPath(path string) (string, error) {
	if path == "" {
		return "", badAddress("%q has no path: it must be unix:PATH", unixScheme)
	}
	if strings.Contains(path, "\x00") {
		return "", badAddress("%q has a NUL in its path", unixScheme+path)
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if len(whole) > maxSocketPath {
		return "", badAddress("%s%s is %d bytes long: the path of a unix socket must have at most %d", unixScheme,
			whole, len(whole), maxSocketPath)
	}
	return whole, nil
}

// classicAddress parses the forms of an IPv4 address that the C library accepts besides the usual one: 1 to 4
// numbers, decimal, octal (0...) or hexadecimal (0x...), the last of which fills the remaining bytes. 0 is
// 0.0.0.0 and 127.1 is 127.0.0.1.
func classicAddress(host string) (ip netip.Addr, ok bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return ip, false
	}
	var sum uint64
	for i, p := range parts {
		room := 8
		if i == len(parts)-1 {
			room = 8 * (4 - i)
		}
		if p == "" || p[0] < '0' || p[0] > '9' || strings.ContainsAny(p, "_bBoO") {
			return ip, false // ParseUint accepts forms that C does not
		}
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || n >= 1<<room {
			return ip, false
		}
		sum = sum<<room | n
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(sum)))), true
}

// splitAddress splits an address into host and port.
func splitAddress(address string, port int) (host, service string, err error) {
	service = strconv.Itoa(port)
	inner, bracketed := strings.CutPrefix(address, "[")
	switch colons := strings.Count(address, ":"); {
	case strings.HasPrefix(address, "[]"):
		return "", "", badAddress("%q has no address between its brackets: it must be [IPV6]:PORT", address)
	case bracketed && strings.HasSuffix(inner, "]"):
		return strings.TrimSuffix(inner, "]"), service, nil
	case !bracketed && colons != 1:
		return address, service, nil // a name, or an IPv6 address without a port
	}
	if host, service, err = net.SplitHostPort(address); err != nil {
		return "", "", badAddress("%q is not an address: it must be HOST, HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH", address)
	}
	if n, err := strconv.Atoi(service); err != nil || n < 0 || n > 65535 {
		return "", "", badAddress("the port of %q must be a number from 0 to 65535", address)
	}
	return host, service, nil
}
