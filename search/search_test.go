package search_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var minimize2 = []pareto.Direction{pareto.Minimize, pareto.Minimize}

// genes is the genome of the tests: as many levels as the grid has genes, the
// rest zero.
type genes [12]uint8

// grid is a space of levels^genes candidates, each with one encoding.
type grid struct{ genes, levels int }

func (g grid) Sample(rng *rand.Rand) (genes, error) {
	var x genes
	for i := range g.genes {
		x[i] = uint8(rng.IntN(g.levels))
	}
	return x, nil
}

// Mutate redraws one gene, and each other with probability 1/genes.
func (g grid) Mutate(rng *rand.Rand, x genes) (genes, error) {
	sure := rng.IntN(g.genes)
	for i := range g.genes {
		if i == sure || rng.IntN(g.genes) == 0 {
			x[i] = uint8(rng.IntN(g.levels))
		}
	}
	return x, nil
}

func (g grid) Crossover(rng *rand.Rand, a, b genes) (genes, error) {
	for bits, i := rng.Uint64(), 0; i < g.genes; i++ {
		if bits>>i&1 == 1 {
			a[i] = b[i]
		}
	}
	return a, nil
}

func (g grid) Key(x genes) string { return string(x[:g.genes]) }

// zdt1 is ZDT1 of Zitzler, Deb and Thiele, "Comparison of multiobjective
// evolutionary algorithms", Evolutionary Computation 8(2), 2000, its variables
// on the grid. On the front all genes but the first are 0, and f2 = 1 - √f1.
func (g grid) zdt1(x genes) []float64 {
	top := float64(g.levels - 1)
	f1, sum := float64(x[0])/top, 0.0
	for _, v := range x[1:g.genes] {
		sum += float64(v) / top
	}
	h := 1 + 9*sum/float64(g.genes-1)
	return []float64{f1, h * (1 - math.Sqrt(f1/h))}
}

// hypervolume of a front under the reference point of the tests.
func hypervolume(t testing.TB, points [][]float64) float64 {
	t.Helper()
	v, err := pareto.Hypervolume(points, []float64{1.1, 1.1}, minimize2)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (g grid) bestHypervolume(t testing.TB) float64 {
	var points [][]float64
	for i := range g.levels {
		points = append(points, g.zdt1(genes{uint8(i)}))
	}
	return hypervolume(t, points)
}

// each returns an evaluator that calls f for each candidate.
func each(f func(genes) search.Evaluation) search.Evaluator[genes] {
	return search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		for i, c := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			out[i] = f(c.Genome)
		}
		return nil
	})
}

func (g grid) evaluator() search.Evaluator[genes] {
	return each(func(x genes) search.Evaluation { return search.Evaluation{Objectives: g.zdt1(x)} })
}

// methods makes each method of the package.
var methods = map[string]func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes]{
	"random": func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		m, err := search.NewRandom(space, minimize2, seed)
		if err != nil {
			t.Fatal(err)
		}
		return m
	},
	"nsga2": func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		m, err := search.NewNSGA2(space, minimize2, search.NSGA2Settings{Seed: seed, Population: 20})
		if err != nil {
			t.Fatal(err)
		}
		return m
	},
}

func init() {
	methods["nsga2 that grows"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return nsga2(t, space, minimize2, search.NSGA2Settings{Seed: seed})
	}
	methods["guided"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return guided(t, space, &neighbors{top: 7}, search.GuidedSettings[genes]{Seed: seed})
	}
	methods["guided among some"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		all := make([]genes, 300)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range all {
			all[i], _ = space.Sample(rng)
		}
		return guided(t, space, &refitted{neighbors: neighbors{top: 7}}, search.GuidedSettings[genes]{Seed: seed, All: all})
	}
	methods["islands"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return islands(t, space, search.IslandsSettings{Seed: seed, Islands: 3, Population: 8})
	}
	methods["islands that grow"] = func(t testing.TB, space search.Space[genes], seed uint64) search.Method[genes] {
		return islands(t, space, search.IslandsSettings{Seed: seed})
	}
}

