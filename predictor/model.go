package predictor

import "gonum.org/v1/gonum/blas/blas64"

// A model predicts targets from vectors of inputs, for several
// tasks at once. Everything about networks, recipes, accuracies and files is
// the [Predictor]'s, so that a further kind of model is a file with this
// interface, and an entry in train and in load.
type model interface {
	// len returns the number of records that the model has seen.
	len() int
	// session returns the model for one goroutine and one task, which may be
	// unknownTask.
	session(task int) session
	// leaveOut stores mean and variance of the targets of the group of
	// records as if they had not been seen.
	leaveOut(group []int, mean, variance []float64) error
	// similarity returns how alike two rows of inputs are to the model, from 0
	// to 1 for the same.
	similarity(x, y []float64) float64
	// state returns what a file holds of the model besides the records.
	state() modelState
}

// A session predicts batches.
type session interface {
	// predict stores mean and variance of the target of each row of x. What it
	// stores for a row depends on that row alone, not on the others.
	predict(mean, variance []float64, x blas64.General)
}

// modelState is a model in a file.
type modelState struct {
	Kind  string `json:"kind"` // "gp"
	Hyper hyper  `json:"hyper"`
}

const (
	kindGP      = "gp"
	unknownTask = -1 // a task that no record has
)
