// Package client connects command-line tools to any Gearman server: packets and text commands over TCP, TLS
// or a unix socket. It is not a client library: it hides nothing and retries nothing.
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

// DefaultPort is the port registered for Gearman.
const DefaultPort = "4730"

// maxTextLine is the longest line of a text command's answer, in bytes.
const maxTextLine = 16 << 20

// Target is the address of a server and how to reach it.
type Target struct {
	Network string // tcp or unix
	Address string // host:port, or a path
	TLS     *tls.Config
	// MaxPacket bounds the data of one response, in bytes; 0 means 2 GiB.
	MaxPacket int64
}

// TLSFiles are the names of PEM files for targets with tls://; "" = none.
type TLSFiles struct {
	CA          string // authorities for the server's certificate; "" = the system's
	Certificate string // the client's certificate
	Key         string // the client's key
}

// ParseTarget parses host, host:port, [v6]:port, :port, tls://… or unix:PATH.
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

// Config returns the TLS configuration for connections to a host.
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

// String returns the target in the form that ParseTarget accepts.
func (t Target) String() string {
	switch {
	case t.Network == "unix":
		return "unix:" + t.Address
	case t.TLS != nil:
		return "tls://" + t.Address
	}
	return t.Address
}

// Conn is a connection to a server. One goroutine may send while another one receives.
type Conn struct {
	net.Conn
	target Target
	in     *bufio.Reader
	out    []byte
}

// Dial connects. ctx bounds the time for that, not the life of the connection.
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

// Reason strips from a connection's error what its message says anyway: the address and the system call.
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

// Receive waits for the next packet.
func (c *Conn) Receive() (codec.Response, error) { return codec.ReadResponse(c.in, c.target.MaxPacket) }

// Line sends a text command and returns its answer of one line.
func (c *Conn) Line(command string) (string, error) {
	if _, err := fmt.Fprintf(c, "%s\n", command); err != nil {
		return "", err
	}
	return c.line()
}

// Table sends a text command and returns the lines of its answer without the final ".". An answer that begins
// with ERR becomes an error.
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

// Within sets a deadline for everything that is read and written from now on; 0 removes it.
func (c *Conn) Within(d time.Duration) {
	if d == 0 {
		c.SetDeadline(time.Time{})
		return
	}
	c.SetDeadline(time.Now().Add(d))
}
