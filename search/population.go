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
// number, less is better; so selection, and whatever of eaopt acts on populations
// (migration between islands, say), needs to know nothing about objectives.
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
//   - The HallOfFame holds duplicates and outdated scores. [Run] keeps a
//     [pareto.Archive].
//   - Cloning and creating individuals draw their IDs from the random numbers.
//     [newIndividual] takes the candidate's key, which is as unique.
//   - Random numbers are math/rand's, whose state cannot be saved and which takes
//     14 microseconds to seed. [source] puts a PCG beneath, seeded for every child.

// member is a candidate as an [eaopt.Genome].
type member[G any] struct {
	Candidate[G]
	Evaluation

	space Space[G]
	err   error // of an operator: eaopt's operators cannot return one
}

func newIndividual[G any](space Space[G], c Candidate[G]) eaopt.Individual {
	return eaopt.Individual{ID: c.Key, Genome: &member[G]{Candidate: c, space: space}}
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
	front, err := s.rank(population.Individuals)
	if err != nil {
		return err
	}
	all := population.Individuals
	slices.SortStableFunc(all, func(a, b eaopt.Individual) int { return cmp.Compare(a.Fitness, b.Fitness) })
	size := min(max(s.least, front), s.most, len(all))
	clear(all[size:]) // for the garbage collector
	population.Individuals = all[:size]
	return nil
}

// rank gives each individual its fitness: rank + 1/(2 + crowding distance), so
// that ranks stay apart, and within a rank the loneliest is the best. The feasible
// ranks are the fronts; the infeasible follow in order of violation; the failed
// are the last. It returns the size of the first front.
func (s survival[G]) rank(individuals eaopt.Individuals) (int, error) {
	var feasible, infeasible, failed []int
	var points [][]float64
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
	for _, front := range fronts {
		members := make([][]float64, len(front))
		for i, k := range front {
			members[i] = points[k]
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
