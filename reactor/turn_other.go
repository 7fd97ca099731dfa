//go:build !linux

package reactor

import "github.com/panjf2000/gnet/v2"

// standing is empty: loops do not wait by themselves on this system.
type standing struct{}

func (standing) init(gnet.EventLoop) {}

// layout and lodging are empty: all loops always run by themselves.
type (
	layout  struct{}
	lodging struct{}
)

func (*layout) begin(*Server) {}
func (*layout) end()          {}
func (lodging) init()         {}

func (l *loop) hasOpened(*conn)    {}
func (l *loop) hasClosed(*conn)    {}
func (l *loop) canStay() bool      { return false }
func (l *loop) reaches(*loop) bool { return false }
func (l *loop) stay()              {}
func (l *loop) rouse()             { l.wake() }
func (l *loop) callUp()            {}
func (l *loop) deliver()           {}
func (l *loop) closeLeaving()      {}
