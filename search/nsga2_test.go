package search_test

import (
	"slices"
	"testing"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

func nsga2(t testing.TB, space search.Space[genes], directions []pareto.Direction, settings search.NSGA2Settings) *search.NSGA2[genes] {
	t.Helper()
	m, err := search.NewNSGA2(space, directions, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func islands(t testing.TB, space search.Space[genes], settings search.IslandsSettings) *search.Islands[genes] {
	t.Helper()
	m, err := search.NewIslands(space, minimize2, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func frontPoints(result search.Result[genes]) [][]float64 {
	var points [][]float64
	for _, o := range result.Front {
		points = append(points, o.Objectives)
	}
	return points
}

// On ZDT1, NSGA-II comes close to the front, and much closer than random search,
// whether an objective is minimised or its negative maximised.
func TestNSGA2FindsTheFront(t *testing.T) {
	for _, c := range []struct {
		name        string
		space       grid
		evaluations int
		want        float64 // share of the front's hypervolume
	}{
		{"10^18 candidates", grid{12, 31}, 8000, 0.98},
		{"923,521 candidates", grid{4, 31}, 1500, 0.99},
	} {
		for name, second := range map[string]pareto.Direction{"minimize": pareto.Minimize, "maximize": pareto.Maximize} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				sign := float64(1 - 2*second)
				ev := each(func(x genes) search.Evaluation {
					f := c.space.zdt1(x)
					return search.Evaluation{Objectives: []float64{f[0], sign * f[1]}}
				})
				directions := []pareto.Direction{pareto.Minimize, second}
				share := func(m search.Method[genes], err error) float64 {
					if err != nil {
						t.Fatal(err)
					}
					result, _ := history(t, m, ev, search.Settings[genes]{Evaluations: c.evaluations})
					var points [][]float64
					for _, o := range result.Front {
						points = append(points, []float64{o.Objectives[0], sign * o.Objectives[1]})
					}
					return hypervolume(t, points) / c.space.bestHypervolume(t)
				}
				for seed := range uint64(3) {
					evolved := share(search.NewNSGA2(c.space, directions, search.NSGA2Settings{Seed: seed, Population: 50}))
					sampled := share(search.NewRandom(c.space, directions, seed))
					t.Logf("seed %d: nsga2 reached %.4f of the hypervolume, random %.4f", seed, evolved, sampled)
					if evolved < c.want || sampled > evolved-0.05 {
						t.Errorf("seed %d: nsga2 reached %.4f of the hypervolume, want %v, random %.4f", seed, evolved, c.want, sampled)
					}
				}
			})
		}
	}
}

// Only a sliver of the space, less than a hundred-thousandth, is feasible:
// violations must lead there. Infeasible candidates need no objectives.
func TestNSGA2Constraint(t *testing.T) {
	space := grid{12, 31}
	ev := each(func(x genes) search.Evaluation {
		sum := 0
		for _, v := range x[1:] {
			sum += int(v)
		}
		if sum > 60 { // 165 on average, with a standard deviation of 30
			return search.Evaluation{Violation: float64(sum)/60 - 1}
		}
		return search.Evaluation{Objectives: space.zdt1(x)}
	})
	result, all := history(t, nsga2(t, space, minimize2, search.NSGA2Settings{Population: 50}), ev, search.Settings[genes]{Evaluations: 5000})
	if first := slices.IndexFunc(all, func(o search.Outcome[genes]) bool { return o.Violation == 0 }); first < 50 {
		t.Errorf("candidate %d is feasible: the test is too easy", first)
	}
	if got := hypervolume(t, frontPoints(result)) / space.bestHypervolume(t); got < 0.95 {
		t.Errorf("reached %.4f of the hypervolume, want 0.95", got)
	}
	if last := all[4000:]; !slices.ContainsFunc(last, func(o search.Outcome[genes]) bool { return o.Violation == 0 }) {
		t.Error("nothing feasible in the last 1,000 candidates")
	}
}

func TestNSGA2Operators(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings search.NSGA2Settings
		want     []string
	}{
		{"both", search.NSGA2Settings{}, []string{search.ByCrossover, search.ByCrossoverMutation, search.ByMutation, search.BySample}},
		{"no crossover", search.NSGA2Settings{Crossover: -1}, []string{search.ByMutation, search.BySample}},
		{"always both", search.NSGA2Settings{Crossover: 1, Mutation: 1}, []string{search.ByCrossoverMutation, search.BySample}},
	} {
		t.Run(c.name, func(t *testing.T) {
			space := grid{12, 31}
			_, all := history(t, nsga2(t, space, minimize2, c.settings), space.evaluator(), search.Settings[genes]{Evaluations: 2000})
			var got []string
			for _, o := range all {
				got = append(got, o.Operator)
				parents := map[string]int{search.BySample: 0, search.ByMutation: 1, search.ByCrossover: 2, search.ByCrossoverMutation: 2}
				if len(o.Parents) != parents[o.Operator] {
					t.Errorf("candidate %d: %s of %d parents", o.ID, o.Operator, len(o.Parents))
				}
				if (o.Generation == 0) != (o.ID < 12) {
					t.Errorf("candidate %d is of generation %d", o.ID, o.Generation)
				}
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, c.want) {
				t.Errorf("operators %v, want %v", got, c.want)
			}
		})
	}
}

// Where all candidates are on the front, population and generations grow with the
// search, up to a limit; where one is the best, the population stays small.
func TestNSGA2Grows(t *testing.T) {
	space := grid{12, 31}
	for _, c := range []struct {
		name    string
		front   float64 // sign: does the second objective oppose the first?
		parents [2]int  // of the generation from candidate 6,000 on: least and most
	}{
		{"all on the front", -1, [2]int{100, 200}},
		{"one on the front", 1, [2]int{6, 12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev := each(func(x genes) search.Evaluation {
				sum := 0.
				for _, v := range x {
					sum = 31*sum + float64(v)
				}
				return search.Evaluation{Objectives: []float64{sum, c.front * sum}}
			})
			_, all := history(t, nsga2(t, space, minimize2, search.NSGA2Settings{Seed: 1}), ev, search.Settings[genes]{Evaluations: 7000})
			children := make(map[int]int) // by generation
			parents := make(map[int]bool)
			watched := all[6000].Generation
			for _, o := range all {
				children[o.Generation]++
				for _, p := range o.Parents {
					if o.Generation == watched {
						parents[p] = true
					}
				}
			}
			if n := len(parents); n < c.parents[0] || n > c.parents[1] {
				t.Errorf("%d parents have children in generation %d, want %v", n, watched, c.parents)
			}
			for id, want := range map[int]int{0: 12, 12: 1, 1000: 25, 2500: 62, 6000: 150} {
				// A generation is as large as it was at its beginning.
				if got := children[all[id].Generation]; got > want || got < want*9/10 {
					t.Errorf("candidate %d is of a generation of %d, want %d", id, got, want)
				}
			}
		})
	}
}

func TestNSGA2TellTwice(t *testing.T) {
	m := nsga2(t, grid{8, 10}, minimize2, search.NSGA2Settings{Population: 4})
	e := search.Evaluation{Objectives: []float64{1, 1}}
	batch, err := m.Ask(100)
	if err != nil || len(batch) != 4 {
		t.Fatalf("asked for 100, got %d, %v", len(batch), err)
	}
	if _, err := m.Ask(1); err != search.ErrPending {
		t.Errorf("asked with no results told: error %v", err)
	}
	if m.Tell(batch[:1], []search.Evaluation{{}}) != nil {
		t.Error("a missing result is not taken for a failure")
	}
	for name, told := range map[string][]search.Candidate[genes]{
		"told before":        {batch[1], batch[0]},
		"twice in one call":  {batch[1], batch[1]},
		"with another's key": {{ID: batch[1].ID, Key: "x"}, batch[2]},
	} {
		if err := m.Tell(told, []search.Evaluation{e, e}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// None of these has changed anything.
	if err := m.Tell(batch[1:], []search.Evaluation{e, e, e}); err != nil {
		t.Error(err)
	}
	next, err := m.Ask(1)
	if err != nil || next[0].ID != 4 || next[0].Generation != 1 {
		t.Errorf("next is %+v, %v", next, err)
	}
}