// forEachMethod is the conformance suite's loop: f must hold for every method.
func forEachMethod(t *testing.T, f func(t *testing.T, method func(space search.Space[genes], seed uint64) search.Method[genes])) {
	for name, method := range methods {
		t.Run(name, func(t *testing.T) {
			f(t, func(space search.Space[genes], seed uint64) search.Method[genes] { return method(t, space, seed) })
		})
	}
}

// history runs a search and returns all that was evaluated, in order.
func history(t testing.TB, m search.Method[genes], ev search.Evaluator[genes], s search.Settings[genes]) (search.Result[genes], []search.Outcome[genes]) {
	t.Helper()
	var all []search.Outcome[genes]
	s.Recorder = func(p search.Progress[genes]) error {
		all = append(all, p.Batch...)
		if p.Evaluations != len(all) {
			t.Errorf("progress says %d evaluations, saw %d", p.Evaluations, len(all))
		}
		return nil
	}
	result, err := search.Run(t.Context(), m, ev, s)
	if err != nil {
		t.Fatal(err)
	}
	return result, all
}

// budget returns n, or less for a method that takes long to think.
func budget(t *testing.T, n int) int {
	switch {
	case strings.HasSuffix(t.Name(), "/guided"):
		return min(n, 26) // three batches
	case strings.HasSuffix(t.Name(), "/guided_among_some"):
		return min(n, 80)
	}
	return n
}

func TestNoDuplicates(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{6, 4} // 4,096 candidates
		n := budget(t, 3000)
		result, all := history(t, method(space, 1), space.evaluator(), search.Settings[genes]{Evaluations: n})
		if len(all) != n || result.Evaluations != n || result.Status != search.EvaluationLimit {
			t.Errorf("%d evaluations, result %+v", len(all), result.Counts)
		}
		seen := make(map[genes]bool)
		for i, o := range all {
			if seen[o.Genome] {
				t.Errorf("candidate %d, %v, was evaluated before", i, o.Genome)
			}
			seen[o.Genome] = true
			if o.ID != i || o.Key != space.Key(o.Genome) {
				t.Errorf("candidate %d has ID %d and key %q", i, o.ID, o.Key)
			}
			for _, p := range o.Parents {
				if p < 0 || p >= i || all[p].Generation >= o.Generation {
					t.Errorf("candidate %d of generation %d has parent %d", i, o.Generation, p)
				}
			}
			if (o.Operator == search.BySample || o.Operator == search.ByGuess) != (len(o.Parents) == 0) {
				t.Errorf("candidate %d: operator %s, parents %v", i, o.Operator, o.Parents)
			}
		}
	})
}

func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		name  string
		space search.Space[genes]
		ev    search.Evaluator[genes]
		want  int
	}{
		{"one", grid{1, 1}, each(func(genes) search.Evaluation { return search.Evaluation{Objectives: []float64{1, 1}} }), 1},
		{"tiny", grid{2, 3}, grid{2, 3}.evaluator(), 9},
		{"small", grid{2, 7}, grid{2, 7}.evaluator(), 49},
		{"medium", grid{4, 6}, grid{4, 6}.evaluator(), 1296},
		{"half", half{grid{2, 10}}, grid{2, 10}.evaluator(), 50},
		{"all fail", grid{2, 7}, each(func(genes) search.Evaluation { return search.Evaluation{Err: errors.New("no")} }), 49},
	} {
		t.Run(c.name, func(t *testing.T) {
			forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
				for seed := range uint64(5) {
					m := method(c.space, seed)
					result, _ := history(t, m, c.ev, search.Settings[genes]{})
					if result.Status != search.Exhausted || result.Evaluations != c.want {
						t.Errorf("seed %d: %s after %d candidates, want %d", seed, result.Status, result.Evaluations, c.want)
					}
					if batch, err := m.Ask(1); !errors.Is(err, search.ErrExhausted) {
						t.Errorf("seed %d: asked again, got %v, %v", seed, batch, err)
					}
				}
			})
		})
	}
}

// half has two encodings for each candidate.
type half struct{ grid }

func (h half) Key(x genes) string {
	x[0] /= 2
	return h.grid.Key(x)
}

