package view

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gearloop/api"
	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/sched"
)

// rig is a scheduler with a source, and a clock that stands still.
type rig struct {
	tb     testing.TB
	sched  *sched.Sched
	source *Source
	now    time.Time
	fx     sched.Effects
	sent   map[*sched.Peer][]string // arguments of packets
}

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func newRig(tb testing.TB) *rig {
	r := &rig{tb: tb, now: start, sent: map[*sched.Peer][]string{}}
	r.sched = sched.New(sched.Config{Dialect: dialect.Perl, HandlePrefix: "H:t", Start: start, Wakeup: 3, WakeupDelay: -1})
	r.source = New(Config{Sched: r.sched, Version: "1", Now: func() time.Time { return r.now }, Started: start})
	return r
}

func (r *rig) connect() *sched.Peer {
	p := &sched.Peer{}
	r.sched.Connect(p)
	return p
}

// do sends a packet from a peer and returns the answers.
func (r *rig) do(p *sched.Peer, t codec.Type, args ...string) []string {
	r.sched.Handle(p, t, payload.Borrow([]byte(strings.Join(args, "\x00"))), r.now, &r.fx)
	for i := range r.fx.Packets {
		packet := &r.fx.Packets[i]
		r.sent[packet.To] = append(r.sent[packet.To], string(packet.Body.Append(append([]byte(nil), r.fx.Args(packet)...))))
		packet.Body.Release()
	}
	r.fx.Reset()
	got := r.sent[p]
	r.sent[p] = nil
	return got
}

// submit returns the handle of a background job.
func (r *rig) submit(p *sched.Peer, function, unique, argument string) string {
	r.tb.Helper()
	got := r.do(p, codec.SubmitJobBg, function, unique, argument)
	if len(got) != 1 || !strings.HasPrefix(got[0], "H:t:") {
		r.tb.Fatalf("submitting to %q: %q", function, got)
	}
	return got[0]
}

// all returns the handles on all pages.
func (r *rig) all(q JobQuery, between func(page int)) (handles []string) {
	r.tb.Helper()
	for n := 0; ; n++ {
		page, err := r.source.Jobs(q)
		if err != nil {
			r.tb.Fatal(err)
		}
		for _, j := range page.Items {
			handles = append(handles, j.Handle)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return handles
		}
		if between != nil {
			between(n)
		}
	}
}

// Jobs that exist from the first page to the last are returned exactly once, whatever comes and goes
// meanwhile.
func TestJobsInPages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		c := r.connect()
		stay := map[string]bool{}
		var leave []string // these will
		for i := range rapid.IntRange(0, 300).Draw(rt, "jobs") {
			function := fmt.Sprint("f", rapid.IntRange(0, 5).Draw(rt, "function"))
			h := r.submit(c, function, "", "x")
			if i%3 == 0 {
				leave = append(leave, h)
			} else {
				stay[h] = true
			}
		}
		seen := map[string]int{}
		for _, h := range r.all(JobQuery{Limit: rapid.IntRange(1, 50).Draw(rt, "limit")}, func(page int) {
			if page > 100 {
				return // otherwise each page would have one more
			}
			if len(leave) > 0 {
				r.sched.Cancel(leave[0], r.now, &r.fx)
				r.fx.Reset()
				leave = leave[1:]
			}
			r.submit(c, "f0", "", "y")
		}) {
			seen[h]++
		}
		for h := range stay {
			if seen[h] != 1 {
				rt.Fatalf("%s came %d times", h, seen[h])
			}
		}
		for h, n := range seen {
			if n != 1 {
				rt.Fatalf("%s came %d times", h, n)
			}
		}
	})
}

