package space

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// Counting, drawing, enumerating and measuring rest on one fact: a part of a
// network (stem, stage, head) sees of all that comes before it only the shape of
// its input, whether its stage may still do nothing (see [phase]) and whether
// somebody must still read the network's activation. So the networks are the
// paths through a small graph, whose nodes are these states and whose edges are
// the ways to build a part. Everything else is a walk over it or a recursion
// along it: the number of networks is the number of paths, their least cost the
// shortest path, and a path drawn edge by edge, each in proportion to the paths
// behind it, is a network drawn uniformly.
//
// Where blocks of a stage have values of their own, the ways of that stage are
// paths too, one edge a block.

// A trellis is such a graph. Node 0 is where all paths end; every other node
// stands behind those that it leads to.
type trellis struct {
	nodes []node
	root  int32 // where all paths begin
	n     int   // quantities measured
}

const (
	end  = 0
	dead = -1 // in place of a node from which no path leads to the end
)

// A node is a choice. Its edges stand in groups by where they lead.
type node struct {
	part   int        // whose choice it is, an index in Space.parts, or -1 for the whole network's values
	shape  arch.Shape // of the part's input
	slots  []int      // the genes that the choice sets; the last on a path to set one decides
	groups []group
	genes  []uint16 // of each edge in turn, parallel to slots
	values []int64  // of each edge in turn, what was measured
	paths  *big.Int // from here to the end
	bounds []Bounds // of what was measured along them
}

// A group is the edges from one node to another.
type group struct {
	to         int32
	first, end int32   // of the node's edges
	until      float64 // share of the node's paths in this group and those before it
	share      float64 // share of the node's paths that one edge of the group leads
}

// Bounds are the least and the greatest value of a quantity in a space.
type Bounds struct{ Least, Greatest int64 }

// take sets the genes of an edge.
func (n *node) take(edge int32, g []uint16) {
	for k, v := range n.genes[int(edge)*len(n.slots):][:len(n.slots)] {
		g[n.slots[k]] = v
	}
}

// draw sets the genes of a path from node id up to one for which stop holds,
// drawn in proportion to the paths that go on from there, and returns that node.
func (t *trellis) draw(rng *rand.Rand, id int32, g []uint16, stop func(id int32) bool) int32 {
	for !stop(id) {
		n := &t.nodes[id]
		at := 0
		if len(n.groups) > 1 {
			x := rng.Float64()
			at, _ = slices.BinarySearchFunc(n.groups, x, func(e group, x float64) int {
				if e.until > x {
					return 1
				}
				return -1
			})
			at = min(at, len(n.groups)-1)
		}
		e := &n.groups[at]
		n.take(e.first+rng.Int32N(e.end-e.first), g)
		id = e.to
	}
	return id
}

// each calls yield with the genes of every path from node id on, until it
// returns false.
func (t *trellis) each(id int32, g []uint16, yield func() bool) bool {
	if id == end {
		return yield()
	}
	n := &t.nodes[id]
	for i := range n.groups {
		for e := n.groups[i].first; e < n.groups[i].end; e++ {
			n.take(e, g)
			if !t.each(n.groups[i].to, g, yield) {
				return false
			}
		}
	}
	for _, j := range n.slots { // what comes next may not reach it
		g[j] = 0
	}
	return true
}

// extreme sets the genes of a path with the least value of quantity q, or the
// greatest.
func (t *trellis) extreme(q int, greatest bool, g []uint16) {
	for id := t.root; id != end; {
		n := &t.nodes[id]
		next := int32(dead)
		for i := range n.groups {
			e := &n.groups[i]
			for edge := e.first; edge < e.end && next == dead; edge++ {
				v := n.values[int(edge)*t.n+q]
				b, c := n.bounds[q], t.nodes[e.to].bounds[q]
				if !greatest && v+c.Least == b.Least || greatest && v+c.Greatest == b.Greatest {
					n.take(edge, g)
					next = e.to
				}
			}
		}
		id = next
	}
}