// One seed, one result: for any number of workers, size of batches and order of
// results.
func TestDeterminism(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		n := budget(t, 500)
		want, wantAll := history(t, method(space, 7), space.evaluator(),
			search.Settings[genes]{Evaluations: n, Workers: 1})
		if got, _ := history(t, method(space, 8), space.evaluator(), search.Settings[genes]{Evaluations: n}); cmp.Equal(want, got) {
			t.Error("another seed gives the same result")
		}
		rapid.Check(t, func(rt *rapid.T) {
			settings := search.Settings[genes]{
				Evaluations: n,
				Workers:     rapid.IntRange(1, 8).Draw(rt, "workers"),
				Batch:       rapid.IntRange(1, 300).Draw(rt, "batch"),
				Chunk:       rapid.IntRange(1, 100).Draw(rt, "chunk"),
			}
			got, gotAll := history(t, method(space, 7), space.evaluator(), settings)
			if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantAll, gotAll) {
				rt.Errorf("-1 worker +%+v:\n%s\n%s", settings, cmp.Diff(want, got), cmp.Diff(wantAll, gotAll))
			}
		})
	})
}

// Where chunks are cut may depend on the batch, not on the workers.
func TestChunks(t *testing.T) {
	sizes := func(workers, evaluations int) map[int]int {
		space := grid{8, 10}
		var count [101]atomic.Int64
		ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
			count[len(batch)].Add(1)
			return space.evaluator().Evaluate(ctx, batch, out)
		})
		history(t, methods["random"](t, space, 1), ev,
			search.Settings[genes]{Evaluations: evaluations, Batch: 200, Chunk: 64, Workers: workers})
		got := make(map[int]int)
		for size := range count {
			if n := count[size].Load(); n > 0 {
				got[size] = int(n)
			}
		}
		return got
	}
	for _, workers := range []int{1, 2, 7} {
		want := map[int]int{50: 8, 1: 1} // 200, 200 and 1
		if diff := cmp.Diff(want, sizes(workers, 401)); diff != "" {
			t.Errorf("%d workers: chunks by size, -want +got:\n%s", workers, diff)
		}
	}
}

func TestFailures(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	space := grid{4, 8}
	bad := []search.Evaluation{
		{Err: errors.New("diverged"), Objectives: []float64{-1, -1}},
		{Objectives: []float64{nan, -1}},
		{Objectives: []float64{-1, inf}},
		{Objectives: []float64{-inf, -1}},
		{Objectives: []float64{-1}},
		{Objectives: []float64{-1, -1, -1}},
		{Objectives: []float64{-1, -1}, Violation: nan},
		{Objectives: []float64{-1, -1}, Violation: -1},
		{Objectives: []float64{}},
		{},
	}
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		// Half of the candidates fail, in every way there is.
		ev := each(func(x genes) search.Evaluation {
			if x[1]%2 == 0 {
				return bad[int(x[0]+x[2]*8+x[3]*64)%len(bad)]
			}
			return search.Evaluation{Objectives: space.zdt1(x)}
		})
		result, all := history(t, method(space, 1), ev, search.Settings[genes]{Evaluations: 1000})
		failed := 0
		for _, o := range all {
			if o.Err != nil {
				failed++
			}
			if (o.Err != nil) != (o.Genome[1]%2 == 0) {
				t.Errorf("%v: error %v", o.Genome, o.Err)
			}
		}
		if result.Evaluations != 1000 || result.Failed != failed || failed == 0 || result.Infeasible != 0 {
			t.Errorf("counts %+v, saw %d failures", result.Counts, failed)
		}
		if len(result.Front) == 0 {
			t.Error("empty front")
		}
		for _, o := range result.Front {
			if o.Err != nil || o.Genome[1]%2 == 0 {
				t.Errorf("on the front: %+v", o)
			}
		}
	})
}

