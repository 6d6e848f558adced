package pareto_test

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
)

// Inclusion and exclusion: the boxes themselves, less the intersections of two,
// plus those of three, and so on. Exact for small integers.
func unionVolume(points [][]float64, reference []float64, directions []pareto.Direction) float64 {
	var sum float64
	for set := uint(1); set < 1<<len(points); set++ {
		volume := 1.0
		for k, d := range directions {
			side := inf
			for i, p := range points {
				if set>>i&1 == 1 {
					side = min(side, (reference[k]-p[k])*float64(1-2*d)) // Minimize is 0, Maximize 1
				}
			}
			volume *= max(0, side)
		}
		if bits.OnesCount(set)%2 == 0 {
			volume = -volume
		}
		sum += volume
	}
	return sum
}

func drawReference(t *rapid.T, n int) []float64 {
	value := rapid.Map(rapid.IntRange(-7, 7), func(v int) float64 { return float64(v) })
	return rapid.SliceOfN(value, n, n).Draw(t, "reference")
}

// hypervolume fails the test on an error.
func hypervolume(t rapid.TB, points [][]float64, reference []float64, directions []pareto.Direction) float64 {
	t.Helper()
	v, err := pareto.Hypervolume(points, reference, directions)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestHypervolumeAgainstInclusionExclusion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 6)
		points = points[:min(9, len(points))]
		reference := drawReference(t, len(directions))
		got := hypervolume(t, points, reference, directions)
		if want := unionVolume(points, reference, directions); got != want {
			t.Errorf("Hypervolume(%v, %v, %v) = %v, want %v", points, reference, directions, got, want)
		}
	})
}

// An objective in which all points are alike is a factor. It leads the algorithms
// for more objectives over those for fewer, wherever it stands.
func TestHypervolumeOfCylinders(t *testing.T) {
	for _, n := range []int{3, 50, 300} {
		for d := 1; d <= 4; d++ {
			points := frontPoints(n, d)
			directions := slices.Repeat([]pareto.Direction{hi}, d)
			want := hypervolume(t, points, make([]float64, d), directions) * 4
			for at := range d + 1 {
				wide := make([][]float64, len(points))
				for i, p := range points {
					wide[i] = slices.Insert(slices.Clone(p), at, 4)
				}
				got := hypervolume(t, wide, make([]float64, d+1), append(directions, hi))
				if math.Abs(got-want) > 1e-12*want {
					t.Errorf("%d points, %d objectives and one at %d: %v, want %v", n, d, at, got, want)
				}
			}
		}
	}
}

// The last bit depends on the front alone.
func TestHypervolumeIsReproducible(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for d := 1; d <= 5; d++ {
		directions := slices.Repeat([]pareto.Direction{hi}, d)
		reference := slices.Repeat([]float64{0.1}, d)
		points := randomPoints(min(2000, 20_000/(d*d*d*d)), d)
		want := hypervolume(t, points, reference, directions)
		ranks, err := pareto.Ranks(nil, points, directions)
		if err != nil {
			t.Fatal(err)
		}
		var front [][]float64
		for i, p := range points {
			if ranks[i] == 0 {
				front = append(front, p)
			}
		}
		if got := hypervolume(t, append(front, front...), reference, directions); got != want {
			t.Errorf("%d objectives: front twice %v, all %v", d, got, want)
		}
		rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		if got := hypervolume(t, points, reference, directions); got != want {
			t.Errorf("%d objectives: shuffled %v, before %v", d, got, want)
		}
	}
}

