package sched

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// The model is the plainest description of what a server may do: one list of jobs, one of peers, and rules
// that search them. It knows neither shards nor queues nor locks. It follows the scheduler: segment gets what
// a call has done since it was last resumed, finds out which jobs have changed, and decides whether that and
// the packets sent are allowed.

// model is the expected state.
type model struct {
	s       *Sched
	jobs    []*modelJob // oldest first; those at their end are not in it
	peers   []*modelPeer
	byPeer  map[*Peer]*modelPeer
	bound   map[string]int       // maxqueue
	paused  map[string]time.Time // functions that are paused, and until when; zero = until they are resumed
	closed  map[string]time.Time // the same
	handles map[string]bool      // that were ever given
	// Places at which the last jobs were put in front of their queues and behind them.
	front, end int
	moment     int     // counts segments
	calls      []*call // under way
	lines      *lines  // predicts who is woken; nil when calls interleave
}

type modelJob struct {
	real                   *job // until it ends: then its memory may be another job's
	number                 uint64
	handle, function       string
	key, arg, reducer      string
	priority               priority
	background             bool
	listeners              []*modelPeer // one for each foreground submission
	state                  state
	worker                 *modelPeer
	deadline, due          time.Time
	excepted               bool // its worker said WORK_EXCEPTION
	losses                 int  // workers that it was taken from
	cancelled              int  // of one that is abandoned: the moment
	numerator, denominator string
	recalled               bool // an operator has it taken from its worker
	position               int  // in its queue: the lowest is the next
}

// slumber is a stage of going to sleep.
type slumber int

const (
	up      slumber = iota
	falling         // its call is in progress: for some functions it may already be woken
	down
)

type modelPeer struct {
	real       *Peer
	name       string
	slumber    slumber
	fell       int // moment when it last began to fall
	abilities  []*modelAbility
	turn       int
	exceptions bool
	gone       bool
	push       bool
	worked     bool // a job ended since its last sleep
	late       map[string]bool
}

type modelAbility struct {
	function string
	timeout  time.Duration
	hears    bool // was declared before the peer went to sleep
	dropping bool // its end is in progress
}

// call is one call of the scheduler.
type call struct {
	by   *modelPeer // nil: no peer
	kind callKind
	typ  codec.Type
	args []string
	job  submitted
	now  time.Time
	fx   *Effects
	seen int // packets of fx that were looked at

	answered bool      // the submission was answered, the result was taken
	fallen   bool      // its peer was seen to sleep since it began
	again    bool      // its peer was asleep when it said PRE_SLEEP
	late     bool      // it is a result that nobody waits for any more
	added    bool      // an ability was
	evicted  int       // jobs that had to go for the new one
	assigned *modelJob // was handed out
	shard    *shard    // of callRelease
	fn       *function // of callWake
	act      Act       // of callAct and callBulk
	acted    *modelJob // of callAct: what it was done with, to be noted
	// Of callBulk: selected jobs that existed from the beginning, in a suitable state ever since.
	meant []*modelJob

	// What has been true of a function ever since the call began, or at some time since.
	wanted, queued map[string]bool
	everQueued     bool
	unwanted       []*modelJob // queued, and nobody waits for them
	same           []*modelJob // jobs that had the unique id asked for

	// Wake-ups.
	began    int // the moment from which on it may wake
	worth    map[string]int
	sleepers map[string][]*modelPeer // of a function, from that moment on
	woken    []*modelPeer
	extra    int // of those, how many went to sleep after that moment
}

type callKind int

const (
	callPacket callKind = iota
	callPush
	callDisconnect
	callLimit   // Fire of a worker's timer
	callWake    // Fire of a function's timer
	callRelease // Fire of a shard's timer
	callBound   // SetMaxQueue
	callDrop    // DropUnwanted
	callCancel  // Cancel
	callTell    // Fire of a worker's timer: jobs of it were cancelled
	callForget  // DropFunction
	callSet     // PauseFunction, CloseFunction, OpenFunction
	callResume  // ResumeFunction
	callEnd     // Fire of the timer of a function's settings
	callLook    // anything that only looks
	callAct     // Do
	callBulk    // BulkWalk.Next
)

// submitted is what a submission asks for.
type submitted struct {
	function, key, arg, reducer string
	priority                    priority
	background                  bool
	due                         time.Time
	bad                         string // text of the error that must answer it
}

// wrong is how a model or a simulation reports a violation.
type wrong struct{ text string }

