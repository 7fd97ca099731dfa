package sched

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones below are there on every machine

	"pgregory.net/rapid"

	"gearloop/codec"
	"gearloop/internal/payload"
	"gearloop/test/await"
)

func TestParseSeconds(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
	}{
		{"1", time.Second},
		{"0", 0},
		{"0.5", 500 * time.Millisecond},
		{".5", 500 * time.Millisecond},
		{"5.", 5 * time.Second},
		{"1e1", 10 * time.Second},
		{"1e", time.Second},
		{"1e-3", time.Millisecond},
		{"+2", 2 * time.Second},
		{"-2", 0},
		{"  3", 3 * time.Second},
		{"\t\n3", 3 * time.Second},
		{"3 ", 3 * time.Second},
		{"3x", 3 * time.Second},
		{"3.5.7", 3500 * time.Millisecond},
		{"1_0", time.Second},
		{"0x10", 0},
		{"0x1p4", 0},
		{"", 0},
		{"x", 0},
		{"x3", 0},
		{"nan", 0},
		{"-inf", 0},
		{"inf", maxTimeout},
		{"1e300", maxTimeout},
		{"1e400", maxTimeout},
		{"99999999999999999999999", maxTimeout},
		{"0.000000001", time.Nanosecond},
	}
	for _, tt := range tests {
		if got := parseSeconds(tt.text); got != tt.want {
			t.Errorf("parseSeconds(%q) = %v, want %v", tt.text, got, tt.want)
		}
	}
}

