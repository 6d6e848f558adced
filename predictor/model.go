package predictor

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/efficientnas/nas/internal/strict"
)

// A Model is a kind of model.
type Model string

const (
	// GP is a Gaussian process: the default, and the one that is right about its
	// uncertainty by itself.
	GP Model = "gp"
	// Ridge is linear regression with a penalty. It is instant, and with [OneHot]
	// and [Pairs] good at small spaces.
	Ridge Model = "ridge"
	// Trees is gradient-boosted regression trees.
	Trees Model = "trees"
	// Neural is an ensemble of small neural networks.
	Neural Model = "neural"
	// Auto compares all of them by cross-validation and takes the best, or a
	// weighted mean of several if that is better still.
	Auto Model = "auto"
)

// Models returns all kinds of models.
func Models() []Model { return []Model{GP, Ridge, Trees, Neural, Auto} }

// A model predicts targets from vectors of inputs, for several
// tasks at once. Everything about networks, recipes, accuracies and files is
// the [Predictor]'s, so that a further kind of model is a file with this
// interface, and an entry in trainModel and in modelState.
type model interface {
	// len returns the number of records that the model has seen.
	len() int
	// session returns the model for one goroutine and one task, which may be
	// unknownTask.
	session(task int) session
	// state returns what a file holds of the model besides the records.
	state() modelState
}

// A closedForm is a model that can forget records without learning anew.
type closedForm interface {
	// leaveOut stores mean and variance of the targets of the group of
	// records as if they had not been seen.
	leaveOut(group []int, mean, variance []float64) error
}

// A metric is a model that knows by which inputs records differ much.
type metric interface {
	// lengths returns for every input over what distance targets become
	// independent.
	lengths() []float64
}

// A session predicts batches.
type session interface {
	// predict stores mean and variance of the target of each row of x. What it
	// stores for a row depends on that row alone, not on the others.
	predict(mean, variance []float64, x blas64.General)
}

const unknownTask = -1 // a task that no record has

// modelState is a model in a file.
type modelState struct {
	Kind Model `json:"kind"`

	GP     *hyper       `json:"gp,omitempty"`
	Ridge  *ridgeState  `json:"ridge,omitempty"`
	Trees  *treesState  `json:"trees,omitempty"`
	Neural *neuralState `json:"neural,omitempty"`

	Temper *temper     `json:"temper,omitempty"` // of all but gp
	Parts  []stackPart `json:"parts,omitempty"`  // of auto, where it is a mean of several
}

// A trained model, and what training found out.
type trained struct {
	model      model
	comparison []Comparison // of Auto
	unseen     []float64    // targets predicted unseen; nil if the model can tell in closed form
}

// trainModel trains a model of the given kind on the raw sample. progress is
// called as [Options] say.
func trainModel(kind Model, s sample, seed uint64, progress func(done, total int)) (trained, error) {
	switch kind {
	case GP, "":
		return trainGP(s, seed)
	case Ridge, Trees, Neural:
		return trainTempered(kind, s, seed)
	case Auto:
		return trainAuto(s, seed, progress)
	}
	return trained{}, kind.unknown()
}

// unknown returns the error that there is no such kind.
func (kind Model) unknown() error {
	var names []string
	for _, k := range Models() {
		names = append(names, string(k))
	}
	return fmt.Errorf("predictor: %s", strict.Unknown("kind of model", string(kind), names))
}

// trainBare trains a model whose variance is not calibrated.
func trainBare(kind Model, s sample, seed uint64) (model, error) {
	switch kind {
	case GP:
		return trainUncalibrated(s, seed)
	case Ridge:
		return trainRidge(s)
	case Trees:
		return trainTrees(s, seed)
	case Neural:
		return trainNeural(s, seed)
	}
	return nil, kind.unknown()
}

// load returns the model of the state that has seen the sample.
func (m *modelState) load(s sample) (model, error) {
	contradiction := fmt.Errorf("the model in it contradicts itself")
	var bare model
	var err error
	switch {
	case m.Kind == GP && m.GP != nil:
		if !m.GP.valid(s.columns) {
			return nil, contradiction
		}
		standardised, by := s.standardised()
		return conditioned(*m.GP, standardised, by)
	case m.Kind == Auto && len(m.Parts) > 0:
		return loadStack(m, s)
	case m.Kind == Ridge && m.Ridge != nil:
		bare, err = newRidge(*m.Ridge)
	case m.Kind == Trees && m.Trees != nil:
		bare, err = newTrees(*m.Trees)
	case m.Kind == Neural && m.Neural != nil:
		bare, err = newNeural(*m.Neural)
	default:
		return nil, contradiction
	}
	if err != nil {
		return nil, err
	}
	if m.Temper == nil || !m.Temper.valid() {
		return nil, contradiction
	}
	return newTempered(bare, *m.Temper, s), nil
}

// predictRow predicts one row.
func predictRow(m model, task int, row []float64) (mean, variance float64) {
	var out [2]float64
	m.session(task).predict(out[:1], out[1:], blas64.General{Rows: 1, Cols: len(row), Stride: len(row), Data: row})
	return out[0], out[1]
}

// logDensity is that of a normal distribution, without the constant.
func logDensity(squared, variance float64) float64 {
	return -(squared/variance + math.Log(variance)) / 2
}
