package predictor

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
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

	inverse *mat.SymDense // inverse covariance of the targets
	weights []float64     // inverse times target
	logDet  float64       // of the covariance
	upper   *mat.Dense    // inverse of the Cholesky factor U, of the covariance UᵀU; upper triangular

	// The records' inputs as columns: scaled by √5/length, and as they are for
	// the linear trend; and the squared norms of the scaled ones.
	scaled, trend *mat.Dense
	norms         []float64
}

var errSingular = errors.New("predictor: the covariance matrix of the records is singular; are there records without any noise?")

// newGP conditions a Gaussian process on the sample, whose inputs were
// standardised as by says.
func newGP(h hyper, s sample, by standard) (*gp, error) {
	p := &gp{hyper: h, sample: s, by: by}
	var factor mat.Cholesky
	if !factor.Factorize(s.covariance(&h)) {
		return nil, errSingular
	}
	p.logDet = factor.LogDet()
	n, d := s.z.Dims()
	p.inverse = mat.NewSymDense(n, nil)
	if err := factor.InverseTo(p.inverse); err != nil {
		return nil, errSingular
	}
	var w mat.VecDense
	if err := factor.SolveVecTo(&w, mat.NewVecDense(n, s.target)); err != nil {
		return nil, errSingular
	}
	p.weights = w.RawVector().Data

	var u, inverse mat.TriDense
	factor.UTo(&u)
	if err := inverse.InverseTri(&u); err != nil {
		return nil, errSingular
	}
	p.upper = mat.DenseCopyOf(&inverse)

	p.scaled, p.trend = mat.NewDense(d, n, nil), mat.NewDense(max(1, len(s.trend)), n, nil)
	p.norms = make([]float64, n)
	for i := range n {
		for c, z := range s.z.RawRowView(i) {
			v := z * math.Sqrt(5) / h.Length[c]
			p.scaled.Set(c, i, v)
			p.norms[i] += v * v
		}
		for c, from := range s.trend {
			p.trend.Set(c, i, h.Slope*h.Slope*s.z.At(i, from))
		}
	}
	return p, nil
}

// chunk is how many candidates are predicted at a time: as many as keep the
// matrices in the cache, and gonum from starting goroutines of its own.
const chunk = 64

// gpSession is a Gaussian process with the memory of one caller, who asks about
// one task.
type gpSession struct {
	*gp
	task int

	norms         [chunk]float64
	z             []float64 // a row of inputs, standardised
	scaled, trend []float64 // chunk x inputs of each kind
	k             []float64 // chunk x records: covariance with the records
	v             []float64 // chunk x chunk
}

func (p *gp) len() int { return p.sample.len() }

func (p *gp) session(task int) session { return &gpSession{gp: p, task: task} }

func (s *gpSession) predict(mean, variance []float64, x blas64.General) {
	for from := 0; from < x.Rows; from += chunk {
		to := min(from+chunk, x.Rows)
		rows := blas64.General{Rows: to - from, Cols: x.Cols, Stride: x.Stride, Data: x.Data[from*x.Stride:]}
		s.predictChunk(mean[from:to], variance[from:to], rows)
	}
}

