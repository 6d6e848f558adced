package search

import (
	"errors"
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
	proposed   int

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
		seedStream(r.source, r.seed, forSample, 0, r.proposed)
		genome, key, err := r.candidates.sample(r.rng)
		if errors.Is(err, ErrExhausted) && len(batch) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, Candidate[G]{ID: r.proposed, Genome: genome, Key: key, Operator: BySample})
		r.proposed++
	}
	return batch, nil
}

// Tell implements [Method]. A random search learns nothing from it.
func (r *Random[G]) Tell(candidates []Candidate[G], evaluations []Evaluation) error {
	if err := checkTold(candidates, evaluations); err != nil {
		return err
	}
	for _, c := range candidates {
		if c.ID < 0 || c.ID >= r.proposed {
			return fmt.Errorf("search: told of candidate %d, which was not asked for", c.ID)
		}
	}
	return nil
}
