package search

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/MaxHalford/eaopt"

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
//     spreads over more of it. It holds the front, 20 members at least and 200 at most,
//     and a generation has a child for every 25 evaluations so far, 1 at least
//     and 200 at most.
//
// The search stands on the population model of eaopt; population.go says how.
type NSGA2[G any] struct {
	settings NSGA2Settings
	model    survival[G]

	// The state: plain data, but for population.RNG, which is seeded anew for
	// every candidate. Any method call leaves it complete, so that a later
	// snapshot of it can resume the search exactly.
	candidates distinct[G]
	population eaopt.Population  // parents, best first; Generations counts survivals
	offspring  eaopt.Individuals // of the generation under way, in order of proposal
	first      int               // ID of offspring[0]
	size       int               // of the generation under way
	told       int               // how many offspring have been evaluated

	source *source
	rng    *rand.Rand // draws from source, as population.RNG does
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
	// 0.7. With a negative value no child has.
	Crossover float64
	// Mutation is the probability that a child of two parents is mutated too: up
	// to 1. 0 means 0.1. With a negative value none is, unless it is known already.
	// A child of one parent always is mutated, as it would be its parent otherwise.
	Mutation float64
}

// How the population grows. Measured on NAS-Bench-Macro, where they were chosen,
// any value within a factor of two does as well.
const (
	leastPopulation     = 20
	mostPopulation      = 200
	evaluationsPerChild = 25
	breedingTries       = 30 // for a child that is new
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
		{"crossover", &s.Crossover, 0.7},
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
	source := new(source)
	population := newPopulation(source)
	return &NSGA2[G]{
		settings:   settings,
		model:      model,
		size:       model.least,
		candidates: newDistinct(space),
		population: population,
		source:     source,
		rng:        rand.New(population.RNG),
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
	n = min(n, m.size-len(m.offspring))
	if n == 0 {
		return nil, ErrPending
	}
	batch := make([]Candidate[G], 0, n)
	for len(batch) < n {
		candidate, err := m.propose()
		if errors.Is(err, ErrExhausted) && len(batch) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		m.offspring = append(m.offspring, newIndividual(m.candidates.space, candidate))
		batch = append(batch, candidate)
	}
	return batch, nil
}

// propose makes the next candidate of the generation.
func (m *NSGA2[G]) propose() (Candidate[G], error) {
	index, generation := len(m.offspring), int(m.population.Generations)
	candidate := Candidate[G]{ID: m.first + index, Generation: generation}
	if generation > 0 {
		seedStream(&m.source.PCG, m.settings.Seed, forOffspring, generation, index)
		for range breedingTries {
			ok, err := m.breed(&candidate)
			if ok || err != nil {
				return candidate, err
			}
		}
		ok, err := m.vary(&candidate)
		if ok || err != nil {
			return candidate, err
		}
	}
	seedStream(&m.source.PCG, m.settings.Seed, forSample, generation, index)
	var err error
	candidate.Genome, candidate.Key, err = m.candidates.sample(m.rng)
	candidate.Operator, candidate.Parents = BySample, nil
	return candidate, err
}

// breed makes candidate a child of the population and reports whether it is new.
func (m *NSGA2[G]) breed(candidate *Candidate[G]) (ok bool, err error) {
	mother := m.population.Individuals[m.tournament()]
	child := eaopt.Individual{Genome: mother.Genome.Clone()}
	candidate.Operator, candidate.Parents = ByMutation, []int{memberOf[G](mother).ID}

	crossed := m.rng.Float64() < m.settings.Crossover
	if crossed {
		father := m.population.Individuals[m.tournament()]
		child.Crossover(father, m.population.RNG)
		candidate.Operator = ByCrossover
		candidate.Parents = append(candidate.Parents, memberOf[G](father).ID)
	}
	if !crossed || m.rng.Float64() < m.settings.Mutation {
		child.Mutate(m.population.RNG)
		if crossed {
			candidate.Operator = ByCrossoverMutation
		}
	}
	made := memberOf[G](child)
	if made.err != nil {
		return false, fmt.Errorf("search: %w", made.err)
	}

	candidate.Genome = made.Genome
	candidate.Key, ok = m.candidates.take(candidate.Genome)
	return ok, nil
}

// vary mutates candidate, which is not new, until it is, if it can.
func (m *NSGA2[G]) vary(candidate *Candidate[G]) (ok bool, err error) {
	if candidate.Operator == ByCrossover {
		candidate.Operator = ByCrossoverMutation
	}
	candidate.Genome, candidate.Key, ok, err = m.candidates.vary(m.rng, candidate.Genome)
	return ok, err
}

// tournament returns the index of the better of two different parents.
func (m *NSGA2[G]) tournament() int {
	parents := m.population.Individuals
	i, j := m.rng.IntN(len(parents)), m.rng.IntN(len(parents)-1)
	if j >= i {
		j++
	}
	if parents[j].Fitness < parents[i].Fitness {
		return j
	}
	return i
}

// Tell implements [Method]. With the last result of a generation the next one
// begins. If it returns an error, it has changed nothing.
func (m *NSGA2[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := checkTold(candidates, evaluations); err != nil {
		return err
	}
	told := make(map[int]bool, len(candidates))
	for _, c := range candidates {
		i := c.ID - m.first
		if i < 0 || i >= len(m.offspring) || memberOf[G](m.offspring[i]).Key != c.Key {
			return fmt.Errorf("search: told of candidate %d, which was not asked for in this generation", c.ID)
		}
		if told[i] || memberOf[G](m.offspring[i]).done() {
			return fmt.Errorf("search: told of candidate %d twice", c.ID)
		}
		told[i] = true
	}
	for i, c := range candidates {
		memberOf[G](m.offspring[c.ID-m.first]).Evaluation = evaluations[i].checked(len(m.model.directions))
	}
	m.told += len(candidates)
	if m.told < m.size {
		return nil
	}

	// Parents first: where two are equally fit, the older one stays.
	m.population.Individuals = append(m.population.Individuals, m.offspring...)
	if err := m.model.Apply(&m.population); err != nil {
		return err
	}
	m.population.Generations++
	m.first += len(m.offspring)
	clear(m.offspring) // for the garbage collector
	m.offspring, m.told = m.offspring[:0], 0
	if m.size = m.settings.Offspring; m.size == 0 {
		m.size = min(max(1, m.first/evaluationsPerChild), mostPopulation)
	}
	return nil
}
