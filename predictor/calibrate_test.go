package predictor

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// Predictions whose variance is a factor too small have that factor found, from
// 1 to 100; the noise has no part in it.
func TestLikeliestWidening(t *testing.T) {
	for _, c := range []struct{ truth, want float64 }{{0.25, 1}, {1, 1}, {4, 4}, {30, 30}, {1000, 99}} {
		rng := rand.New(rand.NewPCG(1, 0))
		var squares, variance, noise []float64
		for range 4000 {
			v, e := math.Exp(2*rng.Float64()-4), 0.01
			d := math.Sqrt(c.truth*v+e) * rng.NormFloat64()
			squares, variance, noise = append(squares, d*d), append(variance, v), append(noise, e)
		}
		near(t, "the widening", honestWidening(squares, variance, noise), c.want, 1.1)
	}
}

// likeliest returns the factor of honestWidening's steps under which the squared
// errors are likeliest.
func likeliest(squares, variance, noise []float64) float64 {
	best, bestValue := 1., math.Inf(-1)
	for factor := 1.; factor < 100; factor *= 1.02 {
		value := 0.
		for r := range squares {
			value += logDensity(squares[r], noise[r]+factor*variance[r])
		}
		if value > bestValue {
			best, bestValue = factor, value
		}
	}
	return best
}

// insideOf returns how many of the errors are in their 90 % interval.
func insideOf(squares, variance, noise []float64, factor float64) (n float64) {
	for r := range squares {
		if math.Sqrt(squares[r]) <= 1.6448536*math.Sqrt(noise[r]+factor*variance[r]) {
			n++
		}
	}
	return n
}

