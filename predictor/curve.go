package predictor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
)

// A CurvePoint is how well predictors rank networks that learnt from so many
// records.
type CurvePoint struct {
	Records   int     // repeated ones count as one
	Kendall   float64 // Kendall's tau: mean of the draws
	Low, High float64 // the least and the greatest of the draws

	// Draws are the taus of the draws, which at all points are in the same order
	// and assessed on the same records: to compare two points, compare these.
	Draws []float64
}

// CurveSettings say how [LearningCurve] works. The zero value is ready for use.
type CurveSettings struct {
	// Draws is how often records are drawn, by default 10, and 5 of more than 400
	// records.
	Draws int
	// Most is how many records a predictor learns from at most, by default 1,000.
	Most int
	// Progress is called, if it is not nil, after each training, by one goroutine
	// at a time.
	Progress func(done, total int)
}

const (
	curvePoints  = 4   // at most; each is for twice the records of the one before, but maybe the second
	leastCurve   = 14  // records that have a curve: to learn from MinRecords, and to assess the rest
	mostAssessed = 500 // records of a draw
	fewForCurve  = 400 // records up to which more draws are due
	maxDraws     = 1000
)

// LearningCurve says how many records a predictor needs: it trains on some of
// them, drawn at random, and ranks others, for four or fewer numbers up to three
// quarters of the records or settings.Most. A point of the curve has about twice
// the records of the one before, where they suffice.
//
// In each draw the records of a point are among those of the next, and those
// assessed are the same for all points, no network of which is learnt from, and
// whose recipes occur among the records of the first point. So the points can be compared; the
// taus themselves are of fewer records and recipes than those of [Validate]. All
// points learn from all derived records, but of networks that are assessed.
//
// Only the mean of a model is trained, since nothing else ranks. The curve of
// Auto is that of GP. There are no points if there are fewer than 14 different
// records. The same records, options and settings give the same curve; it ends early
// when ctx does, with its error.
func LearningCurve(ctx context.Context, records []Record, o Options, s CurveSettings) ([]CurvePoint, error) {
	if o.Model == "" || o.Model == Auto {
		o.Model = GP
	}
	if !slices.Contains(Models(), o.Model) {
		return nil, o.Model.unknown()
	}
	p, rowOf, _, err := prepare(records, o)
	if err != nil {
		return nil, err
	}
	all := p.sample(p.family)
	known := all.measured()
	n := known.len()
	if s.Most == 0 {
		s.Most = 1000
	}
	if s.Draws == 0 {
		s.Draws = 10
		if n > fewForCurve {
			s.Draws = 5
		}
	}
	if s.Draws < 1 || s.Draws > maxDraws {
		return nil, fmt.Errorf("predictor: the draws must be from 1 to %d, found %d", maxDraws, s.Draws)
	}
	sizes := curveSizes(n, s.Most)
	if len(sizes) == 0 {
		return nil, nil
	}
	networks := rowsOfNetworks(records, rowOf, len(p.rows))
	tau := make([][]float64, len(sizes)) // by size and draw
	for k := range tau {
		tau[k] = make([]float64, s.Draws)
	}
	draws := make([]curveDraw, s.Draws)
	for d := range draws {
		draws[d] = all.drawCurve(networks, sizes, o.Seed, uint64(d))
	}
	err = inContext(ctx, len(sizes)*s.Draws, s.Progress, func(i int) error {
		k, d := len(sizes)-1-i/s.Draws, i%s.Draws // the longest first
		m, err := trainBare(o.Model, all.rows(draws[d].first(sizes[k])), o.Seed)
		if err != nil {
			return fmt.Errorf("learning from %d records: %w", sizes[k], err)
		}
		tau[k][d] = all.rank(m, draws[d].assessed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	points := make([]CurvePoint, len(sizes))
	for k, size := range sizes {
		c := CurvePoint{Records: size, Draws: tau[k], Low: slices.Min(tau[k]), High: slices.Max(tau[k])}
		for _, v := range tau[k] {
			c.Kendall += v / float64(s.Draws)
		}
		points[k] = c
	}
	return points, nil
}

// curveSizes returns how many of n records to learn from, ascending.
func curveSizes(n, most int) []int {
	if n < leastCurve {
		return nil
	}
	top := min(n*3/4, most)
	var sizes []int
	for k := range curvePoints {
		size := roundDown(top >> k)
		if size < MinRecords {
			if k > 0 && sizes[k-1] >= MinRecords*5/4 {
				sizes = append(sizes, MinRecords)
			}
			break
		}
		sizes = append(sizes, size)
	}
	slices.Reverse(sizes)
	return sizes
}

// roundDown returns a number that is easy to read.
func roundDown(n int) int {
	step := 1
	for _, s := range []int{5, 10, 50, 100} {
		if n >= 20*s-50 && n >= 50 {
			step = s
		}
	}
	return n / step * step
}

// rowsOfNetworks returns the rows of each network.
func rowsOfNetworks(records []Record, rowOf []int, rows int) [][]int {
	first := make([]Record, rows) // of each row
	for i := range records {
		if first[rowOf[i]].Network == nil {
			first[rowOf[i]] = records[i]
		}
	}
	return drawnTogether(first, EachNetwork)
}

// A curveDraw is what predictors learn from, the first so many rows of a list
// and all derived ones, and what they rank.
type curveDraw struct{ learnt, derived, assessed []int }

// first returns the rows of the point with n measured ones, in ascending order.
func (c *curveDraw) first(n int) []int {
	rows := slices.Concat(c.learnt[:n], c.derived)
	slices.Sort(rows)
	return rows
}

func (s *sample) drawCurve(networks [][]int, sizes []int, seed, draw uint64) curveDraw {
	var c curveDraw
	most := sizes[len(sizes)-1]
	var rest []int
	for _, n := range rand.New(rand.NewPCG(seed, 2<<32+draw)).Perm(len(networks)) {
		of := s.split(networks[n])
		switch {
		case len(of.learnt) == 0:
			c.derived = append(c.derived, of.derived...)
		case len(c.learnt) < most:
			c.learnt, c.derived = append(c.learnt, of.learnt...), append(c.derived, of.derived...)
		default:
			rest = append(rest, of.learnt...)
		}
	}
	known := make(map[int]bool)
	for _, r := range c.learnt[:sizes[0]] {
		known[s.task[r]] = true
	}
	for _, r := range rest {
		if known[s.task[r]] && len(c.assessed) < mostAssessed {
			c.assessed = append(c.assessed, r)
		}
	}
	return c
}

// split parts rows into those that were measured and those that were not.
func (s *sample) split(rows []int) (c curveDraw) {
	for _, r := range rows {
		if s.derived[r] {
			c.derived = append(c.derived, r)
		} else {
			c.learnt = append(c.learnt, r)
		}
	}
	return c
}

// rank returns Kendall's tau of the model's predictions of the rows, 0 if it ranks
// nothing.
func (s *sample) rank(m model, rows []int) float64 {
	assessed := s.rows(rows)
	return orZero(KendallTau(predictTasks(m, assessed), assessed.target))
}

// predictTasks predicts the target of each row of the sample, for its task.
func predictTasks(m model, s sample) (mean []float64) {
	mean = make([]float64, s.len())
	of := make(map[int][]int) // rows by task
	for i, t := range s.task {
		of[t] = append(of[t], i)
	}
	d := s.inputs()
	for task, rows := range of {
		x := make([]float64, 0, len(rows)*d)
		for _, r := range rows {
			x = append(x, s.z.RawRowView(r)...)
		}
		out, variance := make([]float64, len(rows)), make([]float64, len(rows))
		m.session(task).predict(out, variance, blas64.General{Rows: len(rows), Cols: d, Stride: d, Data: x})
		for i, r := range rows {
			mean[r] = out[i]
		}
	}
	return mean
}
