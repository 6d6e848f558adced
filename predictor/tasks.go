package predictor

import (
	"math"
	"strconv"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// An encoding makes of a record's inputs and task the row that linear models and
// neural networks learn from: the inputs standardised, then an input for each
// task, 1 for the record's own and 0 for the others, less its share of the
// records. So an unknown task, zero in all of them, is the average of the
// known ones. A single task tells nothing and has no input.
type encoding struct {
	Center []float64 `json:"center"`
	Scale  []float64 `json:"scale"`
	Share  []float64 `json:"share,omitempty"` // of the records, by task
}

func newEncoding(s sample) encoding {
	by := newStandard(s.z, s.columns)
	return encoding{Center: by.center, Scale: by.scale, Share: shares(s.task)}
}

// shares returns the share of the records that each task has, nil if they are all of one.
func shares(task []int) []float64 {
	most, same := 0, true
	for _, t := range task {
		most, same = max(most, t), same && t == task[0]
	}
	if same {
		return nil
	}
	share := make([]float64, most+1)
	for _, t := range task {
		share[t] += 1 / float64(len(task))
	}
	return share
}

// size returns how many inputs an encoded record has.
func (e *encoding) size() int { return len(e.Center) + len(e.Share) }

// put stores the encoded row in out.
func (e *encoding) put(out, row []float64, task int) {
	for c, v := range row[:len(e.Center)] {
		out[c] = (v - e.Center[c]) / e.Scale[c]
	}
	known := e.knows(task)
	for t, share := range e.Share {
		v := 0.
		if known {
			v = -share
			if t == task {
				v++
			}
		}
		out[len(e.Center)+t] = v
	}
}

// knows reports whether a record has the task.
func (e *encoding) knows(task int) bool {
	return task >= 0 && task < len(e.Share) && e.Share[task] > 0
}

// rows returns the encoded sample, with a column of ones behind if so asked.
func (e *encoding) rows(s sample, ones bool) *mat.Dense {
	p := e.size()
	if ones {
		p++
	}
	x := mat.NewDense(s.len(), p, nil)
	for i := range s.len() {
		row := x.RawRowView(i)
		e.put(row, s.z.RawRowView(i), s.task[i])
		if ones {
			row[p-1] = 1
		}
	}
	return x
}

// valid reports whether an encoding from a file can be used.
func (e *encoding) valid() bool {
	ok := len(e.Center) > 0 && len(e.Center) == len(e.Scale) && moderate(e.Center, e.Scale)
	for _, v := range e.Scale {
		ok = ok && v > 1/largest
	}
	sum := 0.
	for _, v := range e.Share {
		sum += v
		ok = ok && v >= 0
	}
	return ok && (len(e.Share) == 0 || math.Abs(sum-1) < 1e-6)
}

// largest is the size of number that no model has. A model of smaller ones
// predicts finite numbers.
const largest = 1e30

// moderate reports whether all numbers are finite and not beyond reason.
func moderate(lists ...[]float64) bool {
	for _, list := range lists {
		for _, v := range list {
			if !(math.Abs(v) < largest) {
				return false
			}
		}
	}
	return true
}

// nineDigits keeps nine significant digits, which makes files smaller by a third.
// A model rounds before it is used, so that the one loaded is the one saved.
func nineDigits(v float64) float64 {
	var buffer [32]byte
	r, err := strconv.ParseFloat(string(strconv.AppendFloat(buffer[:0], v, 'e', 8, 64)), 64)
	if err != nil {
		return v
	}
	return r
}

func roundAll(v []float64) {
	for i := range v {
		v[i] = nineDigits(v[i])
	}
}

// meanNoise returns the mean of the known variances of the targets.
func (s *sample) meanNoise() (mean float64) {
	for _, v := range s.noise {
		mean += v / float64(s.len())
	}
	return mean
}

// weights returns how much each record counts in a sum of squares: its
// precision, in units of that of a record without known noise, which a model
// misses by a variance of misfit.
func (s *sample) weights(misfit float64) []float64 {
	w := make([]float64, s.len())
	for i, v := range s.noise {
		w[i] = misfit / (misfit + v)
	}
	return w
}

func vector(v []float64) blas64.Vector { return blas64.Vector{N: len(v), Inc: 1, Data: v} }
