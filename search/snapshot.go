package search

import (
	"errors"
	"math"
	"slices"

	"github.com/efficientnas/nas/pareto"
)

// Snapshot is how far a search has come, without all its outcomes: what [Run]
// needs beside the method's state to go on, as [Settings.Resume]. It is plain data
// but for errors, and saved as a [Method] is: by MarshalBinary, which keeps the
// messages of errors.
type Snapshot[G any] struct {
	Counts
	Unchanged   int          // evaluations since the front changed last
	Stop        Status       // why the search is to end, once the batch is done; Failed if it is not
	Hypervolume float64      // of the front; 0 without Settings.Reference
	Front       []Outcome[G] // in an order in which it can be put together again
	// Later are the outcomes that the method knows, and that are not part of all
	// this: those of candidates proposed after one without an evaluation. Only when
	// a search is interrupted there are any.
	Later []Outcome[G]
}

// Snapshot returns how far the search has come. It belongs to the state of the
// method as it is now, that is until the recorder returns. The slices are the
// caller's.
func (p Progress[G]) Snapshot() Snapshot[G] { return p.run.snapshot() }

func (r *run[G]) snapshot() Snapshot[G] {
	s := Snapshot[G]{
		Counts: r.counts, Unchanged: r.front.unchanged, Stop: r.stop,
		Hypervolume: r.front.volume, Front: slices.Clone(r.front.order),
	}
	if r.settings.Epsilon == nil {
		s.Front = r.front.outcomes()
	}
	if r.gap != nil {
		s = *r.gap
		s.Front = slices.Clone(s.Front)
	}
	s.Later = slices.Concat(r.later, r.earlier)
	return s
}

// resume goes on from s.
func (r *run[G]) resume(s *Snapshot[G]) error {
	for _, o := range s.Front {
		if err := r.front.add(o); err != nil {
			return err
		}
	}
	if r.front.archive.Len() != len(s.Front) {
		return errors.New("the front is not that of a search with these settings")
	}
	// A sum of what was added one by one: its last bits depend on what has left the
	// front since.
	if r.front.growing != nil {
		r.front.volume = s.Hypervolume
	}
	r.counts, r.front.unchanged, r.stop, r.earlier = s.Counts, s.Unchanged, s.Stop, byID(s.Later)
	return nil
}

// keepOrder puts o, which is new on the front, into the order in which the front
// makes up the same epsilon archive again: of a box, first what it keeps for the
// box, and then what it keeps as the best in an objective. For the box it keeps what
// came first, or what then dominated that, and so takes its place.
func (t *tracker[G]) keepOrder(o Outcome[G]) {
	at := slices.IndexFunc(t.order, func(p Outcome[G]) bool {
		return t.sameBox(o.Objectives, p.Objectives) && pareto.Dominates(o.Objectives, p.Objectives, t.directions)
	})
	if at < 0 {
		t.order = append(t.order, o)
	} else {
		t.order[at] = o
	}
	there := make(map[int]bool)
	for _, e := range t.archive.Entries() {
		there[e.Value.ID] = true
	}
	t.order = slices.DeleteFunc(t.order, func(p Outcome[G]) bool { return !there[p.ID] })
}

// sameBox reports whether two points are in one box of [pareto.NewEpsilonArchive].
func (t *tracker[G]) sameBox(p, q []float64) bool {
	for k, e := range t.epsilon {
		if e == 0 && p[k] == q[k] {
			continue
		}
		if t.directions[k] == pareto.Maximize {
			e = -e
		}
		if e == 0 || math.Floor(p[k]/e) != math.Floor(q[k]/e) {
			return false
		}
	}
	return true
}

// savedSnapshot is a [Snapshot] as gob can write it.
type savedSnapshot[G any] struct {
	Counts      Counts
	Unchanged   int
	Stop        Status
	Hypervolume float64
	Front       []savedOutcome[G]
	Later       []savedOutcome[G]
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (s Snapshot[G]) MarshalBinary() ([]byte, error) {
	return marshalState("snapshot", nil, savedSnapshot[G]{
		s.Counts, s.Unchanged, s.Stop, s.Hypervolume, saveOutcomes(s.Front), saveOutcomes(s.Later),
	})
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler].
func (s *Snapshot[G]) UnmarshalBinary(data []byte) error {
	var saved savedSnapshot[G]
	if err := unmarshalState(data, "snapshot", nil, &saved); err != nil {
		return err
	}
	*s = Snapshot[G]{
		saved.Counts, saved.Unchanged, saved.Stop, saved.Hypervolume, loadOutcomes(saved.Front), loadOutcomes(saved.Later),
	}
	return nil
}
