package systest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gearloop/codec"
	"gearloop/test/await"
)

// ledger records what the clients and workers of a crash test know about the jobs: what was submitted,
// acknowledged, handed out and ended, in which run of the server. If it contradicts the promise of --data-dir
// the test fails.
type ledger struct {
	t       *testing.T
	dialect string

	backgroundOnly atomic.Bool // no foreground jobs are submitted

	mu      sync.Mutex
	run     int // of the server, the first is 1
	runs    []runEnd
	subs    map[int]*crashSubmission
	byKey   map[string]bool // keys of background submissions
	waited  map[string]bool // keys of foreground submissions
	jobs    map[string]*crashJob
	retired map[uint64]string // descriptions of jobs that are certainly gone, by number
	nextID  int
	acked   int
	handed  int
	faults  int
}

// runEnd is the end of a run of the server.
type runEnd struct {
	graceful bool
	at       time.Time // of the kill
}

// crashJob is one job, by its handle.
type crashJob struct {
	handle   string
	sub      *crashSubmission // the submission that made it; nil while unknown
	joined   []*crashSubmission
	promised bool // acknowledged as a background job, or seen by a worker
	ackRun   int  // last run in which it was acknowledged, handed out, said to be at its end
	seenRun  int
	endRun   int
	sureEnd  time.Time // since when the server certainly knows that it ended
	handed   bool
}

func newLedger(t *testing.T, dialect string) *ledger {
	return &ledger{
		t: t, dialect: dialect, runs: []runEnd{{}}, subs: map[int]*crashSubmission{}, byKey: map[string]bool{},
		waited: map[string]bool{},
		jobs:   map[string]*crashJob{}, retired: map[uint64]string{},
	}
}

// fault fails the test; the ledger is locked. Only the first faults are reported, because others follow from
// them.
func (l *ledger) fault(format string, args ...any) {
	l.t.Helper()
	if l.faults++; l.faults <= 10 {
		l.t.Errorf("run %d: %s", l.run, fmt.Sprintf(format, args...))
	} else {
		l.t.Fail()
	}
}

func (s *crashSubmission) background() bool {
	return s.typ != codec.SubmitJob && s.typ != codec.SubmitJobHigh && s.typ != codec.SubmitJobLow
}

func (s *crashSubmission) String() string {
	return fmt.Sprintf("submission %d (%v of %s, unique id %.40q, %d bytes, connection %d, run %d)",
		s.id, s.typ, s.function, s.unique, s.size, s.client, s.run)
}

// submit notes a submission that will be sent.
func (l *ledger) submit(s *crashSubmission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextID++
	s.id, s.run = l.nextID, l.run
	l.subs[s.id] = s
	if key := s.key(); key != "" && s.background() {
		l.byKey[key] = true
	} else if key != "" {
		l.waited[key] = true
	}
}

// job returns the job of a handle, which may be new. The ledger is locked.
func (l *ledger) job(handle string) *crashJob {
	j := l.jobs[handle]
	if j == nil {
		if how, gone := l.retired[numberOf(handle)]; gone {
			l.fault("handle %s is there again: %s", handle, how)
		}
		j = &crashJob{handle: handle}
		l.jobs[handle] = j
	}
	return j
}

func numberOf(handle string) uint64 {
	n, _ := strconv.ParseUint(handle[strings.LastIndexByte(handle, ':')+1:], 10, 64)
	return n
}

// made notes which submission made a job. The ledger is locked.
func (l *ledger) made(j *crashJob, s *crashSubmission) {
	switch {
	case j.sub == s:
	case j.sub != nil && s.key() != "" && j.sub.key() == s.key() && !j.sub.background() && s.background():
		// A foreground job that was running already is stored with the argument of the submission that joined it.
	case j.sub != nil:
		l.fault("handle %s is that of two jobs: %v and %v", j.handle, j.sub, s)
	case s.made != "":
		l.fault("%v made two jobs: %s and %s", s, s.made, j.handle)
	case s.answered != "" && s.answered != j.handle:
		l.fault("%v was told %s and is done as %s", s, s.answered, j.handle)
	}
	j.sub, s.made = s, j.handle
	for _, other := range j.joined {
		if other.key() != s.key() {
			l.fault("%v was told the handle %s of %v", other, j.handle, s)
		}
	}
}

// acknowledged notes JOB_CREATED.
func (l *ledger) acknowledged(s *crashSubmission, handle string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.job(handle)
	s.answered = handle
	switch {
	case s.made != "" && s.made != handle:
		l.fault("%v was told %s and is done as %s", s, handle, s.made)
	case s.unique == "":
		l.made(j, s)
	case j.sub != nil && j.sub.key() != s.key():
		l.fault("%v was told the handle %s of %v", s, handle, j.sub)
	case j.sub == nil && len(j.joined) > 0 && j.joined[0].key() != s.key():
		l.fault("%v was told the same handle %s as %v", s, handle, j.joined[0])
	}
	j.joined = append(j.joined, s)
	if s.background() {
		l.acked++
		j.promised, j.ackRun = true, l.run
	}
}

// assignment is a job as a worker got it. Fields that its packet does not have are not checked.
type assignment struct {
	typ                                 codec.Type
	handle, function, unique, reducer   string
	argument                            []byte
	hasUnique, hasReducer, firstHandOut bool
	sub                                 *crashSubmission
	job                                 *crashJob
}

