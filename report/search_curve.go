package report

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SearchCurvePlot is a figure of how much of the best possible front searches
// have found (y) after some evaluations (x, logarithmic), 8 by 5.5 inches: a line
// for each algorithm, named at its right end, and a band of one standard deviation
// to either side of it.
type SearchCurvePlot struct {
	Title  string // set above the picture; may be empty
	XLabel string // if empty, "Networks evaluated"
	YLabel string // if empty, "Hypervolume, as a share of the true front's"
	Note   string // set below the picture, such as the reference point; may be empty

	// Curves are drawn in the order of their colours, the last on top: at least
	// one, at most nine.
	Curves []SearchCurve
}

// SearchCurve is how an algorithm did.
type SearchCurve struct {
	Name   string        // a long one is shortened
	Points []SearchPoint // in any order; at least two
}

// SearchPoint is how far searches had come after so many evaluations.
type SearchPoint struct {
	Evaluations int
	Mean        float64 // share of the true front's hypervolume, from 0 to 1
	SD          float64 // standard deviation of that; 0 if unknown
}

// low and high are the ends of the band. No share is below 0 or above 1.
func (q SearchPoint) low() float64  { return max(0, q.Mean-q.SD) }
func (q SearchPoint) high() float64 { return min(1, q.Mean+q.SD) }

// WriteSVG writes the figure as SVG, as [FrontPlot.WriteSVG] does.
func (p *SearchCurvePlot) WriteSVG(w io.Writer) error { return writeSVG(w, p.figure) }

// WritePNG writes the figure as PNG, as [FrontPlot.WritePNG] does.
func (p *SearchCurvePlot) WritePNG(w io.Writer) error { return writePNG(w, p.figure) }

func (p *SearchCurvePlot) validate() error {
	switch n := len(p.Curves); {
	case n == 0:
		return fmt.Errorf("report: there are no curves, there is nothing to draw")
	case n > len(groupColors):
		return fmt.Errorf("report: there are %d curves, no more than %d can be told apart", n, len(groupColors))
	}
	for i, c := range p.Curves {
		if c.Name == "" {
			return fmt.Errorf("report: curves[%d]: Name is empty", i)
		}
		if n := len(c.Points); n < 2 {
			return fmt.Errorf("report: curves[%d] (%q): it has %s, at least 2 are needed", i, c.Name, plural(n, "point"))
		}
		first := make(map[int]int)
		for k, q := range c.Points {
			what := fmt.Sprintf("curves[%d] (%q): points[%d]", i, c.Name, k)
			if q.Evaluations < 1 {
				return fmt.Errorf("report: %s: Evaluations is %d, a logarithmic axis needs it positive", what, q.Evaluations)
			}
			if err := cmp.Or(
				checkFraction(what, "Mean", q.Mean),
				checkFraction(what, "SD", q.SD),
			); err != nil {
				return err
			}
			if j, ok := first[q.Evaluations]; ok {
				return fmt.Errorf("report: %s: Evaluations is %d, as in points[%d]", what, q.Evaluations, j)
			}
			first[q.Evaluations] = k
		}
	}
	return nil
}

// searchFigure is a SearchCurvePlot ready to draw.
type searchFigure struct {
	frame
	curves []searchLine
}

// searchLine is a curve with its name on the right.
type searchLine struct {
	color color.NRGBA
	line  []vg.Point
	band  []vg.Point // its outline; nil if there is none
	text  string
	textY vg.Length // of the middle of the text
}

func (p *SearchCurvePlot) figure() (*searchFigure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	curves := make([]SearchCurve, len(p.Curves))
	for i, c := range p.Curves {
		c.Points = slices.Clone(c.Points)
		slices.SortFunc(c.Points, func(a, b SearchPoint) int { return cmp.Compare(a.Evaluations, b.Evaluations) })
		curves[i] = c
	}
	f := &searchFigure{}
	counts := f.chooseRange(curves)
	f.layOut(p, curves, counts)
	for i, c := range curves {
		l := &f.curves[i]
		var lower, upper []vg.Point
		hasBand := false
		for _, q := range c.Points {
			x := float64(q.Evaluations)
			l.line = append(l.line, f.place(x, q.Mean))
			lower, upper = append(lower, f.place(x, q.low())), append(upper, f.place(x, q.high()))
			hasBand = hasBand || q.SD > 0
		}
		if hasBand {
			slices.Reverse(upper)
			l.band = append(lower, upper...)
		}
	}
	f.placeNames()
	return f, nil
}

