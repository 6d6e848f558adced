package predictor

import (
	"errors"
	"fmt"
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
	layout  *layout
	encoder *encoder
	seed    uint64

	rows    [][]float64 // inputs of what it was told
	targets []float64   // log errors

	optimum []float64 // of the last fit
	fitted  int       // records there were at the last fit
	hyper   hyper
	model   model
	session session
	origin  float64
}

// NewLearner returns a Learner that looks at o.Inputs; of the other options only
// Space and Seed count.
func NewLearner(o Options) (*Learner, error) {
	l, err := newLayout(o.Inputs, o.Space, nil, false)
	if err != nil {
		return nil, err
	}
	return &Learner{layout: l, encoder: l.newEncoder(), seed: o.Seed}, nil
}

// Encode returns what the learner sees of the network n, which was lowered to g
// without an error, for Learn and Predict.
func (l *Learner) Encode(n *arch.Network, g *arch.Graph) ([]float64, error) {
	x := make([]float64, len(l.layout.columns))
	return x, l.encoder.encode(x, n, g, Training{})
}

// Learn adds the accuracy, from 0 to 1, that a network of these inputs reached.
func (l *Learner) Learn(inputs []float64, accuracy float64) error {
	if len(inputs) != len(l.layout.columns) {
		return fmt.Errorf("predictor: %d inputs, want %d", len(inputs), len(l.layout.columns))
	}
	if !(accuracy >= 0 && accuracy <= 1) {
		return fmt.Errorf("predictor: the accuracy is %v, want 0 to 1", accuracy)
	}
	l.rows, l.targets, l.model = append(l.rows, slices.Clone(inputs)), append(l.targets, logError(accuracy)), nil
	return nil
}

// Len returns how many accuracies it was told.
func (l *Learner) Len() int { return len(l.rows) }

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
		z: mat.NewDense(n, len(l.layout.columns), nil), columns: l.layout.columns,
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
	if err := l.update(); err != nil {
		return err
	}
	d := len(l.layout.columns)
	flat := make([]float64, 0, d*len(inputs))
	for _, x := range inputs {
		flat = append(flat, x...)
	}
	mean, variance := make([]float64, len(inputs)), make([]float64, len(inputs))
	l.session.predict(mean, variance, blas64.General{Rows: len(inputs), Cols: d, Stride: d, Data: flat})
	for i := range out {
		out[i] = newPrediction(l.origin+mean[i], variance[i])
	}
	return nil
}

// LeaveOut returns for each accuracy learnt the log error that is expected of it
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
