package report

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	figureWidth  = 8 * vg.Inch
	figureHeight = 5.5 * vg.Inch
	pngDPI       = 200
)

// FrontPlot is a figure of accuracy (y, the more the better) against a cost
// (x, the less the better), 8 by 5.5 inches. Only Front is required.
//
// # What is in the picture
//
// The x range holds the whole front, and the references within its
// neighbourhood: up to a quarter of the front's width (in decades, if LogX) to
// either side, or a factor of 1.5 if that is more and LogX is set. A reference
// farther away is left out, so that a network of 15G MACs cannot squeeze a
// front that ends at 600M. Candidates extend the x range from their 1 % to
// their 99 % quantile, within the same neighbourhood.
//
// The y range holds the whole front and every reference within the x range.
// The front's uncertainty band, and the candidates from their 5 % quantile up,
// may add as much as half of that height at either end; what lies still
// farther is clipped.
//
// A line below the picture names what was left out.
//
// # Many candidates
//
// Up to 6,000 candidates are drawn as they are. More are thinned: the picture
// is divided into square cells, of which each keeps one candidate of each
// group, the cells being just large enough to leave no more than 6,000. Which
// ones stay does not depend on the order of Candidates.
type FrontPlot struct {
	Title  string // set above the picture; may be empty
	XLabel string // what x is, with its unit, such as "MACs"
	YLabel string // what y is, with its unit, such as "Top-1 accuracy (%)"

	// LogX makes the x axis logarithmic: every X must then be positive.
	LogX bool

	// Front is the Pareto front in any order, at least one point. It is drawn
	// as a line with markers, and a band of one SD to either side.
	Front []Point

	// Candidates are the explored networks, drawn as small dots behind the
	// front, in their group's colour.
	Candidates []Candidate

	// Explored is how many networks were explored, if Candidates are a sample
	// of them.
	Explored int

	// References are known networks, drawn as labelled diamonds.
	References []Reference

	// Groups fixes the order of groups in the legend and with it their
	// colours, so that several figures can agree; groups that do not occur
	// take a colour but no place in the legend. Groups that are not listed
	// follow by name. There are nine colours, safe for colour-blind readers:
	// candidates of a tenth group, or without one, are grey.
	Groups []string
}

// Point is a network of the front.
type Point struct {
	X  float64 // cost, in plain units: 300e6, not 300M
	Y  float64 // accuracy, for a familiar axis in percent
	SD float64 // standard deviation of Y, in the unit of Y; 0 if there is none
}

// low is the lower end of the uncertainty band. No accuracy is negative.
func (q *Point) low() float64 {
	if q.Y < 0 {
		return q.Y - q.SD
	}
	return max(0, q.Y-q.SD)
}

// Candidate is a network that was explored.
type Candidate struct {
	X, Y  float64 // as in [Point]
	Group string  // what its colour tells, such as its dominant block type
}

// Reference is a known network to compare with.
type Reference struct {
	X, Y float64 // as in [Point]
	Name string  // its label; a long one is shortened, an empty one left out
}

// WriteSVG writes the figure as SVG. Text remains text, set in Liberation Sans
// or, where that is missing, in a similar font drawn to the same width.
//
// An error names the first point that cannot be drawn.
func (p *FrontPlot) WriteSVG(w io.Writer) error { return writeSVG(w, p.figure) }

// WritePNG writes the figure as PNG, 1600 by 1100 pixels (200 dots per inch).
//
// An error names the first point that cannot be drawn.
func (p *FrontPlot) WritePNG(w io.Writer) error { return writePNG(w, p.figure) }

// drawn is a figure with every place decided.
type drawn interface{ draw(draw.Canvas) }

func writeSVG[F drawn](w io.Writer, figure func() (F, error)) error {
	f, err := figure()
	if err != nil {
		return err
	}
	c := &svgCanvas{Canvas: vgsvg.New(figureWidth, figureHeight)}
	f.draw(draw.New(c))
	svg, err := c.bytes()
	if err != nil {
		return fmt.Errorf("report: writing SVG: %w", err)
	}
	if _, err := w.Write(svg); err != nil {
		return fmt.Errorf("report: writing SVG: %w", err)
	}
	return nil
}

