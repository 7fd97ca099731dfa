package rounds

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"gearloop/internal/load"
)

func TestDrifted(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   int
	}{
		{nil, -1}, {[]float64{10}, -1}, {[]float64{10, 12}, -1}, {[]float64{10, 12.1}, 1}, {[]float64{12.1, 10}, 0},
		{[]float64{10, 11, 12}, -1}, {[]float64{10, 10, 13}, 2}, {[]float64{7, 10, 10}, 0}, {[]float64{14, 10, 10, 20, 10}, 3},
		{[]float64{0, 0, 5}, -1},
	} {
		if got := drifted(tt.values, 0.2); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.values, got, tt.want)
		}
	}
}

// TestRepeat: a round whose floor is off by more than a fifth is made again for all servers, and its first results do
// not count. If the machine does not calm down, the report says so.
func TestRepeat(t *testing.T) {
	for _, tt := range []struct {
		floor    []time.Duration // of each turn of the floor, in order
		rounds   []time.Duration // that count in the end
		repeated int
		unsteady bool
	}{
		{[]time.Duration{10, 11, 10}, []time.Duration{10, 11, 10}, 0, false},
		{[]time.Duration{10, 15, 10, 11}, []time.Duration{10, 11, 10}, 1, false},
		{[]time.Duration{15, 10, 10, 13, 14}, []time.Duration{14, 10, 10}, 2, true},
	} {
		taken, others := 0, 0
		p := Plan{
			Load: load.Config{Function: "f", Functions: 1, Clients: 1, Depth: 1, Workers: 1, Payload: 64}, Rounds: 3,
			Servers: []Server{{Name: "floor", PID: 1}, {Name: "other", PID: 2}}, Steady: "floor", Drift: 0.2, Repeats: 2,
		}
		p.turn = func(_ context.Context, _ Plan, s Server, _ int) (*Round, *hdrhistogram.Histogram, error) {
			cpu := 50 * time.Microsecond
			if s.Name == "floor" {
				cpu = tt.floor[taken] * time.Microsecond
				taken++
			} else {
				others++
			}
			return &Round{Part: load.Part{Jobs: 1, Elapsed: time.Second, Server: cpu}}, hdrhistogram.New(1, 1000, 3), nil
		}
		r, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for _, one := range r.Servers[0].Rounds {
			got = append(got, one.Server/time.Microsecond)
		}
		if !slices.Equal(got, tt.rounds) || r.Repeated != tt.repeated || r.Unsteady != tt.unsteady ||
			r.Servers[0].Total.Jobs != 3 || others != 3+tt.repeated {
			t.Errorf("%v: %v, repeated %d (the others %d turns), unsteady %v", tt.floor, got, r.Repeated, others, r.Unsteady)
		}
	}
}

// TestRenew: each turn, also of a round that is made again, has a process of its own.
func TestRenew(t *testing.T) {
	started := 0
	var measured []int
	p := Plan{
		Load:   load.Config{Function: "f", Functions: 1, Clients: 1, Depth: 1, Workers: 1, Payload: 64},
		Rounds: 3, Servers: []Server{{Name: "floor", PID: 1}}, Steady: "floor", Drift: 0.2, Repeats: 2,
		Renew: func(s Server) (Server, error) {
			started++
			return Server{Name: s.Name, PID: 100 + started}, nil
		},
		turn: func(_ context.Context, _ Plan, s Server, _ int) (*Round, *hdrhistogram.Histogram, error) {
			measured = append(measured, s.PID)
			cpu := 10 * time.Microsecond
			if len(measured) == 1 {
				cpu *= 2
			}
			return &Round{Part: load.Part{Jobs: 1, Elapsed: time.Second, Server: cpu}}, hdrhistogram.New(1, 1000, 3), nil
		},
	}
	if _, err := Run(t.Context(), p); err != nil || !slices.Equal(measured, []int{101, 102, 103, 104}) {
		t.Errorf("measured %v: %v", measured, err)
	}
}
