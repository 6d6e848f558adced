package arch

import (
	"errors"

	"github.com/efficientnas/nas/internal/strict"
)

// A Plan is a template that was checked: its open values as slots, and the way
// from an option for every slot to the network.
type Plan struct {
	Slots []Slot

	template   *Template
	channels   value
	resolution value
	norm, bias value
	activation value
	stem       stagePlan
	stages     []stagePlan
	head       headPlan
}

// A Slot is an open value of a template: a gene of the space.
type Slot struct {
	Path    string   // such as "stages.2.expansion", or "stages.2.1.kernel" for block 1 alone
	Options []Scalar // at least two, all different
	Stage   int      // index of the stage, or InInput (for the whole network), InStem, InHead
	Block   int      // index of the block in the stage that alone has it, or -1
	Ordered bool     // the options are numbers, ascending or descending

	at strict.Pos
}

// A value is one that is fixed, or that a slot decides.
type value struct {
	slot    int // -1 if fixed
	options []float64
}

func (v *value) at(genes []uint16) float64 {
	if v.slot < 0 {
		return v.options[0]
	}
	return v.options[genes[v.slot]]
}

// A blockValue is one of every block of a stage: shared, or each its own.
type blockValue struct {
	shared value
	each   []value
}

func (v *blockValue) of(block int) *value {
	if v.each != nil {
		return &v.each[block]
	}
	return &v.shared
}

type stagePlan struct {
	block, depth, stride value
	activation           value
	inherits             bool // the activation is the network's
	pool                 Pool
	types                []typePlan // by option of block
	width                blockValue
	maxDepth             int

	firstSlot, endSlot int  // its own slots are those from firstSlot up to endSlot
	repeats            bool // it is like the stage before it, see alike
}

// A typePlan is how a stage is built if one block type is chosen.
type typePlan struct {
	block  Block
	params []Param
	values []blockValue // parallel to params
}

type headPlan struct {
	width, poolTo, hidden, layers, classes, bias, dropout, activation, classifier value

	inherits bool
}

// Build writes the network that the options in genes, one index for each slot,
// lead to. It reuses what n holds, so that building again and again into one
// network does not allocate. The network's values alias n's memory, never the
// plan's.
func (p *Plan) Build(genes []uint16, n *Network) {
	t := p.template
	n.Name, n.About = t.Name, t.About
	n.Input = Input{int(p.channels.at(genes)), int(p.resolution.at(genes))}
	n.Norm = p.norm.at(genes) != 0
	n.Bias = !n.Norm
	if !t.Bias.absent() {
		n.Bias = p.bias.at(genes) != 0
	}
	n.Activation = Activation(p.activation.at(genes))
	if cap(n.Stages) < len(p.stages) {
		n.Stages = make([]Stage, len(p.stages))
	}
	n.Stages = n.Stages[:len(p.stages)]
	p.stem.build(genes, &n.Stem, n.Activation)
	for i := range p.stages {
		p.stages[i].build(genes, &n.Stages[i], n.Activation)
	}
	p.buildHead(genes, n)
}

// BuildPart is Build for one part alone, after a Build: a stage by its index,
// InStem or InHead.
func (p *Plan) BuildPart(genes []uint16, part int, n *Network) {
	switch part {
	case int(InHead):
		p.buildHead(genes, n)
	case int(InStem):
		p.stem.build(genes, &n.Stem, n.Activation)
	default:
		p.stages[part].build(genes, &n.Stages[part], n.Activation)
	}
}

func (p *Plan) buildHead(genes []uint16, n *Network) {
	t, h := p.template, &p.head
	n.Head = Head{
		Pool:           t.Head.Pool,
		Width:          int(h.width.at(genes)),
		PoolTo:         int(h.poolTo.at(genes)),
		Hidden:         int(h.hidden.at(genes)),
		Classes:        int(h.classes.at(genes)),
		Bias:           h.bias.at(genes) != 0,
		Dropout:        h.dropout.at(genes),
		Activation:     n.Activation,
		ConvClassifier: h.classifier.at(genes) != 0,
	}
	if !h.inherits {
		n.Head.Activation = Activation(h.activation.at(genes))
	}
	if n.Head.Hidden > 0 && !n.Head.ConvClassifier {
		n.Head.Layers = int(h.layers.at(genes))
	}
}

func (s *stagePlan) build(genes []uint16, st *Stage, activation Activation) {
	t := &s.types[int(s.block.at(genes))]
	st.Block = t.block
	st.Depth = int(s.depth.at(genes))
	st.Stride = int(s.stride.at(genes))
	st.Pool = s.pool
	st.Activation = activation
	if !s.inherits {
		st.Activation = Activation(s.activation.at(genes))
	}
	st.rows = st.rows[:0]
	for i := range st.Depth {
		st.rows = append(st.rows, s.width.of(i).at(genes))
		for j := range t.values {
			st.rows = append(st.rows, t.values[j].of(i).at(genes))
		}
	}
}

// Template returns a copy of the template, from which the same plan can be
// compiled again.
func (p *Plan) Template() *Template { return p.template.clone() }

// Network returns the one network of a template without open values. It fails
// if that cannot be built.
func (t *Template) Network() (*Network, error) {
	p, err := t.Compile()
	if err != nil {
		return nil, err
	}
	if len(p.Slots) > 0 {
		s := p.Slots[0]
		return nil, s.at.Errorf("%s has %d choices, so this is a space, not one network", s.Path, len(s.Options))
	}
	n := new(Network)
	p.Build(nil, n)
	if err := n.Lower(new(Graph)); err != nil {
		var b *BuildError
		if at := t.pos; errors.As(err, &b) && at.Line > 0 {
			if b.Stage != InInput {
				at = p.Pos(int(b.Stage))
			}
			return nil, at.Errorf("%s", err)
		}
		return nil, err
	}
	return n, nil
}
