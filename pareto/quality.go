package pareto

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Knee returns the index of the knee of a front, the point from which every
// step along the front costs more than it gains, and its distance from the
// hyperplane of the corners.
//
// It is the knee of Das, "On characterizing the 'knee' of the Pareto curve based
// on normal-boundary intersection", Structural Optimization 18, 1999:
// the point of the front farthest from the hyperplane through the extremes,
// towards the ideal. Each objective is first scaled to 0 for the best value on
// the front and 1 for the worst, so that units do not matter. The hyperplane
// goes through the corners that are worst in one objective and best in all
// others. For two objectives those are the front's extremes, for more they need
// not be on the front.
//
// The distance is in scaled units, at most 1/√d for d objectives: 0.71 for two.
// It is 0 if no point is on the near side of the hyperplane, as on a
// concave front; then the knee is the point that comes nearest to it, for two
// objectives an extreme. Of points equally far, the one of least index is the
// knee. An objective that is equal on the whole front is passed over; if all are,
// the distance is 0.
//
// Points need not form a front: those that others dominate are passed over. It
// takes the time of [Fronts]. It returns an error if there are no points, or if
// Fronts would.
func Knee(points [][]float64, directions []Direction) (index int, distance float64, err error) {
	ranks, err := Ranks(nil, points, directions)
	if err != nil {
		return 0, 0, err
	}
	if len(points) == 0 {
		return 0, 0, errors.New("pareto: no points")
	}
	sums := make([]float64, len(points))
	varying := 0
	for k, d := range directions {
		best, worst := math.Inf(1), math.Inf(-1)
		for i, p := range points {
			if ranks[i] == 0 {
				c := d.cost(p[k]) / 2 // halved: no difference of finite values overflows
				best, worst = min(best, c), max(worst, c)
			}
		}
		if best == worst {
			continue
		}
		varying++
		for i, p := range points {
			sums[i] += (d.cost(p[k])/2 - best) / (worst - best)
		}
	}
	index = -1
	for i, sum := range sums {
		if ranks[i] == 0 && (index < 0 || sum < sums[index]) {
			index = i
		}
	}
	if varying > 0 {
		distance = max(0, (1-sums[index])/math.Sqrt(float64(varying)))
	}
	return index, distance, nil
}

// IGDPlus returns the modified inverted generational distance of Ishibuchi,
// Masuda, Tanigaki and Nojima, "Modified distance calculation in generational
// distance and inverted generational distance", EMO 2015: the mean,
// over the points of a reference front, of how far the nearest of points is from
// dominating it, counting only the objectives in which it is worse. It is 0 if
// every reference point is dominated or equalled; less is better, and a point
// that dominates another is never farther.
//
// Distances add up the objectives, and so need a common unit. Scale says for each
// objective, in its unit, how much counts as 1, such as 1 % of accuracy and 50
// million MACs. Nil counts the values as they are, as in the paper.
//
// It takes O(n·m) for n points and m reference points. It returns an error if
// points or reference is empty or Fronts would refuse them, or if scale has not
// one finite value above 0 for each objective. A distance too large for a float64
// is +Inf.
func IGDPlus(points, reference [][]float64, directions []Direction, scale []float64) (float64, error) {
	own, wanted, err := flattenBoth(points, reference, directions)
	if err != nil {
		return 0, err
	}
	d := len(directions)
	if scale == nil {
		scale = slices.Repeat([]float64{1}, d)
	}
	if err := CheckPoint(scale, d); err != nil {
		return 0, fmt.Errorf("scale: %w", err)
	}
	if i := slices.IndexFunc(scale, func(s float64) bool { return s <= 0 }); i >= 0 {
		return 0, fmt.Errorf("pareto: scale of objective %d is %v, want more than 0", i, scale[i])
	}
	if len(own) == 0 || len(wanted) == 0 {
		return 0, errors.New("pareto: no points")
	}
	var sum float64
	for at := 0; at < len(wanted); at += d {
		z := wanted[at : at+d]
		nearest := math.Inf(1)
		for row := own; len(row) >= d; row = row[d:] {
			var square float64
			for k, c := range z {
				if worse := (row[k] - c) / scale[k]; worse > 0 {
					square += worse * worse
				}
			}
			nearest = min(nearest, square)
		}
		sum += math.Sqrt(nearest)
	}
	return sum / float64(len(reference)), nil
}

// Coverage returns which share of the points of b, from 0 to 1, some point of a
// dominates or equals: the measure C(a, b) of Zitzler and Thiele, "Multiobjective
// evolutionary algorithms: a comparative case study and the strength Pareto
// approach", IEEE TEVC 3(4), 1999. Coverage(a, b) and Coverage(b, a)
// do not determine each other.
//
// If b is the true front of a benchmark, nothing dominates its points. Then
// Coverage is the share of them that a found exactly.
//
// n points in all take O(n log n) for up to three objectives, O(n²) for more. It
// returns an error if b is empty, or if [Fronts] would refuse a or b. An empty a
// covers nothing.
func Coverage(a, b [][]float64, directions []Direction) (float64, error) {
	own, other, err := flattenBoth(a, b, directions)
	if err != nil {
		return 0, err
	}
	if len(other) == 0 {
		return 0, errors.New("pareto: no points")
	}
	d := len(directions)
	all := slices.Concat(own, other)
	var steps stairs      // up to three objectives: the front of a so far, but for the first
	var earlier []float64 // more: all of a so far
	covers := 0
	// In lexicographic order, those of a first among equals, whatever dominates or
	// equals a point stands before it.
	for _, i := range order(all, d) {
		row := all[int(i)*d : (int(i)+1)*d]
		isOther := int(i) >= len(a)
		if d > 3 {
			if !isOther {
				earlier = append(earlier, row...)
			} else if anyCovers(earlier, row) {
				covers++
			}
			continue
		}
		var rest [2]float64
		copy(rest[:], row[1:])
		if !isOther {
			steps.add(-rest[0], -rest[1])
		} else if steps.covers(-rest[0], -rest[1]) {
			covers++
		}
	}
	return float64(covers) / float64(len(b)), nil
}

// anyCovers reports whether some row is nowhere more than cost.
func anyCovers(rows, cost []float64) bool {
next:
	for ; len(rows) >= len(cost); rows = rows[len(cost):] {
		for k, c := range cost {
			if rows[k] > c {
				continue next
			}
		}
		return true
	}
	return false
}

// flattenBoth flattens two sets and says in an error which of them is at fault.
func flattenBoth(a, b [][]float64, directions []Direction) (first, second []float64, err error) {
	if err := CheckDirections(directions); err != nil {
		return nil, nil, err
	}
	if first, err = flatten(a, directions); err != nil {
		return nil, nil, fmt.Errorf("first set: %w", err)
	}
	if second, err = flatten(b, directions); err != nil {
		return nil, nil, fmt.Errorf("second set: %w", err)
	}
	return first, second, nil
}
