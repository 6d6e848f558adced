package search_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

// Neighbors returns all that differ from x in one gene.
func (g grid) Neighbors(_ *rand.Rand, x genes) ([]genes, error) {
	var all []genes
	for i := range g.genes {
		for v := range g.levels {
			if y := x; int(x[i]) != v {
				y[i] = uint8(v)
				all = append(all, y)
			}
		}
	}
	return all, nil
}

func local(t testing.TB, space search.Space[genes], directions []pareto.Direction, settings search.LocalSettings) *search.Local[genes] {
	t.Helper()
	m, err := search.NewLocal(space.(search.NeighborSpace[genes]), directions, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func init() {
	methods["local"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return local(t, space, minimize2, search.LocalSettings{Seed: seed})
	}
	methods["local of seven at once"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return local(t, space, minimize2, search.LocalSettings{Seed: seed, Samples: 3, Concurrency: 7})
	}
}

// Until a local optimum is reached, what is proposed is a new neighbour of a
// candidate on the front or, while nothing is feasible, of the one with the least
// violation.
func TestLocalExploresTheFront(t *testing.T) {
	space := grid{3, 12}
	for name, evaluate := range map[string]func(x genes) search.Evaluation{
		"feasible": space.evaluateOne,
		"infeasible at first": func(x genes) search.Evaluation {
			e := space.evaluateOne(x)
			e.Violation = float64(max(0, int(x[0])+int(x[1])+int(x[2])-2) / 4) // often equal
			return e
		},
		"failures": func(x genes) search.Evaluation {
			if x[2]%2 == 1 {
				return search.Evaluation{Err: errors.New("diverged")}
			}
			return space.evaluateOne(x)
		},
	} {
		for seed := range uint64(5) {
			m := local(t, space, minimize2, search.LocalSettings{Seed: seed, Samples: 5, Concurrency: 1})
			_, all := history(t, m, each(evaluate), search.Settings[genes]{Evaluations: 400})
			proposed := make(map[genes]bool)
			explored := func(x genes) bool {
				neighbors, _ := space.Neighbors(nil, x)
				return !slices.ContainsFunc(neighbors, func(y genes) bool { return !proposed[y] })
			}
			for i, o := range all {
				best := bestOf(all[:i])
				if i >= 5 && !slices.ContainsFunc(best, func(b search.Outcome[genes]) bool { return !explored(b.Genome) }) {
					if i < 100 {
						t.Errorf("%s: a local optimum after %d candidates: the test is too easy", name, i)
					}
					break
				}
				switch {
				case i < 5:
					if o.Operator != search.BySample {
						t.Errorf("%s: candidate %d is a %s", name, i, o.Operator)
					}
				case len(o.Parents) != 1 || !slices.ContainsFunc(best, func(b search.Outcome[genes]) bool { return b.ID == o.Parents[0] }):
					t.Fatalf("%s: candidate %d has parents %v, want one of %v", name, i, o.Parents, best)
				case distance(o.Genome, all[o.Parents[0]].Genome) != 1:
					t.Fatalf("%s: candidate %d, %v, is no neighbour of %v", name, i, o.Genome, all[o.Parents[0]].Genome)
				}
				proposed[o.Genome] = true
			}
		}
	}
}

// bestOf returns the front or, if nothing is feasible, the oldest outcome with the
// least violation.
func bestOf(all []search.Outcome[genes]) []search.Outcome[genes] {
	var front []search.Outcome[genes]
	var least *search.Outcome[genes]
	for i, o := range all {
		switch {
		case o.Err != nil:
		case o.Violation > 0:
			if least == nil || o.Violation < least.Violation {
				least = &all[i]
			}
		case !slices.ContainsFunc(all, func(p search.Outcome[genes]) bool {
			return p.Err == nil && p.Violation == 0 && (pareto.Dominates(p.Objectives, o.Objectives, minimize2) ||
				p.ID < o.ID && slices.Equal(p.Objectives, o.Objectives))
		}):
			front = append(front, o)
		}
	}
	if front == nil && least != nil {
		return []search.Outcome[genes]{*least}
	}
	return front
}

func distance(a, b genes) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// It tries most where there is most to gain.
func TestLocalIsQuick(t *testing.T) {
	p := &problems[slices.IndexFunc(problems, func(p problem) bool { return p.name == "dtlz1" })]
	best, sum := p.hypervolume(t, p.front()), 0.0
	const seeds = 5
	for seed := range uint64(seeds) {
		result, _ := history(t, local(t, p.space, p.directions(), search.LocalSettings{Seed: seed}), p.evaluator(), search.Settings[genes]{Evaluations: 1000})
		sum += p.hypervolume(t, frontPoints(result)) / best
	}
	if mean := sum / seeds; mean < 0.85 {
		t.Errorf("reached %.3f of the hypervolume in 1,000 evaluations, want 0.85", mean)
	}
}

// stepwise is a space in which neighbours are one step apart.
type stepwise struct{ grid }

func (s stepwise) Neighbors(rng *rand.Rand, x genes) ([]genes, error) {
	all, err := s.grid.Neighbors(rng, x)
	return slices.DeleteFunc(all, func(y genes) bool {
		for i := range y {
			if d := int(y[i]) - int(x[i]); d < -1 || d > 1 {
				return true
			}
		}
		return false
	}), err
}

// From a local optimum it goes on: with what is next best, not with samples of a
// large space.
func TestLocalLeavesLocalOptima(t *testing.T) {
	space := stepwise{grid{3, 20}}
	// Zero is the best of all but for one, to which nineteen steps lead, each of
	// them a little worse.
	ev := each(func(x genes) search.Evaluation {
		height := float64(x[0]) / 20
		if x == (genes{19}) {
			height = -1
		}
		return search.Evaluation{Objectives: []float64{height + float64(x[1]) + float64(x[2])}}
	})
	for seed := range uint64(10) {
		m := local(t, space, minimize2[:1], search.LocalSettings{Seed: seed})
		result, all := history(t, m, ev, search.Settings[genes]{Evaluations: 300})
		if result.Front[0].Objectives[0] != -1 {
			t.Errorf("seed %d: the best is %v", seed, result.Front[0].Genome)
		}
		for _, o := range all[10:] {
			if o.Operator == search.BySample {
				t.Errorf("seed %d: candidate %d is a sample", seed, o.ID)
			}
		}
	}
}

// parted is a space in parts that are no neighbours of each other, with neighbours
// that are no news.
type parted struct{ grid }

func (p parted) Neighbors(rng *rand.Rand, x genes) ([]genes, error) {
	all, err := p.grid.Neighbors(rng, x)
	all = slices.DeleteFunc(all, func(y genes) bool { return y[0] != x[0] })
	return append(append(all, x), all...), err
}

// When all that is known is explored, samples lead on.
func TestLocalOfParts(t *testing.T) {
	space := parted{grid{3, 6}}
	for seed := range uint64(5) {
		result, all := history(t, local(t, space, minimize2, search.LocalSettings{Seed: seed, Samples: 1}), space.evaluator(), search.Settings[genes]{})
		samples := 0
		for _, o := range all {
			if o.Operator == search.BySample {
				samples++
			}
		}
		if result.Status != search.Exhausted || len(all) != 216 || samples < 6 || samples > 50 {
			t.Errorf("seed %d: %s after %d of 216 candidates, %d samples", seed, result.Status, len(all), samples)
		}
	}
}

func (b broken) Neighbors(rng *rand.Rand, x genes) ([]genes, error) {
	all, _ := b.grid.Neighbors(rng, x)
	return all, b.fail("neighbours")
}

func TestLocalSpaceError(t *testing.T) {
	for _, in := range []string{"sample", "neighbours"} {
		after := 5
		space := broken{grid{8, 10}, in, &after}
		result, err := search.Run(t.Context(), local(t, space, minimize2, search.LocalSettings{}), space.evaluator(), search.Settings[genes]{Evaluations: 1000})
		if want := "search: " + in + ": broken"; !errors.Is(err, errBroken) || err.Error() != want || result.Status != search.Failed {
			t.Errorf("%s: status %s, error %v, want %s", in, result.Status, err, want)
		}
	}
}

func TestLocalBadSettings(t *testing.T) {
	for _, c := range []struct {
		directions []pareto.Direction
		settings   search.LocalSettings
		want       string
	}{
		{nil, search.LocalSettings{}, "search: local: pareto: no objectives"},
		{
			minimize2, search.LocalSettings{Samples: -1, Concurrency: -2},
			"search: local: samples are -1, want 1 or more, or 0 for the default\nconcurrency is -2, want 1 or more, or 0 for the default",
		},
	} {
		if _, err := search.NewLocal(grid{8, 10}, c.directions, c.settings); err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
}
