package bench

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"

	"gearloop/internal/monitor"
)

// Figure formats a number of a table with three digits, or with all before the point.
func Figure(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return Whole(v)
}

// Whole formats a number of a table without what is behind the point, with commas.
func Whole(v float64) string {
	text := monitor.Number(int64(math.RoundToEven(math.Abs(v))))
	if v <= -.5 {
		text = "-" + text
	}
	return text
}

// OneTwoFive puts ticks of a logarithmic axis at 1, 2 and 5 times the powers of ten.
type OneTwoFive struct{}

// Ticks returns those between lowest and highest.
func (OneTwoFive) Ticks(lowest, highest float64) []plot.Tick {
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(lowest))); decade <= highest; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := step * decade; v >= lowest && v <= highest {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 4, 64)})
			}
		}
	}
	return ticks
}
