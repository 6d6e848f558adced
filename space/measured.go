package space

import (
	"sync"

	"github.com/efficientnas/nas/arch"
)

// Bounds returns the least and the greatest value that quantities take in the
// space, exactly. A quantity must be additive: its value for a network is the
// sum of its values for the network's layers, as it is for MACs and parameters.
// Measure stores the n quantities of the layers of g, some of a network's, in
// values. [Space.Measure] also tells which networks these are.
func (s *Space) Bounds(n int, measure func(g *arch.Graph, values []int64)) []Bounds {
	b := s.builder(n, measure)
	b.unbounded = true // the space was counted, so this ends
	var all []Bounds
	b.product(s.globals, func() {
		b.forget() // what was measured may depend on the whole network's genes
		id := b.whole()
		if id == dead {
			return
		}
		found := b.trellis.nodes[id].bounds
		if all == nil {
			all = append(all, found...)
		}
		for q, f := range found {
			all[q] = Bounds{min(all[q].Least, f.Least), max(all[q].Greatest, f.Greatest)}
		}
	})
	return all
}

// A Measured is a space with some additive quantities of every way to build each
// part of its networks. It is safe for concurrent use.
type Measured struct {
	space *Space
	t     *trellis
	meter sync.Pool // of *Meter
}

// Measure measures n quantities of all ways to build each part of the networks,
// with a function as that of [Space.Bounds].
func (s *Space) Measure(n int, measure func(g *arch.Graph, values []int64)) *Measured {
	b := s.builder(n, measure)
	b.unbounded = true // the space was counted, so this ends
	b.build(true)
	m := &Measured{space: s, t: &b.trellis}
	m.meter.New = func() any { return s.Meter(n, measure) }
	return m
}

// Bounds returns the least and the greatest value of each quantity.
func (m *Measured) Bounds() []Bounds {
	return append([]Bounds(nil), m.t.nodes[m.t.root].bounds...)
}

// Extreme returns a network that has the least value of quantity q, and one that
// has the greatest: of several the first in the order of [Space.All].
func (m *Measured) Extreme(q int) (least, greatest Genome) {
	least, greatest = make(Genome, len(m.space.plan.Slots)), make(Genome, len(m.space.plan.Slots))
	m.t.extreme(q, false, least)
	m.t.extreme(q, true, greatest)
	return least, greatest
}
