package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"
)

// A prior is what is believed of a hyper-parameter before the records speak:
// its logarithm is normal around that of the median, with this spread.
type prior struct{ median, spread float64 }

// The priors are weak, a factor of e either way is one standard deviation, and
// hold back only what the records say nothing about: an input that is the same
// in nearly all of them has no length scale of its own. Their medians are round
// numbers for logarithms of errors: networks differ by tens of percents of the
// error, recipes by some, one training from the next by one; and the error is
// smooth in an input. Two records are farther apart the more inputs there are, by the
// square root of their number, so that length scales are in proportion to it.
// There are many length scales, so that a hundred records are soon explained by
// wrong ones: their prior is the strongest.
var (
	signalPrior     = prior{0.3, 1}
	taskPrior       = prior{0.05, 1} // of both TaskLevel and TaskSignal
	taskLengthPrior = prior{1, 1}
	noisePrior      = prior{0.01, 1}
	slopePrior      = prior{0.1, 1}

	// A network of two block types in equal shares, whose mixedInput is 0.5, is
	// then wrong by an eighth: rather less known than one of a type that no record
	// has. Leaving out each type of the published networks shows errors that are
	// wrong by 7 %. It is a belief, which no record supports or refutes.
	mixedPrior = prior{0.25, 1}
)

func lengthPrior(inputs int) prior { return prior{3 * math.Sqrt(float64(inputs)), 0.7} }

// level is the prior standard deviation of the mean. Targets are centred, so
// it matters no more than that it is wide.
const level = 1

// trainGP fits the hyper-parameters and conditions the process on the sample.
//
// They maximise the sum of
//
//   - the log marginal likelihood (Rasmussen and Williams 2006, equation 5.8),
//   - the log likelihood of each group of records given all other groups
//     (section 5.4.2, where the groups are single records), and
//   - the log prior.
//
// The first alone is content with predicting a network from its close
// relatives, of which it finds some for almost every record, and so believes too
// much far from the records. That is where a search goes. The second asks for
// honest predictions of networks unlike all others. With one group, there are
// no others, and the first has to do.
//
// What is left is that the hyper-parameters themselves are uncertain, which the
// process ignores: calibrate widens its intervals for it.
//
// Only measured records decide; where there are more than maxFitted, so many
// drawn at random. All are conditioned on.
func trainGP(raw sample, seed uint64) (trained, error) {
	measured := raw.measured()
	h, optimum, err := fitRaw(measured.some(maxFitted, seed))
	if err != nil {
		return trained{}, err
	}
	if h.Widening, err = calibrate(raw.calibrating(seed), h, optimum); err != nil {
		return trained{}, err
	}
	h.round()
	s, by := raw.standardised()
	m, err := conditioned(h, s, by)
	if err != nil {
		return trained{}, err
	}
	t := trained{model: m}
	if _, ok := m.(closedForm); !ok {
		held, err := holdOutFolds(raw, randomFolds(raw.len(), validationFolds, seed), func(rest sample) (model, error) {
			s, by := rest.standardised()
			return conditioned(h, s, by)
		})
		if err != nil {
			return trained{}, err
		}
		t.unseen = meansOf(held, raw.len())
	}
	return t, nil
}

// trainUncalibrated is trainGP without widening.
func trainUncalibrated(raw sample, seed uint64) (model, error) {
	measured := raw.measured()
	h, _, err := fitRaw(measured.some(maxFitted, seed))
	if err != nil {
		return nil, err
	}
	s, by := raw.standardised()
	return conditioned(h, s, by)
}

// some returns at most n records of the sample, drawn at random.
func (s *sample) some(n int, seed uint64) sample {
	if s.len() <= n {
		return *s
	}
	which := rand.New(rand.NewPCG(seed, 0)).Perm(s.len())[:n]
	slices.Sort(which)
	return s.rows(which)
}

