package pareto

import (
	"fmt"
	"slices"
)

// Volume is the hypervolume of a growing set of points, see [Hypervolume]: what a
// guided search asks what each of many candidates would add.
//
// One or two objectives take O(log n) for a question and for an addition, n being
// the number of points on the front, and a little for each point that the new one
// dominates. Three take O(n log n), four O(n² log n), and so on: a question is
// then the hypervolume of the other points cut off at the candidate, as in While,
// Bradstreet and Barone, "A fast way of calculating exact hypervolumes", IEEE
// TEVC 16(1), 2012.
//
// A Volume is not safe for concurrent use, not even for questions alone, because
// they share memory; give each goroutine a [Volume.Clone].
type Volume struct {
	directions []Direction
	origin     []float64 // the reference's costs
	value      float64
	row        []float64 // gains of the point in question; kept to save an allocation

	steps  stairs    // for one objective, with y = 1, or two
	front  []float64 // for more: rows of gains, in the order that solver wants
	solver *solver
}

// NewVolume returns the volume of no points. It returns an error if there are no
// directions, one is unknown, or reference has not one finite value for each.
func NewVolume(reference []float64, directions []Direction) (*Volume, error) {
	if err := CheckDirections(directions); err != nil {
		return nil, err
	}
	origin, err := appendCosts(nil, reference, directions)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return &Volume{
		directions: slices.Clone(directions),
		origin:     origin,
		row:        make([]float64, 0, max(2, len(origin))),
		solver:     newSolver(len(origin)),
	}, nil
}

// Value returns the hypervolume of all points added, in the product of the
// objectives' units. It is the sum of what they added, and so may differ from
// that of [Hypervolume] by rounding. It takes O(1).
func (v *Volume) Value() float64 { return v.value }

// Gain returns by how much adding point would increase the value: 0 if a point
// that was added dominates or equals it, or if it is not strictly better than the
// reference in every objective. It changes nothing.
//
// With three objectives or more the gain is a difference and carries the rounding
// error of the box between point and reference, about 1e-16 of its volume;
// with one or two, of the gain alone.
//
// It returns an error if point has the wrong length or a value that is not
// finite, or if the gain is too large for a float64.
func (v *Volume) Gain(point []float64) (float64, error) {
	inside, err := v.take(point)
	if err != nil || !inside {
		return 0, err
	}
	gain := v.gain()
	if err := checkVolume(gain); err != nil {
		return 0, err
	}
	return gain, nil
}

// take puts the gains of point into v.row. It reports whether all are positive.
func (v *Volume) take(point []float64) (bool, error) {
	row, err := appendCosts(v.row[:0], point, v.directions)
	if err != nil {
		return false, err
	}
	inside := toGains(row, v.origin)
	if len(row) == 1 {
		row = append(row, 1)
	}
	v.row = row
	return inside, nil
}

// gain is Gain of the point whose gains are in v.row.
func (v *Volume) gain() float64 {
	if len(v.row) == 2 {
		grown, _, _, _ := v.steps.gain(v.row[0], v.row[1])
		return grown
	}
	if covered(v.front, v.row) {
		return 0
	}
	return v.solver.exclusive(v.front, v.row)
}

// Add adds point and returns its gain, see [Volume.Gain]. On an error, of the
// same kinds or because the value becomes too large for a float64, nothing
// changes.
func (v *Volume) Add(point []float64) (gain float64, err error) {
	inside, err := v.take(point)
	if err != nil || !inside {
		return 0, err
	}
	gain = v.gain()
	if err := checkVolume(v.value + gain); err != nil {
		return 0, err
	}
	v.value += gain
	if len(v.row) == 2 {
		v.steps.add(v.row[0], v.row[1])
	} else if !covered(v.front, v.row) {
		v.front = insert(v.front, v.row)
	}
	return gain, nil
}

// Clone returns a copy that shares nothing with v: to try out what a few
// candidates add together, or for another goroutine.
func (v *Volume) Clone() *Volume {
	c := *v
	c.row = slices.Clone(v.row)
	c.steps = v.steps.clone()
	c.front = slices.Clone(v.front)
	c.solver = newSolver(len(v.origin))
	return &c
}