func TestVolume(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 5)
		points = points[:min(len(points), 60/len(directions))]
		reference := drawReference(t, len(directions))
		volume, err := pareto.NewVolume(reference, directions)
		if err != nil {
			t.Fatal(err)
		}
		var before float64
		for i, p := range points {
			after := hypervolume(t, points[:i+1], reference, directions)
			clone := volume.Clone()
			if got, err := volume.Gain(p); err != nil || got != after-before {
				t.Fatalf("Gain(%v) = %v, %v, want %v", p, got, err, after-before)
			}
			if got, err := volume.Add(p); err != nil || got != after-before {
				t.Fatalf("Add(%v) = %v, %v, want %v", p, got, err, after-before)
			}
			if got := volume.Value(); got != after {
				t.Fatalf("Value() = %v, want %v", got, after)
			}
			if got, err := volume.Gain(p); err != nil || got != 0 {
				t.Fatalf("once added, Gain(%v) = %v, %v", p, got, err)
			}
			if clone.Value() != before {
				t.Fatalf("a clone went from %v to %v with its original", before, clone.Value())
			}
			if got, err := clone.Add(p); err != nil || got != after-before {
				t.Fatalf("clone: Add(%v) = %v, %v, want %v", p, got, err, after-before)
			}
			volume = clone
			before = after
		}
	})
}

// Large enough for a staircase of many blocks, and for those in its midst to go.
func TestVolumeOfManyPoints(t *testing.T) {
	directions := []pareto.Direction{hi, lo}
	for _, points := range [][][]float64{randomPoints(3000, 2), frontPoints(3000, 2)} {
		for _, p := range points {
			p[1] = -p[1]
		}
		points = append(points, []float64{0.7, -0.75}, []float64{0.9, -0.95}, []float64{0.99, -0.1}, []float64{0.1, -2}, []float64{2, -2})
		reference := []float64{0, 0}
		volume, err := pareto.NewVolume(reference, directions)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range points {
			before := volume.Value()
			gain, err := volume.Add(p)
			if err != nil {
				t.Fatal(err)
			}
			if i%500 == 0 || i >= 3000 {
				want := hypervolume(t, points[:i+1], reference, directions)
				if got := volume.Value(); math.Abs(got-want) > 1e-12 || math.Abs(before+gain-want) > 1e-12 {
					t.Errorf("after %d points value %v, gain %v, want %v", i+1, got, gain, want)
				}
			}
		}
	}
}

func TestVolumeRefusals(t *testing.T) {
	if _, err := pareto.NewVolume([]float64{1}, []pareto.Direction{lo, lo}); err == nil {
		t.Error("NewVolume accepts a reference that is too short")
	}
	volume, err := pareto.NewVolume([]float64{0, 0}, []pareto.Direction{lo, lo})
	if err != nil {
		t.Fatal(err)
	}
	huge := []float64{-1e300, -1e300}
	if _, err := volume.Gain(huge); err == nil {
		t.Error("Gain overflows without an error")
	}
	if _, err := volume.Add(huge); err == nil || volume.Value() != 0 {
		t.Errorf("Add overflows to %v, error %v", volume.Value(), err)
	}
	if gain, err := volume.Add([]float64{-1, -1}); err != nil || gain != 1 {
		t.Errorf("after a refusal, Add = %v, %v", gain, err)
	}
}

// Enough points for the radix sort, for many fronts and for ties in any objective.
func TestFrontsOfManyPoints(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for d := 1; d <= 4; d++ {
		for _, levels := range []float64{2, 30, 1e6} {
			points := randomPoints(700, d)
			directions := make([]pareto.Direction, d)
			for k := range directions {
				directions[k] = pareto.Direction(rng.IntN(2))
			}
			for _, p := range points {
				for k := range p {
					p[k] = math.Round((p[k]-0.5)*levels) * 1e-3 // zeros of either sign too
				}
			}
			got, err := pareto.Fronts(points, directions)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bruteFronts(points, directions), got); diff != "" {
				t.Errorf("%d objectives, %v levels: -brute force +Fronts:\n%s", d, levels, diff)
			}
		}
	}
}

