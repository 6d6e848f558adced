package predictor

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// A Predictor has learnt from records how accurate networks become. It does not
// change any more, so that several goroutines may use it.
type Predictor struct {
	recipes []string // sorted; a recipe's index is its task
	usual   Training // what is asked about where nothing is said
	layout  *layout
	rows    []rowOfFile
	family  []int   // of each row, see sample; of a loaded predictor nil
	single  float64 // see sample
	summary Summary

	nearOnce  sync.Once // see near
	nearValue float64
	lengths   []float64 // of each input, in its own unit

	origin float64 // of the model's targets
	model  model
}

// A Training is how a network is trained. What is left out is as the predictor
// usually assumes it.
type Training struct {
	Dataset string  `json:"dataset"`
	Recipe  string  `json:"recipe"`
	Epochs  float64 `json:"epochs,omitempty"`
}

// Options say how to train a predictor. The zero value is ready for use.
type Options struct {
	// Recipe is the recipe that the predictor assumes where none is asked for.
	// The default is the one with the most records, the first by name of several.
	Recipe string
	// Model is the kind of model, by default GP.
	Model Model
	// Inputs are what it looks at, by default Features.
	Inputs []Input
	// Space is the space whose genes are inputs; all networks must be of it.
	Space *arch.Template
	// Seed is of everything that is drawn at random.
	Seed uint64
	// Progress is called, if it is not nil, from time to time with how much is
	// done; by Auto alone, since the rest takes seconds.
	Progress func(done, total int)
}

// A predictor learns from at least MinRecords, fewer say nothing, and at most
// MaxRecords records.
const (
	MinRecords = 10
	MaxRecords = 20_000
)

// Train returns a predictor that has learnt from the records, of which there
// must be [MinRecords] to [MaxRecords]. The same records in the same order and
// the same options give the same predictor.
//
// Records of the same network, dataset, recipe and epochs are one with the mean
// of their accuracies, and tell how much one measurement varies;
// [Summary.Repeated] says which they were.
func Train(records []Record, o Options) (*Predictor, error) {
	p, _, err := train(records, o)
	return p, err
}

// train is Train, and also returns the row of each record.
func train(records []Record, o Options) (*Predictor, []int, error) {
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	p, rowOf, macs, err := prepare(records, o)
	if err != nil {
		return nil, nil, err
	}
	s := p.sample(p.family)
	p.origin = s.origin
	m, err := trainModel(o.Model, s, o.Seed, o.Progress)
	if err != nil {
		return nil, nil, err
	}
	p.model, p.summary.Comparison = m.model, m.comparison
	p.summary.Model = p.model.state().Kind
	return p, rowOf, p.assess(&s, m.unseen, macs)
}

// prepare returns a predictor without a model, the row of each record, and the
// MACs of each row.
func prepare(records []Record, o Options) (p *Predictor, rowOf []int, macs []float64, err error) {
	fail := func(err error) (*Predictor, []int, []float64, error) { return nil, nil, nil, err }
	switch n := len(records); {
	case n < MinRecords:
		return fail(fmt.Errorf("predictor: %d records; a predictor learns from at least %d", n, MinRecords))
	case n > MaxRecords:
		return fail(fmt.Errorf("predictor: %d records; a predictor learns from at most %d: draw so many at random", n, MaxRecords))
	}
	p = &Predictor{usual: Training{Recipe: o.Recipe}}
	if err := p.survey(records); err != nil {
		return fail(err)
	}
	datasets := distinct(records, func(r *Record) string { return r.Dataset })
	epochs := len(distinct(records, func(r *Record) string { return fmt.Sprint(r.Epochs) })) > 1
	if p.layout, err = newLayout(o.Inputs, o.Space, datasets, epochs); err != nil {
		return fail(err)
	}
	rowOf, merged, err := merge(records)
	if err != nil {
		return fail(err)
	}
	if len(merged) < MinRecords {
		return fail(fmt.Errorf("predictor: %d different networks in %d records; a predictor learns from at least %d", len(merged), len(records), MinRecords))
	}
	families := make(map[string]int)
	e := p.layout.newEncoder()
	var g arch.Graph
	for _, m := range merged {
		r := &records[m.records[0]]
		if err := r.Network.Lower(&g); err != nil {
			return fail(r.errorf("network %q: %w", r.Network.Name, err))
		}
		row := rowOfFile{
			Name: r.Network.Name, Task: slices.Index(p.recipes, r.Recipe),
			Target: rounded(logError(m.accuracy)), Derived: r.Derived, Inputs: make([]float64, len(p.layout.columns)),
		}
		if err := e.encode(row.Inputs, r.Network, &g, Training{Dataset: r.Dataset, Epochs: r.Epochs}); err != nil {
			return fail(r.errorf("%w", err))
		}
		for c, v := range row.Inputs {
			row.Inputs[c] = rounded(v)
		}
		p.rows = append(p.rows, row)
		macs = append(macs, float64(cost.Of(&g).MACs))
		key := BlockTypes(0, r)
		if _, ok := families[key]; !ok {
			families[key] = len(families)
		}
		p.family = append(p.family, families[key])
	}
	p.spread(records, merged)
	return p, rowOf, macs, nil
}

