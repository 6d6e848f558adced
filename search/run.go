package search

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/efficientnas/nas/pareto"
)

// Settings are the settings of [Run]. The zero value evaluates on all cores until
// the space is exhausted.
type Settings[G any] struct {
	// Evaluations is the number of candidates to evaluate. 0 means no limit.
	Evaluations int
	// Batch is the greatest number of candidates to ask for at a time. 0 means 256.
	// The methods of this package propose the same candidates in batches of any
	// size. Smaller ones give more frequent records, larger ones keep more workers
	// busy.
	Batch int
	// Chunk is the greatest number of candidates in one call of the evaluator. 0
	// means 64. A batch is cut into the least number of chunks, of about equal
	// size. Where it is cut does not depend on the number of workers: so an
	// evaluator whose last bits depend on how candidates are put together, as
	// those of blocked matrix products do, still returns the same bits.
	Chunk int
	// Workers is the number of calls of the evaluator at a time. 0 means
	// [runtime.GOMAXPROCS].
	Workers int
	// Reference is the reference point of [Progress.Hypervolume], in the
	// objectives' units. Without one, no hypervolume is computed.
	Reference []float64
	// Recorder, if there is one, is called after each batch. It observes. An error
	// ends the search.
	Recorder func(Progress[G]) error
}

// withDefaults returns s with defaults filled in, and all that is wrong with it.
func (s Settings[G]) withDefaults(directions []pareto.Direction) (Settings[G], error) {
	var problems []error
	for _, n := range []struct {
		name     string
		value    *int
		standard int
	}{
		{"evaluations", &s.Evaluations, 0},
		{"batch", &s.Batch, 256},
		{"chunk", &s.Chunk, 64},
		{"workers", &s.Workers, runtime.GOMAXPROCS(0)},
	} {
		if *n.value < 0 {
			problems = append(problems, fmt.Errorf("%s is %d, want 0 or more", n.name, *n.value))
		}
		if *n.value == 0 {
			*n.value = n.standard
		}
	}
	if s.Reference != nil {
		if _, err := pareto.Hypervolume(nil, s.Reference, directions); err != nil {
			problems = append(problems, err)
		}
	}
	return s, errors.Join(problems...)
}

// Counts says how far a search has come.
type Counts struct {
	Evaluations int // candidates evaluated, failed ones included
	Generations int // generations begun
	Failed      int // candidates without a valid evaluation
	Infeasible  int // candidates that violate a constraint
}

// Progress is what a recorder sees. It is valid during the call.
type Progress[G any] struct {
	Counts
	Batch       []Outcome[G] // what was evaluated last, in order of proposal
	FrontSize   int
	Hypervolume float64 // of the front; 0 without Settings.Reference

	archive *pareto.Archive[Outcome[G]]
}

// Front returns the front so far, as [Result] has it. The slice is the caller's.
func (p Progress[G]) Front() []Outcome[G] { return front(p.archive) }

// Status says why a search ended.
type Status int

const (
	Failed          Status = iota // by an error, which is returned beside it
	EvaluationLimit               // all evaluations asked for are done
	Exhausted                     // the method found nothing new
	Interrupted                   // the context was done
)

// String returns the status in words.
func (s Status) String() string {
	switch s {
	case Failed:
		return "failed"
	case EvaluationLimit:
		return "evaluation limit"
	case Exhausted:
		return "exhausted"
	case Interrupted:
		return "interrupted"
	}
	return "Status(" + strconv.Itoa(int(s)) + ")"
}

// Result is what a search has found.
type Result[G any] struct {
	Counts
	// Front holds the feasible candidates that no other evaluated one dominates,
	// one for each vector of objectives, the earliest. They are sorted by the first
	// minimised objective, the first of all if there is none, best first.
	Front  []Outcome[G]
	Status Status
}

// Run searches: it asks m for candidates, has ev evaluate them concurrently,
// tells m, and keeps the front.
//
// It ends when the settings' number of evaluations is done, when m is exhausted
// or when ctx is done, and Result.Status says which. None of these is an error.
// Once ctx is done, errors of the evaluator are taken for its consequence.
//
// With an error, of the evaluator, the space, the method, the recorder or in the
// settings, comes the result so far. In every case each evaluation that the
// evaluator has stored is told and counted.
func Run[G any](ctx context.Context, m Method[G], ev Evaluator[G], settings Settings[G]) (Result[G], error) {
	directions := m.Directions()
	settings, err := settings.withDefaults(directions)
	if err != nil {
		return Result[G]{}, fmt.Errorf("search: settings: %w", err)
	}
	archive, err := pareto.NewArchive[Outcome[G]](directions)
	if err != nil {
		return Result[G]{}, fmt.Errorf("search: %w", err)
	}
	r := run[G]{method: m, evaluator: ev, settings: settings, directions: directions, archive: archive}
	status, err := r.loop(ctx)
	return Result[G]{Counts: r.counts, Front: front(archive), Status: status}, err
}

