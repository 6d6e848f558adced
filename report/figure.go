package report

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
)

// Lengths are in points, 1/72 inch.
const (
	titleSize     = 13
	axisLabelSize = 11.5
	tickSize      = 10
	legendSize    = 9.5
	nameSize      = 8.5
	noteSize      = 7.5

	margin      = 10.0 // between the figure's edge and anything in it
	tickLength  = 4.0
	tickGap     = 10.0 // between labels
	dotRadius   = 1.25
	refRadius   = 3.9  // of a reference's diamond, centre to corner
	maxNameSpan = 150  // width of a reference's or a group's name
	maxDots     = 6000 // candidates drawn
	dotLayers   = 16   // see drawDots
)

// Fractions that FrontPlot documents.
const (
	neighbourhood    = 0.25 // of the front's width, to either side
	neighbourhoodLog = 1.5  // the least, as a factor
	extraHeight      = 0.5  // of the height of front and references, at either end
	lowCandidates    = 0.05 // quantile of the candidates' y
	farCandidates    = 0.01 // quantile of the candidates' x, at either end
)

// frame is what all figures have around their data.
type frame struct {
	title, xLabel, yLabel, note string

	area   vg.Rectangle // where the data go
	x, y   axis
	xTicks []tick
	yTicks []tick
	legend []legendEntry
}

// figure is a FrontPlot with every place and text decided, ready to draw.
type figure struct {
	frame

	front  []Point // sorted
	hasSD  bool
	dots   []dot
	refs   []vg.Point // those in the picture, sorted by reference
	labels []label
}

// dot is a network in the picture.
type dot struct {
	at        vg.Point
	group     int       // index into figure colours: groupColors, then otherColor
	low, high vg.Length // ends of its whisker, if it has one
}

// legendEntry is a symbol with its text; pos is the symbol's left end, at the
// middle of the text's height.
type legendEntry struct {
	kind   legendKind
	color  color.NRGBA // of legendGroup
	marker int         // of legendGroup: its shape, see addMarker
	band   bool        // of legendLine: whether it has one
	text   string
	pos    vg.Point
}

type legendKind int

const (
	legendLine legendKind = iota // with a marker: the front, or another line of data
	legendReference
	legendHeading // text alone
	legendGroup
	legendGuide   // a thin line
	legendWhisker // an upright one
	legendBand
)

// symbolWidth is the room a symbol takes, its gap to the text included.
func (k legendKind) symbolWidth() vg.Length {
	switch k {
	case legendLine, legendGuide, legendWhisker, legendBand:
		return 26
	case legendReference:
		return 12
	case legendGroup:
		return 9
	default:
		return 0
	}
}

// figure lays the plot out.
func (p *FrontPlot) figure() (*figure, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	f := &figure{front: slices.Clone(p.Front)}
	slices.SortFunc(f.front, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y), cmp.Compare(a.SD, b.SD))
	})
	f.hasSD = slices.ContainsFunc(f.front, func(q Point) bool { return q.SD > 0 })

	shown, leftOut := f.chooseX(p)
	f.chooseY(shown, p.Candidates)

	groups := p.groupIndex()
	var outside int
	for _, c := range p.Candidates {
		if !f.x.contains(c.X) || !f.y.contains(c.Y) {
			outside++
		}
	}
	f.note = leftOutNote(leftOut, outside, len(p.Candidates), p.Explored > len(p.Candidates))
	if len(p.Candidates)-outside > maxDots {
		f.note = strings.TrimSpace(f.note + " Dots thinned.")
	}
	f.note = fit(regular(noteSize), f.note, figureWidth-2*margin)
	f.layOut(p, groups, len(shown) > 0)

	for _, c := range p.Candidates {
		if f.x.contains(c.X) && f.y.contains(c.Y) {
			f.dots = append(f.dots, dot{at: f.place(c.X, c.Y), group: groups.of(c.Group)})
		}
	}
	f.dots = thin(f.dots, maxDots)

	names := make([]string, len(shown))
	for i, r := range shown {
		f.refs = append(f.refs, f.place(r.X, r.Y))
		names[i] = fit(regular(nameSize), r.Name, maxNameSpan)
	}
	f.labels = placeLabels(f, names)
	return f, nil
}

