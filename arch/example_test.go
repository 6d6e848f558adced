package arch_test

import (
	"fmt"
	"log"

	"github.com/efficientnas/nas/arch"
)

func Example() {
	n, err := arch.Parse("small.yaml", []byte(`
name: small
input: {resolution: 32}
stem: {width: 16, stride: 2}
stages:
  - {block: separable, width: 32, stride: 2}
  - {block: fire, width: 64, squeeze: 8}
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
		if l.Op == arch.OpBatchNorm || l.Op == arch.OpActivation {
			continue
		}
		fmt.Printf("%-32s %-14s %s\n", l.Name(), l.Kind(), l.Out)
	}
	// Output:
	// input                            input          3x32x32
	// stem.0.conv                      conv           16x16x16
	// stages.0.0.depthwise.conv        depthwise      16x8x8
	// stages.0.0.pointwise.conv        pointwise      32x8x8
	// stages.1.0.squeeze.conv          pointwise      8x8x8
	// stages.1.0.expand1.conv          pointwise      32x8x8
	// stages.1.0.expand3.conv          conv           32x8x8
	// stages.1.0.expand.concat         concat         64x8x8
	// head.adaptive_avg_pool           global_avgpool 64x1x1
	// head.flatten                     flatten        64x1x1
	// head.classifier.linear           linear         10x1x1
}

// A mistake is answered with its place and the nearest right spelling.
func ExampleParse() {
	_, err := arch.Parse("small.yaml", []byte(`
input: {resolution: 32}
stem: {width: 16}
stages:
  - {block: separable, width: 24, kernal: 5}
head: {classes: 10}
`))
	fmt.Println(err)
	// Output:
	// small.yaml:5:35: stages.0: unknown parameter "kernal"; did you mean "kernel"? (allowed: activation, block, depth, kernel, per_block, pool, residual, stride, width)
}

func ExampleTemplate() {
	t := arch.Template{
		Input:      arch.InputTemplate{Resolution: arch.OneOf(64)},
		Activation: arch.OneOf("hardswish"),
		Stem:       arch.StageTemplate{Width: arch.OneOf(16), Stride: arch.OneOf(2)},
		Stages: []arch.StageTemplate{{
			Block: arch.OneOf("inverted"), Width: arch.OneOf(24), Depth: arch.OneOf(2), Stride: arch.OneOf(2),
			Params: map[string]arch.Choice{"kernel": arch.OneOf(5), "expansion": arch.EachBlock(arch.OneOf(3), arch.OneOf(6))},
		}},
		Head: arch.HeadTemplate{Classes: arch.OneOf(10)},
	}
	n, err := t.Network()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", n.YAML())
	// Output:
	// input: {channels: 3, resolution: 64}
	// activation: hardswish
	// stem: {block: conv, width: 16, stride: 2}
	// stages:
	//   - {block: inverted, width: 24, depth: 2, stride: 2, kernel: 5, expansion: {blocks: [3, 6]}}
	// head: {classes: 10}
}

// With choices, a template is a plan: slots, and a network for every option of
// each.
func ExamplePlan() {
	t, err := arch.ParseTemplate("space.yaml", []byte(`
input: {resolution: [32, 64]}
stem: {width: 16}
stages:
  - {block: [conv, inverted], width: {from: 16, to: 32, step: 8}, expansion: [3, 6]}
head: {classes: 10}
`))
	if err != nil {
		log.Fatal(err)
	}
	p, err := t.Compile()
	if err != nil {
		log.Fatal(err)
	}
	genes := []uint16{0, 0, 2, 1} // one option for each slot
	active := make([]bool, len(genes))
	p.Active(genes, active)
	for i, s := range p.Slots {
		fmt.Println(s.Path, s.Options, "option", genes[i], "active", active[i])
	}
	// Output:
	// input.resolution [32 64] option 0 active true
	// stages.0.block [conv inverted] option 0 active true
	// stages.0.width [16 24 32] option 2 active true
	// stages.0.expansion [3 6] option 1 active false
}

func ExampleReference() {
	n, err := arch.Reference("mobilenet_v2")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n.About.Year, n.About.Paper, n.About.Top1)
	// Output:
	// 2018 Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv 1801.04381 0.71878
}