// A staircase of many blocks in a front: the first objective is in no relation to
// the others, which are a trade.
func TestFrontsOfALongTrade(t *testing.T) {
	points := randomPoints(2000, 3)
	for i, p := range points {
		p[2] = -p[1]
		if i%10 == 0 {
			p[2] -= 0.01
		}
	}
	directions := make([]pareto.Direction, 3)
	got, err := pareto.Fronts(points, directions)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bruteFronts(points, directions), got); diff != "" {
		t.Errorf("-brute force +Fronts:\n%s", diff)
	}
}

func TestRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 5)
		dst := make([]int, rapid.IntRange(0, 50).Draw(t, "length of dst"))
		for i := range dst {
			dst[i] = -1
		}
		got, err := pareto.Ranks(dst, points, directions)
		if err != nil || len(got) != len(points) {
			t.Fatalf("Ranks = %v, %v", got, err)
		}
		for r, front := range bruteFronts(points, directions) {
			for _, i := range front {
				if got[i] != r {
					t.Errorf("point %d has rank %d, want %d", i, got[i], r)
				}
			}
		}
		if len(got) > 0 && len(dst) >= len(got) && &got[0] != &dst[0] {
			t.Error("dst is not used")
		}
	})
}

func TestRanksAllocateLittle(t *testing.T) {
	points := randomPoints(400, 2)
	directions := []pareto.Direction{lo, hi}
	dst := make([]int, len(points))
	allocs := testing.AllocsPerRun(10, func() {
		if _, err := pareto.Ranks(dst, points, directions); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 16 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestEpsilonArchive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 4)
		n := len(directions)
		epsilon := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 0.5, 1, 2, 3, 20}), n, n).Draw(t, "epsilon")
		archive, err := pareto.NewEpsilonArchive[int](directions, epsilon)
		if err != nil {
			t.Fatal(err)
		}
		var shown [][]float64
		for i, p := range points {
			key := rapid.StringMatching("[a-t]").Draw(t, "key")
			before := archive.Entries()
			taken := slices.ContainsFunc(before, func(e pareto.Entry[int]) bool { return e.Key == key })
			added, err := archive.Add(key, p, i)
			if err != nil {
				t.Fatal(err)
			}
			entries := archive.Entries()
			isEntry := slices.ContainsFunc(entries, func(e pareto.Entry[int]) bool { return e.Value == i && e.Key == key && slices.Equal(e.Point, p) })
			if added != isEntry {
				t.Fatalf("Add = %v, but entries are %v", added, entries)
			}
			if !added && !cmp.Equal(before, entries) {
				t.Fatalf("not added, but entries go from %v to %v", before, entries)
			}
			if taken && added {
				t.Fatalf("key %q is twice in use", key)
			}
			if !taken {
				shown = append(shown, p)
			}
			checkEpsilon(t, archive, shown, directions, epsilon)
		}
	})
}

