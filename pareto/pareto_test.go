package pareto_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
)

const (
	lo = pareto.Minimize
	hi = pareto.Maximize
)

var (
	nan = math.NaN()
	inf = math.Inf(1)
)

func TestDirectionString(t *testing.T) {
	for d, want := range map[pareto.Direction]string{lo: "minimize", hi: "maximize", 7: "Direction(7)"} {
		if got := d.String(); got != want {
			t.Errorf("Direction(%d).String() = %q, want %q", int(d), got, want)
		}
	}
}

func TestDominates(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, b       []float64
		directions []pareto.Direction
		want       bool
	}{
		{"better in both", []float64{1, 1}, []float64{2, 2}, []pareto.Direction{lo, lo}, true},
		{"better in one, equal in one", []float64{1, 2}, []float64{2, 2}, []pareto.Direction{lo, lo}, true},
		{"equal", []float64{2, 2}, []float64{2, 2}, []pareto.Direction{lo, lo}, false},
		{"a trade", []float64{1, 3}, []float64{2, 2}, []pareto.Direction{lo, lo}, false},
		{"worse", []float64{2, 2}, []float64{1, 1}, []pareto.Direction{lo, lo}, false},
		{"more is better", []float64{2, 2}, []float64{1, 1}, []pareto.Direction{hi, hi}, true},
		{"mixed", []float64{300, 75}, []float64{400, 74}, []pareto.Direction{lo, hi}, true},
		{"mixed, a trade", []float64{300, 74}, []float64{400, 75}, []pareto.Direction{lo, hi}, false},
		{"three", []float64{1, 1, 1}, []float64{1, 1, 2}, []pareto.Direction{lo, lo, lo}, true},
		{"signed zeros are equal", []float64{0, 1}, []float64{math.Copysign(0, -1), 1}, []pareto.Direction{hi, lo}, false},
		{"NaN in a", []float64{nan, 1}, []float64{2, 2}, []pareto.Direction{lo, lo}, false},
		{"NaN in b", []float64{1, 1}, []float64{2, nan}, []pareto.Direction{lo, lo}, false},
		{"too short", []float64{1}, []float64{2, 2}, []pareto.Direction{lo, lo}, false},
		{"too long", []float64{1, 1}, []float64{2, 2, 2}, []pareto.Direction{lo, lo}, false},
	} {
		if got := pareto.Dominates(c.a, c.b, c.directions); got != c.want {
			t.Errorf("%s: Dominates(%v, %v) = %v, want %v", c.name, c.a, c.b, got, c.want)
		}
	}
}

