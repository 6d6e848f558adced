package predictor

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// A Predictor has learnt from records how accurate networks become. It does not
// change any more, so that several goroutines may use it.
type Predictor struct {
	dataset string
	recipes []string // sorted; a recipe's index is its task
	recipe  string   // the default
	rows    []rowOfFile

	usualOnce  sync.Once // see usual
	usualValue float64

	origin float64 // of the model's targets
	model  model
}

// Options say how to train a predictor. The zero value is ready for use.
type Options struct {
	// Recipe is the recipe that the predictor assumes where none is asked for.
	// The default is the one with the most records, the first by name of several.
	Recipe string
}

// A predictor learns from at least MinRecords, fewer say nothing, and at most
// MaxRecords records: the time that training takes grows with the cube of their
// number, from some seconds for 200 to many minutes for MaxRecords.
const (
	MinRecords = 10
	MaxRecords = 1000
)

// Train returns a predictor that has learnt from the records, which must be of
// one dataset, and [MinRecords] to [MaxRecords]. The same records in the same
// order and the same options give the same predictor.
func Train(records []Record, o Options) (*Predictor, error) {
	if len(records) < MinRecords {
		return nil, fmt.Errorf("predictor: %d records; a predictor learns from at least %d", len(records), MinRecords)
	}
	if len(records) > MaxRecords {
		return nil, fmt.Errorf("predictor: %d records; a predictor learns from at most %d: draw so many at random", len(records), MaxRecords)
	}
	p := &Predictor{dataset: records[0].Dataset, recipe: o.Recipe}
	count := make(map[string]int)
	var g arch.Graph
	var extractor Extractor
	for i := range records {
		r := &records[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("predictor: record %d: %w", i+1, err)
		}
		if r.Dataset != p.dataset {
			return nil, fmt.Errorf("predictor: records of the datasets %q and %q; a predictor learns from one", p.dataset, r.Dataset)
		}
		if err := r.Network.Lower(&g); err != nil {
			return nil, fmt.Errorf("predictor: record %d, network %q: %w", i+1, r.Network.Name, err)
		}
		row := rowOfFile{Name: r.Network.Name, Target: rounded(logError(r.Accuracy)), Inputs: make([]float64, NumFeatures)}
		extractor.Features(row.Inputs, &g)
		for c, v := range row.Inputs {
			row.Inputs[c] = rounded(v)
		}
		p.rows = append(p.rows, row)
		count[r.Recipe]++
	}
	p.recipes = slices.Sorted(maps.Keys(count))
	for i := range records {
		p.rows[i].Task = slices.Index(p.recipes, records[i].Recipe)
	}
	if p.recipe == "" {
		for _, name := range p.recipes {
			if p.recipe == "" || count[name] > count[p.recipe] {
				p.recipe = name
			}
		}
	}
	if _, err := p.task(p.recipe); err != nil {
		return nil, err
	}
	raw, origin := p.sample()
	p.origin = origin
	var err error
	if p.model, err = trainGP(raw, groupsOf(records, BlockTypes)); err != nil {
		return nil, err
	}
	return p, nil
}

// sample returns what a model learns from, with targets of mean 0, and what
// was taken off them.
//
// Records that [LeaveOut] holds out have their share in this origin. It is only
// where the model's mean starts, which it learns under a wide prior from the
// records at hand.
func (p *Predictor) sample() (s sample, origin float64) {
	n := len(p.rows)
	s = sample{z: mat.NewDense(n, NumFeatures, nil), trend: trend, task: make([]int, n), target: make([]float64, n)}
	for i, r := range p.rows {
		origin += r.Target / float64(n)
		s.z.SetRow(i, r.Inputs)
		s.task[i] = r.Task
	}
	for i, r := range p.rows {
		s.target[i] = r.Target - origin
	}
	return s, origin
}

// rounded keeps six decimals. A predictor works with the rounded numbers that
// its file holds, so that the one loaded is the one saved.
func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// Dataset returns the dataset whose accuracy is predicted.
func (p *Predictor) Dataset() string { return p.dataset }

// Recipes returns the recipes that the predictor knows, sorted.
func (p *Predictor) Recipes() []string { return slices.Clone(p.recipes) }

// Recipe returns the default recipe.
func (p *Predictor) Recipe() string { return p.recipe }

// Records returns how many records the predictor has learnt from.
func (p *Predictor) Records() int { return p.model.len() }

func (p *Predictor) task(recipe string) (int, error) {
	if i := slices.Index(p.recipes, recipe); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("predictor: %s", strict.Unknown("recipe", recipe, p.recipes))
}

// A Batch predicts many networks at once. It is for one goroutine; several
// batches of one predictor may be used at the same time. Used again and again,
// it does not allocate.
type Batch struct {
	p              *Predictor
	session        session
	extractor      Extractor
	inputs         []float64 // a row of features each
	n              int
	mean, variance []float64
	out            []Prediction
}

// Batch returns an empty batch whose networks are predicted as if they were
// trained by the given recipe; "" means the default recipe. An unknown recipe
// is an error that lists the known ones.
func (p *Predictor) Batch(recipe string) (*Batch, error) {
	if recipe == "" {
		recipe = p.recipe
	}
	task, err := p.task(recipe)
	if err != nil {
		return nil, err
	}
	return p.batch(task), nil
}

func (p *Predictor) batch(task int) *Batch { return &Batch{p: p, session: p.model.session(task)} }

// Add adds a network that was lowered without an error. The batch does not
// keep g.
func (b *Batch) Add(g *arch.Graph) {
	at := b.n * NumFeatures
	b.inputs = slices.Grow(b.inputs[:at], NumFeatures)[:at+NumFeatures]
	b.extractor.Features(b.inputs[at:], g)
	b.n++
}

// Len returns the number of networks added since the last Predict.
func (b *Batch) Len() int { return b.n }

// Predict returns the predictions for the networks added, in their order, and
// empties the batch. What it predicts for a network does not depend on the
// others in the batch, to the last bit. The slice is valid until the next call.
func (b *Batch) Predict() []Prediction {
	n := b.n
	b.n = 0
	b.mean, b.variance = grow(b.mean, n), grow(b.variance, n)
	b.out = grow(b.out, n)
	if n == 0 {
		return b.out
	}
	x := blas64.General{Rows: n, Cols: NumFeatures, Stride: NumFeatures, Data: b.inputs}
	b.session.predict(b.mean, b.variance, x)
	for i := range b.out {
		b.out[i] = newPrediction(b.p.origin+b.mean[i], b.variance[i])
	}
	return b.out
}

// Predict predicts one network. For many, use a [Batch].
func (p *Predictor) Predict(n *arch.Network, recipe string) (Prediction, error) {
	b, err := p.Batch(recipe)
	if err != nil {
		return Prediction{}, err
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return Prediction{}, err
	}
	b.Add(&g)
	return b.Predict()[0], nil
}