// check returns what is wrong with a record, alone or beside the others.
func check(records []Record) error {
	for i := range records {
		r := &records[i]
		if err := r.check(); err != nil {
			return r.errorf("record %d: %w", i+1, err)
		}
		if (r.Epochs > 0) != (records[0].Epochs > 0) {
			return r.errorf("record %d: either all records say for how many epochs the network was trained, or none", i+1)
		}
	}
	return nil
}

// survey checks the records and finds what is usual among them.
func (p *Predictor) survey(records []Record) error {
	if err := check(records); err != nil {
		return err
	}
	p.recipes = distinct(records, func(r *Record) string { return r.Recipe })
	var measured []Record
	for i := range records {
		if !records[i].Derived {
			measured = append(measured, records[i])
		}
	}
	if len(measured) < MinRecords {
		return fmt.Errorf("predictor: %d measured records; a predictor learns from at least %d", len(measured), MinRecords)
	}
	if p.usual.Recipe == "" {
		p.usual.Recipe = mostFrequent(measured, func(r *Record) string { return r.Recipe })
	}
	if _, err := p.task(p.usual.Recipe); err != nil {
		return err
	}
	var own []Record
	for i := range records {
		if records[i].Recipe == p.usual.Recipe {
			own = append(own, records[i])
		}
	}
	p.usual.Dataset = mostFrequent(own, func(r *Record) string { return r.Dataset })
	for i := range own { // the longest of the recipe
		p.usual.Epochs = max(p.usual.Epochs, own[i].Epochs)
	}
	return nil
}

