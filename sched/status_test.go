package sched

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
)

// TestStatus follows GET_STATUS through a job's life.
func TestStatus(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	h := r.submit(client, codec.SubmitJob, "f", "", "x")
	status := func(want string) {
		t.Helper()
		r.do(client, codec.GetStatus, h)
		r.want(client, "STATUS_RES h1|"+want)
	}
	status("1|0||")
	r.do(worker, codec.GrabJob)
	status("1|1||")
	for _, tt := range []struct{ args, want string }{
		{"3\x009", "3|9"}, {"half\x00whole", "half|whole"}, {"\x00", "|"}, {"5\x00", "5|"}, {"\x005", "|5"}, {"1\x002\x003", "1|2"}, {"7", "7|"},
	} {
		r.do(worker, codec.WorkStatus, h, tt.args)
		r.want(client, "WORK_STATUS h1|"+strings.ReplaceAll(tt.args, "\x00", "|"))
		status("1|1|" + tt.want)
	}
	r.do(worker, codec.WorkStatus, h)
	r.want(client, "WORK_STATUS h1")
	status("1|1||")
	r.do(worker, codec.WorkComplete, h, "")
	r.want(client, "WORK_COMPLETE h1|")
	status("0|0||")
}

// TestStatusOfStrangers: anybody may ask; the answer repeats an unknown handle, and there is none for a
// handle with a NUL.
func TestStatusOfStrangers(t *testing.T) {
	r := newRig(t, perl())
	p := r.connect()
	for _, handle := range []string{"", "x", "H:t:1", "H:t:0", "H:t:01", "H:t:99999999999999999999", strings.Repeat("y", 1000)} {
		r.do(p, codec.GetStatus, handle)
		r.want(p, r.show(codec.StatusRes, handle+"\x000\x000\x00\x00"))
	}
	r.do(p, codec.GetStatus, "H:t:1", "")
	r.do(p, codec.GetStatus, "\x00")
	r.want(p)
}

// TestStatusNumbers: where the dialect has numbers before there are any, they are shown.
func TestStatusNumbers(t *testing.T) {
	cfg := perl()
	d := *dialect.Perl
	d.NoNumber = "0"
	cfg.Dialect = &d
	r := newRig(t, cfg)
	client, worker := r.connect(), r.worker("f")
	r.submit(client, codec.SubmitJob, "f", "u", "x")
	r.do(client, codec.GetStatus, r.handle("h1"))
	r.do(client, codec.GetStatus, "H:t:7777777")
	r.do(client, codec.GetStatusUnique, "u")
	r.do(client, codec.GetStatusUnique, "v")
	r.want(client, "STATUS_RES h1|1|0|0|0", "STATUS_RES h2|0|0|0|0", "STATUS_RES_UNIQUE u|1|0|0|0|1", "STATUS_RES_UNIQUE v|0|0|0|0|0")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkStatus, r.handle("h1"), "", "")
	r.do(client, codec.GetStatus, r.handle("h1"))
	r.want(client, "WORK_STATUS h1||", "STATUS_RES h1|1|1||")
}

// TestStatusUnique asks by unique id, which does not name a function.
func TestStatusUnique(t *testing.T) {
	r := newRig(t, perl())
	one, two, worker := r.connect(), r.connect(), r.worker("f")
	ask := func(unique, want string) {
		t.Helper()
		r.do(one, codec.GetStatusUnique, unique)
		r.want(one, "STATUS_RES_UNIQUE "+want)
	}
	ask("u", "u|0|0|||0")
	ask("", "|0|0|||0")
	r.submit(one, codec.SubmitJob, "f", "u", "x")
	r.submit(two, codec.SubmitJob, "f", "u", "x")
	r.submit(two, codec.SubmitJob, "f", "u", "x")
	r.submit(two, codec.SubmitJobBg, "f", "v", "x")
	r.submit(two, codec.SubmitJobBg, "f", "-", "argument")
	r.submit(two, codec.SubmitJobBg, "f", "-", "")
	r.submit(two, codec.SubmitJobEpoch, "f", "later", "4000000000", "")
	ask("u", "u|1|0|||3")
	ask("v", "v|1|0|||0")
	ask("argument", "argument|1|0|||0")
	ask("later", "later|1|0|||0")
	ask("", "|0|0|||0")
	r.do(one, codec.GetStatusUnique, emptyKey) // what stands for an empty argument inside
	if got := r.got[one]; len(got) != 1 || !strings.HasSuffix(got[0], "|0|0|||0") {
		t.Errorf("%q", got)
	}
	r.got[one] = nil
	r.leave(two)
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkStatus, r.handle("h1"), "1", "2")
	r.want(one, "WORK_STATUS h1|1|2")
	ask("u", "u|1|1|1|2|1")
	r.do(worker, codec.WorkFail, r.handle("h1"))
	r.want(one, "WORK_FAIL h1")
	ask("u", "u|0|0|||0")
}

