package predictor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// randomSample draws n rows of d inputs, of three tasks.
func randomSample(seed uint64, n, d int) (sample, hyper) {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := sample{z: mat.NewDense(n, d, nil), trend: []int{0, d - 1}}
	for i := range n {
		for c := range d {
			s.z.Set(i, c, rng.NormFloat64())
		}
		s.task = append(s.task, rng.IntN(3))
		s.target = append(s.target, math.Sin(s.z.At(i, 0))+0.1*rng.NormFloat64())
	}
	h := hyper{Level: 1, Widening: 1.7, Slope: 0.3, Signal: 0.7, TaskLevel: 0.2, TaskSignal: 0.4, Noise: 0.1, Length: make([]float64, d)}
	for c := range h.Length {
		h.Length[c] = math.Exp(rng.NormFloat64() / 2)
	}
	return s, h
}

func identity(d int) standard { return standard{make([]float64, d), slices.Repeat([]float64{1}, d)} }

// covarianceOf is the covariance of two targets as the comment of hyper has
// it, written once more.
func covarianceOf(h *hyper, a, b []float64, sameTask bool, trend []int) float64 {
	var linear, squared float64
	for _, c := range trend {
		linear += a[c] * b[c]
	}
	for c := range a {
		squared += math.Pow((a[c]-b[c])/h.Length[c], 2)
	}
	r := math.Sqrt(squared)
	m := (1 + math.Sqrt(5)*r + 5*r*r/3) * math.Exp(-math.Sqrt(5)*r)
	k := h.Level*h.Level + h.Slope*h.Slope*linear + h.Signal*h.Signal*m
	if sameTask {
		k += h.TaskLevel*h.TaskLevel + h.TaskSignal*h.TaskSignal*m
	}
	return k
}

// The batch arithmetic gives what equations 2.23 and 2.24 of Rasmussen and
// Williams say, solved directly.
func TestPredictIsTheTextbooks(t *testing.T) {
	const n, d, m = 90, 4, 150
	s, h := randomSample(1, n, d)
	p, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	k := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			k.Set(i, j, covarianceOf(&h, s.z.RawRowView(i), s.z.RawRowView(j), s.task[i] == s.task[j], s.trend))
		}
		k.Set(i, i, k.At(i, i)+h.Noise*h.Noise)
	}
	queries, _ := randomSample(2, m, d)
	for _, task := range []int{0, 2, unknownTask} {
		mean, variance := make([]float64, m), make([]float64, m)
		p.session(task).predict(mean, variance, queries.z.RawMatrix())
		for i := range m {
			z := queries.z.RawRowView(i)
			v := mat.NewVecDense(n, nil)
			for j := range n {
				v.SetVec(j, covarianceOf(&h, z, s.z.RawRowView(j), s.task[j] == task, s.trend))
			}
			var w mat.VecDense
			if err := w.SolveVec(k, v); err != nil {
				t.Fatal(err)
			}
			wantMean := mat.Dot(&w, mat.NewVecDense(n, s.target))
			wantVariance := h.Noise*h.Noise + h.Widening*(covarianceOf(&h, z, z, true, s.trend)-mat.Dot(&w, v))
			if math.Abs(mean[i]-wantMean) > 1e-8 || math.Abs(variance[i]-wantVariance) > 1e-8 {
				t.Fatalf("task %d, query %d: got %v, %v, want %v, %v", task, i, mean[i], variance[i], wantMean, wantVariance)
			}
		}
	}
}

// A row's prediction is the same to the last bit in any batch.
func TestPredictIsIndependentOfTheBatch(t *testing.T) {
	const m = 3*chunk + 7
	s, h := randomSample(1, 200, 5)
	p, err := newGP(h, s, identity(s.inputs()))
	if err != nil {
		t.Fatal(err)
	}
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

// Leaving records out in closed form is conditioning on the others.
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
	rest := sample{trend: s.trend}
	var rows []float64
	for i := range s.len() {
		if i != 3 && i != 17 && i != 18 && i != 39 {
			rows = append(rows, s.z.RawRowView(i)...)
			rest.task, rest.target = append(rest.task, s.task[i]), append(rest.target, s.target[i])
		}
	}
	rest.z = mat.NewDense(rest.len(), 3, rows)
	q, err := newGP(h, rest, identity(3))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range group {
		var m, v [1]float64
		q.session(s.task[r]).predict(m[:], v[:], blas64.General{Rows: 1, Cols: 3, Stride: 3, Data: s.z.RawRowView(r)})
		if math.Abs(m[0]-mean[i]) > 1e-9 || math.Abs(v[0]-variance[i]) > 1e-9 {
			t.Errorf("record %d: left out %v, %v; from the rest %v, %v", r, mean[i], variance[i], m[0], v[0])
		}
	}
}
