package predictor

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// A standard makes inputs comparable: over the rows that it was made from,
// each has mean 0 and standard deviation 1. Only mixedInput is as it is, since
// most records are of networks that do not mix.
type standard struct{ center, scale []float64 }

func newStandard(x *mat.Dense, columns []column) standard {
	n, d := x.Dims()
	s := standard{make([]float64, d), make([]float64, d)}
	for i := range n {
		for c, v := range x.RawRowView(i) {
			s.center[c] += v / float64(n)
		}
	}
	for c := range d {
		if columns[c].mixed {
			s.center[c], s.scale[c] = 0, 1
			continue
		}
		var squares float64
		for i := range n {
			squares += (x.At(i, c) - s.center[c]) * (x.At(i, c) - s.center[c])
		}
		s.scale[c] = math.Sqrt(squares / float64(n))
		if s.scale[c] < 1e-9 { // the same in all rows
			s.scale[c] = 1
		}
	}
	return s
}

// apply standardises one row.
func (s *standard) apply(row []float64) {
	for c := range row {
		row[c] = (row[c] - s.center[c]) / s.scale[c]
	}
}

// standardised returns the sample with inputs standardised over its measured
// rows, which decide about length scales, and how to standardise others alike.
//
// Records that [LeaveOut] holds out have their share in that. It tells nothing:
// it takes no accuracies.
func (s *sample) standardised() (sample, standard) {
	measured := s.measured()
	out, by := *s, newStandard(measured.z, s.columns)
	out.z = mat.DenseCopyOf(s.z)
	for i := range out.len() {
		by.apply(out.z.RawRowView(i))
	}
	return out, by
}
