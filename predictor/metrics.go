package predictor

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/efficientnas/nas/cost"
)

// Quality says how good predictions were.
type Quality struct {
	N          int     // predictions
	RMSE       float64 // root mean square error, in fractions of 1 as accuracy is
	MAE        float64 // mean absolute error, likewise
	Kendall    float64 // rank correlation, -1 to 1: see [KendallTau]
	Spearman   float64 // rank correlation, -1 to 1: see [Spearman]
	Coverage50 float64 // share of measured accuracies within the 50 % interval
	Coverage90 float64 // share within the 90 % interval
}

// String returns the quality in words, errors in points of accuracy.
func (q Quality) String() string {
	return fmt.Sprintf("RMSE %.2f, MAE %.2f points; Kendall %.3f, Spearman %.3f; 50 %% intervals cover %.0f %%, 90 %% intervals %.0f %% of %d",
		100*q.RMSE, 100*q.MAE, q.Kendall, q.Spearman, 100*q.Coverage50, 100*q.Coverage90, q.N)
}

// Assess compares predictions with the accuracies of the records, which they
// are parallel to.
func Assess(predictions []Prediction, records []Record) (Quality, error) {
	if len(predictions) != len(records) {
		return Quality{}, fmt.Errorf("predictor: %d predictions for %d records", len(predictions), len(records))
	}
	q := Quality{N: len(records)}
	if q.N == 0 {
		return q, nil
	}
	predicted, measured := make([]float64, q.N), make([]float64, q.N)
	n := float64(q.N)
	for i, p := range predictions {
		accuracy := records[i].Accuracy
		predicted[i], measured[i] = p.Accuracy, accuracy
		d := p.Accuracy - accuracy
		q.RMSE += d * d / n
		q.MAE += math.Abs(d) / n
		if low, high := p.Interval(0.5); low <= accuracy && accuracy <= high {
			q.Coverage50 += 1 / n
		}
		if low, high := p.Interval(0.9); low <= accuracy && accuracy <= high {
			q.Coverage90 += 1 / n
		}
	}
	q.RMSE = math.Sqrt(q.RMSE)
	q.Kendall = KendallTau(predicted, measured)
	q.Spearman = Spearman(predicted, measured)
	return q, nil
}

// Baselines says how well costs alone rank the records: what a predictor has to
// beat. The figures are Kendall's tau of accuracy with the cost, which is NaN if
// all are equal.
type Baselines struct{ MACs, Params float64 }

// BaselinesOf returns the baselines of the records. It fails if a network cannot
// be built.
func BaselinesOf(records []Record) (Baselines, error) {
	macs, params, accuracy := make([]float64, len(records)), make([]float64, len(records)), make([]float64, len(records))
	for i := range records {
		c, err := cost.OfNetwork(records[i].Network)
		if err != nil {
			return Baselines{}, fmt.Errorf("predictor: record %d: %w", i+1, err)
		}
		macs[i], params[i], accuracy[i] = float64(c.MACs), float64(c.Params), records[i].Accuracy
	}
	return Baselines{KendallTau(macs, accuracy), KendallTau(params, accuracy)}, nil
}

// KendallTau returns Kendall's rank correlation of two lists of one length, in
// the form tau-b that allows for ties: with C and D the numbers of pairs that
// both lists order the same way and opposite ways,
//
//	(C - D) / sqrt((pairs - pairs tied in a) (pairs - pairs tied in b))
//
// It takes n log n steps (Knight 1966), and is NaN if a list has no two
// different values, or a NaN.
func KendallTau(a, b []float64) float64 {
	n := len(a)
	if n != len(b) || hasNaN(a) || hasNaN(b) {
		return math.NaN()
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(a[i], a[j]), cmp.Compare(b[i], b[j]))
	})
	pairs := func(n int) float64 { return float64(n) * float64(n-1) / 2 }
	// Pairs tied in a, and in both, are runs of the sorted list.
	var tiedA, tiedBoth float64
	runA, runBoth := 1, 1
	for k := 1; k <= n; k++ {
		sameA := k < n && a[order[k]] == a[order[k-1]]
		if sameA && b[order[k]] == b[order[k-1]] {
			runBoth++
		} else {
			tiedBoth += pairs(runBoth)
			runBoth = 1
		}
		if sameA {
			runA++
		} else {
			tiedA += pairs(runA)
			runA = 1
		}
	}
	values := make([]float64, n)
	for k, i := range order {
		values[k] = b[i]
	}
	discordant := inversions(values, make([]float64, n)) // sorts values
	var tiedB float64
	run := 1
	for k := 1; k <= n; k++ {
		if k < n && values[k] == values[k-1] {
			run++
		} else {
			tiedB += pairs(run)
			run = 1
		}
	}
	all := pairs(n)
	concordant := all - tiedA - tiedB + tiedBoth - discordant
	return (concordant - discordant) / math.Sqrt((all-tiedA)*(all-tiedB))
}

// inversions sorts v and returns how many pairs stood in the wrong order.
func inversions(v, buffer []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	half := len(v) / 2
	left, right := v[:half], v[half:]
	count := inversions(left, buffer[:half]) + inversions(right, buffer[half:])
	i, j := 0, 0
	for k := range buffer {
		if j == len(right) || i < len(left) && left[i] <= right[j] {
			buffer[k] = left[i]
			i++
		} else {
			buffer[k] = right[j]
			j++
			count += float64(len(left) - i)
		}
	}
	copy(v, buffer)
	return count
}

// Spearman returns Spearman's rank correlation of two lists of one length: the
// correlation of their ranks, where equal values share the mean of theirs. It
// is NaN if a list has no two different values, or a NaN.
func Spearman(a, b []float64) float64 {
	if len(a) != len(b) || hasNaN(a) || hasNaN(b) {
		return math.NaN()
	}
	ra, rb := ranks(a), ranks(b)
	mean := float64(len(a)-1) / 2
	var ab, aa, bb float64
	for i := range ra {
		da, db := ra[i]-mean, rb[i]-mean
		ab += da * db
		aa += da * da
		bb += db * db
	}
	return ab / math.Sqrt(aa*bb)
}

// ranks returns the rank of every value, from 0.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(v[i], v[j]) })
	r := make([]float64, len(v))
	for from := 0; from < len(v); {
		to := from
		for to < len(v) && v[order[to]] == v[order[from]] {
			to++
		}
		for k := from; k < to; k++ {
			r[order[k]] = float64(from+to-1) / 2
		}
		from = to
	}
	return r
}

func hasNaN(v []float64) bool { return slices.ContainsFunc(v, math.IsNaN) }
