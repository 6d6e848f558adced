package runner

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/space"
)

// A Survey describes a space, and what constraints on costs leave of it.
type Survey struct {
	Metrics []MetricRange
	// Networks is how many networks the shares are shares of: all of the space if
	// Exact, else samples. It is 0 if there are no shares.
	Networks  int
	Exact     bool
	Shares    []BoundShare // of each constraint on a cost
	All       BoundShare   // of these constraints together
	Uncounted []string     // constraints on the accuracy, which only a predictor can tell
}

// MetricRange is the least and the greatest cost in a space, exact.
type MetricRange struct {
	Title           string
	Least, Greatest string
}

// BoundShare is the share of the networks that is within a bound. Of samples
// it is an estimate, with its 95 % interval (Wilson 1927); of all networks it is
// exact, and Low and High are the share too.
type BoundShare struct {
	Bound            string
	Networks         int // within the bound, of those looked at
	Share, Low, High float64
}

// exactNetworks is how many networks a space may hold for all of them to be looked
// at, which takes a second or two.
const exactNetworks = 50_000

// small reports whether all networks of the space can be looked at.
func (c *Config) small() bool {
	n := c.Space.Size()
	return n.IsInt64() && n.Int64() <= exactNetworks
}

// Survey finds the range of each additive cost in the space, and which share of
// the networks each constraint leaves: exactly if the space is small, else from
// so many uniform samples. It refuses constraints as [LoadConfig] does.
func (c *Config) Survey(samples int, seed uint64) (*Survey, error) {
	if err := c.checkFeasible(); err != nil {
		return nil, err
	}
	survey := &Survey{Exact: c.small()}
	for i := range metrics {
		m := &metrics[i]
		if b, ok := c.bounds[m.name]; ok {
			survey.Metrics = append(survey.Metrics, MetricRange{
				m.title, m.unit.format(float64(b.Least)), m.unit.format(float64(b.Greatest)),
			})
		}
	}
	for _, k := range c.Constraints {
		if m := metricByName(k.Metric); m.of == nil {
			survey.Uncounted = append(survey.Uncounted, k.describe(m))
		}
	}
	t := c.newTally()
	if len(t.constraints) == 0 {
		return survey, nil
	}
	var err error
	if survey.Exact {
		err = t.addAll(func(uint) bool { return true })
	} else {
		err = t.addSamples(samples, seed)
	}
	if err != nil {
		return nil, err
	}
	survey.Networks = t.networks
	share := func(bound string, set uint) BoundShare {
		n := t.within(set)
		if survey.Exact {
			exact := float64(n) / float64(t.networks)
			return BoundShare{bound, n, exact, exact, exact}
		}
		return wilson(bound, n, t.networks)
	}
	for i, k := range t.constraints {
		survey.Shares = append(survey.Shares, share(k.describe(t.metrics[i]), 1<<i))
	}
	survey.All = share("all together", t.all())
	return survey, nil
}

// wilson returns the share k/n with its 95 % score interval.
func wilson(bound string, k, n int) BoundShare {
	const z = 1.959964
	p, f := float64(k)/float64(n), float64(n)
	center := (p + z*z/(2*f)) / (1 + z*z/f)
	half := z / (1 + z*z/f) * math.Sqrt(p*(1-p)/f+z*z/(4*f*f))
	return BoundShare{bound, k, p, max(0, center-half), min(1, center+half)}
}

// describe returns the constraint as people read it, such as "macs <= 600M".
func (c *Constraint) describe(m *metric) string {
	switch {
	case math.IsInf(c.Min, -1):
		return fmt.Sprintf("%s <= %s", m.name, m.unit.inFull(c.Max))
	case math.IsInf(c.Max, 1):
		return fmt.Sprintf("%s >= %s", m.name, m.unit.inFull(c.Min))
	}
	return fmt.Sprintf("%s from %s to %s", m.name, m.unit.inFull(c.Min), m.unit.inFull(c.Max))
}

