package view

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// Connections can be selected by what they are doing and sorted by each column, over all pages.
func TestConnectionsInOrder(t *testing.T) {
	s, _, address := serving(t)
	client := wire.Dial(t, address)
	connect := func(name string) *wire.Conn {
		c := wire.Dial(t, address)
		c.Send(codec.SetClientID, name)
		c.Sync()
		return c
	}
	work := func(c *wire.Conn, function string, ends ...codec.Type) {
		for _, end := range ends {
			client.Send(codec.SubmitJobBg, function, "", "x")
			client.WantType(codec.JobCreated)
			c.Send(codec.GrabJob)
			handle := c.WantType(codec.JobAssign).Args(2)[0]
			switch end {
			case codec.WorkComplete:
				c.Send(end, handle, "y")
			case codec.WorkFail:
				c.Send(end, handle)
			}
			c.Sync()
		}
	}
	const keep = codec.Noop // the job stays in hand
	for i, ends := range [][]codec.Type{
		{codec.WorkComplete, codec.WorkComplete, codec.WorkComplete, keep},
		{codec.WorkFail, codec.WorkFail, keep, keep},
		{codec.WorkComplete, codec.WorkFail},
		{},
	} {
		w := connect(fmt.Sprint("worker-", 9-i))
		for f := range i + 1 {
			w.Send(codec.CanDo, fmt.Sprint("f", i, f))
		}
		w.Sync()
		work(w, fmt.Sprint("f", i, 0), ends...)
		if i >= 2 { // the last two sleep
			w.Send(codec.PreSleep)
			w.Sync()
		}
	}
	idle := connect("idle")
	idle.Send(codec.CanDo, "never")
	idle.Sync()
	slow := connect("slow")
	total := func(q ConnectionQuery) int {
		t.Helper()
		page, err := s.Connections(q)
		if err != nil {
			t.Fatal(err)
		}
		return *page.Total
	}
	waiting := func() int {
		page, err := s.Connections(ConnectionQuery{Match: "slow"})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("%+v, %v", page.Items, err)
		}
		return page.Items[0].Buffered
	}
	for waiting() < 5*slowFrom { // the kernel may yet take some of it
		slow.Send(codec.EchoReq, strings.Repeat("x", slowFrom))
	}

	for only, want := range map[string]int{"": 7, "workers": 5, "clients": 2, "busy": 2, "asleep": 2, "idle": 1, "slow": 1} {
		if n := total(ConnectionQuery{Only: only}); n != want {
			t.Errorf("%q: %d connections, want %d", only, n, want)
		}
	}
	descending := func(value func(*api.Connection) float64) func(a, b *api.Connection) bool {
		return func(a, b *api.Connection) bool { return value(a) >= value(b) }
	}
	ascending := func(value func(*api.Connection) string) func(a, b *api.Connection) bool {
		return func(a, b *api.Connection) bool { return value(a) <= value(b) }
	}
	orders := map[string]func(a, b *api.Connection) bool{
		"id":        func(a, b *api.Connection) bool { return len(a.ID) < len(b.ID) || a.ID <= b.ID },
		"address":   ascending(func(c *api.Connection) string { return c.Address }),
		"client_id": ascending(func(c *api.Connection) string { return c.ClientID }),
		"state":     ascending(func(c *api.Connection) string { return c.State }),
		"functions": descending(func(c *api.Connection) float64 { return float64(c.FunctionsAll) }),
		"jobs":      descending(func(c *api.Connection) float64 { return float64(c.Jobs) }),
		"oldest":    descending(func(c *api.Connection) float64 { return c.Oldest }),
		"done":      descending(func(c *api.Connection) float64 { return float64(c.Done) }),
		"failed":    descending(func(c *api.Connection) float64 { return float64(c.Failed) }),
		"asleep":    descending(func(c *api.Connection) float64 { return c.Asleep }),
		"buffered":  descending(func(c *api.Connection) float64 { return float64(c.Buffered) }),
		"since":     func(a, b *api.Connection) bool { return !a.Since.After(b.Since) },
	}
	for order := range connectionOrders {
		inOrder := orders[order]
		if inOrder == nil {
			t.Errorf("%s is not tested", order)
			continue
		}
		list := func(sort string) (all []api.Connection) {
			t.Helper()
			for q := (ConnectionQuery{Sort: sort, Limit: 3}); ; {
				page, err := s.Connections(q)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, page.Items...)
				if q.Cursor = page.Next; q.Cursor == "" {
					return all
				}
			}
		}
		up, down := list(order), list("-"+order)
		if len(up) != 7 || len(down) != 7 {
			t.Errorf("%s: %d and %d connections", order, len(up), len(down))
			continue
		}
		for i := range up[1:] {
			if !inOrder(&up[i], &up[i+1]) {
				t.Errorf("%s: %+v\nstands before %+v", order, up[i], up[i+1])
			}
			if !inOrder(&down[i+1], &down[i]) {
				t.Errorf("-%s: %+v\nstands before %+v", order, down[i], down[i+1])
			}
		}
	}
	page, err := s.Connections(ConnectionQuery{Sort: "oldest"})
	if err != nil {
		t.Fatal(err)
	}
	if first := &page.Items[0]; first.ClientID != "worker-9" || first.Jobs != 1 || first.Done != 3 || first.Job == "" {
		t.Errorf("the longest job is that of %+v", first)
	}
	// A job names its worker as the connection does.
	for _, c := range page.Items[:2] {
		if j, ok := s.Job(c.Job); !ok || j.Worker == nil || j.Worker.ClientID != c.ClientID || j.Worker.ID != c.ID || j.Worker.Address != c.Address {
			t.Errorf("%+v has the worker %+v, want that of %+v", j, j.Worker, c)
		}
	}
}

