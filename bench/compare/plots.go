package main

import (
	"bytes"
	"image/color"

	"gearloop/bench"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The size of plots.
const (
	plotWidth  = 17 * vg.Centimeter
	plotHeight = 9 * vg.Centimeter
)

// colours distinguish lines, also for the colour-blind.
var colours = []color.Color{
	color.RGBA{0x55, 0x55, 0x55, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
}

// chart is the content of a plot.
type chart struct {
	file, title, x, y string
	series            *series
	logX, logY        bool
	ticks             []plot.Tick // on the x axis; nil: automatic
}

// charts returns all of them.
func (r *results) charts() []chart {
	latency := &series{}
	open := r.scenario("open")
	for _, c := range open.Servers {
		latency.Lines = append(latency.Lines, line{c.Server, c.Distribution})
	}
	return []chart{
		{
			"latency.svg", open.Title, "part of all jobs", "took at most, ms", latency, true, true,
			[]plot.Tick{{Value: 2, Label: "50 %"}, {Value: 10, Label: "90 %"}, {Value: 100, Label: "99 %"}, {Value: 1000, Label: "99.9 %"}, {Value: 10_000, Label: "99.99 %"}},
		},
		{
			"payload.svg", "Server CPU per job over payload", "bytes of argument and of result", "µs per job", r.series("payload"), true, true,
			[]plot.Tick{
				{Value: 64, Label: "64"}, {Value: 1 << 10, Label: "1 Ki"}, {Value: 4 << 10, Label: "4 Ki"}, {Value: 16 << 10, Label: "16 Ki"},
				{Value: 64 << 10, Label: "64 Ki"}, {Value: 256 << 10, Label: "256 Ki"}, {Value: 1 << 20, Label: "1 Mi"},
			},
		},
		{"memory.svg", "Server memory over idle workers", "idle workers", "resident, MiB", r.series("memory"), false, false, nil},
		{
			"loops.svg", "Throughput over event loops", "loops", "jobs per second", r.series("loops"), true, false,
			[]plot.Tick{{Value: 1, Label: "1"}, {Value: 2, Label: "2"}, {Value: 4, Label: "4"}},
		},
	}
}

// plots returns the files of all charts, by name.
func (r *results) plots() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range r.charts() {
		content, err := c.svg()
		if err != nil {
			return nil, err
		}
		files[c.file] = content
	}
	return files, nil
}

func (c *chart) svg() ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, l := range c.series.Lines {
		points := make(plotter.XYs, 0, len(l.Points))
		for _, at := range l.Points {
			points = append(points, plotter.XY{X: at.X, Y: at.Y})
		}
		if len(points) == 0 {
			continue
		}
		drawn, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Width = colours[i%len(colours)], vg.Points(1.5)
		marks.Color, marks.Shape, marks.Radius = drawn.Color, draw.CircleGlyph{}, vg.Points(1.5)
		p.Add(drawn, marks)
		p.Legend.Add(title(l.Name), drawn)
	}
	if c.ticks != nil {
		p.X.Tick.Marker = plot.ConstantTicks(c.ticks)
	}
	if c.logX {
		p.X.Scale = plot.LogScale{}
	}
	if c.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, bench.OneTwoFive{}
	} else {
		p.Y.Min = 0
	}
	out, err := p.WriterTo(plotWidth, plotHeight, "svg")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = out.WriteTo(&b)
	return b.Bytes(), err
}
