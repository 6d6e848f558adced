package arch

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/efficientnas/nas/internal/strict"
)

// A Block is a type of building block: its name in architecture files, its
// parameters, and how one block is built. A new type is one value of this
// interface; once registered it works wherever networks do.
type Block interface {
	// Name is the block's name in files: lower case, words joined by "_".
	Name() string
	// Params lists the parameters that the block understands, apart from
	// width, depth, stride and activation, which every stage has. Their order
	// is the order of the indices that Lower passes to Unit.
	Params() []Param
	// Lower adds the layers of one block with input x to g and returns its
	// output, which has u.Width channels. What cannot be built is reported by
	// g itself or with g.Failf; Lower must not panic for any parameters
	// within their declared ranges.
	Lower(g *Graph, x Tensor, u *Unit) Tensor
}

// A ParamKind is the type of a parameter's value.
type ParamKind uint8

// The kinds of parameters.
const (
	IntParam ParamKind = iota
	FloatParam
	BoolParam
	EnumParam
)

// A Param declares a parameter of a block.
type Param struct {
	Name     string
	Kind     ParamKind
	Default  float64  // for an enum the index of the word, for a boolean 0 or 1
	Min, Max float64  // range of an int or a float, both ends allowed
	Odd      bool     // of an int: only odd values, as for kernels that keep the resolution
	Enum     []string // words of an enum
	Doc      string   // one line, for help texts
	// Active reports whether the parameter matters for the other values of u;
	// nil means always. It may look at the parameters, First, Width and Stride.
	// Two networks that differ only in inactive parameters are the same network.
	Active func(u *Unit) bool
}

// kernel declares the kernel size that most blocks have.
func kernel() Param {
	return Param{Name: "kernel", Default: 3, Min: 1, Max: 31, Odd: true, Doc: "height and width of the spatial convolution"}
}

// value checks a scalar for the parameter and returns it as a number.
func (p *Param) value(s Scalar) (float64, error) {
	switch p.Kind {
	case BoolParam:
		if b, ok := s.v.(bool); ok {
			return boolValue(b), nil
		}
		return 0, fmt.Errorf("must be true or false, found %s", s.describe())
	case EnumParam:
		word, ok := s.v.(string)
		if i := slices.Index(p.Enum, word); ok && i >= 0 {
			return float64(i), nil
		}
		if ok {
			return 0, errors.New(strict.Unknown(p.Name, word, p.Enum))
		}
		return 0, fmt.Errorf("must be one of %s, found %s", strings.Join(p.Enum, ", "), s.describe())
	}
	v, ok := s.v.(float64)
	what := "a number"
	if p.Kind == IntParam {
		what = "an integer"
		ok = ok && v == math.Trunc(v)
	}
	if !ok {
		return 0, fmt.Errorf("must be %s, found %s", what, s.describe())
	}
	if !(v >= p.Min && v <= p.Max) { // so, not a number is refused too
		return 0, fmt.Errorf("must be from %s to %s, found %s", Scalar{p.Min}, Scalar{p.Max}, s)
	}
	if p.Odd && math.Mod(v, 2) == 0 {
		return 0, fmt.Errorf("must be odd, found %s", s)
	}
	return v, nil
}

