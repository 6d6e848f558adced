package predictor

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// ridge is linear regression with a Gaussian prior of the coefficients (Hoerl
// and Kennard 1970; Bishop, Pattern Recognition and Machine Learning, 2006, section
// 3.3). With X the encoded inputs less their mean m, a row x each, W the weights
// w of the records, and y their targets less the mean, the coefficients are
//
//	b = A Xᵀ W y,  A = (Xᵀ W X + λ I)⁻¹
//
// and the variance of the function at x is σ² (1/Σw + (x-m) A (x-m)ᵀ). It grows
// with the square of the distance from the records, fastest along directions in
// which they vary little. The level is not penalised.
type ridge struct {
	ridgeState
	directions *mat.Dense // as columns

	// Of a ridge that was trained, not loaded:
	x     *mat.Dense // the encoded inputs, and a column of ones
	parts *decomposition
}

// ridgeState is a ridge in a file.
//
// The directions v are eigenvectors of Xᵀ W X. With its eigenvalues s², A is
//
//	Σ v vᵀ/(s² + λ) + (I - Σ v vᵀ)/λ
//
// where only those with the largest s² are kept if they are very many: the
// variance is then as if nothing were known along the others.
type ridgeState struct {
	Records      int       `json:"records"`
	Encoding     encoding  `json:"encoding"`
	Coefficients []float64 `json:"coefficients"` // of the encoded inputs and a constant 1
	Penalty      float64   `json:"penalty"`      // λ
	Variance     float64   `json:"variance"`     // σ², of a record of weight 1
	Total        float64   `json:"total"`        // Σw
	Mean         []float64 `json:"mean"`         // m
	Directions   []float64 `json:"directions"`   // v, one after the other
	Shrinkage    []float64 `json:"shrinkage"`    // 1/(s² + λ)
}

// mostDirections is how many numbers the directions of a file are at most.
const mostDirections = 200_000

var (
	errNoRecords = errors.New("predictor: a model from a file no longer has the records that are to be left out")
	errDamaged   = errors.New("the model in it contradicts itself")
)

// trainRidge fits a ridge whose penalty has the least leave-one-out error.
func trainRidge(s sample) (*ridge, error) {
	if s.len() < 2 {
		return nil, fmt.Errorf("predictor: %d records are too few to learn from", s.len())
	}
	e := newEncoding(s)
	parts, err := decompose(&e, s, nil)
	if err != nil {
		return nil, err
	}
	penalty, missed := parts.best()
	if noise := s.meanNoise(); noise > 0 && missed > 0 {
		// Noise is a part of what was missed.
		if parts, err = decompose(&e, s, s.weights(max(missed-noise, 0.1*missed))); err != nil {
			return nil, err
		}
		penalty, _ = parts.best()
	}
	return newRidgeOf(e, s, parts, penalty), nil
}

// newRidgeOf returns the ridge of the decomposed sample with the given penalty.
func newRidgeOf(e encoding, s sample, parts *decomposition, penalty float64) *ridge {
	r := &ridge{x: e.rows(s, true), parts: parts}
	b, _ := parts.coefficients(penalty, nil) // nothing left out, nothing to fail
	p, m := parts.v.Dims()
	r.ridgeState = ridgeState{
		Records: s.len(), Encoding: e, Coefficients: b, Penalty: penalty, Variance: nineDigits(parts.variance(penalty)),
		Total: parts.total, Mean: parts.mean,
	}
	for k := m - 1; k >= 0 && len(r.Directions) <= mostDirections-p; k-- { // eigenvalues increase
		r.Directions = append(r.Directions, mat.Col(nil, k, parts.v)...)
		r.Shrinkage = append(r.Shrinkage, 1/(parts.squares[k]+penalty))
	}
	roundAll(r.Directions)
	roundAll(r.Shrinkage)
	r.expand()
	return r
}

// weightOf returns how much a record counted.
func (r *ridge) weightOf(i int) float64 { return r.parts.w[i] }

