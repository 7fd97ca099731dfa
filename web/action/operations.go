package action

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/internal/monitor"
	"gearloop/web/guard"
)

// Limits of operations.
const (
	operationsRunning = 4   // concurrent ones, including those that count
	operationsKept    = 100 // ended ones that are remembered
	// confirmFrom is the number of jobs from which on an operation must be confirmed.
	confirmFrom = 101
	countTime   = time.Minute
	// maxFilter is the largest filter of an operation, in bytes.
	maxFilter = 128 << 10
	// startTime is how long starting an operation waits for its end.
	startTime = 300 * time.Millisecond
	// recentlyEnded is how long an ended operation is listed with the running ones.
	recentlyEnded = 10 * time.Second
)

// operations holds the operations that run and the last that have ended.
type operations struct {
	mu      sync.Mutex
	all     []*operation // oldest first
	busy    int          // number that count or run
	begun   int          // number begun since the start of the process
	over    bool         // no new ones are accepted
	running sync.WaitGroup
}

// operation is a running or ended operation. The mutex guards its api.Operation.
type operation struct {
	now     api.Operation
	stop    chan struct{} // closed to stop it
	stopped bool
	ended   chan struct{}
}

// Operate counts the jobs that an operation selects. Unless DryRun is set it then begins to act on them, if
// there are at most 100 or the number was confirmed, and returns when it is over or after startTime. Errors
// are *api.Problem.
func (a *Actions) Operate(ctx context.Context, who guard.Who, in *api.Operation) (op api.Operation, err error) {
	if err := a.checkOperation(in); err != nil {
		return op, err
	}
	if err := a.operations.enter(); err != nil {
		return op, err
	}
	started := false
	defer func() {
		if !started {
			a.operations.leave()
		}
	}()
	op = api.Operation{
		Action: in.Action, Filter: in.Filter, Priority: in.Priority, AsOf: in.AsOf, DryRun: true, Confirm: in.Confirm,
		Reason: strings.ToValidUTF8(in.Reason[:min(len(in.Reason), maxReason)], "�"), By: who.Name, State: api.OperationCounted,
	}
	count, err := a.newBulk(&op)
	if err != nil {
		return op, err
	}
	asOf := count.AsOf().UTC()
	op.AsOf = &asOf
	if err := count.through(ctx); err != nil {
		return op, err
	}
	op.Matched, _, op.Looked = count.Counts()
	if in.DryRun {
		return op, nil
	}
	op.DryRun = false
	if wrong := unconfirmed(&op, in.Confirm); wrong != "" {
		return op, count.Note(who, guard.NewProblem(http.StatusConflict, wrong))
	}
	act, err := a.newBulk(&op)
	if err != nil {
		return op, err
	}
	started = true
	o := a.begin(who, &op, act)
	select {
	case <-o.ended:
	case <-time.After(startTime):
	case <-ctx.Done():
	}
	return a.operations.copy(o), nil
}

// checkOperation validates what newBulk does not.
func (a *Actions) checkOperation(in *api.Operation) error {
	f := &in.Filter
	size := len(f.Function) + len(f.FunctionBase64) + len(f.Unique) + len(f.UniqueBase64) + len(f.UniquePrefix) + len(f.State) + len(f.Priority) +
		len(f.Worker) + len(f.Argument) + len(f.ArgumentBase64)
	switch now := a.cfg.Now(); {
	case size > maxFilter:
		return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("the filter has %d bytes, the most is %d", size, maxFilter))
	case in.AsOf != nil && in.AsOf.After(now):
		return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("as_of is %s, which has not come yet", in.AsOf.Format(time.RFC3339Nano)))
	case in.Confirm != nil && *in.Confirm < 0:
		return guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("confirm is %d: it must be the number of jobs that match", *in.Confirm))
	}
	return nil
}

// unconfirmed returns why a counted operation may not begin, "" if it may. Fewer jobs than confirmed are none: they have
// ended since.
func unconfirmed(op *api.Operation, confirm *int) string {
	switch {
	case confirm != nil && *confirm < op.Matched:
		return fmt.Sprintf("%d jobs match, and %d were confirmed: send as_of %s and confirm %d with the rest of the request", op.Matched,
			*confirm, op.AsOf.Format(time.RFC3339Nano), op.Matched)
	case confirm == nil && op.Matched >= confirmFrom:
		return fmt.Sprintf("%d jobs match: to act on more than %d send as_of %s and confirm %d with the rest of the request", op.Matched,
			confirmFrom-1, op.AsOf.Format(time.RFC3339Nano), op.Matched)
	}
	return ""
}

// through takes all steps.
func (b *bulk) through(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	for b.Step() {
		if ctx.Err() != nil {
			return guard.NewProblem(http.StatusServiceUnavailable, "counting takes too long: narrow the filter")
		}
		runtime.Gosched() // yield to the event loops
	}
	return nil
}

