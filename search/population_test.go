package search

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/MaxHalford/eaopt"

	"github.com/efficientnas/nas/pareto"
)

// Deb's rules, one by one, in ascending order of fitness.
func TestSurvival(t *testing.T) {
	ordered := []struct {
		name string
		Evaluation
	}{
		{"first front, an end", Evaluation{Objectives: []float64{0, 9}}},
		{"first front, the other end", Evaluation{Objectives: []float64{9, 0}}},
		{"first front, alone", Evaluation{Objectives: []float64{4, 4}}},
		{"first front, crowded", Evaluation{Objectives: []float64{8, 1}}},
		{"second front", Evaluation{Objectives: []float64{8.5, 1.5}}},
		{"third front", Evaluation{Objectives: []float64{100, 100}}},
		{"violates a little", Evaluation{Objectives: []float64{-9, -9}, Violation: 0.1}},
		{"violates more", Evaluation{Violation: 0.2}},
		{"violates as much", Evaluation{Objectives: []float64{-1, -1}, Violation: 0.2}},
		{"violates without bound", Evaluation{Violation: math.Inf(1)}},
		{"failed", Evaluation{Err: errors.New("failed")}},
		{"failed too", Evaluation{Objectives: []float64{-9, -9}, Err: errors.New("failed")}},
	}
	equal := map[string]bool{"first front, the other end": true, "violates as much": true, "failed too": true}
	s := survival[int]{directions: make([]pareto.Direction, 2), least: 7, most: 7}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		order := rng.Perm(len(ordered))
		population := newPopulation(new(source))
		for _, i := range order {
			population.Individuals = append(population.Individuals,
				eaopt.Individual{Genome: &member[int]{Outcome: Outcome[int]{Candidate[int]{ID: i}, ordered[i].Evaluation}}})
		}

		fitness := make([]float64, len(ordered))
		all := slices.Clone(population.Individuals)
		if _, err := s.rank(all); err != nil {
			t.Fatal(err)
		}
		for _, individual := range all {
			fitness[memberOf[int](individual).ID] = individual.Fitness
			if !individual.Evaluated {
				t.Errorf("%s is not marked as evaluated", ordered[memberOf[int](individual).ID].name)
			}
		}
		for i := 1; i < len(ordered); i++ {
			if name := ordered[i].name; equal[name] != (fitness[i-1] == fitness[i]) || fitness[i-1] > fitness[i] {
				t.Errorf("%s has fitness %v, %s %v", ordered[i-1].name, fitness[i-1], name, fitness[i])
			}
		}

		if err := s.Apply(&population); err != nil {
			t.Fatal(err)
		}
		if !population.Individuals.IsSortedByFitness() || len(population.Individuals) != s.least {
			t.Errorf("survivors: %v", population.Individuals)
		}
		for _, individual := range population.Individuals {
			if id := memberOf[int](individual).ID; id >= s.least {
				t.Errorf("%s survived", ordered[id].name)
			}
		}
	}
}

// Of equals, those who were first stay, in their order.
func TestSurvivalIsStable(t *testing.T) {
	population := newPopulation(new(source))
	for i := range 100 {
		population.Individuals = append(population.Individuals, eaopt.Individual{Genome: &member[int]{
			Outcome: Outcome[int]{Candidate[int]{ID: i}, Evaluation{Violation: float64(2 - i%2)}}, // the odd ones are better
		}})
	}
	if err := (survival[int]{directions: make([]pareto.Direction, 1), least: 60, most: 60}).Apply(&population); err != nil {
		t.Fatal(err)
	}
	var got, want []int
	for i, individual := range population.Individuals {
		got = append(got, memberOf[int](individual).ID)
		want = append(want, 2*i+1)
		if i >= 50 {
			want[i] = 2 * (i - 50)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("survivors %v, want %v", got, want)
	}
}

// In a tournament of two, the k-th best of n wins with probability
// 2(n-k)/(n(n-1)), the worst never.
func TestTournament(t *testing.T) {
	m, err := NewNSGA2[int](sum{}, []pareto.Direction{pareto.Minimize}, NSGA2Settings{Population: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, fitness := range []float64{3, 1, 5, 2, 4} {
		m.population.Individuals = append(m.population.Individuals, eaopt.Individual{Fitness: fitness})
	}
	const draws = 100_000
	wins := make([]int, 6)
	for range draws {
		wins[int(m.population.Individuals[m.tournament()].Fitness)]++
	}
	for k := 1; k <= 5; k++ {
		got, want := float64(wins[k])/draws, 2*float64(5-k)/20
		if math.Abs(got-want) > 0.01 || k == 5 && got != 0 { // six standard deviations
			t.Errorf("the %d-best of 5 won %v of the tournaments, want %v", k, got, want)
		}
	}
}

// eaopt's crossover must leave the mate as it is, fitness and all.
func TestCrossoverLeavesTheMate(t *testing.T) {
	population := newPopulation(new(source))
	a := newIndividual[int](sum{}, Outcome[int]{Candidate: Candidate[int]{Genome: 1, Key: "a"}})
	b := newIndividual[int](sum{}, Outcome[int]{Candidate: Candidate[int]{Genome: 2, Key: "b"}})
	child := eaopt.Individual{Genome: a.Genome.Clone(), Evaluated: true}
	child.Crossover(b, population.RNG)
	child.Mutate(population.RNG)
	if got := []int{memberOf[int](a).Genome, memberOf[int](b).Genome, memberOf[int](child).Genome}; !slices.Equal(got, []int{1, 2, -3}) {
		t.Errorf("parents and child are %v", got)
	}
	if child.Evaluated {
		t.Error("the child counts as evaluated")
	}
	if err := child.Evaluate(); err == nil {
		t.Error("a member evaluates itself")
	}
}

type sum struct{}

func (sum) Sample(*rand.Rand) (int, error)                { return 0, nil }
func (sum) Mutate(_ *rand.Rand, a int) (int, error)       { return -a, nil }
func (sum) Crossover(_ *rand.Rand, a, b int) (int, error) { return a + b, nil }
func (sum) Key(int) string                                { return "" }

// Streams whose keys differ anywhere differ; those whose keys agree, agree.
func TestStreams(t *testing.T) {
	type key struct {
		seed              uint64
		purpose           purpose
		generation, index int
	}
	draw := func(k key) [2]uint64 {
		var source rand.PCG
		seedStream(&source, k.seed, k.purpose, k.generation, k.index)
		return [2]uint64{source.Uint64(), source.Uint64()}
	}
	seen := make(map[[2]uint64]key)
	for seed := range uint64(10) {
		for _, p := range []purpose{forSample, forOffspring} {
			for generation := range 20 {
				for index := range 50 {
					k := key{seed, p, generation, index}
					d := draw(k)
					if old, ok := seen[d]; ok {
						t.Fatalf("streams %+v and %+v agree", old, k)
					}
					seen[d] = k
					if draw(k) != d {
						t.Fatalf("stream %+v differs from itself", k)
					}
				}
			}
		}
	}
	// A change here breaks "same seed, same result" for users.
	if got, want := draw(key{1, forOffspring, 2, 3}), [2]uint64{0xb35a4302f3ecdfa4, 0xba69d1afa4eddb3f}; got != want {
		t.Errorf("stream (1, offspring, 2, 3) begins %#x, want %#x", got, want)
	}
}
