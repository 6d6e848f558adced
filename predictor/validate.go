package predictor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// ValidationSettings say how [Validate] works. The zero value is ready for use.
type ValidationSettings struct {
	// Repeats is how often all records are predicted, in other folds each time. The
	// default is 3, and 1 of more than 1,000 records.
	Repeats int
	// Folds is into how many the records are dealt, by default 5. They are more if
	// a predictor would otherwise have too few records to learn from.
	Folds int
	// Probability is that of the intervals of the figures, by default 0.9.
	Probability float64
	// Progress is called, if it is not nil, after each fold, by one goroutine at a
	// time.
	Progress func(done, total int)
}

// Bounds of [ValidationSettings].
const (
	MaxRepeats = 100
	MaxFolds   = 1000
)

func (s *ValidationSettings) complete(records int) error {
	if s.Repeats == 0 {
		s.Repeats = 3
		if records > manyToValidate {
			s.Repeats = 1
		}
	}
	if s.Folds == 0 {
		s.Folds = validationFolds
	}
	if s.Repeats < 1 || s.Repeats > MaxRepeats {
		return fmt.Errorf("predictor: the repeats must be from 1 to %d, found %d", MaxRepeats, s.Repeats)
	}
	if s.Folds < 2 || s.Folds > MaxFolds {
		return fmt.Errorf("predictor: the folds must be from 2 to %d, found %d", MaxFolds, s.Folds)
	}
	return nil
}

// manyToValidate are so many records that other folds tell the same.
const manyToValidate = 1000

// ErrTooFew is returned by [Validate] where a predictor can be trained on all
// records, but not without some of them.
var ErrTooFew = errors.New("predictor: too few records to predict some by the others")

// A Validation is how well predictors do that were trained as [Options] say, on
// records that they were not shown.
type Validation struct {
	// Records are those that were assessed. Apart is how many measured ones were
	// not, only learnt from: those whose recipe or dataset no other network has, which
	// nothing could predict.
	Records []Record
	Apart   int

	Repeats, Folds int
	Predictions    [][]Prediction // of each repeat, parallel to Records

	Predictor   Assessment // mean of the repeats
	Baselines   Baselines  // in the folds of the first repeat
	Gain        Gain
	Ceiling     *Ceiling           // nil if no record was repeated
	Calibration []CalibrationPoint // shares are means of the repeats
}

// A Gain is by how much Kendall's tau of predictions is higher than that of
// ranking by MACs alone, and the interval of that: both are assessed on the same
// draws, so that the difference is better known than either.
type Gain struct{ Kendall, Low, High float64 }

