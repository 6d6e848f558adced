package pareto

import (
	"slices"
)

// Archive keeps the Pareto front of everything added to it. Each entry has a
// key, a point and a value of the caller's. No two entries have the same key or
// the same point: the first to come stays.
//
// With two objectives adding takes O(log n) comparisons, n being the size of the
// front; with others O(n). An Archive is not safe for concurrent use.
type Archive[T any] struct {
	directions []Direction
	order      []int // objectives, the one to sort by first
	items      []*item[T]
	keys       map[string]struct{}
	cost       []float64 // of the point being added; kept to save an allocation
}

// Entry is a member of an [Archive].
type Entry[T any] struct {
	Key   string
	Point []float64 // in the user's units; not to be modified
	Value T
}

type item[T any] struct {
	cost  []float64 // less is better; in the archive's order of objectives
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
	return &Archive[T]{
		directions: slices.Clone(directions),
		order:      order,
		keys:       make(map[string]struct{}),
		cost:       make([]float64, len(directions)),
	}, nil
}

// Add shows the archive a point. It reports whether the point is now an entry;
// it is not if an entry dominates it, equals it or has its key. Entries that it
// dominates leave. Add keeps a copy of point. It returns an error, and changes
// nothing, if point has the wrong length or a value that is not finite.
func (a *Archive[T]) Add(key string, point []float64, value T) (bool, error) {
	if err := CheckPoint(point, len(a.directions)); err != nil {
		return false, err
	}
	for i, k := range a.order {
		a.cost[i] = a.directions[k].cost(point[k])
	}
	// The items are in lexicographic order of cost. So whatever dominates the
	// point stands before its place, and whatever it dominates after.
	at, equal := slices.BinarySearchFunc(a.items, a.cost, func(it *item[T], cost []float64) int {
		return slices.Compare(it.cost, cost)
	})
	if equal || a.dominated(at) {
		return false, nil
	}
	if _, ok := a.keys[key]; ok {
		return false, nil
	}
	a.removeDominated(at)
	a.items = slices.Insert(a.items, at, &item[T]{
		cost:  slices.Clone(a.cost),
		entry: Entry[T]{Key: key, Point: slices.Clone(point), Value: value},
	})
	a.keys[key] = struct{}{}
	return true, nil
}

// dominated reports whether an item before at dominates a.cost.
func (a *Archive[T]) dominated(at int) bool {
	before := a.items[:at]
	if len(a.directions) == 2 && at > 0 {
		before = a.items[at-1 : at] // on a front of two, it has the least second cost
	}
	for _, it := range before {
		if dominates(it.cost, a.cost) {
			return true
		}
	}
	return false
}

// removeDominated removes the items from at on that a.cost dominates.
func (a *Archive[T]) removeDominated(at int) {
	end := at // of what is kept, or with two objectives of what is removed
	if len(a.directions) == 2 {
		for end < len(a.items) && dominates(a.cost, a.items[end].cost) {
			delete(a.keys, a.items[end].entry.Key)
			end++
		}
		a.items = slices.Delete(a.items, at, end)
		return
	}
	for _, it := range a.items[at:] {
		if dominates(a.cost, it.cost) {
			delete(a.keys, it.entry.Key)
			continue
		}
		a.items[end] = it
		end++
	}
	clear(a.items[end:])
	a.items = a.items[:end]
}

// Len returns the number of entries.
func (a *Archive[T]) Len() int { return len(a.items) }

// Entries returns the front, the best in the first minimised objective first (in
// the first objective if none is minimised), ties by the next objectives. The
// slice is the caller's.
func (a *Archive[T]) Entries() []Entry[T] {
	entries := make([]Entry[T], len(a.items))
	for i, it := range a.items {
		entries[i] = it.entry
	}
	return entries
}