// A phase says how far a run of stages has come whose stages are alike. Any that
// does nothing can stand anywhere between the others, so exactly one order is
// canonical, see [arch.Plan.Canonical]: those that do nothing stand together, in
// one form, behind the last place at which the widths let a stage do nothing.
type phase uint8

const (
	busy    phase = iota // none has done nothing
	resting              // the last stage did nothing
	behind               // after stages that did nothing came others
)

// A rest says of a stage how it can do nothing.
type rest struct {
	repeats bool    // the stage is like the one before it
	zero    int     // option of depth 0, or -1
	skip    int     // the first block type that does nothing where the shape stays, or -1: also if no stride keeps it
	stride  int     // option of stride 1, if there is such a type
	widths  [][]int // options of the width of each block, if there is such a type
}

const skipping = "identity" // the block type that does nothing where the shape stays

// findRests finds how each part can do nothing.
func (s *Space) findRests() {
	s.rests = make([]rest, len(s.parts))
	var n arch.Network
	g := make([]uint16, len(s.plan.Slots))
	for i, part := range s.parts {
		r := &s.rests[i]
		r.zero, r.skip = -1, -1
		if part < 0 || part == int(arch.InHead) || part == int(arch.InStem) {
			continue
		}
		r.repeats = part > 0 && s.alike(part-1, part)
		depths, depthSlot := s.plan.Depths(part)
		r.zero = slices.Index(depths, 0)
		slot, types := s.plan.TypeSlot(part)
		clear(g)
		if depthSlot >= 0 {
			g[depthSlot] = uint16(slices.Index(depths, slices.Max(depths)))
		}
		s.plan.Build(g, &n)
		st := &n.Stages[part]
		if j := s.slotOf(i, -1, "stride"); j >= 0 {
			r.stride = slices.IndexFunc(s.plan.Slots[j].Options, func(o arch.Scalar) bool { v, _ := o.Number(); return v == 1 })
		} else if st.Stride != 1 {
			r.stride = -1
		}
		if r.stride < 0 {
			continue
		}
		for t := types - 1; t >= 0; t-- {
			if slot >= 0 {
				g[slot] = uint16(t)
			}
			s.plan.BuildPart(g, part, &n)
			if st.Block.Name() == skipping && st.Pool == (arch.Pool{}) {
				r.skip = t
			}
		}
		if r.skip < 0 {
			continue
		}
		r.widths = make([][]int, st.Depth)
		for b := range r.widths {
			j := s.widthSlot(i, b)
			if j < 0 {
				r.widths[b] = []int{st.Width(b)}
				continue
			}
			for v := range s.plan.Slots[j].Options {
				g[j] = uint16(v)
				s.plan.BuildPart(g, part, &n)
				r.widths[b] = append(r.widths[b], st.Width(b))
			}
			g[j] = 0
		}
	}
}

// widthSlot returns the slot of the width of a block of part i, or -1.
func (s *Space) widthSlot(i, block int) int {
	return s.slotOf(i, block, "width")
}

func (s *Space) slotOf(i, block int, name string) int {
	for _, j := range s.slots[i] {
		slot := &s.plan.Slots[j]
		path := fmt.Sprintf("stages.%d.%s", slot.Stage, name)
		if slot.Block >= 0 {
			path = fmt.Sprintf("stages.%d.%d.%s", slot.Stage, slot.Block, name)
		}
		if slot.Path == path && (slot.Block < 0 || slot.Block == block) {
			return j
		}
	}
	return -1
}