// What is on the front is what nothing evaluated dominates, and it is sorted.
func TestFront(t *testing.T) {
	space := grid{6, 6}
	violation := func(x genes) float64 { return max(0, 3-float64(x[0])) }
	ev := each(func(x genes) search.Evaluation {
		return search.Evaluation{Objectives: space.zdt1(x), Violation: violation(x)}
	})
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		result, all := history(t, method(space, 3), ev, search.Settings[genes]{Evaluations: 1000})
		infeasible := 0
		var want []search.Outcome[genes]
		for _, o := range all {
			if o.Violation > 0 {
				infeasible++
				continue
			}
			if !slices.ContainsFunc(all, func(p search.Outcome[genes]) bool {
				return p.Violation == 0 && (pareto.Dominates(p.Objectives, o.Objectives, minimize2) ||
					p.ID < o.ID && slices.Equal(p.Objectives, o.Objectives))
			}) {
				want = append(want, o)
			}
		}
		slices.SortFunc(want, func(a, b search.Outcome[genes]) int { return slices.Compare(a.Objectives, b.Objectives) })
		if diff := cmp.Diff(want, result.Front); diff != "" {
			t.Errorf("front: -brute force +got:\n%s", diff)
		}
		if result.Infeasible != infeasible || infeasible == 0 {
			t.Errorf("%d infeasible, saw %d", result.Infeasible, infeasible)
		}
	})
}

func TestRecorder(t *testing.T) {
	space := grid{6, 6}
	var fronts, batches int
	var before [][]float64
	volume := 0.0
	result, err := search.Run(t.Context(), methods["nsga2"](t, space, 1), space.evaluator(), search.Settings[genes]{
		Evaluations: 110,
		Reference:   []float64{1.1, 1.1},
		Recorder: func(p search.Progress[genes]) error {
			batches++
			if p.Generations != batches || p.Evaluations != min(20*batches, 110) {
				t.Errorf("batch %d: %+v", batches, p.Counts)
			}
			var points [][]float64
			for _, o := range p.Front() {
				points = append(points, o.Objectives)
			}
			fronts = len(points)
			if p.FrontSize != fronts {
				t.Errorf("front of %d, want %d", p.FrontSize, fronts)
			}
			if want := hypervolume(t, points); math.Abs(p.Hypervolume-want) > 1e-12 || p.Hypervolume < volume {
				t.Errorf("hypervolume %v, want %v, before %v", p.Hypervolume, want, volume)
			}
			if changed := !reflect.DeepEqual(points, before); changed != (p.Unchanged < len(p.Batch)) {
				t.Errorf("changed: %v, but unchanged for %d evaluations", changed, p.Unchanged)
			}
			before = points
			volume = p.Hypervolume
			return nil
		},
	})
	if err != nil || batches != 6 || len(result.Front) != fronts || volume == 0 {
		t.Errorf("error %v, %d batches, front of %d, want %d, hypervolume %v", err, batches, len(result.Front), fronts, volume)
	}

	full := errors.New("disk full")
	result, err = search.Run(t.Context(), methods["nsga2"](t, space, 1), space.evaluator(),
		search.Settings[genes]{Recorder: func(search.Progress[genes]) error { return full }})
	if !errors.Is(err, full) || result.Status != search.Failed || result.Evaluations != 20 || len(result.Front) == 0 {
		t.Errorf("recorder's error: %v, %+v", err, result)
	}
}

func TestInterrupted(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		for _, workers := range []int{1, 4} {
			space := grid{8, 10}
			ctx, cancel := context.WithCancel(t.Context())
			var evaluated atomic.Int64
			ev := each(func(x genes) search.Evaluation {
				if evaluated.Add(1) == 150 {
					cancel()
				}
				return search.Evaluation{Objectives: space.zdt1(x)}
			})
			recorded := 0
			result, err := search.Run(ctx, method(space, 1), ev, search.Settings[genes]{
				Batch: 100, Chunk: 10, Workers: workers,
				Recorder: func(p search.Progress[genes]) error { recorded += len(p.Batch); return nil },
			})
			cancel()
			n := int(evaluated.Load())
			if err != nil || result.Status != search.Interrupted {
				t.Errorf("%d workers: status %s, error %v", workers, result.Status, err)
			}
			if n < 150 || result.Evaluations != n || recorded != n || result.Failed != 0 || len(result.Front) == 0 {
				t.Errorf("%d workers: evaluated %d, recorded %d, result %+v", workers, n, recorded, result.Counts)
			}
		}
	})
}

func TestInterruptedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	space := grid{8, 10}
	result, err := search.Run(ctx, methods["nsga2"](t, space, 1), space.evaluator(), search.Settings[genes]{})
	want := search.Result[genes]{Status: search.Interrupted}
	if diff := cmp.Diff(want, result); err != nil || diff != "" {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
}

