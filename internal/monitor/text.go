package monitor

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gearloop/api"
	"gearloop/internal/client"
)

// Text is a Source that uses the text commands of any Gearman server.
type Text struct {
	Target client.Target
	Limit  time.Duration // for connecting, and for each answer

	mu      sync.Mutex
	conn    *client.Conn // nil: not connected, or broken
	handles atomic.Bool  // the last answer had handles and nothing else
}

// table asks for a table. If the connection broke since the last answer it reconnects once.
func (t *Text) table(ctx context.Context, command string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.conn == nil
	lines, err := t.ask(ctx, command)
	if err != nil && !fresh && t.conn == nil && ctx.Err() == nil {
		lines, err = t.ask(ctx, command)
	}
	return lines, err
}

func (t *Text) ask(ctx context.Context, command string) (lines []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.Limit)
	defer cancel()
	if t.conn == nil {
		if t.conn, err = client.Dial(ctx, t.Target); err != nil {
			return nil, err
		}
	}
	t.conn.Within(t.Limit)
	stop := context.AfterFunc(ctx, func() { t.conn.SetDeadline(time.Unix(1, 0)) })
	if command == "version" {
		line, err := t.conn.Line(command)
		lines = []string{line}
		stop()
		return lines, t.broken(err)
	}
	lines, err = t.conn.Table(command)
	stop()
	if err != nil && strings.Contains(err.Error(), "answers") {
		return nil, err // the connection is intact
	}
	return lines, t.broken(err)
}

// broken drops the connection after an error.
func (t *Text) broken(err error) error {
	if err == nil {
		return nil
	}
	t.conn.Close()
	t.conn = nil
	return fmt.Errorf("server %v: %w", t.Target, err)
}

// Server implements Source: the version, and sums of the tables.
func (t *Text) Server(ctx context.Context) (s api.Server, err error) {
	lines, err := t.table(ctx, "version")
	if err != nil {
		return s, err
	}
	s.Version = strings.TrimPrefix(strings.TrimPrefix(lines[0], "OK "), "v")
	functions, err := t.Functions(ctx, "")
	for _, f := range functions {
		s.Totals.Waiting += f.Waiting
		s.Totals.Running += f.Running
	}
	s.Totals.Functions, s.Now = len(functions), time.Now()
	return s, err
}

// Functions implements Source.
func (t *Text) Functions(ctx context.Context, match string) (all []api.Function, err error) {
	lines, err := t.table(ctx, "status")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		n := len(fields)
		if n < 4 {
			return nil, fmt.Errorf("server %v: %q in the answer to status", t.Target, line)
		}
		var f api.Function
		f.Name, f.NameBase64 = api.Split(strings.Join(fields[:n-3], "\t")) // a name may contain a tab
		for i, into := range []*int{&f.Total, &f.Running, &f.Workers} {
			if *into, err = strconv.Atoi(fields[n-3+i]); err != nil {
				return nil, fmt.Errorf("server %v: %q in the answer to status", t.Target, line)
			}
		}
		f.Waiting = max(f.Total-f.Running, 0)
		if matches(match, api.Join(f.Name, f.NameBase64)) {
			all = append(all, f)
		}
	}
	return all, nil
}

// Connections implements Source.
func (t *Text) Connections(ctx context.Context, workersOnly bool) (all []api.Connection, err error) {
	lines, err := t.table(ctx, "workers")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		head, functions, _ := strings.Cut(line, " :")
		fields := strings.SplitN(head, " ", 3)
		if len(fields) < 2 {
			return nil, fmt.Errorf("server %v: %q in the answer to workers", t.Target, line)
		}
		c := api.Connection{ID: fields[0], Address: fields[1], Functions: strings.Fields(functions)}
		if len(fields) == 3 && fields[2] != "-" {
			c.ClientID, c.ClientRaw = api.Split(strings.TrimSpace(fields[2]))
		}
		if c.FunctionsAll = len(c.Functions); c.FunctionsAll > 0 || !workersOnly {
			all = append(all, c)
		}
	}
	return all, nil
}

// Top implements Source: it fetches everything and sorts it here.
func (t *Text) Top(ctx context.Context, q TopQuery) (*snapshot, error) {
	shot := &snapshot{query: q, at: time.Now()}
	var err error
	if shot.server, err = t.Server(ctx); err != nil {
		return nil, err
	}
	if q.view == viewWorkers {
		shot.workers, err = t.Connections(ctx, true)
		shot.total = len(shot.workers)
		return shot, err
	}
	shot.functions, err = t.Functions(ctx, "")
	shot.total = len(shot.functions)
	return shot, err
}

// Jobs implements Source. Jobs of the Perl server have no handles, jobs of the C server have nothing else.
func (t *Text) Jobs(ctx context.Context, filter api.JobFilter, limit int) (all []api.Job, more bool, err error) {
	lines, err := t.table(ctx, "jobs")
	perl := err == nil
	t.handles.Store(!perl)
	if err != nil {
		if lines, err = t.table(ctx, "show jobs"); err != nil {
			return nil, false, err
		}
	}
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		j := api.Job{Handle: fields[0], State: api.JobWaiting}
		if n := len(fields); perl && n >= 4 {
			j = api.Job{State: api.JobWaiting}
			j.Function, j.FunctionBase64 = api.Split(fields[0])
			j.Unique, j.UniqueBase64 = api.Split(strings.Join(fields[1:n-2], "\t"))
			j.Listeners, _ = strconv.Atoi(fields[n-1])
			if worker := fields[n-2]; worker != "-" {
				j.State, j.Worker = api.JobRunning, &api.PeerRef{Address: worker}
			}
		}
		switch name := api.Join(j.Function, j.FunctionBase64); {
		case filter.Function != "" && !matches(filter.Function, name),
			filter.State != "" && filter.State != j.State,
			filter.Unique != "" && filter.Unique != j.Unique:
		case len(all) == limit:
			return all, true, nil
		default:
			all = append(all, j)
		}
	}
	return all, false, nil
}

// Has implements Source: the text protocol provides none of it except handles on a C server.
func (t *Text) Has(k Knowledge) bool { return k == Handles && t.handles.Load() }

func (t *Text) String() string {
	if host, port, err := net.SplitHostPort(t.Target.Address); err == nil && t.Target.Network == "tcp" && port == client.DefaultPort {
		return host
	}
	return t.Target.String()
}

// Close closes the connection.
func (t *Text) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}
