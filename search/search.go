package search

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/efficientnas/nas/pareto"
)

// Space is what is searched. Genomes are immutable values: every method returns
// a new one and leaves its arguments as they are. All randomness comes from rng,
// which is only valid during the call. A method of this package calls a Space
// from one goroutine at a time, except for [Islands]. An error ends the search.
type Space[G any] interface {
	// Sample draws a genome. Every candidate must have a chance, best an equal one.
	Sample(rng *rand.Rand) (G, error)
	// Mutate returns a variation of parent. Repeated often enough, it should
	// lead from any candidate to any other.
	Mutate(rng *rand.Rand, parent G) (G, error)
	// Crossover returns a child that has something of a and something of b.
	Crossover(rng *rand.Rand, a, b G) (G, error)
	// Key returns the name of the candidate that the genome encodes. Genomes that
	// mean the same have the same key.
	Key(genome G) string
}

// How a candidate came about.
const (
	BySample            = "sample"
	ByMutation          = "mutation"
	ByCrossover         = "crossover"
	ByCrossoverMutation = "crossover+mutation"
	ByGuess             = "guess" // of a surrogate
)

// Candidate is what a [Method] proposes. It is plain data.
type Candidate[G any] struct {
	ID         int // number of the proposal, from 0
	Genome     G
	Key        string // the genome's, by [Space.Key]
	Generation int    // from 0
	Parents    []int  // IDs; none if sampled
	Operator   string // BySample, ByMutation, ByCrossover, ByCrossoverMutation or ByGuess
}

// Evaluation is what became of a candidate. It is plain data but for Err. The
// zero value means that the candidate has not been evaluated.
type Evaluation struct {
	// Objectives has one finite value for each of the method's directions. An
	// infeasible or failed candidate needs none. Once stored, the slice is the
	// search's.
	Objectives []float64
	// Violation says by how much constraints are exceeded, in a measure that is
	// comparable between candidates; 0 if the candidate is feasible, never negative.
	Violation float64
	// Err says why the candidate could not be evaluated, for example because its
	// training diverged. Such a candidate counts, but is never on the front.
	Err error
}

// Outcome is an evaluated candidate.
type Outcome[G any] struct {
	Candidate[G]
	Evaluation
}

// Method decides which candidates to evaluate next.
//
// Between any two calls its state can be saved: MarshalBinary returns it, and
// UnmarshalBinary loads it into a method newly made with the same space,
// directions and settings, which then goes on exactly as the saved one would
// have. G must be a type that [encoding/gob] writes, all of it: it leaves out
// fields that are not exported, and MarshalBinary returns an error for a type that
// has no others. What UnmarshalBinary did not get from such a method, whole, of
// this version or an older one, it refuses with an error and changes nothing.
type Method[G any] interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler

	// Directions returns what Evaluation.Objectives must hold, in order.
	Directions() []pareto.Direction

	// Ask returns at most n candidates, at least one, none of which was proposed
	// before. It returns fewer than n when the method wants results first, and
	// [ErrPending] when it needs results of what it has proposed to go on at all. It
	// returns [ErrExhausted] when it finds nothing new.
	Ask(n int) ([]Candidate[G], error)

	// Tell reports evaluations of candidates that Ask returned, each once, in any
	// order and grouping.
	Tell(candidates []Candidate[G], evaluations []Evaluation) error

	// Pending returns the candidates that Ask returned and Tell was not told of, in
	// order of proposal. After a state was loaded they are those that were being
	// evaluated when it was saved: Ask does not return them again.
	Pending() []Candidate[G]
}

// Evaluator evaluates candidates.
type Evaluator[G any] interface {
	// Evaluate stores the evaluation of batch[i] in out[i]. It is called from
	// several goroutines at once. What goes wrong with one candidate belongs in
	// its Evaluation.Err; an error returned ends the search. Even then, the
	// evaluations stored so far count.
	Evaluate(ctx context.Context, batch []Candidate[G], out []Evaluation) error
}

// EvaluatorFunc is a function as an [Evaluator].
type EvaluatorFunc[G any] func(ctx context.Context, batch []Candidate[G], out []Evaluation) error

// Evaluate calls f.
func (f EvaluatorFunc[G]) Evaluate(ctx context.Context, batch []Candidate[G], out []Evaluation) error {
	return f(ctx, batch, out)
}

var (
	// ErrExhausted is returned by a [Method] that finds no new candidates.
	ErrExhausted = errors.New("search: no new candidates")
	// ErrPending is returned by a [Method] that must be told results before it can
	// propose more.
	ErrPending = errors.New("search: waiting for results")
)

// done reports whether there is a result, be it a failure.
func (e Evaluation) done() bool {
	return e.Objectives != nil || e.Violation != 0 || e.Err != nil
}

// feasible reports whether a checked evaluation can be on the front.
func (e Evaluation) feasible() bool { return e.Err == nil && e.Violation == 0 }

// checked returns e, as failed if it is not what an [Evaluation] may be.
func (e Evaluation) checked(objectives int) Evaluation {
	if e.Err != nil {
		return e
	}
	switch {
	case !e.done():
		e.Err = errors.New("search: evaluator left no result")
	case math.IsNaN(e.Violation) || e.Violation < 0:
		e.Err = fmt.Errorf("search: violation is %v, want 0 or more", e.Violation)
	case e.Violation == 0:
		if err := pareto.CheckPoint(e.Objectives, objectives); err != nil {
			e.Err = fmt.Errorf("search: bad evaluation: %w", err)
		}
	}
	return e
}

// checkTold returns an error unless there is an evaluation for each candidate.
func checkTold[G any](candidates []Candidate[G], evaluations []Evaluation) error {
	if len(candidates) != len(evaluations) {
		return fmt.Errorf("search: told of %d candidates with %d evaluations", len(candidates), len(evaluations))
	}
	return nil
}