// inFull shows a figure as format does, unless that would round it.
func (u unit) inFull(v float64) string {
	text := u.format(v)
	if shown, err := u.parse(text); err == nil && math.Abs(shown-v) <= 1e-9*v {
		return text
	}
	text = strconv.FormatFloat(v, 'f', -1, 64)
	switch u {
	case size:
		return text + " B"
	case joules:
		return text + " pJ"
	}
	return text
}

// onCosts returns the constraints that a network's costs decide. Sets of them are
// written as bits, the first constraint's the lowest.
func (c *Config) onCosts() []Constraint {
	var list []Constraint
	for _, k := range c.Constraints {
		if metricByName(k.Metric).of != nil {
			list = append(list, k)
		}
	}
	return list
}

// A tally counts networks by which of the constraints on costs they meet.
type tally struct {
	space        *space.Space
	constraints  []Constraint
	metrics      []*metric // parallel to constraints
	peak, energy bool      // some metric is the peak memory, or the energy

	networks int
	meeting  map[uint]int   // networks by the set of all constraints that they meet
	reach    []space.Bounds // by constraint: the least and the greatest cost

	net   arch.Network
	meter meter
}

func (c *Config) newTally() *tally {
	t := &tally{space: c.Space, constraints: c.onCosts(), meeting: make(map[uint]int), meter: meter{precision: c.Precision}}
	for _, k := range t.constraints {
		t.metrics = append(t.metrics, metricByName(k.Metric))
		t.peak = t.peak || k.Metric == "peak_memory"
		t.energy = t.energy || k.Metric == "energy"
		t.reach = append(t.reach, space.Bounds{Least: math.MaxInt64, Greatest: math.MinInt64})
	}
	return t
}

// all returns the set of all constraints.
func (t *tally) all() uint { return 1<<len(t.constraints) - 1 }

// add counts a network, and returns the set of the constraints that it meets.
func (t *tally) add(g space.Genome) (uint, error) {
	t.space.Network(g, &t.net)
	if err := t.net.Lower(&t.meter.graph); err != nil {
		return 0, err
	}
	costs := t.meter.lowered(&t.meter.graph, t.peak, t.energy)
	met := uint(0)
	for i, m := range t.metrics {
		v := m.of(&costs)
		t.reach[i] = space.Bounds{Least: min(t.reach[i].Least, v), Greatest: max(t.reach[i].Greatest, v)}
		if excess(float64(v), &t.constraints[i]) == 0 {
			met |= 1 << i
		}
	}
	t.networks++
	t.meeting[met]++
	return met, nil
}

// addAll counts the networks of the space until more, given the set of the
// constraints that the last one meets, returns false.
func (t *tally) addAll(more func(met uint) bool) error {
	all, err := t.space.All()
	if err != nil {
		return err
	}
	for g := range all {
		met, err := t.add(g)
		if err != nil {
			return err
		}
		if !more(met) {
			break
		}
	}
	return nil
}

func (t *tally) addSamples(n int, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	for range n {
		g, err := t.space.Sample(rng)
		if err != nil {
			return err
		}
		if _, err := t.add(g); err != nil {
			return err
		}
	}
	return nil
}

// within returns how many of the networks meet a set of constraints.
func (t *tally) within(set uint) int {
	sum := 0
	for met, n := range t.meeting {
		if met&set == set {
			sum += n
		}
	}
	return sum
}

