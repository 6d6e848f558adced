package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/efficientnas/nas/pareto"
)

// Settings are the settings of [Run]. The zero value evaluates on all cores until
// the space is exhausted.
type Settings[G any] struct {
	// Asynchronous has each candidate evaluated by a call of the evaluator of its
	// own, and another one begun whenever a worker is free: for evaluations of
	// minutes or days. Otherwise they are evaluated batch by batch.
	Asynchronous bool
	// Evaluations is the number of candidates to evaluate, those of Earlier or
	// Resume included. 0 means no limit.
	Evaluations int
	// Target is the hypervolume of the front that is enough, in the product of the
	// objectives' units. It needs a Reference. 0 means that none is.
	Target float64
	// Stagnation is the number of evaluations in a row after which, if none of them
	// changed the front, be it empty, the search ends. 0 means that it goes on.
	Stagnation int
	// Batch is the greatest number of candidates to ask for at a time. 0 means 256.
	// The methods of this package propose the same candidates in batches of any
	// size. Smaller ones give more frequent records, larger ones keep more workers
	// busy. An asynchronous search has none.
	Batch int
	// Chunk is the greatest number of candidates in one call of the evaluator. 0
	// means 64. A batch is cut into the least number of chunks, of about equal
	// size. Where it is cut does not depend on the number of workers: so an
	// evaluator whose last bits depend on how candidates are put together, as
	// those of blocked matrix products do, still returns the same bits. An
	// asynchronous search has chunks of one.
	Chunk int
	// Workers is the number of calls of the evaluator at a time. 0 means
	// [runtime.GOMAXPROCS].
	Workers int
	// Reference is the reference point of [Progress.Hypervolume] and of Target, in
	// the objectives' units. Without one, no hypervolume is computed.
	Reference []float64
	// Epsilon says for each objective, in its unit, which difference does not
	// matter: the front then is that of [pareto.NewEpsilonArchive], of bounded
	// size. A candidate with an objective of more than 2^53 epsilons counts as
	// failed. Without it the front is exact.
	Epsilon []float64
	// Earlier is what was evaluated when the search was interrupted, if m goes on
	// with one: all that m was told of, in any order. It is counted and may be on the
	// front as if it were evaluated now, but m is not told of it. Without the
	// screened ones only Counts differ.
	Earlier []Outcome[G]
	// Resume says instead how far the search had come, where not all outcomes were
	// kept: see [Progress.Snapshot].
	Resume *Snapshot[G]
	// Screen tells, without an evaluation, of candidates that are not worth one, as
	// they violate a constraint: a Violation or an Err that it returns is what the
	// evaluator would have found. With neither the candidate has to be evaluated.
	// What it returns depends on the candidate alone.
	//
	// A screened candidate counts as infeasible or failed, but not as an
	// evaluation, be it of those asked for or of those that leave the front unchanged.
	// A search ends with an error when so many are screened in a row that it seems to
	// go on for ever. Only an asynchronous search can have a Screen.
	Screen func(Candidate[G]) Evaluation
	// Proposed is called before new candidates are evaluated, with all that the
	// method has proposed at once and that are not screened: so they can be stored,
	// and the method's state with them. It is not called for what is pending in m
	// when the search begins. An error ends the search. Only an asynchronous search
	// can have it.
	Proposed func(candidates []Candidate[G]) error
	// Recorder, if there is one, is called after each batch, in an asynchronous
	// search after each outcome. It observes. An error ends the search.
	//
	// Whenever Proposed or Recorder is called, m was told of exactly what was recorded
	// so far, beside what it knew. Both are called from the goroutine that called
	// Run, as m is; both may call its MarshalBinary.
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
		{"stagnation", &s.Stagnation, 0},
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
	if !(s.Target >= 0) {
		problems = append(problems, fmt.Errorf("target is %v, want 0 or more", s.Target))
	}
	if s.Target > 0 && s.Reference == nil {
		problems = append(problems, errors.New("a target needs a reference"))
	}
	if s.Reference != nil {
		if _, err := pareto.NewVolume(s.Reference, directions); err != nil {
			problems = append(problems, err)
		}
	}
	if s.Epsilon != nil {
		if _, err := pareto.NewEpsilonArchive[Outcome[G]](directions, s.Epsilon); err != nil {
			problems = append(problems, err)
		}
	}
	if !s.Asynchronous && s.Screen != nil {
		problems = append(problems, errors.New("only an asynchronous search can have a screen"))
	}
	if !s.Asynchronous && s.Proposed != nil {
		problems = append(problems, errors.New("only an asynchronous search can say what it has proposed"))
	}
	if s.Resume != nil && s.Earlier != nil {
		problems = append(problems, errors.New("a search goes on from earlier outcomes or from a snapshot, not from both"))
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
	Screened    bool         // by Settings.Screen, instead of evaluated
	FrontSize   int
	Unchanged   int     // evaluations since the front changed last
	Hypervolume float64 // of the front; 0 without Settings.Reference

	run *run[G]
}

// Front returns the front so far, as [Result] has it. The slice is the caller's.
func (p Progress[G]) Front() []Outcome[G] { return p.run.front.outcomes() }

// Status says why a search ended.
type Status int

const (
	Failed          Status = iota // by an error, which is returned beside it
	EvaluationLimit               // all evaluations asked for are done
	Exhausted                     // the method found nothing new
	Interrupted                   // the context was done
	TargetReached                 // the front has the hypervolume asked for
	Stagnated                     // the front has not changed for long
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
	case TargetReached:
		return "target reached"
	case Stagnated:
		return "front unchanged"
	}
	return "Status(" + strconv.Itoa(int(s)) + ")"
}

