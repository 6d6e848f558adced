package predictor

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func TestTrees(t *testing.T) {
	damages := map[string]func(*treesState){
		"no records":               func(s *treesState) { s.Records = 0 },
		"one booster":              func(s *treesState) { s.Boosters = s.Boosters[:1] },
		"linear missing":           func(s *treesState) { s.Boosters[1].Linear = nil },
		"linear NaN":               func(s *treesState) { s.Boosters[1].Linear[2] = math.NaN() },
		"value missing":            func(s *treesState) { s.Boosters[0].Value = s.Boosters[0].Value[1:] },
		"value infinite":           func(s *treesState) { s.Boosters[0].Value[0] = math.Inf(1) },
		"input too large":          func(s *treesState) { s.Boosters[0].Input[0] = 7 },
		"input that overflows":     func(s *treesState) { s.Boosters[0].Input[0] = 1 << 32 },
		"input below -1":           func(s *treesState) { s.Boosters[0].Input[0] = -2 },
		"last tree without leaves": func(s *treesState) { b := &s.Boosters[2]; b.Input[len(b.Input)-1] = 0 },
		"last node missing": func(s *treesState) {
			b := &s.Boosters[2]
			b.Input, b.Value = b.Input[:len(b.Input)-1], b.Value[:len(b.Value)-1]
		},
	}
	more := make(map[string]func(*modelState))
	for name, f := range damages {
		more[name] = func(m *modelState) { f(m.Trees) }
	}
	testRegression(t, true, func(s sample, seed uint64) (model, error) { return trainTrees(s, seed) },
		encodingDamages(func(m *modelState) *encoding { return &m.Trees.Encoding }, more))
}

func TestTreesLearnWhatRidgeCannot(t *testing.T) {
	for name, f := range map[string]func(x []float64, task int) float64{
		"a step":                    func(x []float64, _ int) float64 { return math.Copysign(1, x[0]-3) },
		"an interaction":            func(x []float64, _ int) float64 { return math.Copysign(1, (x[0]-3)*(x[1]-3)) },
		"an interaction with tasks": func(x []float64, task int) float64 { return float64(task-1) * (x[0] - 3) },
	} {
		t.Run(name, func(t *testing.T) {
			s, test := regressionSample(1, 300, 4, 0.05, f), regressionSample(2, 200, 4, 0, f)
			p, err := trainTrees(s, 1)
			if err != nil {
				t.Fatal(err)
			}
			r, err := trainRidge(s)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := missedOf(p, test), missedOf(r, test); a > b/2 {
				t.Errorf("missed by %v, a ridge by %v", a, b)
			}
		})
	}
}

// Beyond the records, there is still a trend.
func TestTreesFollowTheTrend(t *testing.T) {
	p, err := trainTrees(regressionSample(1, 100, 3, 0.01, linear), 1)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := predictSample(p, 0, mat.NewDense(2, 3, []float64{3, 3, 3, 23, 3, 3}))
	if got := m[1] - m[0]; math.Abs(got-10) > 1 {
		t.Errorf("20 further along an input with the slope 0.5, the target is larger by %v", got)
	}
}