// shrunk returns the coefficients with the penalty multiplied by factor, from
// all records but those of a group. It is what trees and neural begin with.
func (r *ridge) shrunk(factor float64, without []int) ([]float64, error) {
	return r.parts.coefficients(factor*r.Penalty, without)
}

// A decomposition says what any penalty makes of the records.
//
// Let the rows of X and y be multiplied by √w, and X = Z Vᵀ, where the columns of
// V are orthonormal, and those of Z orthogonal with squares s². In these
// coordinates all that depends on the penalty is diagonal. The leverages are
//
//	H = √w √wᵀ/Σw + Z (S² + λ)⁻¹ Zᵀ
//
// and the residuals of a group of records, had it been left out, (I - H)⁻¹ times
// those that it has (for one record, Allen 1974), with the group's block of H.
type decomposition struct {
	z, v    *mat.Dense
	squares []float64 // s², increasing
	zy      []float64 // Zᵀ y
	y, w    []float64
	total   float64   // Σw
	mean    []float64 // of the encoded inputs
	origin  float64   // mean of the targets
}

// decompose does that with the smaller of Xᵀ X and X Xᵀ. Without weights, all are 1.
func decompose(e *encoding, s sample, weight []float64) (*decomposition, error) {
	n, p := s.len(), e.size()
	d := &decomposition{w: weight, y: make([]float64, n), mean: make([]float64, p)}
	if weight == nil {
		d.w = make([]float64, n)
		for i := range d.w {
			d.w[i] = 1
		}
	}
	x := e.rows(s, false)
	for i, w := range d.w {
		d.total += w
		d.origin += w * s.target[i]
		blas64.Axpy(w, vector(x.RawRowView(i)), vector(d.mean))
	}
	d.origin /= d.total
	blas64.Scal(1/d.total, vector(d.mean))
	for i, w := range d.w {
		row, root := x.RawRowView(i), math.Sqrt(w)
		blas64.Axpy(-1, vector(d.mean), vector(row))
		blas64.Scal(root, vector(row))
		d.y[i] = root * (s.target[i] - d.origin)
	}

	var eigen mat.EigenSym
	var product mat.SymDense
	if n > p {
		product.SymOuterK(1, x.T())
	} else {
		product.SymOuterK(1, x)
	}
	if !eigen.Factorize(&product, true) {
		return nil, errSingular
	}
	d.squares = eigen.Values(nil)
	most := d.squares[len(d.squares)-1]
	d.z, d.v = new(mat.Dense), new(mat.Dense)
	if n > p {
		eigen.VectorsTo(d.v)
		d.z.Mul(x, d.v)
	} else {
		eigen.VectorsTo(d.z)
		d.v.Mul(x.T(), d.z)
	}
	for k, v := range d.squares {
		d.squares[k] = max(0, v) // rounding
		if n <= p {
			root, inverse := math.Sqrt(d.squares[k]), 0.
			if v > 1e-12*most {
				inverse = 1 / root
			}
			for i := range n {
				d.z.Set(i, k, root*d.z.At(i, k))
			}
			for c := range p {
				d.v.Set(c, k, inverse*d.v.At(c, k))
			}
		}
	}
	zy := mat.NewVecDense(min(n, p), nil)
	zy.MulVec(d.z.T(), mat.NewVecDense(n, d.y))
	d.zy = zy.RawVector().Data
	return d, nil
}

// solution returns the coefficients of the columns of Z, and 1/(s² + λ).
func (d *decomposition) solution(penalty float64) (b, shrinkage []float64) {
	b, shrinkage = make([]float64, len(d.zy)), make([]float64, len(d.zy))
	for k, v := range d.squares {
		shrinkage[k] = 1 / (v + penalty)
		b[k] = d.zy[k] * shrinkage[k]
	}
	return b, shrinkage
}

