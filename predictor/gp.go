package predictor

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// gp is a Gaussian process (Rasmussen and Williams 2006, chapter 2) that has
// seen a sample: the posterior of algorithm 2.1, in the form that predicts
// batches fastest.
type gp struct {
	hyper  hyper
	sample sample
	by     standard // of the sample's inputs
	posterior

	upper *mat.Dense // inverse of the Cholesky factor U, of the covariance UᵀU; upper triangular
	rows  rows
}

// A posterior is what a process knows of the records it has seen.
type posterior struct {
	inverse *mat.SymDense // inverse covariance of the targets
	weights []float64     // inverse times target
	logDet  float64       // of the covariance
}

var errSingular = errors.New("predictor: the covariance matrix of the records is singular; are there records without any noise?")

// condition returns the posterior, and the Cholesky factor of the covariance.
func (s *sample) condition(h *hyper) (*posterior, *mat.Cholesky, error) {
	var factor mat.Cholesky
	if !factor.Factorize(s.covariance(h)) {
		return nil, nil, errSingular
	}
	p := &posterior{inverse: mat.NewSymDense(s.len(), nil), logDet: factor.LogDet()}
	var w mat.VecDense
	if factor.InverseTo(p.inverse) != nil || factor.SolveVecTo(&w, mat.NewVecDense(s.len(), s.target)) != nil {
		return nil, nil, errSingular
	}
	p.weights = w.RawVector().Data
	return p, &factor, nil
}

// newGP conditions a Gaussian process on the sample, whose inputs were
// standardised as by says.
func newGP(h hyper, s sample, by standard) (*gp, error) {
	p := &gp{hyper: h, sample: s, by: by}
	seen, factor, err := s.condition(&h)
	if err != nil {
		return nil, err
	}
	p.posterior = *seen
	var u, inverse mat.TriDense
	factor.UTo(&u)
	if err := inverse.InverseTri(&u); err != nil {
		return nil, errSingular
	}
	p.upper = mat.DenseCopyOf(&inverse)
	p.rows = newRows(&p.hyper, &p.sample)
	return p, nil
}

// gpSession is a Gaussian process with the memory of one caller, who asks about
// one task.
type gpSession struct {
	*gp
	crosser
	memory [chunk * chunk]float64
}

func (p *gp) len() int { return p.sample.len() }

func (p *gp) session(task int) session {
	return &gpSession{gp: p, crosser: crosser{rows: &p.rows, by: &p.by, task: task}}
}

func (s *gpSession) predict(mean, variance []float64, x blas64.General) {
	inChunks(x, func(from, to int, x blas64.General) { s.predictChunk(mean[from:to], variance[from:to], x) })
}

// inChunks calls f for chunk rows at a time.
func inChunks(x blas64.General, f func(from, to int, rows blas64.General)) {
	for from := 0; from < x.Rows; from += chunk {
		to := min(from+chunk, x.Rows)
		f(from, to, blas64.General{Rows: to - from, Cols: x.Cols, Stride: x.Stride, Data: x.Data[from*x.Stride:]})
	}
}

func (s *gpSession) predictChunk(mean, variance []float64, x blas64.General) {
	n := s.sample.len()
	k := s.cross(x)
	copy(variance, s.own[:x.Rows])
	for i := range mean {
		mean[i] = blas64.Dot(blas64.Vector{N: n, Inc: 1, Data: k.Data[i*n:]}, blas64.Vector{N: n, Inc: 1, Data: s.weights})
	}
	subtractSquares(variance, k, s.upper.RawMatrix(), s.memory[:], 1)
	for i := range variance {
		variance[i] = s.hyper.widened(variance[i], s.sample.single)
	}
}

// widened returns the variance of a target, given what the process alone has
// for the function, which rounding may have brought below 0, and what is known of the
// noise.
func (h *hyper) widened(variance, noise float64) float64 {
	return noise + h.Noise*h.Noise + h.Widening*max(0, variance)
}

// leaveOut stores mean and variance of the target of the records in group as
// if they had not been seen, with the same hyper-parameters: the closed form of
// Rasmussen and Williams 2006, section 5.4.2, for several records at once.
func (p *gp) leaveOut(group []int, mean, variance []float64) error {
	block, err := newBlock(&p.posterior, group)
	if err != nil {
		return err
	}
	for i, r := range group {
		mean[i] = p.sample.target[r] - block.residual[i]
		own := p.hyper.variance(&p.sample, r)
		variance[i] = p.hyper.widened(block.covariance.At(i, i)-own, p.sample.noise[r])
	}
	return nil
}

// A block is the posterior of some records given all others.
type block struct {
	residual   []float64     // target minus mean
	covariance *mat.SymDense // its covariance
	logDet     float64       // of the covariance
}

func newBlock(p *posterior, group []int) (*block, error) {
	m := len(group)
	sub, w := mat.NewSymDense(m, nil), mat.NewVecDense(m, nil)
	for i, a := range group {
		w.SetVec(i, p.weights[a])
		for j := i; j < m; j++ {
			sub.SetSym(i, j, p.inverse.At(a, group[j]))
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(sub) {
		return nil, errSingular
	}
	b := &block{covariance: mat.NewSymDense(m, nil), logDet: -factor.LogDet()}
	var residual mat.VecDense
	if factor.InverseTo(b.covariance) != nil || factor.SolveVecTo(&residual, w) != nil {
		return nil, errSingular
	}
	b.residual = residual.RawVector().Data
	return b, nil
}

// grow returns a slice of n elements, s if it has the room.
func grow[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}

func (p *gp) lengths() []float64 { return p.hyper.lengths(p.sample.columns, &p.by) }

// lengths returns the length scale of each input, in its own unit; infinite if it
// has none.
func (h *hyper) lengths(columns []column, by *standard) []float64 {
	out := make([]float64, len(columns))
	for c, k := range columns {
		out[c] = math.Inf(1)
		if k.length >= 0 {
			out[c] = h.Length[k.length] * by.scale[c]
		}
	}
	return out
}

func (p *gp) state() modelState { return modelState{Kind: GP, GP: &p.hyper} }