// calibrating returns the rows that calibrate works on: measured ones and
// derived ones, at most maxCalibrated of each, drawn at random.
func (s *sample) calibrating(seed uint64) sample {
	var derived []int
	for i, d := range s.derived {
		if d {
			derived = append(derived, i)
		}
	}
	draw := func(rows []int) []int {
		if len(rows) <= maxCalibrated {
			return rows
		}
		which := rand.New(rand.NewPCG(seed, 0)).Perm(len(rows))[:maxCalibrated]
		for i, w := range which {
			which[i] = rows[w]
		}
		return which
	}
	which := append(draw(s.measuredRows()), draw(derived)...)
	slices.Sort(which)
	return s.rows(which)
}

// fitRaw fits the hyper-parameters to a sample that was not standardised.
func fitRaw(raw sample) (hyper, []float64, error) {
	s, _ := raw.standardised()
	optimum, err := fit(s, s.start())
	if err != nil {
		return hyper{}, nil, err
	}
	return hyperAt(optimum, s.columns), optimum, nil
}

// conditioned returns the process that has seen the sample: exactly, or where
// records are many through inducing points.
func conditioned(h hyper, s sample, by standard) (model, error) {
	if s.len() > maxExact {
		return newSparseGP(h, s, by)
	}
	return newGP(h, s, by)
}

// maxFitted is how many records decide about hyper-parameters at most, and
// maxCalibrated about the widening: time grows with the cube of their number. maxExact
// is how many records a process sees exactly.
const (
	maxFitted     = 800
	maxCalibrated = 300
	maxExact      = 2000
)

// start returns the medians of the priors.
func (s *sample) start() []float64 {
	var start []float64
	for _, p := range s.priors() {
		start = append(start, math.Log(p.median))
	}
	return start
}

// fit returns the logarithms of the hyper-parameters that L-BFGS finds from start.
func fit(s sample, start []float64) ([]float64, error) {
	o := objective{sample: s, priors: s.priors()}
	if groups := s.families(); len(groups) > 1 {
		o.groups = groups
	}
	return o.maximise(start)
}

// fixedHypers is how many hyper-parameters there are for any inputs.
const fixedHypers = 5

// priors returns the priors in the order of hyperAt.
func (s *sample) priors() []prior {
	lengths, slopes := hypersOf(s.columns)
	all := []prior{signalPrior, taskPrior, taskPrior, taskLengthPrior, noisePrior}
	all = append(all, slices.Repeat([]prior{slopePrior}, slopes)...)
	for _, c := range s.columns {
		if c.mixed {
			all[fixedHypers+c.slope] = mixedPrior
		}
	}
	return append(all, slices.Repeat([]prior{lengthPrior(len(s.columns))}, lengths)...)
}

// hyperAt returns the hyper-parameters with the given logarithms.
func hyperAt(logs []float64, columns []column) hyper {
	v := make([]float64, len(logs))
	for i := range v {
		v[i] = math.Exp(logs[i])
	}
	_, slopes := hypersOf(columns)
	return hyper{
		Level: level, Widening: 1, Signal: v[0], TaskLevel: v[1], TaskSignal: v[2], TaskLength: v[3], Noise: v[4],
		Slope: v[fixedHypers : fixedHypers+slopes], Length: v[fixedHypers+slopes:],
	}
}

// round keeps three significant digits, which are more than the records
// determine and fewer than the optimiser does, so that training gives the same
// on every machine.
func (h *hyper) round() {
	for _, v := range []*float64{&h.Signal, &h.TaskLevel, &h.TaskSignal, &h.TaskLength, &h.Noise, &h.Widening} {
		*v = significant(*v)
	}
	for _, list := range [][]float64{h.Slope, h.Length} {
		for i := range list {
			list[i] = significant(list[i])
		}
	}
}

// significant keeps three significant digits.
func significant(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64) // what FormatFloat writes
	return v
}

// An objective is what the hyper-parameters maximise.
type objective struct {
	sample sample
	groups [][]int
	priors []prior

	x        []float64 // where value and gradient are of
	value    float64
	gradient []float64
}