func failf(format string, a ...any) { panic(wrong{fmt.Sprintf(format, a...)}) }

func newModel(s *Sched) *model {
	return &model{s: s, byPeer: map[*Peer]*modelPeer{}, bound: map[string]int{}, paused: map[string]time.Time{}, closed: map[string]time.Time{}, handles: map[string]bool{}}
}

func (m *model) connect(p *Peer, name string) *modelPeer {
	mp := &modelPeer{real: p, name: name, late: map[string]bool{}, exceptions: m.s.cfg.Exceptions}
	m.peers = append(m.peers, mp)
	m.byPeer[p] = mp
	return mp
}

func (p *modelPeer) ability(function string) *modelAbility {
	for _, a := range p.abilities {
		if a.function == function {
			return a
		}
	}
	return nil
}

// submits reports whether the call is a submission.
func (c *call) submits() bool { return c.kind == callPacket && isSubmission(c.typ) }

// pulls reports whether the call asks for a job.
func (c *call) pulls() bool {
	return c.kind == callPacket && (c.typ == codec.GrabJob || c.typ == codec.GrabJobUniq || c.typ == codec.GrabJobAll)
}

// pushes reports whether the call reaches the point where an idle ALL_YOURS worker gets a job or is put to
// sleep.
func (c *call) pushes(m *model) bool {
	p := c.by
	if p == nil || !p.push || p.gone || len(p.late) > 0 ||
		slices.ContainsFunc(m.jobs, func(j *modelJob) bool { return j.onWorker(p) && j != c.assigned }) {
		return false
	}
	switch {
	case c.kind == callPush:
		return true
	case c.kind != callPacket:
		return false
	}
	return c.typ == codec.AllYours || c.added || c.answered && !c.submits()
}

// moves reports whether the call says that its worker has finished its last jobs, including those for which
// it sent only WORK_EXCEPTION.
func (c *call) moves() bool {
	return c.pulls() || c.kind == callPacket && c.typ == codec.PreSleep
}

// grabs reports whether the call may hand out a job to its peer.
func (c *call) grabs(m *model) bool { return c.pulls() || c.pushes(m) }

// onWorker reports whether the peer has the job.
func (j *modelJob) onWorker(p *modelPeer) bool {
	return (j.state == running || j.state == abandoned) && j.worker == p
}

func (j *modelJob) wanted() bool {
	return j.background || slices.ContainsFunc(j.listeners, func(p *modelPeer) bool { return !p.gone })
}

// queue returns the jobs of a function that wait, in the order in which they are to be handed out.
func (m *model) queue(function string) []*modelJob {
	var q []*modelJob
	for _, j := range m.jobs {
		if j.function == function && j.state == queued {
			q = append(q, j)
		}
	}
	slices.SortFunc(q, func(a, b *modelJob) int {
		if m.before(a, b) {
			return -1
		}
		return 1
	})
	return q
}

// before reports whether job a of a function has to be handed out before job b.
func (m *model) before(a, b *modelJob) bool {
	if a.priority != b.priority {
		return a.priority < b.priority
	}
	return a.position < b.position
}

// isPaused reports whether no job of a function may be handed out.
func (m *model) isPaused(function string) bool {
	_, is := m.paused[function]
	return is
}

func (m *model) isClosed(function string) bool {
	_, is := m.closed[function]
	return is
}

// isQueued reports whether a job of a function waits to be handed out.
func (m *model) isQueued(function string) bool {
	return !m.isPaused(function) && slices.ContainsFunc(m.jobs, func(j *modelJob) bool { return j.function == function && j.state == queued })
}

func (m *model) isWanted(function string) bool {
	return !m.isPaused(function) && slices.ContainsFunc(m.jobs, func(j *modelJob) bool {
		return j.function == function && j.state == queued && j.wanted()
	})
}

// resumed notes that a call has ended a pause: it wakes for each of the jobs that wait.
func (m *model) resumed(c *call, function string) {
	delete(m.paused, function)
	if n := len(m.queue(function)); n > 0 {
		c.worth[function] = n
	}
}

// wakes notes that a call wakes for one job of a function.
func (m *model) wakes(c *call, function string) {
	if !m.isPaused(function) {
		c.worth[function]++
	}
}

// same returns the job that a submission has to join.
func (m *model) same(function, key string) *modelJob {
	for _, j := range m.jobs {
		if key != "" && j.function == function && j.key == key {
			return j
		}
	}
	return nil
}