// Every function refuses the same points with the same words.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name       string
		points     [][]float64
		directions []pareto.Direction
		want       string
	}{
		{"no directions", [][]float64{{}}, nil, "pareto: no objectives"},
		{"unknown direction", [][]float64{{1, 1}}, []pareto.Direction{lo, 2}, "pareto: objective 1: unknown direction 2"},
		{"NaN", [][]float64{{nan, 1}}, []pareto.Direction{lo, lo}, "pareto: objective 0 is NaN, want a finite number"},
		{"+Inf", [][]float64{{1, inf}}, []pareto.Direction{lo, lo}, "pareto: objective 1 is +Inf, want a finite number"},
		{"-Inf", [][]float64{{1, -inf}}, []pareto.Direction{lo, hi}, "pareto: objective 1 is -Inf, want a finite number"},
		{"too short", [][]float64{{1}}, []pareto.Direction{lo, lo}, "pareto: point has 1 objectives, want 2"},
		{"too long", [][]float64{{1, 2, 3}}, []pareto.Direction{lo, lo}, "pareto: point has 3 objectives, want 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect := func(name string, err error, want string) {
				t.Helper()
				if err == nil || err.Error() != want {
					t.Errorf("%s: error %v, want %q", name, err, want)
				}
			}
			inPoint := "point 0: " + c.want
			archive, err := pareto.NewArchive[int](c.directions)
			if err != nil {
				inPoint = c.want // the directions are at fault, not the point
				expect("NewArchive", err, c.want)
			} else {
				_, err = archive.Add("", c.points[0], 0)
				expect("Add", err, c.want)
				if archive.Len() != 0 {
					t.Errorf("archive holds %v", archive.Entries())
				}
			}
			_, err = pareto.Fronts(c.points, c.directions)
			expect("Fronts", err, inPoint)
			_, err = pareto.Ranks(make([]int, 1), c.points, c.directions)
			expect("Ranks", err, inPoint)
			_, _, err = pareto.Knee(c.points, c.directions)
			expect("Knee", err, inPoint)
			reference := make([]float64, len(c.directions))
			_, err = pareto.Hypervolume(c.points, reference, c.directions)
			expect("Hypervolume", err, inPoint)
			volume, err := pareto.NewVolume(reference, c.directions)
			if err != nil {
				expect("NewVolume", err, c.want)
			} else {
				_, err = volume.Gain(c.points[0])
				expect("Gain", err, c.want)
				_, err = volume.Add(c.points[0])
				expect("Volume.Add", err, c.want)
			}
			if inPoint != c.want {
				inPoint = "first set: " + inPoint
			}
			_, err = pareto.Coverage(c.points, nil, c.directions)
			expect("Coverage", err, inPoint)
			_, err = pareto.IGDPlus(c.points, nil, c.directions, nil)
			expect("IGDPlus", err, inPoint)
			if len(c.points[0]) == 2 && len(c.directions) == 2 && inPoint != c.want {
				_, err = pareto.Crowding(c.points)
				expect("Crowding", err, "point 0: "+c.want)
			}
		})
	}
	if _, err := pareto.Crowding([][]float64{{1, 2}, {1}}); err == nil {
		t.Error("Crowding accepts points of different lengths")
	}
	if _, err := pareto.Crowding([][]float64{{}}); err == nil {
		t.Error("Crowding accepts points without objectives")
	}
	if _, err := pareto.Hypervolume(nil, []float64{1, nan}, []pareto.Direction{lo, lo}); err == nil {
		t.Error("Hypervolume accepts a reference with a NaN")
	}
	if _, err := pareto.Hypervolume(nil, nil, nil); err == nil {
		t.Error("Hypervolume accepts no objectives")
	}
	if v, err := pareto.Hypervolume([][]float64{{-1e300, -1e300}}, []float64{0, 0}, []pareto.Direction{lo, lo}); err == nil {
		t.Errorf("Hypervolume overflows to %v without an error", v)
	}
}

func TestFronts(t *testing.T) {
	for _, c := range []struct {
		name       string
		points     [][]float64
		directions []pareto.Direction
		want       [][]int
	}{
		{"none", nil, []pareto.Direction{lo, lo}, nil},
		{"one", [][]float64{{1, 1}}, []pareto.Direction{lo, lo}, [][]int{{0}}},
		{"a chain", [][]float64{{3, 3}, {1, 1}, {2, 2}}, []pareto.Direction{lo, lo}, [][]int{{1}, {2}, {0}}},
		{"a chain, maximised", [][]float64{{3, 3}, {1, 1}, {2, 2}}, []pareto.Direction{hi, hi}, [][]int{{0}, {2}, {1}}},
		{"twins", [][]float64{{2, 2}, {1, 1}, {1, 1}, {2, 2}}, []pareto.Direction{lo, lo}, [][]int{{1, 2}, {0, 3}}},
		{"level in x", [][]float64{{1, 2}, {1, 1}}, []pareto.Direction{lo, lo}, [][]int{{1}, {0}}},
		{"level in y", [][]float64{{2, 1}, {1, 1}}, []pareto.Direction{lo, lo}, [][]int{{1}, {0}}},
		{"one objective", [][]float64{{2}, {3}, {2}}, []pareto.Direction{hi}, [][]int{{1}, {0, 2}}},
		{"three", [][]float64{{1, 2, 3}, {3, 2, 1}, {3, 3, 3}}, []pareto.Direction{lo, lo, lo}, [][]int{{0, 1}, {2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pareto.Fronts(c.points, c.directions)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// drawProblem draws directions and points. Values are small integers, so that
// ties and twins abound and sums are exact.
func drawProblem(t *rapid.T, minObjectives, maxObjectives int) ([][]float64, []pareto.Direction) {
	n := rapid.IntRange(minObjectives, maxObjectives).Draw(t, "objectives")
	directions := rapid.SliceOfN(rapid.SampledFrom([]pareto.Direction{lo, hi}), n, n).Draw(t, "directions")
	value := rapid.Map(rapid.IntRange(-6, 6), func(v int) float64 { return float64(v) })
	points := rapid.SliceOfN(rapid.SliceOfN(value, n, n), 0, 40).Draw(t, "points")
	return points, directions
}

// By definition: what no point that is left dominates is the next front.
func bruteFronts(points [][]float64, directions []pareto.Direction) [][]int {
	left := make([]int, len(points))
	for i := range left {
		left[i] = i
	}
	var fronts [][]int
	for len(left) > 0 {
		var front, rest []int
		for _, i := range left {
			if slices.ContainsFunc(left, func(j int) bool { return pareto.Dominates(points[j], points[i], directions) }) {
				rest = append(rest, i)
			} else {
				front = append(front, i)
			}
		}
		fronts = append(fronts, front)
		left = rest
	}
	return fronts
}

func TestFrontsAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 5)
		got, err := pareto.Fronts(points, directions)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bruteFronts(points, directions), got); diff != "" {
			t.Errorf("-brute force +Fronts:\n%s", diff)
		}
	})
}