// checkEpsilon checks all that NewEpsilonArchive promises.
func checkEpsilon(t *rapid.T, archive *pareto.Archive[int], shown [][]float64, directions []pareto.Direction, epsilon []float64) {
	entries := archive.Entries()
	if len(entries) != archive.Len() {
		t.Fatalf("Len() = %d of %v", archive.Len(), entries)
	}
	first := max(0, slices.Index(directions, lo))
	for i, e := range entries {
		for _, p := range shown {
			if pareto.Dominates(p, e.Point, directions) {
				t.Fatalf("%v, which was shown, dominates the entry %v", p, e.Point)
			}
		}
		for _, f := range entries[i+1:] {
			if e.Key == f.Key || slices.Equal(e.Point, f.Point) {
				t.Fatalf("entries %v and %v", e, f)
			}
			if compareBest(e.Point[first], f.Point[first], directions[first]) > 0 {
				t.Fatalf("entry %v before %v", e, f)
			}
		}
	}
	for _, p := range shown {
		if !slices.ContainsFunc(entries, func(e pareto.Entry[int]) bool {
			for k, d := range directions {
				worse := (e.Point[k] - p[k]) * float64(1-2*d)
				if worse > 0 && worse >= epsilon[k] {
					return false
				}
			}
			return true
		}) {
			t.Fatalf("no entry is within %v of %v: %v", epsilon, p, entries)
		}
		for k, d := range directions {
			if !slices.ContainsFunc(entries, func(e pareto.Entry[int]) bool { return compareBest(e.Point[k], p[k], d) <= 0 }) {
				t.Fatalf("the extreme %v in objective %d is lost: %v", p, k, entries)
			}
		}
	}
	size := 1.0
	greatest := 1.0
	for k := range directions {
		least, most := inf, -inf
		for _, p := range shown {
			least, most = min(least, p[k]), max(most, p[k])
		}
		if epsilon[k] == 0 || len(shown) == 0 {
			return
		}
		boxes := (most-least)/epsilon[k] + 2
		size *= boxes
		greatest = max(greatest, boxes)
	}
	if limit := size/greatest + float64(len(directions)); float64(len(entries)) > limit {
		t.Fatalf("%d entries, more than %v", len(entries), limit)
	}
}

// With epsilons of 0, which tell all values apart, it is the archive.
func TestEpsilonArchiveOfZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 4)
		plain, err := pareto.NewArchive[int](directions)
		if err != nil {
			t.Fatal(err)
		}
		zero, err := pareto.NewEpsilonArchive[int](directions, make([]float64, len(directions)))
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range points {
			key := rapid.StringMatching("[a-z]").Draw(t, "key")
			want, _ := plain.Add(key, p, i)
			if got, err := zero.Add(key, p, i); err != nil || got != want {
				t.Fatalf("Add(%q, %v) = %v, %v, want %v", key, p, got, err, want)
			}
		}
		if diff := cmp.Diff(plain.Entries(), zero.Entries()); diff != "" {
			t.Errorf("-without epsilon +with 0:\n%s", diff)
		}
	})
}

// A front of 20,000, kept to a percent.
func TestEpsilonArchiveOfAHugeFront(t *testing.T) {
	points := frontPoints(20_000, 2)
	directions := []pareto.Direction{hi, hi}
	archive, err := pareto.NewEpsilonArchive[int](directions, []float64{0.01, 0.01})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range points {
		if _, err := archive.Add(string(rune(i+0x10000)), p, i); err != nil {
			t.Fatal(err)
		}
	}
	var kept [][]float64
	for _, e := range archive.Entries() {
		kept = append(kept, e.Point)
	}
	reference := []float64{0, 0}
	share := hypervolume(t, kept, reference, directions) / hypervolume(t, points, reference, directions)
	if len(kept) > 104 || share < 0.98 {
		t.Errorf("%d kept, with %v of the hypervolume", len(kept), share)
	}
}

