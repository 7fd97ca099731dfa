package main

import "slices"

// figures are those of one turn, or the medians of several. Times are in microseconds, of the processor per job.
type figures struct {
	PerSecond float64
	CPU       float64 // of the server
	Load      float64 // CPU of the load
	P50, P99  float64
}

// result is what was measured of a row.
type result struct {
	row    *row
	turns  map[shape][]figures
	jobs   int // that were queued to measure memory; 0 = none
	memory int64
}

// medians returns the median of each figure.
func medians(turns []figures) figures {
	of := func(get func(figures) float64) float64 {
		values := make([]float64, 0, len(turns))
		for _, t := range turns {
			values = append(values, get(t))
		}
		return median(values)
	}
	return figures{
		PerSecond: of(func(f figures) float64 { return f.PerSecond }),
		CPU:       of(func(f figures) float64 { return f.CPU }),
		Load:      of(func(f figures) float64 { return f.Load }),
		P50:       of(func(f figures) float64 { return f.P50 }),
		P99:       of(func(f figures) float64 { return f.P99 }),
	}
}

// median returns the middle value, the mean of the two middle ones if there are two, and 0 for none.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// perQueued returns the bytes of memory for each queued job; 0 if it was not measured.
func (r *result) perQueued() float64 {
	if r.jobs == 0 {
		return 0
	}
	return float64(r.memory) / float64(r.jobs)
}
