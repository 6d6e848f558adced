package space

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// A Meter measures additive quantities of many networks, such as MACs and
// parameters, far faster than by lowering each: it remembers every part that it
// has lowered, by its genes and the shape of its input, so that a network whose
// parts were all seen before, in other networks, costs a few look-ups. Of a
// stage of equal blocks it remembers the first and one of the others, for every
// depth. It is for one goroutine.
type Meter struct {
	space   *Space
	measure func(g *arch.Graph, values []int64)
	n       int
	walker  walker
	built   bool // walker's network was built, with these genes of the whole network
	global  uint64
	deep    Genome // scratch

	equal  []equalBlocks    // by part
	begin  map[uint64]int32 // place of the first part, by the genes of the whole network
	places []place
	number map[place]int32 // inverse of places
	ways   map[way]int32   // number of a way to build a part at a place
	next   []int32         // by way: the place after it, or noPlace
	values []int64         // by way: n quantities of the part or its first block, n of each further block
	codes  map[string]uint64
}

// equalBlocks says of a part whose blocks are all equal how its depth is chosen.
type equalBlocks struct {
	ok      bool
	slots   []int // genes of the part, or, of equal blocks, those without the depth's
	depths  []int
	slot    int // of the depth, or -1
	deepest int // index in depths
}

// depth returns the number of blocks.
func (e *equalBlocks) depth(g Genome) int {
	if e.slot < 0 {
		return e.depths[0]
	}
	return e.depths[g[e.slot]]
}

// A place is where a part begins: which part, on what shape, with which genes of
// the whole network.
type place struct {
	part   int
	shape  arch.Shape
	global uint64
}

// A way is a place, by its number, and the genes of its part, by their code.
type way struct {
	place int32
	code  uint64
}

const (
	noPlace = -1
	// remembered bounds a Meter's memory, to some 100 MB: with more ways it
	// begins anew.
	remembered = 1 << 20
)

// Meter returns a meter of n quantities. Measure stores those of the layers of
// g, some of a network's, in values; a network's are the sums over its layers.
func (s *Space) Meter(n int, measure func(g *arch.Graph, values []int64)) *Meter {
	m := &Meter{space: s, measure: measure, n: n, walker: walker{space: s}, equal: make([]equalBlocks, len(s.parts))}
	for i, part := range s.parts {
		e := &m.equal[i]
		e.slots = s.slots[i]
		if part == int(arch.InHead) || !s.plan.Uniform(part) {
			continue
		}
		e.ok = true
		e.depths, e.slot = s.plan.Depths(part)
		e.deepest = slices.Index(e.depths, slices.Max(e.depths))
		e.slots = slices.DeleteFunc(slices.Clone(e.slots), func(j int) bool { return j == e.slot })
	}
	m.forget()
	return m
}

func (m *Meter) forget() {
	m.begin, m.number, m.ways = make(map[uint64]int32), make(map[place]int32), make(map[way]int32)
	m.codes = make(map[string]uint64)
	m.places, m.next, m.values = m.places[:0], m.next[:0], m.values[:0]
}

// Measure stores the quantities of the network of g in values. It fails if the
// network cannot be built, as genomes that do not come from the space may not.
func (m *Meter) Measure(g Genome, values []int64) error {
	s := m.space
	if len(m.next) >= remembered {
		m.forget()
	}
	clear(values[:m.n])
	global := m.code(g, s.globals)
	at, ok := m.begin[global]
	if !ok {
		s.plan.Build(g, &m.walker.net)
		at = m.placeNumber(place{0, input(&m.walker.net), global})
		m.begin[global] = at
	}
	for i := range s.parts {
		e := &m.equal[i]
		further := 0 // blocks after the first
		if e.ok {
			further = e.depth(g) - 1
		}
		if further < 0 { // left out
			p := m.places[at]
			at = m.placeNumber(place{p.part + 1, p.shape, p.global})
			continue
		}
		key := way{at, m.code(g, e.slots)}
		number, ok := m.ways[key]
		if !ok {
			var err error
			if number, err = m.lower(g, at); err != nil {
				// Further blocks change the shape: remember the part as a whole.
				e.ok, e.slots = false, s.slots[i]
				m.forget()
				return m.Measure(g, values)
			}
			m.ways[key] = number
		}
		if at = m.next[number]; at == noPlace {
			return fmt.Errorf("space: the network cannot be built")
		}
		v := m.values[2*int(number)*m.n:]
		for j := range m.n {
			values[j] += v[j] + int64(further)*v[m.n+j]
		}
	}
	return nil
}

