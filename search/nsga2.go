package search

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/efficientnas/nas/pareto"
)

// NSGA2 is the elitist non-dominated sorting genetic algorithm of Deb, Pratap,
// Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
// NSGA-II", IEEE TEVC 6(2), 2002.
//
// Generation 0 is a sample of the space. From then on, parents are chosen by
// binary tournaments, children made of them by crossover and mutation, and the
// best of parents and children become the next generation's parents. Better is,
// by Deb's rules: feasible before infeasible; of two infeasible, the one with the
// smaller violation; of two feasible, the one on the better front; on the same
// front, the one that stands more alone. Failed candidates come last.
//
// It differs from the paper in this:
//
//   - A child that was proposed before is replaced by another one; where a number
//     of tries find none that is new, by its mutation, and if that fails by a
//     new sample. So no candidate is evaluated twice. What mutation and crossover do is the
//     [Space]'s affair.
//   - Unless its size is given, the population grows with the search. When
//     evaluations are dear and few, a small one that takes in each child at
//     once finds more of the front; when they are cheap and many, a large one
//     spreads over more of it. It holds the front, 12 members at least and 200 at most,
//     and a generation has a child for every 40 evaluations so far, 1 at least
//     and 200 at most.
//
// The search stands on the population model of eaopt; population.go says how.
type NSGA2[G any] struct {
	settings NSGA2Settings
	breeding[G]
	queue queue[G] // the generation under way
}

// NSGA2Settings are the settings of [NSGA2]. The zero value is ready to use.
type NSGA2Settings struct {
	// Seed selects the random streams.
	Seed uint64
	// Population is the number of parents, and of the first generation: 2 or more.
	// 0 means that it grows, see [NSGA2].
	Population int
	// Offspring is the number of children per generation. 0 means as many as
	// parents, or where their number grows that it grows too. All of a
	// generation can be evaluated at once: with several workers and dear evaluations it
	// should be their number or a multiple.
	Offspring int
	// Crossover is the probability that a child has two parents: up to 1. 0 means
	// 0.6. With a negative value no child has.
	Crossover float64
	// Mutation is the probability that a child of two parents is mutated too: up
	// to 1. 0 means 0.1. With a negative value none is, unless it is known already.
	// A child of one parent always is mutated, as it would be its parent otherwise.
	Mutation float64
}

// How the population grows. Measured on NAS-Bench-Macro, where they were chosen,
// any value within a factor of two does as well.
const (
	leastPopulation     = 12
	mostPopulation      = 200
	evaluationsPerChild = 40
)

// withDefaults returns s with defaults filled in, and all that is wrong with it.
func (s NSGA2Settings) withDefaults() (NSGA2Settings, error) {
	var problems []error
	if s.Offspring < 0 {
		problems = append(problems, fmt.Errorf("offspring is %d, want 1 or more, or 0 for the default", s.Offspring))
	}
	if s.Offspring == 0 {
		s.Offspring = s.Population
	}
	for _, p := range []struct {
		name     string
		value    *float64
		standard float64
	}{
		{"crossover", &s.Crossover, 0.6},
		{"mutation", &s.Mutation, 0.1},
	} {
		if *p.value == 0 {
			*p.value = p.standard
		}
		if !(*p.value <= 1) {
			problems = append(problems, fmt.Errorf("%s probability is %v, want 1 or less", p.name, *p.value))
		}
	}
	return s, errors.Join(problems...)
}

// NewNSGA2 returns an NSGA-II search. It returns an error if a direction is
// unknown or there is none, or if a setting is out of range.
func NewNSGA2[G any](space Space[G], directions []pareto.Direction, settings NSGA2Settings) (*NSGA2[G], error) {
	settings, err := settings.withDefaults()
	model := survival[G]{directions: slices.Clone(directions), least: settings.Population, most: settings.Population}
	if settings.Population == 0 {
		model.least, model.most = leastPopulation, mostPopulation
	}
	if err := errors.Join(model.Validate(), err); err != nil {
		return nil, fmt.Errorf("search: nsga2: %w", err)
	}
	return &NSGA2[G]{
		settings: settings,
		breeding: newBreeding(newDistinct(space), model, settings.Seed, settings.Crossover, settings.Mutation),
	}, nil
}

// Directions implements [Method].
func (m *NSGA2[G]) Directions() []pareto.Direction { return slices.Clone(m.model.directions) }

// Ask implements [Method]. It returns no more than the rest of a generation, and
// [ErrPending] if results of a fully proposed generation are missing.
func (m *NSGA2[G]) Ask(n int) ([]Candidate[G], error) {
	if n < 1 {
		return nil, fmt.Errorf("search: asked for %d candidates, want 1 or more", n)
	}
	n = min(n, m.size(m.queue.first)-len(m.queue.outcomes))
	if n == 0 {
		return nil, ErrPending
	}
	batch := make([]Candidate[G], 0, n)
	for len(batch) < n {
		candidate, err := m.propose(len(m.queue.outcomes))
		if err != nil && len(batch) > 0 {
			break // the next call meets it
		}
		if err != nil {
			return nil, err
		}
		candidate.ID = m.queue.next()
		m.queue.put(candidate)
		batch = append(batch, candidate)
	}
	return batch, nil
}

// Tell implements [Method]. With the last result of a generation the next one
// begins. If it returns an error, it has changed nothing.
func (m *NSGA2[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := m.queue.tell(candidates, evaluations, len(m.model.directions)); err != nil {
		return err
	}
	if len(m.queue.outcomes) < m.size(m.queue.first) || !m.queue.complete() {
		return nil
	}
	return m.survive(m.queue.take(len(m.queue.outcomes)))
}

// size returns the size of the generation after so many evaluations.
func (m *NSGA2[G]) size(evaluations int) int {
	if evaluations == 0 {
		return m.model.least
	}
	return cmp.Or(m.settings.Offspring, min(max(1, evaluations/evaluationsPerChild), mostPopulation))
}

// Pending implements [Method].
func (m *NSGA2[G]) Pending() []Candidate[G] { return m.queue.pending() }

// savedNSGA2 is the state of [NSGA2] as gob can write it.
type savedNSGA2[G any] struct {
	Seen       savedDistinct
	Population savedPopulation[G]
	Queue      savedQueue[G]
}

func (m *NSGA2[G]) setup() any {
	return struct {
		NSGA2Settings
		Directions []pareto.Direction
	}{m.settings, m.model.directions}
}

// MarshalBinary implements [Method].
func (m *NSGA2[G]) MarshalBinary() ([]byte, error) {
	return marshalState("nsga2", m.setup(), savedNSGA2[G]{m.candidates.save(), m.savePopulation(), m.queue.save()})
}

// UnmarshalBinary implements [Method].
func (m *NSGA2[G]) UnmarshalBinary(data []byte) error {
	var s savedNSGA2[G]
	if err := unmarshalState(data, "nsga2", m.setup(), &s); err != nil {
		return err
	}
	queue := loadQueue(s.Queue)
	err := errors.Join(queue.check(len(m.model.directions)), s.Population.check(len(m.model.directions), 2))
	if n, most := len(queue.outcomes), m.size(queue.first); n > most {
		err = errors.Join(err, fmt.Errorf("%d candidates of a generation of %d", n, most))
	}
	if err != nil {
		return fmt.Errorf("search: load nsga2: %w", err)
	}
	m.candidates.load(s.Seen)
	m.loadPopulation(s.Population)
	m.queue = queue
	return nil
}
