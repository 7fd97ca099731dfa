package action

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"gearloop/api"
	"gearloop/test/await"
	"gearloop/web/guard"
)

// walk is a bulk of a hundred jobs. Each step changes nine and comes too late for one. It waits for
// permission before each step. Once it is idle it changes nothing more, and waits for nothing.
type walk struct {
	leave chan struct{}
	idle  chan struct{}
	took  int
	noted int
}

func (w *walk) Step() bool {
	select {
	case <-w.idle:
		return true
	case <-w.leave:
	}
	w.took++
	return w.took < 10
}
func (w *walk) Counts() (matched, changed, looked int) { return 10 * w.took, 9 * w.took, 20 * w.took }
func (w *walk) Note(guard.Who, error) error            { w.noted++; return nil }

func newWalk() *walk { return &walk{leave: make(chan struct{}, 100), idle: make(chan struct{})} }

func (w *walk) steps(n int) {
	for range n {
		w.leave <- struct{}{}
	}
}

func bulks(t *testing.T) *Actions {
	t.Helper()
	return New(Config{Log: slog.New(slog.DiscardHandler)})
}

// start starts an operation on a hundred jobs.
func (a *Actions) start(t *testing.T, w *walk) *operation {
	t.Helper()
	if err := a.operations.enter(); err != nil {
		t.Fatal(err)
	}
	return a.begin(guard.Who{Name: "ann"}, &api.Operation{Action: "cancel", Matched: 100}, w)
}

// TestOperationsAreStopped: a running operation is stopped between two steps. What it has done is reported,
// and logged once.
func TestOperationsAreStopped(t *testing.T) {
	a, w := bulks(t), newWalk()
	o := a.start(t, w)
	id := a.operations.copy(o).ID
	w.steps(3)
	await.Until(t, "three steps are taken", func() bool { return a.operations.copy(o).Looked == 60 })
	if now := a.operations.copy(o); now.State != api.OperationRunning || now.Changed != 27 || now.Skipped != 3 || now.Remaining != 70 {
		t.Errorf("running: %+v", now)
	}
	close(w.idle)
	op, changed, err := a.StopOperation(context.Background(), guard.Who{Name: "bob"}, id, "")
	if err != nil || !changed || op.State != api.OperationStopped || op.Changed != 27 || op.Finished == nil || op.Remaining != 70 {
		t.Errorf("stopped: %+v, %v, %v", op, changed, err)
	}
	if again, changed, err := a.StopOperation(context.Background(), guard.Who{}, id, ""); err != nil || changed || again.Changed != op.Changed {
		t.Errorf("stopped again: %+v, %v, %v", again, changed, err)
	}
	if w.noted != 1 {
		t.Errorf("noted %d times", w.noted)
	}
	a.End()
}

// TestOperationsAreBounded: the numbers of operations that run and that are remembered are bounded. Running
// ones are never forgotten.
func TestOperationsAreBounded(t *testing.T) {
	a := bulks(t)
	first := newWalk()
	running := a.start(t, first)
	var last string
	for range 2*operationsKept + operationsRunning {
		w := newWalk()
		w.steps(10)
		o := a.start(t, w)
		<-o.ended
		last = a.operations.copy(o).ID
	}
	all := a.Operations()
	if len(all) > operationsKept+operationsRunning+1 || all[0].ID != last || all[len(all)-1].ID != running.now.ID {
		t.Errorf("%d are kept, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	if all[0].State != api.OperationDone || all[0].Changed != 90 || all[0].Skipped != 10 || all[0].Remaining != 0 {
		t.Errorf("done: %+v", all[0])
	}
	walks := []*walk{first}
	for len(walks) < operationsRunning {
		walks = append(walks, newWalk())
		a.start(t, walks[len(walks)-1])
	}
	var p *api.Problem
	if err := a.operations.enter(); !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("one more than %d: %v", operationsRunning, err)
	}
	if now := a.OperationsNow(); len(now) < operationsRunning {
		t.Errorf("%d now", len(now))
	}
	for _, w := range walks {
		close(w.idle)
	}
	a.End()
	states := map[string]int{}
	for _, o := range a.Operations() {
		states[o.State]++
	}
	if states[api.OperationStopped] != operationsRunning || states[api.OperationRunning] != 0 {
		t.Errorf("after the end: %s", fmt.Sprint(states))
	}
	if err := a.operations.enter(); !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("after the end: %v", err)
	}
}
