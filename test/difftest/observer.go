package difftest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"gearloop/test/peers"
)

// observer is the player's own connection to a server. It asks for the server's lists, so that the player
// knows when a connection was accepted or forgotten, and its descriptor there.
type observer struct {
	sock net.Conn
	in   *bufio.Reader
	fd   string // its own, in the server
	addr string
}

func observe(server *peers.Server) (*observer, error) {
	sock, err := server.Dial()
	if err != nil {
		return nil, err
	}
	o := &observer{sock: sock, in: bufio.NewReader(sock), addr: sock.LocalAddr().String()}
	fds, err := o.descriptors()
	if err != nil {
		return nil, err
	}
	for fd := range fds {
		o.fd = fd
	}
	return o, nil
}

// ask returns the rows of a text command's answer.
func (o *observer) ask(command string) ([]string, error) {
	o.sock.SetDeadline(time.Now().Add(stepLimit))
	if _, err := io.WriteString(o.sock, command+"\n"); err != nil {
		return nil, err
	}
	var rows []string
	for {
		row, err := o.in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("the answer to %q: %w", command, err)
		}
		if row == ".\n" {
			return rows, nil
		}
		rows = append(rows, row)
	}
}

// roundTrips asks twice for something irrelevant. A server that serves its connections in turn has been round
// to all of them by then; one that serves several at once most likely has.
func (o *observer) roundTrips() error {
	for range 2 {
		if _, err := o.ask("workers"); err != nil {
			return err
		}
	}
	return nil
}

// descriptors returns the first column of "workers".
func (o *observer) descriptors() (map[string]bool, error) {
	rows, err := o.ask("workers")
	if err != nil {
		return nil, err
	}
	fds := map[string]bool{}
	for _, row := range rows {
		fd, _, _ := strings.Cut(row, " ")
		fds[fd] = true
	}
	return fds, nil
}

// awaitDescriptor waits until the server has a connection whose descriptor is not in known, and returns it.
func (o *observer) awaitDescriptor(known map[string]bool) (string, error) {
	var found string
	err := poll("the server does not accept", func() (bool, error) {
		fds, err := o.descriptors()
		for fd := range fds {
			if !known[fd] {
				found = fd
			}
		}
		return found != "", err
	})
	return found, err
}

// awaitGone waits until the server has no connection with the descriptor. Only the player connects, so it is
// not reused at once.
func (o *observer) awaitGone(fd string) error {
	return poll("the server does not notice that a connection is closed", func() (bool, error) {
		fds, err := o.descriptors()
		return !fds[fd], err
	})
}

// poll asks repeatedly until the answer is yes.
func poll(complaint string, ask func() (bool, error)) error {
	deadline := time.Now().Add(stepLimit)
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s", complaint)
		}
		time.Sleep(time.Millisecond)
	}
}