func TestCrowding(t *testing.T) {
	for _, c := range []struct {
		name   string
		points [][]float64
		want   []float64
	}{
		{"none", nil, nil},
		{"one", [][]float64{{1, 1}}, []float64{inf}},
		{"two", [][]float64{{1, 2}, {2, 1}}, []float64{inf, inf}},
		{"by hand", [][]float64{{0, 10}, {5, 1}, {1, 6}, {10, 0}}, []float64{inf, 9./10 + 6./10, 5./10 + 9./10, inf}},
		{"twins at the end", [][]float64{{0, 2}, {0, 2}, {1, 1}, {2, 0}}, []float64{inf, inf, 1 + 1, inf}},
		{"all equal", [][]float64{{1, 1}, {1, 1}, {1, 1}}, []float64{0, 0, 0}},
		{"equal in one", [][]float64{{0, 7}, {1, 7}, {4, 7}}, []float64{inf, 1, inf}},
		{"huge", [][]float64{{-1.7e308}, {0}, {1.7e308}}, []float64{inf, 1, inf}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pareto.Crowding(c.points)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestArchive(t *testing.T) {
	archive, err := pareto.NewArchive[string]([]pareto.Direction{hi, lo}) // accuracy, MACs
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, key string
		point     []float64
		want      bool
	}{
		{"the first", "a", []float64{70, 300}, true},
		{"better, dearer", "b", []float64{75, 400}, true},
		{"worse and dearer", "c", []float64{69, 300}, false},
		{"the same point", "d", []float64{70, 300}, false},
		{"the same key", "a", []float64{60, 100}, false},
		{"cheaper, worse", "e", []float64{60, 100}, true},
		{"dominates a", "f", []float64{71, 299}, true},
		{"a left, its key is free", "a", []float64{80, 500}, true},
	} {
		got, err := archive.Add(c.key, c.point, c.name)
		if err != nil || got != c.want {
			t.Errorf("%s: Add(%v) = %v, %v, want %v", c.name, c.point, got, err, c.want)
		}
		c.point[0] = nan // the archive has its own copy
	}
	want := []pareto.Entry[string]{
		{Key: "e", Point: []float64{60, 100}, Value: "cheaper, worse"},
		{Key: "f", Point: []float64{71, 299}, Value: "dominates a"},
		{Key: "b", Point: []float64{75, 400}, Value: "better, dearer"},
		{Key: "a", Point: []float64{80, 500}, Value: "a left, its key is free"},
	}
	if diff := cmp.Diff(want, archive.Entries()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestArchiveAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 4)
		archive, err := pareto.NewArchive[int](directions)
		if err != nil {
			t.Fatal(err)
		}
		var want []pareto.Entry[int]
		for i, p := range points {
			key := rapid.StringMatching("[a-z]").Draw(t, "key")
			added := !slices.ContainsFunc(want, func(e pareto.Entry[int]) bool {
				return e.Key == key || slices.Equal(e.Point, p) || pareto.Dominates(e.Point, p, directions)
			})
			if added {
				want = slices.DeleteFunc(want, func(e pareto.Entry[int]) bool {
					return pareto.Dominates(p, e.Point, directions)
				})
				want = append(want, pareto.Entry[int]{Key: key, Point: p, Value: i})
			}
			if got, err := archive.Add(key, p, i); err != nil || got != added {
				t.Fatalf("Add(%q, %v) = %v, %v, want %v", key, p, got, err, added)
			}
		}
		first := max(0, slices.Index(directions, lo))
		slices.SortFunc(want, func(a, b pareto.Entry[int]) int {
			for i := range directions {
				k := i // first, then the others as they stand
				switch {
				case i == 0:
					k = first
				case i <= first:
					k = i - 1
				}
				if c := compareBest(a.Point[k], b.Point[k], directions[k]); c != 0 {
					return c
				}
			}
			return 0
		})
		got := archive.Entries()
		if len(got) != archive.Len() || !slices.EqualFunc(want, got, func(a, b pareto.Entry[int]) bool {
			return a.Key == b.Key && a.Value == b.Value && slices.Equal(a.Point, b.Point)
		}) {
			t.Errorf("entries %v, want %v", got, want)
		}
	})
}

