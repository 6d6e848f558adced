package space

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
)

// An Interval is the values from Lo to Hi, both included.
type Interval struct{ Lo, Hi int64 }

// Contains reports whether v is in the interval.
func (i Interval) Contains(v int64) bool { return i.Lo <= v && v <= i.Hi }

// A Sampler draws networks whose value of one additive quantity, such as MACs,
// lies in a given interval, however few of the space's networks do. All distinct
// networks in the interval are drawn with the same probability, as in
// [Space.Sample].
//
// # How it works
//
// A way to build a part costs so much more than the cheapest that leads to the
// same end: its slack. A network's value is the least of the space plus the
// slacks along its path. For every state of the space the Sampler tabulates
// bounds on the share of what can follow that has at most so much slack, and
// draws part by part in proportion to the upper bound on the share that then
// still ends in the interval. Where the ways on sum up to less than the bound by
// which their state was chosen, it begins anew with the probability that is
// missing: that makes the draws exactly uniform. The last part is counted
// exactly, so nothing outside the interval is returned.
//
// # How fast it is
//
// The tables hold 512 steps up to the next power of two that spans the distance
// from the interval's far end to the space's least value, or to its greatest
// where that is nearer. So if that distance is below 512, the bounds are exact
// and no draw begins anew. Beyond, a bound is too wide by about as many steps as
// a network has stages: in an interval of a tenth of the distance, one draw in
// five begins anew; in one of less than a step, nearly all do, and at last Sample
// gives up. Of a space with so many states that the tables would take more than
// some 200 MB, there are fewer steps.
//
// It is safe for concurrent use. Tables are made when they are first needed and
// kept: up to one for each power of two, twice.
type Sampler struct {
	m     *Measured
	q     int
	steps int // of a table, see there

	mu    sync.Mutex
	sides [2]*side
}

// Sampler returns a sampler by quantity q.
func (m *Measured) Sampler(q int) *Sampler { return &Sampler{m: m, q: q, steps: steps} }

// Bounds returns the least and the greatest value of the quantity.
func (s *Sampler) Bounds() Bounds { return s.m.t.nodes[s.m.t.root].bounds[s.q] }

// Strata returns up to n disjoint intervals that together hold the value of every
// network: equal steps of its logarithm from the least to the greatest, or of
// the value itself if the least is not positive. Intervals that are empty, and
// those in which the tables prove that there is no network, are left out.
func (s *Sampler) Strata(n int) []Interval {
	b := s.Bounds()
	edge := func(i int) int64 {
		least, share := float64(b.Least), float64(i)/float64(n)
		if b.Least > 0 {
			return int64(math.Ceil(least * math.Pow(float64(b.Greatest)/least, share)))
		}
		return int64(math.Ceil(least + share*(float64(b.Greatest)-least)))
	}
	var strata []Interval
	lo := b.Least
	for i := range n {
		hi := b.Greatest
		if i+1 < n {
			hi = min(edge(i+1)-1, hi)
		}
		if lo <= hi {
			if _, high := s.Share(Interval{lo, hi}); high > 0 {
				strata = append(strata, Interval{lo, hi})
			}
			lo = hi + 1
		}
	}
	return strata
}

// Share returns bounds on the share of the space's networks that is in the
// interval. They are proven, except for rounding; the upper is 0 only if no
// network is.
func (s *Sampler) Share(in Interval) (low, high float64) {
	g, lo, hi, ok := s.grid(in)
	if !ok {
		return 0, 0
	}
	t := &g.nodes[s.m.t.root]
	return max(0, g.least(t, hi)-g.most(t, lo-1)), g.within(t, lo, hi)
}

// restarts bounds how often a draw begins anew.
const restarts = 20_000

// Sample draws a network whose value is in the interval, and returns the value
// too. It fails if there is none, or if so small a share of those at values near by is
// in the interval that none was met.
func (s *Sampler) Sample(rng *rand.Rand, in Interval) (Genome, int64, error) {
	grid, lo, hi, ok := s.grid(in)
	if ok {
		g := make(Genome, len(s.m.space.plan.Slots))
		for range restarts {
			if slack, ok := grid.draw(rng, s.m.t, g, lo, hi); ok {
				b := s.Bounds()
				if grid.side.mirrored {
					return g, b.Greatest - slack, nil
				}
				return g, b.Least + slack, nil
			}
		}
	}
	b := s.Bounds()
	return nil, 0, fmt.Errorf("space: no network found with a value from %d to %d; the least of all is %d, the greatest %d", in.Lo, in.Hi, b.Least, b.Greatest)
}