func TestEvaluatorError(t *testing.T) {
	fault := errors.New("out of memory")
	space := grid{8, 10}
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		for _, workers := range []int{1, 4} {
			var evaluated atomic.Int64
			ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
				for i, c := range batch {
					if evaluated.Add(1) > 55 {
						return fault
					}
					out[i] = search.Evaluation{Objectives: space.zdt1(c.Genome)}
				}
				return nil
			})
			result, err := search.Run(t.Context(), method(space, 1), ev, search.Settings[genes]{Batch: 20, Chunk: 4, Workers: workers})
			if !errors.Is(err, fault) || result.Status != search.Failed {
				t.Errorf("%d workers: status %s, error %v", workers, result.Status, err)
			}
			if result.Evaluations != 55 || result.Failed != 0 || len(result.Front) == 0 {
				t.Errorf("%d workers: %+v, front of %d", workers, result.Counts, len(result.Front))
			}
		}
	})
}

// broken fails in one of its methods.
type broken struct {
	grid
	in    string
	after *int
}

var errBroken = errors.New("broken")

func (b broken) fail(in string) error {
	if in != b.in {
		return nil
	}
	if *b.after--; *b.after < 0 {
		return errBroken
	}
	return nil
}

func (b broken) Sample(rng *rand.Rand) (genes, error) {
	x, _ := b.grid.Sample(rng)
	return x, b.fail("sample")
}

func (b broken) Mutate(rng *rand.Rand, x genes) (genes, error) {
	x, _ = b.grid.Mutate(rng, x)
	return x, b.fail("mutate")
}

func (b broken) Crossover(rng *rand.Rand, x, y genes) (genes, error) {
	x, _ = b.grid.Crossover(rng, x, y)
	return x, b.fail("crossover")
}

func TestSpaceError(t *testing.T) {
	for _, in := range []string{"sample", "mutate", "crossover"} {
		after := 10
		space := broken{grid{8, 10}, in, &after}
		result, err := search.Run(t.Context(), methods["nsga2"](t, space, 1), space.evaluator(), search.Settings[genes]{Evaluations: 1000})
		want := "search: " + in + ": broken"
		if !errors.Is(err, errBroken) || err.Error() != want || result.Status != search.Failed {
			t.Errorf("%s: status %s, error %v, want %s", in, result.Status, err, want)
		}
	}
	after := 10
	space := broken{grid{8, 10}, "sample", &after}
	if _, err := search.Run(t.Context(), methods["random"](t, space, 1), space.evaluator(), search.Settings[genes]{}); !errors.Is(err, errBroken) {
		t.Errorf("random: error %v", err)
	}
}

func TestBadSettings(t *testing.T) {
	space := grid{8, 10}
	for _, c := range []struct {
		settings search.Settings[genes]
		want     string
	}{
		{search.Settings[genes]{Evaluations: -1}, "search: settings: evaluations is -1, want 0 or more"},
		{search.Settings[genes]{Batch: -2, Workers: -3}, "search: settings: batch is -2, want 0 or more\nworkers is -3, want 0 or more"},
		{search.Settings[genes]{Chunk: -1}, "search: settings: chunk is -1, want 0 or more"},
		{search.Settings[genes]{Reference: []float64{1}}, "search: settings: reference: pareto: point has 1 objectives, want 2"},
		{search.Settings[genes]{Target: math.NaN(), Stagnation: -1}, "search: settings: stagnation is -1, want 0 or more\ntarget is NaN, want 0 or more"},
		{search.Settings[genes]{Target: 1}, "search: settings: a target needs a reference"},
		{search.Settings[genes]{Epsilon: []float64{1}}, "search: settings: epsilon: pareto: point has 1 objectives, want 2"},
		{search.Settings[genes]{Epsilon: []float64{1, -1}}, "search: settings: pareto: epsilon of objective 1 is -1, want at least 0"},
	} {
		_, err := search.Run(t.Context(), methods["random"](t, space, 1), space.evaluator(), c.settings)
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
	if _, err := search.NewRandom(space, nil, 1); err == nil {
		t.Error("NewRandom accepts no directions")
	}
	for _, c := range []struct {
		directions []pareto.Direction
		settings   search.NSGA2Settings
		want       string
	}{
		{nil, search.NSGA2Settings{}, "search: nsga2: pareto: no objectives"},
		{minimize2, search.NSGA2Settings{Population: 1}, "search: nsga2: population is 1, want 2 or more"},
		{minimize2, search.NSGA2Settings{Crossover: 1.5, Mutation: math.NaN()}, "search: nsga2: crossover probability is 1.5, want 1 or less\nmutation probability is NaN, want 1 or less"},
	} {
		if _, err := search.NewNSGA2(space, c.directions, c.settings); err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
	for _, c := range []struct {
		settings search.IslandsSettings
		want     string
	}{
		{search.IslandsSettings{Islands: -1, Migrants: -1}, "search: islands: islands are -1, want 1 or more\nmigrants are -1, want 1 or more"},
		{search.IslandsSettings{Population: 1, Mutation: 2}, "search: islands: population is 1, want 2 or more\nmutation probability is 2, want 1 or less"},
	} {
		if _, err := search.NewIslands(space, minimize2, c.settings); err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.settings, err, c.want)
		}
	}
}