// assigned notes that a worker has got a job.
func (l *ledger) assigned(a *assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handed++
	j := l.job(a.handle)
	a.job, a.firstHandOut = j, !j.handed
	if text, _, found := bytes.Cut(a.argument, []byte(":")); found {
		id, _ := strconv.Atoi(string(text))
		if s := l.subs[id]; s != nil {
			l.made(j, s)
		}
	}
	a.sub = j.sub
	switch s := j.sub; {
	case s == nil && len(a.argument) > 0:
		l.fault("job %s of %s with an argument that nobody submitted: %.100q (%d bytes)",
			a.handle, a.function, a.argument, len(a.argument))
	case s == nil:
	case len(a.argument) == 0 && !s.background() && l.byKey[s.key()]:
		// A foreground job that was running already is stored with the argument of the background submission that
		// joined it, which may be empty and then does not identify it.
	case a.function != s.function:
		l.fault("%v was handed out as one of %s", s, a.function)
	case !bytes.Equal(a.argument, s.argument()):
		l.fault("%v was handed out with another argument (%d bytes)", s, len(a.argument))
	case a.hasUnique && a.unique != s.shown(l.dialect) && !(a.unique == "" && l.predecessor(j)):
		l.fault("%v was handed out with the unique id %q", s, a.unique)
	case a.hasReducer && a.reducer != s.reducer:
		l.fault("%v was handed out with the reducer %q, not %q", s, a.reducer, s.reducer)
	case s.due > time.Now().Unix():
		l.fault("%v was handed out before its time", s)
	case !s.background() && s.run < l.run && !l.byKey[s.key()]:
		l.fault("%v was a foreground job of run %d", s, s.run)
	}
	if l.surelyGone(j) || j.endRun == l.run && !j.sureEnd.IsZero() {
		l.fault("job %s is handed out although it ended in run %d", a.handle, j.endRun)
	}
	if j.sub != nil && j.sub.background() {
		j.promised = true
	}
	j.handed, j.seenRun, j.sureEnd = true, l.run, time.Time{}
}

// predecessor reports whether an earlier job with the same unique id has ended: if that was not stored, both
// jobs return, and one loses the id. The ledger is locked.
func (l *ledger) predecessor(j *crashJob) bool {
	for _, other := range l.jobs {
		if other != j && other.endRun > 0 && other.sub != nil && other.sub.key() == j.sub.key() {
			return true
		}
	}
	return false
}

// ending records that a worker is about to send the end of a job.
func (l *ledger) ending(j *crashJob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j.endRun, j.sureEnd = l.run, time.Time{}
}

// ended records that the server has received the ends of these jobs.
func (l *ledger) ended(jobs []*crashJob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range jobs {
		if j.endRun == l.run {
			j.sureEnd = time.Now()
		}
	}
}

// ordered reports whether a job's position is known. A delayed job has none, nor one that a foreground
// submission may have made, because its argument may be another's. The ledger is locked.
func (l *ledger) ordered(j *crashJob) bool {
	return j.sub != nil && j.sub.due == 0 && j.sub.background() && !l.waited[j.sub.key()]
}

// alive reports whether a job must exist: it was promised, and nobody reported its end. The ledger is locked.
func (l *ledger) alive(j *crashJob) bool {
	return j.promised && (j.endRun == 0 || max(j.ackRun, j.seenRun) > j.endRun)
}

// lasting is how old the end of a job must be to survive a crash, because ends are written later.
var lasting = await.Scaled(5 * time.Second)

// surelyGone reports whether a job must not return: its end was known well before an earlier run ended. The
// ledger is locked.
func (l *ledger) surelyGone(j *crashJob) bool {
	if j.sureEnd.IsZero() || j.endRun >= l.run {
		return false
	}
	end := l.runs[j.endRun]
	return end.graceful || end.at.Sub(j.sureEnd) > lasting
}

// begin notes the begin of a run.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run++
	l.runs = append(l.runs, runEnd{})
}

// end notes the end of a run, when nobody is connected any more.
func (l *ledger) end(graceful bool, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[l.run] = runEnd{graceful, at}
	l.run++ // what is asked now concerns the next
	defer func() { l.run-- }()
	for handle, j := range l.jobs {
		how := ""
		switch {
		case l.foreground(j):
			how = fmt.Sprintf("it was a foreground job of run %d", l.run-1)
		case l.surelyGone(j):
			how = fmt.Sprintf("it ended in run %d, %v before its end (graceful: %v)", j.endRun, at.Sub(j.sureEnd), graceful)
		default:
			continue
		}
		l.retired[numberOf(handle)] = how
		delete(l.jobs, handle)
		for _, s := range append(j.joined, j.sub) {
			if s != nil {
				delete(l.subs, s.id)
			}
		}
	}
}

// foreground reports whether no background submission concerns a job. The ledger is locked.
func (l *ledger) foreground(j *crashJob) bool {
	s := j.sub
	if s == nil && len(j.joined) > 0 {
		s = j.joined[0]
	}
	return s != nil && !s.background() && !l.byKey[s.key()]
}

// backlog returns how many jobs there may be.
func (l *ledger) backlog() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.jobs)
}

// living returns the jobs that must be there.
func (l *ledger) living() []*crashJob {
	l.mu.Lock()
	defer l.mu.Unlock()
	var jobs []*crashJob
	for _, j := range l.jobs {
		if l.alive(j) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// gone returns some handles of jobs that must not be there.
func (l *ledger) gone(most int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var handles []string
	for _, prefix := range l.jobs {
		for n := range l.retired {
			if len(handles) == most {
				return handles
			}
			handles = append(handles, prefix.handle[:strings.LastIndexByte(prefix.handle, ':')+1]+strconv.FormatUint(n, 10))
		}
		break
	}
	return handles
}

// drained checks that every promise was kept.
func (l *ledger) drained() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.jobs {
		if j.promised && j.seenRun < j.ackRun {
			sub := "a submission nobody knows"
			if len(j.joined) > 0 {
				sub = j.joined[0].String()
			}
			l.fault("job %s was acknowledged in run %d and never done after: %s", j.handle, j.ackRun, sub)
		}
	}
}