// Result is what a search has found.
type Result[G any] struct {
	Counts
	// Front holds the feasible candidates that no other evaluated one dominates,
	// one for each vector of objectives, the earliest; with [Settings.Epsilon] a
	// part of them. They are sorted by the first minimised objective, the first of
	// all if there is none, best first.
	Front  []Outcome[G]
	Status Status
}

// Run searches: it asks m for candidates, has ev evaluate them concurrently,
// tells m, and keeps the front. What is pending in m comes first.
//
// It ends when the settings' number of evaluations is done, when their target is
// reached or the front stagnates, when m is exhausted or when ctx is done, and
// Result.Status says which. None of these is an error. Once ctx is done, errors of
// the evaluator are taken for its consequence.
//
// Target and stagnation are looked for after each evaluation, in order of
// proposal. When one is found, what has been asked for is still evaluated: so the
// result does not depend on the number of workers, but on the settings' batch.
//
// An asynchronous search ends with that very evaluation. The result does not
// depend on which evaluation is done first: m is told, and what was evaluated is
// counted and recorded, one by one and in order of proposal; what comes early
// waits. When the search ends, the evaluator's calls under way are told by their
// context, and Run waits for them. What was proposed later than the candidate with
// which it reached its target or stagnated does not count, evaluated or not; an
// evaluator that wants to keep it has to keep it itself.
//
// A search that was interrupted goes on with the same m, or with one that has
// loaded the state of it, and the outcomes so far as [Settings.Earlier], or a
// snapshot as [Settings.Resume]. It comes to the result that it would have come to
// without the interruption. So does one that was killed and goes on from the state
// that m had when Proposed or Recorder was called last, and what was recorded
// until then: it asks the evaluator again for what was evaluated since.
//
// With an error, of the evaluator, the space, the method, a function of the
// settings or in these, comes the result so far. With it, and when ctx is done,
// each evaluation that the evaluator has stored is told and counted.
func Run[G any](ctx context.Context, m Method[G], ev Evaluator[G], settings Settings[G]) (Result[G], error) {
	directions := m.Directions()
	settings, err := settings.withDefaults(directions)
	if err != nil {
		return Result[G]{}, fmt.Errorf("search: settings: %w", err)
	}
	r := run[G]{method: m, evaluator: ev, settings: settings, directions: directions, pending: m.Pending(), earlier: byID(settings.Earlier)}
	if r.front, err = newTracker[G](directions, settings); err != nil {
		return Result[G]{}, fmt.Errorf("search: %w", err)
	}
	if settings.Resume != nil {
		if err := r.resume(settings.Resume); err != nil {
			return Result[G]{}, fmt.Errorf("search: settings: resume: %w", err)
		}
	}

	loop := r.loop
	if settings.Asynchronous {
		loop = r.asynchronous
	}
	status, err := loop(ctx)
	if rest := r.countEarlier(math.MaxInt); rest != nil && err == nil {
		status, err = Failed, rest
	}
	return Result[G]{Counts: r.counts, Front: r.front.outcomes(), Status: status}, err
}

// byID returns outcomes in order of proposal.
func byID[G any](outcomes []Outcome[G]) []Outcome[G] {
	return slices.SortedStableFunc(slices.Values(outcomes), func(a, b Outcome[G]) int { return cmp.Compare(a.ID, b.ID) })
}

type run[G any] struct {
	method     Method[G]
	evaluator  Evaluator[G]
	settings   Settings[G]
	directions []pareto.Direction

	pending []Candidate[G] // to evaluate before the method is asked
	earlier []Outcome[G]   // not counted yet, in order of proposal
	front   *tracker[G]
	counts  Counts
	stop    Status // why to stop; Failed if there is no reason yet

	// Once a candidate is left without an evaluation, the search is about to end.
	// What comes after it is out of order.
	gap   *Snapshot[G] // when that was; nil as long as there is none
	later []Outcome[G] // counted since
}