func (s *gpSession) predictChunk(mean, variance []float64, x blas64.General) {
	p := s.gp
	h, n, d, trend := &p.hyper, p.sample.len(), x.Cols, p.sample.trend
	s.scaled = grow(s.scaled, chunk*d)
	s.trend = grow(s.trend, chunk*max(1, len(trend)))
	s.k = grow(s.k, chunk*n)
	s.v = grow(s.v, chunk*chunk)
	rows := x.Rows
	general := func(data []float64, cols int) blas64.General {
		return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
	}
	scaled, k := general(s.scaled, d), general(s.k, n)

	// -2 Σ a b of the squared distances, and at once what the candidates are alone.
	for i := range rows {
		s.norms[i] = 0
		own := h.Level*h.Level + h.TaskLevel*h.TaskLevel + h.Signal*h.Signal + h.TaskSignal*h.TaskSignal + h.Noise*h.Noise
		s.z = append(s.z[:0], x.Data[i*x.Stride:i*x.Stride+d]...)
		p.by.apply(s.z)
		for c, z := range s.z {
			v := z * math.Sqrt(5) / h.Length[c]
			s.scaled[i*d+c] = v
			s.norms[i] += v * v
		}
		for c, from := range trend {
			z := s.z[from]
			s.trend[i*len(trend)+c] = z
			own += h.Slope * h.Slope * z * z
		}
		variance[i] = own
	}
	multiply(-2, scaled, p.scaled.RawMatrix(), 0, k)
	shared, both := h.Signal*h.Signal, h.Signal*h.Signal+h.TaskSignal*h.TaskSignal
	for i := range rows {
		row := k.Data[i*n : i*n+n]
		for j, v := range row {
			m, _ := matern(math.Sqrt(max(0, v+s.norms[i]+p.norms[j])))
			if p.sample.task[j] == s.task {
				row[j] = h.Level*h.Level + h.TaskLevel*h.TaskLevel + both*m
			} else {
				row[j] = h.Level*h.Level + shared*m
			}
		}
	}
	if len(trend) > 0 {
		multiply(1, general(s.trend, len(trend)), p.trend.RawMatrix(), 1, k)
	}
	for i := range rows {
		mean[i] = blas64.Dot(blas64.Vector{N: n, Inc: 1, Data: k.Data[i*n:]}, blas64.Vector{N: n, Inc: 1, Data: p.weights})
	}

	// variance -= |k U⁻¹|², by blocks of columns: below them U⁻¹ is zero.
	upper := p.upper.RawMatrix()
	for from := 0; from < n; from += chunk {
		to := min(from+chunk, n)
		v := general(s.v, to-from)
		multiply(1, blas64.General{Rows: rows, Cols: to, Stride: n, Data: k.Data},
			blas64.General{Rows: to, Cols: to - from, Stride: upper.Stride, Data: upper.Data[from:]}, 0, v)
		for i := range rows {
			for _, x := range v.Data[i*v.Stride : i*v.Stride+v.Cols] {
				variance[i] -= x * x
			}
		}
	}
	for i := range variance {
		variance[i] = h.widened(variance[i])
	}
}

// widened returns the variance of a target of which the process alone has the
// given one, which rounding may have brought below that of the noise.
func (h *hyper) widened(variance float64) float64 {
	noise := h.Noise * h.Noise
	return noise + h.Widening*max(0, variance-noise)
}

// multiply sets c to alpha*a*b + beta*c, by blocks of columns so narrow that
// gonum does not start goroutines for them: the callers are many already.
func multiply(alpha float64, a, b blas64.General, beta float64, c blas64.General) {
	for from := 0; from < b.Cols; from += chunk {
		n := min(chunk, b.Cols-from)
		blas64.Gemm(blas.NoTrans, blas.NoTrans, alpha, a,
			blas64.General{Rows: b.Rows, Cols: n, Stride: b.Stride, Data: b.Data[from:]}, beta,
			blas64.General{Rows: c.Rows, Cols: n, Stride: c.Stride, Data: c.Data[from:]})
	}
}

// leaveOut stores mean and variance of the target of the records in group as
// if they had not been seen, with the same hyper-parameters: the closed form of
// Rasmussen and Williams 2006, section 5.4.2, for several records at once.
func (p *gp) leaveOut(group []int, mean, variance []float64) error {
	block, err := newBlock(p.inverse, p.weights, group)
	if err != nil {
		return err
	}
	for i, r := range group {
		mean[i] = p.sample.target[r] - block.residual[i]
		variance[i] = p.hyper.widened(block.covariance.At(i, i))
	}
	return nil
}

// A block is the posterior of some records given all others.
type block struct {
	residual   []float64     // target minus mean
	covariance *mat.SymDense // its covariance
	logDet     float64       // of the covariance
}

func newBlock(inverse *mat.SymDense, weights []float64, group []int) (*block, error) {
	m := len(group)
	sub, w := mat.NewSymDense(m, nil), mat.NewVecDense(m, nil)
	for i, a := range group {
		w.SetVec(i, weights[a])
		for j := i; j < m; j++ {
			sub.SetSym(i, j, inverse.At(a, group[j]))
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
func grow[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// similarity returns the Matern function M of the rows: the correlation of what
// the process does not explain by level and trend.
func (p *gp) similarity(x, y []float64) float64 {
	squares := 0.
	for c := range x {
		d := (x[c] - y[c]) / p.by.scale[c] / p.hyper.Length[c]
		squares += d * d
	}
	m, _ := matern(math.Sqrt(5 * squares))
	return m
}

func (p *gp) state() modelState { return modelState{Kind: kindGP, Hyper: p.hyper} }
