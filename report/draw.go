package report

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var (
	inkColor       = color.NRGBA{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
	faintColor     = color.NRGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff}
	gridColor      = color.NRGBA{R: 0xe6, G: 0xe6, B: 0xe6, A: 0xff}
	bandColor      = color.NRGBA{R: 0x30, G: 0x30, B: 0x30, A: 0x38}
	haloColor      = color.NRGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xb8}
	otherColor     = color.NRGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}
	referenceColor = color.NRGBA{R: 0xf0, G: 0xe4, B: 0x42, A: 0xff}

	// The regions of a CalibrationPlot: vermillion and blue.
	tooNarrowColor = color.NRGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0x16}
	tooWideColor   = color.NRGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0x16}

	// guideStyle is that of a line to compare data with.
	guideStyle = draw.LineStyle{Color: inkColor, Width: 0.9, Dashes: []vg.Length{5, 3}}

	// groupColors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/)
	// without black, which is the front's, and yellow, which is the references';
	// then three of Tol's muted scheme (https://personal.sron.nl/~pault/).
	groupColors = []color.NRGBA{
		{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, // orange
		{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, // blue
		{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, // bluish green
		{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, // reddish purple
		{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, // sky blue
		{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, // vermillion
		{R: 0x88, G: 0x22, B: 0x55, A: 0xff}, // wine
		{R: 0x99, G: 0x99, B: 0x33, A: 0xff}, // olive
		{R: 0x33, G: 0x22, B: 0x88, A: 0xff}, // indigo
	}
)

// draw draws the figure.
func (f *figure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	f.drawAxes(&c)
	f.drawDots(&c)
	for _, l := range f.labels {
		// Fades the dots behind the name, but not the band and the front.
		c.FillPolygon(haloColor, corners(l.box))
	}
	f.drawFront(&c)
	f.drawReferences(&c)
	f.drawTexts(&c)
}

func (f *frame) drawAxes(c *draw.Canvas) {
	grid := draw.LineStyle{Color: gridColor, Width: 0.6}
	line := draw.LineStyle{Color: inkColor, Width: 0.8}
	face := regular(tickSize)

	for _, t := range f.xTicks {
		x := f.place(t.value, 0).X
		if t.label == "" {
			c.StrokeLine2(line, x, f.area.Min.Y, x, f.area.Min.Y-tickLength/2)
			continue
		}
		c.StrokeLine2(grid, x, f.area.Min.Y, x, f.area.Max.Y)
		c.StrokeLine2(line, x, f.area.Min.Y, x, f.area.Min.Y-tickLength)
		c.SetColor(inkColor)
		c.FillString(face, vg.Point{
			X: x - width(face, t.label)/2,
			Y: f.area.Min.Y - tickLength - 3 - capHeight*tickSize,
		}, t.label)
	}
	for _, t := range f.yTicks {
		y := f.place(1, t.value).Y
		c.StrokeLine2(grid, f.area.Min.X, y, f.area.Max.X, y)
		c.StrokeLine2(line, f.area.Min.X, y, f.area.Min.X-tickLength, y)
		c.SetColor(inkColor)
		c.FillString(face, vg.Point{
			X: f.area.Min.X - tickLength - 3 - width(face, t.label),
			Y: y - capHeight*tickSize/2,
		}, t.label)
	}
	c.StrokeLines(line, []vg.Point{
		{X: f.area.Min.X, Y: f.area.Max.Y}, f.area.Min, {X: f.area.Max.X, Y: f.area.Min.Y},
	})
}

// capHeight is the height of capitals and digits in Liberation Sans, as a
// fraction of its size.
const capHeight = 0.72

// drawDots draws the candidates.
func (f *figure) drawDots(c *draw.Canvas) {
	eachPath(f.dots, func(path *vg.Path, d dot) {
		addCircle(path, d.at, dotRadius)
	}, func(group int, path vg.Path) {
		c.SetColor(faded(groupColor(group), 0x98))
		c.Fill(path)
	})
}

// eachPath makes dots into paths. Dots of one group in one layer are one path,
// which keeps the SVG small; several layers keep the groups mixed and let dense
// places look denser.
func eachPath(dots []dot, add func(*vg.Path, dot), paint func(group int, path vg.Path)) {
	for layer := range dotLayers {
		from, to := layer*len(dots)/dotLayers, (layer+1)*len(dots)/dotLayers
		for g := range len(groupColors) + 1 {
			var path vg.Path
			for _, d := range dots[from:to] {
				if d.group == g {
					add(&path, d)
				}
			}
			if path != nil {
				paint(g, path)
			}
		}
	}
}

func faded(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

func (f *figure) drawFront(c *draw.Canvas) {
	line := make([]vg.Point, len(f.front))
	for i, q := range f.front {
		line[i] = f.place(q.X, q.Y)
	}
	if f.hasSD {
		area := draw.Canvas{Canvas: c, Rectangle: f.area}
		area.FillPolygon(bandColor, area.ClipPolygonY(f.band()))
	}
	strokeWithMarkers(c, line)
}

// strokeWithMarkers draws a line of data with a marker at each point.
func strokeWithMarkers(c *draw.Canvas, line []vg.Point) {
	c.StrokeLines(draw.LineStyle{Color: inkColor, Width: 1.3}, line)
	radius := markerRadius(len(line))
	for _, p := range line {
		c.SetColor(color.White)
		c.Fill(circle(p, radius+0.5))
	}
	for _, p := range line {
		c.SetColor(inkColor)
		c.Fill(circle(p, radius))
	}
}

// band returns the outline of the uncertainty band, which may leave the area.
func (f *figure) band() []vg.Point {
	var lower, upper []vg.Point
	for _, q := range f.front {
		low, high := f.bandAt(q)
		lower, upper = append(lower, low), append(upper, high)
	}
	if len(f.front) == 1 {
		// A bar, since a band needs two points.
		half := vg.Point{X: 4}
		lower = []vg.Point{lower[0].Sub(half), lower[0].Add(half)}
		upper = []vg.Point{upper[0].Sub(half), upper[0].Add(half)}
	}
	slices.Reverse(upper)
	return append(lower, upper...)
}

// bandAt returns the ends of the uncertainty band at a point of the front, at
// most a few heights of the area outside of it.
func (f *figure) bandAt(q Point) (low, high vg.Point) {
	reach := 10 * (f.y.hi - f.y.lo)
	return f.place(q.X, max(q.low(), f.y.lo-reach)), f.place(q.X, min(q.Y+q.SD, f.y.hi+reach))
}

// markerRadius returns the size of n markers, less for many.
func markerRadius(n int) vg.Length {
	return vg.Length(min(2.5, max(1.1, 2.5*math.Sqrt(40/float64(n)))))
}

func (f *figure) drawReferences(c *draw.Canvas) {
	for _, l := range f.labels {
		if l.leader {
			from, to := l.ends()
			c.StrokeLine2(draw.LineStyle{Color: faintColor, Width: 0.6}, from.X, from.Y, to.X, to.Y)
		}
	}
	for _, p := range f.refs {
		d := diamond(p, refRadius)
		c.FillPolygon(color.White, diamond(p, refRadius+0.9))
		c.FillPolygon(referenceColor, d)
		c.StrokeLines(draw.LineStyle{Color: inkColor, Width: 0.9}, append(d, d[0], d[1]))
	}
	face := regular(nameSize)
	for _, l := range f.labels {
		c.SetColor(inkColor)
		c.FillString(face, l.baseline(), l.text)
	}
}

func (f *frame) drawTexts(c *draw.Canvas) {
	c.SetColor(inkColor)
	centre := (f.area.Min.X + f.area.Max.X) / 2
	if f.title != "" {
		face := bold(titleSize)
		c.FillString(face, vg.Point{X: f.area.Min.X, Y: figureHeight - margin - titleSize*0.8}, f.title)
	}
	bottom := vg.Length(margin)
	if f.note != "" {
		face := regular(noteSize)
		c.SetColor(faintColor)
		c.FillString(face, vg.Point{X: f.area.Max.X - width(face, f.note), Y: bottom - 1}, f.note)
		bottom += noteSize + 6
	}
	c.SetColor(inkColor)
	face := regular(axisLabelSize)
	if f.xLabel != "" {
		c.FillString(face, vg.Point{X: centre - width(face, f.xLabel)/2, Y: bottom + 3}, f.xLabel)
	}
	if f.yLabel != "" {
		middle := (f.area.Min.Y + f.area.Max.Y) / 2
		c.Push()
		c.Translate(vg.Point{X: margin + axisLabelSize*0.8, Y: middle - width(face, f.yLabel)/2})
		c.Rotate(math.Pi / 2)
		c.FillString(face, vg.Point{}, f.yLabel)
		c.Pop()
	}

	face = regular(legendSize)
	for _, e := range f.legend {
		const length, half = 21, 4
		swatch := corners(vg.Rectangle{
			Min: e.pos.Sub(vg.Point{Y: half}), Max: e.pos.Add(vg.Point{X: length, Y: half}),
		})
		switch p := e.pos; e.kind {
		case legendLine:
			mid, end := p.Add(vg.Point{X: length / 2}), p.Add(vg.Point{X: length})
			if e.band {
				c.FillPolygon(bandColor, swatch)
			}
			c.StrokeLine2(draw.LineStyle{Color: inkColor, Width: 1.3}, p.X, p.Y, end.X, end.Y)
			c.SetColor(inkColor)
			c.Fill(circle(mid, 2.5))
		case legendReference:
			d := diamond(p.Add(vg.Point{X: refRadius}), refRadius)
			c.FillPolygon(referenceColor, d)
			c.StrokeLines(draw.LineStyle{Color: inkColor, Width: 0.9}, append(d, d[0], d[1]))
		case legendGroup:
			var symbol vg.Path
			addMarker(&symbol, e.marker, p.Add(vg.Point{X: 3}), 2.8)
			c.SetColor(e.color)
			c.Fill(symbol)
		case legendGuide:
			c.StrokeLine2(guideStyle, p.X, p.Y, p.X+length, p.Y)
		case legendWhisker:
			c.StrokeLine2(draw.LineStyle{Color: faintColor, Width: 0.9}, p.X+length/2, p.Y-5.5, p.X+length/2, p.Y+5.5)
		case legendBand:
			c.FillPolygon(bandColor, swatch)
		}
		c.SetColor(inkColor)
		c.FillString(face, e.pos.Add(vg.Point{X: e.kind.symbolWidth(), Y: -capHeight * legendSize / 2}), e.text)
	}
}

func circle(centre vg.Point, radius vg.Length) vg.Path {
	var p vg.Path
	addCircle(&p, centre, radius)
	return p
}

func addCircle(p *vg.Path, centre vg.Point, radius vg.Length) {
	p.Move(vg.Point{X: centre.X + radius, Y: centre.Y})
	p.Arc(centre, radius, 0, 2*math.Pi)
	p.Close()
}

// markers is how many shapes addMarker knows.
const markers = 4

// addMarker adds a circle, square, triangle or diamond of about the same size.
func addMarker(p *vg.Path, shape int, centre vg.Point, radius vg.Length) {
	var outline []vg.Point
	switch shape {
	case 0:
		addCircle(p, centre, radius)
		return
	case 1:
		outline = corners(around(centre, 0.89*radius))
	case 2:
		r := 1.3 * radius
		outline = []vg.Point{
			{X: centre.X, Y: centre.Y + r},
			{X: centre.X - 0.87*r, Y: centre.Y - 0.5*r},
			{X: centre.X + 0.87*r, Y: centre.Y - 0.5*r},
		}
	default:
		outline = diamond(centre, 1.25*radius)
	}
	p.Move(outline[0])
	for _, q := range outline[1:] {
		p.Line(q)
	}
	p.Close()
}

func diamond(centre vg.Point, radius vg.Length) []vg.Point {
	return []vg.Point{
		{X: centre.X, Y: centre.Y + radius},
		{X: centre.X + radius, Y: centre.Y},
		{X: centre.X, Y: centre.Y - radius},
		{X: centre.X - radius, Y: centre.Y},
	}
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}
