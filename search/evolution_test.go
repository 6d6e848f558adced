package search_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

func evolution(t testing.TB, space search.Space[genes], directions []pareto.Direction, settings search.EvolutionSettings) *search.Evolution[genes] {
	t.Helper()
	m, err := search.NewEvolution(space, directions, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func init() {
	methods["evolution"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return evolution(t, space, minimize2, search.EvolutionSettings{Seed: seed})
	}
	methods["evolution of seven at once"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return evolution(t, space, minimize2, search.EvolutionSettings{Seed: seed, Population: 15, Tournament: 4, Crossover: 0.5, Concurrency: 7})
	}
}

// scattered gives every candidate another value, whatever its neighbours have.
func scattered(x genes) float64 {
	rng := rand.New(rand.NewPCG(uint64(x[0])<<24|uint64(x[1])<<16|uint64(x[2])<<8|uint64(x[3]), 1))
	return rng.Float64()
}

// The population is what was evaluated last: nothing older has children, be it the
// best of all.
func TestEvolutionAges(t *testing.T) {
	space := grid{4, 10}
	ev := each(func(x genes) search.Evaluation { return search.Evaluation{Objectives: []float64{scattered(x)}} })
	for _, c := range []struct {
		settings search.EvolutionSettings
		members  int
	}{
		{search.EvolutionSettings{Population: 10, Concurrency: 1}, 10},
		{search.EvolutionSettings{Population: 10, Concurrency: 8}, 10},
		{search.EvolutionSettings{Population: 1, Concurrency: 1}, 1},
		{search.EvolutionSettings{Concurrency: 1}, 200},
	} {
		_, all := history(t, evolution(t, space, minimize2[:1], c.settings), ev, search.Settings[genes]{Evaluations: 1000})
		oldest := 0 // member that has a child
		for i, o := range all {
			known := i + 1 - c.settings.Concurrency // candidates with results
			for _, p := range o.Parents {
				if p < known-c.members || p >= known {
					t.Errorf("%+v: candidate %d has parent %d", c.settings, i, p)
				}
				oldest = max(oldest, known-p)
			}
		}
		if oldest < c.members*9/10 {
			t.Errorf("%+v: members die at the age of %d", c.settings, oldest)
		}
	}
}

// A tournament of nearly all is won by the best: by Deb's rules, and of several
// feasible candidates by one that none dominates.
func TestEvolutionTournament(t *testing.T) {
	space := grid{4, 10}
	const members = 12
	evaluate := func(x genes) search.Evaluation {
		v := scattered(x)
		switch {
		case v < 0.5:
			return search.Evaluation{Err: errors.New("diverged")}
		case v < 0.9:
			return search.Evaluation{Violation: v, Objectives: []float64{-v, -v}}
		}
		return search.Evaluation{Objectives: []float64{v, math.Abs(v - 0.97)}}
	}
	better := func(a, b search.Evaluation) bool {
		switch {
		case a.Err != nil || b.Err != nil:
			return a.Err == nil && b.Err != nil
		case a.Violation > 0 || b.Violation > 0:
			return a.Violation < b.Violation
		}
		return pareto.Dominates(a.Objectives, b.Objectives, minimize2)
	}
	settings := search.EvolutionSettings{Population: members, Tournament: 1000, Concurrency: 1}
	_, all := history(t, evolution(t, space, minimize2, settings), each(evaluate), search.Settings[genes]{Evaluations: 2000})
	front := make(map[int]int) // winners by the rank of their first objective on the front
	for i, o := range all[members:] {
		population := all[i : i+members]
		winner := all[o.Parents[0]]
		points := 1
		rank := 0
		for _, m := range population {
			if better(m.Evaluation, winner.Evaluation) {
				t.Fatalf("candidate %d: %+v lost to %+v", o.ID, m, winner)
			}
			if m.ID != winner.ID && !slices.ContainsFunc(population, func(n search.Outcome[genes]) bool { return better(n.Evaluation, m.Evaluation) }) {
				points++
				if winner.Violation == 0 && winner.Err == nil && m.Objectives[0] < winner.Objectives[0] {
					rank++
				}
			}
		}
		if winner.Violation == 0 && winner.Err == nil && points == 3 {
			front[rank]++
		}
	}
	if len(front) != 3 || min(front[0], front[1], front[2]) < 5 {
		t.Errorf("of three on the front, these win: %v", front)
	}

	settings.Tournament = 1
	_, all = history(t, evolution(t, space, minimize2, settings), each(evaluate), search.Settings[genes]{Evaluations: 2000})
	lost := 0 // tournaments of one: by the best
	for i, o := range all[members:] {
		if slices.ContainsFunc(all[i:i+members], func(m search.Outcome[genes]) bool {
			return better(m.Evaluation, all[o.Parents[0]].Evaluation)
		}) {
			lost++
		}
	}
	if lost < 1500 {
		t.Errorf("of 2,000 tournaments of one, the best won all but %d", lost)
	}
}

func TestEvolutionOperators(t *testing.T) {
	for _, c := range []struct {
		crossover float64
		want      []string
	}{
		{0, []string{search.ByMutation, search.BySample}},
		{0.5, []string{search.ByCrossover, search.ByCrossoverMutation, search.ByMutation, search.BySample}},
		{1, []string{search.ByCrossover, search.ByCrossoverMutation, search.BySample}},
	} {
		space := grid{3, 12} // so small that crossovers run out
		_, all := history(t, evolution(t, space, minimize2, search.EvolutionSettings{Crossover: c.crossover, Concurrency: 1}),
			space.evaluator(), search.Settings[genes]{Evaluations: 1500})
		var got []string
		for _, o := range all {
			got = append(got, o.Operator)
			parents := map[string]int{search.BySample: 0, search.ByMutation: 1, search.ByCrossover: 2, search.ByCrossoverMutation: 2}
			if len(o.Parents) != parents[o.Operator] {
				t.Errorf("candidate %d: %s of %d parents", o.ID, o.Operator, len(o.Parents))
			}
			generation := 0
			for _, p := range o.Parents {
				generation = max(generation, all[p].Generation+1)
			}
			if o.Generation != generation {
				t.Errorf("candidate %d is of generation %d, want %d", o.ID, o.Generation, generation)
			}
			if (o.ID < 12) && o.Operator != search.BySample {
				t.Errorf("candidate %d is a %s", o.ID, o.Operator)
			}
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, c.want) {
			t.Errorf("crossover %v: operators %v, want %v", c.crossover, got, c.want)
		}
	}
}

func TestEvolutionBadSettings(t *testing.T) {
	for _, c := range []struct {
		directions []pareto.Direction
		settings   search.EvolutionSettings
		want       string
	}{
		{nil, search.EvolutionSettings{}, "search: evolution: pareto: no objectives"},
		{minimize2, search.EvolutionSettings{Population: -1}, "search: evolution: population is -1, want 1 or more, or 0 for the default"},
		{minimize2, search.EvolutionSettings{Tournament: -2}, "search: evolution: tournament is -2, want 1 or more, or 0 for the default"},
		{
			minimize2, search.EvolutionSettings{Crossover: math.NaN(), Concurrency: -3},
			"search: evolution: crossover probability is NaN, want 0 to 1\nconcurrency is -3, want 1 or more, or 0 for the default",
		},
		{minimize2, search.EvolutionSettings{Crossover: -0.1}, "search: evolution: crossover probability is -0.1, want 0 to 1"},
		{minimize2, search.EvolutionSettings{Crossover: 1.1}, "search: evolution: crossover probability is 1.1, want 0 to 1"},
	} {
		if _, err := search.NewEvolution(grid{8, 10}, c.directions, c.settings); err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
}

// steadyMethods makes those methods that learn from candidate after candidate: with
// a number of samples to begin with.
var steadyMethods = map[string]func(t testing.TB, space search.Space[genes], directions []pareto.Direction, samples, concurrency int) search.Method[genes]{
	"evolution": func(t testing.TB, space search.Space[genes], directions []pareto.Direction, samples, concurrency int) search.Method[genes] {
		return evolution(t, space, directions, search.EvolutionSettings{Seed: 1, Population: samples, Concurrency: concurrency})
	},
	"local": func(t testing.TB, space search.Space[genes], directions []pareto.Direction, samples, concurrency int) search.Method[genes] {
		return local(t, space, directions, search.LocalSettings{Seed: 1, Samples: samples, Concurrency: concurrency})
	},
}

// As many candidates are under way as the setting says, and no result frees another
// one before all older ones are there.
func TestConcurrency(t *testing.T) {
	space := grid{8, 10}
	for name, method := range steadyMethods {
		for _, concurrency := range []int{0, 1, 4, 20} {
			const samples = 6
			waits := func(id, done int) bool { // for more than the first so many results
				if concurrency == 0 {
					return id >= samples && done <= id-max(1, id/40)
				}
				return id >= samples && done <= id-concurrency
			}
			rapid.Check(t, func(rt *rapid.T) {
				m := method(t, space, minimize2, samples, concurrency)
				proposed := 0
				for proposed < 120 {
					done := proposed
					if pending := m.Pending(); len(pending) > 0 {
						done = pending[0].ID
					}
					want := 0
					for !waits(proposed+want, done) {
						want++
					}
					batch, err := m.Ask(1000)
					if len(batch) != want || want == 0 != errors.Is(err, search.ErrPending) {
						rt.Fatalf("%s, concurrency %d: proposed %d candidates after %d, %d of them done, want %d (%v)",
							name, concurrency, len(batch), proposed, done, want, err)
					}
					proposed += want
					told := m.Pending()[rapid.IntRange(0, len(m.Pending())-1).Draw(rt, "told"):][:1]
					if err := m.Tell(told, evaluated(told, space.evaluateOne)); err != nil {
						rt.Fatal(err)
					}
				}
			})
		}
	}
}

// Objectives may be maximised as well as minimised, with the same result.
func TestSteadyDirections(t *testing.T) {
	space := grid{8, 10}
	for name, method := range steadyMethods {
		var want []search.Outcome[genes]
		for first := range pareto.Maximize + 1 {
			for second := range pareto.Maximize + 1 {
				ev := each(func(x genes) search.Evaluation {
					f := space.zdt1(x)
					return search.Evaluation{Objectives: []float64{float64(1-2*first) * f[0], float64(1-2*second) * f[1]}}
				})
				_, all := history(t, method(t, space, []pareto.Direction{first, second}, 10, 3), ev, search.Settings[genes]{Evaluations: 500})
				if want == nil {
					want = all
				}
				for i, o := range all {
					if o.Genome != want[i].Genome {
						t.Fatalf("%s: candidate %d is %v if %s and %s, %v if both are minimised", name, i, o.Genome, first, second, want[i].Genome)
					}
				}
			}
		}
	}
}

// Only a sliver of the space, less than a hundred-thousandth, is feasible:
// violations must lead there, be objectives known or not.
func TestSteadyConstraint(t *testing.T) {
	space := grid{12, 31}
	ev := each(func(x genes) search.Evaluation {
		sum := 0
		for _, v := range x[1:] {
			sum += int(v)
		}
		switch violation := float64(sum)/60 - 1; { // 165 on average, with a standard deviation of 30
		case violation > 0 && sum%2 == 0:
			return search.Evaluation{Violation: violation}
		case violation > 0:
			return search.Evaluation{Violation: violation, Objectives: []float64{0, 0}}
		}
		return search.Evaluation{Objectives: space.zdt1(x)}
	})
	for name, method := range steadyMethods {
		result, all := history(t, method(t, space, minimize2, 100, 0), ev, search.Settings[genes]{Evaluations: 5000})
		if first := slices.IndexFunc(all, func(o search.Outcome[genes]) bool { return o.Violation == 0 }); first < 100 {
			t.Errorf("%s: candidate %d is feasible: the test is too easy", name, first)
		}
		got := hypervolume(t, frontPoints(result)) / space.bestHypervolume(t)
		if t.Logf("%s reached %.4f of the hypervolume", name, got); got < 0.6 {
			t.Errorf("%s: reached %.4f of the hypervolume, want 0.6", name, got)
		}
	}
}

// narrow draws one candidate alone: what is under way must be waited for before
// the space is found exhausted.
type narrow struct{ grid }

func (narrow) Sample(*rand.Rand) (genes, error) { return genes{}, nil }

func TestExhaustedOnlyAfterAllResults(t *testing.T) {
	for name, method := range steadyMethods {
		for _, concurrency := range []int{0, 1, 7} {
			space := narrow{grid{2, 5}}
			result, _ := history(t, method(t, space, minimize2, 4, concurrency), space.evaluator(), search.Settings[genes]{})
			if result.Status != search.Exhausted || result.Evaluations != 25 {
				t.Errorf("%s, concurrency %d: %s after %d of 25 candidates", name, concurrency, result.Status, result.Evaluations)
			}
		}
	}
}