// coefficients returns those of the encoded inputs and a constant, without a
// group of records.
func (d *decomposition) coefficients(penalty float64, without []int) ([]float64, error) {
	b, shrinkage := d.solution(penalty)
	level := d.origin
	if len(without) > 0 {
		residual, _, err := d.leaveOut(penalty, without)
		if err != nil {
			return nil, err
		}
		for i, g := range without {
			e := residual.AtVec(i)
			level -= math.Sqrt(d.w[g]) * e / d.total
			for k, z := range d.z.RawRowView(g) {
				b[k] -= shrinkage[k] * z * e
			}
		}
	}
	out := make([]float64, len(d.mean)+1)
	mat.NewVecDense(len(d.mean), out[:len(d.mean)]).MulVec(d.v, mat.NewVecDense(len(b), b))
	out[len(d.mean)] = level - blas64.Dot(vector(d.mean), vector(out[:len(d.mean)]))
	roundAll(out)
	return out, nil
}

// leaveOut returns the residuals of the group had it been left out, and
// (I - H)⁻¹.
func (d *decomposition) leaveOut(penalty float64, group []int) (*mat.VecDense, *mat.SymDense, error) {
	b, shrinkage := d.solution(penalty)
	n, m := len(group), len(b)
	z, e := mat.NewDense(n, m, nil), mat.NewVecDense(n, nil)
	for i, g := range group {
		row := d.z.RawRowView(g)
		e.SetVec(i, d.y[g]-blas64.Dot(vector(row), vector(b)))
		for k, v := range row {
			z.Set(i, k, v*math.Sqrt(shrinkage[k]))
		}
	}
	rest := mat.NewSymDense(n, nil)
	rest.SymOuterK(-1, z)
	for i, g := range group {
		for j := i; j < n; j++ {
			rest.SetSym(i, j, rest.At(i, j)-math.Sqrt(d.w[g]*d.w[group[j]])/d.total)
		}
		rest.SetSym(i, i, 1+rest.At(i, i))
	}
	var factor mat.Cholesky
	residual, inverse := new(mat.VecDense), new(mat.SymDense)
	if !factor.Factorize(rest) || factor.SolveVecTo(residual, e) != nil || factor.InverseTo(inverse) != nil {
		return nil, nil, errSingular
	}
	return residual, inverse, nil
}

// missed returns the mean square of the leave-one-out residuals.
func (d *decomposition) missed(penalty float64) (sum float64) {
	b, shrinkage := d.solution(penalty)
	for i, e := range d.y {
		h := d.w[i] / d.total
		for k, z := range d.z.RawRowView(i) {
			e -= z * b[k]
			h += z * z * shrinkage[k]
		}
		e /= max(1-h, 1e-9)
		sum += e * e / float64(len(d.y))
	}
	return sum
}

// variance returns the σ² that makes the targets likeliest, the coefficients
// integrated out (Bishop 2006, section 3.5, for a given λ).
func (d *decomposition) variance(penalty float64) (sum float64) {
	b, _ := d.solution(penalty)
	for i, e := range d.y {
		e -= blas64.Dot(vector(d.z.RawRowView(i)), vector(b))
		sum += e * e
	}
	for _, v := range b {
		sum += penalty * v * v
	}
	return sum / float64(len(d.y)-1)
}

// The penalties tried, as powers of ten times the number of records: from
// hardly any to one that leaves the mean.
const (
	leastPenalty = -7.
	mostPenalty  = 4.
)

// best returns the penalty of the least leave-one-out error, the largest of
// several, and that error.
func (d *decomposition) best() (penalty, missed float64) {
	n := float64(len(d.y))
	at := func(power float64) float64 { return n * math.Pow(10, power) }
	best, least := mostPenalty, d.missed(at(mostPenalty))
	try := func(power float64) {
		if power < leastPenalty || power > mostPenalty {
			return
		}
		if v := d.missed(at(power)); v < least {
			best, least = power, v
		}
	}
	const step = 0.5
	for power := mostPenalty - step; power >= leastPenalty; power -= step {
		try(power)
	}
	for half := step / 2; half > 0.01; half /= 2 {
		center := best
		try(center + half)
		try(center - half)
	}
	return nineDigits(at(best)), least
}

