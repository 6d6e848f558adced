package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"gonum.org/v1/gonum/stat"
)

// A Bootstrap says how much of a [Quality] is chance: it assesses the records
// again and again, each time as many groups of them drawn at random as there
// are, some of which it draws repeatedly and others not at all (Efron,
// Bootstrap methods: another look at the jackknife, 1979). Between which values
// the figures lie most times is their interval. The zero value is ready for use.
//
// The same records, predictions and Bootstrap give the same intervals. Two
// assessments of the same records by the same Bootstrap draw the same groups.
//
// The intervals are somewhat too narrow for fewer than some 30 groups. They tell
// nothing of a share that is 0 or 1, which it stays however one draws.
type Bootstrap struct {
	// By names the groups. Records that are wrong together, such as those of one
	// network by several recipes, belong in one, or the intervals become too
	// narrow: see [EachNetwork]. The default is [EachRecord].
	By Grouping

	// Probability is what the intervals hold the truth with, between 0 and 1. The
	// default is 0.9.
	Probability float64

	Seed uint64 // of the random draws
}

// An Assessment is a quality and how much of it is chance. Low and High have the
// ends of the interval of each figure on its own. Those of a figure that is
// undefined in a draw leave the draw out, and are NaN if there are no others, or
// fewer than two groups.
type Assessment struct {
	Quality
	Low, High Quality
}

// String returns the assessment in words, errors in points of accuracy.
func (a Assessment) String() string {
	figure := func(format string, scale float64, of func(*Quality) float64) string {
		return fmt.Sprintf(format+" ("+format+" to "+format+")", scale*of(&a.Quality), scale*of(&a.Low), scale*of(&a.High))
	}
	return fmt.Sprintf("RMSE %s, MAE %s points; Kendall %s, Spearman %s; 50 %% intervals cover %s %%, 90 %% intervals %s %%; log likelihood %s; of %d",
		figure("%.2f", 100, func(q *Quality) float64 { return q.RMSE }),
		figure("%.2f", 100, func(q *Quality) float64 { return q.MAE }),
		figure("%.3f", 1, func(q *Quality) float64 { return q.Kendall }),
		figure("%.3f", 1, func(q *Quality) float64 { return q.Spearman }),
		figure("%.0f", 100, func(q *Quality) float64 { return q.Coverage50 }),
		figure("%.0f", 100, func(q *Quality) float64 { return q.Coverage90 }),
		figure("%.2f", 1, func(q *Quality) float64 { return q.LogLikelihood }),
		a.N)
}

// Assess is the function [Assess], with intervals.
func (b Bootstrap) Assess(predictions []Prediction, records []Record) (Assessment, error) {
	s, err := newScores(predictions, records)
	if err != nil {
		return Assessment{}, err
	}
	return b.assess([]*scores{s}, records)
}

// AssessRepeats assesses predictions that were made repeatedly, such as by
// cross-validation in other [Folds] each time: predictions[k] are those of
// repeat k, parallel to the records. Each figure is the mean of the repeats'. So
// the intervals say what other records would change, not what another repeat
// would: more repeats make the figures steadier, and the intervals hardly
// narrower.
func (b Bootstrap) AssessRepeats(predictions [][]Prediction, records []Record) (Assessment, error) {
	if len(predictions) == 0 {
		return Assessment{}, fmt.Errorf("predictor: no predictions for %d records", len(records))
	}
	repeats := make([]*scores, len(predictions))
	for k := range predictions {
		var err error
		if repeats[k], err = newScores(predictions[k], records); err != nil {
			return Assessment{}, fmt.Errorf("predictor: repeat %d: %d predictions for %d records", k+1, len(predictions[k]), len(records))
		}
	}
	return b.assess(repeats, records)
}

func (b Bootstrap) assess(repeats []*scores, records []Record) (Assessment, error) {
	if err := b.complete(); err != nil {
		return Assessment{}, err
	}
	return b.draw(repeats, drawnTogether(records, b.By), drawsFor(len(repeats)*len(records))), nil
}

// complete fills in the defaults.
func (b *Bootstrap) complete() error {
	if b.Probability == 0 {
		b.Probability = 0.9
	}
	if !(b.Probability > 0 && b.Probability < 1) {
		return fmt.Errorf("predictor: the intervals' probability must be between 0 and 1, found %v", b.Probability)
	}
	if b.By == nil {
		b.By = EachRecord
	}
	return nil
}

