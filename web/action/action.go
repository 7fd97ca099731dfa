// Package action carries out operators' requests, from the API or a page. It acts, describes the result in
// one sentence, and records in the audit log who asked for what, why, and with which result. Package guard
// checks rights.
package action

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/monitor"
	"gearloop/internal/view"
	"gearloop/sched"
	"gearloop/web/guard"
)

const (
	// auditKept is how many entries of the audit log are in memory.
	auditKept = 1000
	// submitTime bounds how long a submission may wait for the disk.
	submitTime = 30 * time.Second
	// maxReason is the longest reason, in bytes.
	maxReason = 1000
)

// Config configures the actions.
type Config struct {
	Source *view.Source
	Log    *slog.Logger
	// Dial connects to the broker as a client does.
	Dial func(context.Context) (net.Conn, error)
	// Drain ends the broker gracefully. Reload makes it read its files again and returns which could not be
	// read.
	Drain  func()
	Reload func() error
	Now    func() time.Time // nil means time.Now
	// Save saves the functions' settings for a restart. It is called by one goroutine at a time.
	Save func() error
}

// Actions are the operators' actions on a broker. Any goroutine may call its methods. Errors are
// *api.Problem.
type Actions struct {
	cfg Config

	mu    sync.Mutex
	audit []api.AuditEntry // a ring of auditKept
	next  int              // index of the next entry
	done  map[Done]uint64

	saving sync.Mutex

	operations operations
}

// New returns the actions on a broker.
func New(cfg Config) *Actions {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Actions{cfg: cfg, done: map[Done]uint64{}}
}

// Done is an action with its result: ok, or the title of a problem.
type Done struct{ Action, Result string }

// Done returns how often each action was asked for.
func (a *Actions) Done() map[Done]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.done)
}

// note writes an action to the audit log and to the log, and returns err.
func (a *Actions) note(who guard.Who, action, target, reason string, err error) error {
	return a.noteCount(who, action, target, reason, 0, err)
}

// noteCount is note for an action on several objects.
func (a *Actions) noteCount(who guard.Who, action, target, reason string, count int, err error) error {
	result := "ok"
	var problem *api.Problem
	if errors.As(err, &problem) {
		result = problem.Title
	}
	e := api.AuditEntry{
		At: a.cfg.Now().UTC(), By: who.Name, Role: who.Role.String(), Action: action,
		Target: monitor.Printable(target), Reason: monitor.Printable(reason[:min(len(reason), maxReason)]), Result: result, Count: count,
	}
	a.cfg.Log.Info("asked for by an operator", "action", action, "target", e.Target, "by", e.By, "role", e.Role,
		"reason", e.Reason, "result", result, "count", count)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.audit) < auditKept {
		a.audit = append(a.audit, e)
	} else {
		a.audit[a.next] = e
	}
	a.next = (a.next + 1) % auditKept
	a.done[Done{action, result}]++
	return err
}

// Audit returns the latest entries of the audit log, newest first.
func (a *Actions) Audit(limit int) []api.AuditEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := []api.AuditEntry{}
	for i := 1; i <= min(limit, len(a.audit)); i++ {
		all = append(all, a.audit[(a.next-i+auditKept)%auditKept])
	}
	return all
}

// Cancel ends a job: its listeners get WORK_FAIL, and it leaves the store. A worker that has it continues,
// and its result is dropped.
func (a *Actions) Cancel(ctx context.Context, who guard.Who, handle, reason string) (said string, err error) {
	j, ok := a.cfg.Source.Job(handle)
	if ok {
		ok = false
		a.cfg.Source.Reactor().Act(func(now time.Time, fx *sched.Effects) {
			ok = a.cfg.Source.Sched().Cancel(handle, now, fx) || ok
		})
	}
	if !ok {
		said, err = a.cancelElsewhere(ctx, handle)
		return said, a.note(who, "cancel", handle, reason, err)
	}
	said = "The job has ended."
	if j.State == api.JobRunning {
		said = "The job has failed. Its worker goes on, and its result is dropped."
	}
	return said, a.note(who, "cancel", handle, reason, nil)
}

