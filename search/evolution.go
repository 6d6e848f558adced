package search

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/MaxHalford/eaopt"

	"github.com/efficientnas/nas/pareto"
)

// Evolution is the aging evolution, also called regularised, of Real, Aggarwal,
// Huang and Le, "Regularized evolution for image classifier architecture search",
// AAAI 2019.
//
// The population is what was evaluated last. Each new candidate is a mutation of
// the winner of a tournament, and for it the oldest member dies, however good it
// is: what was lucky in a noisy evaluation lives on only if its children are good
// too.
//
// It differs from the paper in this:
//
//   - There may be several objectives, and constraints. Each tournament draws
//     weights of the objectives and is won by what is best by them, see [scale]; by
//     Deb's rules the feasible win over the infeasible, of these the one with the
//     smaller violation, and over the failed all others.
//   - Tournaments are as large as the population, where the paper's have a quarter
//     of it: only few members are good by some weights.
//   - Unless its size is given, the population grows, from 12 samples to 200
//     members.
//   - A child that was proposed before is replaced by another one, as in [NSGA2].
//     So no candidate is evaluated twice.
//   - It is as asynchronous as the paper's, but what it proposes does not depend on
//     which evaluation is done first, see [EvolutionSettings].
//
// The search stands on the population model of eaopt; population.go says how.
type Evolution[G any] struct {
	settings EvolutionSettings
	steady[G]
	model      aging[G]
	population eaopt.Population // the oldest first
	scale      scale            // of its feasible members
}

// EvolutionSettings are the settings of [Evolution]. The zero value is ready to
// use.
type EvolutionSettings struct {
	// Seed selects the random streams.
	Seed uint64
	// Population is the number of members, and of samples at the beginning: 1 or
	// more. 0 means that 12 samples are drawn and the population grows to 200.
	Population int
	// Tournament is the number of members that are drawn for a tournament, with
	// replacement: 1 or more. 0 means as many as there are.
	Tournament int
	// Crossover is the probability that a child has two parents, the winners of two
	// tournaments, instead of being a mutation of one: from 0, as in the paper, to
	// 1. Where what is good for one gene hardly depends on the others, as in most
	// test problems, 0.5 comes to the front sooner.
	Crossover float64
	// Concurrency is the number of candidates that can be evaluated at once, those
	// sampled at the beginning apart: 1 or more. Candidate i is made of the results
	// of all up to i - Concurrency. 0 means one for every 40 evaluations so far, 1 at
	// least and 200 at most. It should be no less than the number of workers; the
	// greater it is beyond that, the later a search learns.
	Concurrency int
}

// check returns all that is wrong with s.
func (s EvolutionSettings) check() error {
	var problems []error
	if s.Population < 0 {
		problems = append(problems, fmt.Errorf("population is %d, want 1 or more, or 0 for the default", s.Population))
	}
	if s.Tournament < 0 {
		problems = append(problems, fmt.Errorf("tournament is %d, want 1 or more, or 0 for the default", s.Tournament))
	}
	if !(s.Crossover >= 0 && s.Crossover <= 1) {
		problems = append(problems, fmt.Errorf("crossover probability is %v, want 0 to 1", s.Crossover))
	}
	return errors.Join(append(problems, checkConcurrency(s.Concurrency))...)
}

// NewEvolution returns an aging evolution. It returns an error if a direction is
// unknown or there is none, or if a setting is out of range.
func NewEvolution[G any](space Space[G], directions []pareto.Direction, settings EvolutionSettings) (*Evolution[G], error) {
	if err := errors.Join(pareto.CheckDirections(directions), settings.check()); err != nil {
		return nil, fmt.Errorf("search: evolution: %w", err)
	}
	m := &Evolution[G]{
		settings: settings,
		steady:   newSteady(space, directions, settings.Seed, settings.Concurrency, cmp.Or(settings.Population, leastPopulation)),
		model:    aging[G]{cmp.Or(settings.Population, mostPopulation)},
	}
	m.population = newPopulation(m.source)
	return m, nil
}

// aging is the survival of the young as an [eaopt.Model].
type aging[G any] struct{ size int }

// Validate implements [eaopt.Model].
func (a aging[G]) Validate() error {
	if a.size < 1 {
		return fmt.Errorf("population is %d, want 1 or more", a.size)
	}
	return nil
}

// Apply implements [eaopt.Model]. It leaves the youngest, the oldest of them first.
func (a aging[G]) Apply(population *eaopt.Population) error {
	all := population.Individuals
	slices.SortFunc(all, func(a, b eaopt.Individual) int { return cmp.Compare(memberOf[G](a).ID, memberOf[G](b).ID) })
	dead := max(0, len(all)-a.size)
	clear(all[:dead]) // for the garbage collector
	population.Individuals = all[dead:]
	return nil
}