// drawnTogether returns the indices of the records of each group, in the order of
// the groups' first records.
func drawnTogether(records []Record, by Grouping) [][]int {
	var groups [][]int
	index := make(map[string]int)
	for i := range records {
		key := by(i, &records[i])
		at, ok := index[key]
		if !ok {
			at = len(groups)
			index[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// drawsFor is 1,000, and fewer where that took more than some seconds.
func drawsFor(predictions int) int {
	return min(max(10_000_000/max(predictions, 1), 200), 1000)
}

// draw returns the quality of all groups, and its intervals by n draws.
func (b Bootstrap) draw(repeats []*scores, groups [][]int, n int) Assessment {
	records := len(repeats[0].each)
	a := Assessment{Quality: meanQuality(repeats, once(records))}
	a.Low.N, a.High.N = records, records
	low, high := a.Low.figures(), a.High.figures()
	values := make([][]float64, len(low)) // of each figure
	b.eachDraw(groups, records, n, func(weight []int) {
		q := meanQuality(repeats, weight)
		for f, v := range q.figures() {
			if !math.IsNaN(*v) {
				values[f] = append(values[f], *v)
			}
		}
	})
	for f := range values {
		*low[f], *high[f] = b.interval(values[f])
	}
	return a
}

// eachDraw calls f n times with how often each of the records is in a draw; not
// at all if there are no two groups. The slice is f's until it returns.
func (b Bootstrap) eachDraw(groups [][]int, records, n int, f func(weight []int)) {
	if len(groups) < 2 {
		return
	}
	weight := make([]int, records)
	for k := range n {
		// A stream of its own makes a draw independent of how many there are.
		random := rand.New(rand.NewPCG(b.Seed, uint64(k)))
		clear(weight)
		for range groups {
			for _, i := range groups[random.IntN(len(groups))] {
				weight[i]++
			}
		}
		f(weight)
	}
}

// interval returns between what the middle ones of the values lie, which it sorts.
func (b Bootstrap) interval(values []float64) (low, high float64) {
	slices.Sort(values)
	return quantileOf(values, (1-b.Probability)/2), quantileOf(values, (1+b.Probability)/2)
}

// meanQuality returns the mean of the repeats' qualities, of as many records as
// each has.
func meanQuality(repeats []*scores, weight []int) Quality {
	var sum Quality
	total := sum.figures()
	for _, s := range repeats {
		q := s.quality(weight)
		sum.N = q.N
		for f, v := range q.figures() {
			*total[f] += *v / float64(len(repeats))
		}
	}
	return sum
}

// quantileOf interpolates between the two of the sorted values that are nearest,
// and is NaN if there are none.
func quantileOf(sorted []float64, probability float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := probability * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) || sorted[i] == sorted[i+1] {
		return sorted[min(i, len(sorted)-1)]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Baselines say how good predictions are that know one cost of a network, or
// nothing: what a predictor has to beat.
//
// They predict the logarithm of the error by the straight line over the
// logarithm of the cost, fitted by least squares to all records but those held out,
// whatever their recipe. Kendall and Spearman are the rank correlations of the
// accuracy with the cost itself, which no fit has a part in.
type Baselines struct {
	MACs   Assessment
	Params Assessment
	Mean   Assessment // the line is level; it ranks nothing, so that Kendall and Spearman are NaN
}

// Baselines assesses the baselines on the records: those of a group of heldOut
// are predicted from those of the other groups, where nil is [EachRecord], and
// repeated records leave together, as in [LeaveOut]. To compare a predictor with
// them, hold out the same groups, and draw with the same Bootstrap. All but the
// rank correlations is NaN if a group leaves fewer than three records to learn
// from. It fails if a network cannot be built.
func (b Bootstrap) Baselines(records []Record, heldOut Grouping) (Baselines, error) {
	if heldOut == nil {
		heldOut = EachRecord
	}
	n := len(records)
	none, macs, params, y := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	var g arch.Graph
	for i := range records {
		if err := records[i].Network.Lower(&g); err != nil {
			return Baselines{}, records[i].errorf("network %q: %w", records[i].Network.Name, err)
		}
		c := cost.Of(&g)
		macs[i], params[i], y[i] = math.Log(float64(c.MACs)), math.Log(float64(c.Params)), logError(records[i].Accuracy)
	}
	rowOf, _, err := merge(records)
	if err != nil {
		return Baselines{}, err
	}
	groups := groupsOf(records, heldOut, rowOf)
	assess := func(x []float64) (Assessment, error) {
		s, err := newScoresBy(x, leaveOutLine(x, y, groups), records)
		if err != nil {
			return Assessment{}, err
		}
		return b.assess([]*scores{s}, records)
	}
	var all Baselines
	for _, v := range []struct {
		of *Assessment
		x  []float64
	}{{&all.MACs, macs}, {&all.Params, params}, {&all.Mean, none}} {
		if *v.of, err = assess(v.x); err != nil {
			return Baselines{}, err
		}
	}
	return all, nil
}

// leaveOutLine predicts each log error y by the least squares line over x
// through the other groups, which is that through all with the sums of the
// group taken off. The line is level if the others have only one x.
func leaveOutLine(x, y []float64, groups [][]int) []Prediction {
	// Close to their means, the numbers lose no digits in the differences below.
	mx, my := stat.Mean(x, nil), stat.Mean(y, nil)
	var all lineSums
	for i := range x {
		all.add(1, x[i]-mx, y[i]-my)
	}
	out := make([]Prediction, len(x))
	for _, group := range groups {
		rest := all
		for _, i := range group {
			rest.add(-1, x[i]-mx, y[i]-my)
		}
		cx, cy := rest.x/rest.n, rest.y/rest.n
		sxx, sxy, syy := rest.xx-cx*rest.x, rest.xy-cx*rest.y, rest.yy-cy*rest.y
		slope, free, spread := 0., rest.n-1, 0.
		if sxx > 1e-12*all.xx {
			slope, free, spread = sxy/sxx, rest.n-2, 1/sxx
		}
		residual := math.NaN() // variance around the line
		if free > 0 {
			residual = max(0, syy-slope*sxy) / free
		}
		for _, i := range group {
			d := x[i] - mx - cx
			out[i] = newPrediction(my+cy+slope*d, residual*(1+1/rest.n+d*d*spread))
		}
	}
	return out
}

// lineSums are sums over points.
type lineSums struct{ n, x, y, xx, xy, yy float64 }

func (m *lineSums) add(sign, x, y float64) {
	m.n += sign
	m.x += sign * x
	m.y += sign * y
	m.xx += sign * x * x
	m.xy += sign * x * y
	m.yy += sign * y * y
}
