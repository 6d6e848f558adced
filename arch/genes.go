package arch

import (
	"fmt"
	"slices"
	"sync"

	"github.com/efficientnas/nas/internal/strict"
)

// Active sets active[i] to whether slot i matters for the network of genes: a
// parameter that the chosen block type does not have, a value of a block beyond
// the stage's depth, or of a stage that is left out, does not.
func (p *Plan) Active(genes []uint16, active []bool) {
	clear(active)
	for _, v := range []*value{&p.channels, &p.resolution, &p.norm, &p.bias} {
		v.mark(active)
	}
	p.MarkPart(genes, int(InStem), active)
	for i := range p.stages {
		p.MarkPart(genes, i, active)
	}
	p.MarkPart(genes, int(InHead), active)
}

func (v *value) mark(active []bool) {
	if v.slot >= 0 {
		active[v.slot] = true
	}
}

// MarkPart sets active[i] for every slot that matters to one part: a stage by
// its index, InStem or InHead. That may be slots of the whole network, which the
// part inherits from.
func (p *Plan) MarkPart(genes []uint16, part int, active []bool) {
	if part == int(InHead) {
		p.markHead(genes, active)
		return
	}
	for i := range p.MarkStage(genes, part, active) {
		p.MarkBlock(genes, part, i, active)
	}
}

// MarkStage sets active[i] for every slot that says how a stage or the stem is
// built, leaving out the width and parameters of its blocks. It returns the
// number of blocks.
func (p *Plan) MarkStage(genes []uint16, part int, active []bool) (depth int) {
	s := p.part(part)
	s.depth.mark(active)
	depth = int(s.depth.at(genes))
	if depth == 0 {
		return 0
	}
	s.block.mark(active)
	s.stride.mark(active)
	if s.inherits {
		p.activation.mark(active)
	} else {
		s.activation.mark(active)
	}
	return depth
}

// MarkBlock sets active[i] for every slot that says how one block of a part is
// built: its width and parameters.
func (p *Plan) MarkBlock(genes []uint16, part, block int, active []bool) {
	s := p.part(part)
	t := &s.types[int(s.block.at(genes))]
	s.width.of(block).mark(active)
	var u *Unit
	for j := range t.values {
		v := t.values[j].of(block)
		if v.slot < 0 || active[v.slot] {
			continue
		}
		if t.params[j].Active != nil {
			if u == nil {
				u = units.Get().(*Unit)
				s.unit(genes, block, u)
			}
			if !t.params[j].Active(u) {
				continue
			}
		}
		v.mark(active)
	}
	if u != nil {
		units.Put(u)
	}
}

// units are for asking Param.Active. One of its own for every question would be
// allocated.
var units = sync.Pool{New: func() any { return new(Unit) }}

// unit sets u to a block as Param.Active may see it.
func (s *stagePlan) unit(genes []uint16, block int, u *Unit) {
	t := &s.types[int(s.block.at(genes))]
	*u = Unit{First: block == 0, Width: int(s.width.of(block).at(genes)), Stride: 1, values: u.values[:0]}
	if block == 0 {
		u.Stride = int(s.stride.at(genes))
	}
	for i := range t.values {
		u.values = append(u.values, t.values[i].of(block).at(genes))
	}
}

func (p *Plan) part(part int) *stagePlan {
	if part == int(InStem) {
		return &p.stem
	}
	return &p.stages[part]
}

func (p *Plan) markHead(genes []uint16, active []bool) {
	h := &p.head
	conv := h.classifier.at(genes) != 0
	hidden := !conv && h.hidden.at(genes) > 0
	for _, v := range []*value{&h.classifier, &h.width, &h.poolTo, &h.classes, &h.bias, &h.dropout} {
		v.mark(active)
	}
	if !conv {
		h.hidden.mark(active)
	}
	if hidden {
		h.layers.mark(active)
	}
	if h.width.at(genes) > 0 || hidden || conv {
		if h.inherits {
			p.activation.mark(active)
		} else {
			h.activation.mark(active)
		}
	}
}

// TypeSlots returns the slots of a stage or the stem that can matter if its
// block type is the given option: those that all types have, and those of that
// type.
func (p *Plan) TypeSlots(part, option int) []int {
	s := p.part(part)
	t := &s.types[option]
	marked := make([]bool, len(p.Slots))
	for _, v := range []*value{&s.depth, &s.block, &s.stride, &s.activation} {
		v.mark(marked)
	}
	for _, bv := range append([]blockValue{s.width}, t.values...) {
		for i := range max(s.maxDepth, 1) {
			if bv.each == nil || i < len(bv.each) {
				bv.of(i).mark(marked)
			}
		}
	}
	var slots []int
	for i, on := range marked {
		if on {
			slots = append(slots, i)
		}
	}
	return slots
}

// TypeSlot returns the slot of a part's block type, or -1, and the number of
// its types.
func (p *Plan) TypeSlot(part int) (slot, types int) {
	s := p.part(part)
	return s.block.slot, len(s.types)
}

// Depths returns the depths that a part may have, and the slot that decides, or
// -1.
func (p *Plan) Depths(part int) (depths []int, slot int) {
	d := &p.part(part).depth
	for _, v := range d.options {
		depths = append(depths, int(v))
	}
	return depths, d.slot
}

// Uniform reports whether all blocks of a part have the same width and
// parameters, whatever is chosen.
func (p *Plan) Uniform(part int) bool {
	s := p.part(part)
	uniform := s.width.each == nil
	for i := range s.types {
		for j := range s.types[i].values {
			uniform = uniform && s.types[i].values[j].each == nil
		}
	}
	return uniform
}