// Ask implements [Method]. It returns [ErrPending] if results are missing on which
// the next candidate depends, see [EvolutionSettings.Concurrency].
func (m *Evolution[G]) Ask(n int) ([]Candidate[G], error) { return m.ask(n, m) }

// learn implements [learner].
func (m *Evolution[G]) learn(o Outcome[G]) error {
	individual := newIndividual(m.candidates.space, o)
	individual.Evaluated = true
	m.population.Individuals = append(m.population.Individuals, individual)
	err := m.model.Apply(&m.population)
	m.measure()
	return err
}

// measure finds the range of the population's objectives.
func (m *Evolution[G]) measure() {
	m.scale = newScale(m.directions)
	for i := range m.population.Individuals {
		if o := memberOf[G](m.population.Individuals[i]); o.feasible() {
			m.scale.add(o.Objectives, m.directions)
		}
	}
}

// propose implements [learner].
func (m *Evolution[G]) propose(id int) (Candidate[G], error) {
	if len(m.population.Individuals) == 0 {
		return m.sample(id)
	}
	m.draw(forOffspring, id)
	var c Candidate[G]
	for range breedingTries {
		var ok bool
		var err error
		if c, ok, err = m.breed(id); ok || err != nil {
			return c, err
		}
	}
	var ok bool
	var err error
	if c.Operator == ByCrossover {
		c.Operator = ByCrossoverMutation
	}
	if c.Genome, c.Key, ok, err = m.candidates.vary(m.rng, c.Genome); ok || err != nil {
		return c, err
	}
	return m.sample(id)
}

// breed makes a child of the population and reports whether it is new.
func (m *Evolution[G]) breed(id int) (c Candidate[G], ok bool, err error) {
	mother := m.tournament()
	child := eaopt.Individual{Genome: mother.Clone()}
	c = Candidate[G]{ID: id, Generation: mother.Generation + 1, Parents: []int{mother.ID}, Operator: ByMutation}
	if m.rng.Float64() < m.settings.Crossover {
		father := m.tournament()
		child.Crossover(eaopt.Individual{Genome: father}, m.population.RNG)
		c.Generation = max(mother.Generation, father.Generation) + 1
		c.Parents, c.Operator = append(c.Parents, father.ID), ByCrossover
	} else {
		child.Mutate(m.population.RNG)
	}
	made := memberOf[G](child)
	if made.err != nil {
		return c, false, fmt.Errorf("search: %w", made.err)
	}
	c.Genome = made.Genome
	c.Key, ok = m.candidates.take(c.Genome)
	return c, ok, nil
}

// tournament returns the best, for weights that it draws, of members that it
// draws. Of equals it is the first.
func (m *Evolution[G]) tournament() *member[G] {
	weights := drawWeights(m.rng, len(m.directions))
	var winner *member[G]
	var best merit
	for range cmp.Or(m.settings.Tournament, len(m.population.Individuals)) {
		contender := memberOf[G](m.population.Individuals[m.rng.IntN(len(m.population.Individuals))])
		if its := m.scale.merit(contender.Evaluation, weights); winner == nil || its.better(best) {
			winner, best = contender, its
		}
	}
	return winner
}

// savedEvolution is the state of [Evolution] as gob can write it.
type savedEvolution[G any] struct {
	Seen       savedDistinct
	Queue      savedQueue[G]
	Population []savedOutcome[G]
}

func (m *Evolution[G]) setup() any {
	return struct {
		EvolutionSettings
		Directions []pareto.Direction
	}{m.settings, m.directions}
}

// MarshalBinary implements [Method].
func (m *Evolution[G]) MarshalBinary() ([]byte, error) {
	s := savedEvolution[G]{Seen: m.candidates.save(), Queue: m.queue.save()}
	members := make([]Outcome[G], len(m.population.Individuals))
	for i, individual := range m.population.Individuals {
		members[i] = memberOf[G](individual).Outcome
	}
	s.Population = saveOutcomes(members)
	return marshalState("evolution", m.setup(), s)
}

// UnmarshalBinary implements [Method].
func (m *Evolution[G]) UnmarshalBinary(data []byte) error {
	var s savedEvolution[G]
	if err := unmarshalState(data, "evolution", m.setup(), &s); err != nil {
		return err
	}
	queue := loadQueue(s.Queue)
	members := loadOutcomes(s.Population)
	err := errors.Join(queue.check(len(m.directions)), checkResults(members, len(m.directions)))
	if err != nil {
		return fmt.Errorf("search: load evolution: %w", err)
	}
	m.candidates.load(s.Seen)
	m.queue = queue
	m.population.Individuals = nil
	for _, o := range members {
		individual := newIndividual(m.candidates.space, o)
		individual.Evaluated = true
		m.population.Individuals = append(m.population.Individuals, individual)
	}
	m.measure()
	return nil
}
