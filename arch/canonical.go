package arch

import "slices"

// Canonical changes genes to those that all genomes share which lead to the same
// network because of stages that do nothing: stages of depth 0, and stages of
// identity blocks that leave the shape as it is. The network's layers stay the
// same; the names of stages and layers may change.
//
// Stages that are next to each other and have the same open and fixed values can
// stand in for each other. Among them, those that do nothing come behind all
// others, or as near to that as the widths allow. How they do nothing is the same
// everywhere: by a depth of 0 if they may have it, else by the first choices that
// serve. Inactive genes are zero, and active says which are not, both as
// [Plan.Active] does.
//
// Canonical takes from the block types that only identity can do nothing. It does
// not allocate, and may be called at once from several places.
func (p *Plan) Canonical(genes []uint16, active []bool) {
	channels := int(p.channels.at(genes))
	if p.stem.depth.at(genes) > 0 {
		channels = p.stem.out(genes)
	}
	for first := 0; first < len(p.stages); {
		end := first + 1
		for end < len(p.stages) && p.stages[end].repeats {
			end++
		}
		channels = p.settle(genes, first, end, channels)
		first = end
	}
	p.Active(genes, active)
	for i, on := range active {
		if !on {
			genes[i] = 0
		}
	}
}

// settle is Canonical for the stages from first up to, not including, end, which
// are alike and read a map of in channels. It returns the channels that they
// make of it.
func (p *Plan) settle(genes []uint16, first, end, in int) (out int) {
	out = in
	busy := first // the stages from first up to it do something
	for i := first; i < end; i++ {
		s := &p.stages[i]
		if s.idle(genes, out) {
			continue
		}
		out = s.out(genes)
		p.move(genes, busy, i)
		busy++
	}
	idle := end - busy
	if idle == 0 {
		return out
	}
	// Where the widths do not let a stage do nothing behind all others, it must
	// stand further ahead. It stood somewhere, so there is a place.
	place, channels := busy, out
	for place > first && p.stages[first].rest(channels) < 0 {
		place--
		channels = in
		if place > first {
			channels = p.stages[place-1].out(genes)
		}
	}
	for i := busy - 1; i >= place; i-- {
		p.move(genes, i+idle, i)
	}
	for i := place; i < place+idle; i++ {
		p.stages[i].setIdle(genes, channels)
	}
	return out
}

// move gives stage to the genes of stage from, which is alike.
func (p *Plan) move(genes []uint16, to, from int) {
	t, f := &p.stages[to], &p.stages[from]
	copy(genes[t.firstSlot:t.endSlot], genes[f.firstSlot:f.endSlot])
}

// out returns the width of the last block of a stage that has one.
func (s *stagePlan) out(genes []uint16) int {
	return int(s.width.of(int(s.depth.at(genes)) - 1).at(genes))
}

// idle reports whether the stage does nothing to a map of so many channels.
func (s *stagePlan) idle(genes []uint16, channels int) bool {
	depth := int(s.depth.at(genes))
	if depth == 0 {
		return true
	}
	if !s.types[int(s.block.at(genes))].skips() || s.pool != (Pool{}) || s.stride.at(genes) != 1 {
		return false
	}
	for i := range depth {
		if int(s.width.of(i).at(genes)) != channels {
			return false
		}
	}
	return true
}

// rest returns the option of the depth with which the stage can do nothing to a
// map of so many channels, or -1. The stage, or one that is like it, does so
// already to a map of some number of channels.
func (s *stagePlan) rest(channels int) int {
	if i := slices.Index(s.depth.options, 0); i >= 0 {
		return i
	}
	for i, depth := range s.depth.options {
		fits := true
		for block := range int(depth) {
			fits = fits && slices.Contains(s.width.of(block).options, float64(channels))
		}
		if fits {
			return i
		}
	}
	return -1
}

// setIdle sets the stage's genes so that it does nothing to a map of so many
// channels, which it can.
func (s *stagePlan) setIdle(genes []uint16, channels int) {
	clear(genes[s.firstSlot:s.endSlot])
	option := s.rest(channels)
	s.depth.set(genes, option)
	depth := int(s.depth.options[option])
	if depth == 0 {
		return
	}
	s.block.set(genes, slices.IndexFunc(s.types, typePlan.skips))
	s.stride.set(genes, slices.Index(s.stride.options, 1))
	for i := range depth {
		w := s.width.of(i)
		w.set(genes, slices.Index(w.options, float64(channels)))
	}
}

// skips reports whether blocks of this type do nothing where the shape stays.
func (t typePlan) skips() bool {
	_, ok := t.block.(identity)
	return ok
}

// set chooses an option, unless there is but one.
func (v *value) set(genes []uint16, option int) {
	if v.slot >= 0 {
		genes[v.slot] = uint16(option)
	}
}

// alike reports whether two stages can be exchanged: whether all their values
// are open or fixed alike, with the same options in the same order.
func (s *stagePlan) alike(t *stagePlan) bool {
	// A value is open if it has several options, and slots stand in a fixed
	// order: with equal options, those of two stages correspond.
	value := func(a, b *value) bool { return slices.Equal(a.options, b.options) }
	blockValue := func(a, b *blockValue) bool {
		if len(a.each) != len(b.each) {
			return false
		}
		for i := range a.each {
			if !value(&a.each[i], &b.each[i]) {
				return false
			}
		}
		return a.each != nil || value(&a.shared, &b.shared)
	}
	if s.endSlot-s.firstSlot != t.endSlot-t.firstSlot || s.pool != t.pool || s.inherits != t.inherits ||
		!value(&s.block, &t.block) || !value(&s.depth, &t.depth) || !value(&s.stride, &t.stride) ||
		!value(&s.activation, &t.activation) || !blockValue(&s.width, &t.width) {
		return false
	}
	for i := range s.types { // there are as many, one an option of block
		a, b := &s.types[i], &t.types[i]
		if a.block.Name() != b.block.Name() {
			return false
		}
		for j := range a.values {
			if !blockValue(&a.values[j], &b.values[j]) {
				return false
			}
		}
	}
	return true
}