func (r *ridge) len() int { return r.Records }

// leaveOut stores mean and variance of the function at the records in group as
// if they had not been seen, with the same encoding, penalty and σ²: see
// decomposition. The covariance of what is predicted is σ² H (I - H)⁻¹ = σ² ((I - H)⁻¹ - I),
// in units of 1/√w.
func (r *ridge) leaveOut(group []int, mean, variance []float64) error {
	if r.parts == nil {
		return errNoRecords
	}
	residual, inverse, err := r.parts.leaveOut(r.Penalty, group)
	if err != nil {
		return err
	}
	for i, g := range group {
		w := r.parts.w[g]
		mean[i] = r.parts.origin + (r.parts.y[g]-residual.AtVec(i))/math.Sqrt(w)
		variance[i] = r.Variance * max(0, inverse.At(i, i)-1) / w
	}
	return nil
}

// ridgeSession is a ridge with the memory of one caller, who asks about one task.
type ridgeSession struct {
	*ridge
	task int
	x    []float64 // chunk x encoded inputs and constant
	t    []float64 // chunk x directions
}

func (r *ridge) session(task int) session { return &ridgeSession{ridge: r, task: task} }

func (s *ridgeSession) predict(mean, variance []float64, x blas64.General) {
	inChunks(x, func(from, to int, x blas64.General) { s.predictChunk(mean[from:to], variance[from:to], x) })
}

func (s *ridgeSession) predictChunk(mean, variance []float64, x blas64.General) {
	p, m := s.Encoding.size(), len(s.Shrinkage)
	s.x, s.t = grow(s.x, chunk*(p+1)), grow(s.t, chunk*m)
	for i := range mean {
		row := s.x[i*(p+1) : (i+1)*(p+1)]
		s.Encoding.put(row, x.Data[i*x.Stride:i*x.Stride+x.Cols], s.task)
		row[p] = 1
		mean[i] = blas64.Dot(vector(row), vector(s.Coefficients))
		blas64.Axpy(-1, vector(s.Mean), vector(row[:p]))
	}
	t := general(s.t, x.Rows, m)
	multiply(1, blas64.General{Rows: x.Rows, Cols: p, Stride: p + 1, Data: s.x}, s.directions.RawMatrix(), 0, t)
	for i := range mean {
		row := vector(s.x[i*(p+1) : i*(p+1)+p])
		rest, sum := blas64.Dot(row, row), 1/s.Total
		for k, v := range t.Data[i*m : i*m+m] {
			sum += v * v * s.Shrinkage[k]
			rest -= v * v
		}
		if m < p {
			sum += max(0, rest) / s.Penalty
		}
		variance[i] = s.Variance * sum
	}
}

func (r *ridge) state() modelState { return modelState{Kind: Ridge, Ridge: &r.ridgeState} }

// newRidge returns the ridge of a state, which may be anybody's.
func newRidge(state ridgeState) (*ridge, error) {
	p, m := state.Encoding.size(), len(state.Shrinkage)
	ok := state.Encoding.valid() && state.Records > 0 && len(state.Coefficients) == p+1 && len(state.Mean) == p &&
		m > 0 && m <= p && len(state.Directions) == m*p &&
		moderate(state.Coefficients, state.Mean, state.Directions, state.Shrinkage) &&
		moderate([]float64{state.Variance, state.Penalty, state.Total}) &&
		state.Variance >= 0 && state.Penalty > 1/largest && state.Total > 1/largest
	for _, v := range state.Shrinkage {
		ok = ok && v >= 0
	}
	if !ok {
		return nil, errDamaged
	}
	r := &ridge{ridgeState: state}
	r.expand()
	return r, nil
}

// expand makes the matrix of the directions.
func (r *ridge) expand() {
	p, m := r.Encoding.size(), len(r.Shrinkage)
	r.directions = mat.DenseCopyOf(mat.NewDense(m, p, r.Directions).T())
}
