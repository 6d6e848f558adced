package pareto

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Direction says which values of an objective are better.
type Direction int

const (
	Minimize Direction = iota // less is better
	Maximize                  // more is better
)

// String returns "minimize" or "maximize".
func (d Direction) String() string {
	switch d {
	case Minimize:
		return "minimize"
	case Maximize:
		return "maximize"
	}
	return "Direction(" + strconv.Itoa(int(d)) + ")"
}

// cost turns a value into one of which less is better.
func (d Direction) cost(v float64) float64 {
	if d == Maximize {
		return -v
	}
	return v
}

// Dominates reports whether a is nowhere worse than b and somewhere better.
// Vectors that cannot be compared, because one holds a NaN or has not one value
// for each direction, do not dominate each other.
func Dominates(a, b []float64, directions []Direction) bool {
	if len(a) != len(directions) || len(b) != len(directions) {
		return false
	}
	better := false
	for i, d := range directions {
		x, y := d.cost(a[i]), d.cost(b[i])
		if !(x <= y) { // and not x > y, which lets NaN pass
			return false
		}
		better = better || x < y
	}
	return better
}

// CheckPoint returns an error unless point has one finite value for each of n
// objectives: the condition on which every function of this package accepts it.
func CheckPoint(point []float64, n int) error {
	if len(point) != n {
		return fmt.Errorf("pareto: point has %d objectives, want %d", len(point), n)
	}
	for i, v := range point {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("pareto: objective %d is %v, want a finite number", i, v)
		}
	}
	return nil
}

// CheckDirections returns an error unless there is at least one direction and
// each is [Minimize] or [Maximize].
func CheckDirections(directions []Direction) error {
	if len(directions) == 0 {
		return errors.New("pareto: no objectives")
	}
	for i, d := range directions {
		if d != Minimize && d != Maximize {
			return fmt.Errorf("pareto: objective %d: unknown direction %d", i, int(d))
		}
	}
	return nil
}
