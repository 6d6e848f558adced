package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/efficientnas/nas/pareto"
)

// digits is a space of 10^n candidates for several goroutines. It counts, and
// from the call of that number on fails once.
type digits struct {
	n      int
	calls  *atomic.Int64
	failAt int64
}

var errDigits = errors.New("out of digits")

func (d digits) called() error {
	if d.calls != nil && d.calls.Add(1) == d.failAt {
		return errDigits
	}
	return nil
}

func (d digits) Sample(rng *rand.Rand) ([]int, error) {
	x := make([]int, d.n)
	for i := range x {
		x[i] = rng.IntN(10)
	}
	return x, d.called()
}

func (d digits) Mutate(rng *rand.Rand, x []int) ([]int, error) {
	x = slices.Clone(x)
	x[rng.IntN(d.n)] = rng.IntN(10)
	return x, d.called()
}

func (d digits) Crossover(rng *rand.Rand, a, b []int) ([]int, error) {
	at := rng.IntN(d.n)
	return slices.Concat(a[:at], b[at:]), d.called()
}

func (d digits) Key(x []int) string { return fmt.Sprint(x) }

// zdt1 is as in the tests of the other methods.
func (d digits) zdt1(x []int) Evaluation {
	f1, sum := float64(x[0])/9, 0.
	for _, v := range x[1:] {
		sum += float64(v) / 9
	}
	h := 1 + 9*sum/float64(d.n-1)
	return Evaluation{Objectives: []float64{f1, h * (1 - math.Sqrt(f1/h))}}
}

func newIslands(t *testing.T, space digits, settings IslandsSettings) *Islands[[]int] {
	t.Helper()
	m, err := NewIslands(space, []pareto.Direction{pareto.Minimize, pareto.Minimize}, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// round has a round of m evaluated, and returns it.
func round(t *testing.T, m *Islands[[]int], f func(Candidate[[]int]) Evaluation) []Candidate[[]int] {
	t.Helper()
	batch, err := m.Ask(1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	var evaluations []Evaluation
	for _, c := range batch {
		evaluations = append(evaluations, f(c))
	}
	if err := m.Tell(batch, evaluations); err != nil {
		t.Fatal(err)
	}
	return batch
}

// The number of cores changes nothing.
func TestIslandsOnCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	space := digits{n: 4}
	var want []Candidate[[]int]
	for _, cores := range []int{1, 4} {
		runtime.GOMAXPROCS(cores)
		m := newIslands(t, space, IslandsSettings{Seed: 3})
		var got []Candidate[[]int]
		for len(got) < 3000 {
			got = append(got, round(t, m, func(c Candidate[[]int]) Evaluation { return space.zdt1(c.Genome) })...)
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d cores propose otherwise than one", cores)
		}
	}
}

// In a small space islands often have the same idea. Each round is whole for all
// that, until the space has less to give.
func TestIslandsReplaceDoubles(t *testing.T) {
	space := digits{n: 3}
	m := newIslands(t, space, IslandsSettings{Seed: 1, Islands: 5, Population: 12})
	seen := make(map[string]bool)
	for r := range 12 {
		children := make([][]Candidate[[]int], 5)
		if err := m.each(func(i int) (err error) { children[i], err = m.breed(i); return err }); err != nil {
			t.Fatal(err)
		}
		m.share() // as if nothing had been bred
		proposed := make(map[string]bool)
		doubles := 0
		for _, c := range slices.Concat(children...) {
			if proposed[c.Key] {
				doubles++
			}
			proposed[c.Key] = true
		}
		if r > 3 && doubles == 0 {
			t.Errorf("round %d is without doubles: the test is too easy", r)
		}
		batch := round(t, m, func(c Candidate[[]int]) Evaluation { return space.zdt1(c.Genome) })
		if len(batch) != 60 {
			t.Errorf("round %d has %d candidates, want 60", r, len(batch))
		}
		for _, c := range batch {
			if seen[c.Key] {
				t.Errorf("candidate %d, %s, was proposed before", c.ID, c.Key)
			}
			seen[c.Key] = true
		}
	}
}

// The best of an island goes on to the next with each migration, round the ring,
// and nowhere without.
func TestMigration(t *testing.T) {
	for _, c := range []struct{ interval, migrants int }{{1, 1}, {3, 2}, {-1, 2}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			const islands = 4
			m := newIslands(t, digits{n: 8}, IslandsSettings{Seed: 1, Islands: islands, Population: 6, Interval: c.interval, Migrants: c.migrants})
			const best = 2*6 + 1 // of the third island
			for r := 1; r <= 13; r++ {
				round(t, m, func(c Candidate[[]int]) Evaluation {
					if c.ID == best {
						return Evaluation{Objectives: []float64{-1, -1}}
					}
					return Evaluation{Objectives: []float64{float64(c.ID % 7), float64(c.ID % 11)}}
				})
				migrations := 0
				if c.interval > 0 {
					migrations = r / c.interval
				}
				for i, island := range m.islands {
					keys := make(map[string]bool)
					there := false
					for _, individual := range island.population.Individuals {
						keys[individual.ID] = true
						there = there || memberOf[[]int](individual).ID == best
					}
					if steps := (i - 2 + islands) % islands; there != (steps <= migrations) {
						t.Errorf("round %d: is the best, %d steps away, on island %d? %v", r, steps, i, there)
					}
					if len(keys) != 6 || len(island.population.Individuals) != 6 {
						t.Errorf("round %d: island %d has %d members, %d of them different", r, i, len(island.population.Individuals), len(keys))
					}
				}
			}
		})
	}
}

