// Package client is a connection to any Gearman server, for the command line: packets and text commands
// over TCP, TLS or a unix socket. It is no library for programs: nothing is hidden, nothing is retried.
package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
)

// DefaultPort is Gearman's.
const DefaultPort = "4730"

// maxTextLine is the longest line of a text answer, in bytes.
const maxTextLine = 16 << 20

// Target says how to reach a server.
type Target struct {
	Network string // tcp or unix
	Address string // host:port, or a path
	TLS     *tls.Config
	// MaxPacket bounds the data of one response, in bytes; 0 is 2 GiB.
	MaxPacket int64
}

// TLSFiles are names of PEM files for targets that are written tls://…; "" is none.
type TLSFiles struct {
	CA          string // authorities that the server's certificate may come from; "" is the system's
	Certificate string // to show
	Key         string // of it
}

// ParseTarget reads host, host:port, [v6]:port, :port, tls://… or unix:PATH.
func ParseTarget(text string, files TLSFiles) (Target, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return Target{}, fmt.Errorf("server %q: no path after unix:", text)
		}
		return Target{Network: "unix", Address: path}, nil
	}
	address, secure := strings.CutPrefix(text, "tls://")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), DefaultPort
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = DefaultPort
	}
	_, err = strconv.ParseUint(port, 10, 16)
	if err != nil || strings.ContainsAny(host, "/ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return Target{}, fmt.Errorf("server %q is not host, host:port, [v6]:port, :port, tls://host:port or unix:PATH", text)
	}
	t := Target{Network: "tcp", Address: net.JoinHostPort(host, port)}
	if secure {
		if t.TLS, err = files.Config(host); err != nil {
			return Target{}, err
		}
	}
	return t, nil
}

// Config returns how to speak TLS to a host.
func (f TLSFiles) Config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", f.CA)
		}
	}
	if f.Certificate != "" {
		key := f.Key
		if key == "" {
			key = f.Certificate // both in one file
		}
		pair, err := tls.LoadX509KeyPair(f.Certificate, key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// String returns the target as ParseTarget reads it.
func (t Target) String() string {
	switch {
	case t.Network == "unix":
		return "unix:" + t.Address
	case t.TLS != nil:
		return "tls://" + t.Address
	}
	return t.Address
}

// Conn is a connection to a server. One goroutine may send while another receives.
type Conn struct {
	net.Conn
	target Target
	in     *bufio.Reader
	out    []byte
}

// Dial connects. The context bounds the time that it takes, not the life of the connection.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, t.Network, t.Address)
	if err == nil && t.TLS != nil {
		secure := tls.Client(c, t.TLS)
		if err = secure.HandshakeContext(ctx); err != nil {
			c.Close()
		}
		c = secure
	}
	if err != nil {
		return nil, fmt.Errorf("server %v: %w", t, Reason(err))
	}
	if t.MaxPacket == 0 {
		t.MaxPacket = 1 << 31
	}
	return &Conn{Conn: c, target: t, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

// Reason returns an error of a connection without what its message says already: the address and the system call.
func Reason(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	if sys := (*os.SyscallError)(nil); errors.As(err, &sys) {
		err = sys.Err
	}
	return err
}

// Target returns what Dial was given.
func (c *Conn) Target() Target { return c.target }

// Send sends a packet.
func (c *Conn) Send(t codec.Type, args ...string) error {
	c.out = codec.AppendRequest(c.out[:0], t, args...)
	_, err := c.Write(c.out)
	if cap(c.out) > 1<<20 {
		c.out = nil
	}
	return err
}

// Receive waits for a packet.
func (c *Conn) Receive() (codec.Response, error) { return codec.ReadResponse(c.in, c.target.MaxPacket) }

// Line sends a text command and returns the one line that answers it.
func (c *Conn) Line(command string) (string, error) {
	if _, err := fmt.Fprintf(c, "%s\n", command); err != nil {
		return "", err
	}
	return c.line()
}

// Table sends a text command and returns the lines of its answer, without the "." at the end. An answer that
// begins with ERR is an error.
func (c *Conn) Table(command string) (lines []string, err error) {
	if _, err := fmt.Fprintf(c, "%s\n", command); err != nil {
		return nil, err
	}
	for {
		line, err := c.line()
		switch {
		case err != nil:
			return nil, err
		case line == ".":
			return lines, nil
		case len(lines) == 0 && strings.HasPrefix(line, "ERR "):
			return nil, fmt.Errorf("the server answers %s with %q", command, line)
		}
		lines = append(lines, line)
	}
}

func (c *Conn) line() (string, error) {
	var long []byte
	for {
		part, err := c.in.ReadSlice('\n')
		if long == nil && err == nil {
			return strings.TrimRight(string(part), "\r\n"), nil
		}
		long = append(long, part...)
		switch {
		case err == nil:
			return strings.TrimRight(string(long), "\r\n"), nil
		case err != bufio.ErrBufferFull:
			return "", err
		case len(long) > maxTextLine:
			return "", fmt.Errorf("a line of the server's answer is longer than %d bytes", maxTextLine)
		}
	}
}

// Within bounds everything that is read and written from now on; 0 takes the bound away.
func (c *Conn) Within(d time.Duration) {
	if d == 0 {
		c.SetDeadline(time.Time{})
		return
	}
	c.SetDeadline(time.Now().Add(d))
}
