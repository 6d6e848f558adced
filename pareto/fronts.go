package pareto

import (
	"cmp"
	"slices"
)

// Fronts sorts points into non-dominated fronts. The first front holds the
// points that nothing dominates, the second those that only points of the first
// dominate, and so on. Each front lists indices into points in ascending order;
// equal points share a front. No points give no fronts.
//
// Two objectives take O(n log n), by the sweep of Jensen, "Reducing the run-time
// complexity of multiobjective EAs", IEEE TEVC 7(5), 2003, section III-A. More
// objectives take O(n²) at worst, by the efficient non-dominated sort with
// binary search (ENS-BS) of Zhang, Tian, Cheng and Jin, "An efficient approach
// to nondominated sorting for evolutionary multiobjective optimization", IEEE
// TEVC 19(2), 2015.
func Fronts(points [][]float64, directions []Direction) ([][]int, error) {
	if err := check(points, directions); err != nil {
		return nil, err
	}
	if len(points) == 0 {
		return nil, nil
	}
	var ranks []int
	if len(directions) <= 2 {
		ranks = ranks2(points, directions)
	} else {
		ranks = ranksN(points, directions)
	}
	return group(ranks), nil
}

// ranks2 returns the front number of each point, for one or two objectives.
//
// In ascending order of (x, y) nothing dominates an earlier point. A front is
// then represented by its lowest y so far, because that point dominates whatever
// the front dominates; and these heights ascend from front to front, so that the
// first front that does not dominate a point is found by binary search.
func ranks2(points [][]float64, directions []Direction) []int {
	type item struct {
		x, y  float64
		index int
	}
	items := make([]item, len(points))
	for i, p := range points {
		items[i] = item{x: directions[0].cost(p[0]), index: i}
		if len(directions) == 2 {
			items[i].y = directions[1].cost(p[1])
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		switch { // quicker than cmp.Compare, which also orders NaN
		case a.x < b.x:
			return -1
		case a.x > b.x:
			return 1
		case a.y < b.y:
			return -1
		case a.y > b.y:
			return 1
		}
		return 0
	})

	ranks := make([]int, len(points))
	var lowest []float64 // by front
	for i, it := range items {
		if i > 0 && it.x == items[i-1].x && it.y == items[i-1].y {
			ranks[it.index] = ranks[items[i-1].index] // equal points do not dominate each other
			continue
		}
		lo, hi := 0, len(lowest)
		for lo < hi {
			mid := int(uint(lo+hi) / 2)
			if lowest[mid] <= it.y {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo == len(lowest) {
			lowest = append(lowest, it.y)
		} else {
			lowest[lo] = it.y
		}
		ranks[it.index] = lo
	}
	return ranks
}

// ranksN returns the front number of each point, for any number of objectives.
func ranksN(points [][]float64, directions []Direction) []int {
	n := len(directions)
	flat := make([]float64, 0, n*len(points))
	costs := make([][]float64, len(points))
	order := make([]int, len(points))
	for i, p := range points {
		for k, d := range directions {
			flat = append(flat, d.cost(p[k]))
		}
		costs[i] = flat[i*n : (i+1)*n]
		order[i] = i
	}
	// In lexicographic order nothing dominates an earlier point.
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(slices.Compare(costs[a], costs[b]), cmp.Compare(a, b))
	})

	ranks := make([]int, len(points))
	var fronts [][]int
	for _, i := range order {
		// What a front dominates, the fronts before it dominate too.
		k, _ := slices.BinarySearchFunc(fronts, costs[i], func(front []int, c []float64) int {
			// The latest of a front are the likeliest to dominate.
			for _, j := range slices.Backward(front) {
				if dominates(costs[j], c) {
					return -1
				}
			}
			return 1
		})
		if k == len(fronts) {
			fronts = append(fronts, nil)
		}
		fronts[k] = append(fronts[k], i)
		ranks[i] = k
	}
	return ranks
}

// dominates is [Dominates] for costs of equal length.
func dominates(a, b []float64) bool {
	better := false
	for i, x := range a {
		if x > b[i] {
			return false
		}
		better = better || x < b[i]
	}
	return better
}

// group lists the indices of each rank, ascending, in one allocation.
func group(ranks []int) [][]int {
	sizes := make([]int, slices.Max(ranks)+1)
	for _, r := range ranks {
		sizes[r]++
	}
	all := make([]int, len(ranks))
	fronts := make([][]int, len(sizes))
	start := 0
	for r, size := range sizes {
		fronts[r] = all[start : start : start+size]
		start += size
	}
	for i, r := range ranks {
		fronts[r] = append(fronts[r], i)
	}
	return fronts
}