// alike reports whether [arch.Plan.Canonical] exchanges stages a and b, which
// are next to each other. It asks: in a space of these two, does a stage that is
// left out go behind one that is not?
func (s *Space) alike(a, b int) bool {
	depths, _ := s.plan.Depths(a)
	others, _ := s.plan.Depths(b)
	most := slices.Max(depths)
	if most == 0 || !slices.Equal(depths, others) {
		return false
	}
	t := s.plan.Template()
	t.Stages = []arch.StageTemplate{t.Stages[a], t.Stages[b]}
	// A stem of a width that the second stage, with its first options, does not
	// keep: it does something.
	var n arch.Network
	genes := make([]uint16, len(s.plan.Slots))
	if _, slot := s.plan.Depths(b); slot >= 0 {
		genes[slot] = uint16(slices.Index(depths, most))
	}
	s.plan.Build(genes, &n)
	t.Stem = arch.StageTemplate{Width: arch.OneOf(1 + n.Stages[b].Width(0)%2)}
	for i := range t.Stages {
		t.Stages[i].Depth = arch.OneOf(0, most)
	}
	p, err := t.Compile()
	if err != nil {
		return false
	}
	genes = make([]uint16, len(p.Slots))
	_, first := p.Depths(0)
	_, second := p.Depths(1)
	genes[second] = 1
	p.Canonical(genes, make([]bool, len(genes)))
	return genes[first] == 1
}

// restDepth returns the option of the depth with which stage i can do nothing to a
// map of so many channels, or -1: the first, or that of depth 0.
func (s *Space) restDepth(i, channels int) int {
	r := &s.rests[i]
	if r.zero >= 0 {
		return r.zero
	}
	if r.skip < 0 {
		return -1
	}
	depths, _ := s.plan.Depths(s.parts[i])
	for k, depth := range depths {
		if !slices.ContainsFunc(r.widths[:depth], func(w []int) bool { return !slices.Contains(w, channels) }) {
			return k
		}
	}
	return -1
}

// setRest sets the genes of stage i to the canonical way to do nothing to a map
// of so many channels. It reports whether there is one.
func (s *Space) setRest(i, channels int, g []uint16) bool {
	option := s.restDepth(i, channels)
	if option < 0 {
		return false
	}
	depths, slot := s.plan.Depths(s.parts[i])
	if slot >= 0 {
		g[slot] = uint16(option)
	}
	if depths[option] == 0 {
		return true
	}
	r := &s.rests[i]
	if slot, _ := s.plan.TypeSlot(s.parts[i]); slot >= 0 {
		g[slot] = uint16(r.skip)
	}
	if j := s.slotOf(i, -1, "stride"); j >= 0 {
		g[j] = uint16(r.stride)
	}
	for b := range depths[option] {
		if j := s.widthSlot(i, b); j >= 0 {
			g[j] = uint16(slices.Index(r.widths[b], channels))
		}
	}
	return true
}

// next returns the phase after part i, if it was in the given one before and
// made a map of so many channels, and whether that is canonical.
func (s *Space) next(i int, before phase, idle bool, channels int) (phase, bool) {
	after := before
	switch {
	case idle: // which it cannot after those behind: see below
		after = resting
	case before != busy:
		if s.restDepth(i, channels) >= 0 {
			return 0, false // those that do nothing can stand here
		}
		after = behind
	}
	if i+1 == len(s.rests) || !s.rests[i+1].repeats {
		after = busy
	}
	return after, true
}

// A state is a part, by its index in Space.parts, with the shape of its input.
type state struct {
	part  int
	shape arch.Shape
}

// A key is what a node at the beginning of a part knows of what comes before it.
type key struct {
	state
	phase  phase
	unread bool // a part must still read the network's activation
}

// A builder makes a trellis.
type builder struct {
	walker
	trellis
	genes []uint16
	nodes map[key]int32

	measure func(g *arch.Graph, values []int64)
	all     bool // also the states that no canonical genome is in, which Repair may need

	failed *arch.BuildError // of the furthest part that nothing fits
	at     int

	unbounded bool  // do not give up, however much there is to count
	lowered   int   // blocks, plus the edges made of them
	err       error // why counting was given up
}