// errUnequal says that the blocks of a part are not all the same, for their
// inputs are not.
var errUnequal = errors.New("unequal blocks")

// lower lowers the part at a place and returns the number of its way. It fails
// with errUnequal only.
func (m *Meter) lower(g Genome, at int32) (int32, error) {
	s, p := m.space, m.places[at]
	number := int32(len(m.next))
	for range 2 * m.n {
		m.values = append(m.values, 0)
	}
	m.next = append(m.next, noPlace)
	e := &m.equal[p.part]
	if e.ok && e.slot >= 0 { // at its deepest, so that there is a further block
		g = append(m.deep[:0], g...)
		g[e.slot] = uint16(e.deepest)
		m.deep = g
	}
	if m.built && m.global == p.global { // the network's own values stand already
		s.plan.BuildPart(g, s.parts[p.part], &m.walker.net)
	} else {
		s.plan.Build(g, &m.walker.net)
		m.built, m.global = true, p.global
	}
	v := m.values[2*int(number)*m.n:]
	out, err := m.lowerPart(p, e, v[:m.n], v[m.n:])
	if err == nil {
		m.next[number] = m.placeNumber(place{p.part + 1, out, p.global})
	}
	if err == errUnequal {
		return 0, err
	}
	return number, nil // that it cannot be built is remembered too
}

// lowerPart measures a part: all of it, or its first block and one further.
func (m *Meter) lowerPart(p place, e *equalBlocks, first, further []int64) (arch.Shape, error) {
	part, net, g := m.space.parts[p.part], &m.walker.net, &m.walker.graph
	if !e.ok {
		out, err := net.LowerPart(g, part, p.shape)
		if err == nil {
			m.measure(g, first)
		}
		return out, err
	}
	out, err := net.LowerBlock(g, part, 0, p.shape)
	if err != nil {
		return out, err
	}
	m.measure(g, first)
	if e.depths[e.deepest] > 1 {
		after, err := net.LowerBlock(g, part, 1, out)
		if err != nil || after != out {
			return out, errUnequal
		}
		m.measure(g, further)
	}
	out, err = net.LowerPool(g, part, out)
	if err != nil {
		return out, err
	}
	pool := make([]int64, m.n)
	m.measure(g, pool)
	for j, v := range pool {
		first[j] += v
	}
	return out, nil
}

func (m *Meter) placeNumber(p place) int32 {
	number, ok := m.number[p]
	if !ok {
		number = int32(len(m.places))
		m.places = append(m.places, p)
		m.number[p] = number
	}
	return number
}

// code numbers the options of some genes: as the digits of one number where all
// combinations fit, else in the order in which they are seen.
func (m *Meter) code(g Genome, slots []int) uint64 {
	code := uint64(0)
	for _, j := range slots {
		n := uint64(len(m.space.plan.Slots[j].Options))
		if code > (math.MaxUint64>>1)/n {
			return m.wideCode(g, slots)
		}
		code = code*n + uint64(g[j])
	}
	return code
}

func (m *Meter) wideCode(g Genome, slots []int) uint64 {
	key := make([]byte, 0, 2*len(slots))
	for _, j := range slots {
		key = append(key, byte(g[j]>>8), byte(g[j]))
	}
	code, ok := m.codes[string(key)]
	if !ok {
		code = 1<<63 + uint64(len(m.codes)) // apart from the numbers of code
		m.codes[string(key)] = code
	}
	return code
}