func TestEpsilonArchiveRefusals(t *testing.T) {
	directions := []pareto.Direction{hi, lo}
	for _, epsilon := range [][]float64{nil, {1}, {1, -1}, {nan, 1}, {inf, 1}} {
		if _, err := pareto.NewEpsilonArchive[int](directions, epsilon); err == nil {
			t.Errorf("epsilon %v is accepted", epsilon)
		}
	}
	archive, err := pareto.NewEpsilonArchive[int](directions, []float64{1e-9, 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = archive.Add("", []float64{1e12, 1}, 0)
	if want := "pareto: objective 0 is 1e+12, too large for its epsilon 1e-09"; err == nil || err.Error() != want || archive.Len() != 0 {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestKnee(t *testing.T) {
	lolo := []pareto.Direction{lo, lo}
	for _, c := range []struct {
		name       string
		points     [][]float64
		directions []pareto.Direction
		index      int
		distance   float64
	}{
		{"one", [][]float64{{3, 4}}, lolo, 0, 0},
		{"all equal", [][]float64{{3, 4}, {3, 4}}, lolo, 0, 0},
		{"a corner", [][]float64{{0, 10}, {0, 5}, {10, 0}, {1, 1}}, lolo, 3, (1 - 0.1 - 0.2) / math.Sqrt2},
		{"the ideal", [][]float64{{5, 5}, {0, 0}}, lolo, 1, 0},
		{"a line", [][]float64{{0, 4}, {1, 3}, {2, 2}, {4, 0}}, lolo, 0, 0},
		{"concave", [][]float64{{0, 4}, {3, 3}, {4, 0}}, lolo, 0, 0},
		{"a tie", [][]float64{{0, 4}, {2, 1}, {1, 2}, {4, 0}}, lolo, 1, 0.25 / math.Sqrt2},
		{"a dominated point is no extreme", [][]float64{{0, 4}, {1, 1}, {4, 0}, {9, 9}}, lolo, 1, 0.5 / math.Sqrt2},
		{"units do not matter", [][]float64{{60, 100e6}, {75, 200e6}, {80, 500e6}}, []pareto.Direction{hi, lo}, 1, 0.5 / math.Sqrt2},
		{"three", [][]float64{{4, 0, 0}, {0, 4, 0}, {0, 0, 4}, {1, 1, 1}}, []pareto.Direction{lo, lo, lo}, 3, 0.25 / math.Sqrt(3)},
		{"equal in one", [][]float64{{0, 7, 4}, {1, 7, 1}, {4, 7, 0}}, []pareto.Direction{lo, hi, lo}, 1, 0.5 / math.Sqrt2},
		{"one objective", [][]float64{{2}, {1}, {3}}, []pareto.Direction{hi}, 2, 0},
		{"huge", [][]float64{{-1.7e308, 1.7e308}, {-1.7e308, 1.6e308}, {1.7e308, -1.7e308}}, lolo, 1, 0},
	} {
		index, distance, err := pareto.Knee(c.points, c.directions)
		if err != nil || index != c.index || math.Abs(distance-c.distance) > 1e-15 {
			t.Errorf("%s: Knee = %v, %v, %v, want %v, %v", c.name, index, distance, err, c.index, c.distance)
		}
	}
	if _, _, err := pareto.Knee(nil, lolo); err == nil {
		t.Error("Knee of nothing")
	}
}

func TestIGDPlus(t *testing.T) {
	lolo := []pareto.Direction{lo, lo}
	for _, c := range []struct {
		name              string
		points, reference [][]float64
		directions        []pareto.Direction
		scale             []float64
		want              float64
	}{
		{"itself", [][]float64{{1, 2}, {2, 1}}, [][]float64{{2, 1}, {1, 2}}, lolo, nil, 0},
		{"better", [][]float64{{0, 0}}, [][]float64{{2, 1}, {1, 2}}, lolo, nil, 0},
		{"worse in both", [][]float64{{4, 5}}, [][]float64{{1, 1}}, lolo, nil, 5},
		{"worse in one", [][]float64{{4, -9}}, [][]float64{{1, 1}}, lolo, nil, 3},
		{"the nearest", [][]float64{{4, 1}, {1, 2}}, [][]float64{{1, 1}, {1, 2}}, lolo, nil, 0.5},
		{"accuracy and MACs", [][]float64{{73, 350}}, [][]float64{{76, 150}}, []pareto.Direction{hi, lo}, []float64{1, 50}, 5},
	} {
		got, err := pareto.IGDPlus(c.points, c.reference, c.directions, c.scale)
		if err != nil || got != c.want {
			t.Errorf("%s: IGDPlus = %v, %v, want %v", c.name, got, err, c.want)
		}
	}
	one := [][]float64{{1, 1}}
	for _, c := range []struct {
		name              string
		points, reference [][]float64
		scale             []float64
	}{
		{"no points", nil, one, nil},
		{"no reference", one, nil, nil},
		{"NaN in the reference", one, [][]float64{{1, nan}}, nil},
		{"scale too short", one, one, []float64{1}},
		{"scale of 0", one, one, []float64{1, 0}},
	} {
		if v, err := pareto.IGDPlus(c.points, c.reference, lolo, c.scale); err == nil {
			t.Errorf("%s: %v", c.name, v)
		}
	}
}

// Weakly Pareto compliant, the reason for the modification.
func TestIGDPlusIsCompliant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 4)
		if len(points) < 3 {
			t.Skip()
		}
		split := rapid.IntRange(1, len(points)-1).Draw(t, "split")
		own, reference := points[:split], points[split:]
		measure := func(points [][]float64) float64 {
			v, err := pareto.IGDPlus(points, reference, directions, nil)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		before := measure(own)
		better := slices.Clone(own[0])
		for k, d := range directions {
			better[k] -= float64(1 - 2*d)
		}
		if after := measure(append([][]float64{better}, own[1:]...)); after > before {
			t.Errorf("%v with a better point, %v before", after, before)
		}
		coverage, err := pareto.Coverage(own, reference, directions)
		if err != nil || (coverage == 1) != (before == 0) {
			t.Errorf("coverage %v, %v, IGD+ %v", coverage, err, before)
		}
	})
}

func TestCoverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 5)
		split := rapid.IntRange(0, len(points)).Draw(t, "split")
		a, b := points[:split], points[split:]
		got, err := pareto.Coverage(a, b, directions)
		if len(b) == 0 {
			if err == nil {
				t.Fatalf("of nothing: %v", got)
			}
			return
		}
		count := 0
		for _, q := range b {
			if slices.ContainsFunc(a, func(p []float64) bool { return slices.Equal(p, q) || pareto.Dominates(p, q, directions) }) {
				count++
			}
		}
		if want := float64(count) / float64(len(b)); err != nil || got != want {
			t.Errorf("Coverage = %v, %v, want %v", got, err, want)
		}
	})
}

