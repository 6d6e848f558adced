package space

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// Counting, drawing and repairing rest on one fact: a part of a network (stem,
// stage, head) sees of all that comes before it only the shape of its input. So
// the networks form a graph whose nodes are (part, input shape) and whose edges
// are the ways to build the part. The number of networks is the number of paths,
// and a path drawn edge by edge, each edge in proportion to the paths behind it,
// is a network drawn uniformly.

// A state is a part, by its index in Space.parts, with the shape of its input.
type state struct {
	part  int
	shape arch.Shape
}

// A branch is what can follow from a state.
type branch struct {
	paths  *tally   // networks from here to the output
	silent *big.Int // those of them that do not read the network's activation
	keep   map[arch.Shape]float64
	// keep is, by the part's output shape, the number of paths behind it,
	// relative to the greatest: the probability to keep such a draw.
}

// A tally sums up a set of ways to build something: how many there are, and for
// each measured quantity the least and the greatest of any of them.
type tally struct {
	n      big.Int
	bounds []Bounds
}

// Bounds are the least and the greatest value of a quantity in a space.
type Bounds struct{ Least, Greatest int64 }

// add adds to t the ways of u, each followed by one of v.
func (t *tally) add(u, v *tally) {
	first := t.n.Sign() == 0
	switch {
	case u.n.IsInt64() && u.n.Int64() == 1: // the most frequent by far
		t.n.Add(&t.n, &v.n)
	case v.n.IsInt64() && v.n.Int64() == 1:
		t.n.Add(&t.n, &u.n)
	default:
		var product big.Int
		t.n.Add(&t.n, product.Mul(&u.n, &v.n))
	}
	if first {
		t.bounds = make([]Bounds, len(u.bounds))
	}
	for i := range t.bounds {
		least, greatest := u.bounds[i].Least+v.bounds[i].Least, u.bounds[i].Greatest+v.bounds[i].Greatest
		if first {
			t.bounds[i] = Bounds{least, greatest}
			continue
		}
		t.bounds[i] = Bounds{min(t.bounds[i].Least, least), max(t.bounds[i].Greatest, greatest)}
	}
}

func (t *tally) equal(u *tally) bool { return t.n.Cmp(&u.n) == 0 && slices.Equal(t.bounds, u.bounds) }

// tallies are tallies by what the ways lead to.
type tallies[K comparable] map[K]*tally

func (m tallies[K]) add(k K, u, v *tally) {
	t := m[k]
	if t == nil {
		t = new(tally)
		m[k] = t
	}
	t.add(u, v)
}

// count finds all states that can be reached and counts the paths.
func (s *Space) count() error {
	s.parts = append(s.parts, int(arch.InStem))
	for i := range s.plan.Stages() {
		s.parts = append(s.parts, i)
	}
	s.parts = append(s.parts, int(arch.InHead))
	for j := range s.plan.Slots {
		if s.plan.Slots[j].Stage == int(arch.InInput) {
			s.globals = append(s.globals, j)
		}
	}
	s.slots = make([][]int, len(s.parts))
	for i, part := range s.parts {
		for j := range s.plan.Slots {
			if s.plan.Slots[j].Stage == part {
				s.slots[i] = append(s.slots[i], j)
			}
		}
	}
	s.heavy = make([]float64, len(s.parts))
	for i := range s.parts {
		s.heavy[i] = s.lightest(i)
	}

	c := s.counter()
	c.quantities = make([]int64, 1)
	c.measure = func(g *arch.Graph, values []int64) { values[0] = int64(len(g.Layers)) - 1 } // without the input
	s.size = new(big.Int)
	all := new(big.Int)
	var paths []*big.Int // of s.start
	inherited := s.activationSlot()
	c.product(s.globals, func() {
		s.plan.Build(c.genes, &c.net)
		b := c.branch(0, input(&c.net))
		if b == nil {
			return
		}
		n := new(big.Int).Set(&b.paths.n)
		if inherited >= 0 && c.genes[inherited] != 0 {
			n.Sub(n, b.silent)
		}
		s.size.Add(s.size, n)
		s.start = append(s.start, append([]uint16(nil), c.genes...))
		paths = append(paths, &b.paths.n)
		all.Add(all, &b.paths.n)
		if most := b.paths.bounds[0].Greatest; most > arch.MaxLayers && c.err == nil {
			c.err = s.plan.Pos(0).Errorf("networks of this space have up to %d layers; at most %d are supported", most, arch.MaxLayers)
		}
	})
	if c.err != nil {
		return c.err
	}
	sum := 0.
	for _, n := range paths {
		share, _ := new(big.Rat).SetFrac(n, all).Float64()
		sum += share
		s.weights = append(s.weights, sum)
	}
	if s.size.Sign() == 0 {
		return c.impossible()
	}
	s.branches = c.branches
	return nil
}

