package runner

import (
	"cmp"
	"math"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// A Known says how a guided search comes to know one objective.
type Known struct {
	// Cost returns the objective of a network n that was lowered to g: it is known
	// without an evaluation. It is nil where only an evaluation tells, and
	// the objective is Offset + Scale * accuracy.
	Cost          func(n *arch.Network, g *arch.Graph) float64
	Offset, Scale float64
}

// A WarmStart is a predictor that a guided search begins with, and the training
// that it is asked about.
type WarmStart struct {
	Predictor *predictor.Predictor
	Training  predictor.Training
}

// guide is what a guided search believes: costs are exact, and the accuracy is what a
// Gaussian process over the network's features and genes has learnt from
// the accuracies so far. If it is blind, costs are learnt as well, and it sees
// nothing of a network but its genes.
type guide struct {
	space      *space.Space
	objectives []Known
	violation  func(n *arch.Network, g *arch.Graph) float64 // may be nil
	blind      bool
	accuracy   int                  // index of an objective that tells it, or -1
	learners   []*predictor.Learner // of the objectives; nil for one that is known

	known  map[string]known
	learnt [][]float64 // objectives

	net   arch.Network
	graph arch.Graph
}

// known is what needs no evaluation.
type known struct {
	inputs    []float64 // of the learners
	costs     []float64 // by objective
	violation float64
}

// maxKnown bounds the memory of a guide.
const maxKnown = 200_000

func newGuide(s *space.Space, o SearchOptions, blind bool) (*guide, error) {
	g := &guide{
		space: s, objectives: o.Known, violation: o.Violation, blind: blind, accuracy: -1,
		learners: make([]*predictor.Learner, len(o.Known)), known: make(map[string]known),
	}
	options := predictor.LearnerOptions{
		Space: s.Template(), Inputs: []predictor.Input{predictor.Features, predictor.Ordinal}, Seed: o.Seed,
	}
	if blind {
		options.Inputs = options.Inputs[1:]
	}
	if w := o.WarmStart; w != nil && !blind {
		options.Prior, options.Training = w.Predictor, w.Training
	}
	for i, objective := range o.Known {
		if objective.Cost != nil && !blind {
			continue
		}
		var err error
		if g.learners[i], err = predictor.NewLearner(options); err != nil {
			return nil, err
		}
		if objective.Cost == nil {
			g.accuracy = i
		}
	}
	return g, nil
}

// of returns what is known of a genome.
func (g *guide) of(genome space.Genome) (known, error) {
	key := g.space.Key(genome)
	if k, ok := g.known[key]; ok {
		return k, nil
	}
	g.space.Network(genome, &g.net)
	if err := g.net.Lower(&g.graph); err != nil {
		return known{}, err
	}
	k := known{costs: make([]float64, len(g.objectives))}
	for i, o := range g.objectives {
		if g.learners[i] == nil {
			k.costs[i] = o.Cost(&g.net, &g.graph)
		}
	}
	if g.violation != nil && !g.blind {
		k.violation = g.violation(&g.net, &g.graph)
	}
	if g.accuracy >= 0 {
		var err error
		if k.inputs, err = g.learners[g.accuracy].Encode(&g.net, &g.graph); err != nil {
			return known{}, err
		}
	}
	if len(g.known) >= maxKnown {
		clear(g.known)
	}
	g.known[key] = k
	return k, nil
}

// Learn implements [search.Surrogate].
func (g *guide) Learn(genome space.Genome, objectives []float64) error {
	if g.accuracy < 0 {
		return nil
	}
	k, err := g.of(genome)
	if err != nil {
		return err
	}
	for i, o := range g.objectives {
		switch v := objectives[i]; {
		case g.learners[i] == nil:
		case o.Cost == nil:
			err = cmp.Or(err, g.learners[i].Learn(k.inputs, o.accuracy(v)))
		default:
			err = cmp.Or(err, g.learners[i].LearnLog(k.inputs, math.Log(max(v, math.SmallestNonzeroFloat64))))
		}
	}
	g.learnt = append(g.learnt, objectives)
	return err
}

// accuracy returns the accuracy that an objective tells.
func (o *Known) accuracy(objective float64) float64 {
	return min(max((objective-o.Offset)/o.Scale, 0), 1)
}

// Guess implements [search.Surrogate].
func (g *guide) Guess(genomes []space.Genome, guesses []search.Guess) error {
	inputs := make([][]float64, len(genomes))
	for i, genome := range genomes {
		k, err := g.of(genome)
		if err != nil {
			return err
		}
		inputs[i] = k.inputs
		copy(guesses[i].Mean, k.costs)
		guesses[i].Violation = k.violation
	}
	for k, l := range g.learners {
		if l == nil {
			continue
		}
		if err := g.guess(k, inputs, guesses); err != nil {
			return err
		}
	}
	return nil
}

// guess stores what is expected of objective k.
func (g *guide) guess(k int, inputs [][]float64, guesses []search.Guess) error {
	l, o := g.learners[k], &g.objectives[k]
	if l.Len() == 0 { // not known
		for i := range guesses {
			guesses[i].SD[k] = 1
		}
		return nil
	}
	if o.Cost == nil {
		predictions := make([]predictor.Prediction, len(inputs))
		if err := l.Predict(inputs, predictions); err != nil {
			return err
		}
		for i, p := range predictions {
			guesses[i].Mean[k] = o.Offset + o.Scale*p.Accuracy
			guesses[i].SD[k] = math.Abs(o.Scale) * p.SD
		}
		return nil
	}
	mean, variance := make([]float64, len(inputs)), make([]float64, len(inputs))
	if err := l.PredictLog(inputs, mean, variance); err != nil {
		return err
	}
	for i := range mean { // log-normal
		v := min(variance[i], 100)
		guesses[i].Mean[k] = math.Exp(mean[i] + v/2)
		guesses[i].SD[k] = guesses[i].Mean[k] * math.Sqrt(math.Expm1(v))
	}
	return nil
}

// expected returns the accuracy that is expected of a genome; ok is false if the
// search has not asked for any since the last was learnt, or if no objective tells
// it.
func (g *guide) expected(genome space.Genome) (e Estimate, ok bool, err error) {
	if g.accuracy < 0 || !g.learners[g.accuracy].Current() {
		return e, false, nil
	}
	k, err := g.of(genome)
	if err != nil {
		return e, false, err
	}
	var p [1]predictor.Prediction
	err = g.learners[g.accuracy].Predict([][]float64{k.inputs}, p[:])
	return Estimate{p[0].Accuracy, p[0].SD}, err == nil, err
}

// Trusted implements [search.Surrogate]: leaving out one by one, the predicted
// accuracies have to rank better, by Kendall's tau, than each cost alone does. So
// the first networks are spread over the costs also where there is a predictor
// to begin with: on NAS-Bench-Macro the process learns more of them than of those that
// it expects to be the best.
func (g *guide) Trusted() (bool, error) {
	if g.accuracy < 0 {
		return true, nil
	}
	l := g.learners[g.accuracy]
	if n := l.Len(); n < minTrusted || n > maxDoubted {
		return n > maxDoubted, nil
	}
	errors, err := l.LeaveOut()
	if err != nil {
		return false, err
	}
	targets := make([]float64, len(g.learnt))
	for j, objectives := range g.learnt {
		targets[j] = g.objectives[g.accuracy].accuracy(objectives[g.accuracy])
	}
	tau := -predictor.KendallTau(errors, targets)
	if !(tau > 0) { // NaN too: all are equally accurate
		return false, nil
	}
	for i, o := range g.objectives {
		if o.Cost == nil {
			continue
		}
		costs := make([]float64, len(g.learnt))
		for j, objectives := range g.learnt {
			costs[j] = objectives[i]
		}
		if alone := predictor.KendallTau(costs, targets); alone >= tau || -alone >= tau {
			return false, nil
		}
	}
	return true, nil
}

// From minTrusted accuracies on a surrogate may be trusted, and beyond maxDoubted
// it is without being asked.
const (
	minTrusted = 8
	maxDoubted = 1500
)
