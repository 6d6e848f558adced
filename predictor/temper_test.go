package predictor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// heldOutDrawn draws n records that were held out, whose targets miss the means by
// normal deviations: of returns the standard deviation, what the model says
// of it, and how far the record is.
func heldOutDrawn(n int, of func(rng *rand.Rand) (deviation, spread, far float64)) ([]heldOut, *sample) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := &sample{target: make([]float64, n), noise: make([]float64, n)}
	var held []heldOut
	for i := range n {
		deviation, spread, far := of(rng)
		mean := rng.NormFloat64()
		s.target[i] = mean + deviation*rng.NormFloat64()
		held = append(held, heldOut{i, mean, spread, far})
	}
	return held, s
}

// near reports an error if got is not within a factor of want.
func near(t *testing.T, what string, got, want, factor float64) {
	t.Helper()
	if !(got >= want/factor && got <= want*factor) {
		t.Errorf("%s is %v, want about %v", what, got, want)
	}
}

// What a model says of its doubt is a quarter of the truth.
func TestTemperWidens(t *testing.T) {
	held, s := heldOutDrawn(2000, func(rng *rand.Rand) (float64, float64, float64) {
		spread := math.Exp(3*rng.Float64()-6) / 4 // a variance
		return math.Sqrt(4*spread + 0.02*0.02), spread, 0
	})
	got := fitTemper(held, s)
	near(t, "the widening", got.Widening, 4, 1.2)
	near(t, "the noise", got.Noise, 0.02, 2)
}

// A model that knows of no doubt has what its residuals show.
func TestTemperLearnsTheNoise(t *testing.T) {
	held, s := heldOutDrawn(2000, func(*rand.Rand) (float64, float64, float64) { return 0.3, 0, 0 })
	near(t, "the noise", fitTemper(held, s).Noise, 0.3, 1.1)

	// What repeated measurements tell is there already.
	for i := range s.noise {
		s.noise[i] = 0.3*0.3 - 0.1*0.1
	}
	near(t, "the noise beside that of measurements", fitTemper(held, s).Noise, 0.1, 1.3)
}

// Records far from all others that are mispredicted make it doubt what is far.
func TestTemperReaches(t *testing.T) {
	draw := func(beyond float64) temper {
		held, s := heldOutDrawn(1000, func(rng *rand.Rand) (float64, float64, float64) {
			far := 0.
			if rng.IntN(3) == 0 {
				far = 0.5 + rng.Float64()/2
			}
			return math.Sqrt(0.05*0.05 + beyond*beyond*far), 0, far
		})
		return fitTemper(held, s)
	}
	right, wrong := draw(0), draw(0.5)
	near(t, "the reach", wrong.Reach, 0.5, 1.15)
	near(t, "the noise", wrong.Noise, 0.05, 1.15)
	near(t, "the noise", right.Noise, 0.05, 1.15)
	if right.Reach > 0.02 {
		t.Errorf("the reach is %v where what is far is predicted well", right.Reach)
	}
}

// The intervals hold what they say after tempering, whatever the model thought.
func TestTemperIsCalibrated(t *testing.T) {
	of := func(rng *rand.Rand) (float64, float64, float64) {
		spread, far := rng.ExpFloat64()/100, rng.Float64()
		return math.Sqrt(4*spread + 0.05*0.05 + 0.2*0.2*far), spread, far
	}
	held, s := heldOutDrawn(2000, of)
	temper := fitTemper(held, s)
	within := 0
	for _, h := range held {
		e := s.target[h.row] - h.mean
		if math.Abs(e) < 1.6449*math.Sqrt(temper.variance(h.spread, h.far)) {
			within++
		}
	}
	if share := float64(within) / float64(len(held)); share < 0.88 || share > 0.92 {
		t.Errorf("90 %% intervals hold %.3f under %+v", share, temper)
	}
}

