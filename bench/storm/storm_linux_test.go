package main

import "testing"

// TestMeasure lets a small storm go over a server: every figure is there, and nothing is lost.
func TestMeasure(t *testing.T) {
	o := options{workers: 200, functions: 1000, declarers: 10, rounds: 1, threads: 2, patience: 0}
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