// TestParseSecondsBounds: whatever the text, the limit lies within its bounds.
func TestParseSecondsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ ]?[-+]?[0-9]{0,25}\.?[0-9]{0,25}(e[-+]?[0-9]{0,4})?`)).Draw(t, "text")
		if d := parseSeconds(text); d < 0 || d > maxTimeout {
			t.Fatalf("parseSeconds(%q) = %v", text, d)
		}
	})
}

func TestParseEpoch(t *testing.T) {
	now := start.Add(300 * time.Millisecond)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	tests := []struct {
		text string
		want time.Time // zero: at once
		ok   bool
	}{
		{strconv.FormatInt(start.Unix()+1, 10), at(time.Second), true},
		{strconv.FormatInt(start.Unix()+86400, 10), at(24 * time.Hour), true},
		{strconv.FormatInt(start.Unix(), 10), time.Time{}, true},
		{strconv.FormatInt(start.Unix()-1, 10), time.Time{}, true},
		{"0", time.Time{}, true},
		{"1", time.Time{}, true},
		{"-1", time.Time{}, true},
		{"-9223372036854775808", time.Time{}, true},
		{"9223372036854775807", time.Unix(latestDue, 0), true},
		{"9223372036", time.Unix(9223372036, 0), true}, // what fits into nanoseconds
		{"9223372037", time.Unix(9223372036, 0), true},
		{"253402300800", time.Unix(9223372036, 0), true},  // the year 10000
		{"1795835859000", time.Unix(9223372036, 0), true}, // milliseconds, by mistake
		{"0001099511627776", time.Unix(9223372036, 0), true},
		{"0004000000000", time.Unix(4000000000, 0), true},
		{"+4000000000", time.Unix(4000000000, 0), true},
		{"-9223372036854775809", time.Time{}, false},
		{"9223372036854775808", time.Time{}, false},
		{"", time.Time{}, false},
		{"1.5", time.Time{}, false},
		{"soon", time.Time{}, false},
		{" 1", time.Time{}, false},
		{"0x10", time.Time{}, false},
	}
	for _, tt := range tests {
		got, ok := parseEpoch([]byte(tt.text), now)
		if ok != tt.ok || !got.Equal(tt.want) {
			t.Errorf("parseEpoch(%q) = %v, %v; want %v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

func zone(t testing.TB, name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// cron splits "minute hour day month weekday".
func cron(text string) (fields [5][]byte) {
	for i, f := range strings.Fields(text) {
		if f == "''" {
			f = ""
		}
		fields[i] = []byte(f)
	}
	return fields
}

func TestNextMoment(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	tests := []struct {
		zone, now, fields, want string // want "" = there is none
	}{
		// Minutes and hours.
		{"UTC", "2026-11-23 12:00:00 +0000", "* * * * *", "2026-11-23 12:01:00 +0000"},
		{"UTC", "2026-11-23 12:00:59 +0000", "'' '' '' '' ''", "2026-11-23 12:01:00 +0000"},
		{"UTC", "2026-11-23 12:00:30 +0000", "0 * * * *", "2026-11-23 13:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 12 * * *", "2026-11-24 12:00:00 +0000"},
		{"UTC", "2026-11-23 11:59:59 +0000", "0 12 * * *", "2026-11-23 12:00:00 +0000"},
		{"UTC", "2026-12-31 23:59:00 +0000", "0 0 * * *", "2027-01-01 00:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "59 23 31 12 *", "2026-12-31 23:59:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "05 07 * * *", "2026-11-24 07:05:00 +0000"},
		// Days; 23 November 2026 is a Monday, which is 0.
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 * * 0", "2026-11-30 00:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 13 * * 0", "2026-11-23 13:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 * * 6", "2026-11-29 00:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 13 * 4", "2027-08-13 00:00:00 +0000"}, // a Friday
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 31 * *", "2026-12-31 00:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 30 * *", "2026-11-30 00:00:00 +0000"},
		{"UTC", "2027-01-30 12:00:00 +0000", "0 0 30 * *", "2027-03-30 00:00:00 +0000"},
		// 29 February, also beyond 2100, which is no leap year.
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 29 2 *", "2028-02-29 00:00:00 +0000"},
		{"UTC", "2096-03-01 00:00:00 +0000", "0 0 29 2 *", "2104-02-29 00:00:00 +0000"},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 29 2 0", "2044-02-29 00:00:00 +0000"},
		{"UTC", "2072-03-01 12:00:00 +0000", "0 0 29 2 0", "2112-02-29 00:00:00 +0000"}, // after 40 years
		// Days that never come.
		{"UTC", "2026-11-23 12:00:00 +0000", "* * 30 2 *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * 31 2 *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * 31 4 *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "0 0 31 11 3", ""},
		// No such numbers.
		{"UTC", "2026-11-23 12:00:00 +0000", "60 * * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "-1 * * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* 24 * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * 0 * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * 32 * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * * 0 *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * * 13 *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "* * * * 7", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "*/5 * * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "1,2 * * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "x * * * *", ""},
		{"UTC", "2026-11-23 12:00:00 +0000", "99999999999999999999 * * * *", ""},
		// The clock goes forward: 2:30 does not come on 29 March 2026 in Berlin.
		{"Europe/Berlin", "2026-03-29 01:59:00 +0100", "30 2 * * *", "2026-03-30 02:30:00 +0200"},
		{"Europe/Berlin", "2026-03-29 01:59:00 +0100", "* * * * *", "2026-03-29 03:00:00 +0200"},
		{"Europe/Berlin", "2026-03-29 01:59:00 +0100", "0 3 * * *", "2026-03-29 03:00:00 +0200"},
		{"Europe/Berlin", "2026-03-28 12:00:00 +0100", "30 2 29 3 *", "2027-03-29 02:30:00 +0200"},
		// It goes back: 2:30 comes twice on 25 October 2026.
		{"Europe/Berlin", "2026-10-25 01:00:00 +0200", "30 2 * * *", "2026-10-25 02:30:00 +0200"},
		{"Europe/Berlin", "2026-10-25 02:30:00 +0200", "30 2 * * *", "2026-10-25 02:30:00 +0100"},
		{"Europe/Berlin", "2026-10-25 02:30:00 +0100", "30 2 * * *", "2026-10-26 02:30:00 +0100"},
		{"Europe/Berlin", "2026-10-25 02:45:00 +0100", "* * * * *", "2026-10-25 02:46:00 +0100"},
		{"Europe/Berlin", "2026-10-25 02:59:30 +0200", "* * * * *", "2026-10-25 02:00:00 +0100"},
		// Half an hour forth, and by quarters off.
		{"Australia/Lord_Howe", "2026-10-04 01:59:00 +1030", "15 2 * * *", "2026-10-05 02:15:00 +1100"},
		{"Asia/Kathmandu", "2026-11-23 12:00:00 +0545", "10 12 * * *", "2026-11-23 12:10:00 +0545"},
		// The hour that is skipped is the first of the day.
		{"America/Santiago", "2026-09-05 12:00:00 -0400", "0 12 6 9 *", "2026-09-06 12:00:00 -0300"},
		{"America/Santiago", "2026-09-05 23:59:00 -0400", "* * * * *", "2026-09-06 01:00:00 -0300"},
		{"America/Santiago", "2026-09-05 12:00:00 -0400", "0 0 * * *", "2026-09-07 00:00:00 -0300"},
		{"America/Santiago", "2026-04-04 23:30:00 -0300", "45 23 4 4 *", "2026-04-04 23:45:00 -0300"},
		{"America/Santiago", "2026-04-04 23:50:00 -0300", "45 23 4 4 *", "2026-04-04 23:45:00 -0400"},
		// The last day of a leap year, and the first of the next.
		{"America/New_York", "2052-12-30 12:00:00 -0500", "30 20 31 12 *", "2052-12-31 20:30:00 -0500"},
		{"Europe/Berlin", "2048-12-31 12:00:00 +0100", "30 0 * * *", "2049-01-01 00:30:00 +0100"},
		{"Australia/Lord_Howe", "2048-12-30 12:00:00 +1100", "15 5 * * *", "2048-12-31 05:15:00 +1100"},
		// A whole day is skipped.
		{"Pacific/Apia", "2011-12-29 12:00:00 -1000", "0 12 30 12 *", "2012-12-30 12:00:00 +1400"},
		{"Pacific/Apia", "2011-12-29 23:59:00 -1000", "* * * * *", "2011-12-31 00:00:00 +1400"},
	}
	for _, tt := range tests {
		loc := zone(t, tt.zone)
		now, err := time.ParseInLocation(layout, tt.now, loc)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := nextMoment(cron(tt.fields), now.In(loc))
		text := ""
		if ok {
			text = got.Format(layout)
		}
		if text != tt.want {
			t.Errorf("%s, %s: next %q is %q, want %q", tt.zone, tt.now, tt.fields, text, tt.want)
		}
	}
}

// TestNextMomentBySearch compares with going through the minutes one by one.
func TestNextMomentBySearch(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/Santiago", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Cairo"}
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		// Seconds, so that it falls near the changes of the clock often enough.
		now := time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, "now"), 0).In(loc)
		if rapid.Bool().Draw(t, "near a change") {
			for range 400 {
				_, a := now.Zone()
				next := now.AddDate(0, 0, 1)
				if _, b := next.Zone(); a != b {
					break
				}
				now = next
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "minutes")) * time.Minute)
		}
		var fields [5][]byte
		var want [5]int
		for i, b := range [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
			want[i] = -1
			if rapid.IntRange(0, 2).Draw(t, fmt.Sprint("field ", i)) == 0 && i != 3 {
				want[i] = rapid.IntRange(b[0], b[1]).Draw(t, "value")
				fields[i] = []byte(strconv.Itoa(want[i]))
			}
		}
		is := func(i, v int) bool { return want[i] < 0 || want[i] == v }
		moment := now.Truncate(time.Minute).Add(time.Minute)
		const most = 400 * 24 * 60
		n := 0
		for ; n < most; n++ {
			if is(0, moment.Minute()) && is(1, moment.Hour()) && is(2, moment.Day()) && is(4, (int(moment.Weekday())+6)%7) {
				break
			}
			moment = moment.Add(time.Minute)
		}
		got, ok := nextMoment(fields, now)
		switch {
		case n == most && ok && got.Before(moment):
			t.Fatalf("now %v, %q: next is %v, which does not match", now, fields, got)
		case n < most && (!ok || !got.Equal(moment)):
			t.Fatalf("now %v, %q: next is %v (%v), want %v", now, fields, got, ok, moment)
		}
	})
}

// searchMoment finds what nextMoment must find: it goes through the days, and minute by minute through the
// matching ones.
func searchMoment(fields [5][]byte, now time.Time) (due time.Time, ok bool) {
	want, ok := parseSchedule(fields)
	if !ok {
		return due, false
	}
	first := now.Truncate(time.Minute).Add(time.Minute)
	y, m, d := first.Date()
	for n := range 41 * 366 {
		noon := time.Date(y, m, d+n, 12, 0, 0, 0, now.Location())
		if !matches(want.day, noon.Day()) || !matches(want.month, int(noon.Month())) || !matches(want.weekday, (int(noon.Weekday())+6)%7) {
			continue
		}
		for t := time.Date(y, m, d+n, 0, 0, 0, 0, now.Location()); t.Day() == noon.Day() || t.Before(noon); t = t.Add(time.Minute) {
			if !t.Before(first) && t.Day() == noon.Day() && matches(want.hour, t.Hour()) && matches(want.minute, t.Minute()) {
				return t, true
			}
		}
	}
	return due, false
}

// TestNextMomentByDays compares with searchMoment over forty years: zones that set the clock at any hour,
// midnight among them, by an hour or half an hour, once, twice or four times a year.
func TestNextMomentByDays(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut",
		"Africa/Cairo", "Asia/Gaza", "Africa/Casablanca", "Atlantic/Azores", "America/St_Johns", "Asia/Kathmandu", "America/Nuuk",
	}
	// What often falls near a change of the clock, beside any other value.
	near := [5][]int{{0, 30, 59}, {0, 1, 2, 3, 23}, {28, 29, 31}, {3, 10}, {6, 4}}
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1577836800, 2840140800).Draw(t, "now"), 0).In(loc) // 2020 to 2059
		if _, change := now.ZoneBounds(); rapid.Bool().Draw(t, "near a change") && !change.IsZero() {
			now = change.Add(time.Duration(rapid.IntRange(-2000, 300).Draw(t, "minutes")) * time.Minute)
		}
		var fields [5][]byte
		for i, b := range [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
			switch rapid.IntRange(0, 3).Draw(t, fmt.Sprint("kind of field ", i)) {
			case 0:
				fields[i] = strconv.AppendInt(nil, int64(rapid.IntRange(b[0], b[1]).Draw(t, "value")), 10)
			case 1:
				fields[i] = strconv.AppendInt(nil, int64(rapid.SampledFrom(near[i]).Draw(t, "value")), 10)
			}
		}
		want, found := searchMoment(fields, now)
		got, ok := nextMoment(fields, now)
		if ok != found || !got.Equal(want) || ok && got.Location() != loc {
			t.Fatalf("now %v, %q: next is %v (%v), want %v (%v)", now, fields, got, ok, want, found)
		}
	})
}

// TestNextMomentIsCheap: minutes that the clock skips, and rare days, take no longer than others. A search
// through minutes took 89 ms for the first of these, each time: ten minutes for all.
func TestNextMomentIsCheap(t *testing.T) {
	const times = 2000
	began := time.Now()
	for range times {
		for _, c := range []struct{ zone, fields string }{
			{"Europe/Berlin", "30 2 29 3 6"}, {"Europe/Berlin", "* 2 29 3 6"}, {"UTC", "0 0 29 2 0"}, {"Africa/Casablanca", "30 2 29 2 6"},
			{"America/Havana", "0 0 8 3 6"},
		} {
			nextMoment(cron(c.fields), start.In(zone(t, c.zone)))
		}
		if spent := time.Since(began); spent > await.Limit {
			t.Fatalf("%v and not done", spent)
		}
	}
}

// TestDelayedJobs goes through the packets that delay a job.
func TestDelayedJobs(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f", "g")
	epoch := func(d time.Duration) string { return strconv.FormatInt(start.Add(d).Unix(), 10) }
	r.do(worker, codec.PreSleep)

	r.do(client, codec.SubmitJobEpoch, "f", "", epoch(20*time.Second), "late")
	r.do(client, codec.SubmitJobEpoch, "f", "", epoch(10*time.Second), "early")
	r.do(client, codec.SubmitJobEpoch, "g", "", epoch(15*time.Second), "between")
	r.do(client, codec.SubmitJobEpoch, "f", "", epoch(10*time.Second), "second")
	r.want(client, "JOB_CREATED h1", "JOB_CREATED h2", "JOB_CREATED h3", "JOB_CREATED h4")
	r.do(client, codec.GetStatus, r.handle("h1"))
	r.want(client, "STATUS_RES h1|1|0||")
	if c := r.s.Count(); c.Delayed != 4 || c.Queued != 0 {
		t.Errorf("%+v", c)
	}
	if q, n := r.s.Outstanding(); q != 0 || n != 0 {
		t.Errorf("outstanding: %d, %d", q, n)
	}
	r.at(10*time.Second - 1)
	r.want(worker)
	r.do(worker, codec.GrabJob)
	r.want(worker, "NO_JOB")

	r.at(10 * time.Second)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h2|f|early", "JOB_ASSIGN h4|f|second", "NO_JOB")
	r.do(worker, codec.PreSleep)
	r.at(15 * time.Second)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h3|g|between")
	r.do(worker, codec.PreSleep)
	r.at(time.Minute)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h1|f|late")

	// Whose moment has passed comes at once, in the background.
	r.do(worker, codec.PreSleep)
	r.do(client, codec.SubmitJobEpoch, "f", "", epoch(-time.Hour), "past")
	r.leave(client)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h5|f|past")
}

// TestManyDue: so many jobs are due at once that they are not all queued in one go.
func TestManyDue(t *testing.T) {
	r := newRig(t, perl())
	client := r.connect()
	const jobs = 2*releaseTurn + 500
	for i := range jobs {
		var fx Effects
		r.s.Handle(client, codec.SubmitJobEpoch, payload.Borrow(fmt.Appendf(nil, "f\x00\x00%d\x00%d", start.Unix()+5, i)), r.now, &fx)
		for _, arm := range fx.Timers {
			r.timers[arm.Timer] = arm.At
		}
	}
	r.at(5 * time.Second)
	if q, _ := r.s.Outstanding(); q != jobs || r.now != start.Add(5*time.Second) {
		t.Fatalf("%d of %d are queued", q, jobs)
	}
	worker := r.worker("f")
	for i := range jobs {
		var fx Effects
		r.s.Handle(worker, codec.GrabJob, payload.View{}, r.now, &fx)
		if got, want := string(fx.Packets[0].Body.Head()), strconv.Itoa(i); got != want {
			t.Fatalf("job %s came instead of %s", got, want)
		}
	}
}

// TestJoinDelayed: a submission that joins a delayed job waits with it.
func TestJoinDelayed(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	r.do(worker, codec.PreSleep)
	r.do(client, codec.SubmitJobEpoch, "f", "u", strconv.FormatInt(start.Unix()+5, 10), "x")
	r.do(client, codec.SubmitJob, "f", "u", "y")
	r.want(client, "JOB_CREATED h1", "JOB_CREATED h1")
	r.want(worker)
	r.at(5 * time.Second)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.WorkComplete, r.handle("h1"), "z")
	r.want(worker, "JOB_ASSIGN h1|f|x")
	r.want(client, "WORK_COMPLETE h1|z")
}

// TestSched submits by a calendar.
func TestSched(t *testing.T) {
	r := newRig(t, perl()) // Monday, 12:00
	client, worker := r.connect(), r.worker("f")
	r.do(client, codec.SubmitJobSched, "f", "", "30", "12", "*", "", "0", "x\x00y")
	r.want(client, "JOB_CREATED h1")
	r.do(worker, codec.PreSleep)
	r.at(30*time.Minute - 1)
	r.want(worker)
	r.at(30 * time.Minute)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.want(worker, "JOB_ASSIGN h1|f|x|y")
	r.do(worker, codec.PreSleep)
	r.at(14 * 24 * time.Hour) // it comes once
	r.want(worker)
}

// TestDelayedArms: effects of two calls are carried out in the wrong order; the job that is due first
// must not wait for the other.
func TestDelayedArms(t *testing.T) {
	r := newRig(t, perl())
	client, worker := r.connect(), r.worker("f")
	r.do(worker, codec.PreSleep)
	var first, second Effects
	r.s.Handle(client, codec.SubmitJobEpoch, epochJob(10), r.now, &first)
	r.s.Handle(client, codec.SubmitJobEpoch, epochJob(5), r.now, &second)
	r.carry(&second)
	r.carry(&first)
	r.at(5 * time.Second)
	r.want(worker, "NOOP")
	r.do(worker, codec.GrabJob)
	r.do(worker, codec.PreSleep)
	r.at(10 * time.Second)
	r.want(worker, "JOB_ASSIGN h1|f|5", "NOOP")
}

// epochJob is a job that is due in so many seconds.
func epochJob(seconds int) payload.View {
	at := strconv.FormatInt(start.Unix()+int64(seconds), 10)
	return payload.Borrow([]byte("f\x00\x00" + at + "\x00" + strconv.Itoa(seconds)))
}
