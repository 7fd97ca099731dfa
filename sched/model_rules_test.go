package sched

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// ended checks that the call may have been the end of a job.
func (m *model) ended(c *call, j *modelJob, due []packet) []packet {
	p := c.by
	onWorker := j.state == running || j.state == abandoned
	if j.state == abandoned && j.waiting() > 0 {
		failf("%s was cancelled and is gone, and those who listen were not told", j.handle)
	}
	switch {
	case onWorker && p != j.worker:
		failf("%s was ended by somebody who is not its worker", j.handle)
	case onWorker && m.lost(c, j):
		if j.state == running && (m.again(j) || j.recalled) {
			failf("%s was lost by its worker and has failed: another was to have it", j.handle)
		}
		return j.fail(due)
	case onWorker && c.kind == callPacket && len(c.args) > 0 && c.args[0] == j.handle &&
		(c.typ == codec.WorkComplete || c.typ == codec.WorkFail):
		c.answered = true
		p.worked = true
		return j.each(due, c.typ.String()+" "+strings.Join(c.args, "|"), false)
	case (j.state == queued || j.state == delayed) && c.acts(j, CancelJob),
		(j.state == queued || j.state == delayed) && c.kind == callForget && c.args[0] == j.function:
		return j.fail(due)
	case j.state == queued && c.submits() && c.job.function == j.function:
		c.evicted++ // check whether it had to go
		return j.fail(due)
	case j.state == queued && c.kind == callDrop && !j.wanted():
		return due
	case j.state == queued && c.grabs(m) && p.ability(j.function) != nil && !j.wanted():
		return due
	}
	failf("%s (%s) came to its end; nothing was reason for it", j.handle, j.function)
	return nil
}

// lost reports whether the call takes a job from its worker, and records what that means for the worker.
func (m *model) lost(c *call, j *modelJob) bool {
	p := c.by
	switch {
	case c.kind == callDisconnect:
		return true
	case c.kind == callLimit && !j.deadline.IsZero() && !j.deadline.After(c.now), c.moves() && j.excepted:
		p.worked = true
		if m.s.dialect.LateResult {
			p.late[j.handle] = true
		}
		return true
	}
	return m.s.dialect.DropRequeues && c.kind == callPacket &&
		(c.typ == codec.ResetAbilities || c.typ == codec.CantDo && c.args[0] == j.function)
}

// again reports whether another worker has to have a job that was lost.
func (m *model) again(j *modelJob) bool {
	bound := m.s.cfg.JobRetries
	return m.s.dialect.LostJob == dialect.LostRequeues && j.wanted() && (bound <= 0 || j.losses+1 < bound)
}

// putBack checks that the call may have taken a job from its worker for another.
func (m *model) putBack(c *call, j *modelJob) {
	lost := c.by == j.worker && m.lost(c, j)
	switch {
	case j.recalled && c.by == j.worker && c.kind == callTell:
		j.worker.late[j.handle], j.worker.worked = true, true
	case j.recalled && lost:
	case lost && m.again(j):
		j.losses++
	default:
		failf("%s was taken from its worker; nothing was reason for it", j.handle)
	}
	none, recalled := m.s.dialect.NoNumber, j.recalled
	j.worker, j.deadline, j.excepted, j.numerator, j.denominator = nil, time.Time{}, false, none, none
	j.enqueue(m, recalled)
	m.wakes(c, j.function)
}

// handedOut checks that the call may have handed out a job.
func (m *model) handedOut(c *call, j *modelJob, due []packet) []packet {
	p := c.by
	if !c.grabs(m) || p.real != j.real.worker || c.assigned != nil {
		failf("%s was handed out to somebody who did not ask", j.handle)
	}
	if m.isPaused(j.function) {
		failf("%s was handed out, and %s is paused", j.handle, j.function)
	}
	if !j.wanted() {
		failf("%s was handed out, and nobody wants it any more", j.handle)
	}
	n := len(p.abilities)
	p.turn = (p.turn + 1) % n
	for i := range n {
		a := p.abilities[(p.turn+i)%n]
		if a.function != j.function {
			if c.wanted[a.function] {
				failf("%s of %s was handed out; it was the turn of %s", j.handle, j.function, a.function)
			}
			continue
		}
		j.state, j.worker = running, p
		if a.timeout >= 0 {
			j.deadline = c.now.Add(a.timeout)
		}
		c.assigned = j
		p.slumber = up
		return append(due, packet{p.real, j.assignment(c.typ)})
	}
	failf("%s was handed out to a worker that can't do %s", j.handle, j.function)
	return nil
}

