package predictor

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// hyper is what a Gaussian process assumes before it sees any target: how
// targets vary together. Every field but Length is a standard deviation in units of the
// target (the natural logarithm of the error), so 0.1 is about 10 % of the
// error; Widening is a factor.
//
// With z the standardised inputs, t the task (the recipe), and M the Matern
// function with ν = 5/2 (Rasmussen and Williams 2006, equation 4.17, with one
// length scale an input as in section 5.1), the covariance of two targets is
//
//	Level² + Slope² Σ z z' + Signal² M(z, z')     what all tasks share
//	+ [t = t'] (TaskLevel² + TaskSignal² M(z, z')) what a task has of its own
//	+ [same record] Noise²
//
// where Σ runs over the inputs with a linear trend.
type hyper struct {
	Level      float64   `json:"level"` // fixed: wide enough for any data set
	Slope      float64   `json:"slope"`
	Signal     float64   `json:"signal"`
	TaskLevel  float64   `json:"task_level"`
	TaskSignal float64   `json:"task_signal"`
	Noise      float64   `json:"noise"`
	Widening   float64   `json:"widening"` // what the variance of predictions, Noise apart, is multiplied by
	Length     []float64 `json:"length"`   // of each input, in standard deviations of the input
}

// valid reports whether a Gaussian process with n inputs can be built on h.
func (h *hyper) valid(inputs int) bool {
	ok := len(h.Length) == inputs
	positive := func(v float64) { ok = ok && v > 0 && v < 1e6 }
	positive(h.Noise)
	positive(h.Widening)
	for _, v := range h.Length {
		positive(v)
	}
	for _, v := range []float64{h.Level, h.Slope, h.Signal, h.TaskLevel, h.TaskSignal} {
		ok = ok && v >= 0 && v < 1e6
	}
	return ok
}

// matern returns M for the scaled distance r √5, and e^-r.
func matern(r float64) (m, e float64) {
	e = math.Exp(-r)
	return (1 + r + r*r/3) * e, e
}

// A sample is what a Gaussian process learns from.
type sample struct {
	z      *mat.Dense // a row of standardised inputs each
	trend  []int      // the inputs with a linear trend
	task   []int      // of each row
	target []float64
}

func (s *sample) len() int { return len(s.target) }

func (s *sample) inputs() int { return s.z.RawMatrix().Cols }

// covariance returns the covariance matrix of the sample's targets under h.
func (s *sample) covariance(h *hyper) *mat.SymDense {
	n := s.len()
	k := mat.NewSymDense(n, nil)
	s.pairs(h, func(i, j int, m, _, linear float64) {
		v := h.Level*h.Level + h.Slope*h.Slope*linear + h.Signal*h.Signal*m
		if s.task[i] == s.task[j] {
			v += h.TaskLevel*h.TaskLevel + h.TaskSignal*h.TaskSignal*m
		}
		if i == j {
			v += h.Noise * h.Noise
		}
		k.SetSym(i, j, v)
	})
	return k
}

// pairs calls f for all i <= j with the Matern function m, its derivative by
// the logarithm of a length scale over that input's squared scaled difference,
// and the sum over the trend's inputs.
func (s *sample) pairs(h *hyper, f func(i, j int, m, slope, linear float64)) {
	n, d := s.z.Dims()
	scaled := mat.NewDense(n, d, nil)
	for i := range n {
		for c := range d {
			scaled.Set(i, c, s.z.At(i, c)/h.Length[c])
		}
	}
	for i := range n {
		a, zi := scaled.RawRowView(i), s.z.RawRowView(i)
		for j := i; j < n; j++ {
			b, zj := scaled.RawRowView(j), s.z.RawRowView(j)
			var squared, linear float64
			for c, v := range a {
				squared += (v - b[c]) * (v - b[c])
			}
			for _, c := range s.trend {
				linear += zi[c] * zj[c]
			}
			r := math.Sqrt(5 * squared)
			m, e := matern(r)
			f(i, j, m, 5./3*(1+r)*e, linear)
		}
	}
}

// gradient returns the derivatives of a function of the covariance matrix by
// the logarithms of Slope, Signal, TaskLevel, TaskSignal, Noise and Length, in
// this order, given its derivatives g by the matrix's elements (symmetric).
func (s *sample) gradient(h *hyper, g *mat.SymDense) []float64 {
	n, d := s.z.Dims()
	grad := make([]float64, 5+d)
	by := grad[5:]
	weight := mat.NewSymDense(n, nil)
	s.pairs(h, func(i, j int, m, slope, linear float64) {
		w := 2 * g.At(i, j) // (i, j) and (j, i)
		if i == j {
			w /= 2
			grad[4] += w
		}
		grad[0] += w * linear
		grad[1] += w * m
		amplitude := h.Signal * h.Signal
		if s.task[i] == s.task[j] {
			grad[2] += w
			grad[3] += w * m
			amplitude += h.TaskSignal * h.TaskSignal
		}
		weight.SetSym(i, j, g.At(i, j)*amplitude*slope)
	})
	for i, v := range []float64{h.Slope, h.Signal, h.TaskLevel, h.TaskSignal, h.Noise} {
		grad[i] *= 2 * v * v
	}
	// Σij wij (zi - zj)² = 2 Σi zi² Σj wij - 2 zᵀ w z, for every input.
	var wz mat.Dense
	wz.Mul(weight, s.z)
	for i := range n {
		var sum float64
		for j := range n {
			sum += weight.At(i, j)
		}
		for c := range d {
			z := s.z.At(i, c)
			by[c] += 2 * z * (z*sum - wz.At(i, c))
		}
	}
	for c := range d {
		by[c] /= h.Length[c] * h.Length[c]
	}
	return grad
}
