package predictor

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/arch"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// An Importance is how much a predictor relies on an input, or on all inputs
// that one gene gives.
type Importance struct {
	Input string // the name of a feature, the path of a gene, "recipe", "dataset" or "log_epochs"

	// By how much the RMSE rises, in fractions of 1, and Kendall's tau falls when
	// the input is permuted: mean and standard deviation of the permutations.
	RMSE, RMSESD       float64
	Kendall, KendallSD float64

	// Length is the length scale that a Gaussian process has for the input, in
	// standard deviations of the records it was trained on; of a gene's inputs
	// the shortest. 0 if there is none.
	Length float64
}

// permutations is how often each input is permuted.
const permutations = 10

// maxExplained is how many records an importance is of at most.
const maxExplained = 400

// Importance tells which inputs the predictor relies on, the most important
// first: those without which its predictions of the records become worse. It
// permutes the values of one input among the records, which leaves how they are distributed
// but takes away what they tell, and predicts again (Breiman 2001, Random
// Forests, section 10), repeatedly; all inputs of one gene, and the products
// they have a part in, move together. Of more than 400 records, so many drawn at
// random decide.
//
// Inputs that tell the same share their importance, and each of them can seem
// unimportant: MACs, parameters and depth do so, since large networks have more
// of everything. And permuting makes networks that there are not, such as
// some with the MACs of one and the parameters of another, for which predictions are
// extrapolated. So a high importance says that the predictor needs the
// input, but a low one not that accuracy does not depend on it.
//
// The predictor may have seen the records. Then it says what it relies on; of others
// what helped. It does not need the interval's width to be right. The same
// predictor, records and seed give the same importances.
func (p *Predictor) Importance(records []Record, seed uint64) ([]Importance, error) {
	records = pick(records, measured(records))
	if len(records) < 2 {
		return nil, fmt.Errorf("predictor: %d measured records; permuting needs at least 2", len(records))
	}
	if len(records) > maxExplained {
		which := rand.New(rand.NewPCG(seed, 0)).Perm(len(records))[:maxExplained]
		slices.Sort(which)
		records = pick(records, which)
	}
	s, err := p.encodeRecords(records)
	if err != nil {
		return nil, err
	}
	rmse, tau := p.score(&s, records)
	groups := p.layout.groups()
	if len(distinct(records, func(r *Record) string { return r.Recipe })) > 1 && len(p.recipes) > 1 {
		groups = append(groups, inputGroup{name: "recipe", task: true})
	}
	lengths := p.standardLengths()
	out := make([]Importance, len(groups))
	err = inParallel(len(groups), func(g int) error {
		group := &groups[g]
		rises, falls := make([]float64, permutations), make([]float64, permutations)
		for k := range permutations {
			permuted := s.permuted(p.layout, group, rand.New(rand.NewPCG(seed, uint64(g+1)<<16+uint64(k))).Perm(s.len()))
			r, t := p.score(&permuted, records)
			rises[k], falls[k] = r-rmse, tau-t
		}
		i := Importance{Input: group.name}
		i.RMSE, i.RMSESD = stat.MeanStdDev(rises, nil)
		i.Kendall, i.KendallSD = stat.MeanStdDev(falls, nil)
		for _, c := range group.columns {
			if lengths != nil && !math.IsInf(lengths[c], 1) && (i.Length == 0 || lengths[c] < i.Length) {
				i.Length = lengths[c]
			}
		}
		out[g] = i
		return nil
	})
	slices.SortStableFunc(out, func(a, b Importance) int { return cmp.Compare(b.RMSE, a.RMSE) })
	return out, err
}

// score returns the error and the rank correlation of what is predicted for the
// sample's inputs.
func (p *Predictor) score(s *sample, records []Record) (rmse, tau float64) {
	predicted, measured := make([]float64, s.len()), make([]float64, s.len())
	for i, m := range predictTasks(p.model, *s) {
		// The median, which the mean of the error differs from by its variance alone.
		predicted[i], measured[i] = max(0, 1-math.Exp(p.origin+m)), records[i].Accuracy
		d := predicted[i] - measured[i]
		rmse += d * d / float64(s.len())
	}
	return math.Sqrt(rmse), orZero(KendallTau(predicted, measured))
}

// encodeRecords returns the inputs and tasks of records, without targets.
func (p *Predictor) encodeRecords(records []Record) (sample, error) {
	n := len(records)
	s := sample{
		z: mat.NewDense(max(1, n), len(p.layout.columns), nil), columns: p.layout.columns,
		task: make([]int, n), derived: make([]bool, n), target: make([]float64, n), noise: make([]float64, n),
	}
	e := p.layout.newEncoder()
	var g arch.Graph
	for i := range records {
		r := &records[i]
		task, t, err := p.trainingOf(r)
		if err != nil {
			return s, err
		}
		if err := r.Network.Lower(&g); err != nil {
			return s, r.errorf("network %q: %w", r.Network.Name, err)
		}
		if err := e.encode(s.z.RawRowView(i), r.Network, &g, t); err != nil {
			return s, r.errorf("%w", err)
		}
		s.task[i] = task
	}
	return s, nil
}