// distinct returns the different values of the records, sorted.
func distinct(records []Record, of func(*Record) string) []string {
	var values []string
	for i := range records {
		values = append(values, of(&records[i]))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// mostFrequent returns the most frequent value, the first of several.
func mostFrequent(records []Record, of func(*Record) string) string {
	count := make(map[string]int)
	for i := range records {
		count[of(&records[i])]++
	}
	best := ""
	for _, v := range distinct(records, of) {
		if best == "" || count[v] > count[best] {
			best = v
		}
	}
	return best
}

// sample returns what a model learns from, with targets of mean 0.
//
// Records that [LeaveOut] holds out have their share in the origin. It is only
// where the model's mean starts, which it learns under a wide prior from the
// records at hand.
func (p *Predictor) sample(family []int) sample {
	n, measured := len(p.rows), 0.
	s := sample{
		z: mat.NewDense(n, len(p.layout.columns), nil), columns: p.layout.columns,
		task: make([]int, n), family: family, derived: make([]bool, n),
		target: make([]float64, n), noise: make([]float64, n), single: p.single,
	}
	for i, r := range p.rows {
		if !r.Derived {
			s.origin += r.Target
			measured++
		}
		s.z.SetRow(i, r.Inputs)
		s.task[i], s.noise[i], s.derived[i] = r.Task, r.Noise, r.Derived
	}
	s.origin /= measured
	for i, r := range p.rows {
		s.target[i] = r.Target - s.origin
	}
	return s
}

// rounded keeps six decimals. A predictor works with the rounded numbers that
// its file holds, so that the one loaded is the one saved.
func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// Datasets returns the datasets that the predictor knows, sorted.
func (p *Predictor) Datasets() []string { return slices.Clone(p.layout.datasets) }

// Recipes returns the recipes that the predictor knows, sorted.
func (p *Predictor) Recipes() []string { return slices.Clone(p.recipes) }

// Inputs returns the names of what the predictor looks at, in its order.
func (p *Predictor) Inputs() []string { return slices.Clone(p.layout.names) }

// Usual returns the training that the predictor assumes where none is asked
// for: its default recipe, and of that the most frequent dataset and the most epochs.
func (p *Predictor) Usual() Training { return p.usual }

// Records returns how many records the predictor has learnt from, repeated ones
// as one.
func (p *Predictor) Records() int { return p.model.len() }

func (p *Predictor) task(recipe string) (int, error) {
	if i := slices.Index(p.recipes, recipe); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("predictor: %s", strict.Unknown("recipe", recipe, p.recipes))
}

// complete fills in what is left out of a training, and checks the rest.
func (p *Predictor) complete(t Training) (Training, error) {
	if t.Recipe == "" {
		t.Recipe = p.usual.Recipe
	}
	if _, err := p.task(t.Recipe); err != nil {
		return t, err
	}
	if t.Dataset == "" {
		t.Dataset = p.usual.Dataset
	}
	if !slices.Contains(p.layout.datasets, t.Dataset) {
		return t, fmt.Errorf("predictor: %s", strict.Unknown("dataset", t.Dataset, p.layout.datasets))
	}
	switch {
	case t.Epochs == 0:
		t.Epochs = p.usual.Epochs
	case !p.layout.epochs && t.Epochs != p.usual.Epochs:
		return t, fmt.Errorf("predictor: it knows nothing of other numbers of epochs than that of its records, so none can be asked for")
	case !(t.Epochs > 0 && t.Epochs <= maxEpochs):
		return t, fmt.Errorf("predictor: the epochs must be above 0 and at most %d, found %v", maxEpochs, t.Epochs)
	}
	return t, nil
}

// A Batch predicts many networks at once. It is for one goroutine; several
// batches of one predictor may be used at the same time. Used again and again,
// it does not allocate unless genes are inputs.
type Batch struct {
	p              *Predictor
	training       Training
	session        session
	encoder        *encoder
	inputs         []float64 // a row each
	n              int
	mean, variance []float64
	out            []Prediction
}

// Batch returns an empty batch whose networks are predicted as if they were
// trained so. A recipe or a dataset that the predictor does not know is an error that
// lists the known ones.
func (p *Predictor) Batch(t Training) (*Batch, error) {
	t, err := p.complete(t)
	if err != nil {
		return nil, err
	}
	task, err := p.task(t.Recipe)
	if err != nil {
		return nil, err
	}
	return p.batch(task, t), nil
}

func (p *Predictor) batch(task int, t Training) *Batch {
	return &Batch{p: p, training: t, session: p.model.session(task), encoder: p.layout.newEncoder()}
}

// Add adds the network n, which was lowered to g without an error. The batch
// keeps neither. It fails if genes of a space are inputs and n is not of that space.
func (b *Batch) Add(n *arch.Network, g *arch.Graph) error {
	d := len(b.p.layout.columns)
	at := b.n * d
	b.inputs = slices.Grow(b.inputs[:at], d)[:at+d]
	if err := b.encoder.encode(b.inputs[at:], n, g, b.training); err != nil {
		return err
	}
	b.n++
	return nil
}

// Len returns the number of networks added since the last Predict.
func (b *Batch) Len() int { return b.n }

// Predict returns the predictions for the networks added, in their order, and
// empties the batch. What it predicts for a network does not depend on the
// others in the batch, to the last bit. The slice is valid until the next call.
func (b *Batch) Predict() []Prediction {
	n, d := b.n, len(b.p.layout.columns)
	b.n = 0
	b.mean, b.variance = grow(b.mean, n), grow(b.variance, n)
	b.out = grow(b.out, n)
	if n == 0 {
		return b.out
	}
	b.session.predict(b.mean, b.variance, blas64.General{Rows: n, Cols: d, Stride: d, Data: b.inputs})
	for i := range b.out {
		b.out[i] = newPrediction(b.p.origin+b.mean[i], b.variance[i])
	}
	return b.out
}

// Predict predicts one network. For many, use a [Batch].
func (p *Predictor) Predict(n *arch.Network, t Training) (Prediction, error) {
	b, err := p.Batch(t)
	if err != nil {
		return Prediction{}, err
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return Prediction{}, err
	}
	if err := b.Add(n, &g); err != nil {
		return Prediction{}, err
	}
	return b.Predict()[0], nil
}
