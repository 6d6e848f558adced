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

// PredictionPlot is a figure of predicted accuracy (y) against true accuracy
// (x) with the diagonal on which a perfect predictor's points lie, 8 by 5.5
// inches. At least two Points are required.
//
// Both axes have the same range, in per cent. It holds all points; their
// intervals may add as much as a tenth of it at either end, and what lies
// still farther is clipped.
//
// Points are small and intervals faint where there are many. More than 6,000
// points are thinned, as the candidates of a [FrontPlot] are, which a line
// below the picture says.
type PredictionPlot struct {
	Title  string // set above the picture; may be empty
	XLabel string // if empty, "True top-1 accuracy (%)"
	YLabel string // if empty, "Predicted top-1 accuracy (%)"

	Points []PredictionPoint

	// Notes are set beside the picture, such as "RMSE 0.98 points", each from
	// a line of its own on. They are cut where there is no more room.
	Notes []string

	// GroupedBy is what the points' Group is, such as "Recipe": the heading of
	// the legend's groups. It may be empty.
	GroupedBy string

	// Groups fixes the order of groups, and with it colours and markers, as in
	// a [FrontPlot]. There are nine: if more groups occur, those not listed
	// that have the most points get the colours that are left, and the rest
	// are "other", as are points without a group.
	Groups []string
}

// PredictionPoint is a network whose accuracy is known, and was predicted
// without knowing it.
type PredictionPoint struct {
	True      float64 // accuracy, as a fraction of 1
	Predicted float64 // likewise

	// Low and High are the 90 % interval of the prediction. What is below 0 or
	// above 1 is not drawn. Both are 0 if there is none.
	Low, High float64

	Group string // what its colour tells, such as its recipe or block type
}

// WriteSVG writes the figure as SVG, as [FrontPlot.WriteSVG] does.
func (p *PredictionPlot) WriteSVG(w io.Writer) error { return writeSVG(w, p.figure) }

// WritePNG writes the figure as PNG, as [FrontPlot.WritePNG] does.
func (p *PredictionPlot) WritePNG(w io.Writer) error { return writePNG(w, p.figure) }

func (p *PredictionPlot) validate() error {
	if err := checkCount(len(p.Points)); err != nil {
		return err
	}
	for i, q := range p.Points {
		what := fmt.Sprintf("points[%d]", i)
		if err := cmp.Or(
			checkFraction(what, "True", q.True),
			checkFraction(what, "Predicted", q.Predicted),
			checkFinite(what, "Low", q.Low),
			checkFinite(what, "High", q.High),
			checkOrder(what, q.Low, q.High),
		); err != nil {
			return err
		}
	}
	return nil
}

// predictionFigure is a PredictionPlot ready to draw.
type predictionFigure struct {
	frame
	dots     []dot
	whiskers bool
}

const (
	extraWhisker = 0.1 // of the points' range, at either end
	sameValue    = 1e-6
	otherGroup   = "other"
)

// whisker returns the interval as far as accuracies go, in per cent, and
// whether there is one.
func (q *PredictionPoint) whisker() (low, high float64, ok bool) {
	if q.Low == 0 && q.High == 0 {
		return 100 * q.Predicted, 100 * q.Predicted, false
	}
	return 100 * min(max(q.Low, 0), 1), 100 * min(max(q.High, 0), 1), true
}

// group returns the point's group, empty for what is other anyway.
func (q *PredictionPoint) group() string {
	if q.Group == otherGroup {
		return ""
	}
	return q.Group
}