// smallestPayload is the smallest memory of an argument that arrived in a payload of its own.
const smallestPayload = 512

// answer checks the answer to a submission, and adds the job.
func (m *model) answer(c *call, pk packet, due []packet) []packet {
	sub := &c.job
	if c.answered || pk.to != c.by.real {
		failf("answered wrongly: %q", pk.text)
	}
	c.answered = true
	if sub.bad != "" {
		return append(due, packet{pk.to, "ERROR " + sub.bad})
	}
	old := m.same(sub.function, sub.key)
	bound, bounded := m.bound[sub.function]
	bounded = bounded && sub.due.IsZero() // a delayed job is in no queue
	refused := strings.HasPrefix(pk.text, "ERROR ")
	n, room := len(m.queue(sub.function)), max(bound-1, 0)
	if m.isClosed(sub.function) {
		if !refused || c.evicted > 0 {
			failf("%s: is closed, and answered with %q", sub.function, pk.text)
		}
		return append(due, packet{pk.to, errorText(m.s.dialect.QueueFull)})
	}
	switch {
	case old != nil || !bounded || bound == 0: // 0 refuses what is new and keeps what is queued
		if c.evicted > 0 {
			failf("%s: jobs had to go for no reason", sub.function)
		}
	case c.evicted > 0 && n != room:
		failf("%s: %d jobs had to go and %d are left, maxqueue is %d", sub.function, c.evicted, n, bound)
	case n > room && !(refused && m.mayRefuse(costJob)):
		failf("%s: %d are queued, and maxqueue is %d", sub.function, n, bound)
	}
	if refused {
		full := old == nil && bounded && bound == 0
		most := costJob + costUnique + costFunction + costListener + smallestPayload +
			len(sub.function) + len(sub.key) + len(sub.reducer) + len(sub.arg)
		if !full && !m.mayRefuse(most) {
			failf("%s: refused for no reason: %s", sub.function, pk.text)
		}
		return append(due, packet{pk.to, errorText(m.s.dialect.QueueFull)})
	}
	if old == nil && bounded && bound == 0 {
		failf("%s: taken, and maxqueue is 0", sub.function)
	}
	handle := strings.TrimPrefix(pk.text, "JOB_CREATED ")
	j := old
	if j == nil {
		if m.handles[handle] {
			failf("%s: the handle was given before", handle)
		}
		m.handles[handle] = true
		number := m.s.parseHandle([]byte(handle))
		j = &modelJob{
			handle: handle, function: sub.function, key: sub.key, arg: sub.arg, reducer: sub.reducer, priority: sub.priority,
			due: sub.due, real: m.s.shardOfJob(number).jobs.get(number), number: number,
			numerator: m.s.dialect.NoNumber, denominator: m.s.dialect.NoNumber,
		}
		if j.real == nil {
			failf("%s: there is no such job", handle)
		}
		m.jobs = append(m.jobs, j)
		if j.state = delayed; j.due.IsZero() {
			j.enqueue(m, j.priority == high && m.s.dialect.HighNewestFirst)
		}
	}
	j.background = j.background || sub.background
	if !sub.background {
		j.listeners = append(j.listeners, c.by)
	}
	if j.state != delayed {
		m.wakes(c, j.function)
	}
	return append(due, packet{pk.to, "JOB_CREATED " + j.handle})
}

// noop checks a NOOP and wakes the peer.
func (m *model) noop(c *call, p *modelPeer) {
	// A job that is taken back wakes workers, its former worker among them.
	own := c.by == p && !c.submits() && c.kind != callTell
	switch {
	case p.gone:
		failf("NOOP for %s, who is gone", p.name)
	case p.slumber == up && !(own && !c.fallen && (p.push || c.typ == codec.PreSleep)):
		failf("NOOP for %s, who is awake", p.name)
	case own && !c.everQueued:
		failf("NOOP for %s, and nothing waits", p.name)
	case own:
		c.fallen = true
	default:
		c.woken = append(c.woken, p)
		if p.fell > c.began {
			c.extra++
		}
	}
	if m.lines != nil {
		m.lines.woke(p)
	}
	p.slumber = up
}

