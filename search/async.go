package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
)

// mostScreened is how many candidates in a row may be screened.
const mostScreened = 1_000_000

// async is an asynchronous search. All but the evaluator's calls happens on Run's
// goroutine.
type async[G any] struct {
	*run[G]
	window  []*flight[G]    // proposed and not counted yet, in order of proposal
	waiting []*flight[G]    // of these, those that no worker has begun
	flying  int             // of these, those that a worker is at
	landed  chan *flight[G] // from the workers; has room for all that fly
	begun   int             // evaluations counted or to be
	barren  int             // candidates screened since the last that was not
	failed  error           // the first of the evaluator
}

// A flight is a candidate on the way to its outcome.
type flight[G any] struct {
	Candidate[G]
	evaluation []Evaluation // one; the worker's until the flight has landed
	err        error        // of the evaluator, likewise
	landed     bool
	screened   bool
}

// arrived reports whether there is an outcome.
func (f *flight[G]) arrived() bool { return f.landed && !missing(f.evaluation[0]) }

// asynchronous is the loop of an asynchronous search.
func (r *run[G]) asynchronous(ctx context.Context) (Status, error) {
	a := async[G]{run: r, landed: make(chan *flight[G], r.settings.Workers), begun: r.counts.Evaluations}
	for _, o := range r.earlier {
		if _, screened := r.screen(o.Candidate); !screened {
			a.begun++
		}
	}
	pending := r.pending
	r.pending = nil
	for _, c := range pending {
		if a.full() {
			break
		}
		a.admit(c)
	}

	calls, cancel := context.WithCancel(ctx)
	defer cancel()
	status, err := a.loop(ctx, calls)
	cancel()
	for a.flying > 0 {
		a.land(<-a.landed)
	}
	err = errors.Join(err, a.advance())
	switch {
	case a.stop != Failed: // what is left does not count
		status = a.stop
	case status == Interrupted && len(a.window) == 0 && a.full():
		status = EvaluationLimit // all were done in time
	default:
		err = errors.Join(err, a.takeRest())
	}
	if err != nil {
		status = Failed
	}
	return status, err
}

// loop searches until there is a reason to end. It gives calls to the evaluator.
func (a *async[G]) loop(ctx, calls context.Context) (Status, error) {
	for {
		if err := a.advance(); err != nil || a.stop != Failed {
			return a.stop, err
		}
		if ctx.Err() != nil {
			return Interrupted, nil
		}
		for len(a.waiting) > 0 && a.flying < a.settings.Workers {
			a.launch(calls, a.waiting[0])
			a.waiting = a.waiting[1:]
		}
		var asked bool
		var end Status
		if a.flying < a.settings.Workers {
			var err error
			if asked, end, err = a.propose(); err != nil {
				return Failed, err
			}
		}
		if !asked {
			if a.flying == 0 {
				return end, nil
			}
			select {
			case f := <-a.landed:
				a.land(f)
			case <-ctx.Done():
				continue
			}
		}
		a.landAll()
		if a.failed != nil && ctx.Err() == nil {
			return Failed, fmt.Errorf("search: evaluate: %w", a.failed)
		}
	}
}

// propose asks the method for as many candidates as there are free workers, and
// reports whether there are any. If not, it is for end, or, with none, because the
// method waits for results.
func (a *async[G]) propose() (asked bool, end Status, err error) {
	if a.full() {
		return false, EvaluationLimit, nil
	}
	n := a.settings.Workers - a.flying
	if limit := a.settings.Evaluations; limit > 0 {
		n = min(n, limit-a.begun)
	}
	batch, err := a.askMethod(n)
	switch {
	case errors.Is(err, ErrPending) && a.flying > 0:
		return false, Failed, nil
	case errors.Is(err, ErrExhausted): // unless what is under way leads to something new
		return false, Exhausted, nil
	case err != nil:
		return false, Failed, err
	}
	var news []Candidate[G]
	for _, c := range batch {
		if a.admit(c) {
			news = append(news, c)
		}
	}
	if a.barren >= mostScreened {
		return false, Failed, fmt.Errorf("search: the last %d candidates violate constraints that are known without an evaluation; does any meet them?", a.barren)
	}
	if a.settings.Proposed != nil && len(news) > 0 {
		if err := a.settings.Proposed(news); err != nil {
			return false, Failed, fmt.Errorf("search: proposed: %w", err)
		}
	}
	return true, Failed, nil
}

// full reports whether as many evaluations have begun as are to be.
func (a *async[G]) full() bool {
	return a.settings.Evaluations > 0 && a.begun >= a.settings.Evaluations
}

// admit puts a candidate into the window. It reports whether it has to be evaluated.
func (a *async[G]) admit(c Candidate[G]) bool {
	f := &flight[G]{Candidate: c, evaluation: make([]Evaluation, 1)}
	a.window = append(a.window, f)
	if f.evaluation[0], f.screened = a.screen(c); f.screened {
		f.landed = true
		a.barren++
		return false
	}
	a.waiting = append(a.waiting, f)
	a.barren = 0
	a.begun++
	return true
}

// launch has a worker evaluate f.
func (a *async[G]) launch(ctx context.Context, f *flight[G]) {
	a.flying++
	go func() {
		f.err = a.evaluator.Evaluate(ctx, []Candidate[G]{f.Candidate}, f.evaluation)
		whole := f.err == nil && ctx.Err() == nil // what is missing then is the evaluator's fault
		if e := &f.evaluation[0]; whole || e.done() {
			*e = a.checked(*e)
		}
		a.landed <- f
	}()
}

// land takes a flight back from its worker.
func (a *async[G]) land(f *flight[G]) {
	a.flying--
	f.landed = true
	a.failed = cmp.Or(a.failed, f.err)
}

// landAll takes back all flights that have landed: where evaluations are as fast
// as the caller can store them, many have, and the next ones are stored together.
func (a *async[G]) landAll() {
	for {
		select {
		case f := <-a.landed:
			a.land(f)
		default:
			return
		}
	}
}

// advance tells the method of what has arrived, counts and records it, in order of
// proposal: up to the first candidate that has not, or the end of the search.
func (a *async[G]) advance() error {
	for a.stop == Failed {
		next := math.MaxInt
		if len(a.window) > 0 {
			next = a.window[0].ID
		}
		if err := a.countEarlier(next); err != nil {
			return err
		}
		if a.stop != Failed || len(a.window) == 0 || !a.window[0].arrived() {
			return nil
		}
		if err := a.takeFirst(); err != nil {
			return err
		}
	}
	return nil
}

// takeRest does the same with all that has arrived, whatever is missing before it.
func (a *async[G]) takeRest() error {
	for len(a.window) > 0 {
		f := a.window[0]
		if f.arrived() {
			if err := a.takeFirst(); err != nil {
				return err
			}
			continue
		}
		if err := a.countEarlier(f.ID); err != nil {
			return err
		}
		if err := a.leaveGap(); err != nil {
			return err
		}
		a.window = a.window[1:]
	}
	return nil
}

func (a *async[G]) takeFirst() error {
	f := a.window[0]
	a.window[0] = nil // for the garbage collector
	a.window = a.window[1:]
	return a.take([]Candidate[G]{f.Candidate}, f.evaluation, f.screened)
}