// Validate cross-validates: it deals the records into folds and predicts each
// fold by a predictor that learnt everything anew from the others, as
// [CrossValidate] does. All records of one network stay together, by whatever
// recipe, so that none is predicted from its twin; derived ones are not assessed. The folds have about the same
// share of each recipe and dataset.
//
// The intervals are by [Bootstrap] with [EachNetwork]. The same records, options
// and settings give the same validation. It takes Repeats times Folds trainings,
// and ends early when ctx does, with its error.
func Validate(ctx context.Context, records []Record, o Options, s ValidationSettings) (*Validation, error) {
	if err := s.complete(len(records)); err != nil {
		return nil, err
	}
	if err := check(records); err != nil {
		return nil, err
	}
	rowOf, _, err := merge(records)
	if err != nil {
		return nil, err
	}
	assessed := networksOf(records)
	v := &Validation{Repeats: s.Repeats}
	var which []int // of the records
	for _, n := range assessed {
		which = append(which, n.assessed...)
	}
	slices.Sort(which)
	v.Records = pick(records, which)
	v.Apart = len(measured(records)) - len(which)
	if len(which) == 0 {
		return v, nil
	}
	for i := range records {
		if records[i].Derived {
			rowOf[i] = -1 // tells nothing about how many there are
		}
	}
	folds, err := dealFolds(assessed, rowOf, s, o.Seed)
	if err != nil {
		return nil, err
	}
	v.Folds = len(folds[0])
	o.Recipe, o.Progress = "", nil // a fold may take the recipe asked for with it
	all := make([][]Prediction, s.Repeats)
	for r := range all {
		all[r] = make([]Prediction, len(records))
	}
	err = inContext(ctx, s.Repeats*v.Folds, s.Progress, func(i int) error {
		r, f := i/v.Folds, i%v.Folds
		if err := folds[r][f].predict(all[r], records, o); err != nil {
			return fmt.Errorf("without fold %d of repeat %d: %w", f+1, r+1, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for r := range all {
		v.Predictions = append(v.Predictions, pick(all[r], which))
	}
	foldOf := make(map[int]string) // of the first repeat, by record
	for f, fold := range folds[0] {
		for _, i := range fold.assessed {
			foldOf[i] = strconv.Itoa(f)
		}
	}
	b := Bootstrap{By: EachNetwork, Probability: s.Probability, Seed: o.Seed}
	return v, v.assess(b, func(i int, _ *Record) string { return foldOf[which[i]] })
}

// assess fills in what follows from the predictions.
func (v *Validation) assess(b Bootstrap, firstFolds Grouping) (err error) {
	if v.Predictor, err = b.AssessRepeats(v.Predictions, v.Records); err != nil {
		return err
	}
	if v.Baselines, err = b.Baselines(v.Records, firstFolds); err != nil {
		return err
	}
	if v.Gain, err = b.gain(v.Predictions, v.Records); err != nil {
		return err
	}
	if c, ok := NoiseCeiling(v.Records, b.Seed); ok {
		v.Ceiling = &c
	}
	for r := range v.Predictions {
		points, err := Calibration(v.Predictions[r], v.Records)
		if err != nil {
			return err
		}
		if r == 0 {
			v.Calibration = points
			continue
		}
		for i := range points { // mean of those so far
			v.Calibration[i].Share += (points[i].Share - v.Calibration[i].Share) / float64(r+1)
		}
	}
	return nil
}

// Validation assesses predictions that were made elsewhere, parallel to the
// records, such as those of a predictor for records that it was not trained on. The
// baselines leave out each network. Derived records stay out.
func (b Bootstrap) Validation(predictions []Prediction, records []Record) (*Validation, error) {
	if len(predictions) != len(records) {
		return nil, fmt.Errorf("predictor: %d predictions for %d records", len(predictions), len(records))
	}
	which := measured(records)
	v := &Validation{Records: pick(records, which), Predictions: [][]Prediction{pick(predictions, which)}, Repeats: 1}
	return v, v.assess(b, EachNetwork)
}

// measured returns which records were.
func measured(records []Record) (which []int) {
	for i := range records {
		if !records[i].Derived {
			which = append(which, i)
		}
	}
	return which
}

// Warning says in words if the predictor is of no use, or nobody can tell
// whether it is: where it does not rank networks better than their MACs do. It is
// empty otherwise.
func (v *Validation) Warning() string {
	g := v.Gain
	switch {
	case len(v.Records) == 0:
		return ""
	case !(g.Kendall > 0):
		return fmt.Sprintf("the predictor does not rank these networks better than their MACs alone do (Kendall's tau %.3f against %.3f): it needs more records, or more varied ones",
			v.Predictor.Kendall, v.Baselines.MACs.Kendall)
	case !(g.Low > 0):
		return fmt.Sprintf("that the predictor ranks these networks better than their MACs alone do may be chance (Kendall's tau is higher by %.3f, with an interval from %.3f to %.3f): more records would tell",
			g.Kendall, g.Low, g.High)
	}
	return ""
}

// gain compares the ranking by predictions, a list for each repeat, with that by
// MACs. What ranks nothing has a tau of 0.
func (b Bootstrap) gain(predictions [][]Prediction, records []Record) (Gain, error) {
	if err := b.complete(); err != nil {
		return Gain{}, err
	}
	macs, measured := make([]float64, len(records)), make([]float64, len(records))
	var layers arch.Graph
	for i := range records {
		if err := records[i].Network.Lower(&layers); err != nil {
			return Gain{}, records[i].errorf("network %q: %w", records[i].Network.Name, err)
		}
		macs[i], measured[i] = float64(cost.Of(&layers).MACs), records[i].Accuracy
	}
	repeats := make([]*ranking, len(predictions))
	for r, of := range predictions {
		predicted := make([]float64, len(of))
		for i := range of {
			predicted[i] = of[i].Accuracy
		}
		repeats[r] = newRanking(predicted, measured)
	}
	byMACs := newRanking(macs, measured)
	tau := func(r *ranking, weight []int) float64 {
		if v := r.kendall(weight); !math.IsNaN(v) {
			return v
		}
		return 0
	}
	difference := func(weight []int) float64 {
		d := -tau(byMACs, weight)
		for _, r := range repeats {
			d += tau(r, weight) / float64(len(repeats))
		}
		return d
	}
	g := Gain{Kendall: difference(once(len(records)))}
	var drawn []float64
	b.eachDraw(drawnTogether(records, b.By), len(records), drawsFor(len(repeats)*len(records)), func(weight []int) {
		drawn = append(drawn, difference(weight))
	})
	g.Low, g.High = b.interval(drawn)
	return g, nil
}

// A measuredNetwork is the records of one network, which leave together.
type measuredNetwork struct {
	records  []int
	assessed []int  // those of them that can be
	stratum  string // its recipes and datasets
}

// A fold is records that leave together, sorted, and those of them to predict.
type fold struct{ records, assessed []int }

// networksOf returns the networks that can be assessed, in the order of their
// first records: those with a record whose recipe and dataset, and number of epochs
// if there are two, another network has too.
func networksOf(records []Record) []measuredNetwork {
	twoBudgets := len(distinct(pick(records, measured(records)), func(r *Record) string { return fmt.Sprint(r.Epochs) })) == 2
	traitsOf := func(r *Record) []string {
		return []string{"recipe " + r.Recipe, "dataset " + r.Dataset, fmt.Sprintf("epochs %9g", r.Epochs)}
	}
	groups := drawnTogether(records, EachNetwork)
	traits := make([][]string, len(groups)) // of each network
	count := make(map[string]int)           // of networks
	for n, members := range groups {
		for _, i := range members {
			if !records[i].Derived {
				traits[n] = append(traits[n], traitsOf(&records[i])...)
			}
		}
		slices.Sort(traits[n])
		traits[n] = slices.Compact(traits[n])
		for _, t := range traits[n] {
			count[t]++
		}
	}
	var out []measuredNetwork
	for n, members := range groups {
		var assessed []int
		for _, i := range members {
			t := traitsOf(&records[i])
			if !records[i].Derived && count[t[0]] > 1 && count[t[1]] > 1 && (!twoBudgets || count[t[2]] > 1) {
				assessed = append(assessed, i)
			}
		}
		if len(assessed) > 0 {
			out = append(out, measuredNetwork{members, assessed, strings.Join(traits[n], "\n")})
		}
	}
	return out
}

// dealFolds deals the networks into folds for each repeat. It fails if a predictor could not learn from the records left.
func dealFolds(networks []measuredNetwork, rowOf []int, s ValidationSettings, seed uint64) ([][]fold, error) {
	for k := min(s.Folds, len(networks)); k <= len(networks); k++ {
		repeats := make([][]fold, s.Repeats)
		least := math.MaxInt
		for r := range repeats {
			repeats[r] = deal(networks, k, seed, uint64(r))
			for _, f := range repeats[r] {
				least = min(least, rowsWithout(rowOf, f.records))
			}
		}
		if least >= MinRecords {
			return repeats, nil
		}
	}
	return nil, fmt.Errorf("%w: %d of different networks or trainings, and a predictor learns from at least %d", ErrTooFew, rowsWithout(rowOf, nil), MinRecords)
}

// deal deals the networks into k folds, in a random order in which those of the
// same recipes and datasets follow each other.
func deal(networks []measuredNetwork, k int, seed, repeat uint64) []fold {
	order := rand.New(rand.NewPCG(seed, 1<<32+repeat)).Perm(len(networks))
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(networks[a].stratum, networks[b].stratum) })
	folds := make([]fold, k)
	for i, n := range order {
		f := &folds[i%k]
		f.records, f.assessed = append(f.records, networks[n].records...), append(f.assessed, networks[n].assessed...)
	}
	for _, f := range folds {
		slices.Sort(f.records)
	}
	return folds
}

// predict stores the predictions by a predictor trained on the other records.
func (f *fold) predict(out []Prediction, records []Record, o Options) error {
	p, err := Train(pick(records, without(len(records), f.records)), o)
	if err != nil {
		return err
	}
	predictions, err := p.PredictRecords(pick(records, f.assessed))
	for i, r := range f.assessed {
		if err == nil {
			out[r] = predictions[i]
		}
	}
	return err
}

// rowsWithout returns how many different rows the records have that are not in
// the fold, which is sorted; -1 is none.
func rowsWithout(rowOf, fold []int) int {
	rows := make(map[int]bool)
	for i, row := range rowOf {
		if _, ok := slices.BinarySearch(fold, i); !ok && row >= 0 {
			rows[row] = true
		}
	}
	return len(rows)
}

// inContext is inParallel that starts nothing more once ctx is done, whose error
// it returns then. progress may be nil.
func inContext(ctx context.Context, n int, progress func(done, total int), f func(i int) error) error {
	var mutex sync.Mutex
	done := 0
	err := inParallel(n, func(i int) error {
		if ctx.Err() != nil {
			return nil
		}
		if err := f(i); err != nil {
			return err
		}
		mutex.Lock()
		defer mutex.Unlock()
		if done++; progress != nil {
			progress(done, n)
		}
		return nil
	})
	if done < n && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func pick[T any](all []T, which []int) []T {
	out := make([]T, len(which))
	for i, w := range which {
		out[i] = all[w]
	}
	return out
}
