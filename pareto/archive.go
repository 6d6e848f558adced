package pareto

import (
	"fmt"
	"math"
	"slices"
)

// Archive keeps the Pareto front of everything added to it. Each entry has a
// key, a point and a value of the caller's. No two entries have the same key or
// the same point: the first to come stays.
//
// With two objectives adding takes O(log n) comparisons, n being the size of the
// front; with others O(n). An Archive is not safe for concurrent use.
//
// One made by [NewEpsilonArchive] keeps only a part of the front, of bounded
// size.
type Archive[T any] struct {
	directions []Direction
	order      []int // objectives, the one to sort by first
	items      []*item[T]
	keys       map[string]struct{} // of the items and the extremes
	cost       []float64           // of the point being added; kept to save an allocation

	epsilon  []float64  // in the archive's order of objectives; nil: all entries are kept
	box      []float64  // of the point being added; the same slice as cost without epsilon
	extremes []*item[T] // with epsilon: the least in each objective; some may be items
}

// Entry is a member of an [Archive].
type Entry[T any] struct {
	Key   string
	Point []float64 // in the user's units; not to be modified
	Value T
}

type item[T any] struct {
	cost  []float64 // less is better; in the archive's order of objectives
	box   []float64 // the lower corner of its box over epsilon; cost without epsilon
	entry Entry[T]
}

// NewArchive returns an empty archive for points with these directions. It
// returns an error if there are none or one is unknown.
func NewArchive[T any](directions []Direction) (*Archive[T], error) {
	if err := CheckDirections(directions); err != nil {
		return nil, err
	}
	first := max(0, slices.Index(directions, Minimize))
	order := []int{first}
	for i := range directions {
		if i != first {
			order = append(order, i)
		}
	}
	cost := make([]float64, len(directions))
	return &Archive[T]{
		directions: slices.Clone(directions),
		order:      order,
		keys:       make(map[string]struct{}),
		cost:       cost,
		box:        cost,
	}, nil
}

// NewEpsilonArchive returns an archive that keeps a part of the front, for fronts
// too large to keep. Epsilon says for each objective, in its unit, which
// difference does not matter; 0 keeps every value of an objective apart.
//
// It is the ε-Pareto archive of Laumanns, Thiele, Deb and Zitzler, "Combining
// convergence and diversity in evolutionary multiobjective optimization",
// Evolutionary Computation 10(3), 2002, section 4.2, with additive boxes: space
// is divided into boxes with sides epsilon, from 0 on. A box that another
// dominates keeps no entry, and others one, which only a point of the same box
// that dominates it replaces. Beyond the paper, the best point ever shown in each
// objective is an entry too: of several, the first in the order of Entries. So:
//
//   - Whatever was shown to the archive, an entry is worse than it by less than
//     epsilon in every objective (where epsilon is 0, not at all), up to
//     rounding.
//   - No entry dominates another or was dominated by any point shown.
//   - If the values of objective k span r[k] epsilons, the number of entries is at
//     most the number of objectives and the product of all r[k]+2 but the
//     greatest: 104 for two objectives and epsilons of 1 % of their spans.
//   - The same points in the same order give the same entries; another order may
//     give others.
//
// A point refused because its key is taken counts as never shown.
//
// It returns an error if the directions are refused, or if epsilon has not one
// finite value of at least 0 for each. Add refuses a point with a value beyond
// 2^53 epsilons, where boxes cannot be told apart.
func NewEpsilonArchive[T any](directions []Direction, epsilon []float64) (*Archive[T], error) {
	a, err := NewArchive[T](directions)
	if err != nil {
		return nil, err
	}
	if err := CheckPoint(epsilon, len(directions)); err != nil {
		return nil, fmt.Errorf("epsilon: %w", err)
	}
	if i := slices.IndexFunc(epsilon, func(e float64) bool { return e < 0 }); i >= 0 {
		return nil, fmt.Errorf("pareto: epsilon of objective %d is %v, want at least 0", i, epsilon[i])
	}
	a.epsilon = make([]float64, len(epsilon))
	for i, k := range a.order {
		a.epsilon[i] = epsilon[k]
	}
	a.box = make([]float64, len(epsilon))
	a.extremes = make([]*item[T], len(epsilon))
	return a, nil
}

