package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// An Estimate is what is known of a network's accuracy.
type Estimate struct {
	Accuracy float64 // a fraction of 1
	SD       float64 // standard deviation; NaN if it is not known
}

// A judge tells accuracies, some networks at a time.
type judge interface {
	// add takes in a candidate, whose network is n, lowered to g. An error is one for
	// all networks of the space.
	add(c *search.Candidate[space.Genome], n *arch.Network, g *arch.Graph) error
	// judge appends to estimates those of the networks that were added, and forgets
	// them. One whose accuracy nobody knows has NaN.
	judge(estimates []Estimate) []Estimate
}

// predicts is a judge that predicts.
type predicts struct{ batch *predictor.Batch }

func (p predicts) add(_ *search.Candidate[space.Genome], n *arch.Network, g *arch.Graph) error {
	return p.batch.Add(n, g)
}

func (p predicts) judge(estimates []Estimate) []Estimate {
	for _, e := range p.batch.Predict() {
		estimates = append(estimates, Estimate{e.Accuracy, e.SD})
	}
	return estimates
}

// errNotMeasured is what becomes of candidates that a table does not know.
var errNotMeasured = errors.New("the table has no such network")

// An evaluator turns genomes into objectives: genes, network, layers, costs and
// features, accuracy. Networks beyond a bound are not judged.
type evaluator struct {
	config    *Config
	objective []*metric
	bound     []*metric    // parallel to config.Constraints
	peak      bool         // some metric is the peak memory
	energy    bool         // some metric is the energy
	newJudge  func() judge // nil if candidates are measured one by one

	// estimates by candidate ID, of the front and of what is being evaluated.
	mu        sync.Mutex
	estimates map[int]Estimate

	// explored is the sample of explored networks that the picture shows, by ID
	// over stride. Each element is written by one goroutine.
	explored []Explored
	stride   int

	beyond []atomic.Int64 // by constraint: networks beyond it

	scratch sync.Pool // of *scratch
}

// maxExplored is how many explored networks a study keeps for its picture.
const maxExplored = 20_000

// scratch is what one call of Evaluate works with.
type scratch struct {
	net   arch.Network
	meter meter

	// Of the networks within their bounds: who judges them, their places among the
	// candidates, what they cost and what is said of them.
	judge     judge
	which     []int
	costs     []Costs
	block     []string
	estimates []Estimate
}

// newEvaluator returns an evaluator of at most total networks. newJudge returns a
// judge for one goroutine; it is nil if candidates are measured one by one.
func newEvaluator(c *Config, newJudge func() judge, total int) *evaluator {
	e := &evaluator{
		config:    c,
		newJudge:  newJudge,
		estimates: make(map[int]Estimate),
		stride:    (total + maxExplored - 1) / maxExplored,
	}
	e.explored = make([]Explored, (total+e.stride-1)/e.stride)
	for _, o := range c.Objectives {
		e.objective = append(e.objective, metricByName(o.Metric))
		e.peak = e.peak || o.Metric == "peak_memory"
		e.energy = e.energy || o.Metric == "energy"
	}
	e.beyond = make([]atomic.Int64, len(c.Constraints))
	for _, k := range c.Constraints {
		e.bound = append(e.bound, metricByName(k.Metric))
		e.peak = e.peak || k.Metric == "peak_memory"
		e.energy = e.energy || k.Metric == "energy"
	}
	e.scratch.New = func() any {
		s := &scratch{meter: meter{precision: c.Precision}}
		if newJudge != nil {
			s.judge = newJudge()
		}
		return s
	}
	return e
}

