package pareto

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Crowding returns for each point of a front how alone it stands: the sum, over
// the objectives, of the distance between its two neighbours in that objective,
// as a share of the front's range. The first and the last in any objective get
// +Inf. Directions do not matter.
//
// It is the crowding distance of Deb, Pratap, Agarwal and Meyarivan, "A fast and
// elitist multiobjective genetic algorithm: NSGA-II", IEEE TEVC 6(2), 2002,
// section III-B, with one difference: an objective in which all points are equal
// tells none of them apart and is passed over. Of equal points, those of lower
// index count as the lesser.
//
// All points must have the same number of finite objectives, at least one.
func Crowding(points [][]float64) ([]float64, error) {
	if len(points) == 0 {
		return nil, nil
	}
	n := len(points[0])
	if n == 0 {
		return nil, fmt.Errorf("pareto: no objectives")
	}
	for i, p := range points {
		if err := CheckPoint(p, n); err != nil {
			return nil, fmt.Errorf("point %d: %w", i, err)
		}
	}

	distances := make([]float64, len(points))
	last := len(points) - 1
	if last <= 1 { // neighbours on one side only
		for i := range distances {
			distances[i] = math.Inf(1)
		}
		return distances, nil
	}
	type item struct {
		value float64
		index int
	}
	items := make([]item, len(points))
	for k := range n {
		for i, p := range points {
			items[i] = item{p[k] / 2, i} // halved: no difference of finite values overflows
		}
		slices.SortFunc(items, func(a, b item) int {
			switch {
			case a.value < b.value:
				return -1
			case a.value > b.value:
				return 1
			}
			return cmp.Compare(a.index, b.index)
		})
		span := items[last].value - items[0].value
		if span == 0 {
			continue
		}
		distances[items[0].index] = math.Inf(1)
		distances[items[last].index] = math.Inf(1)
		for i := 1; i < last; i++ {
			distances[items[i].index] += (items[i+1].value - items[i-1].value) / span
		}
	}
	return distances, nil
}