// Whatever the errors, the widening is that under which they are likeliest, or
// the least under which the intervals hold what they should, if that is greater.
func TestHonestWidening(t *testing.T) {
	greater := 0
	check := func(t interface{ Fatalf(string, ...any) }, squares, variance, noise []float64) {
		got, least := honestWidening(squares, variance, noise), likeliest(squares, variance, noise)
		n := float64(len(squares))
		enough := 0.9*n - math.Sqrt(0.09*n)
		if got < least*(1-1e-9) {
			t.Fatalf("widened by %v, but the errors are likeliest under %v", got, least)
		}
		if got < 98 && insideOf(squares, variance, noise, got) < enough {
			t.Fatalf("widened by %v, 90 %% intervals hold %v of %v", got, insideOf(squares, variance, noise, got), n)
		}
		if got > least*(1+1e-9) {
			greater++
			if insideOf(squares, variance, noise, got/1.02/1.0001) >= enough {
				t.Fatalf("widened by %v, but less would do", got)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		tail, often := 10*rng.Float64(), 0.5*rng.Float64()
		var squares, variance, noise []float64
		for range n {
			v, e := math.Exp(rng.NormFloat64()-3), 0.02*rng.Float64()
			d := math.Sqrt(v+e) * rng.NormFloat64()
			if rng.Float64() < often {
				d *= tail
			}
			squares, variance, noise = append(squares, d*d), append(variance, v), append(noise, e)
		}
		check(t, squares, variance, noise)
	})
	// A quarter is wrong by 1, the rest by a tenth: the likeliest variance is a
	// quarter, under which that quarter is outside.
	var squares, variance, noise []float64
	for i := range 100 {
		d := 0.1
		if i%4 == 0 {
			d = 1
		}
		squares, variance, noise = append(squares, d*d), append(variance, 0.1), append(noise, 0)
	}
	check(t, squares, variance, noise)
	near(t, "the likeliest", likeliest(squares, variance, noise), (0.25+0.75*0.01)/0.1, 1.02)
	near(t, "the honest", honestWidening(squares, variance, noise), 1/(1.6448536*1.6448536*0.1), 1.021)
	if greater == 0 {
		t.Error("the likeliest was always enough, so that nothing was tested")
	}

	// Half of the errors are likeliest under 1, and all under a little more; the
	// other half, mostly noise, are outside up to 87, where the likelihood rises
	// again to a lesser maximum at 94.
	squares, variance, noise = nil, nil, nil
	for i := range 200 {
		if i%2 == 0 {
			squares, variance, noise = append(squares, 1), append(variance, 1), append(noise, 0)
		} else {
			squares, variance, noise = append(squares, 7), append(variance, 1./55), append(noise, 1)
		}
	}
	check(t, squares, variance, noise)
	near(t, "the likeliest of two", likeliest(squares, variance, noise), 1.1, 1.1)
	near(t, "the honest of two", honestWidening(squares, variance, noise), 87.3, 1.021)

	if got := honestWidening(nil, nil, nil); got != 1 {
		t.Errorf("of no errors %v", got)
	}
}

// drawnFrom replaces the targets of a sample by ones that the process itself draws.
func drawnFrom(t *testing.T, s *sample, h *hyper) {
	t.Helper()
	var factor mat.Cholesky
	if !factor.Factorize(s.covariance(h)) {
		t.Fatal(errSingular)
	}
	var lower mat.TriDense
	factor.LTo(&lower)
	rng := rand.New(rand.NewPCG(7, 0))
	draw := mat.NewVecDense(s.len(), nil)
	for i := range s.len() {
		draw.SetVec(i, rng.NormFloat64())
	}
	var target mat.VecDense
	target.MulVec(&lower, draw)
	copy(s.target, target.RawVector().Data)
}

// A process that is right about the records is left as it is; one that takes them for
// too smooth is widened.
func TestCalibrateInClosedForm(t *testing.T) {
	s, h := randomSample(1, manyRecords+100, 4)
	h.Level, h.Widening, h.Length = 0, 1, []float64{2, 3, 3}
	s.family = make([]int, s.len())
	s, _ = s.standardised()
	drawnFrom(t, &s, &h)
	right, err := calibrate(s, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if right > 1.3 {
		t.Errorf("a process that is right is widened by %v", right)
	}
	h.Length = []float64{6, 9, 9}
	wrong, err := calibrate(s, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if wrong < 2*right {
		t.Errorf("a process that is too smooth is widened by %v, one that is right by %v", wrong, right)
	}
	// Noise is not widened: what is missing there, the little rest has to make up for.
	h.Length, h.Noise = []float64{60, 90, 90}, 0.4
	drawnFrom(t, &s, &h)
	h.Noise = 0.2
	if noisy, err := calibrate(s, h, nil); err != nil || noisy < 20 {
		t.Errorf("a process that believes in less noise is widened by %v (%v)", noisy, err)
	}
}

// withDerived returns the sample and more rows, which were not measured.
func withDerived(s sample, n int, of func(i int, z []float64) (task, family int, target, noise float64)) sample {
	out := s
	out.z = mat.NewDense(s.len()+n, s.inputs(), nil)
	out.z.Slice(0, s.len(), 0, s.inputs()).(*mat.Dense).Copy(s.z)
	out.task, out.family, out.target = slices.Clone(s.task), slices.Clone(s.family), slices.Clone(s.target)
	out.noise, out.derived = slices.Clone(s.noise), slices.Clone(s.derived)
	for i := range n {
		task, family, target, noise := of(i, out.z.RawRowView(s.len()+i))
		out.task, out.family, out.target = append(out.task, task), append(out.family, family), append(out.target, target)
		out.noise, out.derived = append(out.noise, noise), append(out.derived, true)
	}
	return out
}

// Derived rows are learnt from, but how wrong the predictions of them are is
// nobody's measurement: so far from all others that they tell nothing of them, they
// change nothing, however wild. That holds whether whole families leave, or a tenth
// of the rows at a time, or one by one.
func TestCalibrateAssessesMeasuredRows(t *testing.T) {
	for _, c := range []struct {
		name     string
		n        int
		families int
	}{
		{"families", 60, 7}, {"tenths", 60, 1}, {"one by one", manyRecords + 10, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := randomSample(1, c.n, 4)
			s.columns = []column{{length: 0, slope: -1}, {length: 1, slope: -1}, {length: 2, slope: -1}, {length: 2, slope: -1}}
			h.Slope, h.Widening, h.Length = nil, 1, []float64{2, 3, 3}
			for i := range s.family {
				s.family[i] %= c.families
			}
			drawnFrom(t, &s, &h)
			calibrated := func(s sample) float64 {
				t.Helper()
				widening, err := calibrate(s, h, s.start())
				if err != nil {
					t.Fatal(err)
				}
				return widening
			}
			want := calibrated(s)
			for _, own := range []bool{true, false} { // families of their own, or those of the others
				wild := withDerived(s, 40, func(i int, z []float64) (int, int, float64, float64) {
					z[0] = float64(1000 * (1 + i))
					family := i % c.families
					if own {
						family = 100 + i%3
					}
					return 5, family, float64(8 * (1 - 2*(i%2))), derivedNoise * derivedNoise
				})
				if got := calibrated(wild); math.Abs(got/want-1) > 0.1 {
					t.Errorf("families of their own %v: with wild derived rows the widening is %v, without %v", own, got, want)
				}
			}

			// And they are learnt from: what all targets are, they tell at once.
			h.Length = []float64{3, 5, 5} // too smooth
			known := withDerived(s, s.len(), func(i int, z []float64) (int, int, float64, float64) {
				copy(z, s.z.RawRowView(i))
				return s.task[i], 100, s.target[i], 1e-8
			})
			if got, without := calibrated(known), calibrated(s); got > 1.05 || without < 1.3 {
				t.Errorf("with a derived twin of each row the widening is %v, without %v", got, without)
			}
		})
	}
}

// The rest is what is not left out, in order.
func TestWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "n")
		var fold []int
		for i := range n {
			if rapid.Bool().Draw(t, "out") {
				fold = append(fold, i)
			}
		}
		rest := without(n, fold)
		all := append(slices.Clone(rest), fold...)
		slices.Sort(all)
		if !slices.IsSorted(rest) || len(all) != n || len(slices.Compact(all)) != n {
			t.Fatalf("%v without %v is %v", n, fold, rest)
		}
	})
}

// Everything is done once, and the errors are told.
func TestInParallel(t *testing.T) {
	const n = 100
	var times [n]atomic.Int32
	one, two := errors.New("one"), errors.New("two")
	err := inParallel(n, func(i int) error {
		times[i].Add(1)
		switch i {
		case 3:
			return one
		case 70:
			return two
		}
		return nil
	})
	if !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("got %v", err)
	}
	for i := range n {
		if got := times[i].Load(); got != 1 {
			t.Errorf("%d was done %d times", i, got)
		}
	}
	if err := inParallel(0, nil); err != nil {
		t.Error(err)
	}
}
