package predictor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Quality says how good predictions were. The accuracies are those of records,
// each of which counts the same.
type Quality struct {
	N          int     // records
	RMSE       float64 // root mean square error, in fractions of 1 as accuracy is
	MAE        float64 // mean absolute error, likewise
	Kendall    float64 // rank correlation, -1 to 1: see [KendallTau]
	Spearman   float64 // rank correlation, -1 to 1: see [Spearman]
	Coverage50 float64 // share of measured accuracies within the 50 % interval
	Coverage90 float64 // share within the 90 % interval

	// LogLikelihood is the mean natural logarithm of the density that the
	// predictions have at the measured accuracies: the higher, the better. It
	// rewards a mean that is right and a deviation that is neither too small nor too
	// large. Halving all errors and deviations adds 0.69. An accuracy of 1 counts as
	// 0.9999.
	LogLikelihood float64
}

// figures returns all of q that has a spread.
func (q *Quality) figures() [7]*float64 {
	return [...]*float64{&q.RMSE, &q.MAE, &q.Kendall, &q.Spearman, &q.Coverage50, &q.Coverage90, &q.LogLikelihood}
}

// String returns the quality in words, errors in points of accuracy.
func (q Quality) String() string {
	return fmt.Sprintf("RMSE %.2f, MAE %.2f points; Kendall %.3f, Spearman %.3f; 50 %% intervals cover %.0f %%, 90 %% intervals %.0f %%; log likelihood %.2f; of %d",
		100*q.RMSE, 100*q.MAE, q.Kendall, q.Spearman, 100*q.Coverage50, 100*q.Coverage90, q.LogLikelihood, q.N)
}

// Assess compares predictions with the accuracies of the records, which they
// are parallel to. [Bootstrap] says, besides, how much of the quality is chance.
func Assess(predictions []Prediction, records []Record) (Quality, error) {
	s, err := newScores(predictions, records)
	if err != nil {
		return Quality{}, err
	}
	return s.quality(once(len(records))), nil
}

// scores are predictions compared with the accuracies of records, one by one, so
// that the quality of any selection of them is a matter of adding up.
type scores struct {
	each    []score
	ranking *ranking // of predictions and accuracies
}

// A score is what one record adds to the means that a [Quality] has.
type score struct{ square, absolute, in50, in90, logDensity float64 }

func newScores(predictions []Prediction, records []Record) (*scores, error) {
	predicted := make([]float64, len(predictions))
	for i := range predictions {
		predicted[i] = predictions[i].Accuracy
	}
	return newScoresBy(predicted, predictions, records)
}

// newScoresBy ranks the records by other values than the predicted accuracies.
func newScoresBy(rank []float64, predictions []Prediction, records []Record) (*scores, error) {
	if len(predictions) != len(records) {
		return nil, fmt.Errorf("predictor: %d predictions for %d records", len(predictions), len(records))
	}
	s := &scores{each: make([]score, len(records))}
	measured := make([]float64, len(records))
	for i, p := range predictions {
		accuracy := records[i].Accuracy
		measured[i] = accuracy
		d := p.Accuracy - accuracy
		s.each[i] = score{d * d, math.Abs(d), p.holds(0.5, accuracy), p.holds(0.9, accuracy), p.logDensity(accuracy)}
	}
	s.ranking = newRanking(rank, measured)
	return s, nil
}

// quality returns the quality when record i is there weight[i] times. That of
// no records is the zero value.
func (s *scores) quality(weight []int) Quality {
	var q Quality
	for i, e := range s.each {
		if weight[i] == 0 {
			continue // 0 times an infinite log density is NaN
		}
		w := float64(weight[i])
		q.N += weight[i]
		q.RMSE += w * e.square
		q.MAE += w * e.absolute
		q.Coverage50 += w * e.in50
		q.Coverage90 += w * e.in90
		q.LogLikelihood += w * e.logDensity
	}
	if q.N == 0 {
		return q
	}
	n := float64(q.N)
	q.RMSE = math.Sqrt(q.RMSE / n)
	q.MAE /= n
	q.Coverage50 /= n
	q.Coverage90 /= n
	q.LogLikelihood /= n
	q.Kendall = s.ranking.kendall(weight)
	q.Spearman = s.ranking.spearman(weight)
	return q
}

