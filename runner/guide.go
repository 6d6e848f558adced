package runner

import (
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

// guide is what a guided search believes: costs are exact, and the accuracy is what a
// Gaussian process over the network's features and genes has learnt from
// the accuracies so far.
type guide struct {
	space      *space.Space
	objectives []Known
	violation  func(n *arch.Network, g *arch.Graph) float64 // may be nil
	accuracy   int                                          // index of an objective that tells it
	learner    *predictor.Learner

	known   map[string]known
	learnt  []known
	targets []float64 // accuracies

	net   arch.Network
	graph arch.Graph
}

// known is what needs no evaluation.
type known struct {
	inputs    []float64 // of the learner
	costs     []float64 // by objective
	violation float64
}

// maxKnown bounds the memory of a guide.
const maxKnown = 200_000

func newGuide(s *space.Space, o SearchOptions) (*guide, error) {
	accuracy := -1
	for i, objective := range o.Known {
		if objective.Cost == nil {
			accuracy = i
		}
	}
	learner, err := predictor.NewLearner(predictor.Options{
		Space: s.Template(), Inputs: []predictor.Input{predictor.Features, predictor.Ordinal}, Seed: o.Seed,
	})
	if err != nil {
		return nil, err
	}
	return &guide{
		space: s, objectives: o.Known, violation: o.Violation, accuracy: accuracy,
		learner: learner, known: make(map[string]known),
	}, nil
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
		if o.Cost != nil {
			k.costs[i] = o.Cost(&g.net, &g.graph)
		}
	}
	if g.violation != nil {
		k.violation = g.violation(&g.net, &g.graph)
	}
	var err error
	if k.inputs, err = g.learner.Encode(&g.net, &g.graph); err != nil {
		return known{}, err
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
	o := g.objectives[g.accuracy]
	accuracy := min(max((objectives[g.accuracy]-o.Offset)/o.Scale, 0), 1)
	g.learnt, g.targets = append(g.learnt, k), append(g.targets, accuracy)
	return g.learner.Learn(k.inputs, accuracy)
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
	if g.accuracy < 0 {
		return nil
	}
	predictions := make([]predictor.Prediction, len(genomes))
	if g.learner.Len() > 0 {
		if err := g.learner.Predict(inputs, predictions); err != nil {
			return err
		}
	}
	for i, p := range predictions {
		for k, o := range g.objectives {
			if o.Cost == nil {
				guesses[i].Mean[k] = o.Offset + o.Scale*p.Accuracy
				guesses[i].SD[k] = max(o.Scale, -o.Scale) * p.SD
				if g.learner.Len() == 0 {
					guesses[i].SD[k] = 1 // not known
				}
			}
		}
	}
	return nil
}

// Trusted implements [search.Surrogate]: leaving out one by one, the predicted
// accuracies have to rank better, by Kendall's tau, than each cost alone does.
func (g *guide) Trusted() (bool, error) {
	if g.accuracy < 0 {
		return true, nil
	}
	if n := g.learner.Len(); n < minTrusted || n > maxDoubted {
		return n > maxDoubted, nil
	}
	errors, err := g.learner.LeaveOut()
	if err != nil {
		return false, err
	}
	tau := -predictor.KendallTau(errors, g.targets)
	if !(tau > 0) { // NaN too: all are equally accurate
		return false, nil
	}
	for i, o := range g.objectives {
		if o.Cost == nil {
			continue
		}
		costs := make([]float64, len(g.learnt))
		for j, k := range g.learnt {
			costs[j] = k.costs[i]
		}
		if alone := predictor.KendallTau(costs, g.targets); alone >= tau || -alone >= tau {
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
