package predictor

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// hyper is what a Gaussian process assumes before it sees any target: how
// targets vary together. Levels, slopes, signals and the noise are standard deviations in
// units of the target (the natural logarithm of the error), so 0.1 is about 10 %
// of the error; TaskLength and Widening are factors.
//
// With z the standardised inputs, t the task (the recipe), and M the Matern
// function with ν = 5/2 (Rasmussen and Williams 2006, equation 4.17, with
// length scales as in section 5.1), the covariance of two targets is
//
//	Level² + Σ Slope² z z' + Signal² M(z, z')                   what all tasks share
//	+ [t = t'] (TaskLevel² + TaskSignal² M(z, z' / TaskLength)) what a task has of its own
//	+ [same record] Noise²
//
// where Σ runs over the inputs with a linear trend, whose slopes share a
// variance by kind of input, and M divides differences by the length scale of
// the input. The options of one gene share a length scale, so that to M they are
// at the same distance from each other: M is then a function of a weighted Hamming distance.
type hyper struct {
	Level      float64   `json:"level"` // fixed: wide enough for any data set
	Signal     float64   `json:"signal"`
	TaskLevel  float64   `json:"task_level"`
	TaskSignal float64   `json:"task_signal"`
	TaskLength float64   `json:"task_length"` // what a task has of its own varies over so many length scales
	Noise      float64   `json:"noise"`
	Widening   float64   `json:"widening"` // what the variance of predictions, Noise apart, is multiplied by
	Slope      []float64 `json:"slope"`    // by column.slope
	Length     []float64 `json:"length"`   // by column.length, in standard deviations of the inputs
}

// valid reports whether a Gaussian process can be built on h with the given
// inputs.
func (h *hyper) valid(columns []column) bool {
	lengths, slopes := hypersOf(columns)
	ok := len(h.Length) == lengths && len(h.Slope) == slopes
	positive := func(v float64) { ok = ok && v > 0 && v < 1e6 }
	positive(h.Noise)
	positive(h.Widening)
	positive(h.TaskLength)
	for _, v := range h.Length {
		positive(v)
	}
	for _, v := range append([]float64{h.Level, h.Signal, h.TaskLevel, h.TaskSignal}, h.Slope...) {
		ok = ok && v >= 0 && v < 1e6
	}
	return ok
}

// A column says how a process uses an input: the indices of its length scale
// and of the standard deviation of its slope, of which several inputs may share
// one; -1 for none.
type column struct {
	length, slope int
	mixed         bool // it is mixedInput
}

// hypersOf returns how many length scales and slopes the columns have.
func hypersOf(columns []column) (lengths, slopes int) {
	for _, c := range columns {
		lengths, slopes = max(lengths, c.length+1), max(slopes, c.slope+1)
	}
	return lengths, slopes
}

// matern returns M for the scaled distance r √5, and e^-r.
func matern(r float64) (m, e float64) {
	e = math.Exp(-r)
	return (1 + r + r*r/3) * e, e
}

// A sample is what a model learns from.
type sample struct {
	z       *mat.Dense // a row of inputs each
	columns []column
	task    []int // of each row
	family  []int // of each row: networks unlike those of other families; nil if nothing is to be trained
	target  []float64
	derived []bool  // of each row: it was not measured
	origin  float64 // what was taken off the targets to make their mean 0
	// noise is the variance of each target as repeated measurements tell it: of
	// the mean of several, or of one; 0 where nothing was repeated. single is
	// that of one measurement. A process adds noise of its own.
	noise  []float64
	single float64
}

func (s *sample) len() int { return len(s.target) }

func (s *sample) inputs() int { return len(s.columns) }

// rows returns the sample of some of the rows.
func (s *sample) rows(which []int) sample {
	out := sample{z: mat.NewDense(max(1, len(which)), s.inputs(), nil), columns: s.columns, origin: s.origin, single: s.single}
	for i, r := range which {
		out.z.SetRow(i, s.z.RawRowView(r))
		out.task, out.target = append(out.task, s.task[r]), append(out.target, s.target[r])
		out.noise, out.derived = append(out.noise, s.noise[r]), append(out.derived, s.derived[r])
		if s.family != nil {
			out.family = append(out.family, s.family[r])
		}
	}
	return out
}

// measured returns the sample of the rows that were measured.
func (s *sample) measured() sample {
	if !slices.Contains(s.derived, true) {
		return *s
	}
	return s.rows(s.measuredRows())
}

// measuredRows returns the numbers of the rows that were measured.
func (s *sample) measuredRows() []int {
	var which []int
	for i, derived := range s.derived {
		if !derived {
			which = append(which, i)
		}
	}
	return which
}

