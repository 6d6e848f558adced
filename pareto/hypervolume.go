package pareto

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Hypervolume returns the size of the region that points dominate and that
// dominates reference: a length, an area or a volume in the product of the
// objectives' units. It is greater for a better front. Points need not form a
// front, and those that are not strictly better than reference in every
// objective contribute nothing.
//
// It is exact, up to rounding, for one to three objectives, and returns an error
// for more. Two take O(n log n), by a sweep. Three take O(n log n) too as long as
// the staircase below is short, O(n²) at worst: the dimension sweep of Beume,
// Fonseca, López-Ibáñez, Paquete and Vahrenhold, "On the complexity of computing
// the hypervolume indicator", IEEE TEVC 13(5), 2009, section IV, with a sorted
// slice in place of the balanced tree.
//
// Every point, and reference, must have one finite value for each direction. A
// hypervolume too large for a float64 is an error.
func Hypervolume(points [][]float64, reference []float64, directions []Direction) (float64, error) {
	if err := check(points, directions); err != nil {
		return 0, err
	}
	if err := CheckPoint(reference, len(directions)); err != nil {
		return 0, fmt.Errorf("reference: %w", err)
	}
	if len(directions) > 3 {
		return 0, fmt.Errorf("pareto: hypervolume of %d objectives is not supported, at most 3 are", len(directions))
	}
	boxes := boxes(points, reference, directions)
	var volume float64
	if len(directions) < 3 {
		volume = area(boxes)
	} else {
		volume = volume3(boxes)
	}
	if math.IsInf(volume, 0) || math.IsNaN(volume) {
		return 0, errors.New("pareto: hypervolume overflows")
	}
	return volume, nil
}

// A box reaches from the reference point, which is the origin, to a point that
// is better by x, y and z. The hypervolume is the size of a union of boxes.
type box struct{ x, y, z float64 }

// boxes returns the boxes of the points that are strictly better than reference.
// Objectives that do not exist count as 1.
func boxes(points [][]float64, reference []float64, directions []Direction) []box {
	bs := make([]box, 0, len(points))
points:
	for _, p := range points {
		gain := [3]float64{1, 1, 1}
		for k, d := range directions {
			gain[k] = d.cost(reference[k]) - d.cost(p[k])
			if gain[k] <= 0 {
				continue points
			}
		}
		bs = append(bs, box{gain[0], gain[1], gain[2]})
	}
	return bs
}

// area returns the area of a union of boxes, their z apart.
func area(bs []box) float64 {
	slices.SortFunc(bs, func(a, b box) int { return descending(a.x, b.x) })
	var sum, height float64
	for _, b := range bs {
		if b.y > height {
			sum += b.x * (b.y - height)
			height = b.y
		}
	}
	return sum
}

// volume3 returns the volume of a union of boxes. A plane sweeps down from the
// greatest z; at any height the boxes that it has met are, in the plane, a
// staircase, whose area changes only where a box begins.
func volume3(bs []box) float64 {
	slices.SortFunc(bs, func(a, b box) int { return descending(a.z, b.z) })
	var sum, area float64
	var steps stairs
	for i, b := range bs {
		area += steps.add(b.x, b.y)
		next := 0.0
		if i+1 < len(bs) {
			next = bs[i+1].z
		}
		if b.z > next {
			sum += area * (b.z - next)
		}
	}
	return sum
}

// stairs is the outline of a union of rectangles with a corner in the origin:
// their opposite corners, x ascending, y strictly descending.
type stairs []struct{ x, y float64 }

// add adds the rectangle (0, 0) to (x, y) and returns by how much the area grew.
func (s *stairs) add(x, y float64) (grown float64) {
	old := *s
	end := sort.Search(len(old), func(i int) bool { return old[i].x >= x })
	if end < len(old) && old[end].y >= y {
		return 0
	}
	// The steps from begin to end are no higher than the new one and vanish
	// below it. From right to left, add what it rises above each of them.
	begin, right, floor := end, x, 0.0
	if end < len(old) {
		floor = old[end].y
	}
	for begin > 0 && old[begin-1].y <= y {
		grown += (right - old[begin-1].x) * (y - floor)
		right, floor = old[begin-1].x, old[begin-1].y
		begin--
	}
	left := 0.0
	if begin > 0 {
		left = old[begin-1].x
	}
	grown += (right - left) * (y - floor)
	*s = slices.Replace(old, begin, end, struct{ x, y float64 }{x, y})
	return grown
}

// descending compares two finite numbers, quicker than [cmp.Compare].
func descending(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}