func TestTreesDoNotGrowOnNoise(t *testing.T) {
	s := regressionSample(1, 100, 5, 1, func([]float64, int) float64 { return 0 })
	p, err := trainTrees(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	mean, _ := predictSample(p, 0, s.z)
	if _, v := spread(mean); v > 0.1 {
		t.Errorf("the predictions vary by %v", v)
	}
}

// Fewer records leave more open.
func TestTreesVarianceShrinksWithRecords(t *testing.T) {
	f := func(x []float64, task int) float64 { return math.Sin(x[0]) + math.Sin(x[1]) }
	queries := regressionSample(3, 100, 3, 0, f).z
	open := func(n int) float64 {
		p, err := trainTrees(regressionSample(1, n, 3, 0.3, f), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, v := predictSample(p, 0, queries)
		mean, _ := spread(v)
		return mean
	}
	if few, many := open(30), open(600); few < 2*many {
		t.Errorf("the variance is %v with 30 records, %v with 600", few, many)
	}
}

// What an unknown task is split by, it takes from both sides by their shares.
func TestTreesUnknownTask(t *testing.T) {
	f := func(_ []float64, task int) float64 { return float64(task * task) }
	s := regressionSample(1, 200, 2, 0.01, f)
	p, err := trainTrees(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.
	for task, share := range p.Encoding.Share {
		want += share * f(nil, task)
	}
	m, _ := predictSample(p, unknownTask, s.z)
	if got, _ := spread(m); math.Abs(got-want) > 0.15 {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTreesHeedNoise(t *testing.T) {
	f := func(x []float64, _ int) float64 { return math.Copysign(1, x[0]-3) }
	s, test := regressionSample(1, 200, 3, 0.01, f), regressionSample(2, 100, 3, 0, f)
	for i := range 60 {
		s.target[i] += 4 * float64(i%5-2)
		s.noise[i] = 32
	}
	p, err := trainTrees(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.noise = nil
	q, err := trainTrees(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if heeding, not := missedOf(p, test), missedOf(q, test); heeding > not/2 {
		t.Errorf("missed by %v, and by %v without knowing of the noise", heeding, not)
	}
}

func TestCutsSeparateValues(t *testing.T) {
	many := make([]float64, 1000)
	for i := range many {
		many[i] = float64(i * i)
	}
	for name, c := range map[string]struct {
		values []float64
		bins   int
		want   int // cuts
	}{
		"one value":       {[]float64{2, 2, 2}, 8, 0},
		"two values":      {[]float64{1, 0, 1, 1}, 8, 1},
		"as many as bins": {[]float64{3, 1, 2, 4}, 4, 3},
		"neighbours":      {[]float64{1, math.Nextafter(1, 2), math.Nextafter(math.Nextafter(1, 2), 2)}, 8, 2},
		"huge":            {[]float64{-1e300, 1e300, 0}, 8, 2},
		"more than bins":  {many, 16, 15},
		"mostly one":      {append(slices.Repeat([]float64{7}, 900), many[:100]...), 8, 1},
	} {
		cuts := cutsOf(c.values, c.bins)
		if len(cuts) != c.want || !slices.IsSorted(cuts) {
			t.Errorf("%s: cuts %v, want %d", name, cuts, c.want)
		}
		// A bin is left of a cut if its values are.
		for _, v := range c.values {
			bin, _ := slices.BinarySearch(cuts, v)
			for i, cut := range cuts {
				if (bin <= i) != (v <= cut) {
					t.Errorf("%s: %v is in bin %d of the cuts %v", name, v, bin, cuts)
				}
			}
		}
		// All values that differ are apart, where there are bins enough.
		distinct := slices.Compact(slices.Sorted(slices.Values(c.values)))
		for i := 1; i < len(distinct) && len(distinct) <= c.bins; i++ {
			if !slices.ContainsFunc(cuts, func(cut float64) bool { return distinct[i-1] <= cut && cut < distinct[i] }) {
				t.Errorf("%s: nothing between %v and %v", name, distinct[i-1], distinct[i])
			}
		}
	}
}

func TestForestOfNodes(t *testing.T) {
	for name, c := range map[string]struct {
		input []int
		roots []int32 // nil if they are no trees
		right []int32
	}{
		"nothing":             {nil, []int32{}, nil},
		"leaves":              {[]int{-1, -1}, []int32{0, 1}, []int32{0, 0}},
		"a split":             {[]int{0, -1, -1}, []int32{0}, []int32{2, 0, 0}},
		"both sides split":    {[]int{0, 1, -1, -1, 1, -1, -1, -1}, []int32{0, 7}, []int32{4, 3, 0, 0, 6, 0, 0, 0}},
		"no right branch":     {[]int{0, -1}, nil, nil},
		"no branches":         {[]int{-1, 1}, nil, nil},
		"an input too many":   {[]int{2, -1, -1}, nil, nil},
		"deeper than is sane": {slices.Repeat([]int{0}, 100), nil, nil},
	} {
		f, ok := newForest(booster{Input: c.input, Value: make([]float64, len(c.input))}, 2)
		if ok != (c.roots != nil) {
			t.Errorf("%s: %v", name, ok)
			continue
		}
		for i, n := range f.nodes {
			if ok && n.right != c.right[i] {
				t.Errorf("%s: right of node %d is %d, want %d", name, i, n.right, c.right[i])
			}
		}
		if ok && !slices.Equal(f.roots, c.roots) {
			t.Errorf("%s: roots %v, want %v", name, f.roots, c.roots)
		}
	}
}
