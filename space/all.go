package space

import (
	"fmt"
	"iter"
	"slices"
)

// MaxAll is how many networks a space may have at most for [Space.All].
const MaxAll = 1 << 22

// All returns the genomes of all distinct networks of the space, each once, in an
// order that depends on nothing but the space. It refuses a space of more than
// [MaxAll] networks. The loop's genomes are its own to keep.
func (s *Space) All() (iter.Seq[Genome], error) {
	if n := s.Size(); !n.IsInt64() || n.Int64() > MaxAll {
		return nil, fmt.Errorf("space: %v networks are too many to go through all; at most %d are supported", n, MaxAll)
	}
	return func(yield func(Genome) bool) {
		g := make(Genome, len(s.plan.Slots))
		s.trellis.each(s.trellis.root, g, func() bool { return yield(slices.Clone(g)) })
	}, nil
}