// Of a true front, the share covered is the share found.
func TestCoverageOfTheTrueFront(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, directions := drawProblem(t, 1, 4)
		if len(points) == 0 {
			t.Skip()
		}
		var front [][]float64
		for _, i := range bruteFronts(points, directions)[0] {
			front = append(front, points[i])
		}
		found := points[:rapid.IntRange(0, len(points)).Draw(t, "found")]
		count := 0
		for _, q := range front {
			if slices.ContainsFunc(found, func(p []float64) bool { return slices.Equal(p, q) }) {
				count++
			}
		}
		got, err := pareto.Coverage(found, front, directions)
		if want := float64(count) / float64(len(front)); err != nil || got != want {
			t.Errorf("Coverage = %v, %v, want %v", got, err, want)
		}
	})
}

func BenchmarkVolume(b *testing.B) {
	for _, c := range []struct {
		name              string
		points, questions [][]float64
	}{
		{"2x100000/front", frontPoints(100_000, 2), randomPoints(1000, 2)},
		{"2x1000/front", frontPoints(1000, 2), randomPoints(1000, 2)},
		{"3x1000/front", frontPoints(1000, 3), randomPoints(1000, 3)},
		{"4x100/front", frontPoints(100, 4), randomPoints(1000, 4)},
	} {
		n := len(c.points[0])
		volume, err := pareto.NewVolume(make([]float64, n), slices.Repeat([]pareto.Direction{hi}, n))
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range c.points {
			if _, err := volume.Add(p); err != nil {
				b.Fatal(err)
			}
		}
		for _, q := range c.questions {
			for k := range q {
				q[k] = 1 - q[k]/10 // near the front, on either side
			}
		}
		i := 0
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := volume.Gain(c.questions[i%len(c.questions)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// What drawing finds too rarely: sets of which nearly all count, in up to five
// objectives, with ties and twins. The reference is 0 and all values are to be
// maximised, so that cells can be marked as they are covered.
func TestVolumeAgainstMarkedCells(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for round := range 200 {
		d := 1 + round%5
		side := []int{60, 25, 9, 6, 5}[d-1]
		directions := slices.Repeat([]pareto.Direction{hi}, d)
		reference := make([]float64, d)
		cells := make([]bool, int(math.Pow(float64(side), float64(d))))
		mark := func(p []float64) (gain float64) {
		cells:
			for c := range cells {
				at := c
				for _, v := range p {
					if at%side >= int(v) {
						continue cells
					}
					at /= side
				}
				if !cells[c] {
					cells[c] = true
					gain++
				}
			}
			return gain
		}
		volume, err := pareto.NewVolume(reference, directions)
		if err != nil {
			t.Fatal(err)
		}
		var points [][]float64
		var sum float64
		for range 40 {
			p := make([]float64, d)
			for k := range p {
				p[k] = float64(rng.IntN(side + 1))
			}
			// A clone that goes its own way changes nothing.
			if _, err := volume.Clone().Add(slices.Repeat([]float64{float64(side)}, d)); err != nil {
				t.Fatal(err)
			}
			other := volume.Clone()
			if _, err := other.Add(p); err != nil {
				t.Fatal(err)
			}
			points = append(points, p)
			want := mark(p)
			sum += want
			if got, err := volume.Add(p); err != nil || got != want {
				t.Fatalf("after %v, Add(%v) = %v, %v, want %v", points, p, got, err, want)
			}
			if volume.Value() != sum || other.Value() != sum {
				t.Fatalf("values %v and %v, want %v", volume.Value(), other.Value(), sum)
			}
		}
		if got := hypervolume(t, points, reference, directions); got != sum {
			t.Fatalf("Hypervolume(%v) = %v, want %v", points, got, sum)
		}
	}
}

// A staircase of many blocks on a coarse grid: new steps take away old ones of
// other blocks, up to the last of a block and level with it.
func TestVolumeOfManyTies(t *testing.T) {
	const side = 1500
	rng := rand.New(rand.NewPCG(9, 10))
	directions := []pareto.Direction{hi, hi}
	for round := range 20 {
		volume, err := pareto.NewVolume([]float64{0, 0}, directions)
		if err != nil {
			t.Fatal(err)
		}
		heights := make([]float64, side+1) // by x
		var sum float64
		for i := range 1500 {
			x := 1 + rng.IntN(side)
			y := float64(side + 1 - x)
			if i > 1000 {
				y += float64(rng.IntN(10 + 60*round))
			}
			var want float64
			for at := x; at > 0 && heights[at] < y; at-- {
				want += y - heights[at]
				heights[at] = y
			}
			sum += want
			if got, err := volume.Add([]float64{float64(x), y}); err != nil || got != want || volume.Value() != sum {
				t.Fatalf("Add(%v, %v) = %v, %v, want %v", x, y, got, err, want)
			}
		}
	}
}

// A step that takes away all of one block and the end of the one before leaves
// nothing of them behind.
func TestVolumeAcrossBlocks(t *testing.T) {
	const n = 400
	directions := []pareto.Direction{hi, hi}
	var points [][]float64
	for x := 1; x <= n; x++ {
		points = append(points, []float64{float64(x), float64(n + 1 - x)})
	}
	for x := 100; x < n; x++ {
		volume, err := pareto.NewVolume([]float64{0, 0}, directions)
		if err != nil {
			t.Fatal(err)
		}
		all := append(slices.Clone(points), []float64{float64(x), float64(n + 90 - x)}, []float64{float64(x + 1), float64(n + 10 - x)})
		for _, p := range all {
			if _, err := volume.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		if want := hypervolume(t, all, []float64{0, 0}, directions); volume.Value() != want {
			t.Errorf("at %d value %v, want %v", x, volume.Value(), want)
		}
	}
}