func (p *PredictionPlot) figure() (*predictionFigure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	f := &predictionFigure{}
	lo, hi := math.Inf(1), math.Inf(-1)
	least, most := math.Inf(1), math.Inf(-1)
	for _, q := range p.Points {
		lo, hi = min(lo, 100*q.True, 100*q.Predicted), max(hi, 100*q.True, 100*q.Predicted)
		low, high, ok := q.whisker()
		least, most = min(least, low), max(most, high)
		f.whiskers = f.whiskers || ok
	}
	extra := extraWhisker * (hi - lo)
	if hi-lo < sameValue { // all points are in one place
		extra = most - least
	}
	both := axis{lo: min(lo, max(least, lo-extra)), hi: max(hi, min(most, hi+extra))}
	both.atLeast(sameValue, 1)
	both.pad(0.03)

	if len(p.Points) > maxDots {
		f.note = "Dots thinned."
	}
	legend := []legendEntry{{kind: legendGuide, text: "predicted = true"}}
	if f.whiskers {
		legend = append(legend, legendEntry{kind: legendWhisker, text: "90 % interval"})
	}
	index, groups := p.groups()
	legend = append(legend, groups...)
	f.layOutSquare(p.Title, cmp.Or(p.XLabel, "True top-1 accuracy (%)"),
		cmp.Or(p.YLabel, "Predicted top-1 accuracy (%)"), both.lo, both.hi, p.Notes, legend)

	for _, q := range p.Points {
		low, high, _ := q.whisker()
		low, high = min(max(low, f.y.lo), f.y.hi), min(max(high, f.y.lo), f.y.hi)
		f.dots = append(f.dots, dot{
			at: f.place(100*q.True, 100*q.Predicted), group: index.of(q.group()),
			low: f.place(0, low).Y, high: f.place(0, high).Y,
		})
	}
	f.dots = thin(f.dots, maxDots)
	return f, nil
}

// groups assigns colours to groups, and returns the legend with the number of
// points of each.
func (p *PredictionPlot) groups() (groupIndex, []legendEntry) {
	occurs := make(map[string]int)
	for _, q := range p.Points {
		occurs[q.group()]++
	}
	if len(p.Points) == occurs[""] { // nothing to tell apart
		return groupIndex{index: map[string]int{"": 0}}, []legendEntry{{
			kind: legendGroup, color: groupColors[0], text: plural(len(p.Points), "network"),
		}}
	}
	var listed, rest []string
	for _, name := range p.Groups {
		if name != "" && name != otherGroup && !slices.Contains(listed, name) {
			listed = append(listed, name)
		}
	}
	present := make(map[string]bool)
	for name := range occurs {
		present[name] = true
		if name != "" && !slices.Contains(listed, name) {
			rest = append(rest, name)
		}
	}
	slices.SortFunc(rest, func(a, b string) int {
		return cmp.Or(cmp.Compare(occurs[b], occurs[a]), cmp.Compare(a, b))
	})
	rest = rest[:min(len(rest), max(0, len(groupColors)-len(listed)))]
	slices.Sort(rest)
	index := newGroupIndex(append(listed, rest...), present)

	points := make([]int, len(groupColors)+1)
	for name, n := range occurs {
		points[index.of(name)] += n
	}
	var legend []legendEntry
	if p.GroupedBy != "" && len(index.index) > 0 {
		legend = append(legend, legendEntry{kind: legendHeading, text: p.GroupedBy + ":"})
	}
	for _, e := range index.legend {
		i := index.of(e.text)
		count := " (" + grouped(points[i]) + ")"
		e.marker = markerOf(i)
		e.text = fit(regular(legendSize), e.text, columnWidth-e.kind.symbolWidth()-width(regular(legendSize), count)) + count
		legend = append(legend, e)
	}
	return index, legend
}

// markerOf returns the shape of a group's markers.
func markerOf(group int) int {
	if group == len(groupColors) {
		return 0
	}
	return group % markers
}

func (f *predictionFigure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	f.drawAxes(&c)

	// From 1 for up to 200 points to 0 for 5,000 and more.
	few := 1 - min(max(math.Log(float64(len(f.dots))/200)/math.Log(25), 0), 1)
	between := func(many, one float64) float64 { return many + few*(one-many) }
	if f.whiskers {
		width := vg.Length(between(0.35, 0.8))
		eachPath(f.dots, func(path *vg.Path, d dot) {
			if d.low < d.high {
				path.Move(vg.Point{X: d.at.X, Y: d.low})
				path.Line(vg.Point{X: d.at.X, Y: d.high})
			}
		}, func(group int, path vg.Path) {
			c.SetLineStyle(draw.LineStyle{Color: faded(groupColor(group), uint8(between(0x30, 0x78))), Width: width})
			c.Stroke(path)
		})
	}
	radius := vg.Length(between(1.2, 2.7))
	eachPath(f.dots, func(path *vg.Path, d dot) {
		addMarker(path, markerOf(d.group), d.at, radius)
	}, func(group int, path vg.Path) {
		c.SetColor(faded(groupColor(group), uint8(between(0x60, 0xd8))))
		c.Fill(path)
	})
	c.StrokeLine2(guideStyle, f.area.Min.X, f.area.Min.Y, f.area.Max.X, f.area.Max.Y)
	f.drawTexts(&c)
}
