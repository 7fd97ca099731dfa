package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/test/await"
	"gearloop/test/wire"
)

// operate starts an operation, which must be accepted.
func (r *rig) operate(in api.Operation) (op api.Operation) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Limit)
	defer cancel()
	if err := r.client.Post(ctx, "operations", in, &op); err != nil {
		r.t.Fatalf("%+v: %v", in, err)
	}
	return op
}

// ended waits until an operation has ended.
func (r *rig) ended(id string) (op api.Operation) {
	r.t.Helper()
	await.Until(r.t, "the operation has ended", func() bool {
		op = get[api.Operation](r, api.Path("operations", id), nil)
		return op.Finished != nil
	})
	return op
}

// TestOperation: jobs are counted, and changed once their number is confirmed. Later jobs are not touched.
// The audit log has the result.
func TestOperation(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	for i := range 150 {
		c.Submit(codec.SubmitJobBg, "old", fmt.Sprint(i), "x")
		c.Submit(codec.SubmitJobBg, "other", fmt.Sprint(i), "x")
	}
	counted := r.operate(api.Operation{Action: "cancel", Filter: api.JobFilter{Function: "o?d"}, DryRun: true})
	if counted.State != api.OperationCounted || counted.Matched != 150 || counted.Looked != 300 || counted.AsOf == nil || counted.ID != "" {
		t.Fatalf("counted %+v", counted)
	}
	if all := get[api.Page[api.Operation]](r, "operations", nil); len(all.Items) != 0 {
		t.Errorf("a dry run is kept: %+v", all)
	}
	for range 7 {
		c.Submit(codec.SubmitJobBg, "old", "", "later")
	}
	act := counted
	act.DryRun, act.Reason = false, "no longer wanted"
	few := 149
	for _, confirm := range []*int{nil, &few} {
		act.Confirm = confirm
		if p := r.fails("POST", "operations", nil, act); p.Status != 409 || !strings.Contains(p.Detail, "150 jobs match") {
			t.Errorf("not confirmed: %+v", p)
		}
	}
	act.Confirm = &counted.Matched
	op := r.ended(r.operate(act).ID)
	if op.State != api.OperationDone || op.Matched != 150 || op.Changed != 150 || op.Skipped != 0 || op.Remaining != 0 || op.By == "" ||
		op.Started == nil || op.Reason != act.Reason {
		t.Errorf("done %+v", op)
	}
	if f := get[api.Function](r, "functions/old", nil); f.Waiting != 7 || f.Ended["cancelled"] != 150 {
		t.Errorf("left %+v", f)
	}
	if f := get[api.Function](r, "functions/other", nil); f.Waiting != 150 {
		t.Errorf("of another function %+v", f)
	}
	// Up to a hundred jobs need no confirmation, but a wrong one is refused: more jobs are meant than somebody has seen.
	small := api.Operation{Action: "cancel", Filter: api.JobFilter{Function: "old"}, Confirm: new(int)}
	if p := r.fails("POST", "operations", nil, small); p.Status != 409 || !strings.Contains(p.Detail, "7 jobs match, and 0 were confirmed") {
		t.Errorf("wrongly confirmed: %+v", p)
	}
	op = r.ended(r.operate(api.Operation{Action: "priority", Priority: "high", Filter: api.JobFilter{Function: "old"}}).ID)
	if op.Changed != 7 {
		t.Errorf("%+v", op)
	}
	if f := get[api.Function](r, "functions/old", nil); f.High != 7 {
		t.Errorf("their priority: %+v", f)
	}
	all := get[api.Page[api.Operation]](r, "operations", nil)
	if len(all.Items) != 2 || all.Items[0].Action != "priority" || all.Items[1].Action != "cancel" {
		t.Errorf("operations %+v", all)
	}
	var told []string
	for _, e := range get[api.Page[api.AuditEntry]](r, "audit", nil).Items {
		told = append(told, fmt.Sprint(e.Action, " ", e.Target, " ", e.Count, " ", e.Result, " ", e.Reason))
	}
	if got, want := strings.Join(told, "\n"), "bulk priority old 7 ok \nbulk cancel old 0 Conflict \nbulk cancel o?d 150 ok no longer wanted\nbulk cancel o?d 0 Conflict no longer wanted\n"+
		"bulk cancel o?d 0 Conflict no longer wanted"; got != want {
		t.Errorf("audit:\n%s\nwant:\n%s", got, want)
	}
}