// scalar is the inverse of value.
func (p *Param) scalar(v float64) Scalar {
	switch p.Kind {
	case BoolParam:
		return Scalar{v != 0}
	case EnumParam:
		return Scalar{p.Enum[int(v)]}
	}
	return Scalar{v}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A Unit is one block of a stage, as [Block.Lower] sees it.
type Unit struct {
	// First tells the stage's first block from the others, which do not know
	// their place: built alike and on the same input, they are the same.
	First      bool
	Width      int // output channels
	Stride     int // the stage's stride in its first block, else 1
	Activation Activation

	values []float64
}

// Float returns the value of the block's parameter i, by its index in Params.
func (u *Unit) Float(i int) float64 { return u.values[i] }

// Int returns the value of parameter i as an integer; for an enum the index of
// its word.
func (u *Unit) Int(i int) int { return int(u.values[i]) }

// Bool returns the value of parameter i as a boolean.
func (u *Unit) Bool(i int) bool { return u.values[i] != 0 }

// RoundTo returns the multiple of divisor nearest to v, at least divisor, and
// not below 0.9 v: how the MobileNets round widths (MobileNetV2, reference
// implementation, _make_divisible).
func RoundTo(v float64, divisor int) int {
	n := max(divisor, int(v+float64(divisor)/2)/divisor*divisor)
	if float64(n) < 0.9*v {
		n += divisor
	}
	return n
}

var registry = struct {
	sync.RWMutex
	blocks []Block
}{}

func init() {
	for _, b := range []Block{
		conv{}, basic{}, bottleneck{}, grouped{}, fire{}, separable{}, inverted{}, shuffle{}, shuffleV2{}, identity{},
	} {
		if err := Register(b); err != nil {
			panic(err) // a mistake in this package, found by its first test
		}
	}
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Register makes a block type known under its name, for files and for spaces
// built in Go. It fails for a name that is taken, and for a declaration that
// could not be used: a name that is no plain word in lower case, a parameter
// with the name of another or of a key that every stage has, a default that is
// out of range or of the wrong kind, a range without an end.
func Register(b Block) error {
	if b == nil {
		return errors.New("arch: register block: nil")
	}
	name := b.Name()
	if !plainName.MatchString(name) {
		return fmt.Errorf("arch: register block %q: a name is lower-case letters, digits and _", name)
	}
	if n := len(b.Params()); n > 32 {
		return fmt.Errorf("arch: register block %q: %d parameters; at most 32", name, n)
	}
	seen := slices.Clone(stageKeys)
	for _, p := range b.Params() {
		if err := p.check(); err != nil {
			return fmt.Errorf("arch: register block %q: parameter %q: %w", name, p.Name, err)
		}
		if slices.Contains(seen, p.Name) {
			return fmt.Errorf("arch: register block %q: parameter %q: the name is taken", name, p.Name)
		}
		seen = append(seen, p.Name)
	}
	registry.Lock()
	defer registry.Unlock()
	for _, other := range registry.blocks {
		if other.Name() == name {
			return fmt.Errorf("arch: register block %q: the name is taken", name)
		}
	}
	registry.blocks = append(registry.blocks, b)
	return nil
}

// check refuses a declaration that could not be used.
func (p *Param) check() error {
	switch {
	case !plainName.MatchString(p.Name):
		return errors.New("a name is lower-case letters, digits and _")
	case p.Kind > EnumParam:
		return fmt.Errorf("there is no kind %d", p.Kind)
	case math.IsInf(p.Min, 0) || math.IsInf(p.Max, 0):
		return errors.New("the range has no end")
	case p.Kind == BoolParam && p.Default != 0 && p.Default != 1:
		return fmt.Errorf("the default of a boolean must be 0 or 1, found %v", p.Default)
	case p.Kind == EnumParam:
		if i := int(p.Default); i < 0 || i >= len(p.Enum) || float64(i) != p.Default {
			return fmt.Errorf("the default of an enum must be the index of one of its %d words, found %v", len(p.Enum), p.Default)
		}
		for i, word := range p.Enum {
			if word == "" || slices.Contains(p.Enum[:i], word) {
				return fmt.Errorf("the word %q is empty or stands twice", word)
			}
		}
	}
	if _, err := p.value(p.scalar(p.Default)); err != nil {
		return fmt.Errorf("the default %w", err)
	}
	return nil
}

// Blocks returns all registered block types, the built-in ones first.
func Blocks() []Block {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Clone(registry.blocks)
}

// BlockByName returns the block type registered under name, or nil.
func BlockByName(name string) Block {
	registry.RLock()
	defer registry.RUnlock()
	for _, b := range registry.blocks {
		if b.Name() == name {
			return b
		}
	}
	return nil
}

func blockNames() []string {
	var names []string
	for _, b := range Blocks() {
		names = append(names, b.Name())
	}
	return names
}
