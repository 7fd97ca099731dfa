package sched

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// canDo handles CAN_DO: it registers the worker for a function. timeout limits each job; <0 means no limit.
func (s *Sched) canDo(p *Peer, name []byte, timeout time.Duration, now time.Time, fx *Effects) {
	if len(name) > MaxFunction {
		fx.sendError(p, s.dialect.InvalidArgs.With("Function name is longer than %d bytes.", MaxFunction))
		return
	}
	if !p.may(MayWork, name) {
		s.refuse(p, MayWork, name, fx)
		return
	}
	p.turn = 0
	if a := p.ability(name); a != nil {
		a.timeout = timeout
		if s.dialect.RepeatedFirst {
			fx.Work += len(p.abilities) / workAbilities
			p.putLast(a)
		}
		return
	}
	if len(p.abilities) >= MaxAbilities {
		fx.sendError(p, s.dialect.ServerError.With("A worker can do %d functions at most.", MaxAbilities))
		return
	}
	fn := s.addWorker(name, fx)
	if fn == nil {
		fx.sendError(p, s.dialect.QueueFull)
		return
	}
	if len(p.abilities) == 0 {
		p.asks(s.moment(now))
	}
	a := &ability{peer: p, fn: fn, timeout: timeout}
	p.addAbility(a)
	switch {
	case p.push:
		s.pushOn(p, now, fx)
	case s.dialect.AbilityHears && p.state.Load() == sleeping:
		a.listAsleep(now, fx)
	}
}

// addWorker counts one more worker for a function and returns the function, or nil if there is no memory for
// it.
func (s *Sched) addWorker(name []byte, fx *Effects) *function {
	sh := s.shardOf(name)
	sh.lock()
	defer sh.mu.Unlock()
	before := len(sh.functions)
	fn := sh.needFunction(name, forWorkers)
	if fn == nil {
		return nil
	}
	if len(sh.functions) > before {
		fx.Work += workFunction
	}
	if !forWorkers.charge(sh, costAbility) {
		fn.dropIfIdle()
		return nil
	}
	fn.abilities++
	sh.abilities++
	return fn
}

// canDoTimeout handles CAN_DO_TIMEOUT. Without a number there is no limit.
func (s *Sched) canDoTimeout(p *Peer, data []byte, now time.Time, fx *Effects) {
	name, rest, ok := codec.Cut(data)
	if !ok && s.dialect.MissingStatus == dialect.Hangup {
		fx.Hangup = true
		return
	}
	limit, ok := parseLimit(rest, &s.dialect.Limit)
	if !ok {
		fx.Hangup = true
		return
	}
	s.canDo(p, name, limit, now, fx)
}

// parseLimit parses the limit of CAN_DO_TIMEOUT; <0 means none. ok is false if the connection must be closed.
func parseLimit(text []byte, as *dialect.Limit) (limit time.Duration, ok bool) {
	switch {
	case len(text) == 0:
		return -1, true
	case as.Binary && len(text) == 4 && text[0] == 0:
		// Some libraries send a binary number. It cannot be confused with text, which contains no NUL.
		return time.Duration(binary.BigEndian.Uint32(text)) * time.Second, true
	case as.Whole:
		n, err := strconv.ParseInt(string(leadingNumber(text)), 10, 64)
		switch {
		case err != nil || n == math.MaxInt64 || n == math.MinInt64 || len(text) > as.Longest:
			return 0, false // C's strtol reports an overflow
		case n <= 0:
			return -1, true
		}
		return max(time.Duration(min(n, int64(maxTimeout/as.Unit)))*as.Unit, as.Least), true
	}
	return parseSeconds(string(text)), true
}

// cantDo handles CANT_DO.
func (s *Sched) cantDo(p *Peer, name []byte, now time.Time, fx *Effects) {
	p.turn = 0
	a := p.ability(name)
	switch {
	case a == nil:
	case s.dropSome(p, a.fn, now, fx):
		fx.Again = true
	default:
		fx.Work += len(p.abilities) / workAbilities
		s.dropAbility(a, s.departs(p, now), now, fx)
		p.removeAbility(a)
		s.dropJobs(p, a.fn, now, fx)
	}
}

// dropAbilities removes a worker from its functions, the last ones first: from callAbilities of them at most. It
// reports whether none is left.
func (s *Sched) dropAbilities(p *Peer, now time.Time, fx *Effects) (all bool) {
	kept := max(len(p.abilities)-callAbilities, 0)
	if some := p.abilities[kept:]; len(some) > 0 {
		left := s.departs(p, now)
		for _, a := range some {
			s.dropAbility(a, left, now, fx)
			s.step()
		}
		for _, a := range some {
			delete(p.byName, a.fn.name)
		}
		fx.Work += len(some)
		p.mu.Lock()
		clear(some) // the rest of a long list may stay for a while
		p.abilities = p.abilities[:kept]
		if kept == 0 {
			p.abilities = nil
		}
		p.mu.Unlock()
		p.turn = 0
	}
	if kept == 0 {
		p.byName = nil
	}
	return kept == 0
}

// dropAbility removes a worker from a function and from its sleepers.
func (s *Sched) dropAbility(a *ability, left *departure, now time.Time, fx *Effects) {
	fn := a.fn
	fn.shard.lock()
	defer fn.shard.mu.Unlock()
	if a.listed.Load() {
		fn.sleepers.remove(a)
	}
	if a.peer.last == fn {
		a.peer.last = nil
	}
	if fn.came(a.peer) {
		fn.callAgain(now, fx)
	}
	if fn.abilities--; fn.abilities == 0 {
		fn.left = left
	}
	fn.shard.abilities--
	forWorkers.refund(fn.shard, costAbility)
	fn.dropIfIdle()
}

// setClientID handles SET_CLIENT_ID.
func (s *Sched) setClientID(p *Peer, id []byte) {
	if most := s.dialect.MaxClientID; most > 0 {
		id, _, _ = codec.Cut(id)
		id = id[:min(len(id), most)]
	}
	id = id[:min(len(id), MaxClientID)]
	text := string(id)
	if s.dialect.TrimClientID {
		// Only ASCII whitespace is trimmed, because the id's encoding is unknown.
		text = string(bytes.Join(bytes.FieldsFunc(id, func(r rune) bool {
			return r == ' ' || '\t' <= r && r <= '\r'
		}), nil))
		if text == "" {
			text = "-"
		}
	}
	p.mu.Lock()
	p.clientID = text
	p.mu.Unlock()
}

// parseSeconds parses a timeout as Perl does: the number that text begins with, or 0.
func parseSeconds(text string) time.Duration {
	text = strings.TrimLeft(text, " \t\r\n\f\v")
	if i := strings.IndexAny(text, "_xX"); i >= 0 {
		text = text[:i] // accepted by Go's parser but not by Perl
	}
	var seconds float64
	for n := min(len(text), 32); n > 0; n-- {
		if v, err := strconv.ParseFloat(text[:n], 64); err == nil || errors.Is(err, strconv.ErrRange) {
			seconds = v
			break
		}
	}
	if !(seconds > 0) { // NaN as well
		return 0
	}
	return time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
}
