package predictor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

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
// the groups' first records. Records of one row, by rowOf, are all in the group
// of the first of them.
func groupsOf(records []Record, by Grouping, rowOf []int) [][]int {
	var groups [][]int
	index := make(map[string]int)
	ofRow := make(map[int]int)
	for i := range records {
		at, ok := ofRow[rowOf[i]]
		if !ok {
			key := by(i, &records[i])
			if at, ok = index[key]; !ok {
				at = len(groups)
				groups = append(groups, nil)
				index[key] = at
			}
			ofRow[rowOf[i]] = at
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// measuredOnly returns the groups in which a record was measured. Others need
// not be left out: nothing could be compared.
func measuredOnly(records []Record, groups [][]int) [][]int {
	return slices.DeleteFunc(groups, func(group []int) bool {
		return !slices.ContainsFunc(group, func(i int) bool { return !records[i].Derived })
	})
}

// LeaveOut predicts every measured record from the records of all other groups, for its
// own training. The predictions are parallel to the records. Repeated records
// leave together.
//
// The predictor is trained once, on all records; then each group is taken out
// of it in closed form (Rasmussen and Williams 2006, section 5.4.2). So the
// accuracies of a group have no part in its predictions except through the
// few hyper-parameters, which all records determine together. [CrossValidate]
// leaves not even that, and takes as many trainings as there are groups. So does
// LeaveOut where a model has no closed form: only GP has one, up to 2,000
// records.
func LeaveOut(records []Record, by Grouping, o Options) ([]Prediction, error) {
	p, rowOf, err := train(records, o)
	if err != nil {
		return nil, err
	}
	m, ok := p.model.(closedForm)
	if !ok {
		return CrossValidate(records, by, o)
	}
	out := make([]Prediction, len(records))
	for _, group := range measuredOnly(records, groupsOf(records, by, rowOf)) {
		var rows []int
		for _, i := range group {
			rows = append(rows, rowOf[i])
		}
		slices.Sort(rows)
		rows = slices.Compact(rows)
		mean, variance := make([]float64, len(rows)), make([]float64, len(rows))
		if err := m.leaveOut(rows, mean, variance); err != nil {
			return nil, err
		}
		for _, i := range group {
			at, _ := slices.BinarySearch(rows, rowOf[i])
			out[i] = newPrediction(p.origin+mean[at], variance[at]+p.single-p.rows[rowOf[i]].Noise)
		}
	}
	return out, nil
}

// CrossValidate is [LeaveOut] with everything learnt anew for each group, from
// the other groups alone. A record whose recipe only its own group has is
// predicted for an unknown recipe.
func CrossValidate(records []Record, by Grouping, o Options) ([]Prediction, error) {
	if err := check(records); err != nil {
		return nil, err
	}
	rowOf, _, err := merge(records)
	if err != nil {
		return nil, err
	}
	groups := measuredOnly(records, groupsOf(records, by, rowOf))
	out := make([]Prediction, len(records))
	o.Recipe = "" // a group may take the one asked for with it
	progress := o.Progress
	o.Progress = nil
	var done atomic.Int64
	err = inParallel(len(groups), func(i int) error {
		err := holdOut(out, records, groups[i], o)
		if err != nil {
			return fmt.Errorf("without group %q: %w", by(groups[i][0], &records[groups[i][0]]), err)
		}
		if progress != nil {
			progress(int(done.Add(1)), len(groups))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// holdOut stores the predictions of the group by a predictor trained on the rest.
func holdOut(out []Prediction, records []Record, group []int, o Options) error {
	var rest []Record
	for _, i := range without(len(records), group) {
		rest = append(rest, records[i])
	}
	p, err := Train(rest, o)
	if err != nil {
		return err
	}
	held := make([]Record, len(group))
	for i, r := range group {
		held[i] = records[r]
	}
	predictions, err := p.PredictRecords(held)
	for i, r := range group {
		if err == nil {
			out[r] = predictions[i]
		}
	}
	return err
}

// PredictRecords predicts the networks of records as they were trained, whatever
// accuracy they had. A recipe that the predictor does not know is predicted as an
// unknown one: mean over recipes, wide intervals. An unknown dataset is an error.
func (p *Predictor) PredictRecords(records []Record) ([]Prediction, error) {
	out := make([]Prediction, len(records))
	type batchOf struct {
		task     int
		training Training
	}
	batches := make(map[batchOf]*Batch)
	var g arch.Graph
	for i := range records {
		r := &records[i]
		task, t, err := p.trainingOf(r)
		if err != nil {
			return nil, err
		}
		of := batchOf{task, t}
		b := batches[of]
		if b == nil {
			b = p.batch(task, t)
			batches[of] = b
		}
		if err := r.Network.Lower(&g); err != nil {
			return nil, r.errorf("network %q: %w", r.Network.Name, err)
		}
		if err := b.Add(r.Network, &g); err != nil {
			return nil, r.errorf("%w", err)
		}
		out[i] = b.Predict()[0]
	}
	return out, nil
}

// trainingOf returns how the record's network was trained, and its task.
func (p *Predictor) trainingOf(r *Record) (task int, t Training, err error) {
	t = Training{Dataset: r.Dataset, Recipe: r.Recipe, Epochs: r.Epochs}
	if task, err = p.task(r.Recipe); err != nil {
		task, t.Recipe = unknownTask, ""
	}
	if t, err = p.complete(t); err != nil {
		return 0, t, r.errorf("%w", err)
	}
	return task, t, nil
}

// Comparable returns the measured records, with their predictions, whose recipe at
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
		if count[records[i].Recipe] > 1 && !records[i].Derived {
			p, r = append(p, predictions[i]), append(r, records[i])
		}
	}
	return p, r
}