// maxLowered bounds the work of counting a space, to some seconds and some 500 MB. It does not
// depend on the machine, so that a space is refused everywhere or nowhere.
const maxLowered = 4 << 20

func (s *Space) builder(n int, measure func(g *arch.Graph, values []int64)) *builder {
	b := &builder{walker: walker{space: s}, genes: make([]uint16, len(s.plan.Slots)), measure: measure}
	b.n = n
	b.forget()
	return b
}

// forget empties the trellis.
func (b *builder) forget() {
	b.nodes = make(map[key]int32)
	b.trellis.nodes = append(b.trellis.nodes[:0], node{part: len(b.space.parts), paths: big.NewInt(1), bounds: make([]Bounds, b.n)})
}

// activationSlot is the slot of the network's activation, or -1.
func (s *Space) activationSlot() int {
	return slices.IndexFunc(s.plan.Slots, func(slot arch.Slot) bool { return slot.Path == "activation" })
}

// whole adds the nodes of the networks with the whole network's values that
// stand in genes, and returns the first, or dead.
func (b *builder) whole() int32 {
	s := b.space
	s.plan.Build(b.genes, &b.net)
	inherited := s.activationSlot()
	return b.branch(0, input(&b.net), busy, inherited >= 0 && b.genes[inherited] != 0)
}

// build makes the trellis of the space. If apart, the values of the whole
// network count for more than the shape of its input, as they may for what is
// measured.
func (b *builder) build(apart bool) {
	e := b.edges(b.space.globals)
	nothing := make([]int64, b.n)
	b.product(b.space.globals, func() {
		if apart {
			b.nodes = make(map[key]int32)
		}
		b.add(e, b.whole(), nothing)
	})
	b.root = b.finish(e, -1, arch.Shape{})
}

// edges are those of a node that is being made.
type edges struct {
	slots  []int
	to     []int32
	genes  []uint16
	values []int64
}

func (b *builder) edges(slots []int) *edges { return &edges{slots: slots} }

// add adds an edge with the genes that stand in b.genes.
func (b *builder) add(e *edges, to int32, values []int64) {
	if to == dead {
		return
	}
	b.lowered++
	e.to = append(e.to, to)
	for _, j := range e.slots {
		e.genes = append(e.genes, b.genes[j])
	}
	e.values = append(e.values, values...)
}

// finish makes a node of edges, or returns dead if there are none.
func (b *builder) finish(e *edges, part int, shape arch.Shape) int32 {
	if len(e.to) == 0 || b.err != nil {
		return dead
	}
	width := len(e.slots)
	n := node{
		part: part, shape: shape, slots: e.slots, paths: new(big.Int), bounds: make([]Bounds, b.n),
		genes: make([]uint16, 0, len(e.genes)), values: make([]int64, 0, len(e.values)),
	}
	order := make([]int32, len(e.to))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(i, j int32) int { return cmp.Compare(e.to[i], e.to[j]) })
	var ways []*big.Int // paths of each group
	for k, i := range order {
		to := e.to[i]
		if k == 0 || n.groups[len(n.groups)-1].to != to {
			n.groups = append(n.groups, group{to: to, first: int32(k)})
		}
		n.groups[len(n.groups)-1].end = int32(k + 1)
		n.genes = append(n.genes, e.genes[int(i)*width:][:width]...)
		values := e.values[int(i)*b.n:][:b.n]
		n.values = append(n.values, values...)
		for q, v := range values {
			c := b.trellis.nodes[to].bounds[q]
			c.Least, c.Greatest = c.Least+v, c.Greatest+v
			if k > 0 {
				c.Least, c.Greatest = min(c.Least, n.bounds[q].Least), max(c.Greatest, n.bounds[q].Greatest)
			}
			n.bounds[q] = c
		}
	}
	for _, g := range n.groups {
		m := big.NewInt(int64(g.end - g.first))
		ways = append(ways, m.Mul(m, b.trellis.nodes[g.to].paths))
		n.paths.Add(n.paths, m)
	}
	sum := 0.
	for i := range n.groups {
		g := &n.groups[i]
		share := quotient(ways[i], n.paths)
		sum += share
		g.until, g.share = sum, share/float64(g.end-g.first)
	}
	b.trellis.nodes = append(b.trellis.nodes, n)
	return int32(len(b.trellis.nodes) - 1)
}