// stub is a method that misbehaves.
type stub struct {
	ask func(n int) ([]search.Candidate[genes], error)
}

func (s stub) Pending() []search.Candidate[genes] { return nil }
func (s stub) MarshalBinary() ([]byte, error)     { return nil, nil }
func (s stub) UnmarshalBinary([]byte) error       { return nil }

func (s stub) Directions() []pareto.Direction                                { return minimize2 }
func (s stub) Ask(n int) ([]search.Candidate[genes], error)                  { return s.ask(n) }
func (s stub) Tell(_ []search.Candidate[genes], _ []search.Evaluation) error { return nil }

func TestBadMethod(t *testing.T) {
	for name, ask := range map[string]func(n int) ([]search.Candidate[genes], error){
		"nothing":  func(int) ([]search.Candidate[genes], error) { return nil, nil },
		"too many": func(n int) ([]search.Candidate[genes], error) { return make([]search.Candidate[genes], n+1), nil },
		"pending":  func(int) ([]search.Candidate[genes], error) { return nil, search.ErrPending },
	} {
		if result, err := search.Run(t.Context(), stub{ask}, grid{8, 10}.evaluator(), search.Settings[genes]{}); err == nil || result.Status != search.Failed {
			t.Errorf("%s: status %s, error %v", name, result.Status, err)
		}
	}
}

func TestBadAskAndTell(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		m := method(space, 1)
		for _, n := range []int{0, -1} {
			if _, err := m.Ask(n); err == nil {
				t.Errorf("Ask(%d) returns no error", n)
			}
		}
		batch, err := m.Ask(2)
		if err != nil {
			t.Fatal(err)
		}
		e := search.Evaluation{Objectives: []float64{1, 1}}
		stranger := batch[0]
		stranger.ID = 1000
		if m.Tell(batch, []search.Evaluation{e}) == nil {
			t.Error("Tell accepts fewer evaluations than candidates")
		}
		if m.Tell([]search.Candidate[genes]{stranger}, []search.Evaluation{e}) == nil {
			t.Error("Tell accepts a candidate that was not asked for")
		}
		for _, told := range [][]search.Candidate[genes]{batch, nil} {
			if err := m.Tell(told, []search.Evaluation{e, e}[:len(told)]); err != nil {
				t.Error(err)
			}
			if pending := m.Pending(); len(pending) > 0 {
				t.Errorf("told of all, but %v are pending", pending)
			}
		}
		next, err := m.Ask(1)
		if err != nil || next[0].ID != 2 {
			t.Errorf("the third candidate is %+v, %v", next, err)
		}
		if m.Tell(batch, []search.Evaluation{e, e}) == nil {
			t.Error("Tell accepts what it was told before")
		}
	})
}

func TestStatusString(t *testing.T) {
	got := fmt.Sprint(search.Failed, search.EvaluationLimit, search.Exhausted, search.Interrupted, search.TargetReached, search.Stagnated, search.Status(9))
	if want := "failed evaluation limit exhausted interrupted target reached front unchanged Status(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