// Bounds returns the least and the greatest value that quantities take in the
// space. A quantity must be additive: its value for a network is the sum of its
// values for the network's layers, as it is for MACs and parameters. Measure
// stores the n quantities of the layers of g, some of a network's, in values.
func (s *Space) Bounds(n int, measure func(g *arch.Graph, values []int64)) []Bounds {
	c := s.counter()
	c.quantities, c.measure = make([]int64, n), measure
	c.lowered = math.MinInt // the space was counted, so this ends
	var all tally
	c.product(s.globals, func() {
		clear(c.branches) // what was measured may depend on the whole network's genes
		s.plan.Build(c.genes, &c.net)
		if b := c.branch(0, input(&c.net)); b != nil {
			all.add(b.paths, c.nothing())
		}
	})
	return all.bounds
}

// activationSlot is the slot of the network's activation, or -1.
func (s *Space) activationSlot() int {
	for i := range s.plan.Slots {
		if s.plan.Slots[i].Path == "activation" {
			return i
		}
	}
	return -1
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
	if err != nil {
		return out, false
	}
	b := s.branches[state{i, in}]
	if b == nil {
		return out, false
	}
	_, leads := b.keep[out] // of very many paths the share can round to 0
	return out, leads
}

// draw draws part i of g uniformly from the ways to build it that lead to the
// output, each in proportion to the networks behind it. It fails if hardly any
// can be built.
func (w *walker) draw(rng *rand.Rand, i int, g Genome, in arch.Shape) (arch.Shape, error) {
	s := w.space
	active := make([]bool, len(g))
	for range maxDraws {
		for _, j := range s.slots[i] {
			g[j] = uint16(rng.IntN(len(s.plan.Slots[j].Options)))
		}
		clear(active)
		s.plan.MarkPart(g, s.parts[i], active)
		// All the draws that differ in inactive genes only are one: keep it in
		// proportion to their number.
		same := 1.
		for _, j := range s.slots[i] {
			if !active[j] {
				g[j] = 0
				same *= float64(len(s.plan.Slots[j].Options))
			}
		}
		if same > s.heavy[i] && rng.Float64() >= s.heavy[i]/same {
			continue
		}
		out, ok := w.lower(i, g, in)
		if keep := s.branches[state{i, in}].keep[out]; ok && (keep >= 1 || rng.Float64() < keep) {
			return out, nil
		}
	}
	return arch.Shape{}, s.plan.Pos(s.parts[i]).Errorf(
		"none of %d random choices of this stage could be built: leave out those that do not fit together", maxDraws)
}

// maxDraws bounds the draws of one part, of which most are kept as long as a
// fair share of its choices can be built.
const maxDraws = 1 << 20

