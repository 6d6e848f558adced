package search

import (
	"cmp"
	"errors"
	"fmt"
	randv1 "math/rand"
	"math/rand/v2"
	"slices"

	"github.com/MaxHalford/eaopt"

	"github.com/efficientnas/nas/pareto"
)

// How evolution stands on eaopt (v0.4.2).
//
// Parents and children are eaopt.Individuals of an eaopt.Population. Children
// are made by eaopt's Individual.Crossover and Individual.Mutate, which hand on to
// the Space by the genome type [member]. Survival is an eaopt.Model. All that
// NSGA-II knows about who is better it writes into Individual.Fitness, one
// number, less is better; so selection, and migration between [Islands], need to
// know nothing about objectives.
//
// eaopt.GA is not used, as it evaluates by itself and cannot be asked and told.
// What else is avoided, each because it was seen to go wrong:
//
//   - Individual.Crossover takes the mate by value. If crossing changes the mate's
//     genome too, as eaopt's own operators do, the mate keeps a fitness which is
//     no longer its own. [member] changes the receiver only, and a second child
//     is crossed by itself.
//   - Individual.Evaluate ends a run on the first error, and a NaN breaks the
//     sorting. Here, evaluation is up to the caller; failure and NaN are the worst
//     ranks of a finite fitness; a member refuses to evaluate itself.
//   - SelTournament returns a wrong index in a fifth of the draws and takes O(n)
//     for each. [NSGA2] holds its own tournament.
//   - SortByFitness is unstable: the order of equals is that of the Go version's
//     sort. [survival] sorts stably.
//   - MigRing swaps members drawn at random, and not round a ring: the last
//     population has no way to the first. [Islands] send copies of their best.
//   - The HallOfFame holds duplicates and outdated scores. [Run] keeps a
//     [pareto.Archive].
//   - Cloning and creating individuals draw their IDs from the random numbers.
//     [newIndividual] takes the candidate's key, which is as unique.
//   - Random numbers are math/rand's, whose state cannot be saved and which takes
//     14 microseconds to seed. [source] puts a PCG beneath, seeded for every child.

// member is a candidate as an [eaopt.Genome].
type member[G any] struct {
	Outcome[G]

	space Space[G]
	err   error // of an operator: eaopt's operators cannot return one
}

func newIndividual[G any](space Space[G], o Outcome[G]) eaopt.Individual {
	return eaopt.Individual{ID: o.Key, Genome: &member[G]{Outcome: o, space: space}}
}

// memberOf returns the member that an individual is.
func memberOf[G any](individual eaopt.Individual) *member[G] {
	return individual.Genome.(*member[G])
}

// Evaluate implements [eaopt.Genome].
func (m *member[G]) Evaluate() (float64, error) {
	return 0, errors.New("search: a member does not evaluate itself")
}

// Mutate implements [eaopt.Genome].
func (m *member[G]) Mutate(rng *randv1.Rand) {
	if m.err != nil {
		return
	}
	if m.Genome, m.err = m.space.Mutate(rand.New(rng), m.Genome); m.err != nil {
		m.err = fmt.Errorf("mutate: %w", m.err)
	}
}

// Crossover implements [eaopt.Genome]. It leaves mate as it is.
func (m *member[G]) Crossover(mate eaopt.Genome, rng *randv1.Rand) {
	if m.err != nil {
		return
	}
	if m.Genome, m.err = m.space.Crossover(rand.New(rng), m.Genome, mate.(*member[G]).Genome); m.err != nil {
		m.err = fmt.Errorf("crossover: %w", m.err)
	}
}

// Clone implements [eaopt.Genome]. Genomes being immutable, they are shared.
func (m *member[G]) Clone() eaopt.Genome {
	clone := *m
	return &clone
}

// source is a PCG as a source of math/rand, on which eaopt draws.
type source struct{ rand.PCG }

func (s *source) Int63() int64    { return int64(s.Uint64() >> 1) }
func (s *source) Seed(seed int64) { s.PCG.Seed(uint64(seed), 0) }

func newPopulation(s *source) eaopt.Population {
	return eaopt.Population{RNG: randv1.New(s)}
}