func (r *run[G]) loop(ctx context.Context) (Status, error) {
	for {
		if len(r.pending) == 0 {
			if err := r.countEarlier(math.MaxInt); err != nil {
				return Failed, err
			}
			if r.stop != Failed {
				return r.stop, nil
			}
		}
		n := r.settings.Batch
		if limit := r.settings.Evaluations; limit > 0 {
			n = min(n, limit-r.counts.Evaluations-len(r.earlier))
		}
		if n <= 0 {
			return EvaluationLimit, nil
		}
		if ctx.Err() != nil {
			return Interrupted, nil
		}
		batch, err := r.ask(n)
		if errors.Is(err, ErrExhausted) {
			return Exhausted, nil
		}
		if err != nil {
			return Failed, err
		}

		evaluations, evalErr := r.evaluate(ctx, batch)
		if err := r.take(batch, evaluations, false); err != nil {
			return Failed, errors.Join(evalErr, err)
		}
		if ctx.Err() != nil {
			if slices.ContainsFunc(evaluations, missing) {
				return Interrupted, nil
			}
			continue // all were done in time
		}
		if evalErr != nil {
			return Failed, fmt.Errorf("search: evaluate: %w", evalErr)
		}
	}
}

// ask returns the next candidates, n at most.
func (r *run[G]) ask(n int) ([]Candidate[G], error) {
	if len(r.pending) == 0 {
		return r.askMethod(n)
	}
	n = min(n, len(r.pending))
	batch := r.pending[:n:n]
	r.pending = r.pending[n:]
	return batch, nil
}

// askMethod asks the method for candidates.
func (r *run[G]) askMethod(n int) ([]Candidate[G], error) {
	batch, err := r.method.Ask(n)
	if err == nil && (len(batch) < 1 || len(batch) > n) {
		err = fmt.Errorf("search: method proposed %d candidates, want 1 to %d", len(batch), n)
	}
	return batch, err
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
						out[k] = r.checked(out[k])
					}
				}
			}
		})
	}
	workers.Wait()
	return out, context.Cause(ctx)
}

// checked returns e, as failed if it is not what an [Evaluation] may be.
func (r *run[G]) checked(e Evaluation) Evaluation {
	e = e.checked(len(r.directions))
	if !e.feasible() {
		return e
	}
	for k, epsilon := range r.settings.Epsilon {
		if v := e.Objectives[k]; epsilon > 0 && math.Abs(v/epsilon) > 1<<53 {
			e.Err = fmt.Errorf("search: objective %d is %v, too large for its epsilon %v", k, v, epsilon)
		}
	}
	return e
}

// missing reports whether there is no result.
func missing(e Evaluation) bool { return !e.done() }

