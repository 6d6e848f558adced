package predictor

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/efficientnas/nas/arch"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// A Learner is a Gaussian process that learns while a search goes on: it is
// told accuracies a few at a time, and asked about other networks in between.
// [Train] would fit all anew, and assess it, each time.
//
// A Learner knows of one training: all accuracies are measured alike. It is for
// one goroutine, and the same calls in the same order give the same answers.
type Learner struct {
	encoder *encoder
	prior   *Batch // nil without LearnerOptions.Prior
	columns []column
	seed    uint64

	rows    [][]float64 // inputs of what it was told
	targets []float64   // log errors, or other logarithms

	optimum []float64 // of the last fit
	fitted  int       // records there were at the last fit
	hyper   hyper
	model   model
	session session
	origin  float64
}

// LearnerOptions say what a [Learner] looks at.
type LearnerOptions struct {
	Inputs []Input        // none for [Features]
	Space  *arch.Template // whose genes are inputs
	Seed   uint64

	// Prior is a predictor to begin with, and Training the training that it is asked
	// about. What it predicts is one more input, with a linear trend: so it need
	// not have seen the data set or the recipe in question, as long as the order of
	// networks there is somewhat like that here (the autoregressive model of Kennedy
	// and O'Hagan, "Predicting the output from a complex computer code when fast
	// approximations are available", Biometrika 87(1), 2000, section 2.1). It may be
	// nil.
	Prior    *Predictor
	Training Training
}

// NewLearner returns a Learner that was told nothing.
func NewLearner(o LearnerOptions) (*Learner, error) {
	layout, err := newLayout(o.Inputs, o.Space, nil, false)
	if err != nil {
		return nil, err
	}
	l := &Learner{encoder: layout.newEncoder(), columns: layout.columns, seed: o.Seed}
	if o.Prior != nil {
		if l.prior, err = o.Prior.Batch(o.Training); err != nil {
			return nil, err
		}
		_, slopes := hypersOf(l.columns)
		l.columns = append(slices.Clone(l.columns), column{length: -1, slope: slopes})
	}
	return l, nil
}

// Encode returns what the learner sees of the network n, which was lowered to g
// without an error, for Learn and Predict.
func (l *Learner) Encode(n *arch.Network, g *arch.Graph) ([]float64, error) {
	x := make([]float64, len(l.columns))
	if err := l.encoder.encode(x, n, g, Training{}); err != nil || l.prior == nil {
		return x, err
	}
	if err := l.prior.Add(n, g); err != nil {
		return x, err
	}
	x[len(x)-1] = l.prior.Predict()[0].LogError
	return x, nil
}

// Learn adds the accuracy, from 0 to 1, that a network of these inputs reached.
func (l *Learner) Learn(inputs []float64, accuracy float64) error {
	if !(accuracy >= 0 && accuracy <= 1) {
		return fmt.Errorf("predictor: the accuracy is %v, want 0 to 1", accuracy)
	}
	return l.LearnLog(inputs, logError(accuracy))
}

// LearnLog adds the natural logarithm of something else that is positive, such
// as a latency. A learner learns one thing.
func (l *Learner) LearnLog(inputs []float64, log float64) error {
	if len(inputs) != len(l.columns) {
		return fmt.Errorf("predictor: %d inputs, want %d", len(inputs), len(l.columns))
	}
	if math.IsNaN(log) || math.IsInf(log, 0) {
		return fmt.Errorf("predictor: the logarithm is %v, want a finite number", log)
	}
	l.rows, l.targets, l.model = append(l.rows, slices.Clone(inputs)), append(l.targets, log), nil
	return nil
}

// Len returns how many values it was told.
func (l *Learner) Len() int { return len(l.rows) }

// Current reports whether the learner has made up its mind about all that it was
// told: then Predict only looks things up. Otherwise Predict would learn first, and
// a learner that is told the same again later would have to be asked at the same
// moments to come to the same belief.
func (l *Learner) Current() bool { return l.model != nil }

var errUntold = errors.New("predictor: a learner that was told nothing cannot predict")

// The hyper-parameters are fitted anew whenever there are refitFactor times as
// many records as the last time, to at most maxLearnerFitted of them, drawn at
// random.
const (
	refitFactor      = 1.25
	maxLearnerFitted = 250
)

// update makes the model that of all that was learnt.
func (l *Learner) update() error {
	if l.model != nil {
		return nil
	}
	n := len(l.rows)
	if n == 0 {
		return errUntold
	}
	s := sample{
		z: mat.NewDense(n, len(l.columns), nil), columns: l.columns,
		task: make([]int, n), derived: make([]bool, n), noise: make([]float64, n), target: make([]float64, n),
	}
	for i, x := range l.rows {
		s.z.SetRow(i, x)
		s.origin += l.targets[i] / float64(n)
	}
	for i := range l.rows {
		s.target[i] = l.targets[i] - s.origin
	}
	if float64(n) >= refitFactor*float64(l.fitted) {
		if err := l.fit(&s); err != nil {
			return err
		}
	}
	standardised, by := s.standardised()
	m, err := conditioned(l.hyper, standardised, by)
	if err != nil {
		return err
	}
	l.model, l.session, l.origin = m, m.session(0), s.origin
	return nil
}

func (l *Learner) fit(s *sample) error {
	some := s.some(maxLearnerFitted, l.seed)
	standardised, _ := some.standardised()
	if l.optimum == nil {
		l.optimum = standardised.start()
	}
	optimum, err := fit(standardised, l.optimum)
	if err != nil {
		return err
	}
	l.optimum, l.fitted, l.hyper = optimum, s.len(), hyperAt(optimum, s.columns)
	l.hyper.Widening, err = calibrateClosed(some, l.hyper)
	l.hyper.round()
	return err
}

// Predict stores what networks of these inputs would be measured to reach.
func (l *Learner) Predict(inputs [][]float64, out []Prediction) error {
	mean, variance := make([]float64, len(inputs)), make([]float64, len(inputs))
	if err := l.PredictLog(inputs, mean, variance); err != nil {
		return err
	}
	for i := range out {
		out[i] = newPrediction(mean[i], variance[i])
	}
	return nil
}

// PredictLog stores mean and variance of the logarithm of what [Learner.LearnLog]
// was told of.
func (l *Learner) PredictLog(inputs [][]float64, mean, variance []float64) error {
	if err := l.update(); err != nil {
		return err
	}
	d := len(l.columns)
	flat := make([]float64, 0, d*len(inputs))
	for _, x := range inputs {
		flat = append(flat, x...)
	}
	l.session.predict(mean, variance, blas64.General{Rows: len(inputs), Cols: d, Stride: d, Data: flat})
	for i := range mean {
		mean[i] += l.origin
	}
	return nil
}

// LeaveOut returns for each value learnt the logarithm, of errors for accuracies, that is expected of it
// from all others, in the order in which they were learnt. It fails with more than
// some 2,000, for which there is no closed form.
func (l *Learner) LeaveOut() ([]float64, error) {
	if err := l.update(); err != nil {
		return nil, err
	}
	p, ok := l.model.(closedForm)
	if !ok {
		return nil, errors.New("predictor: too many records to leave out one by one")
	}
	means := make([]float64, len(l.rows))
	for i := range means {
		var variance [1]float64
		if err := p.leaveOut([]int{i}, means[i:i+1], variance[:]); err != nil {
			return nil, err
		}
		means[i] += l.origin
	}
	return means, nil
}
