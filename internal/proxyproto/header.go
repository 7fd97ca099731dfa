package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// Max is the longest header that is read, in bytes. Extensions after the addresses take some hundred.
	Max = 4 << 10

	maxV1  = 107 // bytes, from the specification
	sizeV2 = 16  // bytes before the addresses

	beginV1 = "PROXY "
	beginV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Errors of Read.
var (
	ErrNone  = errors.New("no PROXY header")
	ErrLarge = fmt.Errorf("a PROXY header of more than %d bytes", Max)
)

// Is reports whether buf begins with a header.
func Is(buf []byte) bool {
	return bytes.HasPrefix(buf, []byte(beginV1)) || bytes.HasPrefix(buf, []byte(beginV2))
}

// parse parses the header at the beginning of buf and returns its length in bytes; 0: it is incomplete.
// source is the address of the proxy's client; it is invalid if the proxy connects for itself (LOCAL) or does
// not know it.
func parse(buf []byte) (source netip.AddrPort, n int, err error) {
	switch {
	case begins(buf, beginV2):
		return parseV2(buf)
	case begins(buf, beginV1):
		return parseV1(buf)
	}
	return source, 0, ErrNone
}

// begins reports whether buf is a beginning of something with this prefix.
func begins(buf []byte, with string) bool {
	n := min(len(buf), len(with))
	return string(buf[:n]) == with[:n]
}

// parseV1 parses "PROXY TCP4 SOURCE DESTINATION PORT PORT", or TCP6, or "PROXY UNKNOWN" followed by anything.
func parseV1(buf []byte) (source netip.AddrPort, n int, err error) {
	line, _, ok := bytes.Cut(buf[:min(len(buf), maxV1)], []byte("\r\n"))
	switch {
	case !ok && len(buf) >= maxV1:
		return source, 0, fmt.Errorf("a PROXY header without an end after %d bytes", maxV1)
	case !ok:
		return source, 0, nil
	}
	n = len(line) + len("\r\n")
	words := strings.Split(string(line), " ")
	if words[1] == "UNKNOWN" {
		return source, n, nil
	}
	bad := fmt.Errorf("a PROXY header that can't be understood: %q", line)
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return source, 0, bad
	}
	for i := range 2 { // the destination is checked as well, although nobody needs it
		ip, err := netip.ParseAddr(words[2+i])
		port, ok := parsePort(words[4+i])
		if err != nil || !ok || ip.Zone() != "" || ip.Is4() != (words[1] == "TCP4") {
			return netip.AddrPort{}, 0, bad
		}
		if i == 0 {
			source = netip.AddrPortFrom(ip.Unmap(), port)
		}
	}
	return source, n, nil
}

// parsePort parses a port: digits without sign and leading zeros.
func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == text
}

// The second byte after the signature: family and kind of the addresses.
const (
	unspecified = 0x00
	tcp4        = 0x11
	tcp6        = 0x21
	unixStream  = 0x31
)

// addressBytes is the length of the addresses in the header.
var addressBytes = map[byte]int{unspecified: 0, tcp4: 12, tcp6: 36, unixStream: 216}

// parseV2 parses the binary header and ignores extensions after the addresses.
func parseV2(buf []byte) (source netip.AddrPort, n int, err error) {
	if len(buf) < sizeV2 {
		return source, 0, nil
	}
	command, family := buf[12], buf[13]
	n = sizeV2 + int(binary.BigEndian.Uint16(buf[14:]))
	least, known := addressBytes[family]
	switch local := command == 0x20; {
	case !local && command != 0x21:
		return source, 0, fmt.Errorf("a PROXY header with version and command %#02x, which is neither 0x20 nor 0x21", command)
	case !local && !known:
		return source, 0, fmt.Errorf("a PROXY header with addresses of kind %#02x, which is neither TCP nor a unix socket", family)
	case !local && n < sizeV2+least:
		return source, 0, fmt.Errorf("a PROXY header of %d bytes, too few for its addresses", n)
	case n > Max:
		return source, 0, ErrLarge
	case len(buf) < n:
		return source, 0, nil
	case local:
		return source, n, nil
	}
	switch a := buf[sizeV2:n]; family {
	case tcp4:
		source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:]))
	case tcp6:
		source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)).Unmap(), binary.BigEndian.Uint16(a[32:]))
	}
	return source, n, nil
}