// quotient returns x/y, also of numbers beyond a float64.
func quotient(x, y *big.Int) float64 {
	f, _ := new(big.Float).SetInt(x).Float64()
	g, _ := new(big.Float).SetInt(y).Float64()
	if math.IsInf(g, 1) {
		f, _ = new(big.Rat).SetFrac(x, y).Float64()
		return f
	}
	return f / g
}

func (b *builder) impossible() error {
	if b.failed == nil {
		return fmt.Errorf("the space has no network")
	}
	s := b.space
	message := fmt.Sprintf("no network of this space can be built: %v", b.failed)
	if slots := s.slots[b.at]; len(slots) > 0 {
		return s.plan.At(slots[0]).Errorf("%s", message)
	}
	return s.plan.Pos(s.parts[b.at]).Errorf("%s", message)
}

// product calls f for every combination of options of the slots, in genes.
func (b *builder) product(slots []int, f func()) {
	if b.err != nil {
		return
	}
	if len(slots) == 0 {
		f()
		return
	}
	j := slots[0]
	for v := range b.space.plan.Slots[j].Options {
		b.genes[j] = uint16(v)
		b.product(slots[1:], f)
	}
	b.genes[j] = 0
}

// branch returns the node of part i in the given state, or dead.
func (b *builder) branch(i int, in arch.Shape, before phase, unread bool) int32 {
	s := b.space
	if i == len(s.parts) {
		if unread {
			return dead
		}
		return end
	}
	if b.err != nil {
		return dead
	}
	k := key{state{i, in}, before, unread}
	if id, ok := b.nodes[k]; ok {
		return id
	}
	if b.all && (before != busy || unread) {
		b.branch(i, in, busy, false)
	}
	e := b.edges(s.slots[i])
	if s.parts[i] == int(arch.InHead) {
		b.head(e, i, in, unread)
	} else {
		b.stage(e, i, in, before, unread)
	}
	id := b.finish(e, i, in)
	b.nodes[k] = id
	return id
}

// head adds the ways to build the head.
func (b *builder) head(e *edges, i int, in arch.Shape, unread bool) {
	s := b.space
	active := make([]bool, len(b.genes))
	inherited := s.activationSlot()
	values := make([]int64, b.n)
	b.product(s.slots[i], func() {
		clear(active)
		s.plan.MarkPart(b.genes, s.parts[i], active)
		if !zeroes(b.genes, s.slots[i], active) {
			return
		}
		b.count(s.parts[i])
		s.plan.BuildPart(b.genes, s.parts[i], &b.net)
		if out, err := b.net.LowerPart(&b.graph, s.parts[i], in); b.note(i, err) {
			b.measured(values)
			b.add(e, b.branch(i+1, out, busy, unread && !active[inherited]), values)
		}
	})
}