// Disconnect closes a connection. Its worker loses the jobs in hand.
func (a *Actions) Disconnect(_ context.Context, who guard.Who, id, reason string) (said string, err error) {
	p := a.cfg.Source.Peer(id)
	if p == nil {
		err = guard.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no connection %q: it has ended, or never was", monitor.Printable(id)))
		return "", a.note(who, "disconnect", id, reason, err)
	}
	a.cfg.Source.Reactor().Disconnect(p)
	return "The connection is closed.", a.note(who, "disconnect", id, reason, nil)
}

// Submit submits a background job and returns its handle once it is acknowledged.
func (a *Actions) Submit(ctx context.Context, who guard.Who, function string, s *api.Submit) (handle string, err error) {
	handle, err = a.submit(ctx, function, s)
	return handle, a.note(who, "submit", function, s.Reason, err)
}

func (a *Actions) submit(ctx context.Context, function string, s *api.Submit) (string, error) {
	unique, argument := api.Join(s.Unique, s.UniqueBase64), api.Join(s.Argument, s.ArgumentBase64)
	kind, ok := map[string]codec.Type{
		"": codec.SubmitJobBg, "normal": codec.SubmitJobBg, "high": codec.SubmitJobHighBg, "low": codec.SubmitJobLowBg,
	}[s.Priority]
	args := []string{function, unique}
	switch {
	case badName(function) != nil:
		return "", badName(function)
	case strings.IndexByte(unique, 0) >= 0 || len(unique) > sched.MaxUnique:
		return "", guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("a unique id has at most %d bytes, and none that is NUL", sched.MaxUnique))
	case !ok:
		return "", guard.NewProblem(http.StatusBadRequest, fmt.Sprintf("priority is %q: it must be high, normal or low", s.Priority))
	case s.Due != nil && kind != codec.SubmitJobBg:
		return "", guard.NewProblem(http.StatusBadRequest, "a job for later has normal priority: the protocol has no other")
	case s.Due != nil:
		kind = codec.SubmitJobEpoch
		args = append(args, fmt.Sprint(s.Due.Unix()))
	}
	ctx, cancel := context.WithTimeout(ctx, submitTime)
	defer cancel()
	c, err := a.cfg.Dial(ctx)
	if err != nil {
		return "", guard.NewProblem(http.StatusServiceUnavailable, "the broker takes no connection: "+err.Error())
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(codec.AppendRequest(nil, kind, append(args, argument)...)); err != nil {
		return "", guard.NewProblem(http.StatusServiceUnavailable, "the broker does not answer: "+err.Error())
	}
	p, err := codec.ReadResponse(bufio.NewReader(c), 64<<10)
	switch {
	case err != nil:
		return "", guard.NewProblem(http.StatusServiceUnavailable, "the broker does not answer: "+err.Error())
	case p.Type == codec.Error:
		status := http.StatusServiceUnavailable
		if p.Args(2)[0] == "invalid_args" {
			status = http.StatusBadRequest
		}
		return "", guard.NewProblem(status, "the broker refuses the job: "+monitor.Printable(strings.Join(p.Args(2), " ")))
	case p.Type != codec.JobCreated:
		return "", guard.NewProblem(http.StatusBadGateway, "the broker answers with "+p.Type.String())
	}
	return string(p.Data), nil
}

// Drain ends the broker gracefully, when no job waits or runs.
func (a *Actions) Drain(_ context.Context, who guard.Who, reason string) error {
	a.cfg.Drain()
	return a.note(who, "drain", "", reason, nil)
}

// Reload makes the broker reopen its log and read certificates and tokens again.
func (a *Actions) Reload(_ context.Context, who guard.Who, reason string) error {
	if err := a.cfg.Reload(); err != nil {
		detail := monitor.Printable(strings.ReplaceAll(err.Error(), "\n", "; "))
		return a.note(who, "reload", "", reason, guard.NewProblem(http.StatusInternalServerError, detail))
	}
	return a.note(who, "reload", "", reason, nil)
}