// An inputGroup is inputs that are permuted together.
type inputGroup struct {
	name    string
	columns []int
	task    bool // the recipe instead
}

// groups returns the inputs one by one, but those of one gene together, and of
// all datasets. Products of others are none of their own.
func (l *layout) groups() []inputGroup {
	var groups []inputGroup
	at := 0
	for range l.features {
		groups = append(groups, inputGroup{name: l.names[at], columns: []int{at}})
		at++
	}
	if l.mixed {
		groups = append(groups, inputGroup{name: mixedInput, columns: []int{at}})
		at++
	}
	for i, g := range l.genes {
		if i == 0 || g.slot != l.genes[i-1].slot {
			groups = append(groups, inputGroup{name: l.plan.Slots[g.slot].Path})
		}
		last := &groups[len(groups)-1]
		last.columns = append(last.columns, at)
		at++
	}
	at += len(l.pairs)
	if n := len(l.datasets); n > 1 {
		g := inputGroup{name: "dataset"}
		for range n {
			g.columns = append(g.columns, at)
			at++
		}
		groups = append(groups, g)
	}
	if l.epochs {
		groups = append(groups, inputGroup{name: epochsInput, columns: []int{at}})
	}
	return groups
}

// permuted returns the sample in which record i has the inputs of the group that
// record from[i] had.
func (s *sample) permuted(l *layout, group *inputGroup, from []int) sample {
	out := *s
	if group.task {
		out.task = pick(s.task, from)
		return out
	}
	out.z = mat.DenseCopyOf(s.z)
	pairs := len(l.features) + len(l.genes)
	if l.mixed {
		pairs++
	}
	for i, f := range from {
		row := out.z.RawRowView(i)
		for _, c := range group.columns {
			row[c] = s.z.At(f, c)
		}
		for k, p := range l.pairs {
			row[pairs+k] = row[p[0]] * row[p[1]]
		}
	}
	return out
}

// standardLengths returns the length scale of each input in standard deviations,
// or nil if the model has none.
func (p *Predictor) standardLengths() []float64 {
	m, ok := p.model.(metric)
	if !ok {
		return nil
	}
	lengths := slices.Clone(m.lengths())
	all := p.sample(nil)
	s := all.measured()
	by := newStandard(s.z, s.columns)
	for c := range lengths {
		lengths[c] /= by.scale[c]
	}
	return lengths
}

// Seen reports of each record whether the predictor has learnt from one of the
// same recipe and inputs: of the same network, as far as the predictor can tell.
func (p *Predictor) Seen(records []Record) ([]bool, error) {
	s, err := p.encodeRecords(records)
	if err != nil {
		return nil, err
	}
	key := func(task int, inputs []float64) string {
		b := make([]byte, 0, 8*len(inputs)+8)
		for _, v := range append([]float64{float64(task)}, inputs...) {
			bits := math.Float64bits(rounded(v) + 0) // -0 is 0
			for shift := range 8 {
				b = append(b, byte(bits>>(8*shift)))
			}
		}
		return string(b)
	}
	known := make(map[string]bool, len(p.rows))
	for i := range p.rows {
		known[key(p.rows[i].Task, p.rows[i].Inputs)] = true
	}
	seen := make([]bool, len(records))
	for i := range seen {
		seen[i] = known[key(s.task[i], s.z.RawRowView(i))]
	}
	return seen, nil
}

// LeaveOneOut says how good the predictor is on its own records, each taken out of
// it in closed form, as [LeaveOut] does, without training again; repeated records are one.
// Those whose recipe no other has stay apart. It returns false if the model
// has no closed form, or if there is nothing to compare.
func (p *Predictor) LeaveOneOut() (q Quality, apart int, ok bool) {
	m, ok := p.model.(closedForm)
	if !ok {
		return Quality{}, 0, false
	}
	predictions, records := make([]Prediction, len(p.rows)), make([]Record, len(p.rows))
	for i := range p.rows {
		var mean, variance [1]float64
		if err := m.leaveOut([]int{i}, mean[:], variance[:]); err != nil {
			return Quality{}, 0, false
		}
		predictions[i] = newPrediction(p.origin+mean[0], variance[0])
		records[i] = Record{Accuracy: 1 - math.Exp(p.rows[i].Target), Recipe: p.recipes[p.rows[i].Task], Derived: p.rows[i].Derived}
	}
	all := len(measured(records))
	predictions, records = Comparable(predictions, records)
	if len(records) < 2 {
		return Quality{}, all, false
	}
	q, err := Assess(predictions, records)
	return q, all - len(records), err == nil
}
