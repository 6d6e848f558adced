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

// CalibrationPlot is a figure of how often the truth lies within a predictor's
// intervals (y) against how often it should (x), with the diagonal of a
// predictor that knows how uncertain it is, 8 by 5.5 inches. At least two
// Points are required.
type CalibrationPlot struct {
	Title  string // set above the picture; may be empty
	XLabel string // if empty, "Nominal probability of the central interval (%)"
	YLabel string // if empty, "True accuracies inside (%)"

	Points []CalibrationPoint // in any order

	// Band is what the points' Low and High are, for the legend; if empty,
	// "sampling error".
	Band string

	Notes []string // as in [PredictionPlot]
}

// CalibrationPoint is what became of all intervals of one nominal probability.
type CalibrationPoint struct {
	Nominal float64 // probability of the central interval, from 0 to 1
	Share   float64 // of the true values that lie within theirs, from 0 to 1

	// Low and High are where Share would lie by chance if the intervals were
	// right, such as the 5 % and 95 % quantiles of the binomial distribution
	// of Nominal, as shares. Both are 0 if unknown.
	Low, High float64
}

// WriteSVG writes the figure as SVG, as [FrontPlot.WriteSVG] does.
func (p *CalibrationPlot) WriteSVG(w io.Writer) error { return writeSVG(w, p.figure) }

// WritePNG writes the figure as PNG, as [FrontPlot.WritePNG] does.
func (p *CalibrationPlot) WritePNG(w io.Writer) error { return writePNG(w, p.figure) }

func (p *CalibrationPlot) validate() error {
	if err := checkCount(len(p.Points)); err != nil {
		return err
	}
	first := make(map[float64]int)
	for i, q := range p.Points {
		what := fmt.Sprintf("points[%d]", i)
		if err := cmp.Or(
			checkFraction(what, "Nominal", q.Nominal),
			checkFraction(what, "Share", q.Share),
			checkFraction(what, "Low", q.Low),
			checkFraction(what, "High", q.High),
			checkOrder(what, q.Low, q.High),
		); err != nil {
			return err
		}
		if j, ok := first[q.Nominal]; ok {
			return fmt.Errorf("report: %s: Nominal is %g, as in points[%d]", what, q.Nominal, j)
		}
		first[q.Nominal] = i
	}
	return nil
}

// calibrationFigure is a CalibrationPlot ready to draw.
type calibrationFigure struct {
	frame
	line         []vg.Point
	band         []vg.Point // its outline: the lower edge, then the upper one backwards
	wide, narrow vg.Point   // where the regions' words are written
}

const (
	regionSize = 11 // of the words in the regions
	tooWide    = "intervals too wide"
	tooNarrow  = "intervals too narrow"
)

func (p *CalibrationPlot) figure() (*calibrationFigure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	points := slices.Clone(p.Points)
	slices.SortFunc(points, func(a, b CalibrationPoint) int { return cmp.Compare(a.Nominal, b.Nominal) })
	hasBand := slices.ContainsFunc(points, func(q CalibrationPoint) bool { return q.High > q.Low })

	legend := []legendEntry{
		{kind: legendLine, text: "predictor"},
		{kind: legendGuide, text: "perfectly calibrated"},
	}
	if hasBand {
		legend = append(legend, legendEntry{kind: legendBand, text: cmp.Or(p.Band, "sampling error")})
	}
	f := &calibrationFigure{}
	f.layOutSquare(p.Title, cmp.Or(p.XLabel, "Nominal probability of the central interval (%)"),
		cmp.Or(p.YLabel, "True accuracies inside (%)"), -2, 102, p.Notes, legend)

	var lower, upper []vg.Point
	for _, q := range points {
		f.line = append(f.line, f.place(100*q.Nominal, 100*q.Share))
		if hasBand && (q.High > 0 || q.Nominal == 0) {
			lower = append(lower, f.place(100*q.Nominal, 100*q.Low))
			upper = append(upper, f.place(100*q.Nominal, 100*q.High))
		}
	}
	if hasBand {
		slices.Reverse(upper)
		f.band = append(lower, upper...)
	}
	f.wide = f.region(tooWide, -1)
	f.narrow = f.region(tooNarrow, 1)
	return f, nil
}

// region returns where to write a region's words, clear of the line if that can
// be: side is 1 below the diagonal, -1 above it.
func (f *calibrationFigure) region(words string, side vg.Length) vg.Point {
	const clear = 6 // of the diagonal and of the area's edges
	size := f.area.Size()
	half := vg.Point{X: width(regular(regionSize), words)/2 + clear, Y: regionSize/2 + clear}
	centre := f.area.Min.Add(size.Scale(0.5))
	var best vg.Point
	least := math.Inf(1)
	const steps = 40
	for i := range steps + 1 {
		for j := range steps + 1 {
			at := f.area.Min.Add(vg.Point{X: vg.Length(i) / steps * size.X, Y: vg.Length(j) / steps * size.Y})
			box := vg.Rectangle{Min: at.Sub(half), Max: at.Add(half)}
			// The corner nearest to the diagonal.
			corner := at.Add(vg.Point{X: -side * half.X, Y: side * half.Y}).Sub(centre)
			if !inside(box, f.area) || side*(corner.X-corner.Y) < 0 {
				continue
			}
			ideal := centre.Add(vg.Point{X: side * size.X / 4, Y: -side * size.Y / 4})
			d := at.Sub(ideal)
			cost := math.Hypot(float64(d.X), float64(d.Y))
			for k := range f.line[1:] {
				cost += 100 * lengthWithin(f.line[k], f.line[k+1], box)
			}
			for k := range f.band {
				cost += 10 * lengthWithin(f.band[k], f.band[(k+1)%len(f.band)], box)
			}
			if cost < least {
				best, least = at, cost
			}
		}
	}
	return best.Sub(half).Add(vg.Point{X: clear, Y: half.Y - capHeight*regionSize/2})
}

func (f *calibrationFigure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	a := f.area
	c.FillPolygon(tooWideColor, []vg.Point{a.Min, a.Max, {X: a.Min.X, Y: a.Max.Y}})
	c.FillPolygon(tooNarrowColor, []vg.Point{a.Min, a.Max, {X: a.Max.X, Y: a.Min.Y}})
	f.drawAxes(&c)
	if f.band != nil {
		c.FillPolygon(bandColor, f.band)
	}
	c.StrokeLine2(guideStyle, a.Min.X, a.Min.Y, a.Max.X, a.Max.Y)
	face := regular(regionSize)
	c.SetColor(inkColor)
	c.FillString(face, f.wide, tooWide)
	c.FillString(face, f.narrow, tooNarrow)
	strokeWithMarkers(&c, f.line)
	f.drawTexts(&c)
}