// holds returns 1 if the interval of the given probability holds the accuracy,
// and 0 otherwise.
func (p Prediction) holds(probability, accuracy float64) float64 {
	low, high := p.Interval(probability)
	switch {
	case math.IsNaN(low + high + accuracy):
		return math.NaN()
	case low <= accuracy && accuracy <= high:
		return 1
	}
	return 0
}

// logDensity returns the logarithm of the density of the accuracy a, that is of
// the normal one of log(1-a), times the derivative 1/(1-a).
func (p Prediction) logDensity(accuracy float64) float64 {
	y := logError(accuracy)
	if p.LogErrorSD == 0 { // certain, rightly or not
		if y == p.LogError {
			return math.Inf(1)
		}
		return math.Inf(-1)
	}
	z := (y - p.LogError) / p.LogErrorSD
	return -z*z/2 - math.Log(p.LogErrorSD*math.Sqrt(2*math.Pi)) - y
}

// A CalibrationPoint says how many of the intervals of one probability hold what
// was measured.
type CalibrationPoint struct {
	Nominal float64 // the intervals' probability
	Share   float64 // of the intervals that hold the measured accuracy

	// Low and High are the 5 % and 95 % quantiles of the share if every interval
	// held its accuracy with the nominal probability, independently of the others:
	// a share outside says that the intervals are wrong. Records of one network
	// are not independent, and make the share vary more.
	Low, High float64
}

// Calibration says for intervals of 5, 10, ... 95 % how many hold the accuracies
// of the records, which the predictions are parallel to. For no records it
// returns no points.
func Calibration(predictions []Prediction, records []Record) ([]CalibrationPoint, error) {
	n := len(records)
	if len(predictions) != n {
		return nil, fmt.Errorf("predictor: %d predictions for %d records", len(predictions), n)
	}
	if n == 0 {
		return nil, nil
	}
	points := make([]CalibrationPoint, 19)
	for i := range points {
		c := CalibrationPoint{Nominal: float64(i+1) / 20}
		for j, p := range predictions {
			c.Share += p.holds(c.Nominal, records[j].Accuracy)
		}
		c.Share /= float64(n)
		c.Low = float64(binomialQuantile(0.05, n, c.Nominal)) / float64(n)
		c.High = float64(binomialQuantile(0.95, n, c.Nominal)) / float64(n)
		points[i] = c
	}
	return points, nil
}

// binomialQuantile returns the least number of successes in n trials that is
// reached or stayed below with at least the probability q.
func binomialQuantile(q float64, n int, success float64) int {
	d := distuv.Binomial{N: float64(n), P: success}
	return sort.Search(n, func(k int) bool { return d.CDF(float64(k)) >= q })
}

