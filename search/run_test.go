package search_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

// Target and stagnation end a search after the batch in which they come about, to
// be found by brute force, for any number of workers.
func TestStoppingRules(t *testing.T) {
	space := grid{6, 6}
	reference := []float64{1.1, 1.1}
	_, all := history(t, methods["random"](t, space, 1), each(hard(space)), search.Settings[genes]{Evaluations: 1000})
	// After each evaluation: the hypervolume, and for how long the front has not
	// changed.
	var volumes []float64
	var unchanged []int
	var front [][]float64
	since := 0
	for _, o := range all {
		covered := func(p []float64) bool {
			return slices.Equal(p, o.Objectives) || pareto.Dominates(p, o.Objectives, minimize2)
		}
		if since++; o.Err == nil && o.Violation == 0 && !slices.ContainsFunc(front, covered) {
			front = slices.DeleteFunc(front, func(p []float64) bool { return pareto.Dominates(o.Objectives, p, minimize2) })
			front = append(front, o.Objectives)
			since = 0
		}
		unchanged = append(unchanged, since)
		volumes = append(volumes, hypervolume(t, front))
	}
	if longest := slices.Max(unchanged); longest < 50 || volumes[999] == 0 {
		t.Fatalf("the front is unchanged for %d evaluations at most", longest)
	}

	rapid.Check(t, func(rt *rapid.T) {
		settings := search.Settings[genes]{
			Evaluations: len(all), Reference: reference,
			Batch:   rapid.IntRange(1, 100).Draw(rt, "batch"),
			Workers: rapid.IntRange(1, 4).Draw(rt, "workers"),
			Chunk:   rapid.IntRange(1, 20).Draw(rt, "chunk"),
		}
		if rapid.Bool().Draw(rt, "target") {
			settings.Target = rapid.Float64Range(0.3, 1.02).Draw(rt, "share") * volumes[len(volumes)-1]
		}
		if rapid.Bool().Draw(rt, "stagnation") {
			settings.Stagnation = rapid.IntRange(1, slices.Max(unchanged)+10).Draw(rt, "patience")
		}
		want, evaluations := search.EvaluationLimit, len(all)
		for i := range all {
			if settings.Target > 0 && volumes[i] >= settings.Target {
				want = search.TargetReached
			} else if settings.Stagnation > 0 && unchanged[i] >= settings.Stagnation {
				want = search.Stagnated
			}
			if want != search.EvaluationLimit {
				evaluations = min(len(all), (i/settings.Batch+1)*settings.Batch)
				break
			}
		}
		result, got := history(t, methods["random"](t, space, 1), each(hard(space)), settings)
		if result.Status != want || len(got) != evaluations {
			rt.Errorf("%s after %d evaluations, want %s after %d", result.Status, len(got), want, evaluations)
		}
	})
}

// Of three objectives the hypervolume is computed anew, and as correctly.
func TestTargetOfThreeObjectives(t *testing.T) {
	space := grid{4, 8}
	ev := each(func(x genes) search.Evaluation {
		return search.Evaluation{Objectives: []float64{float64(x[0]) + float64(x[3])/8, float64(x[1]) + 7 - float64(x[0]), float64(x[2])}}
	})
	directions := []pareto.Direction{pareto.Minimize, pareto.Minimize, pareto.Maximize}
	reference := []float64{20, 20, -1}
	m, err := search.NewRandom[genes](space, directions, 1)
	if err != nil {
		t.Fatal(err)
	}
	const target = 2000
	reached := 0.
	result, err := search.Run(t.Context(), m, ev, search.Settings[genes]{
		Evaluations: 2000, Batch: 1, Reference: reference, Target: target,
		Recorder: func(p search.Progress[genes]) error {
			var points [][]float64
			for _, o := range p.Front() {
				points = append(points, o.Objectives)
			}
			want, err := pareto.Hypervolume(points, reference, directions)
			if want != p.Hypervolume || reached >= target {
				t.Errorf("hypervolume %v, want %v, after %v", p.Hypervolume, want, reached)
			}
			reached = want
			return err
		},
	})
	if err != nil || result.Status != search.TargetReached || reached < target {
		t.Errorf("%s at %v, %v", result.Status, reached, err)
	}
}

// With epsilon the front is of bounded size, and near everything evaluated.
func TestEpsilon(t *testing.T) {
	space := grid{3, 30}
	objectives := func(x genes) []float64 { // all are on the exact front
		v := float64(x[0])*900 + float64(x[1])*30 + float64(x[2])
		return []float64{v, -v}
	}
	ev := each(func(x genes) search.Evaluation { return search.Evaluation{Objectives: objectives(x)} })
	epsilon := []float64{1000, 2700}
	largest := 0
	s := search.Settings[genes]{Evaluations: 5000, Epsilon: epsilon, Reference: []float64{27000, 0}}
	s.Recorder = func(p search.Progress[genes]) error {
		largest = max(largest, p.FrontSize)
		var points [][]float64
		for _, o := range p.Front() {
			points = append(points, o.Objectives)
		}
		want, err := pareto.Hypervolume(points, s.Reference, minimize2)
		if math.Abs(p.Hypervolume-want) > 1e-9*want || len(points) != p.FrontSize {
			t.Errorf("hypervolume %v of %d points, want %v of %d", p.Hypervolume, p.FrontSize, want, len(points))
		}
		return err
	}
	var all []search.Outcome[genes]
	record := s.Recorder
	s.Recorder = func(p search.Progress[genes]) error {
		all = append(all, p.Batch...)
		return record(p)
	}
	result, err := search.Run(t.Context(), methods["random"](t, space, 1), ev, s)
	if err != nil || len(all) != 5000 {
		t.Fatal(len(all), err)
	}
	if most := 2 + 27000/2700 + 2; largest > most || len(result.Front) < 8 { // as [pareto.NewEpsilonArchive] says
		t.Errorf("fronts of up to %d, want %d at most; the last of %d", largest, most, len(result.Front))
	}
	for _, o := range all {
		if !slices.ContainsFunc(result.Front, func(f search.Outcome[genes]) bool {
			return f.Objectives[0] < o.Objectives[0]+epsilon[0] && f.Objectives[1] < o.Objectives[1]+epsilon[1]
		}) {
			t.Errorf("nothing on the front is near %v", o.Objectives)
		}
	}
}

