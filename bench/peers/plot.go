package main

import (
	"bytes"
	"image/color"
	"math"
	"slices"
	"strings"

	"gearloop/bench"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// kinds are what the plot shows, in colours for the colour-blind too.
var kinds = []struct {
	section section
	name    string
	colour  color.Color
	glyph   draw.GlyphDrawer
}{
	{inMemory, "background, in memory", color.RGBA{0x00, 0x72, 0xb2, 0xff}, draw.CircleGlyph{}},
	{durable, "background, durable", color.RGBA{0xd5, 0x5e, 0x00, 0xff}, draw.BoxGlyph{}},
	{request, "request and result", color.RGBA{0x00, 0x9e, 0x73, 0xff}, draw.PyramidGlyph{}},
}

// plotCPU draws the servers' processor time per job, with much in flight.
func plotCPU(results []*result) ([]byte, error) {
	names := titles(results)
	slices.Reverse(names) // the axis begins below
	p := plot.New()
	p.Title.Text = "Server CPU per job, " + shapes[0].String() + " in flight, 64 bytes"
	p.X.Label.Text = "µs per job"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, bench.OneTwoFive{}
	p.Add(plotter.NewGrid())
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))+1.5 // the legend is above the points
	p.Legend.Top, p.Legend.Left = true, true
	lowest, highest := math.Inf(1), 0.0
	for _, k := range kinds {
		var points plotter.XYs
		for _, r := range results {
			if f := medians(r.turns[shapes[0]]); r.row.section == k.section && f.CPU > 0 {
				lowest, highest = min(lowest, f.CPU), max(highest, f.CPU)
				points = append(points, plotter.XY{X: f.CPU, Y: float64(slices.Index(names, r.row.title))})
			}
		}
		if len(points) == 0 {
			continue
		}
		marks, err := plotter.NewScatter(points)
		if err != nil {
			return nil, err
		}
		marks.Color, marks.Shape, marks.Radius = k.colour, k.glyph, vg.Points(4)
		p.Add(marks)
		p.Legend.Add(k.name, marks)
	}
	p.X.Min, p.X.Max = lowest/1.2, highest*1.2
	out, err := p.WriterTo(17*vg.Centimeter, 9*vg.Centimeter, "svg")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = out.WriteTo(&b)
	return b.Bytes(), err
}

// titles returns the names of all, those of one program together.
func titles(results []*result) (names []string) {
	kind := func(r *result) string {
		k, _, _ := strings.Cut(r.row.server, "-")
		return k
	}
	for _, first := range results {
		for _, r := range results {
			if kind(r) == kind(first) && !slices.Contains(names, r.row.title) {
				names = append(names, r.row.title)
			}
		}
	}
	return names
}