// From some thousand connections on, requests share a snapshot; fewer are looked at each time.
func TestFewConnectionsAreNotShared(t *testing.T) {
	s, _, address := serving(t)
	var ids []string
	for range 3 {
		wire.Dial(t, address).Sync()
		page, err := s.Connections(ConnectionQuery{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprint(*page.Total))
	}
	if !slices.Equal(ids, []string{"1", "2", "3"}) {
		t.Error(ids)
	}
}

// A viewer is shown the numbers of the network, and neither addresses nor files.
func TestNetworkForViewer(t *testing.T) {
	n := api.Network{
		Accepted:     map[string]api.Count{"tcp:10.0.0.1:4730": 2, "tcp:10.0.0.2:4730": 3, "unix:/run/g.sock": 1},
		Certificates: []api.Certificate{{File: "/etc/server.pem", Expires: time.Unix(2e9, 0)}},
	}
	shown := NetworkForViewer(n)
	if len(shown.Accepted) != 2 || shown.Accepted["tcp"] != 5 || shown.Accepted["unix"] != 1 {
		t.Errorf("accepted %v", shown.Accepted)
	}
	if c := shown.Certificates; len(c) != 1 || c[0].File != "" || !c[0].Expires.Equal(n.Certificates[0].Expires) || n.Certificates[0].File == "" {
		t.Errorf("certificates %v, of %v", c, n.Certificates)
	}
}

// Where a loop did not answer in time, the page does not claim to know how many connections there are.
func TestConnectionsThatAreMissing(t *testing.T) {
	s, server, address := serving(t)
	wire.Dial(t, address).Sync()
	if page, err := s.Connections(ConnectionQuery{}); err != nil || page.Total == nil || *page.Total != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	await.Until(t, "nobody says how many there are", func() bool { // again, if the snapshot got too old before it was used
		s.peers.mu.Lock()
		s.peers.value, s.peers.made = peerSnapshot{whole: false}, time.Now()
		s.peers.mu.Unlock()
		page, err := s.Connections(ConnectionQuery{})
		return err == nil && page.Total == nil
	})
	server.Abort()
	await.Until(t, "a server that has ended does not answer", func() bool { return !server.Survey(nil, patience, nil) })
}