func compareBest(a, b float64, d pareto.Direction) int {
	if d == hi {
		a, b = b, a
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestHypervolume(t *testing.T) {
	for _, c := range []struct {
		name       string
		points     [][]float64
		reference  []float64
		directions []pareto.Direction
		want       float64
	}{
		{"none", nil, []float64{1, 1}, []pareto.Direction{lo, lo}, 0},
		{"one objective", [][]float64{{3}, {2}}, []float64{7}, []pareto.Direction{lo}, 5},
		{"a rectangle", [][]float64{{1, 2}}, []float64{4, 4}, []pareto.Direction{lo, lo}, 6},
		{"a staircase", [][]float64{{1, 3}, {2, 2}, {3, 1}}, []float64{4, 4}, []pareto.Direction{lo, lo}, 6},
		{"dominated and twin points", [][]float64{{1, 3}, {2, 3}, {1, 3}}, []float64{4, 4}, []pareto.Direction{lo, lo}, 3},
		{"error in %, MACs in millions", [][]float64{{7, 30}, {10, 10}}, []float64{15, 90}, []pareto.Direction{lo, lo}, 8*60 + 5*20},
		{"mixed", [][]float64{{300, 75}}, []float64{600, 70}, []pareto.Direction{lo, hi}, 1500},
		{"on the reference", [][]float64{{1, 4}, {4, 1}}, []float64{4, 4}, []pareto.Direction{lo, lo}, 0},
		{"beyond the reference", [][]float64{{-5, 5}, {1, 2}}, []float64{4, 4}, []pareto.Direction{lo, lo}, 6},
		{"a cuboid", [][]float64{{1, 2, 3}}, []float64{4, 4, 4}, []pareto.Direction{lo, lo, lo}, 6},
		{"two cuboids", [][]float64{{0, 0, 2}, {1, 1, 0}}, []float64{3, 3, 3}, []pareto.Direction{lo, lo, lo}, 9 + 8},
		{"maximised", [][]float64{{1, 1, 3}, {2, 2, 1}}, []float64{0, 0, 0}, []pareto.Direction{hi, hi, hi}, 4 + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pareto.Hypervolume(c.points, c.reference, c.directions)
			if err != nil || got != c.want {
				t.Errorf("Hypervolume = %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

// Integer points fill whole unit cells, which can be counted: a cell counts if
// its corner nearest to the reference is dominated by, or equal to, a point.
func bruteHypervolume(points [][]float64, reference []float64, directions []pareto.Direction) float64 {
	count := 0
	cell := make([]float64, len(directions))
	var visit func(k int)
	visit = func(k int) {
		if k == len(directions) {
			for _, p := range points {
				if slices.Equal(p, cell) || pareto.Dominates(p, cell, directions) {
					count++
					return
				}
			}
			return
		}
		for step := 1.; step <= 14; step++ { // from -7 to 7, points reach 6
			cell[k] = reference[k] - step
			if directions[k] == hi {
				cell[k] = reference[k] + step
			}
			visit(k + 1)
		}
	}
	visit(0)
	return float64(count)
}

func TestHypervolumeAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 3)
		value := rapid.Map(rapid.IntRange(-7, 7), func(v int) float64 { return float64(v) })
		reference := rapid.SliceOfN(value, len(directions), len(directions)).Draw(t, "reference")
		got, err := pareto.Hypervolume(points, reference, directions)
		if err != nil {
			t.Fatal(err)
		}
		if want := bruteHypervolume(points, reference, directions); got != want {
			t.Errorf("Hypervolume = %v, brute force counts %v", got, want)
		}
	})
}

// What is never dominated adds to the hypervolume, and order does not matter.
func TestHypervolumeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 2, 3)
		reference := make([]float64, len(directions))
		volume := func(points [][]float64) float64 {
			v, err := pareto.Hypervolume(points, reference, directions)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		all := volume(points)
		if shuffled := volume(rapid.Permutation(points).Draw(t, "shuffled")); shuffled != all {
			t.Errorf("shuffled %v, before %v", shuffled, all)
		}
		fronts, err := pareto.Fronts(points, directions)
		if err != nil {
			t.Fatal(err)
		}
		if len(fronts) > 0 {
			var front [][]float64
			for _, i := range fronts[0] {
				front = append(front, points[i])
			}
			if v := volume(front); v != all {
				t.Errorf("first front %v, all %v", v, all)
			}
		}
		ideal := make([]float64, len(directions))
		for k, d := range directions {
			ideal[k] = 7 * float64(2*d-1) // Minimize: -7, Maximize: 7
		}
		if v := volume(append(slices.Clone(points), ideal)); v <= all {
			t.Errorf("with the ideal point %v, without %v", v, all)
		}
	})
}

