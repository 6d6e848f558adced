package search

import (
	"fmt"
	"slices"
)

// A queue holds, in order of proposal, candidates whose results a method has not
// taken in yet. Results come in any order; the method takes them in the order of
// proposal, so that it does the same whatever the order was.
type queue[G any] struct {
	first    int // ID of outcomes[0]
	outcomes []Outcome[G]
	told     int // how many of them have a result
}

// next returns the ID of the next candidate to propose.
func (q *queue[G]) next() int { return q.first + len(q.outcomes) }

func (q *queue[G]) put(c Candidate[G]) {
	q.outcomes = append(q.outcomes, Outcome[G]{Candidate: c})
}

// ask is [Method.Ask] of a method that proposes in rounds: plan holds the rest of
// the round, and propose fills it with the next one, once all results are taken in.
func (q *queue[G]) ask(n int, plan *[]Candidate[G], propose func() error) ([]Candidate[G], error) {
	if n < 1 {
		return nil, fmt.Errorf("search: asked for %d candidates, want 1 or more", n)
	}
	if len(*plan) == 0 {
		if len(q.outcomes) > 0 {
			return nil, ErrPending
		}
		if err := propose(); err != nil {
			return nil, err
		}
	}
	return q.putSome(plan, n), nil
}

// putSome puts the first n candidates of plan, or all that are left, and removes
// them there. It returns them.
func (q *queue[G]) putSome(plan *[]Candidate[G], n int) []Candidate[G] {
	some := slices.Clone((*plan)[:min(n, len(*plan))])
	*plan = (*plan)[len(some):]
	for _, c := range some {
		q.put(c)
	}
	return some
}

// tell stores evaluations of candidates that were put. With an error it changes
// nothing.
func (q *queue[G]) tell(candidates []Candidate[G], evaluations []Evaluation, objectives int) error {
	if err := checkTold(candidates, evaluations); err != nil {
		return err
	}
	for n, c := range candidates {
		if err := q.waits(c); err != nil {
			for _, c := range candidates[:n] {
				q.outcomes[c.ID-q.first].Evaluation = Evaluation{}
			}
			return err
		}
		q.outcomes[c.ID-q.first].Evaluation = evaluations[n].checked(objectives)
	}
	q.told += len(candidates)
	return nil
}

// waits returns an error unless c was put and has no result yet.
func (q *queue[G]) waits(c Candidate[G]) error {
	i := c.ID - q.first
	if i < 0 || i >= len(q.outcomes) || q.outcomes[i].Key != c.Key {
		return fmt.Errorf("search: told of candidate %d, which was not asked for or is done", c.ID)
	}
	if q.outcomes[i].done() {
		return fmt.Errorf("search: told of candidate %d twice", c.ID)
	}
	return nil
}

// pending returns the candidates without a result.
func (q *queue[G]) pending() []Candidate[G] {
	var pending []Candidate[G] // nil if there are none
	for _, o := range q.outcomes {
		if !o.done() {
			pending = append(pending, o.Candidate)
		}
	}
	return pending
}

// complete reports whether all results are there.
func (q *queue[G]) complete() bool { return q.told == len(q.outcomes) }

// take removes the oldest n candidates, all of which have a result.
func (q *queue[G]) take(n int) []Outcome[G] {
	taken := slices.Clone(q.outcomes[:n])
	clear(q.outcomes[:n]) // for the garbage collector
	if n == len(q.outcomes) {
		q.outcomes = q.outcomes[:0] // to be used again
	} else {
		q.outcomes = q.outcomes[n:]
	}
	q.first += n
	q.told -= n
	return taken
}
