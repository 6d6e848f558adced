package predictor

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// An Input is a kind of input of a predictor: what it looks at of a network.
// Kinds can be combined.
type Input string

const (
	// Features are those of [FeatureNames], and how much a network mixes block
	// types: for networks of any space and block.
	Features Input = "features"
	// Sizes are the features that say how large a network is; beside genes, which
	// say the rest.
	Sizes Input = "sizes"
	// Ordinal is a number for each gene of a space whose options are numbers, the
	// logarithm of 1 + the option, and for the other genes what OneHot has.
	Ordinal Input = "ordinal"
	// OneHot is an input for each option of each gene of a space: 1 if it is taken.
	OneHot Input = "onehot"
	// Pairs are the products of any two inputs of different genes, as they are by
	// Ordinal, or else OneHot. Only ridge needs them: the other models find
	// interactions by themselves.
	Pairs Input = "pairs"
)

// InputKinds returns all kinds of inputs.
func InputKinds() []Input { return []Input{Features, Sizes, Ordinal, OneHot, Pairs} }

// epochsInput is the name of the input of the training budget.
const epochsInput = "log_epochs"

// mixedInput is the name of the input that tells how much a network mixes block
// types, see mixedTypes. What mixing does to a network, records of networks of one type
// each do not say, whatever the other features are: so the effect has a prior of
// its own, and a mix like no record's gets a wide interval.
const mixedInput = "mixed_types"

// idle is the name of the block that does nothing.
const idle = "identity"

// mixedTypes returns the chance that two stages, drawn at random, are of
// different block types (Simpson 1949): 0 where all are of one, 1/2 with two in
// equal shares. Stages of the block identity, which does nothing, count for nothing.
func mixedTypes(n *arch.Network) float64 {
	counts := func(s *arch.Stage) bool { return s.Depth > 0 && s.Block.Name() != idle }
	var stages, same int
	for i := range n.Stages {
		a := &n.Stages[i]
		if !counts(a) {
			continue
		}
		stages++
		for j := range n.Stages {
			if b := &n.Stages[j]; counts(b) && b.Block.Name() == a.Block.Name() {
				same++
			}
		}
	}
	return ratioOf(stages*stages-same, stages*stages)
}

// maxInputs is how many inputs a predictor has at most.
const maxInputs = 4000

// An encoder turns networks, and how they are trained, into inputs. It is for
// one goroutine.
type encoder struct {
	layout *layout

	extractor Extractor
	features  [NumFeatures]float64
	active    []bool
}

// A layout is which inputs there are.
type layout struct {
	kinds    []Input
	plan     *arch.Plan // of the space whose genes are inputs; or nil
	features []int      // which are inputs
	mixed    bool       // mixedInput is one
	genes    []geneInput
	pairs    [][2]int // of inputs
	epochs   bool     // the budget is an input
	datasets []string // sorted; inputs where there are several

	names   []string
	columns []column
}

// A geneInput is an input that a gene gives.
type geneInput struct {
	slot   int
	option int     // the input is 1 if this is taken, or
	number bool    // it is the logarithm
	rest   float64 // its value where the gene is inactive
	active bool    // the input is 1 if the gene matters
}

// The slopes of the trend: kinds of input whose effects are alike.
const (
	slopeOfFeatures = iota
	slopeOfGenes
	slopeOfDatasets
	slopeOfMixed
	slopeOfBend
)

// newLayout returns the layout of the kinds; t is the space whose genes are
// inputs, and may be nil if none are.
func newLayout(kinds []Input, t *arch.Template, datasets []string, epochs bool) (*layout, error) {
	if len(kinds) == 0 {
		kinds = []Input{Features}
	}
	l := &layout{kinds: kinds, epochs: epochs, datasets: datasets}
	has := func(k Input) bool { return slices.Contains(kinds, k) }
	for i, k := range kinds {
		if !slices.Contains(InputKinds(), k) {
			var names []string
			for _, k := range InputKinds() {
				names = append(names, string(k))
			}
			return nil, fmt.Errorf("predictor: %s", strict.Unknown("kind of input", string(k), names))
		}
		if slices.Contains(kinds[:i], k) {
			return nil, fmt.Errorf("predictor: the inputs %q twice", k)
		}
	}
	slopes := make(map[int]int) // numbered as they occur
	add := func(name string, length, slope int) {
		if slope >= 0 {
			if _, ok := slopes[slope]; !ok {
				slopes[slope] = len(slopes)
			}
			slope = slopes[slope]
		}
		l.names = append(l.names, name)
		l.columns = append(l.columns, column{length: length, slope: slope, mixed: name == mixedInput})
	}
	lengths := 0
	next := func() int { lengths++; return lengths - 1 }
	for f := range NumFeatures {
		if has(Features) || has(Sizes) && slices.Contains(sizes, f) {
			l.features = append(l.features, f)
			switch {
			case slices.Contains(bend, f):
				add(featureNames[f], -1, slopeOfBend)
			case slices.Contains(trend, f):
				add(featureNames[f], next(), slopeOfFeatures)
			default:
				add(featureNames[f], next(), -1)
			}
		}
	}
	if l.mixed = has(Features); l.mixed {
		add(mixedInput, next(), slopeOfMixed)
	}
	if has(Ordinal) || has(OneHot) || has(Pairs) {
		if t == nil {
			return nil, errors.New("predictor: inputs of genes need the space that the networks are of")
		}
		var err error
		if l.plan, err = t.Compile(); err != nil {
			return nil, err
		}
		if len(l.plan.Slots) == 0 {
			return nil, errors.New("predictor: the space has no genes, and so no inputs")
		}
		l.addGenes(has, add, next)
	}
	if len(datasets) > 1 {
		length := next()
		for _, d := range datasets {
			add("dataset="+d, length, slopeOfDatasets)
		}
	}
	if epochs {
		add(epochsInput, next(), slopeOfFeatures)
	}
	if len(l.columns) > maxInputs {
		return nil, fmt.Errorf("predictor: %d inputs, more than %d; leave %q out", len(l.columns), maxInputs, Pairs)
	}
	return l, nil
}

