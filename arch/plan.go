package arch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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

var (
	normWords       = []string{"none", "batch"}
	classifierWords = []string{"linear", "conv"}

	channelsParam   = Param{Name: "channels", Default: 3, Min: 1, Max: MaxWidth}
	resolutionParam = Param{Name: "resolution", Min: 1, Max: MaxResolution}
	normParam       = Param{Name: "norm", Kind: EnumParam, Enum: normWords, Default: 1}
	biasParam       = Param{Name: "bias", Kind: BoolParam, Default: 1}
	activationParam = Param{Name: "activation", Kind: EnumParam, Enum: activationNames, Default: float64(ReLU)}
	widthParam      = Param{Name: "width", Min: 1, Max: MaxWidth}
	depthParam      = Param{Name: "depth", Default: 1, Min: 0, Max: MaxDepth}
	strideParam     = Param{Name: "stride", Default: 1, Min: 1, Max: 8}
	headWidthParam  = Param{Name: "width", Min: 0, Max: MaxWidth}
	poolToParam     = Param{Name: "pool_to", Default: 1, Min: 0, Max: 1024}
	hiddenParam     = Param{Name: "hidden", Min: 0, Max: MaxWidth}
	layersParam     = Param{Name: "layers", Default: 1, Min: 1, Max: MaxHidden}
	classesParam    = Param{Name: "classes", Min: 1, Max: 1 << 20}
	dropoutParam    = Param{Name: "dropout", Kind: FloatParam, Min: 0, Max: 0.95}
	classifierParam = Param{Name: "classifier", Kind: EnumParam, Enum: classifierWords}
)

// stageKeys are the keys of a stage that no block type may take as a parameter.
var stageKeys = []string{"block", "width", "depth", "stride", "activation", "pool", "per_block"}

// Compile checks every value of the template for its kind and range. Whether
// the values fit together is decided network by network: see [Network.Lower].
func (t *Template) Compile() (*Plan, error) {
	c := compiler{plan: &Plan{template: t}}
	p := c.plan
	if len(t.Stages) > MaxStages {
		c.fail(t.stagesPos, "%d stages; at most %d", len(t.Stages), MaxStages)
	}
	if len(t.Stages) == 0 {
		c.fail(t.stagesPos, "a network has at least one stage")
	}
	c.stage, c.block = int(InInput), -1
	p.channels = c.value("input.channels", t.Input.Channels, channelsParam, t.Input.pos)
	p.resolution = c.required("input.resolution", t.Input.Resolution, resolutionParam, t.Input.pos)
	p.norm = c.value("norm", t.Norm, normParam, t.pos)
	p.bias = c.value("bias", t.Bias, biasParam, t.pos)
	p.activation = c.value("activation", t.Activation, activationParam, t.pos)
	c.stage = int(InStem)
	stem := t.Stem
	if stem.Block.absent() {
		stem.Block = OneOf("conv")
	}
	p.stem = c.stagePlan("stem", &stem)
	for i := range t.Stages {
		c.stage = i
		p.stages = append(p.stages, c.stagePlan(fmt.Sprintf("stages.%d", i), &t.Stages[i]))
	}
	c.stage = int(InHead)
	h := &t.Head
	p.head = headPlan{
		width:      c.value("head.width", h.Width, headWidthParam, h.pos),
		poolTo:     c.value("head.pool_to", h.PoolTo, poolToParam, h.pos),
		hidden:     c.value("head.hidden", h.Hidden, hiddenParam, h.pos),
		layers:     c.value("head.layers", h.Layers, layersParam, h.pos),
		classes:    c.required("head.classes", h.Classes, classesParam, h.pos),
		bias:       c.value("head.bias", h.Bias, biasParam, h.pos),
		dropout:    c.value("head.dropout", h.Dropout, dropoutParam, h.pos),
		activation: c.value("head.activation", h.Activation, activationParam, h.pos),
		classifier: c.value("head.classifier", h.Classifier, classifierParam, h.pos),
		inherits:   h.Activation.absent(),
	}
	c.pool("head.pool", h.Pool, h.pos)
	if c.err != nil {
		return nil, c.err
	}
	return p, nil
}