// Add shows the archive a point. It reports whether the point is now an entry;
// it is not if an entry dominates it, equals it or has its key, or, with an
// epsilon, makes it superfluous. Entries that it dominates, or makes superfluous,
// leave. Add keeps a copy of point. It returns an error, and changes nothing, if
// point has the wrong length, a value that is not finite, or one that is too large
// for the epsilon.
func (a *Archive[T]) Add(key string, point []float64, value T) (bool, error) {
	if err := CheckPoint(point, len(a.directions)); err != nil {
		return false, err
	}
	for i, k := range a.order {
		a.cost[i] = a.directions[k].cost(point[k])
	}
	if err := a.locate(); err != nil {
		return false, err
	}
	// The items are in lexicographic order of box. So whatever dominates the
	// point's box stands before its place, and whatever it dominates after.
	at, same := slices.BinarySearchFunc(a.items, a.box, func(it *item[T], box []float64) int {
		return slices.Compare(it.box, box)
	})
	join := !a.dominated(at)
	if same {
		join = dominates(a.cost, a.items[at].cost)
	}
	if !join && !a.extreme() {
		return false, nil
	}
	if _, ok := a.keys[key]; ok {
		return false, nil
	}

	it := &item[T]{
		cost:  slices.Clone(a.cost),
		entry: Entry[T]{Key: key, Point: slices.Clone(point), Value: value},
	}
	it.box = it.cost
	if a.epsilon != nil {
		it.box = slices.Clone(a.box)
	}
	left := a.replaceExtremes(it)
	switch {
	case join && same:
		left = append(left, a.items[at])
		a.items[at] = it
	case join:
		left = append(left, a.removeDominated(at)...)
		a.items = slices.Insert(a.items, at, it)
	}
	for _, l := range left {
		if !a.keeps(l) {
			delete(a.keys, l.entry.Key)
		}
	}
	a.keys[key] = struct{}{}
	return true, nil
}

// locate computes a.box from a.cost.
func (a *Archive[T]) locate() error {
	for i, e := range a.epsilon {
		a.box[i] = a.cost[i]
		if e == 0 {
			continue
		}
		a.box[i] = math.Floor(a.cost[i] / e)
		if math.Abs(a.box[i]) > 1<<53 {
			k := a.order[i]
			return fmt.Errorf("pareto: objective %d is %v, too large for its epsilon %v", k, a.directions[k].cost(a.cost[i]), e)
		}
	}
	return nil
}

// dominated reports whether an item before at has a box that dominates a.box.
func (a *Archive[T]) dominated(at int) bool {
	before := a.items[:at]
	if len(a.directions) == 2 && at > 0 {
		before = a.items[at-1 : at] // on a front of two, it has the least second cost
	}
	for _, it := range before {
		if dominates(it.box, a.box) {
			return true
		}
	}
	return false
}

// removeDominated removes the items from at on whose boxes a.box dominates, and
// returns them.
func (a *Archive[T]) removeDominated(at int) (removed []*item[T]) {
	end := at // of what is kept, or with two objectives of what is removed
	if len(a.directions) == 2 {
		for end < len(a.items) && dominates(a.box, a.items[end].box) {
			end++
		}
		if end > at {
			removed = slices.Clone(a.items[at:end])
			a.items = slices.Delete(a.items, at, end)
		}
		return removed
	}
	for _, it := range a.items[at:] {
		if dominates(a.box, it.box) {
			removed = append(removed, it)
			continue
		}
		a.items[end] = it
		end++
	}
	clear(a.items[end:])
	a.items = a.items[:end]
	return removed
}

// extreme reports whether the point being added is the best in some objective.
func (a *Archive[T]) extreme() bool {
	for k, e := range a.extremes {
		if a.better(k, e) {
			return true
		}
	}
	return false
}

// better reports whether a.cost is less than that of e in objective k of the
// archive's order, then in the others.
func (a *Archive[T]) better(k int, e *item[T]) bool {
	if e == nil || a.cost[k] != e.cost[k] {
		return e == nil || a.cost[k] < e.cost[k]
	}
	return slices.Compare(a.cost, e.cost) < 0
}

// replaceExtremes puts it, of cost a.cost, wherever it is extreme, and returns
// the extremes before.
func (a *Archive[T]) replaceExtremes(it *item[T]) (replaced []*item[T]) {
	for k, e := range a.extremes {
		if a.better(k, e) {
			a.extremes[k] = it
			if e != nil {
				replaced = append(replaced, e)
			}
		}
	}
	return replaced
}

// keeps reports whether it is an item or an extreme. It is asked of items and
// extremes that have just been replaced.
func (a *Archive[T]) keeps(it *item[T]) bool {
	if a.epsilon == nil {
		return false
	}
	if slices.Contains(a.extremes, it) {
		return true
	}
	at, same := slices.BinarySearchFunc(a.items, it.box, func(i *item[T], box []float64) int {
		return slices.Compare(i.box, box)
	})
	return same && a.items[at] == it
}

// Len returns the number of entries.
func (a *Archive[T]) Len() int { return len(a.keys) }

// Entries returns the front, the best in the first minimised objective first (in
// the first objective if none is minimised), ties by the next objectives. The
// slice is the caller's.
func (a *Archive[T]) Entries() []Entry[T] {
	items := a.items
	if a.epsilon != nil {
		items = slices.Concat(a.items, a.extremes)
		items = slices.DeleteFunc(items, func(it *item[T]) bool { return it == nil })
		slices.SortFunc(items, func(p, q *item[T]) int { return slices.Compare(p.cost, q.cost) })
		items = slices.Compact(items) // entries that are both have no equals between
	}
	entries := make([]Entry[T], len(items))
	for i, it := range items {
		entries[i] = it.entry
	}
	return entries
}
