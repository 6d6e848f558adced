package predictor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// randomSample draws n rows of d inputs, at least 3, of three tasks: the last
// two inputs share a length scale, and the first and the last have a slope each.
// Some targets were measured more often than others.
func randomSample(seed uint64, n, d int) (sample, hyper) {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := sample{z: mat.NewDense(n, d, nil), derived: make([]bool, n), single: 0.02}
	for c := range d {
		s.columns = append(s.columns, column{length: min(c, d-2), slope: -1})
	}
	s.columns[0].slope, s.columns[d-1].slope = 0, 1
	for i := range n {
		for c := range d {
			s.z.Set(i, c, rng.NormFloat64())
		}
		s.task, s.family = append(s.task, rng.IntN(3)), append(s.family, rng.IntN(7))
		s.target = append(s.target, math.Sin(s.z.At(i, 0))+0.1*rng.NormFloat64())
		s.noise = append(s.noise, s.single/float64(1+rng.IntN(3)))
	}
	h := hyper{
		Level: 1, Signal: 0.7, TaskLevel: 0.2, TaskSignal: 0.4, TaskLength: 0.6, Noise: 0.1, Widening: 1.7,

		Slope: []float64{0.3, 0.15}, Length: make([]float64, d-1),
	}
	for c := range h.Length {
		h.Length[c] = math.Exp(rng.NormFloat64() / 2)
	}
	return s, h
}

func identity(d int) standard { return standard{make([]float64, d), slices.Repeat([]float64{1}, d)} }

// covarianceOf is the covariance of two targets as the comment of hyper has
// it, written once more.
func covarianceOf(h *hyper, a, b []float64, sameTask bool, columns []column) float64 {
	var linear, squared float64
	for c, k := range columns {
		if k.slope >= 0 {
			linear += math.Pow(h.Slope[k.slope], 2) * a[c] * b[c]
		}
		squared += math.Pow((a[c]-b[c])/h.Length[k.length], 2)
	}
	m := func(r float64) float64 { return (1 + math.Sqrt(5)*r + 5*r*r/3) * math.Exp(-math.Sqrt(5)*r) }
	r := math.Sqrt(squared)
	k := h.Level*h.Level + linear + h.Signal*h.Signal*m(r)
	if sameTask {
		k += h.TaskLevel*h.TaskLevel + h.TaskSignal*h.TaskSignal*m(r/h.TaskLength)
	}
	return k
}

// The batch arithmetic gives what equations 2.23 and 2.24 of Rasmussen and
// Williams say, solved directly.
func TestPredictIsTheTextbooks(t *testing.T) {
	const n, d, m = 90, 4, 150
	s, h := randomSample(1, n, d)
	by := standard{[]float64{1, -2, 0, 5}, []float64{3, 1, 0.5, 10}}
	p, err := newGP(h, s, by)
	if err != nil {
		t.Fatal(err)
	}
	k := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			k.Set(i, j, covarianceOf(&h, s.z.RawRowView(i), s.z.RawRowView(j), s.task[i] == s.task[j], s.columns))
		}
		k.Set(i, i, k.At(i, i)+h.Noise*h.Noise+s.noise[i])
	}
	queries, _ := randomSample(2, m, d)
	raw := mat.DenseCopyOf(queries.z) // before they are standardised
	raw.Apply(func(_, c int, v float64) float64 { return v*by.scale[c] + by.center[c] }, raw)
	for _, task := range []int{0, 2, unknownTask} {
		mean, variance := make([]float64, m), make([]float64, m)
		p.session(task).predict(mean, variance, raw.RawMatrix())
		for i := range m {
			z := queries.z.RawRowView(i)
			v := mat.NewVecDense(n, nil)
			for j := range n {
				v.SetVec(j, covarianceOf(&h, z, s.z.RawRowView(j), s.task[j] == task, s.columns))
			}
			var w mat.VecDense
			if err := w.SolveVec(k, v); err != nil {
				t.Fatal(err)
			}
			wantMean := mat.Dot(&w, mat.NewVecDense(n, s.target))
			wantVariance := s.single + h.Noise*h.Noise + h.Widening*(covarianceOf(&h, z, z, true, s.columns)-mat.Dot(&w, v))
			if math.Abs(mean[i]-wantMean) > 1e-8 || math.Abs(variance[i]-wantVariance) > 1e-8 {
				t.Fatalf("task %d, query %d: got %v, %v, want %v, %v", task, i, mean[i], variance[i], wantMean, wantVariance)
			}
		}
	}
}

// A row's prediction is the same to the last bit in any batch.
func TestPredictIsIndependentOfTheBatch(t *testing.T) {
	s, h := randomSample(1, 200, 5)
	p, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	testBatches(t, p)
}

// testBatches compares a batch of rows of 5 inputs with one row at a time.
func testBatches(t *testing.T, p model) {
	t.Helper()
	const m = 3*chunk + 7
	queries, _ := randomSample(2, m, 5)
	z := queries.z.RawMatrix()
	mean, variance := make([]float64, m), make([]float64, m)
	p.session(1).predict(mean, variance, z)
	one := p.session(1)
	for i := range m {
		var a, b [1]float64
		one.predict(a[:], b[:], blas64.General{Rows: 1, Cols: z.Cols, Stride: z.Stride, Data: z.Data[i*z.Stride:]})
		if a[0] != mean[i] || b[0] != variance[i] {
			t.Fatalf("row %d alone: %v, %v; in the batch: %v, %v", i, a[0], b[0], mean[i], variance[i])
		}
	}
}

// Leaving records out in closed form is conditioning on the others, apart from
// how often the record itself was measured.
func TestLeaveOutIsConditioningOnTheRest(t *testing.T) {
	s, h := randomSample(3, 40, 3)
	p, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	group := []int{3, 17, 18, 39}
	mean, variance := make([]float64, len(group)), make([]float64, len(group))
	if err := p.leaveOut(group, mean, variance); err != nil {
		t.Fatal(err)
	}
	q, err := newGP(h, s.rows(without(s.len(), group)), identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range group {
		m, v := predictRow(q, s.task[r], s.z.RawRowView(r))
		v += s.noise[r] - s.single
		if math.Abs(m-mean[i]) > 1e-9 || math.Abs(v-variance[i]) > 1e-9 {
			t.Errorf("record %d: left out %v, %v; from the rest %v, %v", r, mean[i], variance[i], m, v)
		}
	}
}

// The rows of some records are theirs.
func TestRowsOfASample(t *testing.T) {
	s, _ := randomSample(4, 20, 3)
	rest := s.rows(without(20, []int{0, 7, 19}))
	if rest.len() != 17 || rest.single != s.single || len(rest.columns) != len(s.columns) {
		t.Fatalf("%d rows of %d inputs", rest.len(), rest.inputs())
	}
	for i, r := range []int{1, 2, 3, 4, 5, 6, 8} {
		if rest.target[i] != s.target[r] || rest.task[i] != s.task[r] || rest.family[i] != s.family[r] || rest.noise[i] != s.noise[r] ||
			!slices.Equal(rest.z.RawRowView(i), s.z.RawRowView(r)) {
			t.Errorf("row %d is not record %d", i, r)
		}
	}
	all := make(map[int]int)
	for f, members := range s.families() {
		for k, r := range members {
			all[r]++
			if s.family[r] != s.family[members[0]] || k > 0 && members[k-1] >= r {
				t.Errorf("family %d: %v", f, members)
			}
		}
	}
	if len(all) != 20 {
		t.Errorf("%d records in families", len(all))
	}
}