// maximise returns the place of the maximum that L-BFGS finds from start.
func (o *objective) maximise(start []float64) ([]float64, error) {
	problem := optimize.Problem{
		Func: func(x []float64) float64 { o.at(x); return -o.value },
		Grad: func(grad, x []float64) {
			o.at(x)
			for i, v := range o.gradient {
				grad[i] = -v
			}
		},
	}
	settings := &optimize.Settings{GradientThreshold: 1e-3, MajorIterations: 300}
	result, err := optimize.Minimize(problem, start, settings, &optimize.LBFGS{})
	if result == nil || math.IsInf(result.F, 0) || math.IsNaN(result.F) {
		if err == nil {
			err = errSingular
		}
		return nil, fmt.Errorf("predictor: fitting the hyper-parameters: %w", err)
	}
	// An error now is a line search that rounding ended, at the optimum to
	// more digits than are kept.
	return result.X, nil
}

// at evaluates the objective at x, unless it has just been.
func (o *objective) at(x []float64) {
	if slices.Equal(o.x, x) {
		return
	}
	o.x = append(o.x[:0], x...)
	h := hyperAt(x, o.sample.columns)
	by := mat.NewSymDense(o.sample.len(), nil) // derivatives by the covariance matrix
	value, err := o.likelihood(&h, by)
	if err != nil { // not there: the line search turns back
		o.value, o.gradient = math.Inf(-1), make([]float64, len(x))
		return
	}
	o.value = value
	o.gradient = o.sample.gradient(&h, by)
	for i, p := range o.priors {
		d := (x[i] - math.Log(p.median)) / p.spread
		o.value -= d * d / 2
		o.gradient[i] -= d / p.spread
	}
}

// likelihood returns the sum of the log likelihoods, without constants, and
// adds its derivatives by the elements of the covariance matrix K to by.
//
// With α = K⁻¹y, the marginal likelihood is -½ yᵀα - ½ log|K|, and its
// derivative ½ (ααᵀ - K⁻¹).
func (o *objective) likelihood(h *hyper, by *mat.SymDense) (float64, error) {
	if !h.valid(o.sample.columns) {
		return 0, errSingular
	}
	p, _, err := o.sample.condition(h)
	if err != nil {
		return 0, err
	}
	alpha := mat.NewVecDense(len(p.weights), p.weights)
	value := -mat.Dot(alpha, mat.NewVecDense(len(p.weights), o.sample.target))/2 - p.logDet/2
	by.ScaleSym(-0.5, p.inverse)
	by.SymRankOne(by, 0.5, alpha)

	sum := mat.NewVecDense(len(p.weights), nil) // Σ u of all groups
	for _, group := range o.groups {
		v, err := addLeftOut(p, group, sum, by)
		if err != nil {
			return 0, err
		}
		value += v
	}
	by.RankTwo(by, 0.5, alpha, sum)
	return value, nil
}

// addLeftOut returns the log likelihood of a group B of records given the
// others, and adds its derivatives by K: to by, except for ½ (αuᵀ + uαᵀ), of
// which it adds u to sum.
//
// With Q = K⁻¹, the posterior of the group's targets has the covariance
// C = Q_BB⁻¹ and leaves the residuals e = C α_B, so that the likelihood is
// -½ eᵀα_B - ½ log|C|. As dQ = -Q dK Q and dα = -Q dK α, its derivative is, with
// u = Q_:B e,
//
//	½ (αuᵀ + uαᵀ) - ½ uuᵀ - ½ Q_:B C Q_B:
func addLeftOut(p *posterior, group []int, sum *mat.VecDense, by *mat.SymDense) (float64, error) {
	b, err := newBlock(p, group)
	if err != nil {
		return 0, err
	}
	value := -b.logDet / 2
	columns := mat.NewDense(len(p.weights), len(group), nil)
	for j, r := range group {
		value -= b.residual[j] * p.weights[r] / 2
		for i := range p.weights {
			columns.Set(i, j, p.inverse.At(i, r))
		}
	}
	var factor mat.Cholesky
	if !factor.Factorize(b.covariance) {
		return 0, errSingular
	}
	var (
		u     mat.VecDense
		lower mat.TriDense
		half  mat.Dense // half halfᵀ = Q_:B C Q_B:
	)
	u.MulVec(columns, mat.NewVecDense(len(group), b.residual))
	sum.AddVec(sum, &u)
	factor.LTo(&lower)
	half.Mul(columns, &lower)
	by.SymRankOne(by, -0.5, &u)
	by.SymRankK(by, -0.5, &half)
	return value, nil
}
