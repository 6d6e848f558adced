package search

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/pareto"
)

// steady is what steady-state methods share: those that learn from candidate after
// candidate instead of generation after generation.
//
// Candidate i is made of the results of all candidates up to i - concurrency, no
// fewer and no more, taken in in the order of proposal. So that many can be
// evaluated at once, none waits for the slowest of a generation, and the result
// does not depend on the order in which results come.
type steady[G any] struct {
	directions  []pareto.Direction
	seed        uint64
	concurrency int // 0: it grows
	start       int // candidates at the beginning that are made of no results

	candidates distinct[G]
	queue      queue[G] // what has not been learned from

	source *source
	rng    *rand.Rand // draws from source, which is seeded anew for every candidate
}

// A learner is a steady-state method.
type learner[G any] interface {
	// learn takes in a result. Those of all candidates come, in the order of their
	// IDs.
	learn(o Outcome[G]) error
	// propose makes candidate id of what was learned. When it has returned an error
	// it may be called again.
	propose(id int) (Candidate[G], error)
}

func newSteady[G any](space Space[G], directions []pareto.Direction, seed uint64, concurrency, start int) steady[G] {
	source := new(source)
	return steady[G]{
		directions:  slices.Clone(directions),
		seed:        seed,
		concurrency: concurrency,
		start:       start,
		candidates:  newDistinct(space),
		source:      source,
		rng:         rand.New(source),
	}
}

// checkConcurrency returns an error if a setting is out of range.
func checkConcurrency(n int) error {
	if n < 0 {
		return fmt.Errorf("concurrency is %d, want 1 or more, or 0 for the default", n)
	}
	return nil
}

// Directions implements [Method].
func (s *steady[G]) Directions() []pareto.Direction { return slices.Clone(s.directions) }

// Tell implements [Method]. If it returns an error, it has changed nothing.
func (s *steady[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	return s.queue.tell(candidates, evaluations, len(s.directions))
}

// Pending implements [Method].
func (s *steady[G]) Pending() []Candidate[G] { return s.queue.pending() }

// ask is Ask of a method m that embeds s.
func (s *steady[G]) ask(n int, m learner[G]) ([]Candidate[G], error) {
	if n < 1 {
		return nil, fmt.Errorf("search: asked for %d candidates, want 1 or more", n)
	}
	var batch []Candidate[G]
	for len(batch) < n {
		c, err := s.next(m)
		if err != nil && len(batch) > 0 {
			break // the next call meets it
		}
		if err != nil {
			return nil, err
		}
		s.queue.put(c)
		batch = append(batch, c)
	}
	return batch, nil
}

// next makes the next candidate.
func (s *steady[G]) next(m learner[G]) (Candidate[G], error) {
	id := s.queue.next()
	if id >= s.start {
		if err := s.settle(id+1-s.inFlight(id), m); err != nil {
			return Candidate[G]{}, err
		}
	}
	c, err := m.propose(id)
	if !errors.Is(err, ErrExhausted) || s.queue.first == id {
		return c, err
	}
	// What is under way may lead to something new.
	if err := s.settle(id, m); err != nil {
		return Candidate[G]{}, err
	}
	return m.propose(id)
}

// inFlight returns how many candidates may be under way, candidate id among them.
func (s *steady[G]) inFlight(id int) int {
	if s.concurrency > 0 {
		return s.concurrency
	}
	return min(max(1, id/evaluationsPerChild), mostPopulation)
}

// settle has m learn the results of all candidates below id, or returns
// [ErrPending] if one is missing.
func (s *steady[G]) settle(id int, m learner[G]) error {
	n := id - s.queue.first
	if n <= 0 {
		return nil
	}
	if slices.ContainsFunc(s.queue.outcomes[:n], func(o Outcome[G]) bool { return !o.done() }) {
		return ErrPending
	}
	for _, o := range s.queue.take(n) {
		if err := m.learn(o); err != nil {
			return err
		}
	}
	return nil
}

// draw has rng make the random decisions of candidate id.
func (s *steady[G]) draw(p purpose, id int) { seedStream(&s.source.PCG, s.seed, p, 0, id) }

// sample makes candidate id a sample of the space.
func (s *steady[G]) sample(id int) (Candidate[G], error) {
	s.draw(forSample, id)
	genome, key, err := s.candidates.sample(s.rng)
	return Candidate[G]{ID: id, Genome: genome, Key: key, Operator: BySample}, err
}

// checkResults returns an error unless each outcome is one that a method was told.
func checkResults[G any](outcomes []Outcome[G], objectives int) error {
	for _, o := range outcomes {
		if !o.done() {
			return fmt.Errorf("candidate %d has no result", o.ID)
		}
		if err := o.check(objectives); err != nil {
			return err
		}
	}
	return nil
}
