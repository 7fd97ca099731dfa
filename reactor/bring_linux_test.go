package reactor

import (
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/wire"
)

// A host watches the sockets that its guests have brought, until they are closed or go home.
func TestGuestsBringSockets(t *testing.T) {
	r := newRig(t, lodgers(3), func(s *setup) { s.guestsBring = 8 })
	all := r.server.allLoops()
	var peers []*wire.Conn
	for range 6 {
		peers = append(peers, r.dial())
	}
	r.calm(peers...)
	host := all[0]
	brought := func(want int) {
		t.Helper()
		wire.Await(t, "the sockets of the guests are watched", func() (fine bool) {
			on(host, func() {
				n := 0
				for _, g := range host.lodgers() {
					if g.brings {
						n += len(g.byFD)
					}
				}
				fine = n == want && host.brought == n
			})
			return fine
		})
	}
	brought(4)
	for range 3 {
		peers = append(peers, r.dial())
		peers[len(peers)-1].Sync()
	}
	brought(6)
	for len(peers) > 6 {
		peers[6].Close()
		peers = peers[:copy(peers[6:], peers[7:])+6]
		wire.Await(t, "it is closed", func() bool { return r.server.connections.Load() == int64(len(peers)) })
	}
	brought(4)

	// One that is left unread by its loop is left unread by its host.
	its := connectionOf(t, all[1])
	peer := r.peerOf(its, peers)
	on(host, func() { all[1].listen(its, false) })
	peer.Send(codec.EchoReq, "x")
	wire.Await(t, "it has come", func() bool { return unreadBytes(its.FD) > 0 })
	for range 20 {
		on(host, func() { host.serveAll(host.pollNow()) })
	}
	on(host, func() {
		if unreadBytes(its.FD) == 0 {
			t.Error("it is read")
		}
		all[1].listen(its, true)
	})
	peer.Want(codec.EchoRes, "x")

	// gnet's wake-up reaches a guest.
	woken := make(chan struct{})
	if err := all[2].events.Execute(t.Context(), runs(func() { close(woken) })); err != nil {
		t.Error(err)
	}
	all[2].remindGnet() // which gnet leaves out while it is in a task, as it is if the loop waits in one
	select {
	case <-woken:
	case <-time.After(wire.Limit):
		t.Fatal("gnet waits for a guest")
	}
	r.calm(peers...)
	brought(4)

	// With too many all go home, come again and bring none.
	for range 20 {
		peers = append(peers, r.dial())
		peers[len(peers)-1].Sync()
	}
	wire.Await(t, "no more than may be are watched", func() (fine bool) {
		for _, c := range peers {
			c.Sync()
		}
		on(host, func() { fine = host.brought <= 16 && len(host.lodgers()) == 2 })
		return fine
	})
	r.server.layout.set(3)
	wire.Await(t, "all are at home", func() bool { return r.server.layout.lodgers.Load() == 0 })
	on(host, func() {
		if host.brought != 0 {
			t.Errorf("%d connections are still watched", host.brought)
		}
	})
	for _, c := range peers {
		c.Sync()
	}
}

// peerOf returns the peer of a connection.
func (r *rig) peerOf(its *conn, peers []*wire.Conn) *wire.Conn {
	for _, c := range peers {
		if c.LocalAddr().String() == its.Addr.String() {
			return c
		}
	}
	r.tb.Fatal("the connection has no peer")
	return nil
}