// finish checks a call that has returned, and returns the packets due in its last segment.
func (m *model) finish(c *call, sent, due []packet) []packet {
	p := c.by
	c.follow(m)
	if c.kind == callPacket {
		due = m.finishPacket(c, sent, due)
	}
	switch c.kind {
	case callDisconnect:
		p.abilities = nil
		if i := slices.IndexFunc(m.jobs, func(j *modelJob) bool { return j.onWorker(p) }); i >= 0 {
			failf("%s outlived its worker", m.jobs[i].handle)
		}
	case callLimit:
		for _, j := range m.jobs {
			if j.onWorker(p) && !j.deadline.IsZero() && !j.deadline.After(c.now) {
				failf("%s outlived its limit", j.handle)
			}
		}
	case callBulk:
		for _, j := range c.meant {
			failf("%s was meant, and nothing was done with it", j.handle)
		}
	case callTell:
		for _, j := range m.jobs {
			if j.recalled && j.state == running && j.worker == p && j.cancelled < c.began {
				failf("%s was to be taken back, and its worker has it", j.handle)
			}
			if j.state == abandoned && j.worker == p && j.cancelled < c.began && j.waiting() > 0 {
				failf("%s was cancelled, and those who listen were not told", j.handle)
			}
		}
	case callRelease:
		for _, j := range m.jobs {
			if j.state == delayed && j.real.fn.shard == c.shard && !j.due.After(c.now) {
				failf("%s is due and was not queued", j.handle)
			}
		}
	case callDrop:
		for _, j := range c.unwanted {
			if slices.Contains(m.jobs, j) {
				failf("%s is not wanted and was not dropped", j.handle)
			}
		}
	case callForget:
		if c.answered {
			for _, j := range m.jobs {
				if j.function == c.args[0] {
					failf("%s outlived its function", j.handle)
				}
			}
		}
	case callWake:
		if c.everQueued {
			c.worth[c.args[0]] = 1
		}
	}
	m.checkWoken(c)
	if m.lines != nil {
		m.lines.compare(c)
	}
	if p == nil || p.gone {
		return due
	}
	if c.assigned == nil && (c.pulls() || c.pushes(m)) {
		if len(c.wanted) > 0 {
			failf("%s got no job, and there was one all the time", p.name)
		}
		if n := len(p.abilities); n > 0 {
			p.turn = (p.turn + 1) % n
		}
	}
	if i := slices.IndexFunc(m.jobs, func(j *modelJob) bool { return j.excepted && j.onWorker(p) }); i >= 0 && c.moves() {
		failf("%s goes on after WORK_EXCEPTION", m.jobs[i].handle)
	}
	if c.kind == callPacket && c.typ == codec.PreSleep && p.slumber == up && !c.fallen && !c.again {
		failf("%s did not go to sleep", p.name)
	}
	sleeps := p.real.state.Load() == sleeping
	if sleeps != (p.slumber != up) {
		failf("%s sleeps: %v, should be: %v", p.name, sleeps, p.slumber != up)
	}
	if p.slumber == falling {
		p.slumber, p.worked = down, false
		for _, a := range p.abilities {
			a.hears = true
			if c.queued[a.function] {
				failf("%s sleeps beside a job of %s", p.name, a.function)
			}
		}
	}
	return due
}