// TestOperationMistakes: each is rejected, and nothing is changed.
func TestOperationMistakes(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	c.Submit(codec.SubmitJobBg, "f", "", "x")
	later, negative := time.Now().Add(time.Hour), -1
	for says, op := range map[string]api.Operation{
		`action is ""`:                   {},
		`action is "purge everything"`:   {Action: "purge everything"},
		`priority is "top"`:              {Action: "priority", Priority: "top"},
		"priority is for the action":     {Action: "cancel", Priority: "low"},
		`state is "done"`:                {Action: "cancel", Filter: api.JobFilter{State: "done"}},
		"which has not come yet":         {Action: "cancel", AsOf: &later},
		"confirm is -1":                  {Action: "cancel", Confirm: &negative},
		"function has 2000 bytes":        {Action: "cancel", Filter: api.JobFilter{Function: strings.Repeat("*", 2000)}},
		"the filter has 200000 bytes":    {Action: "cancel", Filter: api.JobFilter{Argument: strings.Repeat("*", 200_000)}},
		"older_than_seconds is 1e+100: ": {Action: "cancel", Filter: api.JobFilter{OlderThan: func() *float64 { f := 1e100; return &f }()}},
	} {
		if p := r.fails("POST", "operations", nil, op); p.Status != 400 || !strings.Contains(p.Detail, says) {
			t.Errorf("%+v: %+v, want %s", op, p, says)
		}
	}
	for _, m := range []string{"GET operations/x", "DELETE operations/x", "POST operations/x/stop"} {
		method, path, _ := strings.Cut(m, " ")
		if p := r.fails(method, path, nil, nil); p.Status != 404 || !strings.Contains(p.Detail, "there is no operation") {
			t.Errorf("%s: %+v", m, p)
		}
	}
	if f := get[api.Function](r, "functions/f", nil); f.Waiting != 1 {
		t.Errorf("%+v", f)
	}
}

// TestOperationIsStopped: what a stopped operation has done stays; remaining jobs are not touched. Events
// report its progress. A running operation does not delay the end of the broker.
func TestOperationIsStopped(t *testing.T) {
	r := newRig(t)
	c := wire.Dial(t, r.server.Addr)
	const jobs = 20_000
	var batch []byte
	for i := range jobs {
		batch = codec.AppendRequest(batch, codec.SubmitJobBg, "f", "", "x")
		if i%1000 == 999 {
			c.Raw(batch)
			batch = batch[:0]
			for range 1000 {
				c.WantType(codec.JobCreated)
			}
		}
	}
	stream, err := r.client.Stream(context.Background(), "events", url.Values{"topic": {"operations", "totals"}}, "text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	all := jobs
	op := r.operate(api.Operation{Action: "priority", Priority: "low", Filter: api.JobFilter{Function: "f"}, Confirm: &all})
	var stopped api.Operation
	ctx := context.Background()
	if err := r.client.Post(ctx, api.Path("operations", op.ID, "stop"), api.Reason{Reason: "wrong ones"}, &stopped); err != nil {
		t.Fatal(err)
	}
	f := get[api.Function](r, "functions/f", nil)
	if stopped.Finished == nil || stopped.Changed != f.Low || stopped.Changed+stopped.Skipped+stopped.Remaining != jobs || f.Low+f.Normal != jobs {
		t.Errorf("stopped %+v, function %+v", stopped, f)
	}
	if err := r.client.Delete(ctx, api.Path("operations", op.ID), &stopped); err != nil || stopped.Changed != f.Low {
		t.Errorf("stopped again: %+v, %v", stopped, err)
	}
	seen := map[string]bool{}
	event := ""
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for (!seen["operations"] || !seen["totals"]) && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var told []api.Operation
		if ok && event == "operations" && json.Unmarshal([]byte(data), &told) == nil && told[0].ID == op.ID {
			seen[event] = true
		} else if ok && event == "totals" {
			seen[event] = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	r.operate(api.Operation{Action: "priority", Priority: "high", Filter: api.JobFilter{Function: "f"}, Confirm: &all})
	r.server.Stop()
}
