package predictor

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"
)

// A temper makes the variance of a model honest that says only how much it
// doubts itself, as ensembles and regressions do. The variance of a target is
//
//	Noise² + Widening spread + Reach² (1 - M)
//
// where spread is the model's own variance, and M the Matern function of the
// distance to the nearest record: trees, for one, know nothing of what lies
// beyond the records. The three are those under which records are
// likeliest that the model was not shown, some of them drawn at random, and
// others whole families.
type temper struct {
	Noise    float64 `json:"noise"`
	Widening float64 `json:"widening"`
	Reach    float64 `json:"reach"`
}

func (t *temper) valid() bool {
	ok := true
	for _, v := range []float64{t.Noise, t.Widening, t.Reach} {
		ok = ok && v >= 0 && v < 1e6
	}
	return ok && t.Noise > 0
}

func (t *temper) variance(spread, far float64) float64 {
	return t.Noise*t.Noise + t.Widening*max(0, spread) + t.Reach*t.Reach*far
}

// tempered is a model under a temper.
type tempered struct {
	bare     model
	temper   temper
	single   float64 // see sample
	distance distance
}

// trainTempered trains a model of the kind, and once more for each fold that
// the temper is learnt from.
func trainTempered(kind Model, s sample, seed uint64) (trained, error) {
	bare, err := trainBare(kind, s, seed)
	if err != nil {
		return trained{}, err
	}
	folds := append(randomFolds(s.len(), validationFolds, seed), familyFolds(&s)...)
	folds = slices.DeleteFunc(folds, func(f []int) bool { return s.len()-len(f) < MinRecords/2 }) // the rest say nothing
	held, err := holdOutFolds(s, folds, func(rest sample) (model, error) { return trainBare(kind, rest, seed) })
	if err != nil {
		return trained{}, err
	}
	// Each record comes first from the random folds.
	return trained{model: newTempered(bare, fitTemper(held, &s), s), unseen: meansOf(held[:s.len()], s.len())}, nil
}

func newTempered(bare model, t temper, s sample) *tempered {
	return &tempered{bare, t, s.single, newDistance(&s)}
}

func (t *tempered) len() int { return t.bare.len() }

func (t *tempered) state() modelState {
	s := t.bare.state()
	s.Temper = &t.temper
	return s
}

type temperedSession struct {
	*tempered
	bare session
}

func (t *tempered) session(task int) session { return &temperedSession{t, t.bare.session(task)} }

func (s *temperedSession) predict(mean, variance []float64, x blas64.General) {
	s.bare.predict(mean, variance, x)
	for i := range x.Rows {
		far := 0.
		if s.temper.Reach > 0 {
			far = 1 - s.distance.similarity(x.Data[i*x.Stride:i*x.Stride+x.Cols])
		}
		variance[i] = s.single + s.temper.variance(variance[i], far)
	}
}

// A distance tells how far inputs are from the nearest of some records, where a
// model has no length scales of its own.
type distance struct {
	records *mat.Dense
	scale   []float64
}

// maxLandmarks is how many records a distance looks at.
const maxLandmarks = 500

func newDistance(s *sample) distance {
	n := min(s.len(), maxLandmarks)
	d := distance{mat.NewDense(n, s.inputs(), nil), defaultLengths(s)}
	for i := range n {
		row := d.records.RawRowView(i)
		copy(row, s.z.RawRowView(i*s.len()/n))
		for c := range row {
			row[c] /= d.scale[c]
		}
	}
	return d
}

// defaultLengths returns the length scales that a process would begin with.
func defaultLengths(s *sample) []float64 {
	by := newStandard(s.z, s.columns)
	for c := range by.scale {
		by.scale[c] *= lengthPrior(len(by.scale)).median
	}
	return by.scale
}

// similarity returns M for the record nearest to the inputs.
func (d *distance) similarity(x []float64) float64 {
	n, _ := d.records.Dims()
	nearest := math.Inf(1)
	for i := range n {
		sum := 0.
		for c, v := range d.records.RawRowView(i) {
			delta := x[c]/d.scale[c] - v
			sum += delta * delta
		}
		nearest = min(nearest, sum)
	}
	m, _ := matern(math.Sqrt(5 * nearest))
	return m
}

// A heldOut is a prediction for a record that the model was not shown.
type heldOut struct {
	row          int
	mean, spread float64
	far          float64 // 1 - M
}

// validationFolds is how many folds are drawn at random, to choose a model and
// to learn how much to believe it.
const validationFolds = 5

// randomFolds returns the numbers below n in k folds.
func randomFolds(n, k int, seed uint64) [][]int {
	folds := make([][]int, min(n, k))
	for i, r := range rand.New(rand.NewPCG(seed, 1)).Perm(n) {
		folds[i%len(folds)] = append(folds[i%len(folds)], r)
	}
	return folds
}

// familyFolds returns the families in at most calibrationFolds folds; none if
// there is one family.
func familyFolds(s *sample) [][]int {
	families := s.families()
	if len(families) < 2 {
		return nil
	}
	folds := make([][]int, min(len(families), calibrationFolds))
	for f, members := range families {
		folds[f%len(folds)] = append(folds[f%len(folds)], members...)
	}
	return folds
}

// holdOutFolds predicts each fold by a model of all records but those of the
// fold.
func holdOutFolds(s sample, folds [][]int, train func(sample) (model, error)) ([]heldOut, error) {
	held := make([][]heldOut, len(folds))
	err := inParallel(len(folds), func(i int) error {
		rest := s.rows(without(s.len(), folds[i]))
		m, err := train(rest)
		if err != nil {
			return err
		}
		near := newDistance(&rest)
		for _, r := range folds[i] {
			mean, spread := predictRow(m, s.task[r], s.z.RawRowView(r))
			held[i] = append(held[i], heldOut{r, mean, spread, 1 - near.similarity(s.z.RawRowView(r))})
		}
		return nil
	})
	var all []heldOut
	for _, h := range held {
		all = append(all, h...)
	}
	return all, err
}

// meansOf returns the means by row.
func meansOf(held []heldOut, rows int) []float64 {
	means := make([]float64, rows)
	for _, h := range held {
		means[h.row] = h.mean
	}
	return means
}

// fitTemper returns the likeliest temper.
func fitTemper(held []heldOut, s *sample) temper {
	at := func(x []float64) temper { return temper{math.Exp(x[0]), math.Exp(x[1]), math.Exp(x[2])} }
	value := func(x []float64) float64 {
		t := at(x)
		// Weak: a factor of 30 either way is one standard deviation.
		sum := 0.
		for i, v := range []float64{math.Log(0.05), 0, math.Log(0.1)} {
			d := (x[i] - v) / math.Log(30)
			sum += d * d / 2
		}
		for _, h := range held {
			e := s.target[h.row] - h.mean
			sum -= logDensity(e*e, s.noise[h.row]+t.variance(h.spread, h.far))
		}
		if math.IsNaN(sum) {
			return math.Inf(1)
		}
		return sum
	}
	start := []float64{math.Log(0.05), 0, math.Log(0.1)}
	result, err := optimize.Minimize(optimize.Problem{Func: value}, start, &optimize.Settings{FuncEvaluations: 1000}, &optimize.NelderMead{})
	if err != nil && result == nil {
		return at(start)
	}
	t := at(result.X)
	for _, v := range []*float64{&t.Noise, &t.Widening, &t.Reach} {
		*v = significant(*v)
	}
	return t
}
