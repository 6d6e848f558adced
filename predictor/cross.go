package predictor

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// rows are inputs that the covariance with others is wanted of, as columns of
// matrices.
type rows struct {
	hyper   *hyper
	columns []column
	trend   []int // the columns with a slope
	task    []int

	scaled, linear *mat.Dense // as in design, the latter of the trend's columns alone
	norms          []float64
}

func newRows(h *hyper, s *sample) rows {
	n, d := s.z.Dims()
	r := rows{hyper: h, columns: s.columns, task: s.task}
	for c, k := range s.columns {
		if k.slope >= 0 {
			r.trend = append(r.trend, c)
		}
	}
	x := newDesign(h, s.columns, s.z)
	r.norms = x.norms
	r.scaled, r.linear = mat.NewDense(d, n, nil), mat.NewDense(max(1, len(r.trend)), n, nil)
	r.scaled.Copy(x.scaled.T())
	for i, c := range r.trend {
		for j := range n {
			r.linear.Set(i, j, x.linear.At(j, c))
		}
	}
	return r
}

// chunk is how many candidates are predicted at a time: as many as keep the
// matrices in the cache, and gonum from starting goroutines of its own.
const chunk = 64

// crosser computes covariances of candidates of one task with rows, with the
// memory of one caller.
type crosser struct {
	rows *rows
	by   *standard // of the candidates' inputs; nil if they are standardised
	task int

	z, scaled, linear, trend []float64
	norms                    [chunk]float64
	own                      [chunk]float64 // variance of each candidate's target, without noise
	k                        []float64      // chunk x rows
}

func general(data []float64, rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// cross returns the covariances of at most chunk candidates, a row each. It is
// valid until the next call.
func (s *crosser) cross(x blas64.General) blas64.General {
	r, h := s.rows, s.rows.hyper
	d, n, t := len(r.columns), len(r.norms), len(r.trend)
	s.scaled, s.linear = grow(s.scaled, chunk*d), grow(s.linear, d)
	s.trend, s.k = grow(s.trend, chunk*max(1, t)), grow(s.k, chunk*n)
	level := h.Level*h.Level + h.TaskLevel*h.TaskLevel
	for i := range x.Rows {
		s.z = append(s.z[:0], x.Data[i*x.Stride:i*x.Stride+d]...)
		if s.by != nil {
			s.by.apply(s.z)
		}
		s.norms[i] = h.scale(r.columns, s.z, s.scaled[i*d:i*d+d], s.linear)
		s.own[i] = level + h.Signal*h.Signal + h.TaskSignal*h.TaskSignal
		for c, from := range r.trend {
			v := s.linear[from]
			s.trend[i*t+c] = v
			s.own[i] += v * v
		}
	}
	k := general(s.k, x.Rows, n)
	multiply(-2, general(s.scaled, x.Rows, d), r.scaled.RawMatrix(), 0, k)
	base, signal, own := h.Level*h.Level, h.Signal*h.Signal, h.TaskSignal*h.TaskSignal
	for i := range x.Rows {
		row := k.Data[i*n : i*n+n]
		for j, v := range row {
			distance := math.Sqrt(max(0, v+s.norms[i]+r.norms[j]))
			m, _ := matern(distance)
			row[j] = base + signal*m
			if r.task[j] == s.task {
				m, _ := matern(distance / h.TaskLength)
				row[j] += h.TaskLevel*h.TaskLevel + own*m
			}
		}
	}
	if t > 0 {
		multiply(1, general(s.trend, x.Rows, t), r.linear.RawMatrix(), 1, k)
	}
	return k
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

// subtractSquares takes the squared norms of the rows of k U off variance,
// where U is upper triangular: by blocks of columns, below which U is zero.
func subtractSquares(variance []float64, k, upper blas64.General, memory []float64, sign float64) {
	for from := 0; from < upper.Cols; from += chunk {
		to := min(from+chunk, upper.Cols)
		v := general(memory, k.Rows, to-from)
		multiply(1, blas64.General{Rows: k.Rows, Cols: to, Stride: k.Stride, Data: k.Data},
			blas64.General{Rows: to, Cols: to - from, Stride: upper.Stride, Data: upper.Data[from:]}, 0, v)
		for i := range k.Rows {
			for _, x := range v.Data[i*v.Stride : i*v.Stride+v.Cols] {
				variance[i] -= sign * x * x
			}
		}
	}
}