// A compiler collects slots and the first error.
type compiler struct {
	plan         *Plan
	stage, block int // of the slots being made
	err          error
}

func (c *compiler) fail(at strict.Pos, format string, args ...any) {
	if c.err == nil {
		c.err = at.Errorf(format, args...)
	}
}

// required is value for a key without a default.
func (c *compiler) required(path string, choice Choice, p Param, at strict.Pos) value {
	if choice.absent() {
		c.fail(at, "%s is missing", path)
		return value{slot: -1, options: []float64{p.Min}}
	}
	return c.value(path, choice, p, at)
}

// value checks a choice and makes it a slot if it is open.
func (c *compiler) value(path string, choice Choice, p Param, at strict.Pos) value {
	if choice.absent() {
		return value{slot: -1, options: []float64{p.Default}}
	}
	if choice.pos.Line > 0 {
		at = choice.pos
	}
	fixed := value{slot: -1, options: []float64{p.Default}}
	if choice.each != nil {
		c.fail(at, "%s cannot have values for each block", path)
		return fixed
	}
	options := c.numbers(path, choice, p, at)
	if len(options) < 2 {
		if len(options) == 1 {
			fixed.options = options
		}
		return fixed
	}
	return value{c.slot(path, choice, at), options}
}

// maxSlots bounds the memory that a small file can ask for.
const maxSlots = 1 << 14

// numbers checks the options of a choice for a parameter.
func (c *compiler) numbers(path string, choice Choice, p Param, at strict.Pos) []float64 {
	if len(choice.options) == 0 {
		c.fail(at, "%s: the list of choices is empty", path)
	}
	if len(choice.options) > maxOptions {
		c.fail(at, "%s: more than %d choices", path, maxOptions)
		return nil
	}
	options := make([]float64, 0, len(choice.options))
	seen := make(map[Scalar]bool, len(choice.options))
	for i, s := range choice.options {
		if place := choice.option(i); place.Line > 0 {
			at = place
		}
		v, err := p.value(s)
		if err != nil {
			c.fail(at, "%s: %v", path, err)
			return nil
		}
		if seen[s] {
			c.fail(at, "%s: %v stands twice in the list of choices", path, s)
		}
		seen[s] = true
		options = append(options, v)
	}
	return options
}

func (c *compiler) slot(path string, choice Choice, at strict.Pos) int {
	if len(c.plan.Slots) == maxSlots {
		c.fail(at, "%s: a space of more than %d open values", path, maxSlots)
		return 0
	}
	c.plan.Slots = append(c.plan.Slots, Slot{
		Path: path, Options: choice.options, Stage: c.stage, Block: c.block, Ordered: ordered(choice.options), at: at,
	})
	return len(c.plan.Slots) - 1
}

func ordered(options []Scalar) bool {
	up, down := true, true
	for i, s := range options {
		v, number := s.v.(float64)
		if !number {
			return false
		}
		if i > 0 {
			before, _ := options[i-1].v.(float64)
			up, down = up && v > before, down && v < before
		}
	}
	return up || down
}