// Of few records, or none, the priors say most; the numbers stay usable.
func TestTemperOfFewRecords(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		held, s := heldOutDrawn(n, func(*rand.Rand) (float64, float64, float64) { return 0, 0, 1 })
		if got := fitTemper(held, s); !got.valid() {
			t.Errorf("of %d records: %+v", n, got)
		}
	}
	held, s := heldOutDrawn(3, func(*rand.Rand) (float64, float64, float64) { return math.NaN(), 0, 1 })
	if got := fitTemper(held, s); !got.valid() {
		t.Errorf("of targets that are not numbers: %+v", got)
	}
}

func TestTemperValid(t *testing.T) {
	good := temper{0.1, 1, 0.1}
	for _, c := range []struct {
		temper temper
		want   bool
	}{
		{good, true}, {temper{0.1, 0, 0}, true}, {temper{0, 1, 1}, false}, {temper{-0.1, 1, 1}, false}, {temper{0.1, -1, 1}, false},
		{temper{0.1, 1, -1}, false}, {temper{0.1, math.NaN(), 1}, false}, {temper{0.1, math.Inf(1), 1}, false}, {temper{}, false},
	} {
		if c.temper.valid() != c.want {
			t.Errorf("%+v: valid is %v", c.temper, !c.want)
		}
	}
}

// plainModel is a model of formulas.
type plainModel struct {
	n              int
	mean, variance func(task int, x []float64) float64
}

func (p *plainModel) len() int                 { return p.n }
func (p *plainModel) state() modelState        { return modelState{Kind: Trees} }
func (p *plainModel) session(task int) session { return &plainSession{p, task} }

type plainSession struct {
	*plainModel
	task int
}

func (s *plainSession) predict(mean, variance []float64, x blas64.General) {
	for i := range x.Rows {
		row := x.Data[i*x.Stride : i*x.Stride+x.Cols]
		mean[i], variance[i] = s.mean(s.task, row), s.variance(s.task, row)
	}
}

// A tempered model has the mean of the bare one, and the variance that the
// comment of temper says.
func TestTempered(t *testing.T) {
	s, _ := randomSample(1, 2000, 5)
	bare := &plainModel{
		2000, func(task int, x []float64) float64 { return x[0] + float64(task) },
		func(_ int, x []float64) float64 { return x[1] },
	}
	p := newTempered(bare, temper{0.1, 3, 0.5}, s)
	testBatches(t, p)
	if p.len() != 2000 || p.state().Kind != Trees || *p.state().Temper != p.temper {
		t.Errorf("%d records, %+v", p.len(), p.state())
	}
	// The records that the distance looks at are among its landmarks.
	at := slices.Clone(s.z.RawRowView(0))
	at[1] = s.z.At(0, 1)
	mean, variance := predictRow(p, 2, at)
	want := s.single + 0.01 + 3*max(0, at[1])
	if mean != at[0]+2 || math.Abs(variance-want) > 1e-9 {
		t.Errorf("at a record: %v, %v, want %v, %v", mean, variance, at[0]+2, want)
	}
	away := []float64{1e4, 2, 1e4, 1e4, 1e4}
	if _, variance := predictRow(p, 0, away); math.Abs(variance-(s.single+0.01+6+0.25)) > 1e-9 {
		t.Errorf("far away the variance is %v", variance)
	}
	if _, variance := predictRow(newTempered(bare, temper{0.1, 3, 0}, s), 0, away); math.Abs(variance-(s.single+0.01+6)) > 1e-9 {
		t.Errorf("far away without reach the variance is %v", variance)
	}
}