// checkWoken checks how many workers the call has woken. Of a herd that depends on who is on the way, which
// only lines knows; that nobody sleeps beside a job is checked when all are at rest.
func (m *model) checkWoken(c *call) {
	if m.s.cfg.Herd > 0 {
		return
	}
	limit, worth := m.s.cfg.Wakeup, 0
	for _, n := range c.worth {
		worth += n
	}
	if n := len(c.woken) - c.extra; worth == 0 && len(c.woken) > 0 || limit >= 0 && n > limit*worth {
		failf("%d workers were woken by %d jobs", n, worth)
	}
	for f, n := range c.worth {
		if c.kind == callWake && !c.queued[f] {
			continue // at the moment that counts the queue may have been empty
		}
		able := 0
		for _, p := range c.woken {
			if p.ability(f) != nil {
				able++
			}
		}
		if s := c.sleepers[f]; len(s) > 0 && (limit < 0 || able < limit*n) {
			failf("%s slept through %d jobs of %s, and only %d were woken", s[0].name, n, f, able)
		}
	}
}

// finishPacket adds what is due in answer to a packet.
func (m *model) finishPacket(c *call, sent, due []packet) []packet {
	p, d := c.by, m.s.dialect
	reply := func(text string) { due = append(due, packet{p.real, text}) }
	switch {
	case isSubmission(c.typ):
		if !c.answered {
			failf("a submission was not answered")
		}
	case isResult(c.typ):
		j := m.byHandle(c.args[0])
		switch {
		case c.answered, c.late:
		case j == nil || !j.onWorker(p):
			reply(errorText(d.NotWorker(c.typ)))
		case c.typ == codec.WorkComplete || c.typ == codec.WorkFail:
			failf("%s was ended by its worker and is still there", j.handle)
		default:
			if c.typ == codec.WorkStatus {
				j.numerator, j.denominator = c.args[1], c.args[2]
			}
			j.excepted = j.excepted || c.typ == codec.WorkException
			due = j.each(due, c.typ.String()+" "+strings.Join(c.args, "|"), c.typ == codec.WorkException)
		}
	case c.typ == codec.GrabJob, c.typ == codec.GrabJobUniq, c.typ == codec.GrabJobAll:
		if c.assigned == nil {
			reply("NO_JOB")
		}
	case c.typ == codec.CanDo, c.typ == codec.CanDoTimeout:
		if refusal := (packet{p.real, errorText(d.QueueFull)}); slices.Contains(sent, refusal) && m.mayRefuse(costAbility+costFunction+len(c.args[0])) {
			due = append(due, refusal)
			if !c.added {
				failf("%s was refused an ability that it had", p.name)
			}
			c.added = false
			p.abilities = slices.DeleteFunc(p.abilities, func(a *modelAbility) bool { return a.function == c.args[0] })
		}
		if c.added && d.AbilityHears && p.slumber == down {
			p.ability(c.args[0]).hears = true
			if m.lines != nil {
				m.lines.order[c.args[0]] = append(m.lines.order[c.args[0]], p)
			}
		}
	case c.typ == codec.CantDo, c.typ == codec.ResetAbilities:
		p.abilities = slices.DeleteFunc(p.abilities, func(a *modelAbility) bool { return a.dropping })
	case c.typ == codec.OptionReq:
		if c.args[0] == "exceptions" {
			reply("OPTION_RES exceptions")
		} else {
			reply(errorText(d.UnknownOption))
		}
	case c.typ == codec.EchoReq:
		reply("ECHO_RES " + c.args[0])
	case c.typ == codec.GetStatus:
		reply("STATUS_RES " + c.args[0] + "|" + strings.Join(m.status(m.byHandle(c.args[0])), "|"))
	case c.typ == codec.GetStatusUnique:
		due = append(due, m.uniqueStatus(c, sent)...)
	}
	return due
}

// uniqueStatus returns the one of the right answers to GET_STATUS_UNIQUE that was given.
func (m *model) uniqueStatus(c *call, sent []packet) []packet {
	answer := func(j *modelJob, waiting int) packet {
		return packet{c.by.real, "STATUS_RES_UNIQUE " + c.args[0] + "|" + strings.Join(m.status(j), "|") + "|" + strconv.Itoa(waiting)}
	}
	var right []packet
	for _, j := range m.jobs {
		if j.key == c.args[0] {
			right = append(right, answer(j, j.waiting()))
		}
	}
	if len(c.same) == 0 || c.args[0] == "" {
		right = append(right, answer(nil, 0))
	}
	for _, r := range right {
		if slices.Contains(sent, r) {
			return []packet{r}
		}
	}
	return right
}
