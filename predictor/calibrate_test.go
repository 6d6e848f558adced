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
		near(t, "the widening", likeliestWidening(squares, variance, noise), c.want, 1.1)
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
