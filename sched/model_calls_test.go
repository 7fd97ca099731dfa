package sched

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
)

// packet is a packet that was sent, in the form "TYPE arg|arg".
type packet struct {
	to   *Peer
	text string
}

// readPacket returns a packet of fx.
func readPacket(fx *Effects, i int) packet {
	pk := &fx.Packets[i]
	data := pk.Body.Append(append([]byte(nil), fx.Args(pk)...))
	if len(data) == 0 {
		return packet{pk.To, pk.Type.String()}
	}
	return packet{pk.To, pk.Type.String() + " " + strings.ReplaceAll(string(data), "\x00", "|")}
}

// begin records that a call is about to be made.
func (m *model) begin(c *call) {
	m.moment++
	c.began = m.moment
	c.worth, c.sleepers = map[string]int{}, map[string][]*modelPeer{}
	c.wanted, c.queued = map[string]bool{}, map[string]bool{}
	p := c.by
	switch {
	case c.kind == callDisconnect:
		p.gone = true
		for _, a := range p.abilities {
			a.dropping = true
		}
	case c.kind != callPacket:
	case c.typ == codec.PreSleep:
		if p.slumber == down { // a second time
			p.slumber, c.again = falling, true
		}
	case c.typ == codec.CanDo, c.typ == codec.CanDoTimeout:
		timeout := time.Duration(-1)
		if len(c.args) > 1 && c.args[1] != "" {
			seconds, _ := strconv.ParseFloat(c.args[1], 64)
			timeout = time.Duration(seconds * float64(time.Second))
		}
		p.turn = 0
		if a := p.ability(c.args[0]); a != nil {
			a.timeout = timeout
		} else {
			p.abilities = append(p.abilities, &modelAbility{function: c.args[0], timeout: timeout})
			c.added = true
		}
	case c.typ == codec.CantDo, c.typ == codec.ResetAbilities:
		for _, a := range p.abilities {
			a.dropping = c.typ == codec.ResetAbilities || a.function == c.args[0]
		}
		p.turn = 0
	case c.typ == codec.GetStatusUnique:
		c.same = slices.DeleteFunc(slices.Clone(m.jobs), func(j *modelJob) bool { return j.key != c.args[0] })
	case c.typ == codec.AllYours:
		p.push = true
	case c.typ == codec.OptionReq && c.args[0] == "exceptions":
		p.exceptions = true
	case isResult(c.typ) && p.late[c.args[0]] && !p.has(m, c.args[0]):
		c.late = true
		if c.typ == codec.WorkComplete || c.typ == codec.WorkFail {
			delete(p.late, c.args[0])
			c.answered = true
		}
	case isSubmission(c.typ):
		c.job = m.read(c.typ, c.args, c.now)
	}
	if p != nil {
		for _, a := range p.abilities {
			c.wanted[a.function], c.queued[a.function] = true, true
		}
	}
	for _, j := range m.jobs {
		c.queued[j.function] = true // a timer's, too
	}
	if c.kind == callBulk {
		m.bulk(c)
	}
	if c.kind == callDrop {
		c.unwanted = slices.Clone(m.jobs)
	}
	m.calls = append(m.calls, c)
	c.follow(m)
	if m.lines != nil {
		m.lines.predict(c)
	}
}

func isSubmission(t codec.Type) bool {
	switch t {
	case codec.SubmitJob, codec.SubmitJobBg, codec.SubmitJobHigh, codec.SubmitJobHighBg, codec.SubmitJobLow,
		codec.SubmitJobLowBg, codec.SubmitJobEpoch, codec.SubmitJobSched, codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		return true
	}
	return false
}

func isResult(t codec.Type) bool {
	switch t {
	case codec.WorkComplete, codec.WorkFail, codec.WorkStatus, codec.WorkData, codec.WorkWarning, codec.WorkException:
		return true
	}
	return false
}

