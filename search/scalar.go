package search

import (
	"math"
	"math/rand/v2"

	"github.com/efficientnas/nas/pareto"
)

// A scale is the range of objectives over some points. With weights it makes one
// number of several objectives, by the hypervolume scalarisation of Golovin and
// Zhang, "Random hypervolume scalarizations for provable multi-objective black box
// optimization", ICML 2020: how far a point reaches, from a reference point that
// is worse than all, in the direction that the weights are. The hypervolume of a
// set is the mean, over all directions, of what its best reaches, to the power of
// the number of objectives and times a constant. So whoever looks for the best by
// weights that are drawn anew each time looks for all of the front, be it convex
// or not, and most where there is most to gain.
type scale struct{ best, worst []float64 }

const (
	// How far beyond the worst of the points the reference point is, in shares of
	// their range. Measured, any value from 0 to 0.3 does as well.
	beyondWorst = 0.1
	// How much the sum of the objectives counts beside the reach. It tells points
	// apart that reach as far; without it a search loses its way where many do.
	// Measured, any value from 0.01 to 0.1 does as well.
	augmentation = 0.1
)

func newScale(directions []pareto.Direction) scale {
	s := scale{make([]float64, len(directions)), make([]float64, len(directions))}
	for k, d := range directions {
		s.best[k], s.worst[k] = math.Inf(1), math.Inf(-1)
		if d == pareto.Maximize {
			s.best[k], s.worst[k] = s.worst[k], s.best[k]
		}
	}
	return s
}

// add widens the range to hold a point.
func (s *scale) add(point []float64, directions []pareto.Direction) {
	for k, x := range point {
		if directions[k] == pareto.Minimize {
			s.best[k], s.worst[k] = min(s.best[k], x), max(s.worst[k], x)
		} else {
			s.best[k], s.worst[k] = max(s.best[k], x), min(s.worst[k], x)
		}
	}
}

// drawWeights returns a direction, uniformly distributed: positive weights whose
// squares sum up to 1.
func drawWeights(rng *rand.Rand, n int) []float64 {
	weights := make([]float64, n)
	sum := 0.
	for k := range weights {
		weights[k] = math.Abs(rng.NormFloat64())
		sum += weights[k] * weights[k]
	}
	for k := range weights {
		weights[k] /= math.Sqrt(sum)
	}
	return weights
}

// reach returns how good a point is by the weights; more is better.
func (s *scale) reach(point, weights []float64) float64 {
	reach, sum := math.Inf(1), 0.
	for k, x := range point {
		beyond := 1 + beyondWorst // the reference point, in shares of the range
		if s.worst[k] != s.best[k] {
			beyond -= (x - s.best[k]) / (s.worst[k] - s.best[k])
		}
		reach, sum = min(reach, beyond/weights[k]), sum+beyond
	}
	return reach + augmentation*sum
}

// A merit says how good an evaluation is, by Deb's rules and by weights.
type merit struct {
	class int     // 2 if feasible, 1 if infeasible, 0 if failed
	value float64 // among those of the class; more is better
}

func (s *scale) merit(e Evaluation, weights []float64) merit {
	switch {
	case e.feasible():
		return merit{2, s.reach(e.Objectives, weights)}
	case e.Err == nil:
		return merit{1, -e.Violation}
	}
	return merit{}
}

func (a merit) better(b merit) bool {
	return a.class > b.class || a.class == b.class && a.value > b.value
}