// chooseRange sets the axes to hold everything, and returns the numbers of
// evaluations.
func (f *searchFigure) chooseRange(curves []SearchCurve) []int {
	var counts []int
	f.y = axis{lo: math.Inf(1), hi: math.Inf(-1)}
	for _, c := range curves {
		for _, q := range c.Points {
			counts = append(counts, q.Evaluations)
			f.y.lo, f.y.hi = min(f.y.lo, q.low()), max(f.y.hi, q.high())
		}
	}
	slices.Sort(counts)
	counts = slices.Compact(counts)
	f.x = axis{log: true, lo: math.Log(float64(counts[0])), hi: math.Log(float64(counts[len(counts)-1]))}
	f.x.pad(0.03)
	f.y.atLeast(sameValue, 0.05)
	f.y.pad(0.05)
	return counts
}

func (f *searchFigure) layOut(p *SearchCurvePlot, curves []SearchCurve, counts []int) {
	f.note = p.Note
	f.yTicks = slices.DeleteFunc(linearTicks(f.y.lo, f.y.hi, 8, decimal), func(t tick) bool {
		return t.value < -1e-9 || t.value > 1+1e-9
	})
	top := f.layOutTexts(p.Title, cmp.Or(p.XLabel, "Networks evaluated"),
		cmp.Or(p.YLabel, "Hypervolume, as a share of the true front's"))
	var names vg.Length
	for i, c := range curves {
		text := fit(regular(legendSize), c.Name, maxNameSpan)
		names = max(names, width(regular(legendSize), text))
		f.curves = append(f.curves, searchLine{color: groupColors[i], text: text})
	}
	f.area.Max.X = figureWidth - margin - names - levelGap
	f.area.Max.Y = top - 8
	f.fitTexts()

	// Ticks as those at numbers of records.
	points := make([]LearningPoint, len(counts))
	for i, n := range counts {
		points[i].Records = n
	}
	f.xTicks = (&learningFigure{frame: f.frame}).recordTicks(points)
}

// placeNames sets the names beside the ends of their lines, in the order of
// these.
func (f *searchFigure) placeNames() {
	order := make([]*searchLine, len(f.curves))
	for i := range f.curves {
		order[i] = &f.curves[i]
	}
	slices.SortStableFunc(order, func(a, b *searchLine) int { return cmp.Compare(a.end().Y, b.end().Y) })
	want := make([]vg.Length, len(order))
	for i, l := range order {
		want[i] = l.end().Y
	}
	for i, y := range spread(want, levelRow, f.area.Min.Y, f.area.Max.Y) {
		order[i].textY = y
	}
}

func (l *searchLine) end() vg.Point { return l.line[len(l.line)-1] }

func (f *searchFigure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	f.drawAxes(&c)
	for _, l := range f.curves {
		if l.band != nil {
			c.FillPolygon(faded(l.color, 0x30), l.band)
		}
	}
	face := regular(legendSize)
	for _, l := range f.curves {
		c.StrokeLines(draw.LineStyle{Color: l.color, Width: 1.8}, l.line)
		radius := markerRadius(len(l.line))
		for _, at := range l.line {
			c.SetColor(l.color)
			c.Fill(circle(at, radius))
		}
		end := l.end()
		c.StrokeLine2(draw.LineStyle{Color: l.color, Width: 0.8}, end.X, end.Y, f.area.Max.X+levelGap-4, l.textY)
		c.SetColor(inkColor)
		c.FillString(face, vg.Point{X: f.area.Max.X + levelGap, Y: l.textY - capHeight*legendSize/2}, l.text)
	}
	f.drawTexts(&c)
}