// stage adds the ways to build the stem or a stage: first that to do nothing.
func (b *builder) stage(e *edges, i int, in arch.Shape, before phase, unread bool) {
	s := b.space
	part := s.parts[i]
	active := make([]bool, len(b.genes))
	inherited := s.activationSlot()
	if part == int(arch.InStem) {
		if depths, slot := s.plan.Depths(part); slices.Contains(depths, 0) {
			if slot >= 0 {
				b.genes[slot] = uint16(slices.Index(depths, 0))
			}
			b.nothing(e, i, in, busy, unread)
		}
	} else if s.setRest(i, int(in.C), b.genes) {
		s.plan.MarkPart(b.genes, part, active)
		if after, ok := s.next(i, before, true, int(in.C)); ok {
			b.nothing(e, i, in, after, unread && !active[inherited])
		}
	}
	for _, j := range s.slots[i] {
		b.genes[j] = 0
	}
	if before != busy && s.rests[i].zero >= 0 {
		return // whatever does something would stand behind what does not
	}
	depths, depthSlot := s.plan.Depths(part)
	deepest := slices.Index(depths, slices.Max(depths))
	if depths[deepest] == 0 {
		return
	}
	slot, types := s.plan.TypeSlot(part)
	for t := range types {
		if slot >= 0 {
			b.genes[slot] = uint16(t)
		}
		var shared []int
		own := make(map[int][]int) // slots of one block alone
		for _, j := range s.plan.TypeSlots(part, t) {
			switch block := s.plan.Slots[j].Block; {
			case block >= 0:
				own[block] = append(own[block], j)
			case j != slot && j != depthSlot:
				shared = append(shared, j)
			}
		}
		if depthSlot >= 0 {
			b.genes[depthSlot] = uint16(deepest)
		}
		b.product(shared, func() {
			clear(active)
			s.plan.MarkStage(b.genes, part, active)
			w := blocks{
				builder: b, i: i, part: part, in: in, before: before, unread: unread && !active[inherited],
				depths: depths, depthSlot: depthSlot, deepest: deepest, own: own,
				marked: make([]bool, len(b.genes)),
			}
			for _, j := range shared {
				if b.genes[j] != 0 && !active[j] {
					w.must = append(w.must, j)
				}
			}
			s.plan.BuildPart(b.genes, part, &b.net)
			st := w.built()
			idle := part >= 0 && st.Block.Name() == skipping && st.Stride == 1 && st.Pool == (arch.Pool{})
			if len(own) == 0 {
				w.equal(e, idle)
				return
			}
			w.known = make(map[position]int32)
			b.add(e, w.node(position{0, in, 0, idle}), make([]int64, b.n))
		})
		if depthSlot >= 0 {
			b.genes[depthSlot] = 0
		}
	}
	if slot >= 0 {
		b.genes[slot] = 0
	}
}

// nothing adds the way to do nothing that stands in genes.
func (b *builder) nothing(e *edges, i int, in arch.Shape, after phase, unread bool) {
	s := b.space
	s.plan.BuildPart(b.genes, s.parts[i], &b.net)
	if out, err := b.net.LowerPart(&b.graph, s.parts[i], in); b.note(i, err) {
		values := make([]int64, b.n)
		b.measured(values)
		b.add(e, b.branch(i+1, out, after, unread), values)
	}
}

// measured stores the quantities of the layers that were lowered last.
func (b *builder) measured(values []int64) {
	clear(values)
	if b.n > 0 {
		b.measure(&b.graph, values)
	}
}

// count counts a block that is lowered.
func (b *builder) count(part int) {
	if b.lowered++; b.lowered > maxLowered && b.err == nil && !b.unbounded {
		b.err = b.space.plan.Pos(part).Errorf("this stage has too many choices to be counted, with those before it: use fewer or larger steps")
	}
}

// blocks are the ways to build a stage's blocks one after another, while the
// shared slots stand fixed in genes. A shared parameter other than the first
// option counts only if some block reads it.
type blocks struct {
	*builder
	i, part   int
	in        arch.Shape
	before    phase
	unread    bool
	depths    []int
	depthSlot int
	deepest   int
	own       map[int][]int
	must      []int // the shared slots that a block has still to read
	marked    []bool
	known     map[position]int32
}

// A position is where a block begins: its number, the shape of its input, which
// of blocks.must were read before, and whether those before it did nothing.
type position struct {
	block int
	shape arch.Shape
	read  uint64
	idle  bool
}

func (w *blocks) built() *arch.Stage {
	if w.part == int(arch.InStem) {
		return &w.net.Stem
	}
	return &w.net.Stages[w.part]
}