// A page that finds little says how far it looked, and the next continues there.
func TestJobsBudget(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	const jobs = 3*jobsLooked/2 + 10
	for i := range jobs {
		function := "common"
		if i%(jobs/4) == 7 {
			function = "rare"
		}
		r.submit(c, function, "", "")
	}
	q := JobQuery{JobFilter: api.JobFilter{State: "running"}}
	looked, pages := 0, 0
	for {
		page, err := r.source.Jobs(q)
		if err != nil || len(page.Items) > 0 {
			t.Fatal(page.Items, err)
		}
		if page.Looked > jobsLooked+1000 {
			t.Errorf("a page looks at %d jobs", page.Looked)
		}
		looked += page.Looked
		pages++
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if looked != jobs || pages != 2 {
		t.Errorf("looked at %d of %d jobs on %d pages", looked, jobs, pages)
	}
	page, err := r.source.Jobs(JobQuery{JobFilter: api.JobFilter{Function: "rare"}})
	if err != nil || len(page.Items) != 4 || page.Next != "" || page.Looked > 4+10 && page.Looked >= jobs {
		t.Errorf("%d jobs of the rare function, looked at %d, %v", len(page.Items), page.Looked, err)
	}
}

func TestJobFilters(t *testing.T) {
	r := newRig(t)
	c, w := r.connect(), r.connect()
	old := r.submit(c, "resize/large", "u1", "cat.jpg")
	r.now = r.now.Add(time.Minute)
	r.do(w, codec.CanDo, "busy")
	running := r.submit(c, "busy", "u2", "x")
	r.do(w, codec.GrabJob)
	hostile := r.submit(c, "\xff<script>", "u1", "dog")
	r.do(c, codec.SubmitJobHighBg, "resize/small", "u3", "catalogue")
	older := func(seconds float64) *float64 { return &seconds }
	for _, f := range []struct {
		filter api.JobFilter
		want   int
		one    string
	}{
		{api.JobFilter{}, 4, ""},
		{api.JobFilter{Function: "resize*"}, 2, ""},
		{api.JobFilter{Function: "resize/large"}, 1, old},
		{api.JobFilter{FunctionBase64: []byte("\xff<script>")}, 1, hostile},
		{api.JobFilter{State: "running"}, 1, running},
		{api.JobFilter{State: "waiting"}, 3, ""},
		{api.JobFilter{Priority: "high"}, 1, ""},
		{api.JobFilter{Unique: "u1"}, 2, ""},
		{api.JobFilter{Unique: "u1", Function: "resize*"}, 1, old},
		{api.JobFilter{Unique: "none"}, 0, ""},
		{api.JobFilter{UniquePrefix: "u"}, 4, ""},
		{api.JobFilter{UniquePrefix: "u2"}, 1, running},
		{api.JobFilter{UniquePrefix: "u22"}, 0, ""},
		{api.JobFilter{UniquePrefix: "u2", Unique: "u1"}, 0, ""},
		{api.JobFilter{OlderThan: older(30)}, 1, old},
		{api.JobFilter{OlderThan: older(90)}, 0, ""},
		{api.JobFilter{Argument: "cat"}, 2, ""},
		{api.JobFilter{Argument: "cat", Priority: "normal"}, 1, old},
	} {
		got := r.all(JobQuery{JobFilter: f.filter, Limit: 1}, nil)
		if len(got) != f.want && f.filter.Unique != "u1" || f.one != "" && !slices.Equal(got, []string{f.one}) {
			t.Errorf("%+v: %v, want %d", f.filter, got, f.want)
		}
	}
	for _, f := range []JobQuery{
		{JobFilter: api.JobFilter{State: "x"}}, {JobFilter: api.JobFilter{Priority: "x"}}, {Limit: -1}, {Limit: maxLimit + 1}, {Cursor: "!"},
		{Cursor: "YWJj"}, {JobFilter: api.JobFilter{OlderThan: older(-1)}},
	} {
		var mistake *QueryError
		if _, err := r.source.Jobs(f); !errors.As(err, &mistake) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestJob examines one job in each of its states.
func TestJob(t *testing.T) {
	r := newRig(t)
	c, w := r.connect(), r.connect()
	first, second := r.submit(c, "f", "u", "abc"), r.submit(c, "f", "", "defg")
	j, ok := r.source.Job(second)
	if !ok || j.State != api.JobWaiting || *j.Ahead != 1 || j.ArgumentSize != 4 || !j.Background || j.Function != "f" || j.Priority != "normal" || !j.Submitted.Equal(start) {
		t.Errorf("%+v", j)
	}
	r.do(w, codec.CanDoTimeout, "f", "10")
	r.do(w, codec.GrabJob)
	r.do(w, codec.WorkStatus, first, "1", "3")
	r.now = r.now.Add(time.Second)
	j, ok = r.source.Job(first)
	if !ok || j.State != api.JobRunning || j.Ahead != nil || j.Numerator != "1" || j.Denominator != "3" || j.Worker == nil ||
		j.Deadline == nil || !j.Deadline.Equal(start.Add(10*time.Second)) || !j.HandedOut.Equal(start) {
		t.Errorf("%+v", j)
	}
	for _, handle := range []string{"", "H:t:", "H:t:999", "H:x:1", first + "0", "\x00"} {
		if _, ok := r.source.Job(handle); ok {
			t.Errorf("there is a job %q", handle)
		}
	}
}

// Functions can be listed in every order, each exactly once over all pages.
func TestFunctionsInPages(t *testing.T) {
	r := newRig(t)
	c, w := r.connect(), r.connect()
	names := map[string]bool{}
	for i := range 250 {
		name := fmt.Sprintf("f%03d/%c", i*7%250, 'a'+i%3)
		names[name] = true
		for range 1 + i%5 {
			r.submit(c, name, "", "x")
		}
		if i%10 == 0 {
			r.do(w, codec.CanDo, name)
		}
	}
	for _, order := range strings.Split(functionSorts(), ", ") {
		for _, sign := range []string{"", "-"} {
			var got []api.Function
			q := FunctionQuery{Sort: sign + order, Limit: 33}
			for {
				page, err := r.source.Functions(q)
				if err != nil || *page.Total != len(names) {
					t.Fatal(page.Total, err)
				}
				got = append(got, page.Items...)
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
			seen := map[string]bool{}
			for _, f := range got {
				seen[f.Name] = true
			}
			if len(got) != len(names) || len(seen) != len(names) {
				t.Errorf("%s: %d items, %d functions, want %d", q.Sort, len(got), len(seen), len(names))
			}
			if order == "waiting" && !slices.IsSortedFunc(got, func(a, b api.Function) int {
				if sign == "-" {
					a, b = b, a
				}
				return b.Waiting - a.Waiting
			}) {
				t.Errorf("%s is not in order", q.Sort)
			}
		}
	}
	for match, want := range map[string]int{"*/a": 84, "f00?/*": 10, "f000/a": 1, "*": 250, "": 250, "nothing": 0, "f*": 250, "[": 0} {
		if page, err := r.source.Functions(FunctionQuery{Match: match}); err != nil || *page.Total != want {
			t.Errorf("%q: %d, %v; want %d", match, *page.Total, err, want)
		}
	}
	page, _ := r.source.Functions(FunctionQuery{Only: "no_workers"})
	if *page.Total != 225 {
		t.Errorf("%d have no workers", *page.Total)
	}
	if concerns := r.source.attention(); len(concerns) != mostConcerns || concerns[0].Kind != "no_workers" {
		t.Errorf("%d concerns", len(concerns))
	}
}

// Jobs of many functions with one unique id are returned in pages, each once. Filters are applied before the
// pages are cut.
func TestJobsOfAUniqueID(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	var want []string
	for i := range 40 {
		h := r.submit(c, fmt.Sprint("f", i), "same", "x")
		if i%2 == 1 {
			want = append(want, h)
			r.submit(c, fmt.Sprint("f", i), "other", "x")
		}
	}
	q := JobQuery{JobFilter: api.JobFilter{Unique: "same", Function: "f*"}, Limit: 7}
	if got := r.all(q, nil); len(got) != 40 {
		t.Errorf("%d jobs of f*", len(got))
	}
	for i := 1; i < 40; i += 2 {
		q.Function, q.Limit = fmt.Sprint("f", i), 1
		page, err := r.source.Jobs(q)
		if err != nil || len(page.Items) != 1 || page.Items[0].Handle != want[i/2] || page.Next != "" {
			t.Errorf("of %s: %+v, %v", q.Function, page, err)
		}
	}
	q = JobQuery{JobFilter: api.JobFilter{UniqueBase64: []byte("same")}, Limit: 7}
	first := r.all(q, func(page int) {
		if page == 0 {
			r.submit(c, "another", "same", "x") // which may come or not
		}
	})
	if slices.Sort(first); len(slices.Compact(first)) < 40 {
		t.Errorf("%d jobs", len(first))
	}
}

// TestWorkersOfFunctions: sleeping and busy workers are counted for each of their functions.
func TestWorkersOfFunctions(t *testing.T) {
	r := newRig(t)
	c, busy, asleep, awake := r.connect(), r.connect(), r.connect(), r.connect()
	for _, w := range []*sched.Peer{busy, asleep, awake} {
		r.do(w, codec.CanDo, "f")
	}
	r.do(busy, codec.CanDo, "g")
	r.submit(c, "g", "", "x")
	r.do(busy, codec.GrabJob)
	r.do(asleep, codec.PreSleep)
	r.sched.SetMaxQueue("f", [sched.Priorities]int32{7, -1, 7})
	f, _ := r.source.Function("f")
	if f.Workers != 3 || f.Busy != 1 || f.Asleep != 1 || !slices.Equal(f.MaxQueue, []int{7, -1, 7}) {
		t.Errorf("f: %+v", f)
	}
	g, _ := r.source.Function("g")
	if g.Workers != 1 || g.Busy != 1 || g.Asleep != 0 || g.MaxQueue != nil {
		t.Errorf("g: %+v", g)
	}
}

// In every order the pages of functions, put together, are the sorted list of all.
func TestFunctionOrders(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		r.submit(c, fmt.Sprint("f", random.IntN(700)), "", "x")
		r.now = r.now.Add(time.Duration(random.IntN(3)) * time.Millisecond)
	}
	r.now = r.now.Add(time.Minute)
	snap := r.source.functionRows()
	for _, order := range []string{"name", "waiting", "oldest", "running", "-name", "-waiting", "-oldest"} {
		want := slices.Clone(snap.rows)
		word, reverse := strings.CutPrefix(order, "-")
		slices.SortFunc(want, func(a, b functionRow) int {
			n := functionOrders[word](&a, &b)
			if reverse {
				n = -n
			}
			return cmp.Or(n, strings.Compare(a.name, b.name))
		})
		var got []string
		cursor := ""
		for pages := 0; pages == 0 || cursor != ""; pages++ {
			page, err := r.source.Functions(FunctionQuery{Sort: order, Limit: 1 + pages*7, Cursor: cursor})
			if err != nil || *page.Total != len(want) {
				t.Fatalf("%s: %d of %d, %v", order, *page.Total, len(want), err)
			}
			for _, f := range page.Items {
				got = append(got, f.Name)
			}
			cursor = page.Next
		}
		for i := range want {
			if len(got) != len(want) || got[i] != want[i].name {
				t.Fatalf("%s: %d functions, number %d is %q, want %q of %d", order, len(got), i, got[i], want[i].name, len(want))
			}
		}
	}
	for _, n := range []int{-1, 0, 1, 9, 100, 699, 700, 10_000} {
		all := random.Perm(700)
		places := make([]int32, len(all))
		for i, v := range all {
			places[i] = int32(v)
		}
		for i, p := range first(places, n, func(a, b int32) int { return int(a - b) }) {
			if int(p) != i {
				t.Fatalf("the first %d: number %d is %d", n, i, p)
			}
		}
	}
}