// checkFeasible refuses constraints on costs that no network of the space meets,
// each alone or all together. Of a small space that is exact. Of a large one it is
// what can be proven in a moment, see refute; what is not decided is not refused.
func (c *Config) checkFeasible() error {
	constraints := c.onCosts()
	for _, k := range constraints {
		if b, ok := c.bounds[k.Metric]; ok && (float64(b.Least) > k.Max || float64(b.Greatest) < k.Min) {
			return k.unmet(b)
		}
	}
	if len(constraints) == 0 {
		return nil
	}
	g, err := c.refute(constraints)
	if err != nil || !c.small() {
		return err
	}
	// That network was measured part by part, where peak memory is a bound only.
	if g != nil {
		t := c.newTally()
		if met, err := t.add(g); err != nil || met == t.all() {
			return err
		}
	}
	t := c.newTally()
	if err := t.addAll(func(met uint) bool { return met != t.all() }); err != nil {
		return err
	}
	none := func(set uint) bool { return t.within(set) == 0 }
	if !none(t.all()) {
		return nil
	}
	set := core(t.all(), none)
	for i, k := range constraints {
		if set == 1<<i {
			return k.unmet(t.reach[i])
		}
	}
	return unmetTogether(constraints, set)
}

// core leaves out of a set of constraints that no network meets those without
// which still none does.
func core(set uint, none func(set uint) bool) uint {
	for bit := uint(1); bit <= set; bit <<= 1 {
		if set&bit != 0 && none(set&^bit) {
			set &^= bit
		}
	}
	return set
}

// unmet is the error that no network meets the constraint, given the least and the
// greatest value of its metric.
func (c *Constraint) unmet(reach space.Bounds) error {
	return c.unmetBy("the least is %s, the greatest %s", reach.Least, reach.Greatest)
}

func (c *Constraint) unmetBy(reason string, values ...int64) error {
	m := metricByName(c.Metric)
	shown := make([]any, len(values))
	for i, v := range values {
		text := m.unit.format(float64(v))
		if text == m.unit.format(c.Max) || text == m.unit.format(c.Min) { // as if it were within
			text = m.unit.inFull(float64(v))
		}
		shown[i] = text
	}
	return c.pos.Errorf("no network of the space is within %s: %s", c.describe(m), fmt.Sprintf(reason, shown...))
}

// unmetTogether is the error that no network meets a set of constraints.
func unmetTogether(constraints []Constraint, set uint) error {
	var at strict.Pos
	var bounds []string
	for i := range constraints {
		if k := &constraints[i]; set&(1<<i) != 0 {
			if len(bounds) == 0 {
				at = k.pos
			}
			bounds = append(bounds, k.describe(metricByName(k.Metric)))
		}
	}
	last := len(bounds) - 1
	return at.Errorf("no network of the space is within %s and %s together", strings.Join(bounds[:last], ", "), bounds[last])
}

// refute refuses constraints of which it can prove that no network of the space
// meets them all. Otherwise it returns a network that may meet them, or nil.
//
// What adds up over the parts of networks, [space.Measured.Feasible] decides.
// That are all costs but the peak memory, of which it adds up in how many parts
// the bound is exceeded: a network's peak is not below that of any of its parts,
// all of whose tensors live as long in the network.
func (c *Config) refute(constraints []Constraint) (space.Genome, error) {
	var addends []addend
	decided := true // by each bound alone
	for i := range constraints {
		k := &constraints[i]
		addends = append(addends, c.addend(k))
		b, ok := c.bounds[k.Metric]
		decided = decided && ok && float64(b.Least) >= k.Min && float64(b.Greatest) <= k.Max
	}
	if decided {
		return nil, nil
	}
	measured := c.Space.Measure(len(addends), func(g *arch.Graph, values []int64) {
		for i := range addends {
			values[i] = addends[i].of(g)
		}
	})
	feasible := func(set uint) (space.Genome, bool) {
		limits := make([]space.Interval, len(addends))
		for i := range limits {
			limits[i] = space.Interval{Lo: math.MinInt64, Hi: math.MaxInt64}
			if set&(1<<i) != 0 {
				limits[i] = addends[i].limits
			}
		}
		g, err := measured.Feasible(limits)
		var proof *space.InfeasibleError
		return g, !errors.As(err, &proof)
	}
	all := uint(1)<<len(constraints) - 1
	g, ok := feasible(all)
	if ok {
		return g, nil
	}
	set := core(all, func(set uint) bool { _, ok := feasible(set); return !ok })
	for i := range constraints {
		switch k := &constraints[i]; {
		case set != 1<<i:
		case k.Metric == "peak_memory":
			return nil, k.unmetBy("each has at least %s", c.leastPeak())
		default:
			return nil, k.unmet(measured.Bounds()[i])
		}
	}
	return nil, unmetTogether(constraints, set)
}

