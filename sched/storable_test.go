package sched

import (
	"strings"
	"testing"

	"gearloop/codec"
	"gearloop/internal/dialect"
	"gearloop/internal/payload"
	"gearloop/store"
)

// TestStorable: a job that no packet can carry is refused with a reason; whatever a scheduler stores is
// accepted unchanged.
func TestStorable(t *testing.T) {
	long := strings.Repeat("x", MaxUnique+1)
	for _, c := range []struct {
		job       store.Job
		complaint string // "" = none
	}{
		{store.Job{}, ""},
		{store.Job{Function: long[:MaxFunction], Reducer: long[:MaxFunction], Unique: long[:MaxUnique]}, ""},
		{store.Job{Function: long[:MaxFunction+1]}, "function has 513 bytes, the most is 512"},
		{store.Job{Reducer: long[:MaxFunction+1]}, "reducer has 513 bytes, the most is 512"},
		{store.Job{Unique: long}, "unique has 65537 bytes, the most is 65536"},
		{store.Job{Function: "f\x00"}, "function has a NUL in it"},
		{store.Job{Reducer: "\x00"}, "reducer has a NUL in it"},
		{store.Job{Unique: "u\x00"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00u"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00\x00"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00-"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00-a\x00"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00-\x00"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00-" + long[:maxPlainKey+1]}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00sha256:"}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00sha256:" + strings.Repeat("g", 64)}, "unique has a NUL in it"},
		{store.Job{Unique: "\x00sha256:" + strings.Repeat("0", 65)}, "unique has a NUL in it"},
		{store.Job{Function: "any\xff\n", Unique: "\xfe", Argument: [][]byte{{0, 1, 2}}}, ""},
	} {
		before := c.job
		err := Storable(&c.job)
		if c.complaint == "" && err != nil || c.complaint != "" && (err == nil || err.Error() != c.complaint) {
			t.Errorf("%.80q: %v, want %q", before.Function+"|"+before.Unique, err, c.complaint)
		}
		if c.job.Function != before.Function || c.job.Unique != before.Unique || c.job.Reducer != before.Reducer {
			t.Errorf("%.80q was changed to %.80q", before.Unique, c.job.Unique)
		}
	}
	for _, argument := range []string{"", "x", "a\x00b", "-", long[:maxPlainKey], long, strings.Repeat(long, 100)} {
		for _, d := range []*dialect.Dialect{dialect.Perl, dialect.C} {
			r := newRig(t, Config{Dialect: d})
			r.attach(newFakeStore())
			c := r.connect()
			if d == dialect.Perl && argument == "-" {
				continue // has the key "-" there, and becomes what it would be in the other dialect
			}
			p := payload.New(len("f\x00-\x00" + argument))
			p.Fill([]byte("f\x00-\x00" + argument))
			var fx Effects
			for again := true; again; again = fx.Again {
				state := fx.State
				fx.Reset()
				fx.State = state
				r.s.Handle(c, codec.SubmitJobBg, payload.Of(p), r.now, &fx)
			}
			r.carry(&fx)
			p.Release()
			key := r.store.entries[0].job.Unique
			job := store.Job{Function: "f", Unique: key}
			if err := Storable(&job); err != nil || job.Unique != key {
				t.Errorf("%s: the key of %.40q, %.80q, is not let in: %v", d.Name, argument, key, err)
			}
			if d == dialect.C {
				// What comes from elsewhere with the unique id "-" has the same key.
				job := store.Job{Function: "f", Unique: "-", Argument: [][]byte{[]byte(argument)}}
				if err := Storable(&job); err != nil || job.Unique != key {
					t.Errorf("the unique id \"-\" of %.40q is %.80q, want %.80q, %v", argument, job.Unique, key, err)
				}
			}
			r.receive(-1, nil)
			r.leave(c)
			r.finish()
		}
	}
	if n, _ := payload.InUse(); n != 0 {
		t.Errorf("%d payloads were not released", n)
	}
}
