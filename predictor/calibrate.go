package predictor

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// calibrationFolds is how often calibrate trains at most.
const calibrationFolds = 10

// calibrate returns by how much to multiply the variance that the process gives
// its function, apart from the noise, to make its intervals honest, at least 1.
//
// It leaves out the groups of records, a few at a time where they are many,
// learns everything anew from the others, beginning at the optimum of all, and
// takes the factor under which what was left out is likeliest. Hyper-parameters
// that were chosen with a group in sight predict it with more confidence
// than is due; these were not. If there is only one group, it leaves out a tenth of
// the records at a time.
func calibrate(s sample, groups [][]int, optimum []float64) (float64, error) {
	groupOf := make([]int, s.len())
	for g, members := range groups {
		for i, r := range members {
			groupOf[r] = g
			if len(groups) == 1 {
				groupOf[r] = i
			}
		}
	}
	folds := make([][]int, calibrationFolds)
	for r, g := range groupOf {
		folds[g%calibrationFolds] = append(folds[g%calibrationFolds], r)
	}
	folds = slices.DeleteFunc(folds, func(f []int) bool { return len(f) == 0 })

	squares, variance, noise := make([]float64, s.len()), make([]float64, s.len()), make([]float64, s.len())
	errs := make([]error, len(folds))
	tokens := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, fold := range folds {
		tokens <- struct{}{}
		wg.Go(func() {
			defer func() { <-tokens }()
			p, err := trainWithout(s, fold, groupOf, optimum)
			if err != nil {
				errs[i] = err
				return
			}
			for _, r := range fold {
				var m, v [1]float64
				row := s.z.RawRowView(r)
				p.session(s.task[r]).predict(m[:], v[:], blas64.General{Rows: 1, Cols: len(row), Stride: len(row), Data: row})
				squares[r] = (s.target[r] - m[0]) * (s.target[r] - m[0])
				noise[r] = p.hyper.Noise * p.hyper.Noise
				variance[r] = v[0] - noise[r]
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}

	const step, most = 1.02, 100
	best, bestValue := 1., math.Inf(-1)
	for factor := 1.; factor < most; factor *= step {
		var value float64
		for r := range squares {
			v := noise[r] + factor*variance[r]
			value -= squares[r]/v + math.Log(v)
		}
		if value > bestValue {
			best, bestValue = factor, value
		}
	}
	return best, nil
}

// trainWithout fits and conditions a process on the records that are not in fold.
func trainWithout(s sample, fold, groupOf []int, start []float64) (*gp, error) {
	rest := sample{trend: s.trend}
	var rows []float64
	index := make(map[int]int) // of the groups that are left
	var groups [][]int
	for r := range s.len() {
		if slices.Contains(fold, r) {
			continue
		}
		at, ok := index[groupOf[r]]
		if !ok {
			at = len(groups)
			index[groupOf[r]] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], rest.len())
		rows = append(rows, s.z.RawRowView(r)...)
		rest.task, rest.target = append(rest.task, s.task[r]), append(rest.target, s.target[r])
	}
	rest.z = mat.NewDense(rest.len(), s.inputs(), rows)
	standardised, by := rest.standardised()
	x, err := fit(standardised, groups, start)
	if err != nil {
		return nil, err
	}
	return newGP(hyperAt(x), standardised, by)
}