func (c *compiler) stagePlan(path string, t *StageTemplate) stagePlan {
	s := stagePlan{pool: t.Pool, inherits: t.Activation.absent()}
	c.pool(path+".pool", t.Pool, t.pos)

	// The block types first: they say which parameters there are.
	if t.Block.absent() {
		c.fail(t.pos, "%s.block is missing (allowed: %s)", path, strings.Join(slices.Sorted(slices.Values(blockNames())), ", "))
		return s
	}
	s.block = c.required(path+".block", t.Block, Param{Name: "block", Kind: EnumParam, Enum: c.blockWords(path, t)}, t.pos)
	s.depth = c.value(path+".depth", t.Depth, depthParam, t.pos)
	s.stride = c.value(path+".stride", t.Stride, strideParam, t.pos)
	s.activation = c.value(path+".activation", t.Activation, activationParam, t.pos)
	if c.err != nil {
		return s
	}
	s.maxDepth = int(slices.Max(s.depth.options))
	s.width = c.blockValue(path+".width", t.Width, []Param{widthParam}, false, s.maxDepth, t.pos)[0]

	for i := range t.Block.options {
		b := BlockByName(t.Block.variant(i).Block)
		s.types = append(s.types, typePlan{block: b, params: b.Params()})
	}
	if s.block.slot < 0 {
		s.block.options = []float64{0}
	} else {
		for i := range s.block.options {
			s.block.options[i] = float64(i)
		}
	}
	for i := range s.types {
		tp := &s.types[i]
		tp.values = make([]blockValue, len(tp.params))
		for j, p := range tp.params {
			tp.values[j].shared = value{slot: -1, options: []float64{p.Default}}
		}
	}
	names := slices.Sorted(maps.Keys(t.Params)) // the order of genes must not depend on the map's
	for _, name := range names {
		c.param(path, name, t, &s)
	}
	for i := range s.types {
		c.ownParams(path, t, i, &s.types[i])
	}
	for i, name := range t.PerBlock {
		if _, ok := t.Params[name]; !ok {
			at := t.pos
			if i < len(t.perBlockAt) {
				at = t.perBlockAt[i]
			}
			c.fail(at, "%s.per_block: %s", path, strict.Unknown("parameter of this stage", name, names))
		}
	}
	if t.Width.absent() && s.maxDepth > 0 {
		c.fail(t.pos, "%s.width is missing", path)
	}
	return s
}

// blockWords returns the words that a stage's block may be: the names of the
// block types, or its variants in words.
func (c *compiler) blockWords(path string, t *StageTemplate) []string {
	names := blockNames()
	if t.Block.variants == nil {
		return names
	}
	var words []string
	for i, v := range t.Block.variants {
		if !slices.Contains(names, v.Block) {
			at := t.pos
			if place := t.Block.option(i); place.Line > 0 {
				at = place
			}
			c.fail(at, "%s.block: %s", path, strict.Unknown("block", v.Block, names))
		}
		words = append(words, v.String())
	}
	return words
}

// ownParams gives option i of the stage's block the parameters of its own.
func (c *compiler) ownParams(path string, t *StageTemplate, i int, tp *typePlan) {
	own := t.Block.variant(i).Params
	for _, name := range slices.Sorted(maps.Keys(own)) {
		choice, at := own[name], t.pos
		if choice.key.Line > 0 {
			at = choice.key
		}
		j := slices.IndexFunc(tp.params, func(p Param) bool { return p.Name == name })
		if j < 0 {
			var known []string
			for _, p := range tp.params {
				known = append(known, p.Name)
			}
			slices.Sort(known)
			c.fail(at, "%s.block: %s", path, strict.Unknown("parameter of "+tp.block.Name(), name, known))
			continue
		}
		options := c.numbers(path+"."+name, choice, tp.params[j], at)
		if len(options) > 1 {
			c.fail(at, "%s.block: %s of %s must have one value, found %d", path, name, tp.block.Name(), len(options))
		}
		if c.err == nil {
			tp.values[j].shared.options = options
		}
	}
}

// param gives the parameter to every block type of the stage that has it and
// has no value of its own.
func (c *compiler) param(path, name string, t *StageTemplate, s *stagePlan) {
	type place struct{ block, param int }
	var places []place
	var params []Param
	var known []string
	owned := false
	for i, tp := range s.types {
		for j, p := range tp.params {
			known = append(known, p.Name)
			if _, own := t.Block.variant(i).Params[p.Name]; own {
				owned = owned || p.Name == name
				continue
			}
			if p.Name == name {
				places = append(places, place{i, j})
				params = append(params, p)
			}
		}
	}
	choice := t.Params[name]
	if len(places) == 0 {
		at := t.pos
		if choice.key.Line > 0 {
			at = choice.key
		}
		if owned {
			c.fail(at, "%s.%s: every block type of this stage that has it has a value of its own", path, name)
			return
		}
		known = append(known, stageKeys...)
		slices.Sort(known)
		c.fail(at, "%s: %s", path, strict.Unknown("parameter", name, slices.Compact(known)))
		return
	}
	values := c.blockValue(path+"."+name, choice, params, slices.Contains(t.PerBlock, name), s.maxDepth, t.pos)
	for k, at := range places {
		s.types[at.block].values[at.param] = values[k]
	}
}

