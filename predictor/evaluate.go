package predictor

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/efficientnas/nas/arch"
)

// A Grouping names the group of record i. Records of one group are held out
// together.
type Grouping func(i int, r *Record) string

// EachRecord holds out every record on its own: leave-one-out.
func EachRecord(i int, _ *Record) string { return strconv.Itoa(i) }

// BlockTypes holds out together the networks whose stages have the same types
// of blocks: how well are networks predicted that are unlike all others?
func BlockTypes(_ int, r *Record) string {
	var types []string
	for i := range r.Network.Stages {
		if s := &r.Network.Stages[i]; s.Depth > 0 && !slices.Contains(types, s.Block.Name()) {
			types = append(types, s.Block.Name())
		}
	}
	slices.Sort(types)
	return strings.Join(types, "+")
}

// Folds holds out one of k groups of about the same size, drawn at random for
// each seed: k-fold cross-validation.
func Folds(k int, seed uint64) Grouping {
	return func(i int, _ *Record) string {
		// k consecutive records are one of each group, in an order of their own.
		order := rand.New(rand.NewPCG(seed, uint64(i/k))).Perm(k)
		return strconv.Itoa(order[i%k])
	}
}

// groupsOf returns the indices of the records of each group, in the order of
// the groups' first records.
func groupsOf(records []Record, by Grouping) [][]int {
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

// LeaveOut predicts every record from the records of all other groups, for its
// own recipe. The predictions are parallel to the records.
//
// The predictor is trained once, on all records; then each group is taken out
// of it in closed form (Rasmussen and Williams 2006, section 5.4.2). So the
// accuracies of a group have no part in its predictions except through the two
// dozen hyper-parameters, which all records determine together. [CrossValidate]
// leaves not even that, and takes as many trainings as there are groups.
func LeaveOut(records []Record, by Grouping, o Options) ([]Prediction, error) {
	p, err := Train(records, o)
	if err != nil {
		return nil, err
	}
	out := make([]Prediction, len(records))
	for _, group := range groupsOf(records, by) {
		mean, variance := make([]float64, len(group)), make([]float64, len(group))
		if err := p.model.leaveOut(group, mean, variance); err != nil {
			return nil, err
		}
		for i, r := range group {
			out[r] = newPrediction(p.origin+mean[i], variance[i])
		}
	}
	return out, nil
}

// CrossValidate is [LeaveOut] with everything learnt anew for each group, from
// the other groups alone. A record whose recipe only its own group has is
// predicted for an unknown recipe.
func CrossValidate(records []Record, by Grouping, o Options) ([]Prediction, error) {
	groups := groupsOf(records, by)
	out := make([]Prediction, len(records))
	errs := make([]error, len(groups))
	o.Recipe = "" // a group may take the one asked for with it
	var wg sync.WaitGroup
	tokens := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, group := range groups {
		tokens <- struct{}{}
		wg.Go(func() {
			errs[i] = holdOut(out, records, group, o)
			<-tokens
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("without group %q: %w", by(groups[i][0], &records[groups[i][0]]), err)
		}
	}
	return out, nil
}

// holdOut stores the predictions of the group by a predictor trained on the rest.
func holdOut(out []Prediction, records []Record, group []int, o Options) error {
	var rest []Record
	for i := range records {
		if !slices.Contains(group, i) {
			rest = append(rest, records[i])
		}
	}
	p, err := Train(rest, o)
	if err != nil {
		return err
	}
	var g arch.Graph
	for _, i := range group {
		task, err := p.task(records[i].Recipe)
		if err != nil {
			task = unknownTask
		}
		b := p.batch(task)
		if err := records[i].Network.Lower(&g); err != nil {
			return err
		}
		b.Add(&g)
		out[i] = b.Predict()[0]
	}
	return nil
}

// Comparable returns the records, with their predictions, whose recipe at
// least one other record has. What a recipe does that no other record tells of
// cannot be predicted, and so says nothing about a predictor.
func Comparable(predictions []Prediction, records []Record) ([]Prediction, []Record) {
	count := make(map[string]int)
	for i := range records {
		count[records[i].Recipe]++
	}
	var p []Prediction
	var r []Record
	for i := range records {
		if count[records[i].Recipe] > 1 {
			p, r = append(p, predictions[i]), append(r, records[i])
		}
	}
	return p, r
}