// chooseX sets the x range and returns the references within it, sorted, and
// those left out. See FrontPlot.
func (f *figure) chooseX(p *FrontPlot) (shown, leftOut []Reference) {
	f.x.log = p.LogX
	f.x.lo = f.x.scaled(f.front[0].X)
	f.x.hi = f.x.scaled(f.front[len(f.front)-1].X)
	reach := neighbourhood * (f.x.hi - f.x.lo)
	if p.LogX {
		reach = max(reach, math.Log(neighbourhoodLog))
	}
	near := axis{log: p.LogX, lo: f.x.lo - reach, hi: f.x.hi + reach}

	for _, r := range p.References {
		if !near.contains(r.X) {
			leftOut = append(leftOut, r)
			continue
		}
		shown = append(shown, r)
		f.x.lo = min(f.x.lo, f.x.scaled(r.X))
		f.x.hi = max(f.x.hi, f.x.scaled(r.X))
	}
	byX := func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(shown, byX)
	slices.SortFunc(leftOut, byX)

	if len(p.Candidates) > 0 {
		xs := make([]float64, len(p.Candidates))
		for i, c := range p.Candidates {
			xs[i] = f.x.scaled(c.X)
		}
		slices.Sort(xs)
		f.x.lo = min(f.x.lo, max(near.lo, quantile(xs, farCandidates)))
		f.x.hi = max(f.x.hi, min(near.hi, quantile(xs, 1-farCandidates)))
	}
	f.x.pad(0.025)
	return shown, leftOut
}

// chooseY sets the y range. See FrontPlot.
func (f *figure) chooseY(shown []Reference, candidates []Candidate) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, q := range f.front {
		lo, hi = min(lo, q.Y), max(hi, q.Y)
	}
	for _, r := range shown {
		lo, hi = min(lo, r.Y), max(hi, r.Y)
	}
	height := hi - lo
	if height == 0 {
		for _, q := range f.front {
			height = max(height, 2*q.SD)
		}
	}
	least, most := lo-extraHeight*height, hi+extraHeight*height
	for _, q := range f.front {
		lo = min(lo, max(least, q.low()))
		hi = max(hi, min(most, q.Y+q.SD))
	}
	var ys []float64
	for _, c := range candidates {
		if f.x.contains(c.X) {
			ys = append(ys, c.Y)
		}
	}
	if len(ys) > 0 {
		slices.Sort(ys)
		lo = min(lo, max(least, quantile(ys, lowCandidates)))
		hi = max(hi, min(most, ys[len(ys)-1]))
	}
	f.y = axis{lo: lo, hi: hi}
	f.y.pad(0.035)
}