// follow records what has been true ever since a call began.
func (c *call) follow(m *model) {
	for f := range c.wanted {
		if !m.isWanted(f) {
			delete(c.wanted, f)
		}
	}
	for f := range c.queued {
		if !m.isQueued(f) {
			delete(c.queued, f)
		}
	}
	if c.by != nil {
		for _, a := range c.by.abilities {
			c.everQueued = c.everQueued || m.isQueued(a.function)
		}
	}
	if c.kind == callResume || c.kind == callEnd {
		if _, ok := c.sleepers[c.args[0]]; !ok {
			c.sleepers[c.args[0]] = m.asleep(c.args[0])
		}
	}
	if c.kind == callWake {
		c.everQueued = c.everQueued || m.isQueued(c.args[0])
		if _, ok := c.sleepers[c.args[0]]; !ok {
			c.sleepers[c.args[0]] = m.asleep(c.args[0])
		}
	}
	c.unwanted = slices.DeleteFunc(c.unwanted, func(j *modelJob) bool { return j.state != queued || j.wanted() })
	c.meant = slices.DeleteFunc(c.meant, func(j *modelJob) bool {
		return !slices.Contains(m.jobs, j) || !actStates[c.act].has(j.state) || j.priority == priorityOf(c.act)
	})
	c.same = slices.DeleteFunc(c.same, func(j *modelJob) bool { return !slices.Contains(m.jobs, j) || j.key != c.args[0] })
	for f, all := range c.sleepers {
		c.sleepers[f] = slices.DeleteFunc(all, func(p *modelPeer) bool {
			a := p.ability(f)
			return p.slumber != down || p.gone || a == nil || a.dropping
		})
	}
	if c.submits() && !c.answered {
		// It may begin to wake at any time from here on.
		c.sleepers[c.job.function], c.began = m.asleep(c.job.function), m.moment
	}
	if c.kind == callRelease || c.by != nil && (m.s.dialect.DropRequeues || c.by.isRecalled(m)) {
		for _, j := range m.jobs {
			if _, ok := c.sleepers[j.function]; !ok {
				c.sleepers[j.function] = m.asleep(j.function)
			}
		}
	}
}

// segment examines what a call has done since the last segment; end says that it has returned.
func (m *model) segment(c *call, end bool) {
	m.moment++
	var sent []packet
	for ; c.seen < len(c.fx.Packets); c.seen++ {
		sent = append(sent, readPacket(c.fx, c.seen))
	}
	due := append(m.overdue(c, sent), m.transitions(c)...)
	var rest []packet
	for _, pk := range sent {
		switch {
		case pk.text == "NOOP":
			m.noop(c, m.byPeer[pk.to])
		case strings.HasPrefix(pk.text, "JOB_CREATED ") || strings.HasPrefix(pk.text, "ERROR ") && c.submits():
			due = m.answer(c, pk, due)
			rest = append(rest, pk)
		default:
			rest = append(rest, pk)
		}
	}
	if p := c.by; p != nil && !p.gone && p.slumber == up && p.real.state.Load() == sleeping {
		if !p.push && c.typ != codec.PreSleep || c.fallen {
			failf("%s fell asleep, and did not say PRE_SLEEP", p.name)
		}
		p.slumber, p.fell, c.fallen = falling, m.moment, true
	}
	if end {
		due = m.finish(c, rest, due)
	}
	comparePackets(rest, due)
	total := 0
	for i := range m.s.shards {
		total += m.s.shards[i].jobs.count
	}
	if total != len(m.jobs) {
		failf("there are %d jobs, should be %d", total, len(m.jobs))
	}
	if end {
		m.calls = slices.DeleteFunc(m.calls, func(o *call) bool { return o == c })
	}
	for _, o := range m.calls {
		o.follow(m)
	}
}

