package space

import (
	"iter"
	"math/rand/v2"
	"slices"
)

// Neighbors returns the networks next to g, each once, g not among them: those in
// which one active gene has another option, for each option, and those in which
// all stages take the option that one gene has, as in [Space.Mutate]. A stage that
// does nothing stands at every place among those that are like it, so that it may
// come to do something at each. Genes that become active are drawn, a few times if
// that undoes the change. What cannot be built is repaired, see [Space.Repair], and
// left out if that undoes it.
//
// The order depends on g alone. So do those networks for which nothing is drawn or
// repaired. If they differ from g in one gene and have the same active ones, g is
// a neighbour of theirs too.
//
// It does not fail; the error is for [search.NeighborSpace], of which other
// implementations may.
func (s *Space) Neighbors(rng *rand.Rand, g Genome) ([]Genome, error) {
	var all []Genome
	own := s.Key(g)
	known := map[string]struct{}{own: {}}
	active := make([]bool, len(g))
	add := func(from Genome, changes ...allele) error {
		child, key := make(Genome, len(from)), ""
		const tries = 8 // what is drawn can undo the change: a block that does nothing
		for range tries {
			copy(child, from)
			for _, c := range changes {
				child[c.gene] = c.option
			}
			drawn := s.draft(rng, child, active)
			if err := s.Repair(rng, child); err != nil {
				return err
			}
			if key = s.Key(child); key != own || !drawn {
				break
			}
		}
		if _, old := known[key]; !old {
			known[key] = struct{}{}
			all = append(all, child)
		}
		return nil
	}

	change := func(from Genome, genes func(gene int) bool) error {
		s.plan.Active(from, active)
		for i, on := range active {
			if !on || !genes(i) {
				continue
			}
			for o := range s.plan.Slots[i].Options {
				if err := add(from, allele{i, uint16(o)}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := change(g, func(int) bool { return true }); err != nil {
		return nil, err
	}
	for from, stage := range s.moved(g) {
		if err := change(from, func(gene int) bool { return s.plan.Slots[gene].Stage == stage }); err != nil {
			return nil, err
		}
	}

	s.plan.Active(g, active)
	for i, on := range active {
		if on {
			if err := add(g, s.throughout[i][g[i]]...); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// moved yields other genomes of g's network, in each of which one stage stands at
// another place, and this place. They are valid during the loop's body.
func (s *Space) moved(g Genome) iter.Seq2[Genome, int] {
	return func(yield func(Genome, int) bool) {
		key := s.Key(g)
		for i := range s.plan.Stages() {
			at := slices.Clone(g)
			for to := i - 1; to >= 0 && s.swap(at, to) && s.Key(at) == key; to-- {
				if !slices.Equal(at, g) && !yield(at, to) {
					return
				}
			}
		}
	}
}

// swap exchanges the genes of a stage of g and the next one, if they have as many
// with as many options.
func (s *Space) swap(g Genome, stage int) bool {
	a, b := s.slots[stage+1], s.slots[stage+2] // the first part is the stem
	options := func(i, j int) bool { return len(s.plan.Slots[i].Options) == len(s.plan.Slots[j].Options) }
	if !slices.EqualFunc(a, b, options) {
		return false
	}
	for k := range a {
		g[a[k]], g[b[k]] = g[b[k]], g[a[k]]
	}
	return true
}