func randomPoints(n, objectives int) [][]float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	points := make([][]float64, n)
	for i := range points {
		points[i] = make([]float64, objectives)
		for k := range points[i] {
			points[i][k] = rng.Float64()
		}
	}
	return points
}

// frontPoints returns points of the unit sphere: none dominates another.
func frontPoints(n, objectives int) [][]float64 {
	points := randomPoints(n, objectives)
	for _, p := range points {
		var square float64
		for _, v := range p {
			square += v * v
		}
		for k := range p {
			p[k] /= math.Sqrt(square)
		}
	}
	return points
}

func BenchmarkFronts(b *testing.B) {
	for _, c := range []struct {
		name   string
		points [][]float64
	}{
		{"2x400", randomPoints(400, 2)},
		{"2x100000", randomPoints(100_000, 2)},
		{"3x400", randomPoints(400, 3)},
		{"3x10000", randomPoints(10_000, 3)},
		{"3x100000", randomPoints(100_000, 3)},
		{"3x100000/front", frontPoints(100_000, 3)},
		{"4x5000", randomPoints(5_000, 4)},
	} {
		b.Run(c.name, func(b *testing.B) {
			directions := make([]pareto.Direction, len(c.points[0]))
			for b.Loop() {
				if _, err := pareto.Fronts(c.points, directions); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHypervolume(b *testing.B) {
	for _, c := range []struct {
		name   string
		points [][]float64
	}{
		{"2x100000", randomPoints(100_000, 2)},
		{"2x100000/front", frontPoints(100_000, 2)},
		{"3x100000", randomPoints(100_000, 3)},
		{"3x100000/front", frontPoints(100_000, 3)},
		{"4x1000/front", frontPoints(1_000, 4)},
		{"4x10000", randomPoints(10_000, 4)},
		{"5x200/front", frontPoints(200, 5)},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := len(c.points[0])
			for b.Loop() {
				if _, err := pareto.Hypervolume(c.points, make([]float64, n), slices.Repeat([]pareto.Direction{hi}, n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkArchive(b *testing.B) {
	for _, c := range []struct {
		name   string
		points [][]float64
	}{
		{"2x100000", randomPoints(100_000, 2)},
		{"2x10000/front", frontPoints(10_000, 2)},
		{"3x100000", randomPoints(100_000, 3)},
	} {
		b.Run(c.name, func(b *testing.B) {
			keys := make([]string, len(c.points))
			for i := range keys {
				keys[i] = string(rune(i + 0x10000))
			}
			for b.Loop() {
				archive, err := pareto.NewArchive[int](make([]pareto.Direction, len(c.points[0])))
				if err != nil {
					b.Fatal(err)
				}
				for i, p := range c.points {
					if _, err := archive.Add(keys[i], p, i); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(c.points)), "ns/add")
		})
	}
}