// breeding is a population that multiplies. But for the settings it is plain
// data: RNG is seeded anew for every candidate and has no state to keep.
type breeding[G any] struct {
	seed                uint64
	crossover, mutation float64 // probabilities, as in [NSGA2Settings]
	model               survival[G]

	candidates distinct[G]
	population eaopt.Population // parents, best first; Generations counts survivals

	source *source
	rng    *rand.Rand // draws from source, as population.RNG does
	child  member[G]  // in the making; kept to save an allocation
}

const breedingTries = 30 // for a child that is new

func newBreeding[G any](candidates distinct[G], model survival[G], seed uint64, crossover, mutation float64) breeding[G] {
	source := new(source)
	population := newPopulation(source)
	return breeding[G]{
		seed: seed, crossover: crossover, mutation: mutation, model: model, candidates: candidates,
		population: population, source: source, rng: rand.New(population.RNG),
	}
}

// propose makes the next candidate of the generation, of this index. Its ID is
// left to the caller.
func (b *breeding[G]) propose(index int) (Candidate[G], error) {
	generation := int(b.population.Generations)
	candidate := Candidate[G]{Generation: generation}
	if generation > 0 {
		seedStream(&b.source.PCG, b.seed, forOffspring, generation, index)
		for range breedingTries {
			ok, err := b.breed(&candidate)
			if ok || err != nil {
				return candidate, err
			}
		}
		ok, err := b.vary(&candidate)
		if ok || err != nil {
			return candidate, err
		}
	}
	seedStream(&b.source.PCG, b.seed, forSample, generation, index)
	var err error
	candidate.Genome, candidate.Key, err = b.candidates.sample(b.rng)
	candidate.Operator, candidate.Parents = BySample, nil
	return candidate, err
}

// breed makes candidate a child of the population and reports whether it is new.
func (b *breeding[G]) breed(candidate *Candidate[G]) (ok bool, err error) {
	mother := memberOf[G](b.population.Individuals[b.tournament()])
	b.child = member[G]{space: b.candidates.space}
	b.child.Genome = mother.Genome
	child := eaopt.Individual{Genome: &b.child}
	candidate.Operator, candidate.Parents = ByMutation, []int{mother.ID}

	crossed := b.rng.Float64() < b.crossover
	if crossed {
		father := b.population.Individuals[b.tournament()]
		child.Crossover(father, b.population.RNG)
		candidate.Operator = ByCrossover
		candidate.Parents = append(candidate.Parents, memberOf[G](father).ID)
	}
	if !crossed || b.rng.Float64() < b.mutation {
		child.Mutate(b.population.RNG)
		if crossed {
			candidate.Operator = ByCrossoverMutation
		}
	}
	if b.child.err != nil {
		return false, fmt.Errorf("search: %w", b.child.err)
	}

	candidate.Genome = b.child.Genome
	candidate.Key, ok = b.candidates.take(candidate.Genome)
	return ok, nil
}

// vary mutates candidate, which is not new, until it is, if it can.
func (b *breeding[G]) vary(candidate *Candidate[G]) (ok bool, err error) {
	if candidate.Operator == ByCrossover {
		candidate.Operator = ByCrossoverMutation
	}
	candidate.Genome, candidate.Key, ok, err = b.candidates.vary(b.rng, candidate.Genome)
	return ok, err
}

// tournament returns the index of the better of two different parents.
func (b *breeding[G]) tournament() int {
	parents := b.population.Individuals
	i, j := b.rng.IntN(len(parents)), b.rng.IntN(len(parents)-1)
	if j >= i {
		j++
	}
	if parents[j].Fitness < parents[i].Fitness {
		return j
	}
	return i
}

// survive ends a generation, of these offspring.
func (b *breeding[G]) survive(offspring []Outcome[G]) error {
	// Parents first: where two are equally fit, the older one stays.
	for _, o := range offspring {
		b.population.Individuals = append(b.population.Individuals, newIndividual(b.candidates.space, o))
	}
	if err := b.model.Apply(&b.population); err != nil {
		return err
	}
	b.population.Generations++
	return nil
}

// savedPopulation is an [eaopt.Population] as gob can write it.
type savedPopulation[G any] struct {
	Generations uint
	Members     []savedOutcome[G]
	Fitness     []float64 // depends on those that have not survived, too
}