// blockValue is value for what every block of a stage has. Several block types
// may read one choice, each with its own declaration in params; the slots are
// theirs in common.
func (c *compiler) blockValue(path string, choice Choice, params []Param, perBlock bool, depth int, at strict.Pos) []blockValue {
	if choice.pos.Line > 0 {
		at = choice.pos
	}
	out := make([]blockValue, len(params))
	for k, p := range params {
		out[k].shared = value{slot: -1, options: []float64{max(p.Default, p.Min)}}
	}
	if choice.absent() || c.err != nil {
		return out
	}
	if choice.each != nil && len(choice.each) != depth {
		c.fail(at, "%s: {blocks: [...]} needs a value for each of the stage's %d blocks, found %d", path, depth, len(choice.each))
		return out
	}
	ofBlock := func(i int) string { return fmt.Sprintf("%s.%d.%s", parent(path), i, leaf(path)) }
	var shared [][]float64 // by declaration
	if choice.each == nil {
		if shared = c.common(path, choice, params, at); c.err != nil {
			return out
		}
		if !perBlock || len(choice.options) == 1 {
			slot := -1
			if len(choice.options) > 1 {
				slot = c.slot(path, choice, at)
			}
			for k := range out {
				out[k].shared = value{slot, shared[k]}
			}
			return out
		}
	}
	for i := range depth {
		own, options := choice, shared
		if choice.each != nil {
			own = choice.each[i]
			if options = c.common(ofBlock(i), own, params, at); c.err != nil {
				return out
			}
		}
		slot := -1
		if len(own.options) > 1 {
			c.block = i
			slot = c.slot(ofBlock(i), own, at)
			c.block = -1
		}
		for k := range out {
			out[k].each = append(out[k].each, value{slot, options[k]})
		}
	}
	return out
}

// common checks a choice for the several declarations that read it.
func (c *compiler) common(path string, choice Choice, params []Param, at strict.Pos) [][]float64 {
	if choice.pos.Line > 0 {
		at = choice.pos
	}
	if choice.each != nil {
		c.fail(at, "%s: values for each block inside values for each block", path)
	}
	out := make([][]float64, len(params))
	for k, p := range params {
		out[k] = c.numbers(path, choice, p, at)
	}
	return out
}

func (c *compiler) pool(path string, p Pool, at strict.Pos) {
	if p == (Pool{}) {
		return
	}
	if p.Kernel < 1 || p.Kernel > 31 || p.Stride < 0 || p.Stride > 31 || p.Padding < 0 || 2*p.Padding > p.Kernel {
		c.fail(at, "%s: a pool has a kernel and a stride from 1 to 31 and a padding of at most half its kernel", path)
	}
}

func parent(path string) string { return path[:lastDot(path)] }
func leaf(path string) string   { return path[lastDot(path)+1:] }

func lastDot(path string) int {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' {
			return i
		}
	}
	return -1
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
				u = p.unit(genes, s, block)
			}
			if !t.params[j].Active(u) {
				continue
			}
		}
		v.mark(active)
	}
}

// unit returns a block as its Lower would see it.
func (p *Plan) unit(genes []uint16, s *stagePlan, block int) *Unit {
	t := &s.types[int(s.block.at(genes))]
	u := &Unit{First: block == 0, Width: int(s.width.of(block).at(genes)), Stride: 1, values: make([]float64, len(t.values))}
	if block == 0 {
		u.Stride = int(s.stride.at(genes))
	}
	u.Activation = Activation(s.activation.at(genes))
	if s.inherits {
		u.Activation = Activation(p.activation.at(genes))
	}
	for i := range t.values {
		u.values[i] = t.values[i].of(block).at(genes)
	}
	return u
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
		for j, p := range t.params {
			if (p.Active == nil || p.Active(&u)) && !slices.Contains(t.values[j].of(i).options, row[1+j]) {
				return false
			}
		}
	}
	return true
}

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
