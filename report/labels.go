package report

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/plot/vg"
)

// label is a reference's name in its place.
type label struct {
	text   string
	marker vg.Point // the reference's
	box    vg.Rectangle
	leader bool // whether a line joins box and marker
}

// ends returns the ends of the leader: on the marker's edge, and on the box.
func (l *label) ends() (from, to vg.Point) {
	to = nearest(l.box, l.marker)
	d := to.Sub(l.marker)
	length := math.Hypot(float64(d.X), float64(d.Y))
	return l.marker.Add(d.Scale(refRadius / vg.Length(max(length, refRadius)))), to
}

const (
	labelPad     = 1.2  // white around a name
	labelAscent  = 0.74 // fractions of nameSize
	labelDescent = 0.22
)

// baseline returns where to write the text.
func (l *label) baseline() vg.Point {
	return l.box.Min.Add(vg.Point{X: labelPad, Y: labelPad + labelDescent*nameSize})
}

// What a label's place costs. A point (1/72 inch) away from the marker costs
// farCost; all else is relative to that.
const (
	farCost       = 1.0
	sideCost      = 0.6  // per direction later in the order
	leaderCost    = 6.0  // for needing a leader
	onLabelCost   = 1e6  // never, where there is room
	onMarkerCost  = 150  // on a reference's marker
	onFrontCost   = 40   // on a marker of the front, or on its line
	onFrontLength = 1.5  // per point of the front's line covered
	onDotsCost    = 0.12 // per cell of the grid with dots covered
	onBandCost    = 0.8  // per cell of the grid in the front's band covered
	crossLabel    = 120  // leader through a name
	crossMarker   = 80   // leader through a reference's marker
	crossLeader   = 80
	crossFront    = 20
)

// directions are tried in this order; y is up.
var directions = func() []vg.Point {
	var d []vg.Point
	for _, degrees := range []float64{0, 180, 90, 270, 45, 315, 135, 225, 22.5, 337.5, 157.5, 202.5, 67.5, 292.5, 112.5, 247.5} {
		sin, cos := math.Sincos(degrees * math.Pi / 180)
		d = append(d, vg.Point{X: vg.Length(cos), Y: vg.Length(sin)})
	}
	return d
}()

// distances from a marker's centre to a label's box. Beyond the first the label
// has a leader.
var distances = []vg.Length{refRadius + 1.5, 13, 20, 28, 38, 50, 64, 80, 98, 118, 140, 165, 195, 230}

// place is where a label may be, and what that costs whatever the other labels
// do.
type place struct {
	label
	cost float64
}

// placeLabels finds a place for the name of each of f.refs; empty names have
// none.
//
// Labels are placed one after the other, each where it costs least, then each
// again, given all others, until none moves. That is done in several orders,
// and the cheapest outcome taken.
func placeLabels(f *figure, names []string) []label {
	o := newObstacles(f)
	var places [][]place // of each label
	for i, name := range names {
		if name != "" {
			places = append(places, o.places(label{text: name, marker: f.refs[i]}))
		}
	}
	orders, passes := 24, 6
	if len(places) > 40 {
		orders, passes = 1, 1 // the picture is beyond help, and time matters more
	}
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	rng := rand.New(rand.NewPCG(2, 2))
	var best []label
	least := math.Inf(1)
	for range orders {
		if labels, cost := settle(places, order, passes); cost < least {
			best, least = labels, cost
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return best
}

// settle places labels in an order, and returns them with what they cost.
func settle(places [][]place, order []int, passes int) ([]label, float64) {
	labels := make([]label, len(places))
	costs := make([]float64, len(places))
	others := make([]label, 0, len(places))
	for pass := range passes {
		moved := false
		for at, i := range order {
			others = others[:0]
			for k, j := range order {
				if k < at || pass > 0 && k > at {
					others = append(others, labels[j])
				}
			}
			best, least := label{}, math.Inf(1)
			for k := range places[i] {
				p := &places[i][k]
				if p.cost >= least {
					break // and so on, since they are sorted
				}
				if c := p.cost + conflicts(&p.label, others); c < least {
					best, least = p.label, c
				}
			}
			moved = moved || best != labels[i]
			labels[i], costs[i] = best, least
		}
		if !moved {
			break
		}
	}
	var total float64
	for _, c := range costs {
		total += c
	}
	return labels, total
}

// conflicts returns what it costs to have l where it is beside the others.
func conflicts(l *label, others []label) float64 {
	var cost float64
	from, to := l.ends()
	for i := range others {
		other := &others[i]
		if area := overlap(l.box, other.box); area > 0 {
			cost += onLabelCost + 1e3*area
		}
		if l.leader && lengthWithin(from, to, other.box) > 0 {
			cost += crossLabel
		}
		if !other.leader {
			continue
		}
		f, t := other.ends()
		if lengthWithin(f, t, l.box) > 0 {
			cost += crossLabel
		}
		if l.leader && cross(from, to, f, t) {
			cost += crossLeader
		}
	}
	return cost
}

// obstacles is what labels should not cover.
type obstacles struct {
	area        vg.Rectangle
	refs        []vg.Rectangle
	front       []vg.Point
	frontRadius vg.Length
	clutter     map[cell]float64 // cost of covering a cell of the grid
}

// cell is a square of a grid over the figure.
type cell struct{ x, y int }

const cellSize = 4

func cellOf(p vg.Point) cell {
	return cell{int(math.Floor(float64(p.X / cellSize))), int(math.Floor(float64(p.Y / cellSize)))}
}

func newObstacles(f *figure) *obstacles {
	o := &obstacles{area: f.area, frontRadius: markerRadius(len(f.front)), clutter: make(map[cell]float64)}
	for _, p := range f.refs {
		o.refs = append(o.refs, around(p, refRadius))
	}
	for _, q := range f.front {
		o.front = append(o.front, f.place(q.X, q.Y))
	}
	for _, d := range f.dots {
		o.clutter[cellOf(d.at)] = onDotsCost
	}
	for i := 1; f.hasSD && i < len(f.front); i++ {
		bottom, top := f.bandAt(f.front[i-1])
		bottomEnd, topEnd := f.bandAt(f.front[i])
		steps := math.Ceil(float64((topEnd.X - top.X) / cellSize))
		for s := 0.0; s <= steps; s++ {
			t := vg.Length(s / max(steps, 1))
			high := cellOf(top.Add(topEnd.Sub(top).Scale(t)))
			low := cellOf(bottom.Add(bottomEnd.Sub(bottom).Scale(t)))
			low.y, high.y = max(low.y, 0), min(high.y, int(figureHeight/cellSize))
			for c := low; c.y <= high.y; c.y++ {
				o.clutter[c] = onBandCost
			}
		}
	}
	return o
}

// places returns the places for a label within the area, those that cost least
// first; there is at least one.
func (o *obstacles) places(l label) []place {
	w := width(regular(nameSize), l.text) + 2*labelPad
	h := vg.Length((labelAscent+labelDescent)*nameSize + 2*labelPad)
	half := vg.Point{X: w / 2, Y: h / 2}
	var places []place
	for i, distance := range distances {
		for j, direction := range directions {
			centre := l.marker.Add(vg.Point{
				X: direction.X * (distance + half.X),
				Y: direction.Y * (distance + half.Y),
			})
			l.box = vg.Rectangle{Min: centre.Sub(half), Max: centre.Add(half)}
			if !inside(l.box, o.area) {
				continue
			}
			cost := sideCost * float64(j)
			if l.leader = i > 0; l.leader {
				cost += leaderCost + farCost*float64(distance)
			}
			places = append(places, place{l, cost + o.cost(&l)})
		}
	}
	if places == nil {
		// The area is smaller than the label.
		l.leader = false
		l.box = vg.Rectangle{Min: l.marker, Max: l.marker.Add(half.Scale(2))}
		return []place{{label: l}}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.cost, b.cost) })
	return places
}