// take tells the method what was evaluated, or screened, and keeps and records it.
func (r *run[G]) take(batch []Candidate[G], evaluations []Evaluation, screened bool) error {
	candidates, there := batch, evaluations
	if slices.ContainsFunc(evaluations, missing) { // as after an error
		candidates, there = nil, nil
		for i, e := range evaluations {
			if !missing(e) {
				candidates, there = append(candidates, batch[i]), append(there, e)
			}
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	if err := r.method.Tell(candidates, there); err != nil {
		return err
	}
	outcomes := make([]Outcome[G], 0, len(candidates))
	for i, c := range batch {
		if err := r.countEarlier(c.ID); err != nil {
			return err
		}
		if missing(evaluations[i]) {
			if err := r.leaveGap(); err != nil {
				return err
			}
			continue
		}
		outcomes = append(outcomes, Outcome[G]{c, evaluations[i]})
		if err := r.count(outcomes[len(outcomes)-1], screened); err != nil {
			return err
		}
	}
	if len(r.pending) == 0 && !r.settings.Asynchronous {
		if err := r.countEarlier(math.MaxInt); err != nil {
			return err
		}
	}
	return r.record(outcomes, screened)
}

// leaveGap says that the next candidate has no evaluation.
func (r *run[G]) leaveGap() error {
	if r.gap != nil {
		return nil
	}
	_, err := r.front.hypervolume() // brings it up to date
	s := r.snapshot()
	r.gap = &s
	return err
}

// countEarlier counts the earlier outcomes of candidates that were proposed before
// the one with this ID. An asynchronous search counts none beyond its end.
func (r *run[G]) countEarlier(id int) error {
	for len(r.earlier) > 0 && r.earlier[0].ID < id && !(r.settings.Asynchronous && r.stop != Failed) {
		o := r.earlier[0]
		r.earlier = r.earlier[1:]
		o.Evaluation = r.checked(o.Evaluation)
		_, screened := r.screen(o.Candidate)
		if err := r.count(o, screened); err != nil {
			return err
		}
	}
	return nil
}

// screen returns the evaluation of a candidate that needs no evaluator, and whether
// it is one.
func (r *run[G]) screen(c Candidate[G]) (Evaluation, bool) {
	if r.settings.Screen == nil {
		return Evaluation{}, false
	}
	e := r.settings.Screen(c)
	if e.feasible() {
		return Evaluation{}, false
	}
	return e.checked(len(r.directions)), true
}

// count takes an outcome into the counts and the front, and looks whether to stop.
// Outcomes come in order of proposal, unless there is a gap.
func (r *run[G]) count(o Outcome[G], screened bool) error {
	if r.gap != nil {
		r.later = append(r.later, o)
	}
	r.counts.Generations = max(r.counts.Generations, o.Generation+1)
	switch {
	case o.Err != nil:
		r.counts.Failed++
	case o.Violation > 0:
		r.counts.Infeasible++
	}
	if screened {
		return nil
	}
	r.counts.Evaluations++
	if err := r.front.add(o); err != nil {
		return err
	}
	if r.stop != Failed || r.gap != nil {
		return nil
	}
	if r.settings.Target > 0 && r.front.unchanged == 0 {
		volume, err := r.front.hypervolume()
		if err != nil {
			return err
		}
		if volume >= r.settings.Target {
			r.stop = TargetReached
		}
	}
	if r.stop == Failed && r.settings.Stagnation > 0 && r.front.unchanged >= r.settings.Stagnation {
		r.stop = Stagnated
	}
	return nil
}

func (r *run[G]) record(batch []Outcome[G], screened bool) error {
	if r.settings.Recorder == nil {
		return nil
	}
	volume, err := r.front.hypervolume()
	if err != nil {
		return err
	}
	p := Progress[G]{
		Counts: r.counts, Batch: batch, Screened: screened, FrontSize: r.front.archive.Len(), Unchanged: r.front.unchanged,
		Hypervolume: volume, run: r,
	}
	if err := r.settings.Recorder(p); err != nil {
		r.settings.Recorder = nil // it is not called again for what is still to be counted
		return fmt.Errorf("search: record: %w", err)
	}
	return nil
}

// A tracker follows the front and its hypervolume.
type tracker[G any] struct {
	directions []pareto.Direction
	reference  []float64 // may be nil: then there is no hypervolume
	epsilon    []float64 // may be nil

	archive   *pareto.Archive[Outcome[G]]
	unchanged int          // outcomes since the front changed last
	order     []Outcome[G] // with epsilon, the front as a snapshot has it

	// An exact front of one or two objectives lets the volume grow with it, in
	// O(log n). Of others it is computed when it is wanted, at what a growing one
	// would take for one point.
	growing *pareto.Volume
	volume  float64
	stale   bool // the front has changed since volume was computed; never if it grows
}

func newTracker[G any](directions []pareto.Direction, s Settings[G]) (t *tracker[G], err error) {
	t = &tracker[G]{directions: directions, reference: s.Reference, epsilon: s.Epsilon}
	if s.Epsilon == nil {
		t.archive, err = pareto.NewArchive[Outcome[G]](directions)
	} else {
		t.archive, err = pareto.NewEpsilonArchive[Outcome[G]](directions, s.Epsilon)
	}
	if err == nil && s.Reference != nil && s.Epsilon == nil && len(directions) <= 2 {
		t.growing, err = pareto.NewVolume(s.Reference, directions)
	}
	return t, err
}

// add shows it the next outcome.
func (t *tracker[G]) add(o Outcome[G]) error {
	t.unchanged++
	if !o.feasible() {
		return nil
	}
	changed, err := t.archive.Add(o.Key, o.Objectives, o)
	if changed {
		t.unchanged, t.stale = 0, t.growing == nil
	}
	if changed && t.growing != nil {
		var gain float64
		gain, err = t.growing.Add(o.Objectives)
		t.volume += gain
	}
	if changed && t.epsilon != nil {
		t.keepOrder(o)
	}
	if err != nil {
		return fmt.Errorf("search: candidate %d: %w", o.ID, err)
	}
	return nil
}

// hypervolume returns that of the front, 0 without a reference.
func (t *tracker[G]) hypervolume() (float64, error) {
	if !t.stale || t.reference == nil {
		return t.volume, nil
	}
	var points [][]float64
	for _, e := range t.archive.Entries() {
		points = append(points, e.Point)
	}
	var err error
	if t.volume, err = pareto.Hypervolume(points, t.reference, t.directions); err != nil {
		return 0, fmt.Errorf("search: %w", err)
	}
	t.stale = false
	return t.volume, nil
}

// outcomes returns the front, as [Result] has it.
func (t *tracker[G]) outcomes() []Outcome[G] {
	var outcomes []Outcome[G] // nil if there are none
	for _, e := range t.archive.Entries() {
		outcomes = append(outcomes, e.Value)
	}
	return outcomes
}