// TestStatusUniqueChain: several functions may have the same unique id; each is found until it is gone.
func TestStatusUniqueChain(t *testing.T) {
	// Names that lie in one shard.
	s := New(perl())
	var same []string
	for n := 0; len(same) < 4; n++ {
		if name := string(rune('a'+n%26)) + strings.Repeat("x", n/26); s.shardOf([]byte(name)).index == 5 {
			same = append(same, name)
		}
	}
	orders := [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 2, 0, 3}, {2, 0, 3, 1}}
	for _, order := range orders {
		r := newRig(t, perl())
		client := r.connect()
		for _, f := range same {
			r.submit(client, codec.SubmitJob, f, "u", "")
		}
		for left := len(order); left > 0; left-- {
			r.do(client, codec.GetStatusUnique, "u")
			r.want(client, "STATUS_RES_UNIQUE u|1|0|||1")
			w := r.worker(same[order[left-1]])
			r.do(w, codec.GrabJob)
			r.leave(w)
			r.got[client] = nil
		}
		r.do(client, codec.GetStatusUnique, "u")
		r.want(client, "STATUS_RES_UNIQUE u|0|0|||0")
	}
}

// TestSnapshots goes through what can be asked about the whole.
func TestSnapshots(t *testing.T) {
	r := newRig(t, perl())
	one, two := r.connect(), r.connect()
	one.Addr = netip.MustParseAddrPort("192.0.2.1:1234")
	w := r.worker("b", "a")
	r.do(w, codec.SetClientID, " w o\trker\n")
	sleeper := r.worker("a")
	r.do(sleeper, codec.PreSleep)
	r.submit(one, codec.SubmitJob, "b", "u", "x")
	r.submit(two, codec.SubmitJob, "b", "u", "x")
	r.submit(two, codec.SubmitJobBg, "b", "", "x")
	r.submit(one, codec.SubmitJob, "c", "-", "arg")
	r.submit(two, codec.SubmitJobEpoch, "d", "", "4000000000", "x")
	r.s.SetMaxQueue("e", bounds(5))
	r.do(w, codec.GrabJob) // of a, b it begins with a: b's
	r.want(w, "JOB_ASSIGN h1|b|x")

	want := []FunctionInfo{
		{Name: "a", Workers: 2},
		{Name: "b", Total: 2, Running: 1, Workers: 1, Waiting: [Priorities]int{0, 1, 0}},
		{Name: "c", Total: 1, Waiting: [Priorities]int{0, 1, 0}},
		{Name: "d", Total: 1, Waiting: [Priorities]int{0, 1, 0}},
	}
	if got := r.s.Functions(); !slices.Equal(got, want) {
		t.Errorf("functions %+v", got)
	}
	jobs := r.s.Jobs()
	slices.SortFunc(jobs, func(a, b JobInfo) int { return strings.Compare(r.nameOf(a), r.nameOf(b)) })
	wantJobs := []JobInfo{
		{r.s.parseHandle([]byte(r.handle("h1"))), "b", "u", w, 2, 0, false, true, "running", start, start},
		{r.s.parseHandle([]byte(r.handle("h2"))), "b", "", nil, 0, 0, true, true, "queued", start, start},
		{r.s.parseHandle([]byte(r.handle("h3"))), "c", "arg", nil, 1, 0, false, true, "queued", start, start},
		{r.s.parseHandle([]byte(r.handle("h4"))), "d", "", nil, 0, 0, true, true, "delayed", start, start},
	}
	if !reflect.DeepEqual(jobs, wantJobs) {
		t.Errorf("jobs\n got %+v\nwant %+v", jobs, wantJobs)
	}
	peers := r.s.Peers()
	if len(peers) != 4 || !slices.IsSortedFunc(peers, func(a, b PeerInfo) int { return a.FD - b.FD }) {
		t.Fatalf("peers %+v", peers)
	}
	if p := peers[0]; p.Peer != one || p.Addr != one.Addr || p.ClientID != "-" || p.Abilities != nil {
		t.Errorf("client %+v", p)
	}
	if p := peers[2]; p.Peer != w || p.ClientID != "worker" || !slices.Equal(p.Abilities.names(), []string{"b", "a"}) {
		t.Errorf("worker %+v", p)
	}
	if q, n := r.s.Outstanding(); q != 2 || n != 1 {
		t.Errorf("outstanding %d, %d", q, n)
	}
	c := r.s.Count()
	if c.Memory <= 0 {
		t.Errorf("memory %d", c.Memory)
	}
	c.Memory = 0
	if want := (Counts{Peers: 4, Workers: 2, Functions: 5, Abilities: 3, Sleepers: 1, Queued: 2, Running: 1, Delayed: 1, Listeners: 3, Unique: 2}); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	wantListens(t, r, map[*Peer][]string{one: {"h1", "h3"}, two: {"h1"}, w: nil, sleeper: nil})
	r.leave(one)
	wantListens(t, r, map[*Peer][]string{two: {"h1"}, w: nil, sleeper: nil})
	for _, j := range r.s.Jobs() {
		if want := map[string]int{"h1": 1}[r.nameOf(j)]; j.Listeners != want {
			t.Errorf("%s has %d listeners, want %d", r.nameOf(j), j.Listeners, want)
		}
	}
}

