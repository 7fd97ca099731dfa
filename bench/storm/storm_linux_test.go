package main

import (
	"testing"
	"time"
)

// TestMeasure lets a small storm go over a server: every figure is there, and nothing is lost.
func TestMeasure(t *testing.T) { measure(t, false) }

// TestMeasureApart does the same while the bystander has a server of its own.
func TestMeasureApart(t *testing.T) { measure(t, true) }

func measure(t *testing.T, apart bool) {
	o := options{
		workers: 200, functions: 1000, declarers: 10, rounds: 1, threads: 2, apart: apart, alone: 50 * time.Millisecond,
	}
	f, err := o.measure(t.Context(), "gearloop")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if f[row] <= 0 && row != closeMax && row != openMax { // maybe no job was under way then
			t.Errorf("%s: %v", row, f[row])
		}
	}
}
