package report

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// LearningCurvePlot is a figure of how well a predictor ranks networks (y)
// against the number of records it learned from (x, logarithmic), 8 by 5.5
// inches. At least two Points are required.
type LearningCurvePlot struct {
	Title  string // set above the picture; may be empty
	XLabel string // if empty, "Training records"
	YLabel string // if empty, "Kendall's tau of predicted and true accuracy"
	Note   string // set below the picture, such as what was tested on; may be empty

	// Name is what the curve and its band are, for the legend, such as "mean
	// and 90 % range of 20 draws of the records"; if empty, "predictor".
	Name string

	Points []LearningPoint // in any order

	// Baselines are drawn as dashed lines with their names on the right, in
	// the order of their colours; at most nine.
	Baselines []Baseline

	// Ceiling is what no predictor can exceed, since the measured accuracies
	// are noisy themselves. It is drawn as a dotted line; 0 if unknown.
	Ceiling float64
}

// LearningPoint is a predictor's quality after learning from some records.
type LearningPoint struct {
	Records int
	Tau     float64 // Kendall's, from -1 to 1: the mean, if repeated

	// Low and High are the range of Tau, over draws of the records for
	// instance. Both are 0 if there is none.
	Low, High float64
}

// Baseline is the quality of a rule that needs no records.
type Baseline struct {
	Name  string  // such as "MACs alone"; a long one is shortened
	Value float64 // as in [LearningPoint].Tau
}

// WriteSVG writes the figure as SVG, as [FrontPlot.WriteSVG] does.
func (p *LearningCurvePlot) WriteSVG(w io.Writer) error { return writeSVG(w, p.figure) }

// WritePNG writes the figure as PNG, as [FrontPlot.WritePNG] does.
func (p *LearningCurvePlot) WritePNG(w io.Writer) error { return writePNG(w, p.figure) }

func (p *LearningCurvePlot) validate() error {
	if err := checkCount(len(p.Points)); err != nil {
		return err
	}
	checkTau := func(what, field string, v float64) error {
		return checkBetween(what, field, v, -1, 1, "from -1 to 1")
	}
	first := make(map[int]int)
	for i, q := range p.Points {
		what := fmt.Sprintf("points[%d]", i)
		if q.Records < 1 {
			return fmt.Errorf("report: %s: Records is %d, a logarithmic axis needs it positive", what, q.Records)
		}
		if err := cmp.Or(
			checkTau(what, "Tau", q.Tau),
			checkTau(what, "Low", q.Low),
			checkTau(what, "High", q.High),
			checkOrder(what, q.Low, q.High),
		); err != nil {
			return err
		}
		if j, ok := first[q.Records]; ok {
			return fmt.Errorf("report: %s: Records is %d, as in points[%d]", what, q.Records, j)
		}
		first[q.Records] = i
	}
	if n := len(p.Baselines); n > len(groupColors) {
		return fmt.Errorf("report: there are %d baselines, no more than %d can be told apart", n, len(groupColors))
	}
	for i, b := range p.Baselines {
		what := fmt.Sprintf("baselines[%d]", i)
		if b.Name == "" {
			return fmt.Errorf("report: %s: Name is empty", what)
		}
		if err := checkTau(fmt.Sprintf("%s (%q)", what, b.Name), "Value", b.Value); err != nil {
			return err
		}
	}
	return checkTau("the figure", "Ceiling", p.Ceiling)
}

// learningFigure is a LearningCurvePlot ready to draw.
type learningFigure struct {
	frame
	line   []vg.Point
	band   []vg.Point // its outline
	levels []level
}

// level is a horizontal line with its name on the right.
type level struct {
	style draw.LineStyle
	value float64
	text  string
	y     vg.Length // of the line
	textY vg.Length // of the middle of the text
}

const (
	levelGap = 16                // between the area and the names
	levelRow = legendSize * 1.35 // from name to name
	ceiling  = "noise ceiling"
)

// levelStyles are those of baselines, which differ in colour and in dashes.
func levelStyle(i int) draw.LineStyle {
	patterns := [][]vg.Length{{7, 3}, {3, 2.5}, {10, 2.5, 2, 2.5}}
	return draw.LineStyle{Color: groupColors[i], Width: 1.5, Dashes: patterns[i%len(patterns)]}
}

func (p *LearningCurvePlot) figure() (*learningFigure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	points := slices.Clone(p.Points)
	slices.SortFunc(points, func(a, b LearningPoint) int { return cmp.Compare(a.Records, b.Records) })
	hasBand := false
	for i := range points {
		q := &points[i]
		if q.Low == 0 && q.High == 0 {
			q.Low, q.High = q.Tau, q.Tau
		}
		hasBand = hasBand || q.Low < q.High
	}

	f := &learningFigure{}
	for i, b := range p.Baselines {
		f.addLevel(b.Name, b.Value, levelStyle(i))
	}
	if p.Ceiling != 0 {
		f.addLevel(ceiling, p.Ceiling, draw.LineStyle{Color: inkColor, Width: 1.2, Dashes: []vg.Length{1.2, 2.4}})
	}
	f.chooseRange(points)
	f.layOut(p, points, hasBand)

	var lower, upper []vg.Point
	for _, q := range points {
		x := float64(q.Records)
		f.line = append(f.line, f.place(x, q.Tau))
		lower, upper = append(lower, f.place(x, q.Low)), append(upper, f.place(x, q.High))
	}
	if hasBand {
		slices.Reverse(upper)
		f.band = append(lower, upper...)
	}
	return f, nil
}