// Migration finds more of the front than islands that know nothing of each other,
// which find more than chance does.
func TestIslandsFindTheFront(t *testing.T) {
	space := digits{n: 12}
	directions := []pareto.Direction{pareto.Minimize, pareto.Minimize}
	share := func(m Method[[]int], err error) float64 {
		if err != nil {
			t.Fatal(err)
		}
		ev := EvaluatorFunc[[]int](func(_ context.Context, batch []Candidate[[]int], out []Evaluation) error {
			for i, c := range batch {
				out[i] = space.zdt1(c.Genome)
			}
			return nil
		})
		result, err := Run(t.Context(), m, ev, Settings[[]int]{Evaluations: 1200})
		if err != nil {
			t.Fatal(err)
		}
		var points, best [][]float64
		for _, o := range result.Front {
			points = append(points, o.Objectives)
		}
		for v := range 10 {
			best = append(best, space.zdt1(append([]int{v}, make([]int, 11)...)).Objectives)
		}
		got, err := pareto.Hypervolume(points, []float64{1.1, 1.1}, directions)
		all, err2 := pareto.Hypervolume(best, []float64{1.1, 1.1}, directions)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return got / all
	}
	var together, apart, random float64
	const seeds = 3
	for seed := range uint64(seeds) {
		together += share(NewIslands(space, directions, IslandsSettings{Seed: seed})) / seeds
		apart += share(NewIslands(space, directions, IslandsSettings{Seed: seed, Interval: -1})) / seeds
		random += share(NewRandom(space, directions, seed)) / seeds
	}
	t.Logf("with migration %.3f of the hypervolume, without %.3f, random %.3f", together, apart, random)
	if together < 0.95 || together < apart+0.1 || apart < random+0.1 {
		t.Errorf("with migration %.3f of the hypervolume, without %.3f, random %.3f", together, apart, random)
	}
}

// An error of the space, wherever it comes, leaves the round to be proposed again
// as it would have been.
func TestIslandsSpaceError(t *testing.T) {
	settings := IslandsSettings{Seed: 1, Islands: 3, Population: 20}
	evaluate := func(c Candidate[[]int]) Evaluation { return digits{n: 3}.zdt1(c.Genome) }
	whole := newIslands(t, digits{n: 3}, settings)
	round(t, whole, evaluate)
	want := round(t, whole, evaluate)
	calls := new(atomic.Int64)
	counted := newIslands(t, digits{n: 3, calls: calls}, settings)
	round(t, counted, evaluate)
	first := calls.Load()
	round(t, counted, evaluate)
	for failAt := first + 1; failAt <= calls.Load(); failAt += 5 {
		m := newIslands(t, digits{n: 3, calls: new(atomic.Int64), failAt: failAt}, settings)
		round(t, m, evaluate)
		if _, err := m.Ask(1); !errors.Is(err, errDigits) {
			t.Fatalf("call %d failed, Ask with %v", failAt, err)
		}
		if got := round(t, m, evaluate); !reflect.DeepEqual(got, want) {
			t.Errorf("after call %d had failed the round was another", failAt)
		}
	}
}