// grid returns the tables for an interval, and the interval in slack.
func (s *Sampler) grid(in Interval) (g *grid, lo, hi int64, ok bool) {
	b := s.Bounds()
	in = Interval{max(in.Lo, b.Least), min(in.Hi, b.Greatest)}
	if in.Lo > in.Hi {
		return nil, 0, 0, false
	}
	which := 0
	lo, hi = in.Lo-b.Least, in.Hi-b.Least
	if l, h := b.Greatest-in.Hi, b.Greatest-in.Lo; h < hi {
		which, lo, hi = 1, l, h
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sides[which] == nil {
		s.sides[which] = newSide(s.m.t, s.q, which == 1)
	}
	return s.sides[which].grid(s.m.t, hi, s.steps), lo, hi, true
}

// A side is the slacks of all edges: by how much they exceed the least value,
// or, mirrored, by how much they stay below the greatest.
type side struct {
	mirrored bool
	slack    [][]int64 // by node: of its edges, ascending within each group
	edge     [][]int32 // parallel to slack: which edge
	grids    map[int]*grid
}

func newSide(t *trellis, q int, mirrored bool) *side {
	s := &side{mirrored: mirrored, slack: make([][]int64, len(t.nodes)), edge: make([][]int32, len(t.nodes)), grids: make(map[int]*grid)}
	for id := range t.nodes {
		n := &t.nodes[id]
		if len(n.groups) == 0 {
			continue
		}
		edges := int(n.groups[len(n.groups)-1].end)
		of := make([]int64, edges)
		s.edge[id], s.slack[id] = make([]int32, edges), make([]int64, edges)
		for i := range n.groups {
			g := &n.groups[i]
			for e := g.first; e < g.end; e++ {
				v, rest := n.values[int(e)*t.n+q], t.nodes[g.to].bounds[q]
				if of[e] = v + rest.Least - n.bounds[q].Least; mirrored {
					of[e] = n.bounds[q].Greatest - v - rest.Greatest
				}
				s.edge[id][e] = e
			}
			slices.SortStableFunc(s.edge[id][g.first:g.end], func(a, b int32) int { return cmp.Compare(of[a], of[b]) })
		}
		for k, e := range s.edge[id] {
			s.slack[id][k] = of[e]
		}
	}
	return s
}

const (
	// steps is the number of steps of a table, a power of two, unless there are
	// too many states.
	steps     = 512
	tableSize = 1 << 23 // steps of all nodes together
)

// A table bounds the share of paths that have at most k << shift of slack.
type table struct{ most, least []float64 }

// A grid is the tables for slacks below steps << shift. That a draw can make up
// for their error rests on one property: the upper bound of a node, for any
// interval, is at least the sum of those of what follows, for the interval less
// the slack that leads there. It holds because limits and, for most, slacks
// are rounded down to steps, for least slacks are rounded up: floor(a) - floor(b)
// is at least floor(a-b), and floor(a) - ceil(b) at most.
type grid struct {
	side   *side
	shift  int
	steps  int
	nodes  []table   // of the paths from each node
	groups [][]table // by node and group: the sum over its edges of what follows; nothing of one edge
}

// grid returns the tables of n steps that reach up to a slack.
func (s *side) grid(t *trellis, most int64, n int) *grid {
	for n > 16 && n*len(t.nodes) > tableSize {
		n /= 2
	}
	shift := max(0, bits.Len64(uint64(most))-bits.Len(uint(n))+1)
	if g := s.grids[shift]; g != nil {
		return g
	}
	newTable := func() table { return table{make([]float64, n+1), make([]float64, n+1)} }
	g := &grid{side: s, shift: shift, steps: n, nodes: make([]table, len(t.nodes)), groups: make([][]table, len(t.nodes))}
	g.nodes[end] = newTable()
	for k := range n + 1 {
		g.nodes[end].most[k], g.nodes[end].least[k] = 1, 1
	}
	for id := 1; id < len(t.nodes); id++ {
		node := &t.nodes[id]
		g.nodes[id] = newTable()
		g.groups[id] = make([]table, len(node.groups))
		sum := newTable()
		for i := range node.groups {
			e := &node.groups[i]
			slack := s.slack[id][e.first:e.end]
			add(sum.most, g.nodes[e.to].most, slack, g.shift, 0)
			add(sum.least, g.nodes[e.to].least, slack, g.shift, 1<<g.shift-1)
			for k := range n + 1 {
				g.nodes[id].most[k] += e.share * sum.most[k]
				g.nodes[id].least[k] += e.share * sum.least[k]
			}
			if len(slack) > 1 {
				g.groups[id][i], sum = sum, newTable()
			} else {
				clear(sum.most)
				clear(sum.least)
			}
		}
	}
	s.grids[shift] = g
	return g
}

// add adds to sum a table for each of the ascending slacks, shifted by it in
// steps.
func add(sum, rest []float64, slack []int64, shift int, round int64) {
	for first := 0; first < len(slack); {
		at := (slack[first] + round) >> shift
		if at >= int64(len(sum)) {
			return
		}
		n := first // all edges of the same step together
		for n < len(slack) && (slack[n]+round)>>shift == at {
			n++
		}
		count := float64(n - first)
		to := sum[at:]
		for k, v := range rest[:len(to)] {
			to[k] += count * v
		}
		first = n
	}
}

// most bounds the share of paths with at most so much slack from above.
func (g *grid) most(t *table, slack int64) float64 {
	if slack < 0 {
		return 0
	}
	return t.most[slack>>g.shift]
}

// least bounds the share of paths with at most so much slack from below.
func (g *grid) least(t *table, slack int64) float64 {
	if slack < 0 {
		return 0
	}
	return t.least[slack>>g.shift]
}

// within bounds the share of paths with slack from lo to hi from above.
func (g *grid) within(t *table, lo, hi int64) float64 {
	if hi < 0 {
		return 0
	}
	return max(0, g.most(t, hi)-g.least(t, lo-1))
}

// follow bounds the share of paths from a node with slack from lo to hi from
// above; at the end it is exact.
func (g *grid) follow(id int32, lo, hi int64) float64 {
	if id != end {
		return g.within(&g.nodes[id], lo, hi)
	}
	if lo <= 0 && hi >= 0 {
		return 1
	}
	return 0
}

// draw sets the genes of a path with a slack from lo to hi, or fails: see
// [Sampler].
func (g *grid) draw(rng *rand.Rand, t *trellis, genes Genome, lo, hi int64) (slack int64, ok bool) {
	var few [64]float64
	bound := 0. // by which the node was chosen
	for id := t.root; id != end; {
		n := &t.nodes[id]
		slacks := g.side.slack[id]
		sums, sum := few[:0], 0.
		for i := range n.groups {
			e := &n.groups[i]
			sum += e.share * g.group(id, i, e, slacks, lo-slack, hi-slack)
			sums = append(sums, sum)
		}
		if id == t.root {
			bound = sum
		}
		i := pick(rng, sums, bound)
		if i < 0 {
			return 0, false
		}
		e := &n.groups[i]
		k := int(e.first)
		bound = g.group(id, i, e, slacks, lo-slack, hi-slack)
		if e.end-e.first > 1 {
			if k += g.edge(rng, slacks[e.first:e.end], e.to, lo-slack, hi-slack, bound); k < int(e.first) {
				return 0, false
			}
		}
		slack += slacks[k]
		n.take(g.side.edge[id][k], genes)
		id, bound = e.to, g.follow(e.to, lo-slack, hi-slack)
	}
	return slack, true
}

// group bounds the sum, over the edges of a group, of the share of what follows
// that has slack from lo to hi.
func (g *grid) group(id int32, i int, e *group, slacks []int64, lo, hi int64) float64 {
	switch {
	case e.end-e.first == 1:
		s := slacks[e.first]
		return g.follow(e.to, lo-s, hi-s)
	case e.to == end:
		from, to := between(slacks[e.first:e.end], lo, hi)
		return float64(to - from)
	}
	return g.within(&g.groups[id][i], lo, hi)
}

// between returns which of the ascending slacks are from lo to hi.
func between(slacks []int64, lo, hi int64) (from, to int) {
	from, _ = slices.BinarySearch(slacks, lo)
	to, _ = slices.BinarySearch(slacks, hi+1)
	return from, to
}

// edge draws one of the edges with these slacks to a node, or fails with -1.
func (g *grid) edge(rng *rand.Rand, slacks []int64, to int32, lo, hi int64, bound float64) int {
	if to == end {
		from, to := between(slacks, lo, hi)
		return from + rng.IntN(to-from) // some, for the group was chosen
	}
	var few [512]float64
	sums, sum := few[:0], 0.
	rest := &g.nodes[to]
	for _, s := range slacks {
		if s > hi {
			break
		}
		sum += g.within(rest, lo-s, hi-s)
		sums = append(sums, sum)
	}
	return pick(rng, sums, bound)
}

// pick draws an index in proportion to the weights that sum up to sums, or -1 if
// the draw, below the bound, is beyond them all.
func pick(rng *rand.Rand, sums []float64, bound float64) int {
	x := rng.Float64() * bound
	if len(sums) == 0 || x >= sums[len(sums)-1] {
		return -1
	}
	i, _ := slices.BinarySearch(sums, math.Nextafter(x, math.Inf(1)))
	return i
}
