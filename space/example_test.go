package space_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/space"
)

// A space written in Go: two stages, three block types, a groups parameter that
// only two of them read.
func Example() {
	s, err := space.New(&arch.Template{
		Name:  "small",
		Input: arch.InputTemplate{Resolution: arch.OneOf(64, 96)},
		Stem:  arch.StageTemplate{Width: arch.OneOf(16), Stride: arch.OneOf(2)},
		Stages: []arch.StageTemplate{
			{
				Block:  arch.OneOf("grouped", "shuffle", "separable"),
				Width:  arch.Range(32, 64, 16),
				Depth:  arch.OneOf(1, 2, 3),
				Stride: arch.OneOf(2),
				Params: map[string]arch.Choice{"groups": arch.OneOf(2, 4)},
			},
			{Block: arch.OneOf("inverted"), Width: arch.OneOf(96, 128), Stride: arch.OneOf(2)},
		},
		Head: arch.HeadTemplate{Classes: arch.OneOf(10)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("networks:", s.Size())

	g, err := s.Sample(rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		log.Fatal(err)
	}
	var n arch.Network
	s.Network(g, &n)
	fmt.Printf("%s", n.YAML())
	// Output:
	// networks: 180
	// name: small
	// input: {channels: 3, resolution: 64}
	// stem: {block: conv, width: 16, stride: 2}
	// stages:
	//   - {block: grouped, width: 64, depth: 2, stride: 2, groups: 4}
	//   - {block: inverted, width: 128, stride: 2}
	// head: {classes: 10}
}

// The MACs of every network of a space, and of one by its genome.
func ExampleMeter() {
	s, err := space.Parse("tiny.yaml", []byte(`
input: {resolution: 32}
stem: {width: 8}
stages: [{block: separable, width: [8, 16], depth: [1, 2]}]
head: {classes: 10}`))
	if err != nil {
		log.Fatal(err)
	}
	macs := func(g *arch.Graph, values []int64) { values[0] = cost.Of(g).MACs }
	fmt.Printf("%+v\n", s.Bounds(1, macs)[0])

	meter := s.Meter(1, macs)
	values := make([]int64, 1)
	if err := meter.Measure(make(space.Genome, len(s.Genes())), values); err != nil {
		log.Fatal(err)
	}
	fmt.Println(values[0], "MACs with the first option of every gene")
	// Output:
	// {Least:360528 Greatest:835744}
	// 360528 MACs with the first option of every gene
}

// Networks spread evenly over the logarithm of their MACs, of a space in which
// few have few.
func ExampleSampler() {
	s, err := space.Parse("tiny.yaml", []byte(`
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: inverted, width: [8, 16, 32], depth: [1, 2, 3], expansion: [1, 3, 6], kernel: [3, 5, 7]}
  - {block: inverted, width: [16, 32, 64], depth: [1, 2, 3], expansion: [1, 3, 6], kernel: [3, 5, 7]}
head: {classes: 10}`))
	if err != nil {
		log.Fatal(err)
	}
	macs := s.Measure(1, func(g *arch.Graph, values []int64) { values[0] = cost.Of(g).MACs }).Sampler(0)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, in := range macs.Strata(4) {
		_, v, err := macs.Sample(rng, in)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%5.1fM to %5.1fM: %5.1fM\n", float64(in.Lo)/1e6, float64(in.Hi)/1e6, float64(v)/1e6)
	}
	// Output:
	//   0.6M to   2.5M:   2.5M
	//   2.5M to  11.1M:   2.6M
	//  11.1M to  49.0M:  24.1M
	//  49.0M to 216.7M: 152.6M
}