// begin runs an operation in a goroutine of its own. The caller has entered it.
func (a *Actions) begin(who guard.Who, op *api.Operation, act steps) *operation {
	ops, now := &a.operations, a.cfg.Now().UTC()
	op.State, op.Started, op.Remaining, op.Looked = api.OperationRunning, &now, op.Matched, 0
	o := &operation{stop: make(chan struct{}), ended: make(chan struct{})}
	ops.mu.Lock()
	defer ops.mu.Unlock()
	ops.begun++
	op.ID = strconv.FormatInt(now.Unix(), 36) + "-" + strconv.Itoa(ops.begun) // unique across processes
	o.now = *op
	ops.all = append(ops.all, o)
	if ops.over {
		close(o.stop)
		o.stopped = true
	}
	ops.running.Go(func() { a.run(who, o, act) })
	return o
}

// steps is the part of bulk that runs it.
type steps interface {
	Step() (more bool)
	Counts() (matched, changed, looked int)
	Note(who guard.Who, err error) error
}

func (a *Actions) run(who guard.Who, o *operation, act steps) {
	ops := &a.operations
	state := api.OperationStopped
	for !isStopped(o.stop) {
		began := time.Now()
		more := act.Step()
		ops.mu.Lock()
		matched, changed, looked := act.Counts()
		o.now.Changed, o.now.Skipped, o.now.Looked = changed, matched-changed, looked
		o.now.Remaining = max(o.now.Matched-matched, 0)
		ops.mu.Unlock()
		if !more {
			state = api.OperationDone
			break
		}
		// It uses at most half of a core. Stopping it waits for this too.
		time.Sleep(time.Since(began))
	}
	_ = act.Note(who, nil) // which returns the error
	now := a.cfg.Now().UTC()
	ops.mu.Lock()
	o.now.State, o.now.Finished = state, &now
	if state == api.OperationDone {
		o.now.Remaining = 0
	}
	ops.mu.Unlock()
	ops.leave()
	close(o.ended)
}

func isStopped(stop chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// enter counts one more operation that counts or runs.
func (ops *operations) enter() error {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	switch {
	case ops.over:
		return guard.NewProblem(http.StatusServiceUnavailable, "the broker is ending")
	case ops.busy >= operationsRunning:
		return guard.NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("%d operations run already: wait for one to end, or stop it", ops.busy))
	}
	ops.busy++
	return nil
}

// leave undoes enter, and forgets the oldest operation if there are too many.
func (ops *operations) leave() {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	ops.busy--
	ended := func(o *operation) bool { return o.now.Finished != nil }
	for len(ops.all) > operationsKept+operationsRunning {
		oldest := slices.IndexFunc(ops.all, ended)
		ops.all = slices.Delete(ops.all, oldest, oldest+1)
	}
}

func (ops *operations) copy(o *operation) api.Operation {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	return o.now
}

// Operations returns the operations that run and the last that have ended, newest first.
func (a *Actions) Operations() []api.Operation {
	ops := &a.operations
	ops.mu.Lock()
	defer ops.mu.Unlock()
	all := make([]api.Operation, 0, len(ops.all))
	for _, o := range slices.Backward(ops.all) {
		all = append(all, o.now)
	}
	return all
}

// OperationsNow returns those that run or have ended recently, newest first.
func (a *Actions) OperationsNow() []api.Operation {
	now := a.cfg.Now()
	return slices.DeleteFunc(a.Operations(), func(o api.Operation) bool { return o.Finished != nil && now.Sub(*o.Finished) > recentlyEnded })
}

// Operation returns the operation with an id.
func (a *Actions) Operation(id string) (op api.Operation, err error) {
	o, err := a.operations.find(id)
	if err != nil {
		return op, err
	}
	return a.operations.copy(o), nil
}

func (ops *operations) find(id string) (*operation, error) {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	for _, o := range ops.all {
		if o.now.ID == id {
			return o, nil
		}
	}
	return nil, guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no operation %q: the last %d are kept", monitor.Printable(id), operationsKept))
}

// StopOperation stops an operation and returns its state; what it has done remains. changed says that it was
// running.
func (a *Actions) StopOperation(_ context.Context, who guard.Who, id, reason string) (op api.Operation, changed bool, err error) {
	o, err := a.operations.find(id)
	if err == nil {
		changed = a.operations.stop(o)
		<-o.ended
		op = a.operations.copy(o)
	}
	return op, changed, a.note(who, "stop operation", id, reason, err)
}

// stop stops an operation. changed says that it was running and nobody else had stopped it.
func (ops *operations) stop(o *operation) (changed bool) {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	if o.stopped || o.now.Finished != nil {
		return false
	}
	o.stopped = true
	close(o.stop)
	return true
}

// End stops all operations and waits for them.
func (a *Actions) End() {
	ops := &a.operations
	ops.mu.Lock()
	ops.over = true
	all := slices.Clone(ops.all)
	ops.mu.Unlock()
	for _, o := range all {
		ops.stop(o)
	}
	ops.running.Wait()
}
