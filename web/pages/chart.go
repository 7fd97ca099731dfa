package pages

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"gearloop/internal/monitor"
)

// Chart is one or several series over time.
type Chart struct {
	ID, Title string
	Series    []string
	Times     []int64     // seconds since 1970
	Values    [][]float64 // of each series, as many as Times
}

// JSON returns the data for the script.
func (c Chart) JSON() string {
	data := make([]any, 0, 1+len(c.Values))
	data = append(data, c.Times)
	for _, v := range c.Values {
		data = append(data, v)
	}
	b, err := json.Marshal(map[string]any{"series": c.Series, "data": data})
	if err != nil {
		return "{}"
	}
	return string(b)
}

// Now returns the newest number of each series.
func (c Chart) Now() (all []fact) {
	for i, name := range c.Series {
		all = append(all, fact{name, plain(c.Values[i][len(c.Times)-1])})
	}
	return all
}

// Rows returns the numbers of a chart, newest first.
func (c Chart) Rows() (rows []chartRow) {
	for i := len(c.Times) - 1; i >= 0 && len(rows) < 30; i-- {
		row := chartRow{At: time.Unix(c.Times[i], 0).Format(time.TimeOnly)}
		for _, v := range c.Values {
			row.Values = append(row.Values, plain(v[i]))
		}
		rows = append(rows, row)
	}
	return rows
}

type chartRow struct {
	At     string
	Values []string
}

// plain returns a number with some three digits, as app.js does.
func plain(v float64) string {
	if v >= 99.95 {
		return monitor.Number(int64(v + .5))
	}
	digits := 2
	if v >= 9.995 {
		digits = 1
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', digits, 64), "0"), ".")
}