// once is the weight of records that are there once each.
func once(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// KendallTau returns Kendall's rank correlation of two lists of one length, in
// the form tau-b that allows for ties: with C and D the numbers of pairs that
// both lists order the same way and opposite ways,
//
//	(C - D) / sqrt((pairs - pairs tied in a) (pairs - pairs tied in b))
//
// It takes n log n steps, as Knight's way does (1966), and is NaN if a list has
// no two different values, or a NaN.
func KendallTau(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	return newRanking(a, b).kendall(once(len(a)))
}

// Spearman returns Spearman's rank correlation of two lists of one length: the
// correlation of their ranks, where equal values share the mean of theirs. It
// is NaN if a list has no two different values, or a NaN.
func Spearman(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	return newRanking(a, b).spearman(once(len(a)))
}

// A ranking holds two lists of one length sorted, so that their rank
// correlations with each item there any number of times need no sorting. It is
// for one goroutine.
type ranking struct {
	items []ranked // by a, those equal in a by b
	sizeA []int    // room for the number of items of each level of a
	sizeB []int
	seen  []int     // room for the tree of kendall
	rankA []float64 // room for the ranks of spearman
	rankB []float64
	nan   bool // a list has a NaN
}

// A ranked item has the levels of its two values: how many different ones are
// smaller.
type ranked struct{ index, a, b int }

func newRanking(a, b []float64) *ranking {
	r := &ranking{items: make([]ranked, len(a)), nan: slices.ContainsFunc(a, math.IsNaN) || slices.ContainsFunc(b, math.IsNaN)}
	if r.nan {
		return r
	}
	levelA, levelsA := rankLevels(a)
	levelB, levelsB := rankLevels(b)
	for i := range r.items {
		r.items[i] = ranked{i, levelA[i], levelB[i]}
	}
	slices.SortFunc(r.items, func(x, y ranked) int { return cmp.Or(x.a-y.a, x.b-y.b) })
	r.sizeA, r.sizeB = make([]int, levelsA), make([]int, levelsB)
	r.rankA, r.rankB = make([]float64, levelsA), make([]float64, levelsB)
	r.seen = make([]int, levelsB)
	return r
}

// rankLevels returns for each value how many different ones are smaller, and how many
// different ones there are.
func rankLevels(v []float64) (level []int, n int) {
	type value struct {
		v float64
		i int
	}
	sorted := make([]value, len(v))
	for i := range v {
		sorted[i] = value{v[i], i}
	}
	slices.SortFunc(sorted, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	level = make([]int, len(v))
	for k, s := range sorted {
		if k == 0 || s.v != sorted[k-1].v {
			n++
		}
		level[s.i] = n - 1
	}
	return level, n
}

// sizes counts the items of each level, where item i is there weight[i] times.
func (r *ranking) sizes(weight []int) (total int) {
	clear(r.sizeA)
	clear(r.sizeB)
	for _, item := range r.items {
		w := weight[item.index]
		total += w
		r.sizeA[item.a] += w
		r.sizeB[item.b] += w
	}
	return total
}

func (r *ranking) kendall(weight []int) float64 {
	if r.nan {
		return math.NaN()
	}
	pairs := func(n int) float64 { return float64(n) * float64(n-1) / 2 }
	all := pairs(r.sizes(weight))
	var tiedA, tiedB, tiedBoth, discordant float64
	for _, n := range r.sizeA {
		tiedA += pairs(n)
	}
	for _, n := range r.sizeB {
		tiedB += pairs(n)
	}
	// An item makes a discordant pair with each before it that is greater in b.
	// Those are counted by a binary indexed tree (Fenwick 1994) over the levels of
	// b. Items tied in both follow each other.
	clear(r.seen)
	before, both := 0, 0
	for k, item := range r.items {
		if k > 0 && (item.a != r.items[k-1].a || item.b != r.items[k-1].b) {
			tiedBoth += pairs(both)
			both = 0
		}
		w := weight[item.index]
		if w == 0 {
			continue
		}
		greater := before
		for i := item.b + 1; i > 0; i &= i - 1 {
			greater -= r.seen[i-1]
		}
		discordant += float64(w) * float64(greater)
		for i := item.b + 1; i <= len(r.seen); i += i & -i {
			r.seen[i-1] += w
		}
		before += w
		both += w
	}
	tiedBoth += pairs(both)
	concordant := all - tiedA - tiedB + tiedBoth - discordant
	return (concordant - discordant) / math.Sqrt((all-tiedA)*(all-tiedB))
}

func (r *ranking) spearman(weight []int) float64 {
	if r.nan {
		return math.NaN()
	}
	half := float64(r.sizes(weight)) / 2
	// center sets the rank of each level, the middle one of all of its items, less
	// the mean rank, and returns the ranks' sum of squares.
	center := func(rank []float64, size []int) (squares float64) {
		below := 0
		for i, n := range size {
			rank[i] = float64(below) + float64(n)/2 - half
			squares += float64(n) * rank[i] * rank[i]
			below += n
		}
		return squares
	}
	aa, bb := center(r.rankA, r.sizeA), center(r.rankB, r.sizeB)
	var ab float64
	for _, item := range r.items {
		ab += float64(weight[item.index]) * r.rankA[item.a] * r.rankB[item.b]
	}
	return ab / math.Sqrt(aa*bb)
}