func writePNG[F drawn](w io.Writer, figure func() (F, error)) error {
	f, err := figure()
	if err != nil {
		return err
	}
	c := vgimg.NewWith(vgimg.UseWH(figureWidth, figureHeight), vgimg.UseDPI(pngDPI))
	f.draw(draw.New(c))
	if err := png.Encode(w, c.Image()); err != nil {
		return fmt.Errorf("report: writing PNG: %w", err)
	}
	return nil
}

// svgCanvas amends what vgsvg writes, for viewers without Liberation Sans: they
// would choose a serif, and letters of other widths would collide.
type svgCanvas struct {
	*vgsvg.Canvas
	widths []vg.Length // of the texts, in order
}

// FillString implements [vg.Canvas].
func (c *svgCanvas) FillString(f font.Face, p vg.Point, s string) {
	c.widths = append(c.widths, f.Width(s))
	c.Canvas.FillString(f, p, s)
}

// bytes returns the document, with fonts to fall back on, each text's width,
// and the corners of lines rounded, as in the PNG.
func (c *svgCanvas) bytes() ([]byte, error) {
	var plain, svg bytes.Buffer
	if _, err := c.WriteTo(&plain); err != nil {
		return nil, err
	}
	head, rest, _ := strings.Cut(plain.String(), "<svg ")
	svg.WriteString(head + `<svg stroke-linejoin="round" `)
	rest = strings.ReplaceAll(rest, "font-family:Liberation Sans;",
		"font-family:Liberation Sans,Arial,Helvetica,sans-serif;")
	// Text is escaped: "<text " occurs nowhere else.
	for _, w := range c.widths {
		before, after, _ := strings.Cut(rest, "<text ")
		fmt.Fprintf(&svg, `%s<text textLength="%.5g" lengthAdjust="spacingAndGlyphs" `, before, w.Points())
		rest = after
	}
	svg.WriteString(rest)
	return svg.Bytes(), nil
}

// maxMagnitude bounds coordinates, so that nothing computed from them overflows.
const maxMagnitude = 1e100

// validate returns an error that names the first value that cannot be drawn.
func (p *FrontPlot) validate() error {
	if len(p.Front) == 0 {
		return fmt.Errorf("report: the front is empty, there is nothing to draw")
	}
	for i, q := range p.Front {
		what := "front[" + strconv.Itoa(i) + "]"
		if err := p.checkXY(what, q.X, q.Y); err != nil {
			return err
		}
		if err := checkFinite(what, "SD", q.SD); err != nil {
			return err
		}
		if q.SD < 0 {
			return fmt.Errorf("report: %s: SD is %g, it must not be negative", what, q.SD)
		}
	}
	for i, q := range p.Candidates {
		if err := p.checkXY("candidates["+strconv.Itoa(i)+"]", q.X, q.Y); err != nil {
			return err
		}
	}
	for i, q := range p.References {
		what := fmt.Sprintf("references[%d]", i)
		if q.Name != "" {
			what += fmt.Sprintf(" (%q)", q.Name)
		}
		if err := p.checkXY(what, q.X, q.Y); err != nil {
			return err
		}
	}
	return nil
}

func (p *FrontPlot) checkXY(what string, x, y float64) error {
	if err := checkFinite(what, "X", x); err != nil {
		return err
	}
	if p.LogX && x < 1/maxMagnitude {
		return fmt.Errorf("report: %s: X is %g, a logarithmic axis needs it positive (at least %g)", what, x, 1/maxMagnitude)
	}
	return checkFinite(what, "Y", y)
}

func checkFinite(what, field string, v float64) error {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return fmt.Errorf("report: %s: %s is %g, it must be a finite number", what, field, v)
	case math.Abs(v) > maxMagnitude:
		return fmt.Errorf("report: %s: %s is %g, it must not exceed %g", what, field, v, maxMagnitude)
	}
	return nil
}
