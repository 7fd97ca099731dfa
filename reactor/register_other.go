//go:build !linux

package reactor

import "net"

// canRegister: gnet is given each connection.
func (s *Server) canRegister() bool { return false }

func (s *Server) enrollDirectly(net.Conn, *conn) error { return errNotTaken }
