package sched

import (
	"gearloop/codec"
	"gearloop/store"
)

// Jobs of other brokers, if the store is one that several share: the store passes questions about them on,
// and the answers are sent when they come, in the order of the requests. What another broker asks
// (Peer.Broker) is answered from this broker's own jobs, and never passed on.

// Text is the type of a packet that is an answer to a text command: its data are sent as they are.
const Text codec.Type = ^codec.Type(0)

// foreignStatus is the store's answer about another broker's job, to be sent to a peer.
type foreignStatus struct {
	waiter
	name   string // handle or unique id
	unique bool   // for GET_STATUS_UNIQUE
	store.Status
}

// foreignText is a late answer to a text command.
type foreignText struct {
	waiter
	text []byte
}

// isForeign reports whether a number that is unknown here may belong to another broker's job. The shard is
// locked.
func (sh *shard) isForeign(number uint64) bool {
	run := store.RunOf(number)
	return sh.sched.durable() && run != 0 && run != sh.sequence>>store.CountBits && store.Valid(number)
}

// lookup asks the store about a job that is unknown here, for GET_STATUS. It returns false if no other broker
// can have it.
func (s *Sched) lookup(p *Peer, handle []byte, number uint64, fx *Effects) bool {
	w, text := waiter{p, p.nextTicket()}, string(handle)
	asked := s.store.Lookup(number, func(st store.Status) {
		s.received.statuses = append(s.received.statuses, foreignStatus{waiter: w, name: text, Status: st})
	})
	if asked {
		fx.reserve(p, w.ticket)
	}
	return asked
}

// lookupUnique asks the store about a unique id that no job here has, for GET_STATUS_UNIQUE. It returns false
// if there are no other brokers.
func (s *Sched) lookupUnique(p *Peer, unique []byte, fx *Effects) bool {
	peers, shared := s.store.(store.Peers)
	if !shared || p.Broker || len(unique) == 0 || !p.mayAskAll() {
		return false
	}
	w, text := waiter{p, p.nextTicket()}, string(unique)
	asked := peers.LookupUnique(text, func(st store.Status) {
		s.received.statuses = append(s.received.statuses, foreignStatus{waiter: w, name: text, unique: true, Status: st})
	})
	if asked {
		fx.reserve(p, w.ticket)
	}
	return asked
}

// answerStatuses sends the answers of a that are not receipts.
func (s *Sched) answerStatuses(a *answers, fx *Effects) {
	for i := range a.statuses {
		f := &a.statuses[i]
		st := s.status(nil)
		if f.Known {
			st.known = "1"
		}
		if f.Running {
			st.running = "1"
		}
		if f.Numerator != "" || f.Denominator != "" {
			st.numerator, st.denominator = f.Numerator, f.Denominator
		}
		st.waiting = f.Listeners
		if f.unique {
			fx.sendStatusUnique(f.peer, f.name, st)
		} else {
			fx.sendStatus(f.peer, f.name, st)
		}
		fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
	}
	for i := range a.texts {
		f := &a.texts[i]
		fx.sendArgs(f.peer, Text, string(f.text))
		fx.Packets[len(fx.Packets)-1].Ticket = f.ticket
	}
}

// CancelElsewhere has the broker cancel a job that has it, as Cancel does. It returns false if no other
// broker can have a job with that handle; otherwise answer is called once on the store's goroutine, before
// Settle: known says whether the job was there, and an error that its broker does not answer.
func (s *Sched) CancelElsewhere(handle string, answer func(known bool, err error)) bool {
	peers, shared := s.store.(store.Peers)
	number := s.parseHandle([]byte(handle))
	if !shared || number == 0 {
		return false
	}
	sh := s.shardOfJob(number)
	sh.lock()
	foreign := sh.jobs.get(number) == nil && sh.isForeign(number)
	sh.mu.Unlock()
	return foreign && peers.Cancel(number, answer)
}

// CancelFor is CancelElsewhere for a peer that sent a text command: format makes the answer's text, which is
// sent in the order of its requests.
func (s *Sched) CancelFor(p *Peer, handle string, format func(known bool, err error) []byte, fx *Effects) bool {
	w := waiter{p, p.nextTicket()}
	asked := s.CancelElsewhere(handle, func(known bool, err error) {
		s.received.texts = append(s.received.texts, foreignText{w, format(known, err)})
	})
	if asked {
		fx.reserve(p, w.ticket)
	}
	return asked
}