// addGenes adds the inputs of the plan's slots.
func (l *layout) addGenes(has func(Input) bool, add func(string, int, int), next func() int) {
	from := len(l.columns)
	optional := optionalGenes(l.plan)
	var slotOf []int
	gene := func(name string, length int, g geneInput) {
		add(name, length, slopeOfGenes)
		l.genes = append(l.genes, g)
		slotOf = append(slotOf, g.slot)
	}
	for i := range l.plan.Slots {
		s := &l.plan.Slots[i]
		ordinal := s.Ordered && (has(Ordinal) || !has(OneHot))
		if ordinal {
			g := geneInput{slot: i, number: true}
			for o := range s.Options {
				g.rest += ordinalOf(s, o) / float64(len(s.Options))
			}
			gene(s.Path, next(), g)
		}
		if has(OneHot) || !ordinal {
			length := next()
			for o, v := range s.Options {
				gene(s.Path+"="+v.String(), length, geneInput{slot: i, option: o})
			}
		} else if optional[i] {
			gene(s.Path+" active", next(), geneInput{slot: i, active: true})
		}
	}
	if !has(Pairs) {
		return
	}
	length := next() // one: what pairs tell a process, it knows from their parts
	for a := range slotOf {
		for b := range a {
			if slotOf[a] != slotOf[b] && len(l.columns) <= maxInputs {
				l.pairs = append(l.pairs, [2]int{from + b, from + a})
				add(l.names[from+b]+" * "+l.names[from+a], length, -1)
			}
		}
	}
}

// optionalGenes returns which genes are inactive in some networks, by what a
// thousand random genomes show.
func optionalGenes(p *arch.Plan) []bool {
	rng := rand.New(rand.NewPCG(0, 0))
	genes, active, optional := make([]uint16, len(p.Slots)), make([]bool, len(p.Slots)), make([]bool, len(p.Slots))
	for range 1000 {
		for i := range genes {
			genes[i] = uint16(rng.IntN(len(p.Slots[i].Options)))
		}
		p.Active(genes, active)
		for i, a := range active {
			optional[i] = optional[i] || !a
		}
	}
	return optional
}

// ordinalOf returns option o of a gene as an input.
func ordinalOf(s *arch.Slot, o int) float64 {
	v, _ := s.Options[o].Number()
	return math.Log1p(max(0, v))
}

// newEncoder returns an encoder of the layout.
func (l *layout) newEncoder() *encoder {
	e := &encoder{layout: l}
	if l.plan != nil {
		e.active = make([]bool, len(l.plan.Slots))
	}
	return e
}

// encode stores the inputs of a network and its training in dst, which has room
// for all. g is the network's layers. It fails if the network is not of the space whose
// genes are inputs.
func (e *encoder) encode(dst []float64, n *arch.Network, g *arch.Graph, t Training) error {
	l := e.layout
	at := 0
	put := func(v float64) { dst[at] = v; at++ }
	if len(l.features) > 0 {
		e.extractor.Features(e.features[:], g)
		for _, f := range l.features {
			put(e.features[f])
		}
	}
	if l.mixed {
		put(mixedTypes(n))
	}
	if l.plan != nil {
		genes, err := l.plan.Genes(n)
		if err != nil {
			return fmt.Errorf("predictor: the network %q is not of the space whose genes the predictor looks at: %w", n.Name, err)
		}
		l.plan.Canonical(genes, e.active)
		for _, in := range l.genes {
			put(in.value(&l.plan.Slots[in.slot], int(genes[in.slot]), e.active[in.slot]))
		}
		for _, p := range l.pairs {
			put(dst[p[0]] * dst[p[1]])
		}
	}
	if len(l.datasets) > 1 {
		for _, d := range l.datasets {
			put(truth(d == t.Dataset))
		}
	}
	if l.epochs {
		put(math.Log(t.Epochs))
	}
	return nil
}

// value returns the input for the option taken. That of an inactive gene is
// none of the options, and half way between the numbers.
func (in *geneInput) value(s *arch.Slot, option int, active bool) float64 {
	switch {
	case in.active:
		return truth(active)
	case !in.number:
		return truth(active && option == in.option)
	case !active:
		return in.rest
	}
	return ordinalOf(s, option)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// describe says in words which inputs there are.
func (l *layout) describe() string {
	var words []string
	for _, k := range l.kinds {
		words = append(words, string(k))
	}
	return strings.Join(words, ",")
}