// The similarity falls with the distance from the nearest record, in units of what
// inputs vary by.
func TestDistance(t *testing.T) {
	s, _ := randomSample(1, 100, 3)
	scaled := s
	scaled.z = mat.DenseCopyOf(s.z)
	scaled.z.Apply(func(_, c int, v float64) float64 { return v*[]float64{1, 100, 1e-3}[c] + 7 }, scaled.z)
	a, b := newDistance(&s), newDistance(&scaled)
	x := slices.Clone(s.z.RawRowView(3))
	last := 2.
	for step := range 10 {
		got := a.similarity(x)
		if step == 0 && got != 1 || got >= last || got < 0 {
			t.Errorf("step %d: similarity %v after %v", step, got, last)
		}
		y := []float64{x[0] + 7, 100*x[1] + 7, 1e-3*x[2] + 7}
		if other := b.similarity(y); math.Abs(other-got) > 1e-9 {
			t.Errorf("step %d: similarity %v, in other units %v", step, got, other)
		}
		last = got
		for c := range x {
			x[c] += 5
		}
	}
	// An input that is the same in all records.
	for i := range 100 {
		s.z.Set(i, 1, 4)
	}
	d := newDistance(&s)
	if got := d.similarity(s.z.RawRowView(0)); got != 1 {
		t.Errorf("similarity %v to itself", got)
	}
}

func checkPartition(t *rapid.T, folds [][]int, n, most int) {
	if len(folds) > most {
		t.Fatalf("%d folds", len(folds))
	}
	var all []int
	for _, f := range folds {
		if len(f) == 0 {
			t.Fatal("an empty fold")
		}
		all = append(all, f...)
	}
	slices.Sort(all)
	if !slices.Equal(all, without(n, nil)) {
		t.Fatalf("the folds hold %v", all)
	}
}

func TestRandomFoldsArePartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.IntRange(0, 100).Draw(t, "n"), rapid.IntRange(1, 12).Draw(t, "k")
		seed := rapid.Uint64().Draw(t, "seed")
		folds := randomFolds(n, k, seed)
		checkPartition(t, folds, n, k)
		for _, f := range folds {
			if len(f) < n/k || len(f) > n/k+1 {
				t.Fatalf("%d of %d records are in a fold", len(f), n)
			}
		}
		if again := randomFolds(n, k, seed); !slices.EqualFunc(folds, again, slices.Equal) {
			t.Fatalf("%v, and then %v", folds, again)
		}
	})
}

func TestFamilyFoldsArePartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		family := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 60).Draw(t, "family")
		folds := familyFolds(&sample{family: family})
		if len(slices.Compact(slices.Sorted(slices.Values(family)))) == 1 {
			if folds != nil {
				t.Fatalf("of one family: %v", folds)
			}
			return
		}
		checkPartition(t, folds, len(family), calibrationFolds)
		foldOf := make(map[int]int)
		for f, members := range folds {
			for _, r := range members {
				if at, ok := foldOf[family[r]]; ok && at != f {
					t.Fatalf("family %d is in two folds", family[r])
				}
				foldOf[family[r]] = f
			}
		}
	})
}

// Each record is predicted by a model that has not seen it.
func TestHoldOutFolds(t *testing.T) {
	s, _ := randomSample(1, 40, 3)
	folds := randomFolds(40, 5, 1)
	held, err := holdOutFolds(s, folds, func(rest sample) (model, error) {
		seen := 0.
		for _, v := range rest.target {
			seen += v
		}
		return &plainModel{rest.len(), func(int, []float64) float64 { return seen }, func(int, []float64) float64 { return 2 }}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := 0.
	for _, v := range s.target {
		all += v
	}
	means := meansOf(held, 40)
	if len(held) != 40 {
		t.Fatalf("%d predictions", len(held))
	}
	for _, f := range folds {
		own := 0.
		for _, r := range f {
			own += s.target[r]
		}
		for _, r := range f {
			if math.Abs(means[r]-(all-own)) > 1e-9 {
				t.Errorf("record %d: the model saw %v, want %v", r, means[r], all-own)
			}
		}
	}
	for _, h := range held {
		if h.spread != 2 || !(h.far > 0 && h.far < 1) {
			t.Errorf("record %d: %+v", h.row, h)
		}
	}
}