func (b *breeding[G]) savePopulation() savedPopulation[G] {
	s := savedPopulation[G]{Generations: b.population.Generations}
	members := make([]Outcome[G], len(b.population.Individuals))
	for i, individual := range b.population.Individuals {
		members[i] = memberOf[G](individual).Outcome
		s.Fitness = append(s.Fitness, individual.Fitness)
	}
	s.Members = saveOutcomes(members)
	return s
}

// check returns an error unless s may have been a population of at least so many
// members after generation 0.
func (s *savedPopulation[G]) check(objectives, least int) error {
	if n := len(s.Members); n != len(s.Fitness) || s.Generations > 0 && n < least {
		return fmt.Errorf("%d parents with %d fitnesses", n, len(s.Fitness))
	}
	for _, o := range loadOutcomes(s.Members) {
		if err := o.check(objectives); err != nil {
			return err
		}
	}
	return nil
}

func (b *breeding[G]) loadPopulation(s savedPopulation[G]) {
	b.population.Generations = s.Generations
	b.population.Individuals = nil
	for i, o := range loadOutcomes(s.Members) {
		individual := newIndividual(b.candidates.space, o)
		individual.Fitness, individual.Evaluated = s.Fitness[i], true
		b.population.Individuals = append(b.population.Individuals, individual)
	}
}

// survival is the survival of NSGA-II as an [eaopt.Model].
type survival[G any] struct {
	directions  []pareto.Direction
	least, most int // members that survive: the front, within these limits
}

// Validate implements [eaopt.Model].
func (s survival[G]) Validate() error {
	var problem error
	if s.least < 2 {
		problem = fmt.Errorf("population is %d, want 2 or more", s.least)
	}
	return errors.Join(pareto.CheckDirections(s.directions), problem)
}

// Apply implements [eaopt.Model]. It takes a population of evaluated parents and
// children, and leaves the best of them, sorted.
func (s survival[G]) Apply(population *eaopt.Population) error {
	all := population.Individuals
	front, err := s.rank(all)
	if err != nil {
		return err
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(all[i].Fitness, all[j].Fitness), cmp.Compare(i, j))
	})
	survivors := make(eaopt.Individuals, min(max(s.least, front), s.most, len(all)))
	for i := range survivors {
		survivors[i] = all[order[i]]
	}
	population.Individuals = survivors
	return nil
}

// rank gives each individual its fitness: rank + 1/(2 + crowding distance), so
// that ranks stay apart, and within a rank the loneliest is the best. The feasible
// ranks are the fronts; the infeasible follow in order of violation; the failed
// are the last. It returns the size of the first front.
func (s survival[G]) rank(individuals eaopt.Individuals) (int, error) {
	var infeasible, failed []int
	feasible := make([]int, 0, len(individuals))
	points := make([][]float64, 0, len(individuals))
	for i := range individuals {
		switch m := memberOf[G](individuals[i]); {
		case m.feasible():
			feasible = append(feasible, i)
			points = append(points, m.Objectives)
		case m.Err == nil:
			infeasible = append(infeasible, i)
		default:
			failed = append(failed, i)
		}
		individuals[i].Evaluated = true
	}

	fronts, err := pareto.Fronts(points, s.directions)
	if err != nil {
		return 0, fmt.Errorf("search: survival: %w", err)
	}
	rank, first := 0, 0
	if len(fronts) > 0 {
		first = len(fronts[0])
	}
	members := make([][]float64, 0, len(points))
	for _, front := range fronts {
		members = members[:0]
		for _, k := range front {
			members = append(members, points[k])
		}
		crowding, err := pareto.Crowding(members)
		if err != nil {
			return 0, fmt.Errorf("search: survival: %w", err)
		}
		for i, k := range front {
			individuals[feasible[k]].Fitness = float64(rank) + 1/(2+crowding[i])
		}
		rank++
	}

	violation := func(i int) float64 { return memberOf[G](individuals[i]).Violation }
	slices.SortFunc(infeasible, func(a, b int) int { return cmp.Compare(violation(a), violation(b)) })
	for k, i := range infeasible {
		if k > 0 && violation(i) > violation(infeasible[k-1]) {
			rank++
		}
		individuals[i].Fitness = float64(rank) + 1./2
	}
	rank++ // beyond the last of the infeasible, if there is any
	for _, i := range failed {
		individuals[i].Fitness = float64(rank) + 1./2
	}
	return first, nil
}