// cost returns what it costs to have l where it is, by what it covers and by
// what its leader crosses.
func (o *obstacles) cost(l *label) float64 {
	var cost float64
	for _, r := range o.refs {
		if overlap(l.box, r) > 0 {
			cost += onMarkerCost
		}
	}
	for i, p := range o.front {
		if overlap(l.box, around(p, o.frontRadius)) > 0 {
			cost += onFrontCost
		}
		if i > 0 {
			if length := lengthWithin(o.front[i-1], p, l.box); length > 0 {
				cost += onFrontCost + onFrontLength*length
			}
		}
	}
	low, high := cellOf(l.box.Min), cellOf(l.box.Max)
	for x := low.x; x <= high.x; x++ {
		for y := low.y; y <= high.y; y++ {
			cost += o.clutter[cell{x, y}]
		}
	}
	if !l.leader {
		return cost
	}
	from, to := l.ends()
	own := around(l.marker, refRadius)
	for _, r := range o.refs {
		if r != own && lengthWithin(from, to, r) > 0 {
			cost += crossMarker
		}
	}
	for i := 1; i < len(o.front); i++ {
		if cross(from, to, o.front[i-1], o.front[i]) {
			cost += crossFront
		}
	}
	return cost
}

func around(p vg.Point, r vg.Length) vg.Rectangle {
	half := vg.Point{X: r, Y: r}
	return vg.Rectangle{Min: p.Sub(half), Max: p.Add(half)}
}

func inside(r, outer vg.Rectangle) bool {
	return r.Min.X >= outer.Min.X && r.Max.X <= outer.Max.X &&
		r.Min.Y >= outer.Min.Y && r.Max.Y <= outer.Max.Y
}

// overlap returns the area that a and b share.
func overlap(a, b vg.Rectangle) float64 {
	w := min(a.Max.X, b.Max.X) - max(a.Min.X, b.Min.X)
	h := min(a.Max.Y, b.Max.Y) - max(a.Min.Y, b.Min.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return float64(w * h)
}

// nearest returns the point of r nearest to p.
func nearest(r vg.Rectangle, p vg.Point) vg.Point {
	return vg.Point{X: min(max(p.X, r.Min.X), r.Max.X), Y: min(max(p.Y, r.Min.Y), r.Max.Y)}
}

// lengthWithin returns how much of the segment a-b lies within r (Liang and
// Barsky's clipping).
func lengthWithin(a, b vg.Point, r vg.Rectangle) float64 {
	d := b.Sub(a)
	from, to := 0.0, 1.0
	for _, side := range [4][2]vg.Length{
		{-d.X, a.X - r.Min.X},
		{d.X, r.Max.X - a.X},
		{-d.Y, a.Y - r.Min.Y},
		{d.Y, r.Max.Y - a.Y},
	} {
		p, q := float64(side[0]), float64(side[1])
		switch {
		case p == 0 && q < 0:
			return 0
		case p < 0:
			from = max(from, q/p)
		case p > 0:
			to = min(to, q/p)
		}
	}
	return max(0, to-from) * math.Hypot(float64(d.X), float64(d.Y))
}

// cross reports whether the segments a-b and c-d properly cross.
func cross(a, b, c, d vg.Point) bool {
	side := func(p, q, r vg.Point) float64 {
		return float64((q.X-p.X)*(r.Y-p.Y) - (q.Y-p.Y)*(r.X-p.X))
	}
	return side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0
}
