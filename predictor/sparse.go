package predictor

import (
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// sparseGP is a Gaussian process that has seen more records than it can
// handle exactly: what it says of them is what they tell through the targets at
// some of them, the inducing points (Titsias 2009, Variational Learning of Inducing
// Variables in Sparse Gaussian Processes, equation 6). So training takes a time
// proportional to the records instead of to their cube.
type sparseGP struct {
	hyper   hyper
	records int
	single  float64 // see sample
	by      standard
	columns []column

	inducing sample
	rows     rows
	weights  []float64
	// With K the covariance of the inducing points and Q its inverse, less what the
	// records leave open: the variance of a function value with the covariances k
	// is its own - |k prior|² + |k open|².
	prior, open *mat.Dense // upper triangular
}

// maxInducing is the number of inducing points: with half as many, the error on
// the 4,100 networks of Accel-NASBench grows by a twentieth.
const maxInducing = 1000

// newSparseGP conditions the process on the sample, whose inputs were
// standardised as by says. Every so-manieth record is an inducing point.
func newSparseGP(h hyper, s sample, by standard) (*sparseGP, error) {
	n := s.len()
	m := min(n, maxInducing)
	which := make([]int, m)
	for i := range which {
		which[i] = i * n / m
	}
	p := &sparseGP{hyper: h, records: n, single: s.single, by: by, columns: s.columns, inducing: s.rows(which)}
	p.rows = newRows(&p.hyper, &p.inducing)

	exact := p.inducing
	exact.noise = make([]float64, m)
	bare := h
	bare.Noise = 1e-3 * (h.Signal + h.TaskSignal) // for the factorisation alone
	var factor mat.Cholesky
	if !factor.Factorize(exact.covariance(&bare)) {
		return nil, errSingular
	}
	var u, inverse mat.TriDense
	factor.UTo(&u)
	if err := inverse.InverseTri(&u); err != nil {
		return nil, errSingular
	}
	p.prior = mat.DenseCopyOf(&inverse)

	// a has a row for each record: k prior, over its noise's deviation.
	a, y := mat.NewDense(n, m, nil), mat.NewVecDense(n, nil)
	cross := crosser{rows: &p.rows}
	for from := 0; from < n; {
		to := from + 1
		for to < n && to < from+chunk && s.task[to] == s.task[from] {
			to++
		}
		cross.task = s.task[from]
		k := cross.cross(s.z.Slice(from, to, 0, len(s.columns)).(*mat.Dense).RawMatrix())
		for i := from; i < to; i++ {
			sd := math.Sqrt(h.variance(&s, i))
			y.SetVec(i, s.target[i]/sd)
			for j, v := range k.Data[(i-from)*m : (i-from)*m+m] {
				a.Set(i, j, v/sd)
			}
		}
		from = to
	}
	var projected mat.Dense
	projected.Mul(a, p.prior)
	b := mat.NewSymDense(m, nil)
	for i := range m {
		b.SetSym(i, i, 1)
	}
	b.SymRankK(b, 1, projected.T())
	if !factor.Factorize(b) {
		return nil, errSingular
	}
	factor.UTo(&u)
	var left mat.TriDense
	if err := left.InverseTri(&u); err != nil {
		return nil, errSingular
	}
	p.open = mat.NewDense(m, m, nil)
	p.open.Mul(p.prior, &left)

	var ay, c, w mat.VecDense
	ay.MulVec(projected.T(), y)
	c.MulVec(left.T(), &ay)
	w.MulVec(p.open, &c)
	p.weights = w.RawVector().Data
	return p, nil
}

func (p *sparseGP) len() int { return p.records }

type sparseSession struct {
	*sparseGP
	crosser
	memory [chunk * chunk]float64
}

func (p *sparseGP) session(task int) session {
	return &sparseSession{sparseGP: p, crosser: crosser{rows: &p.rows, by: &p.by, task: task}}
}

func (s *sparseSession) predict(mean, variance []float64, x blas64.General) {
	inChunks(x, func(from, to int, x blas64.General) {
		k, m, v := s.cross(x), mean[from:to], variance[from:to]
		copy(v, s.own[:])
		for i := range m {
			m[i] = blas64.Dot(blas64.Vector{N: k.Cols, Inc: 1, Data: k.Data[i*k.Stride:]}, blas64.Vector{N: k.Cols, Inc: 1, Data: s.weights})
		}
		subtractSquares(v, k, s.prior.RawMatrix(), s.memory[:], 1)
		subtractSquares(v, k, s.open.RawMatrix(), s.memory[:], -1)
		for i := range v {
			v[i] = s.hyper.widened(v[i], s.single)
		}
	})
}

func (p *sparseGP) lengths() []float64 { return p.hyper.lengths(p.columns, &p.by) }

func (p *sparseGP) state() modelState { return modelState{Kind: GP, GP: &p.hyper} }
