package pareto

import (
	"math/bits"
	"slices"
)

// Fronts sorts points into non-dominated fronts. The first front holds the
// points that nothing dominates, the second those that only points of the first
// dominate, and so on. Each front lists indices into points in ascending order;
// equal points share a front. No points give no fronts.
//
// One or two objectives take O(n log n), by the sweep of Jensen, "Reducing the
// run-time complexity of multiobjective EAs", IEEE TEVC 7(5), 2003, section
// III-A. Three take O(n log² n), by the same sweep with a staircase for each
// front. More take O(n²) at worst, by the efficient non-dominated sort with
// binary search (ENS-BS) of Zhang, Tian, Cheng and Jin, "An efficient approach
// to nondominated sorting for evolutionary multiobjective optimization", IEEE
// TEVC 19(2), 2015.
//
// It returns an error if directions are none or one is unknown, or if a point has
// not one finite value for each.
func Fronts(points [][]float64, directions []Direction) ([][]int, error) {
	ranks, err := Ranks(nil, points, directions)
	if err != nil || len(ranks) == 0 {
		return nil, err
	}
	return group(ranks), nil
}

// Ranks returns for each point the number of its front, the first being 0: the
// same as [Fronts], in a form without lists. The result is written to dst if it
// has the capacity, to a new slice otherwise; what dst holds is overwritten.
func Ranks(dst []int, points [][]float64, directions []Direction) ([]int, error) {
	flat, err := flatten(points, directions)
	if err != nil {
		return nil, err
	}
	ranks := slices.Grow(dst[:0], len(points))[:len(points)]
	d := len(directions)
	if d == 1 { // as good as two, of which all points have the second
		flat = widen(flat)
		d = 2
	}
	// In lexicographic order nothing dominates an earlier point.
	rows := order(flat, d)
	switch d {
	case 2:
		ranks2(ranks, rows, flat)
	case 3:
		ranks3(ranks, rows, flat)
	default:
		ranksN(ranks, rows, flat, d)
	}
	return ranks, nil
}

// widen gives each row of one value another, 0.
func widen(flat []float64) []float64 {
	wide := make([]float64, 2*len(flat))
	for i, v := range flat {
		wide[2*i] = v
	}
	return wide
}

// ranks2 ranks rows of two costs, visited in their lexicographic order.
//
// A front is represented by the least second cost so far, because that point
// dominates whatever the front dominates; and these costs ascend from front to
// front, so that the first front that does not dominate a point is found by
// binary search.
func ranks2(ranks []int, order []uint32, flat []float64) {
	var least []uint64 // by front; ordinals, of which the comparison needs no jump
	var lastX, lastY float64
	last := -1 // rank of the row before
	for _, i := range order {
		x, y := flat[2*int(i)], flat[2*int(i)+1]
		if last < 0 || x != lastX || y != lastY { // equal points do not dominate each other
			key := ordinal(y)
			last = upper(least, key)
			if last == len(least) {
				least = append(least, key)
			} else {
				least[last] = key
			}
			lastX, lastY = x, y
		}
		ranks[i] = last
	}
}

// upper returns how many of the ascending keys are at most key. It compares three
// of them at a time and makes no jump that depends on them, because no processor
// could predict it: on 600 keys that takes a third of the time of a common binary
// search.
func upper(keys []uint64, key uint64) int {
	at, n := 0, len(keys)
	for n >= 4 {
		q := n / 4
		_, a := bits.Sub64(key, keys[at+q-1], 0) // 1 if key is less, else 0
		_, b := bits.Sub64(key, keys[at+2*q-1], 0)
		_, c := bits.Sub64(key, keys[at+3*q-1], 0)
		at += int(3-a-b-c) * q
		n -= 3 * q // the length of the last quarter; beyond a shorter one all keys are greater
	}
	for _, k := range keys[at : at+n] {
		_, a := bits.Sub64(key, k, 0)
		at += int(1 - a)
	}
	return at
}

// ranks3 ranks rows of three costs, visited in their lexicographic order.
//
// A front is represented by the front of its second and third costs, a
// staircase. What a front dominates, the fronts before it dominate too, so that
// the first that does not is found by binary search.
func ranks3(ranks []int, order []uint32, flat []float64) {
	var fronts []stairs
	var last [3]float64
	for n, i := range order {
		row := [3]float64(flat[3*int(i):])
		if n > 0 && row == last {
			ranks[i] = ranks[order[n-1]]
			continue
		}
		last = row
		x, y := -row[1], -row[2]
		lo, hi := 0, len(fronts)
		for lo < hi {
			mid := int(uint(lo+hi) / 2)
			if fronts[mid].covers(x, y) {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo == len(fronts) {
			fronts = append(fronts, stairs{})
		}
		fronts[lo].add(x, y)
		ranks[i] = lo
	}
}

// ranksN ranks rows of d costs, visited in their lexicographic order.
func ranksN(ranks []int, order []uint32, flat []float64, d int) {
	row := func(i uint32) []float64 { return flat[int(i)*d : (int(i)+1)*d] }
	var fronts [][]uint32
	for _, i := range order {
		cost := row(i)
		// What a front dominates, the fronts before it dominate too.
		k, _ := slices.BinarySearchFunc(fronts, cost, func(front []uint32, cost []float64) int {
			// The latest of a front are the likeliest to dominate.
			for _, j := range slices.Backward(front) {
				if dominates(row(j), cost) {
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