type run[G any] struct {
	method     Method[G]
	evaluator  Evaluator[G]
	settings   Settings[G]
	directions []pareto.Direction

	archive *pareto.Archive[Outcome[G]]
	counts  Counts
}

func (r *run[G]) loop(ctx context.Context) (Status, error) {
	for {
		n := r.settings.Batch
		if limit := r.settings.Evaluations; limit > 0 {
			n = min(n, limit-r.counts.Evaluations)
		}
		if n == 0 {
			return EvaluationLimit, nil
		}
		if ctx.Err() != nil {
			return Interrupted, nil
		}
		batch, err := r.method.Ask(n)
		if errors.Is(err, ErrExhausted) {
			return Exhausted, nil
		}
		if err != nil {
			return Failed, err
		}
		if len(batch) < 1 || len(batch) > n {
			return Failed, fmt.Errorf("search: method proposed %d candidates, want 1 to %d", len(batch), n)
		}

		evaluations, evalErr := r.evaluate(ctx, batch)
		if err := r.take(batch, evaluations); err != nil {
			return Failed, errors.Join(evalErr, err)
		}
		if ctx.Err() != nil {
			continue // all may have been done in time
		}
		if evalErr != nil {
			return Failed, fmt.Errorf("search: evaluate: %w", evalErr)
		}
	}
}

// evaluate evaluates a batch in chunks on several goroutines, and checks the
// evaluations. After an error some may be missing.
func (r *run[G]) evaluate(ctx context.Context, batch []Candidate[G]) ([]Evaluation, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := make([]Evaluation, len(batch))
	chunks := (len(batch) + r.settings.Chunk - 1) / r.settings.Chunk
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range min(r.settings.Workers, chunks) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(taken.Add(1)) - 1
				if i >= chunks {
					return
				}
				begin, end := i*len(batch)/chunks, (i+1)*len(batch)/chunks
				err := r.evaluator.Evaluate(ctx, batch[begin:end:end], out[begin:end:end])
				if err != nil {
					cancel(err) // the first error is the one to report
				}
				whole := ctx.Err() == nil // what is missing then is the evaluator's fault
				for k := begin; k < end; k++ {
					if whole || out[k].done() {
						out[k] = out[k].checked(len(r.directions))
					}
				}
			}
		})
	}
	workers.Wait()
	return out, context.Cause(ctx)
}

// take tells the method what was evaluated, and keeps and records it.
func (r *run[G]) take(batch []Candidate[G], evaluations []Evaluation) error {
	outcomes := make([]Outcome[G], 0, len(batch))
	candidates := make([]Candidate[G], 0, len(batch))
	told := make([]Evaluation, 0, len(batch))
	for i, e := range evaluations {
		if e.done() {
			outcomes = append(outcomes, Outcome[G]{batch[i], e})
			candidates = append(candidates, batch[i])
			told = append(told, e)
		}
	}
	if len(outcomes) == 0 {
		return nil
	}
	if err := r.method.Tell(candidates, told); err != nil {
		return err
	}
	for _, o := range outcomes {
		r.counts.Evaluations++
		r.counts.Generations = max(r.counts.Generations, o.Generation+1)
		switch {
		case o.Err != nil:
			r.counts.Failed++
		case o.Violation > 0:
			r.counts.Infeasible++
		default:
			if _, err := r.archive.Add(o.Key, o.Objectives, o); err != nil {
				return fmt.Errorf("search: candidate %d: %w", o.ID, err)
			}
		}
	}
	return r.record(outcomes)
}

func (r *run[G]) record(batch []Outcome[G]) error {
	if r.settings.Recorder == nil {
		return nil
	}
	p := Progress[G]{Counts: r.counts, Batch: batch, FrontSize: r.archive.Len(), archive: r.archive}
	if r.settings.Reference != nil {
		var points [][]float64
		for _, e := range r.archive.Entries() {
			points = append(points, e.Point)
		}
		var err error
		if p.Hypervolume, err = pareto.Hypervolume(points, r.settings.Reference, r.directions); err != nil {
			return fmt.Errorf("search: %w", err)
		}
	}
	if err := r.settings.Recorder(p); err != nil {
		return fmt.Errorf("search: record: %w", err)
	}
	return nil
}

func front[G any](archive *pareto.Archive[Outcome[G]]) []Outcome[G] {
	var outcomes []Outcome[G] // nil if there are none
	for _, e := range archive.Entries() {
		outcomes = append(outcomes, e.Value)
	}
	return outcomes
}