// An objective too large for epsilon fails its candidate, and not the search.
func TestEpsilonOfHugeObjectives(t *testing.T) {
	space := grid{2, 10}
	ev := each(func(x genes) search.Evaluation {
		o := space.zdt1(x)
		if x[1] == 7 {
			o[1] = 1e20
		}
		return search.Evaluation{Objectives: o}
	})
	result, _ := history(t, methods["nsga2"](t, space, 1), ev, search.Settings[genes]{Epsilon: []float64{0, 0.001}})
	if result.Status != search.Exhausted || result.Failed != 10 || len(result.Front) == 0 {
		t.Errorf("%+v", result)
	}
}

// A search that is interrupted, again and again, and goes on from the saved state
// comes to the result of one that is not.
func TestGoOn(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		settings := search.Settings[genes]{Evaluations: budget(t, 300), Batch: 50, Chunk: 10, Reference: []float64{1.1, 1.1}}
		ends := []search.Settings[genes]{settings, settings, settings}
		ends[1].Target = 0.3
		ends[2].Stagnation = 40
		var wants []search.Result[genes]
		for _, s := range ends {
			want, _ := history(t, method(space, 7), each(hard(space)), s)
			wants = append(wants, want)
		}
		rapid.Check(t, func(rt *rapid.T) {
			which := rapid.IntRange(0, len(ends)-1).Draw(rt, "end")
			s, want := ends[which], wants[which]
			m := method(space, 7)
			var got search.Result[genes]
			for runs := 0; got.Status != want.Status; runs++ {
				if runs > 0 {
					m = loaded(rt, m, method(space, 7))
				}
				left := rapid.IntRange(1, 150).Draw(rt, "interrupted after")
				s.Workers = rapid.IntRange(1, 3).Draw(rt, "workers")
				got = interrupted(rt, m, &s, left, hard(space))
				if got.Status != want.Status && got.Status != search.Interrupted {
					rt.Fatalf("%s after %d evaluations, want %s after %d", got.Status, got.Evaluations, want.Status, want.Evaluations)
				}
			}
			if !reflect.DeepEqual(got, want) {
				rt.Errorf("-without interruption +with:\n%s", cmp.Diff(want, got))
			}
		})
	})
}

// interrupted runs a search that is interrupted after so many evaluations, and
// adds what it evaluated to s.Earlier.
func interrupted(t *rapid.T, m search.Method[genes], s *search.Settings[genes], after int, evaluate func(genes) search.Evaluation) search.Result[genes] {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var n atomic.Int64
	ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		for i, c := range batch {
			if n.Add(1) > int64(after) {
				cancel()
				return ctx.Err()
			}
			out[i] = evaluate(c.Genome)
		}
		return nil
	})
	before := len(s.Earlier)
	var news []search.Outcome[genes]
	s.Recorder = func(p search.Progress[genes]) error { news = append(news, p.Batch...); return nil }
	result, err := search.Run(ctx, m, ev, *s)
	if err != nil {
		t.Fatal(err)
	}
	if result.Evaluations != before+len(news) || len(m.Pending()) == 0 && result.Status == search.Interrupted && len(news) < after {
		t.Errorf("%d evaluations, %d before and %d now; pending: %d", result.Evaluations, before, len(news), len(m.Pending()))
	}
	s.Earlier = append(news, s.Earlier...) // in any order
	return result
}

// What an earlier part of a search has found is checked as well.
func TestEarlierIsChecked(t *testing.T) {
	space := grid{8, 10}
	earlier := []search.Outcome[genes]{
		{Candidate: search.Candidate[genes]{ID: 2, Key: "c"}, Evaluation: search.Evaluation{Objectives: []float64{math.NaN(), 1}}},
		{Candidate: search.Candidate[genes]{ID: 1, Key: "b"}, Evaluation: search.Evaluation{Err: errors.New("diverged")}},
		{Candidate: search.Candidate[genes]{ID: 0, Key: "a", Generation: 4}, Evaluation: search.Evaluation{Objectives: []float64{-1, -1}}},
	}
	result, all := []search.Result[genes]{}, 0
	for _, evaluations := range []int{3, 10} {
		r, err := search.Run(t.Context(), methods["nsga2"](t, space, 1), space.evaluator(), search.Settings[genes]{
			Evaluations: evaluations, Earlier: earlier,
			Recorder: func(p search.Progress[genes]) error { all += len(p.Batch); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		result = append(result, r)
	}
	if result[0].Evaluations != 3 || result[1].Evaluations != 10 || all != 7 {
		t.Errorf("%+v, %+v, of which %d now", result[0].Counts, result[1].Counts, all)
	}
	for _, r := range result {
		if r.Failed != 2 || r.Generations != 5 || len(r.Front) != 1 || r.Front[0].Key != "a" {
			t.Errorf("%+v", r)
		}
	}
}
