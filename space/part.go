package space

import (
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// index lists parts and their genes.
func (s *Space) index() {
	s.parts = append(s.parts, int(arch.InStem))
	for i := range s.plan.Stages() {
		s.parts = append(s.parts, i)
	}
	s.parts = append(s.parts, int(arch.InHead))
	s.slots = make([][]int, len(s.parts))
	for j := range s.plan.Slots {
		if at := s.plan.Slots[j].Stage; at == int(arch.InInput) {
			s.globals = append(s.globals, j)
		} else {
			i := slices.Index(s.parts, at)
			s.slots[i] = append(s.slots[i], j)
		}
	}
}

// count finds all states that can be reached and counts the networks.
func (s *Space) count() error {
	s.index()
	s.findRests()
	layers := func(g *arch.Graph, values []int64) { values[0] = int64(len(g.Layers)) - 1 } // without the input
	b := s.builder(1, layers)
	b.all = true
	b.build(false)
	if b.err != nil {
		return b.err
	}
	if b.root == dead {
		return b.impossible()
	}
	t := &b.trellis
	if most := t.nodes[b.root].bounds[0].Greatest; most > arch.MaxLayers {
		return s.plan.Pos(0).Errorf("networks of this space have up to %d layers; at most %d are supported", most, arch.MaxLayers)
	}
	for i := range t.nodes { // not needed any more
		t.nodes[i].values, t.nodes[i].bounds = nil, nil
	}
	t.n = 0
	s.trellis = t
	s.states = make(map[state]int32)
	for k, id := range b.nodes {
		if k.phase == busy && !k.unread && id != dead {
			s.states[k.state] = id
		}
	}
	return nil
}

// A walker builds and lowers parts one by one, into scratch of its own.
type walker struct {
	space *Space
	net   arch.Network
	graph arch.Graph
}

// lower lowers part i of g and reports whether it fits and leads on.
func (w *walker) lower(i int, g Genome, in arch.Shape) (arch.Shape, bool) {
	s := w.space
	s.plan.BuildPart(g, s.parts[i], &w.net)
	out, err := w.net.LowerPart(&w.graph, s.parts[i], in)
	if err != nil || i+1 == len(s.parts) {
		return out, err == nil
	}
	_, leads := s.states[state{i + 1, out}]
	return out, leads
}

// draw draws part i of g uniformly from the ways to build it that lead to the
// output, each in proportion to the networks behind it.
func (w *walker) draw(rng *rand.Rand, i int, g Genome, in arch.Shape) arch.Shape {
	s := w.space
	for _, j := range s.slots[i] {
		g[j] = 0
	}
	id := s.trellis.draw(rng, s.states[state{i, in}], g, func(id int32) bool { return s.trellis.nodes[id].part != i })
	return s.trellis.nodes[id].shape
}

// nearest changes one active gene of part i of g so that the part fits.
func (w *walker) nearest(i int, g Genome, in arch.Shape) (arch.Shape, bool) {
	s := w.space
	active := make([]bool, len(g))
	s.plan.MarkPart(g, s.parts[i], active)
	for k := len(s.slots[i]) - 1; k >= 0; k-- {
		j := s.slots[i][k]
		if !active[j] {
			continue
		}
		was, n := int(g[j]), len(s.plan.Slots[j].Options)
		for d := 1; d < n; d++ {
			for _, v := range [2]int{was - d, was + d} {
				if v < 0 || v >= n {
					continue
				}
				g[j] = uint16(v)
				if out, ok := w.lower(i, g, in); ok {
					return out, true
				}
			}
		}
		g[j] = uint16(was)
	}
	return arch.Shape{}, false
}