// leftOutNote says what the picture does not show; it is empty if nothing.
func leftOutNote(leftOut []Reference, outside, candidates int, sampled bool) string {
	const most = 5 // references named
	var parts []string
	for i, r := range leftOut {
		if r.Name == "" || i == most {
			parts = append(parts, plural(len(leftOut)-i, "reference network"))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", fit(regular(noteSize), r.Name, maxNameSpan), engineering(r.X, 3)))
	}
	if outside > 0 {
		verb := "explored"
		if sampled {
			verb = "sampled"
		}
		parts = append(parts, fmt.Sprintf("%s of %s %s", grouped(outside), plural(candidates, "network"), verb))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Outside the picture: " + strings.Join(parts, ", ") + "."
}

// plural writes a count with its noun: 1 network, 20,000 networks.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes n, which is not negative, with commas: 20,000.
func grouped[T int | int64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// layOut divides the figure: texts, ticks, legend and the area of the data.
func (f *figure) layOut(p *FrontPlot, groups groupIndex, references bool) {
	f.yTicks = linearTicks(f.y.lo, f.y.hi, 8, decimal)
	top := f.layOutTexts(p.Title, p.XLabel, p.YLabel)
	f.area.Max.Y = f.layOutLegend(p, groups, references, top) - 8

	for n := 11; n >= 2; n-- {
		if f.x.log {
			f.xTicks = logTicks(math.Exp(f.x.lo), math.Exp(f.x.hi), n)
		} else {
			f.xTicks = linearTicks(f.x.lo, f.x.hi, n, func(v, _ float64) string { return engineering(v, tickDigits) })
		}
		if f.xLabelsFit() {
			break
		}
	}
}

// layOutTexts sets title, labels and the area, all but its upper end: below the
// title, it returns where there is room from.
func (f *frame) layOutTexts(title, xLabel, yLabel string) (top vg.Length) {
	f.title = fit(bold(titleSize), title, figureWidth-2*margin)
	f.xLabel = fit(regular(axisLabelSize), xLabel, figureWidth*0.8)
	f.yLabel = fit(regular(axisLabelSize), yLabel, figureHeight*0.7)

	var yTickWidth vg.Length
	for _, t := range f.yTicks {
		yTickWidth = max(yTickWidth, width(regular(tickSize), t.label))
	}

	f.area.Min.X = margin + yTickWidth + tickLength + 4
	if f.yLabel != "" {
		f.area.Min.X += axisLabelSize + 7
	}
	f.area.Max.X = figureWidth - margin - 6
	f.area.Min.Y = margin + tickLength + tickSize + 4
	if f.xLabel != "" {
		f.area.Min.Y += axisLabelSize + 6
	}
	if f.note != "" {
		f.area.Min.Y += noteSize + 6
	}
	top = figureHeight - margin
	if f.title != "" {
		top -= titleSize + 8
	}
	return top
}

// fitTexts shortens what is too long beside the area as it has become.
func (f *frame) fitTexts() {
	centre := (f.area.Min.X + f.area.Max.X) / 2
	f.title = fit(bold(titleSize), f.title, figureWidth-margin-f.area.Min.X)
	f.xLabel = fit(regular(axisLabelSize), f.xLabel, 2*(min(centre, figureWidth-centre)-margin))
	f.note = fit(regular(noteSize), f.note, f.area.Max.X-margin)
}

// xLabelsFit reports whether the labels of the x ticks keep a distance.
func (f *frame) xLabelsFit() bool {
	end := vg.Length(math.Inf(-1))
	for _, t := range f.xTicks {
		if t.label == "" {
			continue
		}
		x, half := f.place(t.value, 0).X, width(regular(tickSize), t.label)/2
		if x-half < end+tickGap {
			return false
		}
		end = x + half
	}
	return true
}

// layOutLegend sets the legend in rows from top down, and returns where it
// ends. Groups that do not fit beside the rest start a row of their own.
func (f *figure) layOutLegend(p *FrontPlot, groups groupIndex, references bool, top vg.Length) vg.Length {
	front := legendEntry{kind: legendLine, band: f.hasSD, text: "Pareto front"}
	if f.hasSD {
		front.text += " ± SD"
	}
	f.legend = append(f.legend, front)
	if references {
		f.legend = append(f.legend, legendEntry{kind: legendReference, text: "Known network"})
	}
	explored := len(f.legend) // where its part of the legend starts
	if n := max(p.Explored, len(p.Candidates)); len(p.Candidates) > 0 {
		if len(groups.legend) == 1 && groups.legend[0].color == otherColor {
			// Nothing to tell apart.
			f.legend = append(f.legend, legendEntry{kind: legendGroup, color: otherColor, text: grouped(n) + " explored"})
		} else {
			f.legend = append(f.legend, legendEntry{kind: legendHeading, text: grouped(n) + " explored:"})
			f.legend = append(f.legend, groups.legend...)
		}
	}

	for i := range f.legend {
		f.legend[i].text = fit(regular(legendSize), f.legend[i].text, maxNameSpan)
	}
	bottom := f.legendRows(top, 13, len(f.legend))
	if bottom < top {
		bottom = f.legendRows(top, 13, explored)
	}
	if bottom < top-legendRow {
		bottom = f.legendRows(top, 8, explored)
	}
	return bottom - legendRow
}

const legendRow = legendSize + 5 // height

// legendRows places the legend's entries with a gap between them, in rows from
// top down, of which the entry at index split starts one. It returns the top of
// the last row.
func (f *frame) legendRows(top, gap vg.Length, split int) vg.Length {
	x := f.area.Min.X
	for i := range f.legend {
		e := &f.legend[i]
		w := e.kind.symbolWidth() + width(regular(legendSize), e.text)
		if x > f.area.Min.X && (i == split || x+w > f.area.Max.X) {
			x, top = f.area.Min.X, top-legendRow
		}
		e.pos = vg.Point{X: x, Y: top - legendRow/2}
		x += w + gap
		if e.kind == legendHeading {
			x -= gap / 2
		}
	}
	return top
}

// place returns where a point of the data lies in the figure.
func (f *frame) place(x, y float64) vg.Point {
	size := f.area.Size()
	return vg.Point{
		X: f.area.Min.X + vg.Length(f.x.at(x))*size.X,
		Y: f.area.Min.Y + vg.Length(f.y.at(y))*size.Y,
	}
}

// groupIndex tells the groups' colours.
type groupIndex struct {
	index  map[string]int
	legend []legendEntry
}

// of returns the colour index of a group.
func (g groupIndex) of(name string) int {
	if i, ok := g.index[name]; ok {
		return i
	}
	return len(groupColors)
}

func groupColor(i int) color.NRGBA {
	if i < len(groupColors) {
		return groupColors[i]
	}
	return otherColor
}

func (p *FrontPlot) groupIndex() groupIndex {
	occurs := make(map[string]bool)
	for _, c := range p.Candidates {
		occurs[c.Group] = true
	}
	return newGroupIndex(p.Groups, occurs)
}

// newGroupIndex assigns colours: to the listed groups in their order, then to
// the others that occur by name, as long as there are colours.
func newGroupIndex(listed []string, occurs map[string]bool) groupIndex {
	names := slices.Clone(listed)
	var rest []string
	for name := range occurs {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)

	g := groupIndex{index: make(map[string]int)}
	other := occurs[""]
	for _, name := range append(names, rest...) {
		if _, ok := g.index[name]; ok || name == "" {
			continue
		}
		if len(g.index) == len(groupColors) {
			other = other || occurs[name]
			continue
		}
		i := len(g.index)
		g.index[name] = i
		if occurs[name] {
			g.legend = append(g.legend, legendEntry{kind: legendGroup, color: groupColors[i], text: name})
		}
	}
	if other {
		g.legend = append(g.legend, legendEntry{kind: legendGroup, color: otherColor, text: "other"})
	}
	return g
}

// thin returns at most most dots: one of each group in each cell of a grid, in
// an order that is random, so that no group covers the others, but depends on
// nothing but the dots.
func thin(dots []dot, most int) []dot {
	slices.SortFunc(dots, func(a, b dot) int {
		return cmp.Or(cmp.Compare(a.at.X, b.at.X), cmp.Compare(a.at.Y, b.at.Y), cmp.Compare(a.group, b.group),
			cmp.Compare(a.low, b.low), cmp.Compare(a.high, b.high))
	})
	type groupCell struct{ x, y, group int }
	for size := vg.Length(0.5); len(dots) > most; size *= 1.1 {
		seen := make(map[groupCell]bool, len(dots))
		dots = slices.DeleteFunc(dots, func(d dot) bool {
			c := groupCell{int(d.at.X / size), int(d.at.Y / size), d.group}
			drop := seen[c]
			seen[c] = true
			return drop
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(dots), func(i, j int) { dots[i], dots[j] = dots[j], dots[i] })
	return dots
}
