package space

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// ErrUndecided says that neither a network within all limits was found nor a
// proof that there is none.
var ErrUndecided = errors.New("space: not decided whether a network is within all limits")

// An InfeasibleError says that no network is within the limits of all
// quantities. That is proven, not estimated.
type InfeasibleError struct {
	// Quantity is the one whose limits no network meets, or -1 if some network
	// meets those of each, but none meets them all.
	Quantity int
	// Reach is the least and the greatest value of that quantity.
	Reach Bounds
}

func (e *InfeasibleError) Error() string {
	if e.Quantity < 0 {
		return "space: no network is within all limits together, though some are within each"
	}
	return fmt.Sprintf("space: no network is within the limits of quantity %d: the least is %d, the greatest %d", e.Quantity, e.Reach.Least, e.Reach.Greatest)
}

// Feasible returns a network whose quantities are all within their limits, one
// interval for each quantity (from [math.MinInt64] to [math.MaxInt64] for none).
// It fails with an [*InfeasibleError] if there is none, and with [ErrUndecided]
// if it found neither.
//
// Each quantity alone is decided exactly. Of all together, it looks for prices:
// if, with a price on each limit, even the cheapest network pays for exceeding
// them, none is within all; and the cheapest at a price is often within all
// (Lagrangian relaxation, prices by multiplicative weights). What that leaves open is left to draws within
// each limit, which is no proof.
func (m *Measured) Feasible(limits []Interval) (Genome, error) {
	t := m.t
	bounds := t.nodes[t.root].bounds
	for q, b := range bounds {
		if b.Least > limits[q].Hi || b.Greatest < limits[q].Lo {
			return nil, &InfeasibleError{q, b}
		}
	}
	// Prices are for one range of the quantity's values above and below; those of
	// limits that nothing exceeds stay zero.
	n := len(bounds)
	above, below := make([]float64, n), make([]float64, n)
	weights := make([]float64, n)
	scale := func(q int) float64 { return max(1, float64(bounds[q].Greatest)-float64(bounds[q].Least)) }
	for q, b := range bounds {
		if b.Greatest > limits[q].Hi { // as if in shares of the limit
			above[q] = scale(q) / max(1, math.Abs(float64(limits[q].Hi)))
		}
		if b.Least < limits[q].Lo {
			below[q] = scale(q) / max(1, math.Abs(float64(limits[q].Lo)))
		}
	}
	g := make(Genome, len(m.space.plan.Slots))
	values := make([]int64, n)
	costs := make([]float64, len(t.nodes))
	const rounds = 100
	for round := range rounds {
		due, size := 0., 0.
		for q := range weights {
			weights[q] = (above[q] - below[q]) / scale(q)
			if above[q] > 0 {
				due -= above[q] * float64(limits[q].Hi) / scale(q)
			}
			if below[q] > 0 {
				due += below[q] * float64(limits[q].Lo) / scale(q)
			}
			size += (above[q] + below[q]) * (math.Abs(float64(bounds[q].Least)) + math.Abs(float64(bounds[q].Greatest))) / scale(q)
		}
		cheapest := t.cheapest(weights, costs, g, values)
		within := true
		for q, v := range values {
			within = within && limits[q].Contains(v)
		}
		if within {
			return g, nil
		}
		if cheapest+due > 1e-9*size { // beyond all rounding
			return nil, &InfeasibleError{Quantity: -1}
		}
		// Raise the price of what is exceeded and lower that of what is not, by
		// factors that shrink: only how prices compare matters.
		over := func(q int, v int64) (hi, lo float64) {
			return (float64(v) - float64(limits[q].Hi)) / scale(q), (float64(limits[q].Lo) - float64(v)) / scale(q)
		}
		most := 0.
		for q, v := range values {
			hi, lo := over(q, v)
			if above[q] > 0 {
				most = max(most, math.Abs(hi))
			}
			if below[q] > 0 {
				most = max(most, math.Abs(lo))
			}
		}
		step := 4 / (1 + float64(round)/4) / most
		for q, v := range values {
			hi, lo := over(q, v)
			above[q] *= math.Exp(step * hi)
			below[q] *= math.Exp(step * lo)
		}
	}
	// The cheapest at some price are few: look among others within one limit.
	rng := rand.New(rand.NewPCG(1, 1))
	const draws = 300
	for q := range limits {
		sampler := m.Sampler(q)
		for range draws {
			g, _, err := sampler.Sample(rng, limits[q])
			if err != nil {
				break
			}
			if m.within(g, limits) {
				return g, nil
			}
		}
	}
	return nil, ErrUndecided
}

// within reports whether all quantities of g are within their limits.
func (m *Measured) within(g Genome, limits []Interval) bool {
	values := make([]int64, len(limits))
	m.meters(g, values)
	for q, v := range values {
		if !limits[q].Contains(v) {
			return false
		}
	}
	return true
}

func (m *Measured) meters(g Genome, values []int64) {
	meter := m.meter.Get().(*Meter)
	defer m.meter.Put(meter)
	if meter.Measure(g, values) != nil { // g is of the space
		panic("space: a drawn network cannot be built")
	}
}

// cheapest sets the genes of the path with the least weighted sum of values, and
// the values, and returns the sum. Costs is scratch, one a node.
func (t *trellis) cheapest(weights, costs []float64, g []uint16, values []int64) float64 {
	cost := func(n *node, e int32, to int32) float64 {
		sum := costs[to]
		for q, v := range n.values[int(e)*t.n:][:t.n] {
			sum += weights[q] * float64(v)
		}
		return sum
	}
	costs[end] = 0
	for id := 1; id < len(t.nodes); id++ {
		n := &t.nodes[id]
		costs[id] = math.Inf(1)
		for i := range n.groups {
			for e := n.groups[i].first; e < n.groups[i].end; e++ {
				costs[id] = min(costs[id], cost(n, e, n.groups[i].to))
			}
		}
	}
	clear(values)
	for id := t.root; id != end; {
		n := &t.nodes[id]
		next := int32(dead)
		for i := range n.groups {
			for e := n.groups[i].first; e < n.groups[i].end && next == dead; e++ {
				if cost(n, e, n.groups[i].to) == costs[id] {
					n.take(e, g)
					for q, v := range n.values[int(e)*t.n:][:t.n] {
						values[q] += v
					}
					next = n.groups[i].to
				}
			}
		}
		id = next
	}
	return costs[t.root]
}