// At returns the place of slot i's choice in its file, for messages.
func (p *Plan) At(i int) strict.Pos { return p.Slots[i].at }

// Pos returns the place of a part in its file, for messages.
func (p *Plan) Pos(part int) strict.Pos {
	switch part {
	case int(InStem):
		return p.template.Stem.pos
	case int(InHead):
		return p.template.Head.pos
	}
	return p.template.Stages[part].pos
}

// Stages returns the number of stages.
func (p *Plan) Stages() int { return len(p.stages) }

// Genes is the inverse of Build: the option of every slot that leads to n, with
// zero for the inactive ones. It fails if no options do.
func (p *Plan) Genes(n *Network) ([]uint16, error) {
	genes := make([]uint16, len(p.Slots))
	found := make([]bool, len(p.Slots))
	var failed error
	fail := func(format string, args ...any) {
		if failed == nil {
			failed = fmt.Errorf("arch: "+format, args...)
		}
	}
	match := func(v *value, want float64, path string) {
		i := slices.Index(v.options, want)
		switch {
		case i < 0:
			fail("%s = %v is not among the choices %v", path, want, v.options)
		case v.slot >= 0 && found[v.slot] && genes[v.slot] != uint16(i):
			fail("%s differs between blocks that share it", path)
		case v.slot >= 0:
			genes[v.slot], found[v.slot] = uint16(i), true
		}
	}
	match(&p.channels, float64(n.Input.Channels), "input.channels")
	match(&p.resolution, float64(n.Input.Resolution), "input.resolution")
	match(&p.norm, boolValue(n.Norm), "norm")
	if !p.template.Bias.absent() {
		match(&p.bias, boolValue(n.Bias), "bias")
	} else if n.Bias == n.Norm {
		fail("bias = %v is not the default", n.Bias)
	}
	match(&p.activation, float64(n.Activation), "activation")
	stage := func(s *stagePlan, st *Stage, path string) {
		match(&s.depth, float64(st.Depth), path+".depth")
		if st.Depth == 0 || failed != nil {
			return
		}
		which := slices.IndexFunc(s.types, func(t typePlan) bool { return t.allows(st) })
		if which < 0 { // then say what is in the way
			which = slices.IndexFunc(s.types, func(t typePlan) bool { return t.block.Name() == st.Block.Name() })
		}
		if which < 0 {
			fail("%s.block = %s is not among the choices", path, st.Block.Name())
			return
		}
		match(&s.block, float64(which), path+".block")
		match(&s.stride, float64(st.Stride), path+".stride")
		if !s.inherits {
			match(&s.activation, float64(st.Activation), path+".activation")
		} else if st.Activation != n.Activation {
			fail("%s.activation differs from the network's", path)
		}
		if st.Pool != s.pool {
			fail("%s.pool differs from the space's", path)
		}
		t := &s.types[which]
		for i := range st.Depth {
			row, u := st.row(i), st.unit(i)
			u.Activation = Identity // as in unit
			match(s.width.of(i), row[0], path+".width")
			for j := range t.values {
				if t.params[j].Active == nil || t.params[j].Active(&u) {
					match(t.values[j].of(i), row[1+j], path+"."+t.params[j].Name)
				}
			}
		}
	}
	stage(&p.stem, &n.Stem, "stem")
	if len(n.Stages) != len(p.stages) {
		return nil, fmt.Errorf("arch: %d stages instead of %d", len(n.Stages), len(p.stages))
	}
	for i := range p.stages {
		stage(&p.stages[i], &n.Stages[i], fmt.Sprintf("stages.%d", i))
	}
	h := &p.head
	match(&h.width, float64(n.Head.Width), "head.width")
	match(&h.poolTo, float64(n.Head.PoolTo), "head.pool_to")
	if !n.Head.ConvClassifier {
		match(&h.hidden, float64(n.Head.Hidden), "head.hidden")
	}
	if n.Head.Layers > 0 {
		match(&h.layers, float64(n.Head.Layers), "head.layers")
	}
	match(&h.classes, float64(n.Head.Classes), "head.classes")
	match(&h.bias, boolValue(n.Head.Bias), "head.bias")
	match(&h.dropout, n.Head.Dropout, "head.dropout")
	match(&h.classifier, boolValue(n.Head.ConvClassifier), "head.classifier")
	if !h.inherits {
		match(&h.activation, float64(n.Head.Activation), "head.activation")
	} else if n.Head.Activation != n.Activation {
		fail("head.activation differs from the network's")
	}
	if n.Head.Pool != p.template.Head.Pool {
		fail("head.pool differs from the space's")
	}
	if failed != nil {
		return nil, failed
	}
	// A shared slot that is inactive in the last block that read it, and slots
	// that Build would ignore, are zero.
	active := make([]bool, len(genes))
	p.Active(genes, active)
	for i := range genes {
		if !active[i] {
			genes[i] = 0
		}
	}
	return genes, nil
}

// allows reports whether a stage is of this type, with parameters among its
// choices.
func (t *typePlan) allows(st *Stage) bool {
	if t.block.Name() != st.Block.Name() {
		return false
	}
	for i := range st.Depth {
		row, u := st.row(i), st.unit(i)
		u.Activation = Identity // as in unit
		for j, p := range t.params {
			if (p.Active == nil || p.Active(&u)) && !slices.Contains(t.values[j].of(i).options, row[1+j]) {
				return false
			}
		}
	}
	return true
}