// peak returns a function that tells the peak memory of layers, in bytes.
func (c *Config) peak() func(g *arch.Graph) int64 {
	memory := new(cost.Memory)
	return func(g *arch.Graph) int64 {
		elements, _ := memory.Peak(g, cost.FuseElementwise)
		return cost.Bytes(elements, c.Precision.Activations)
	}
}

// leastPeak returns a number of bytes below which the peak memory of no network is:
// the greatest of which refute can prove it.
func (c *Config) leastPeak() int64 {
	peak := c.peak()
	all := make(map[int64]bool) // peaks of parts
	c.Space.Bounds(1, func(g *arch.Graph, _ []int64) { all[peak(g)] = true })
	peaks := slices.Sorted(maps.Keys(all))
	// The least is among them: halve them till it is alone, six times at once.
	for len(peaks) > 1 {
		step := (len(peaks) + 63) / 64
		n := (len(peaks) - 1) / step
		limit := func(i int) int64 { return peaks[(i+1)*step-1] }
		over := c.Space.Bounds(n, func(g *arch.Graph, values []int64) {
			of := peak(g)
			for i := range values {
				if values[i] = 0; of > limit(i) {
					values[i] = 1
				}
			}
		})
		met := slices.IndexFunc(over, func(b space.Bounds) bool { return b.Least == 0 })
		if met < 0 {
			peaks = peaks[n*step:]
		} else {
			peaks = peaks[met*step : (met+1)*step]
		}
	}
	return peaks[0]
}

// An addend is a quantity that adds up over the parts of a network, and between
// which values it is in every network within a constraint.
type addend struct {
	of     func(g *arch.Graph) int64
	limits space.Interval
}

func (c *Config) addend(k *Constraint) addend {
	least, most := saturated(math.Ceil(k.Min)), saturated(math.Floor(k.Max))
	switch k.Metric {
	case "weight_bytes":
		// Bytes are rounded up, so count parameters.
		bits := float64(c.Precision.Weights)
		return addend{
			func(g *arch.Graph) int64 { return cost.Of(g).Params },
			space.Interval{Lo: saturated(math.Floor(8*(math.Ceil(k.Min)-1)/bits) + 1), Hi: saturated(math.Floor(8 * math.Floor(k.Max) / bits))},
		}
	case "energy":
		// That of a part is rounded to a picojoule, and there are fewer parts than layers.
		const rounding = arch.MaxLayers
		return addend{
			func(g *arch.Graph) int64 { return cost.TotalEnergy(g, c.Precision).Picojoules() },
			space.Interval{Lo: max(least, math.MinInt64+rounding) - rounding, Hi: min(most, math.MaxInt64-rounding) + rounding},
		}
	case "peak_memory":
		peak := c.peak()
		exceeds := func(g *arch.Graph) int64 {
			if peak(g) > most {
				return 1
			}
			return 0
		}
		return addend{exceeds, space.Interval{Lo: math.MinInt64, Hi: 0}}
	}
	of := metricByName(k.Metric).of
	return addend{func(g *arch.Graph) int64 { return of(&Costs{Cost: cost.Of(g)}) }, space.Interval{Lo: least, Hi: most}}
}

// saturated returns v as the nearest int64.
func saturated(v float64) int64 {
	switch {
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return math.MinInt64
	}
	return int64(v)
}