// Evaluate implements [search.Evaluator].
func (e *evaluator) Evaluate(
	ctx context.Context, batch []search.Candidate[space.Genome], out []search.Evaluation,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	s.which, s.costs, s.block = s.which[:0], s.costs[:0], s.block[:0]
	for i := range batch {
		e.config.Space.Network(batch[i].Genome, &s.net)
		if err := s.net.Lower(&s.meter.graph); err != nil {
			out[i] = search.Evaluation{Err: err}
			continue
		}
		sampled := batch[i].ID%e.stride == 0 // shown in the picture, with any cost on its axis
		c := s.meter.lowered(&s.meter.graph, e.peak || sampled, e.energy || sampled)
		if v := e.violation(&c); v > 0 {
			out[i] = search.Evaluation{Violation: v}
			continue
		}
		if err := s.judge.add(&batch[i], &s.net, &s.meter.graph); err != nil {
			return err // another space's predictor: no network of this one would do
		}
		s.which = append(s.which, i)
		s.costs = append(s.costs, c)
		s.block = append(s.block, dominantBlock(&s.net, &s.meter.graph))
	}
	if len(s.which) == 0 {
		return nil
	}
	s.estimates = s.judge.judge(s.estimates[:0])
	k := len(e.objective)
	values := make([]float64, k*len(s.which)) // kept by the search
	for j, i := range s.which {
		out[i] = e.judged(s.estimates[j], &s.costs[j], values[j*k:(j+1)*k:(j+1)*k])
		if id := batch[i].ID; id%e.stride == 0 && out[i].Err == nil && out[i].Violation == 0 {
			e.explored[id/e.stride] = Explored{Costs: s.costs[j], Accuracy: s.estimates[j].Accuracy, Block: s.block[j]}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for j, i := range s.which {
		e.estimates[batch[i].ID] = s.estimates[j]
	}
	return nil
}

// judged returns the evaluation of a network with these costs, with its objectives
// in the given slice.
func (e *evaluator) judged(estimate Estimate, c *Costs, objectives []float64) search.Evaluation {
	if math.IsNaN(estimate.Accuracy) {
		return search.Evaluation{Err: errNotMeasured}
	}
	sober := e.sober(estimate)
	for o, m := range e.objective {
		if m.of == nil {
			objectives[o] = sober
		} else {
			objectives[o] = float64(m.of(c))
		}
	}
	return search.Evaluation{Objectives: objectives, Violation: e.accuracyViolation(sober)}
}

// sober returns the accuracy that networks are compared by.
func (e *evaluator) sober(estimate Estimate) float64 {
	if k := e.config.Accuracy.Deviations; k > 0 {
		return estimate.Accuracy - k*estimate.SD
	}
	return estimate.Accuracy
}

// known says which objectives need no evaluation.
func (e *evaluator) known() []Known {
	var all []Known
	for _, m := range e.objective {
		if m.of == nil {
			all = append(all, Known{Scale: 1})
			continue
		}
		all = append(all, Known{Cost: func(_ *arch.Network, g *arch.Graph) float64 {
			s := e.scratch.Get().(*scratch)
			defer e.scratch.Put(s)
			c := s.meter.lowered(g, e.peak, e.energy)
			return float64(m.of(&c))
		}})
	}
	return all
}

// knownViolation returns by how much a network that was lowered to g exceeds the
// bounds on costs. It counts for nothing in what is reported of the bounds.
func (e *evaluator) knownViolation(_ *arch.Network, g *arch.Graph) float64 {
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	c := s.meter.lowered(g, e.peak, e.energy)
	sum := 0.
	for i, m := range e.bound {
		if m.of != nil {
			sum += excess(float64(m.of(&c)), &e.config.Constraints[i])
		}
	}
	return sum
}

// screen returns the evaluation of a candidate that is beyond a bound on its costs,
// and the zero Evaluation of any other: that has to be trained.
func (e *evaluator) screen(c search.Candidate[space.Genome]) search.Evaluation {
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	e.config.Space.Network(c.Genome, &s.net)
	if err := s.net.Lower(&s.meter.graph); err != nil {
		return search.Evaluation{Err: err}
	}
	costs := s.meter.lowered(&s.meter.graph, e.peak, e.energy)
	return search.Evaluation{Violation: e.violation(&costs)}
}

// keep forgets all estimates but those of the front.
func (e *evaluator) keep(front []search.Outcome[space.Genome]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := make(map[int]Estimate, len(front))
	for _, member := range front {
		kept[member.ID] = e.estimates[member.ID]
	}
	e.estimates = kept
}

// best returns the greatest accuracy on a front, 0 if that is empty.
func (e *evaluator) best(front []search.Outcome[space.Genome]) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	best := 0.
	for _, member := range front {
		best = max(best, e.estimates[member.ID].Accuracy)
	}
	return best
}

// violation returns by how much the costs exceed their bounds: the sum of the
// excesses, each relative to its bound.
func (e *evaluator) violation(c *Costs) float64 {
	sum := 0.
	for i, m := range e.bound {
		if m.of != nil {
			sum += e.excess(i, float64(m.of(c)))
		}
	}
	return sum
}

func (e *evaluator) accuracyViolation(accuracy float64) float64 {
	sum := 0.
	for i, m := range e.bound {
		if m.of == nil {
			sum += e.excess(i, accuracy)
		}
	}
	return sum
}

// excess returns by how much v exceeds constraint i, and keeps count.
func (e *evaluator) excess(i int, v float64) float64 {
	x := excess(v, &e.config.Constraints[i])
	if x > 0 {
		e.beyond[i].Add(1)
	}
	return x
}

// obstacles says how many networks each bound kept out.
func (e *evaluator) obstacles() string {
	var list []string
	for i := range e.beyond {
		if n := e.beyond[i].Load(); n > 0 {
			bound := e.config.Constraints[i].describe(e.bound[i])
			if k := e.config.Accuracy.Deviations; e.bound[i].of == nil && k > 0 {
				bound += fmt.Sprintf(" less %v standard deviations", k)
			}
			list = append(list, fmt.Sprintf("%s: %d", bound, n))
		}
	}
	return strings.Join(list, ", ")
}

func excess(v float64, k *Constraint) float64 {
	switch {
	case v > k.Max:
		return (v - k.Max) / max(k.Max, 1e-9)
	case v < k.Min:
		return (k.Min - v) / max(k.Min, 1e-9)
	}
	return 0
}

// dominantBlock returns the name of the block type that does most of the
// network's MACs in its stages.
func dominantBlock(n *arch.Network, g *arch.Graph) string {
	var types [16]struct {
		name string
		macs int64
	}
	used := 0
	for i := range g.Layers {
		l := &g.Layers[i]
		if l.Stage < 0 || l.Op != arch.OpConv {
			continue
		}
		name := n.Stages[l.Stage].Block.Name()
		t := 0
		for t < used && types[t].name != name {
			t++
		}
		if t == len(types) {
			continue // of so many types, the first sixteen have to do
		}
		used = max(used, t+1)
		types[t].name = name
		types[t].macs += cost.OfLayer(l).MACs
	}
	if used == 0 {
		return "none"
	}
	best := 0
	for t := range used {
		if types[t].macs > types[best].macs {
			best = t
		}
	}
	return types[best].name
}

// reference returns a point that every network worth having dominates: no
// accuracy, and the bound of each cost; where there is none the greatest in the
// space, or 4 GB of peak memory and 4 J, whose greatest are not known.
func (e *evaluator) reference() []float64 {
	point := make([]float64, len(e.objective))
	for o, m := range e.objective {
		if m.better == pareto.Maximize {
			continue
		}
		point[o] = 4e9
		if m.unit == joules {
			point[o] = 4e12
		}
		if b, ok := e.config.bounds[m.name]; ok {
			point[o] = float64(b.Greatest)
		}
		for _, k := range e.config.Constraints {
			if k.Metric == m.name && !math.IsInf(k.Max, 1) {
				point[o] = k.Max
			}
		}
	}
	return point
}