// families returns the rows of each family, in the order of their first rows.
func (s *sample) families() [][]int {
	var groups [][]int
	index := make(map[int]int)
	for i, f := range s.family {
		at, ok := index[f]
		if !ok {
			at = len(groups)
			index[f] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// variance returns what the target of record i varies by on its own.
func (h *hyper) variance(s *sample, i int) float64 { return h.Noise*h.Noise + s.noise[i] }

// A design is a sample's inputs as the kernel needs them, under one h.
type design struct {
	scaled *mat.Dense // divided by length/√5
	norms  []float64  // squared, of its rows
	linear *mat.Dense // times slope
}

func newDesign(h *hyper, columns []column, z *mat.Dense) design {
	n, d := z.Dims()
	x := design{mat.NewDense(n, d, nil), make([]float64, n), mat.NewDense(n, d, nil)}
	for i := range n {
		x.norms[i] = h.scale(columns, z.RawRowView(i), x.scaled.RawRowView(i), x.linear.RawRowView(i))
	}
	return x
}

// scale stores what a design holds of a row, and returns its squared norm.
func (h *hyper) scale(columns []column, z, scaled, linear []float64) (norm float64) {
	for c, k := range columns {
		v := 0.
		if k.length >= 0 {
			v = z[c] * math.Sqrt(5) / h.Length[k.length]
		}
		scaled[c], linear[c] = v, 0
		norm += v * v
		if k.slope >= 0 {
			linear[c] = z[c] * h.Slope[k.slope]
		}
	}
	return norm
}

// covariance returns the covariance matrix of the sample's targets under h.
func (s *sample) covariance(h *hyper) *mat.SymDense {
	n := s.len()
	x := newDesign(h, s.columns, s.z)
	var inner, k mat.SymDense
	inner.SymOuterK(1, x.scaled)
	k.SymOuterK(1, x.linear)
	level, signal := h.Level*h.Level, h.Signal*h.Signal
	taskLevel, taskSignal := h.TaskLevel*h.TaskLevel, h.TaskSignal*h.TaskSignal
	for i := range n {
		row, product := k.RawSymmetric().Data[i*n:i*n+n], inner.RawSymmetric().Data[i*n:i*n+n]
		for j := i; j < n; j++ {
			r := math.Sqrt(max(0, x.norms[i]+x.norms[j]-2*product[j]))
			m, _ := matern(r)
			v := level + signal*m
			if s.task[i] == s.task[j] {
				own, _ := matern(r / h.TaskLength)
				v += taskLevel + taskSignal*own
			}
			row[j] += v
		}
		row[i] += h.variance(s, i)
	}
	return &k
}

// gradient returns the derivatives of a function of the covariance matrix by
// the logarithms of the hyper-parameters, in the order of hyperAt,
// given its derivatives g by the matrix's elements (symmetric).
func (s *sample) gradient(h *hyper, g *mat.SymDense) []float64 {
	n := s.len()
	lengths, slopes := hypersOf(s.columns)
	grad := make([]float64, fixedHypers+slopes+lengths)
	bySlope, byLength := grad[fixedHypers:fixedHypers+slopes], grad[fixedHypers+slopes:]
	x := newDesign(h, s.columns, s.z)
	var inner mat.SymDense
	inner.SymOuterK(1, x.scaled)
	weight := mat.NewSymDense(n, nil) // of the squared differences of scaled inputs
	signal, taskSignal := h.Signal*h.Signal, h.TaskSignal*h.TaskSignal
	for i := range n {
		row, product := g.RawSymmetric().Data[i*n:i*n+n], inner.RawSymmetric().Data[i*n:i*n+n]
		by := weight.RawSymmetric().Data[i*n : i*n+n]
		for j := i; j < n; j++ {
			w := 2 * row[j] // (i, j) and (j, i)
			if i == j {
				w /= 2
				grad[4] += w
			}
			r := math.Sqrt(max(0, x.norms[i]+x.norms[j]-2*product[j]))
			m, e := matern(r)
			grad[0] += w * m
			slope := signal * (1 + r) * e // dM/dr = -r/3 (1+r) e^-r
			if s.task[i] == s.task[j] {
				t := r / h.TaskLength
				m, e := matern(t)
				grad[1] += w
				grad[2] += w * m
				grad[3] += w * taskSignal * t * t / 3 * (1 + t) * e
				slope += taskSignal * (1 + t) * e / (h.TaskLength * h.TaskLength)
			}
			by[j] = row[j] * slope / 3
		}
	}
	for i, v := range []float64{h.Signal, h.TaskLevel, h.TaskSignal, 0, h.Noise} {
		if i != 3 {
			grad[i] *= 2 * v * v
		}
	}
	// Σij wij (xi - xj)² = 2 Σi xi² Σj wij - 2 xᵀ w x, for every input.
	var wx, gz mat.Dense
	wx.Mul(weight, x.scaled)
	gz.Mul(g, x.linear)
	for i := range n {
		var sum float64
		for j := range n {
			sum += weight.At(i, j)
		}
		scaled, linear := x.scaled.RawRowView(i), x.linear.RawRowView(i)
		for c, k := range s.columns {
			v := scaled[c]
			if k.length >= 0 {
				byLength[k.length] += 2 * v * (v*sum - wx.At(i, c))
			}
			if k.slope >= 0 {
				bySlope[k.slope] += 2 * linear[c] * gz.At(i, c)
			}
		}
	}
	return grad
}