// comparePackets compares the packets sent with those due. The order of packets to different peers or of
// different jobs is free.
func comparePackets(sent, due []packet) {
	due = slices.Clone(due)
	for _, pk := range sent {
		i := slices.Index(due, pk)
		if i < 0 {
			failf("was sent to fd %d: %q; due: %v", pk.to.FD, pk.text, due)
		}
		due = slices.Delete(due, i, i+1)
	}
	if len(due) > 0 {
		failf("was not sent to fd %d: %q", due[0].to.FD, due[0].text)
	}
}

// behind returns how many jobs stand behind one in its queue.
func (j *job) behind() (n int) {
	for j = j.next; j != nil; j = j.next {
		n++
	}
	return n
}

// overdue returns the jobs that were cancelled while they ran and whose listeners are informed now: by a call
// of their worker, so that this follows everything that the worker sent.
func (m *model) overdue(c *call, sent []packet) (due []packet) {
	for _, j := range m.jobs {
		fails := func(pk packet) bool { return pk.text == "WORK_FAIL "+j.handle }
		if j.state == abandoned && j.worker == c.by && slices.ContainsFunc(sent, fails) {
			due, j.listeners = j.fail(due), nil
		}
	}
	return due
}

// transitions finds the jobs that have changed, checks that the call may have changed them and returns the
// packets due.
func (m *model) transitions(c *call) (due []packet) {
	var left, released, back []*modelJob
	for _, state := range []state{abandoned, running, queued, delayed} { // the end of one may lead to that of a queued one
		for _, j := range slices.Clone(m.jobs) {
			number := j.number
			if j.state != state || m.s.shardOfJob(number).jobs.get(number) != nil {
				continue
			}
			due = m.ended(c, j, due)
			m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
			if j.state == queued {
				left = append(left, j)
			}
		}
	}
	for _, j := range m.jobs {
		number := j.number
		switch real := m.s.shardOfJob(number).jobs.get(number); {
		case real != j.real:
			failf("%s: is another job now", j.handle)
		case real.state == j.state:
		case j.state == queued && real.state == running:
			due = m.handedOut(c, j, due)
			left = append(left, j)
		case j.state == running && real.state == queued:
			back = append(back, j)
		case j.state == running && real.state == abandoned:
			if !c.acts(j, GiveUpJob) {
				failf("%s was abandoned, and nobody cancelled it", j.handle)
			}
			j.state, j.key, j.background, j.cancelled, j.recalled = abandoned, "", false, m.moment, false
		case j.state == delayed && real.state == queued:
			if c.kind != callRelease || j.due.After(c.now) {
				failf("%s: was queued at %v, is due at %v", j.handle, c.now, j.due)
			}
			released = append(released, j)
		default:
			failf("%s: its state went from %d to %d", j.handle, j.state, real.state)
		}
	}
	// Those that a worker loses at once may be put back in any order.
	slices.SortFunc(back, func(a, b *modelJob) int { return cmp.Compare(a.real.behind(), b.real.behind()) })
	for _, j := range slices.Backward(back) {
		if !j.recalled {
			m.putBack(c, j)
		}
	}
	for _, j := range back { // each goes in front of those before it
		if j.recalled {
			m.putBack(c, j)
		}
	}
	m.acted(c)
	slices.SortStableFunc(released, func(a, b *modelJob) int { return a.due.Compare(b.due) })
	for _, j := range released {
		j.enqueue(m, false)
		m.wakes(c, j.function)
	}
	// Jobs are taken and dropped only from the front, except by maxqueue, which takes them from the end.
	for _, j := range left {
		if c.kind == callDrop || c.kind == callCancel || c.kind == callForget || c.kind == callAct || c.kind == callBulk {
			break
		}
		for _, other := range m.queue(j.function) {
			if !c.submits() && m.before(other, j) {
				failf("%s was taken, and %s stands before it", j.handle, other.handle)
			}
			if c.submits() && m.before(j, other) {
				failf("%s had to go, and %s stands behind it", j.handle, other.handle)
			}
		}
	}
	return due
}