// wantListens compares who is there, and who listens to which jobs.
func wantListens(t *testing.T, r *rig, want map[*Peer][]string) {
	t.Helper()
	got := map[*Peer][]string{}
	for _, c := range r.s.Clients() {
		if names := got[c.Peer]; c.IsJob {
			got[c.Peer] = append(names, r.nameOf(c.Job))
		} else {
			got[c.Peer] = nil
		}
	}
	for _, names := range got {
		slices.Sort(names)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("clients\n got %v\nwant %v", got, want)
	}
}

// nameOf returns how the test calls a job.
func (r *rig) nameOf(j JobInfo) string { return r.names[string(r.s.AppendHandle(nil, j.Number))] }

// names returns the names of all functions.
func (a Abilities) names() (all []string) {
	for i := range a {
		all = append(all, a.Function(i))
	}
	return all
}

// TestClientID: white space goes where the dialect has it so, and it is cut at its bound.
func TestClientID(t *testing.T) {
	keep := perl()
	d := *dialect.Perl
	d.TrimClientID = false
	keep.Dialect = &d
	long := strings.Repeat("l", MaxClientID)
	for _, tt := range []struct{ sent, trimmed, want string }{
		{"id", "id", "id"},
		{"", "-", ""},
		{" \t\r\n\v\f ", "-", " \t\r\n\v\f "},
		{" a b\tc ", "abc", " a b\tc "},
		{"a\u00a0b\u2003c", "a\u00a0b\u2003c", "a\u00a0b\u2003c"}, // bytes, not text
		{"\xff \xfe", "\xff\xfe", "\xff \xfe"},
		{long, long, long},
		{long + "x", long, long},
	} {
		for i, cfg := range []Config{perl(), keep} {
			r := newRig(t, cfg)
			p := r.connect()
			r.do(p, codec.SetClientID, tt.sent)
			r.want(p)
			if got, want := r.s.Peers()[0].ClientID, []string{tt.trimmed, tt.want}[i]; got != want {
				t.Errorf("%.20q became %.20q, want %.20q", tt.sent, got, want)
			}
		}
	}
}