// lowerBlock lowers the block at a position and returns that of the next.
func (w *blocks) lowerBlock(at position, values []int64) (position, bool) {
	s := w.space
	clear(w.marked)
	s.plan.MarkBlock(w.genes, w.part, at.block, w.marked)
	if !zeroes(w.genes, w.own[at.block], w.marked) {
		return at, false
	}
	if len(w.own) > 0 {
		s.plan.BuildPart(w.genes, w.part, &w.net)
	}
	w.count(w.part)
	out, err := w.net.LowerBlock(&w.graph, w.part, at.block, at.shape)
	if !w.note(w.i, err) {
		return at, false
	}
	w.measured(values)
	to := position{at.block + 1, out, at.read, at.idle && w.built().Width(at.block) == int(w.in.C)}
	for k, j := range w.must {
		if w.marked[j] {
			to.read |= 1 << k
		}
	}
	return to, true
}

// stop adds the way to end the stage at a position. Values are of what stands
// before and are added to.
func (w *blocks) stop(e *edges, at position, before []int64) {
	option := slices.Index(w.depths, at.block)
	if option < 0 || at.read != 1<<len(w.must)-1 || at.idle {
		return
	}
	out, err := w.net.LowerPool(&w.graph, w.part, at.shape)
	if !w.note(w.i, err) {
		return
	}
	values := make([]int64, w.n)
	w.measured(values)
	for q := range values {
		values[q] += before[q]
	}
	after, ok := w.space.next(w.i, w.before, false, int(out.C))
	if !ok {
		return
	}
	to := w.branch(w.i+1, out, after, w.unread)
	if w.depthSlot >= 0 {
		w.genes[w.depthSlot] = uint16(option)
		defer func() { w.genes[w.depthSlot] = uint16(w.deepest) }()
	}
	w.add(e, to, values)
}

// equal adds the ways to build a stage of equal blocks, one for each depth.
func (w *blocks) equal(e *edges, idle bool) {
	at := position{0, w.in, 0, idle}
	sum, values := make([]int64, w.n), make([]int64, w.n)
	steady := false // further blocks are like the last
	for range w.depths[w.deepest] {
		if steady {
			at.block++
		} else {
			next, ok := w.lowerBlock(at, values)
			if !ok {
				return
			}
			steady = at.block > 0 && next.shape == at.shape
			at = next
		}
		for q, v := range values {
			sum[q] += v
		}
		w.stop(e, at, sum)
	}
}

// node returns the node of a position in a stage of unequal blocks.
func (w *blocks) node(at position) int32 {
	if id, ok := w.known[at]; ok {
		return id
	}
	slots := slices.Clone(w.own[at.block])
	if w.depthSlot >= 0 {
		slots = append(slots, w.depthSlot)
	}
	e := w.edges(slots)
	values := make([]int64, w.n)
	if at.block > 0 { // a stage without blocks does nothing, see stage
		w.stop(e, at, values)
	}
	if at.block < w.depths[w.deepest] {
		w.product(w.own[at.block], func() {
			values := make([]int64, w.n)
			if to, ok := w.lowerBlock(at, values); ok {
				w.add(e, w.node(to), values)
			}
		})
	}
	id := w.finish(e, w.i, w.in)
	w.known[at] = id
	return id
}

// note remembers why a part could not be built, and reports whether it could.
func (b *builder) note(i int, err error) bool {
	if err == nil {
		return true
	}
	// Of one part, the first message by its letters.
	if e, ok := err.(*arch.BuildError); ok && (b.failed == nil || i > b.at || i == b.at && e.Error() < b.failed.Error()) {
		b.failed, b.at = e, i
	}
	return false
}

// zeroes reports whether all inactive genes among slots are zero.
func zeroes(genes []uint16, slots []int, active []bool) bool {
	for _, j := range slots {
		if genes[j] != 0 && !active[j] {
			return false
		}
	}
	return true
}