// No method panics, now or later, on a state that is whole but cannot be.
func TestImpossibleStates(t *testing.T) {
	space := digits{n: 3}
	directions := []pareto.Direction{pareto.Minimize, pareto.Minimize}
	refuse := func(t *testing.T, m Method[[]int], name string, setup, state any, want string) {
		t.Helper()
		data, err := marshalState(name, setup, state)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.UnmarshalBinary(data); err == nil || err.Error() != "search: load "+name+": "+want {
			t.Errorf("error %v, want %s", err, want)
		}
		if batch, err := m.Ask(1); err != nil || batch[0].ID != 0 {
			t.Errorf("after that it proposes %v, %v", batch, err)
		}
	}
	child := func(id int) Candidate[[]int] { return Candidate[[]int]{ID: id, Key: fmt.Sprint(id)} }
	parent := savedOutcome[[]int]{Objectives: []float64{1, 1}}
	nan := savedOutcome[[]int]{Objectives: []float64{1, math.NaN()}}
	notTold := savedOutcome[[]int]{Candidate: child(0)}

	for want, s := range map[string]savedNSGA2[[]int]{
		"the first candidate is -3":                     {Queue: savedQueue[[]int]{First: -3}},
		"3 candidates of a generation of 2":             {Queue: savedQueue[[]int]{Outcomes: []savedOutcome[[]int]{notTold, {Candidate: child(1)}, {Candidate: child(2)}}}},
		"1 parents with 1 fitnesses":                    {Population: savedPopulation[[]int]{Generations: 1, Members: []savedOutcome[[]int]{parent}, Fitness: []float64{0}}},
		"2 parents with 1 fitnesses":                    {Population: savedPopulation[[]int]{Members: []savedOutcome[[]int]{parent, parent}, Fitness: []float64{0}}},
		"candidate 0: search: evaluator left no result": {Population: savedPopulation[[]int]{Members: []savedOutcome[[]int]{notTold}, Fitness: []float64{0}}},
		"candidate 0: search: bad evaluation: pareto: objective 1 is NaN, want a finite number": {
			Population: savedPopulation[[]int]{Members: []savedOutcome[[]int]{nan}, Fitness: []float64{0}}},
	} {
		m, err := NewNSGA2(space, directions, NSGA2Settings{Population: 2})
		if err != nil {
			t.Fatal(err)
		}
		refuse(t, m, "nsga2", m.setup(), s, want)
	}

	two := make([]savedPopulation[[]int], 2)
	for want, s := range map[string]savedIslands[[]int]{
		"the first candidate is -3":                  {Queue: savedQueue[[]int]{First: -3}},
		"candidate 4 is where 0 should be":           {Plan: []Candidate[[]int]{child(4)}},
		"1 islands, want 2":                          {Populations: two[:1]},
		"0 parents with 0 fitnesses":                 {Populations: []savedPopulation[[]int]{{Generations: 1}, {}}},
		"an island's share is -1":                    {Populations: two, Plan: []Candidate[[]int]{child(0)}, Shares: []int{1, -1}},
		"2 islands with 0 candidates, want 2 with 1": {Populations: two, Plan: []Candidate[[]int]{child(0)}, Shares: []int{0, 0}},
		"1 islands with 1 candidates, want 2 with 1": {Populations: two, Plan: []Candidate[[]int]{child(0)}, Shares: []int{1}},
	} {
		m := newIslands(t, space, IslandsSettings{Islands: 2})
		refuse(t, m, "islands", m.setup(), s, want)
	}

	for want, s := range map[string]savedGuided[[]int]{
		"an empty batch":                                {Rounds: [][]savedOutcome[[]int]{{}}},
		"candidate 1 is where 0 should be":              {Rounds: [][]savedOutcome[[]int]{{{Candidate: child(1)}}}},
		"0 candidates were learnt, want 5":              {Queue: savedQueue[[]int]{First: 5}},
		"candidate 1 was proposed before":               {Plan: []Candidate[[]int]{child(0), {ID: 1, Key: "0"}}},
		"candidate 3 is where 0 should be":              {Queue: savedQueue[[]int]{Outcomes: []savedOutcome[[]int]{{Candidate: child(3)}}}},
		"candidate 0: search: evaluator left no result": {Rounds: [][]savedOutcome[[]int]{{notTold}}},
		"candidate 0: search: violation is -1, want 0 or more": {
			Queue: savedQueue[[]int]{Outcomes: []savedOutcome[[]int]{{Candidate: child(0), Violation: -1}}}},
	} {
		m, err := NewGuided(space, directions, Surrogate[[]int](unsure{}), GuidedSettings[[]int]{})
		if err != nil {
			t.Fatal(err)
		}
		refuse(t, m, "guided", m.setup(), s, want)
	}
}

// unsure is a surrogate that knows nothing.
type unsure struct{}

func (unsure) Learn([]int, []float64) error { return nil }
func (unsure) Trusted() (bool, error)       { return false, nil }
func (unsure) Guess(_ [][]int, guesses []Guess) error {
	for i := range guesses {
		guesses[i].SD[0], guesses[i].SD[1] = 1, 1
	}
	return nil
}
