package sched

import (
	"errors"
	"testing"

	"gearloop/codec"
	"gearloop/store"
)

// sharedFake is a fakeStore that other brokers share. Answers come when the test gives them.
type sharedFake struct {
	*fakeStore
	uniques map[string]func(store.Status)
	cancels map[uint64]func(bool, error)
}

func (f *sharedFake) LookupUnique(unique string, answer func(store.Status)) bool {
	f.uniques[unique] = answer
	return true
}

func (f *sharedFake) Cancel(number uint64, answer func(bool, error)) bool {
	f.cancels[number] = answer
	return true
}

// Questions about jobs that are unknown here go to other brokers, and are answered in the order of the requests. What
// another broker asks, and what a peer may not see, is not passed on.
func TestElsewhere(t *testing.T) {
	r := newRig(t, perl())
	fake := &sharedFake{newFakeStore(), map[string]func(store.Status){}, map[uint64]func(bool, error){}}
	fake.foreign = map[uint64]func(store.Status){}
	r.attach(fake.fakeStore)
	r.s.store = fake
	r.s.Lease(store.Never, r.now, &Effects{})
	client := r.connect()
	theirs := store.Number(9, 7, 3)
	handle := string(r.s.AppendHandle(nil, theirs))
	settle := func() {
		var fx Effects
		r.s.Settle(r.now, &fx)
		r.carry(&fx)
	}

	r.do(client, codec.GetStatusUnique, "u")
	r.do(client, codec.GetStatus, handle)
	if len(fake.uniques) != 1 || len(fake.foreign) != 1 {
		t.Fatalf("%d questions about a unique id, %d about a handle", len(fake.uniques), len(fake.foreign))
	}
	fake.uniques["u"](store.Status{Known: true, Running: true, Numerator: "1", Denominator: "2", Listeners: 3})
	fake.foreign[theirs](store.Status{Known: true})
	settle()
	if got := r.got[client]; len(got) != 2 || got[0] != "STATUS_RES_UNIQUE u|1|1|1|2|3" {
		t.Errorf("%q", got)
	}
	r.got[client] = nil

	var fx Effects
	format := func(known bool, err error) []byte {
		return []byte(map[bool]string{true: "yes", false: "no"}[known && err == nil])
	}
	if !r.s.CancelFor(client, handle, format, &fx) || r.s.CancelFor(client, "H:t:1", format, &fx) || r.s.CancelFor(client, "nonsense", format, &fx) {
		t.Error("which handles other brokers may have")
	}
	if len(fx.Packets) != 1 || fx.Packets[0].Type != Reserve {
		t.Fatalf("%d packets: the answer has no place", len(fx.Packets))
	}
	ticket := fx.Packets[0].Ticket
	fake.cancels[theirs](true, nil)
	fx.Reset()
	r.s.Settle(r.now, &fx)
	if len(fx.Packets) != 1 || fx.Packets[0].Type != Text || fx.Packets[0].Ticket != ticket || string(fx.Args(&fx.Packets[0])) != "yes" {
		t.Errorf("%+v", fx.Packets)
	}
	silent := false
	if !r.s.CancelElsewhere(handle, func(_ bool, err error) { silent = err != nil }) {
		t.Error("nobody is asked")
	}
	fake.cancels[theirs](false, errors.New("silent"))
	if !silent {
		t.Error("the error is lost")
	}

	clear(fake.uniques)
	clear(fake.foreign)
	other := r.connect()
	other.Broker = true
	blind := r.connect()
	blind.Access = NewAccess(&fakeRights{to: map[string]Right{"f": MaySubmit}})
	for _, p := range []*Peer{other, blind} {
		r.do(p, codec.GetStatusUnique, "u")
		r.do(p, codec.GetStatus, handle)
		if got := r.got[p]; len(got) != 2 || got[0] != "STATUS_RES_UNIQUE u|0|0|||0" {
			t.Errorf("%q", got)
		}
		r.got[p] = nil
	}
	if len(fake.uniques)+len(fake.foreign) > 0 {
		t.Error("a question is passed on that may not be")
	}
	// Another broker sees all jobs of this one, whatever rights its address has.
	r.submit(client, codec.SubmitJob, "g", "mine", "x")
	other.Access = NewAccess(&fakeRights{to: map[string]Right{}})
	r.do(other, codec.GetStatusUnique, "mine")
	r.want(other, "STATUS_RES_UNIQUE mine|1|0|||1")
}

var _ store.Peers = (*sharedFake)(nil)
