package arch_test

import (
	"fmt"
	"log"

	"github.com/efficientnas/nas/arch"
)

// mixed is a block type of one's own: depthwise convolutions of two sizes side
// by side, and a 1x1 convolution that mixes them.
type mixed struct{}

func (mixed) Name() string { return "example_mixed" }

func (mixed) Params() []arch.Param {
	return []arch.Param{
		{Name: "small", Default: 3, Min: 1, Max: 31, Odd: true, Doc: "the smaller kernel"},
		{Name: "large", Default: 7, Min: 1, Max: 31, Odd: true, Doc: "the larger kernel"},
	}
}

func (mixed) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	channels := int(g.Shape(x).C)
	depthwise := func(part string, kernel int) arch.Tensor {
		c := arch.Conv{Out: channels, Kernel: kernel, Stride: u.Stride, Padding: kernel / 2, Groups: channels}
		return g.ConvNormAct(x, part, c, u.Activation)
	}
	y := g.Concat("", depthwise("small", u.Int(0)), depthwise("large", u.Int(1)))
	return g.ConvNormAct(y, "mix", arch.Conv{Out: u.Width}, arch.Identity)
}

func init() {
	if err := arch.Register(mixed{}); err != nil {
		log.Fatal(err)
	}
}

// A block type is one file: what it is called, which parameters it has, and how
// one block is built. Registered, it can be named in files.
func ExampleRegister() {
	n, err := arch.Parse("mine.yaml", []byte(`
input: {resolution: 32}
stem: {width: 16}
stages:
  - {block: example_mixed, width: 24, stride: 2, large: 9}
head: {classes: 10}
`))
	if err != nil {
		log.Fatal(err)
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		log.Fatal(err)
	}
	for _, l := range g.Layers {
		if l.Stage == 0 && l.Op == arch.OpConv {
			fmt.Printf("%-28s %s %dx%d %s\n", l.Name(), l.Kind(), l.KernelH, l.KernelW, l.Out)
		}
	}
	// Output:
	// stages.0.0.small.conv        depthwise 3x3 16x16x16
	// stages.0.0.large.conv        depthwise 9x9 16x16x16
	// stages.0.0.mix.conv          pointwise 1x1 24x16x16
}
