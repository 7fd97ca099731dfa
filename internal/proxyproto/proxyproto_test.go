package proxyproto

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gearloop/test/await"
)

// v2 returns a header of version 2.
func v2(command, family byte, rest string) string {
	return beginV2 + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest
}

const (
	addresses4 = "\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x12\x7a" // 192.0.2.1:12345 to 10.0.0.1:4730
	mapped     = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"
)

var (
	addresses6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 15) + "\x01" + "\x30\x39\x12\x7a"
	longest    = strings.Repeat("x", Max-sizeV2-12)
)

func TestHeaders(t *testing.T) {
	for _, c := range []struct{ header, source string }{
		{"PROXY TCP4 192.0.2.1 10.0.0.1 12345 4730\r\n", "192.0.2.1:12345"},
		{"PROXY TCP4 192.0.2.1 10.0.0.1 0 65535\r\n", "192.0.2.1:0"},
		{"PROXY TCP6 2001:db8::1 ::1 12345 4730\r\n", "[2001:db8::1]:12345"},
		{"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1"},
		{"PROXY UNKNOWN\r\n", ""},
		{"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", ""},
		{v2(0x21, tcp4, addresses4), "192.0.2.1:12345"},
		{v2(0x21, tcp4, addresses4+"\x03\x00\x04abcd"), "192.0.2.1:12345"},
		{v2(0x21, tcp4, addresses4+longest), "192.0.2.1:12345"},
		{v2(0x21, tcp6, addresses6), "[2001:db8::1]:12345"},
		{v2(0x21, tcp6, mapped+mapped+"\x00\x01\x00\x02"), "192.0.2.1:1"},
		{v2(0x21, unixStream, strings.Repeat("/", 216)), ""},
		{v2(0x21, unspecified, ""), ""},
		{v2(0x20, unspecified, ""), ""},
		{v2(0x20, tcp4, addresses4), ""},
		{v2(0x20, 0xff, "anything"), ""},
	} {
		for n := range len(c.header) {
			if source, size, err := parse([]byte(c.header[:n])); source.IsValid() || size != 0 || err != nil {
				t.Fatalf("%d bytes of %q: %v, %d, %v", n, c.header, source, size, err)
			}
		}
		for _, behind := range []string{"", "\x00REQ", "PROXY "} {
			source, size, err := parse([]byte(c.header + behind))
			shown := ""
			if source.IsValid() {
				shown = source.String()
			}
			if shown != c.source || size != len(c.header) || err != nil {
				t.Errorf("%q: %q, %d bytes, %v; want %q, %d bytes", c.header, shown, size, err, c.source, len(c.header))
			}
		}
		if !Is([]byte(c.header)) {
			t.Errorf("%q is not seen as a header", c.header)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	for _, c := range []struct {
		header string
		at     int // length from which on the beginning is rejected; 0: the whole length
	}{
		{"status\n", 1}, {"\x00REQ\x00\x00\x00\x10", 1}, {"PROXy ", 5}, {"\r\n\r\n\x00\r\nQUIT\r", 12}, {"\x16\x03\x01", 1},
		{"PROXY\tTCP4", 6}, {"PROXY TCP4 192.0.2.1 10.0.0.1 12345 4730\n" + strings.Repeat("x", 100), maxV1},
		{"PROXY UNKNOWN" + strings.Repeat("x", 100), maxV1},
		{"PROXY \r\n", 0}, {"PROXY TCP4\r\n", 0}, {"PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n", 0}, {"PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n", 0},
		{"PROXY TCP4 192.0.2.1  10.0.0.1 1 2\r\n", 0}, {"PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n", 0}, {"PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n", 0},
		{"PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n", 0}, {"PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n", 0}, {"PROXY TCP4 192.0.2.1 10.0.0.1 -1 2\r\n", 0},
		{"PROXY TCP4 192.0.2.1 10.0.0.1 1 +2\r\n", 0}, {"PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n", 0}, {"PROXY TCP4 ::1 ::1 1 2\r\n", 0},
		{"PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n", 0}, {"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", 0}, {"PROXY TCP4 192.0.2.1 x 1 2\r\n", 0},
		{v2(0x11, tcp4, addresses4), sizeV2}, {v2(0x22, tcp4, addresses4), sizeV2}, {v2(0x21, 0x12, addresses4), sizeV2},
		{v2(0x21, 0x41, addresses4), sizeV2}, {v2(0x21, tcp4, addresses4[1:]), sizeV2}, {v2(0x21, tcp6, addresses6[1:]), sizeV2},
		{v2(0x21, tcp4, addresses4+longest+"x"), sizeV2}, {v2(0x20, tcp4, strings.Repeat("x", 65535)), sizeV2},
	} {
		at := c.at
		if at == 0 {
			at = len(c.header)
		}
		for n := range len(c.header) + 1 {
			source, size, err := parse([]byte(c.header[:n]))
			if source.IsValid() || size != 0 || (err != nil) != (n >= at) {
				t.Errorf("%d bytes of %.60q: %v, %d, %v; want an error from %d on", n, c.header, source, size, err, at)
				break
			}
		}
	}
}

// A header is read from a socket in any pieces, and the bytes behind it stay in the socket.
func TestRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (ours, theirs net.Conn) {
		t.Helper()
		theirs, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ours, err = l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ours.SetDeadline(time.Now().Add(await.Limit))
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		return ours, theirs
	}
	for _, header := range []string{
		"PROXY TCP4 192.0.2.1 10.0.0.1 12345 4730\r\n", v2(0x21, tcp4, addresses4), v2(0x21, tcp4, addresses4+longest),
	} {
		for _, piece := range []int{1, 7, 1000, len(header), len(header) + 4} {
			if len(header)/piece > 100 {
				continue
			}
			ours, theirs := pair()
			go func() {
				all := header + "rest"
				for i := 0; i < len(all); i += piece {
					io.WriteString(theirs, all[i:min(i+piece, len(all))])
					if len(all) < 1000 {
						time.Sleep(time.Millisecond) // so that it arrives in pieces; nothing depends on it
					}
				}
			}()
			source, err := Read(ours)
			if err != nil || source.String() != "192.0.2.1:12345" {
				t.Errorf("%.20q in pieces of %d: %v, %v", header, piece, source, err)
			}
			rest := make([]byte, 4)
			if _, err := io.ReadFull(ours, rest); err != nil || string(rest) != "rest" {
				t.Errorf("%.20q in pieces of %d: behind it %q, %v", header, piece, rest, err)
			}
		}
	}
	ours, theirs := pair()
	io.WriteString(theirs, "PROXY TCP4")
	theirs.Close()
	if _, err := Read(ours); err != io.ErrUnexpectedEOF {
		t.Errorf("an end in the middle: %v", err)
	}
	ours, theirs = pair()
	theirs.Close()
	if _, err := Read(ours); err != io.EOF {
		t.Errorf("an end at once: %v", err)
	}
	ours, theirs = pair()
	io.WriteString(theirs, "status\n")
	if _, err := Read(ours); err != ErrNone {
		t.Errorf("no header: %v", err)
	}
	ours, _ = pair()
	ours.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := Read(ours); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
}

func TestNetworks(t *testing.T) {
	n := Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for address, want := range map[string]bool{"10.1.2.3": true, "11.1.2.3": false, "2001:db8::7": true, "::1": false} {
		if n.Has(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
	if n.Has(netip.Addr{}) || Networks(nil).Has(netip.MustParseAddr("10.1.2.3")) {
		t.Error("nothing is a proxy")
	}
}

// FuzzParse: a complete header is parsed in the same way whatever follows it, and every beginning of it is
// incomplete.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"PROXY TCP4 192.0.2.1 10.0.0.1 12345 4730\r\n", "PROXY UNKNOWN\r\n", v2(0x21, tcp4, addresses4),
		v2(0x21, tcp6, addresses6), v2(0x20, 0, ""), "status\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		source, n, err := parse(buf)
		switch {
		case n < 0 || n > len(buf) || n > Max || err != nil && (n != 0 || source.IsValid()) || n == 0 && source.IsValid():
			t.Fatalf("%q: %v, %d, %v", buf, source, n, err)
		case err == nil && n == 0 && len(buf) >= Max:
			t.Fatalf("%q: still not whole", buf)
		case n > 0:
			again, m, err := parse(append(buf[:n:n], "rest"...))
			if again != source || m != n || err != nil {
				t.Fatalf("%q with more behind it: %v, %d, %v", buf[:n], again, m, err)
			}
			for i := range n {
				if _, m, err := parse(buf[:i]); m != 0 || err != nil {
					t.Fatalf("%d bytes of %q: %d, %v", i, buf[:n], m, err)
				}
			}
		}
	})
}
