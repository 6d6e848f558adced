package predictor

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
)

// calibrationFolds is how often calibrate trains at most.
const calibrationFolds = 10

// calibrate returns by how much to multiply the variance that the process gives
// its function, apart from the noise, to make its intervals honest, at least 1.
//
// It leaves out the families of records, a few at a time where they are many,
// learns everything anew from the others, beginning at the optimum of all, and
// takes the factor under which what was left out is likeliest. Hyper-parameters
// that were chosen with a family in sight predict it with more confidence
// than is due; these were not. If there is only one family, it leaves out a tenth of
// the records at a time; or, where these are many, so that they determine the
// hyper-parameters well, one by one in closed form. Derived records leave with
// their families, but only measured ones count.
func calibrate(s sample, h hyper, optimum []float64) (float64, error) {
	families := slices.DeleteFunc(s.families(), func(f []int) bool { // none of it would count
		return !slices.ContainsFunc(f, func(r int) bool { return !s.derived[r] })
	})
	if len(families) == 1 && s.len() > manyRecords {
		return calibrateClosed(s, h)
	}
	folds := make([][]int, calibrationFolds)
	for f, members := range families {
		for i, r := range members {
			if len(families) == 1 {
				f = i
			}
			folds[f%calibrationFolds] = append(folds[f%calibrationFolds], r)
		}
	}
	folds = slices.DeleteFunc(folds, func(f []int) bool { return len(f) == 0 })

	squares, variance, noise := make([]float64, s.len()), make([]float64, s.len()), make([]float64, s.len())
	err := inParallel(len(folds), func(i int) error {
		p, err := trainWithout(s, folds[i], optimum)
		if err != nil {
			return err
		}
		for _, r := range folds[i] {
			m, v := predictRow(p, s.task[r], s.z.RawRowView(r))
			squares[r] = (s.target[r] - m) * (s.target[r] - m)
			noise[r] = p.hyper.Noise * p.hyper.Noise
			variance[r] = v - noise[r] - s.single
			noise[r] += s.noise[r]
		}
		return nil
	})
	if err != nil {
		return 0, err
	}

	measured := s.measuredRows()
	return honestWidening(pick(squares, measured), pick(variance, measured), pick(noise, measured)), nil
}

// manyRecords determine the hyper-parameters so well that leaving out a tenth
// hardly changes them.
const manyRecords = 200

func calibrateClosed(raw sample, h hyper) (float64, error) {
	s, by := raw.standardised()
	p, err := newGP(h, s, by)
	if err != nil {
		return 0, err
	}
	n := s.len()
	squares, variance, noise := make([]float64, n), make([]float64, n), make([]float64, n)
	for r := range n {
		var m, v [1]float64
		if err := p.leaveOut([]int{r}, m[:], v[:]); err != nil {
			return 0, err
		}
		squares[r] = (s.target[r] - m[0]) * (s.target[r] - m[0])
		noise[r] = h.variance(&s, r)
		variance[r] = v[0] - noise[r]
	}
	measured := s.measuredRows()
	return honestWidening(pick(squares, measured), pick(variance, measured), pick(noise, measured)), nil
}

// honestWidening returns the factor on the variances, from 1 to 100, under which
// the squared errors are likeliest; or the greater one from which on the central
// 90 % intervals hold 90 % of them, but for a standard error: errors have longer
// tails than a normal distribution, on which the likelihood does not insist.
func honestWidening(squares, variance, noise []float64) float64 {
	const step, most = 1.02, 100
	best, bestValue, holds := 1., math.Inf(-1), false
	for factor := 1.; factor < most; factor *= step {
		var value float64
		inside := 0
		for r := range squares {
			v := noise[r] + factor*variance[r]
			value += logDensity(squares[r], v)
			if squares[r] <= quantile95*quantile95*v {
				inside++
			}
		}
		if value > bestValue || !holds {
			best, bestValue = factor, max(value, bestValue)
		}
		n := float64(len(squares))
		holds = float64(inside) >= 0.9*n-math.Sqrt(0.9*0.1*n)
	}
	return best
}

// quantile95 is that of the standard normal distribution.
const quantile95 = 1.6448536269514722

// trainWithout fits and conditions a process on the records that are not in fold.
func trainWithout(s sample, fold []int, start []float64) (*gp, error) {
	rest := s.rows(without(s.len(), fold))
	standardised, by := rest.standardised()
	x, err := fit(standardised.measured(), start)
	if err != nil {
		return nil, err
	}
	return newGP(hyperAt(x, s.columns), standardised, by)
}

// without returns the numbers below n that are not in fold.
func without(n int, fold []int) []int {
	out := make([]bool, n)
	for _, r := range fold {
		out[r] = true
	}
	var rest []int
	for i := range n {
		if !out[i] {
			rest = append(rest, i)
		}
	}
	return rest
}

// inParallel calls f for all numbers below n, on all cores, and returns the
// error of the first that has one.
func inParallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	tokens := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range n {
		tokens <- struct{}{}
		wg.Go(func() {
			errs[i] = f(i)
			<-tokens
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
