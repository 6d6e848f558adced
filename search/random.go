package search

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/efficientnas/nas/pareto"
)

// Random proposes distinct samples of a space, as uniform as [Space.Sample] is.
// It is the yardstick of every other method. All its candidates are of
// generation 0, and it never waits for results.
type Random[G any] struct {
	directions []pareto.Direction
	seed       uint64
	candidates distinct[G]
	queue      queue[G]

	source *rand.PCG // seeded anew for every candidate: no state
	rng    *rand.Rand
}

// NewRandom returns a random search. It returns an error if a direction is
// unknown or there is none.
func NewRandom[G any](space Space[G], directions []pareto.Direction, seed uint64) (*Random[G], error) {
	if err := pareto.CheckDirections(directions); err != nil {
		return nil, fmt.Errorf("search: random: %w", err)
	}
	source := rand.NewPCG(0, 0)
	return &Random[G]{
		directions: slices.Clone(directions),
		seed:       seed,
		candidates: newDistinct(space),
		source:     source,
		rng:        rand.New(source),
	}, nil
}

// Directions implements [Method].
func (r *Random[G]) Directions() []pareto.Direction { return slices.Clone(r.directions) }

// Ask implements [Method].
func (r *Random[G]) Ask(n int) ([]Candidate[G], error) {
	if n < 1 {
		return nil, fmt.Errorf("search: asked for %d candidates, want 1 or more", n)
	}
	batch := make([]Candidate[G], 0, min(n, 1024))
	for len(batch) < n {
		id := r.queue.next()
		seedStream(r.source, r.seed, forSample, 0, id)
		genome, key, err := r.candidates.sample(r.rng)
		if err != nil && len(batch) > 0 {
			break // the next call meets it
		}
		if err != nil {
			return nil, err
		}
		c := Candidate[G]{ID: id, Genome: genome, Key: key, Operator: BySample}
		r.queue.put(c)
		batch = append(batch, c)
	}
	return batch, nil
}

// Tell implements [Method]. A random search learns nothing from it.
func (r *Random[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := r.queue.tell(candidates, evaluations, len(r.directions)); err != nil {
		return err
	}
	done := 0
	for done < len(r.queue.outcomes) && r.queue.outcomes[done].done() {
		done++
	}
	r.queue.take(done)
	return nil
}

// Pending implements [Method].
func (r *Random[G]) Pending() []Candidate[G] { return r.queue.pending() }

// savedRandom is the state of [Random] as gob can write it.
type savedRandom[G any] struct {
	Seen  savedDistinct
	Queue savedQueue[G]
}

func (r *Random[G]) setup() any {
	return struct {
		Seed       uint64
		Directions []pareto.Direction
	}{r.seed, r.directions}
}

// MarshalBinary implements [Method].
func (r *Random[G]) MarshalBinary() ([]byte, error) {
	return marshalState("random", r.setup(), savedRandom[G]{r.candidates.save(), r.queue.save()})
}

// UnmarshalBinary implements [Method].
func (r *Random[G]) UnmarshalBinary(data []byte) error {
	var s savedRandom[G]
	if err := unmarshalState(data, "random", r.setup(), &s); err != nil {
		return err
	}
	queue := loadQueue(s.Queue)
	if err := queue.check(len(r.directions)); err != nil {
		return fmt.Errorf("search: load random: %w", err)
	}
	r.candidates.load(s.Seen)
	r.queue = queue
	return nil
}
