package predictor

import (
	"fmt"
	"math"
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
// smooth in a feature, so that a length scale spans several of its standard
// deviations.
var (
	slopePrior  = prior{0.1, 1}
	signalPrior = prior{0.3, 1}
	taskPrior   = prior{0.05, 1} // of both TaskLevel and TaskSignal
	noisePrior  = prior{0.01, 1}
	lengthPrior = prior{6, 1}
)

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
func trainGP(raw sample, groups [][]int) (*gp, error) {
	s, by := raw.standardised()
	start := make([]float64, 0, 32)
	for _, p := range priors(s.inputs()) {
		start = append(start, math.Log(p.median))
	}
	optimum, err := fit(s, groups, start)
	if err != nil {
		return nil, err
	}
	widening, err := calibrate(raw, groups, optimum)
	if err != nil {
		return nil, err
	}
	h := hyperAt(optimum)
	h.Widening = widening
	h.round()
	return newGP(h, s, by)
}

// fit returns the logarithms of the hyper-parameters that L-BFGS finds from start.
func fit(s sample, groups [][]int, start []float64) ([]float64, error) {
	o := objective{sample: s, priors: priors(s.inputs())}
	if len(groups) > 1 {
		o.groups = groups
	}
	return o.maximise(start)
}

// priors returns the priors in the order of hyperAt.
func priors(inputs int) []prior {
	return append([]prior{slopePrior, signalPrior, taskPrior, taskPrior, noisePrior},
		slices.Repeat([]prior{lengthPrior}, inputs)...)
}

// hyperAt returns the hyper-parameters with the given logarithms, in the order
// of sample.gradient.
func hyperAt(logs []float64) hyper {
	v := make([]float64, len(logs))
	for i := range v {
		v[i] = math.Exp(logs[i])
	}
	return hyper{Level: level, Widening: 1, Slope: v[0], Signal: v[1], TaskLevel: v[2], TaskSignal: v[3], Noise: v[4], Length: v[5:]}
}

// round keeps three significant digits, which are more than the records
// determine and fewer than the optimiser does, so that training gives the same
// on every machine.
func (h *hyper) round() {
	keep := func(v *float64) {
		*v, _ = strconv.ParseFloat(strconv.FormatFloat(*v, 'e', 2, 64), 64) // what FormatFloat writes
	}
	for _, v := range []*float64{&h.Slope, &h.Signal, &h.TaskLevel, &h.TaskSignal, &h.Noise, &h.Widening} {
		keep(v)
	}
	for i := range h.Length {
		keep(&h.Length[i])
	}
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
	settings := &optimize.Settings{GradientThreshold: 1e-3, MajorIterations: 1000}
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
	h := hyperAt(x)
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
	if !h.valid(len(h.Length)) {
		return 0, errSingular
	}
	p, err := newGP(*h, o.sample, standard{})
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
func addLeftOut(p *gp, group []int, sum *mat.VecDense, by *mat.SymDense) (float64, error) {
	b, err := newBlock(p.inverse, p.weights, group)
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
