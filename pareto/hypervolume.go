package pareto

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Hypervolume returns the size of the region that points dominate and that
// dominates reference: a length, an area or a volume in the product of the
// objectives' units. It is greater for a better front. Points need not form a
// front, and those that are not strictly better than reference in every
// objective contribute nothing.
//
// It is exact, up to rounding, and depends on the front of points alone, to the
// last bit: not on their order, nor on points that others dominate or equal.
// n points take
//
//   - O(n log n) for one or two objectives, by a sweep;
//   - O(n log n) for three, by the dimension sweep of Beume, Fonseca,
//     López-Ibáñez, Paquete and Vahrenhold, "On the complexity of computing the
//     hypervolume indicator", IEEE TEVC 13(5), 2009, section IV;
//   - O(n² log n) for four, and at worst n times as much for each further one, by
//     the algorithm of While, Bradstreet and Barone, "A fast way of calculating
//     exact hypervolumes", IEEE TEVC 16(1), 2012: the sum of what each point
//     adds to those before it, found from a smaller problem with one objective
//     fewer. The sweep for three objectives ends it.
//
// Every point, and reference, must have one finite value for each direction. A
// hypervolume too large for a float64 is an error.
//
// A [Volume] is the hypervolume of points that come one by one.
func Hypervolume(points [][]float64, reference []float64, directions []Direction) (float64, error) {
	rows, err := flatten(points, directions)
	if err != nil {
		return 0, err
	}
	origin, err := appendCosts(nil, reference, directions)
	if err != nil {
		return 0, fmt.Errorf("reference: %w", err)
	}
	d := len(origin)
	gains := rows[:0]
	for at := 0; at < len(rows); at += d {
		if row := rows[at : at+d]; toGains(row, origin) {
			gains = append(gains, row...)
		}
	}
	sorted := make([]float64, 0, len(gains))
	for _, i := range slices.Backward(order(gains, d)) {
		sorted = append(sorted, gains[int(i)*d:(int(i)+1)*d]...)
	}
	volume := newSolver(d).volume(sorted, d)
	if err := checkVolume(volume); err != nil {
		return 0, err
	}
	return volume, nil
}

func checkVolume(v float64) error {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return errors.New("pareto: hypervolume overflows")
	}
	return nil
}

// toGains turns a row of costs into by how much it is better than origin, and
// reports whether it is so in every objective.
func toGains(row, origin []float64) bool {
	for k, c := range row {
		if row[k] = origin[k] - c; row[k] <= 0 {
			return false
		}
	}
	return true
}

// A solver computes the volume of unions of boxes that reach from the origin to
// a corner. It keeps memory from one computation to the next.
//
// Corners are rows of flat slices. All lists of them here are in descending order
// of the first value: whatever reaches beyond a corner stands before it, but
// for ties.
type solver struct {
	steps stairs
	lists []lists // by number of sides
}

type lists struct{ front, limited, cut []float64 }

func newSolver(objectives int) *solver {
	return &solver{lists: make([]lists, objectives+1)}
}

// volume returns the volume of the union of boxes with d sides.
func (s *solver) volume(rows []float64, d int) float64 {
	switch {
	case len(rows) == 0:
		return 0
	case d == 1:
		return rows[0]
	case d == 2:
		return area(rows)
	case d == 3:
		return s.volume3(rows)
	}
	return s.volumeN(rows, d)
}

// area returns the area of a union of rectangles.
func area(rows []float64) float64 {
	var sum, height float64
	for ; len(rows) >= 2; rows = rows[2:] {
		if x, y := rows[0], rows[1]; y > height {
			sum += x * (y - height)
			height = y
		}
	}
	return sum
}

// volume3 returns the volume of a union of cuboids. A plane sweeps down from the
// greatest first value; at any height the cuboids that it has met are, in the
// plane, a staircase, whose area changes only where a cuboid begins.
func (s *solver) volume3(rows []float64) float64 {
	s.steps.reset()
	var sum, area, height float64
	for ; len(rows) >= 3; rows = rows[3:] {
		if grown := s.steps.add(rows[1], rows[2]); grown != 0 {
			sum += area * (height - rows[0])
			height = rows[0]
			area += grown
		}
	}
	return sum + area*height
}

// volumeN returns the volume of a union of boxes with four or more sides. All
// boxes before a box reach at least as far in the first direction. So what the
// box adds to them is a cylinder along that direction, over what it adds in the
// others.
func (s *solver) volumeN(rows []float64, d int) float64 {
	front := s.lists[d-1].front[:0] // of the rows so far, without their first values
	var sum float64
	for ; len(rows) >= d; rows = rows[d:] {
		rest := rows[1:d]
		if covered(front, rest) {
			continue
		}
		sum += rows[0] * s.exclusive(front, rest)
		front = insert(front, rest)
	}
	s.lists[d-1].front = front
	return sum
}

// exclusive returns the volume of the part of a box that the boxes of front leave
// free: its volume less that of their intersections with it. Its rounding error
// is of the order of the box's volume times 1e-16.
func (s *solver) exclusive(front, corner []float64) float64 {
	d := len(corner)
	box := 1.0
	for _, v := range corner {
		box *= v
	}
	l := &s.lists[d]
	l.limited = l.limited[:0]
	for ; len(front) >= d; front = front[d:] {
		l.cut = l.cut[:0]
		for k, v := range corner {
			l.cut = append(l.cut, min(v, front[k]))
		}
		switch {
		case d <= 3: // the sweeps pass over covered boxes by themselves
			l.limited = append(l.limited, l.cut...)
		case !covered(l.limited, l.cut):
			l.limited = insert(l.limited, l.cut)
		}
	}
	return max(0, box-s.volume(l.limited, d))
}

// covered reports whether a row of front is nowhere less than corner.
func covered(front, corner []float64) bool {
	d := len(corner)
rows:
	for ; len(front) >= d && front[0] >= corner[0]; front = front[d:] {
		for k := 1; k < d; k++ {
			if front[k] < corner[k] {
				continue rows
			}
		}
		return true
	}
	return false
}

// insert inserts a row that front does not cover, and removes those that it
// covers.
func insert(front, corner []float64) []float64 {
	d := len(corner)
	at := 0
	for at < len(front) && front[at] > corner[0] {
		at += d
	}
	end := at // of what is kept
rows:
	for i := at; i < len(front); i += d {
		row := front[i : i+d]
		for k, v := range corner {
			if row[k] > v {
				end += copy(front[end:], row)
				continue rows
			}
		}
	}
	return slices.Insert(front[:end], at, corner...)
}