func (f *learningFigure) addLevel(name string, value float64, style draw.LineStyle) {
	face := regular(legendSize)
	text := minus(strconv.FormatFloat(value, 'f', 3, 64))
	text = fit(face, name, maxNameSpan-width(face, " "+text)) + " " + text
	f.levels = append(f.levels, level{style: style, value: value, text: text})
}

// chooseRange sets the axes to hold everything.
func (f *learningFigure) chooseRange(points []LearningPoint) {
	first, last := points[0].Records, points[len(points)-1].Records
	f.x = axis{log: true, lo: math.Log(float64(first)), hi: math.Log(float64(last))}
	f.x.pad(0.03)
	f.y = axis{lo: math.Inf(1), hi: math.Inf(-1)}
	include := func(values ...float64) {
		for _, v := range values {
			f.y.lo, f.y.hi = min(f.y.lo, v), max(f.y.hi, v)
		}
	}
	for _, q := range points {
		include(q.Tau, q.Low, q.High)
	}
	for _, l := range f.levels {
		include(l.value)
	}
	f.y.atLeast(sameValue, 0.05)
	f.y.pad(0.05)
}

func (f *learningFigure) layOut(p *LearningCurvePlot, points []LearningPoint, hasBand bool) {
	f.note = p.Note
	f.yTicks = slices.DeleteFunc(linearTicks(f.y.lo, f.y.hi, 8, decimal), func(t tick) bool {
		return math.Abs(t.value) > 1+1e-9
	})
	top := f.layOutTexts(p.Title, cmp.Or(p.XLabel, "Training records"),
		cmp.Or(p.YLabel, "Kendall's tau of predicted and true accuracy"))

	var names vg.Length
	for _, l := range f.levels {
		names = max(names, width(regular(legendSize), l.text))
	}
	if names > 0 {
		f.area.Max.X = figureWidth - margin - names - levelGap
	}
	f.fitTexts()
	curve := legendEntry{kind: legendLine, band: hasBand}
	curve.text = fit(regular(legendSize), cmp.Or(p.Name, "predictor"),
		figureWidth-margin-f.area.Min.X-curve.kind.symbolWidth())
	f.legend = []legendEntry{curve}
	f.area.Max.Y = f.legendRows(top, 0, len(f.legend)) - legendRow - 8

	f.xTicks = f.recordTicks(points)

	order := make([]*level, len(f.levels))
	for i := range f.levels {
		l := &f.levels[i]
		l.y = f.place(1, l.value).Y
		order[i] = l
	}
	slices.SortStableFunc(order, func(a, b *level) int { return cmp.Compare(a.y, b.y) })
	want := make([]vg.Length, len(order))
	for i, l := range order {
		want[i] = l.y
	}
	for i, y := range spread(want, levelRow, f.area.Min.Y, f.area.Max.Y) {
		order[i].textY = y
	}
}

// recordTicks returns a tick at each number of records. The first and the last
// are labelled, and from the left those between that have room.
func (f *learningFigure) recordTicks(points []LearningPoint) []tick {
	ticks := make([]tick, len(points))
	extent := func(i int) (from, to vg.Length) {
		x := f.place(float64(points[i].Records), 0).X
		half := width(regular(tickSize), grouped(points[i].Records)) / 2
		return x - half, x + half
	}
	last := len(points) - 1
	limit, _ := extent(last)
	end := vg.Length(math.Inf(-1))
	for i, q := range points {
		ticks[i].value = float64(q.Records)
		from, to := extent(i)
		if i == 0 || from >= end+tickGap && (i == last || to <= limit-tickGap) {
			ticks[i].label = grouped(q.Records)
			end = to
		}
	}
	return ticks
}

// spread moves sorted places as little as it can (least squares) so that each
// is a row or more from the next, and between lo and hi, where there must be
// room for all.
func spread(places []vg.Length, row, lo, hi vg.Length) []vg.Length {
	// Less i rows, they need not grow: neighbours that would are averaged.
	type block struct {
		sum vg.Length
		n   int
	}
	var blocks []block
	mean := func(b block) vg.Length { return b.sum / vg.Length(b.n) }
	for i, y := range places {
		b := block{y - vg.Length(i)*row, 1}
		for len(blocks) > 0 && mean(blocks[len(blocks)-1]) >= mean(b) {
			b.sum += blocks[len(blocks)-1].sum
			b.n += blocks[len(blocks)-1].n
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	var moved []vg.Length
	for _, b := range blocks {
		for range b.n {
			moved = append(moved, mean(b)+vg.Length(len(moved))*row)
		}
	}
	for i := range moved {
		below, above := vg.Length(i), vg.Length(len(moved)-1-i)
		moved[i] = max(lo+below*row, min(hi-above*row, moved[i]))
	}
	return moved
}

func (f *learningFigure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	f.drawAxes(&c)
	face := regular(legendSize)
	for _, l := range f.levels {
		c.StrokeLine2(l.style, f.area.Min.X, l.y, f.area.Max.X, l.y)
		c.StrokeLine2(draw.LineStyle{Color: l.style.Color, Width: 0.8},
			f.area.Max.X+2, l.y, f.area.Max.X+levelGap-4, l.textY)
		c.SetColor(inkColor)
		c.FillString(face, vg.Point{X: f.area.Max.X + levelGap, Y: l.textY - capHeight*legendSize/2}, l.text)
	}
	if f.band != nil {
		c.FillPolygon(bandColor, f.band)
	}
	strokeWithMarkers(&c, f.line)
	f.drawTexts(&c)
}
