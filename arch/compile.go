package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/efficientnas/nas/internal/strict"
)

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
	t = t.clone() // the plan must not change with the caller's
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
		first := len(p.Slots)
		s := c.stagePlan(fmt.Sprintf("stages.%d", i), &t.Stages[i])
		s.firstSlot, s.endSlot = first, len(p.Slots)
		s.repeats = i > 0 && c.err == nil && s.alike(&p.stages[i-1])
		p.stages = append(p.stages, s)
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