func (m *model) byHandle(handle string) *modelJob {
	for _, j := range m.jobs {
		if j.handle == handle {
			return j
		}
	}
	return nil
}

// asleep returns the peers that must be woken for a job of the function.
func (m *model) asleep(function string) []*modelPeer {
	var all []*modelPeer
	for _, p := range m.peers {
		if a := p.ability(function); p.slumber == down && !p.gone && a != nil && a.hears && !a.dropping {
			all = append(all, p)
		}
	}
	return all
}

// enqueue puts a job at the end of its queue, or in front.
func (j *modelJob) enqueue(m *model, front bool) {
	j.state, j.recalled = queued, false
	if front {
		m.front--
		j.position = m.front
	} else {
		m.end++
		j.position = m.end
	}
}

// each appends one packet for each listener that is still there.
func (j *modelJob) each(dst []packet, text string, exceptions bool) []packet {
	for _, p := range j.listeners {
		if !p.gone && (!exceptions || p.exceptions) {
			dst = append(dst, packet{p.real, text})
		}
	}
	return dst
}

func (j *modelJob) fail(dst []packet) []packet { return j.each(dst, "WORK_FAIL "+j.handle, false) }

// assignment is the packet with which a job is handed out.
func (j *modelJob) assignment(t codec.Type) string {
	unique := strings.TrimPrefix(j.key, "\x00")
	args := []string{j.handle, j.function, j.arg}
	name := "JOB_ASSIGN "
	switch {
	case t == codec.GrabJobAll && j.reducer != "":
		name, args = "JOB_ASSIGN_ALL ", []string{j.handle, j.function, unique, j.reducer, j.arg}
	case t == codec.GrabJobAll || t == codec.GrabJobUniq:
		name, args = "JOB_ASSIGN_UNIQ ", []string{j.handle, j.function, unique, j.arg}
	}
	return name + strings.ReplaceAll(strings.Join(args, "|"), "\x00", "|")
}

// status is what STATUS_RES tells of a job after the handle.
func (m *model) status(j *modelJob) []string {
	none := m.s.dialect.NoNumber
	if j == nil {
		return []string{"0", "0", none, none}
	}
	st := []string{"1", "0", j.numerator, j.denominator}
	if j.state == running || j.state == abandoned {
		st[1] = "1"
	}
	return st
}

func (j *modelJob) waiting() int {
	return len(j.each(nil, "", false))
}

// mayRefuse reports whether memory is so short that a request for more may be refused.
func (m *model) mayRefuse(cost int) bool {
	limit := m.s.cfg.MaxMemory
	if limit == 0 {
		return false
	}
	used := int64(0)
	for i := range m.s.shards {
		used += m.s.shards[i].memory
	}
	return used+int64(cost) > limit-limit/4
}

// read takes a submission apart.
func (m *model) read(t codec.Type, args []string, now time.Time) (sub submitted) {
	sub.function, sub.key, sub.priority = args[0], args[1], normal
	args = args[2:]
	switch t {
	case codec.SubmitJobHigh, codec.SubmitJobHighBg:
		sub.priority = high
	case codec.SubmitJobLow, codec.SubmitJobLowBg:
		sub.priority = low
	case codec.SubmitReduceJob, codec.SubmitReduceJobBack:
		sub.reducer, args = args[0], args[2:]
	case codec.SubmitJobEpoch:
		seconds, err := strconv.Atoi(args[0])
		if err != nil {
			sub.bad = m.s.dialect.InvalidArgs.Code + "|No such time."
		}
		if due := time.Unix(int64(seconds), 0); due.After(now) {
			sub.due = due
		}
		args = args[1:]
	}
	switch t {
	case codec.SubmitJobBg, codec.SubmitJobHighBg, codec.SubmitJobLowBg, codec.SubmitJobEpoch, codec.SubmitReduceJobBack:
		sub.background = true
	}
	sub.arg = args[0]
	if sub.key == "-" {
		sub.key = sub.arg
		switch {
		case sub.arg == "":
			sub.key = emptyKey
		case strings.Contains(sub.arg, "\x00"): // would be two arguments where it is shown
			sub.key = fmt.Sprintf("\x00sha256:%x", sha256.Sum256([]byte(sub.arg)))
		}
	}
	return sub
}

// errorText is an ERROR packet.
func errorText(e dialect.Error) string { return "ERROR " + e.Code + "|" + e.Text }
