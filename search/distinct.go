package search

import (
	"fmt"
	"math/rand/v2"
)

// How often to try for something new before giving up. A search that has seen
// all but one of n equally likely candidates misses the last one with probability
// (1 - 1/n)^(20 n), about 2e-9. The cap bounds the time that a huge space takes to
// be found exhausted; what hides from it is less than a hundred-thousandth.
const (
	triesPerSeen = 20
	minTries     = 1_000
	maxTries     = 1_000_000

	mutationTries = 20
)

// distinct hands out candidates of a space, each once.
type distinct[G any] struct {
	space     Space[G]
	seen      map[string]struct{} // keys of all that was handed out
	elsewhere map[string]struct{} // more keys that are not new; it only reads them
	exhausted bool                // a sample found nothing new
}

func newDistinct[G any](space Space[G]) distinct[G] {
	return distinct[G]{space: space, seen: make(map[string]struct{})}
}

// take reports whether genome is a new candidate, and what its key is. If it is,
// it is not new any more.
func (d *distinct[G]) take(genome G) (key string, ok bool) {
	key = d.space.Key(genome)
	if _, old := d.seen[key]; old {
		return key, false
	}
	if _, old := d.elsewhere[key]; old {
		return key, false
	}
	d.seen[key] = struct{}{}
	return key, true
}

// sample takes a new candidate, or returns [ErrExhausted].
func (d *distinct[G]) sample(rng *rand.Rand) (genome G, key string, err error) {
	if d.exhausted {
		return genome, "", ErrExhausted
	}
	tries := min(minTries+triesPerSeen*(len(d.seen)+len(d.elsewhere)), maxTries)
	for range tries {
		genome, err = d.space.Sample(rng)
		if err != nil {
			return genome, "", fmt.Errorf("search: sample: %w", err)
		}
		if key, ok := d.take(genome); ok {
			return genome, key, nil
		}
	}
	d.exhausted = true
	return genome, "", ErrExhausted
}

// vary takes a new candidate that comes of mutating genome, which is not new,
// again and again. If it finds none, ok is false.
func (d *distinct[G]) vary(rng *rand.Rand, genome G) (varied G, key string, ok bool, err error) {
	for range mutationTries {
		genome, err = d.space.Mutate(rng, genome)
		if err != nil {
			return genome, "", false, fmt.Errorf("search: mutate: %w", err)
		}
		if key, ok := d.take(genome); ok {
			return genome, key, true, nil
		}
	}
	return genome, "", false, nil
}