// lightest returns a lower bound on how many draws of part i's genes are one
// and the same because they differ in inactive genes only.
func (s *Space) lightest(i int) float64 {
	if s.parts[i] == int(arch.InHead) {
		return 1
	}
	_, types := s.plan.TypeSlot(s.parts[i])
	least := 0.
	for t := range types {
		relevant := make(map[int]bool)
		for _, j := range s.plan.TypeSlots(s.parts[i], t) {
			relevant[j] = true
		}
		same := 1.
		for _, j := range s.slots[i] {
			if !relevant[j] {
				same *= float64(len(s.plan.Slots[j].Options))
			}
		}
		if t == 0 || same < least {
			least = same
		}
	}
	return least
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

// A counter finds the branches of a space.
type counter struct {
	walker
	genes    []uint16
	branches map[state]*branch

	measure    func(g *arch.Graph, values []int64) // may be nil
	quantities []int64
	last       tally

	failed *arch.BuildError // of the furthest part that nothing fits
	at     int

	lowered int   // blocks
	err     error // why counting was given up
}

// maxLowered bounds the work of counting a space, to some seconds. It does not
// depend on the machine, so that a space is refused everywhere or nowhere.
const maxLowered = 2 << 20

func (s *Space) counter() *counter {
	return &counter{
		walker: walker{space: s}, genes: make([]uint16, len(s.plan.Slots)), branches: make(map[state]*branch),
	}
}

// one returns the tally of the layers lowered last. It is valid until the next
// call.
func (c *counter) one() *tally {
	t := &c.last
	t.n.SetInt64(1)
	t.bounds = t.bounds[:0]
	if c.measure != nil {
		c.measure(&c.graph, c.quantities)
		for _, v := range c.quantities {
			t.bounds = append(t.bounds, Bounds{v, v})
		}
	}
	return t
}

// nothing returns the tally of one way that costs nothing.
func (c *counter) nothing() *tally {
	t := &tally{bounds: make([]Bounds, len(c.quantities))}
	t.n.SetInt64(1)
	return t
}

func (c *counter) impossible() error {
	if c.failed == nil {
		return fmt.Errorf("the space has no network")
	}
	s := c.space
	message := fmt.Sprintf("no network of this space can be built: %v", c.failed)
	if slots := s.slots[c.at]; len(slots) > 0 {
		return s.plan.At(slots[0]).Errorf("%s", message)
	}
	return s.plan.Pos(s.parts[c.at]).Errorf("%s", message)
}

// product calls f for every combination of options of the slots, in genes.
func (c *counter) product(slots []int, f func()) {
	if c.err != nil {
		return
	}
	if len(slots) == 0 {
		f()
		return
	}
	j := slots[0]
	for v := range c.space.plan.Slots[j].Options {
		c.genes[j] = uint16(v)
		c.product(slots[1:], f)
	}
	c.genes[j] = 0
}

// branch returns what can follow from part i with the given input, or nil if
// nothing can.
func (c *counter) branch(i int, in arch.Shape) *branch {
	s := c.space
	key := state{i, in}
	if c.err != nil {
		return nil
	}
	if b, ok := c.branches[key]; ok {
		return b
	}
	b := &branch{paths: new(tally), silent: new(big.Int), keep: make(map[arch.Shape]float64)}
	nothing := c.nothing()
	behind := make(map[arch.Shape]*big.Int)
	greatest := new(big.Int)
	all := c.ways(i, in)
	for _, out := range slices.SortedFunc(maps.Keys(all), outcome.compare) {
		rest, silent := nothing, big.NewInt(1)
		if i+1 < len(s.parts) {
			next := c.branch(i+1, out.shape)
			if next == nil {
				continue
			}
			rest, silent = next.paths, next.silent
		}
		count := &rest.n
		behind[out.shape] = count
		if count.Cmp(greatest) > 0 {
			greatest = count
		}
		b.paths.add(all[out], rest)
		if !out.activation {
			b.silent.Add(b.silent, new(big.Int).Mul(&all[out].n, silent))
		}
	}
	if b.paths.n.Sign() == 0 {
		c.branches[key] = nil
		return nil
	}
	for shape, count := range behind {
		b.keep[shape], _ = new(big.Rat).SetFrac(count, greatest).Float64()
	}
	c.branches[key] = b
	return b
}

// An outcome is what a way to build a part leads to.
type outcome struct {
	shape      arch.Shape
	activation bool // the part reads the network's activation
}

// compare orders outcomes, so that it does not depend on a map's order which
// obstacle is reported.
func (o outcome) compare(p outcome) int {
	if c := cmp.Or(cmp.Compare(o.shape.C, p.shape.C), cmp.Compare(o.shape.H, p.shape.H)); c != 0 || o == p {
		return c
	}
	if p.activation {
		return -1
	}
	return 1
}

// ways tallies the distinct ways to build part i on an input, by their outcome.
func (c *counter) ways(i int, in arch.Shape) tallies[outcome] {
	s := c.space
	part := s.parts[i]
	ways := make(tallies[outcome])
	nothing := c.nothing()
	add := func(out outcome, t *tally) { ways.add(out, t, nothing) }
	active := make([]bool, len(c.genes))
	inherited := s.activationSlot()

	if part == int(arch.InHead) {
		c.product(s.slots[i], func() {
			clear(active)
			s.plan.MarkPart(c.genes, part, active)
			if !canonical(c.genes, s.slots[i], active) {
				return
			}
			s.plan.BuildPart(c.genes, part, &c.net)
			if out, err := c.net.LowerPart(&c.graph, part, in); c.note(i, err) {
				add(outcome{out, inherited >= 0 && active[inherited]}, c.one())
			}
		})
		return ways
	}

	slot, types := s.plan.TypeSlot(part)
	for t := range types {
		if slot >= 0 {
			c.genes[slot] = uint16(t)
		}
		depths, depthSlot := s.plan.Depths(part)
		var shared []int
		own := make(map[int][]int) // slots of one block alone
		for _, j := range s.plan.TypeSlots(part, t) {
			switch b := s.plan.Slots[j].Block; {
			case b >= 0:
				own[b] = append(own[b], j)
			case j != slot && j != depthSlot:
				shared = append(shared, j)
			}
		}
		c.product(shared, func() {
			for k, depth := range depths {
				if depth > 0 {
					continue
				}
				// Left out, the part has one canonical way.
				if depthSlot >= 0 {
					c.genes[depthSlot] = uint16(k)
				}
				clear(active)
				s.plan.MarkPart(c.genes, part, active)
				if canonical(c.genes, s.slots[i], active) {
					s.plan.BuildPart(c.genes, part, &c.net)
					if out, err := c.net.LowerPart(&c.graph, part, in); c.note(i, err) {
						add(outcome{out, false}, c.one())
					}
				}
			}
			deepest := slices.Index(depths, slices.Max(depths))
			if depthSlot >= 0 {
				c.genes[depthSlot] = uint16(deepest)
			}
			if depths[deepest] > 0 {
				clear(active)
				s.plan.MarkStage(c.genes, part, active)
				c.blocks(i, depths, in, shared, own, active, func(out arch.Shape, t *tally) {
					add(outcome{out, inherited >= 0 && active[inherited]}, t)
				})
			}
			if depthSlot >= 0 {
				c.genes[depthSlot] = 0
			}
		})
	}
	if slot >= 0 {
		c.genes[slot] = 0
	}
	return ways
}

// blocks tallies the ways to build the blocks of a stage one after another, for
// each of its depths by the output's shape, while the shared slots stand fixed
// in genes. A shared parameter other than the first option counts only if some
// block reads it.
func (c *counter) blocks(
	i int, depths []int, in arch.Shape, shared []int, own map[int][]int, active []bool, add func(arch.Shape, *tally),
) {
	s := c.space
	part := s.parts[i]
	// must lists the shared slots that a block has still to read; a position is
	// the shape so far and, as bits, which of them were read.
	var must []int
	for _, j := range shared {
		if c.genes[j] != 0 && !active[j] {
			must = append(must, j)
		}
	}
	type position struct {
		shape arch.Shape
		read  uint64
	}
	now := tallies[position]{{in, 0}: c.nothing()}
	marked := make([]bool, len(c.genes))
	s.plan.BuildPart(c.genes, part, &c.net)
	steady := false // further blocks change nothing
	for b := range slices.Max(depths) {
		next := now
		if !steady {
			next = make(tallies[position], len(now))
		}
		for at, before := range now {
			if steady {
				break
			}
			c.product(own[b], func() {
				clear(marked)
				s.plan.MarkBlock(c.genes, part, b, marked)
				if !canonical(c.genes, own[b], marked) {
					return
				}
				if len(own[b]) > 0 {
					s.plan.BuildPart(c.genes, part, &c.net)
				}
				if c.lowered++; c.lowered > maxLowered && c.err == nil {
					c.err = s.plan.Pos(part).Errorf("this stage has too many choices to be counted, with those before it: use fewer or larger steps")
				}
				out, err := c.net.LowerBlock(&c.graph, part, b, at.shape)
				if !c.note(i, err) {
					return
				}
				to := position{out, at.read}
				for k, j := range must {
					if marked[j] {
						to.read |= 1 << k
					}
				}
				next.add(to, before, c.one())
			})
		}
		steady = b > 0 && len(own) == 0 && maps.EqualFunc(now, next, (*tally).equal)
		now = next
		if !slices.Contains(depths, b+1) {
			continue
		}
		for at, t := range now {
			if at.read != 1<<len(must)-1 {
				continue
			}
			out, err := c.net.LowerPool(&c.graph, part, at.shape)
			if c.note(i, err) {
				add(out, t)
			}
		}
	}
}

// note remembers why a part could not be built, and reports whether it could.
func (c *counter) note(i int, err error) bool {
	if err == nil {
		return true
	}
	// Of one part, the first message by its letters: which came first depends on
	// the order of maps.
	if b, ok := err.(*arch.BuildError); ok && (c.failed == nil || i > c.at || i == c.at && b.Error() < c.failed.Error()) {
		c.failed, c.at = b, i
	}
	return false
}

// canonical reports whether all inactive genes among slots are zero.
func canonical(genes []uint16, slots []int, active []bool) bool {
	for _, j := range slots {
		if genes[j] != 0 && !active[j] {
			return false
		}
	}
	return true
}
