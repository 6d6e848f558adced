package arch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/efficientnas/nas/internal/strict"
)

// A Template is a network in which values may be open: what an architecture
// file or a space file says, and what a space built in Go starts from. With one
// option a key, it is one network.
//
// A key that is left out (the zero [Choice]) has its default.
type Template struct {
	Name       string
	Input      InputTemplate
	Norm       Choice // "batch" (default) or "none"
	Bias       Choice // of stem, stages and 1x1 head; default true without norm, else false
	Activation Choice // default "relu"
	Stem       StageTemplate
	Stages     []StageTemplate
	Head       HeadTemplate
	About      About

	pos, stagesPos strict.Pos
}

// InputTemplate is an [Input] with open values.
type InputTemplate struct {
	Channels   Choice // default 3
	Resolution Choice // required

	pos strict.Pos
}

// A StageTemplate is a [Stage] with open values.
type StageTemplate struct {
	Block      Choice // name of a block type, or Variants; required, in the stem "conv"
	Width      Choice // output channels; required unless the depth is 0
	Depth      Choice // number of blocks, default 1; 0 leaves the stage out
	Stride     Choice // of the first block, default 1
	Activation Choice // default the network's
	Pool       Pool
	// Params are the parameters of the block types, by name. A parameter must
	// be one of at least one of the stage's types; for the others it is
	// inactive.
	Params map[string]Choice
	// PerBlock names the parameters that are chosen for every block of the
	// stage on its own.
	PerBlock []string

	pos        strict.Pos
	perBlockAt []strict.Pos // where its names stand
}

// A HeadTemplate is a [Head] with open values.
type HeadTemplate struct {
	Pool       Pool
	Width      Choice // default 0
	PoolTo     Choice // default 1
	Hidden     Choice // default 0
	Layers     Choice // default 1
	Classes    Choice // required
	Bias       Choice // default true
	Dropout    Choice // default 0
	Activation Choice // default the network's
	Classifier Choice // "linear" (default) or "conv"

	pos strict.Pos
}

// A Choice is the values that a key may take, in order. The zero Choice stands
// for a key that is left out.
type Choice struct {
	options  []Scalar
	each     []Choice  // for {blocks: [...]}: one for each block of the stage
	variants []Variant // what the options of OneOfVariants stand for
	pos      strict.Pos
	key      strict.Pos   // of a block type's parameter: where its name stands
	at       []strict.Pos // of a list: where its options stand
}

// A Variant is a block type with values of its own for some parameters, such as
// an inverted bottleneck with expansion 3 and kernel 3 beside one with 6 and 5.
type Variant struct {
	Block  string            // name of a block type
	Params map[string]Choice // by name, one value each
}

// String returns the variant in words: "inverted expansion=3 kernel=3".
func (v Variant) String() string {
	words := v.Block
	for _, name := range slices.Sorted(maps.Keys(v.Params)) {
		words += " " + name + "="
		for _, s := range v.Params[name].options { // one, or it is refused later
			words += s.String()
		}
	}
	return words
}

// OneOfVariants returns the choice between block types with parameters of
// their own, for a stage's Block.
func OneOfVariants(variants ...Variant) Choice {
	c := Choice{options: make([]Scalar, 0, len(variants)), variants: variants}
	for _, v := range variants {
		c.options = append(c.options, Scalar{v.String()})
	}
	return c
}

// variant returns option i of a stage's block.
func (c *Choice) variant(i int) Variant {
	if c.variants != nil {
		return c.variants[i]
	}
	return Variant{Block: c.options[i].String()}
}

// option returns where option i stands.
func (c *Choice) option(i int) strict.Pos {
	if i < len(c.at) {
		return c.at[i]
	}
	return c.pos
}

// A Scalar is one value: a number, a word or a boolean.
type Scalar struct {
	v any // float64, string or bool
}

// Value is what a [Choice] can be made of.
type Value interface {
	~int | ~float64 | ~string | ~bool
}

// OneOf returns the choice between the given values; of one value, the fixed
// choice.
func OneOf[T Value](values ...T) Choice {
	c := Choice{options: make([]Scalar, 0, len(values))}
	for _, v := range values {
		switch v := any(v).(type) {
		case int:
			c.options = append(c.options, Scalar{float64(v)})
		default:
			c.options = append(c.options, Scalar{v})
		}
	}
	return c
}

// Range returns the choice between from, from+step, … up to and including to.
// It is empty, and so refused later, if step is not positive or to < from.
func Range(from, to, step float64) Choice {
	c := Choice{options: []Scalar{}}
	if step <= 0 {
		return c
	}
	for i := 0; len(c.options) <= maxOptions; i++ {
		v := from + float64(i)*step
		if v > to+step*1e-9 {
			break
		}
		c.options = append(c.options, Scalar{v})
	}
	return c
}

// EachBlock gives the blocks of a stage values of their own, the first choice
// to the first block and so on. There must be as many as the stage's greatest
// depth.
func EachBlock(choices ...Choice) Choice { return Choice{each: choices} }

const maxOptions = 1 << 12

func (c Choice) absent() bool { return c.options == nil && c.each == nil }

// clone returns a template that shares nothing with t that can be changed.
func (t *Template) clone() *Template {
	own := *t
	own.Stem = t.Stem.clone()
	own.Stages = slices.Clone(t.Stages)
	for i := range own.Stages {
		own.Stages[i] = t.Stages[i].clone()
	}
	return &own
}

func (s *StageTemplate) clone() StageTemplate {
	own := *s
	own.Params = maps.Clone(s.Params)
	own.PerBlock = slices.Clone(s.PerBlock)
	return own
}

// Number returns the value if it is a number, and whether it is one. Words and
// booleans are none.
func (s Scalar) Number() (v float64, ok bool) {
	v, ok = s.v.(float64)
	return v, ok
}

func (s Scalar) String() string {
	switch v := s.v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return v
	}
	return ""
}

func (s Scalar) describe() string {
	if v, ok := s.v.(string); ok {
		return fmt.Sprintf("the string %q", v)
	}
	return s.String()
}
