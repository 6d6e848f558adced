package space

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// countChannels measures two quantities that any cost could be.
func countChannels(g *arch.Graph, values []int64) {
	values[0], values[1] = 0, 0
	for i := range g.Layers {
		if l := &g.Layers[i]; l.Op == arch.OpConv || l.Op == arch.OpLinear || l.Op == arch.OpBatchNorm {
			values[0] += l.Out.Elements() * int64(max(l.KernelH, 1))
			values[1] += int64(l.In.C) * int64(max(l.Groups, 1))
			if l.Bias {
				values[1]++
			}
		}
	}
}

func TestMeterEqualsLowering(t *testing.T) {
	texts := []string{`
input: {resolution: [16, 32]}
norm: [batch, none]
bias: [true, false]
activation: [relu, swish]
stem: {width: 8}
stages: [{block: [conv, separable], width: [8, 16], depth: [1, 2]}]
head: {classes: 10, width: [0, 16]}`}
	texts = append(texts, `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: conv, width: 8, depth: [1, 2, 3], padding: 0}
  - {block: conv, width: [8, 16]}
head: {classes: 10}`)
	check := func(t *testing.T, s *Space, all map[string]Genome) {
		m := s.Meter(2, countChannels)
		got, want := make([]int64, 2), make([]int64, 2)
		var n arch.Network
		var g arch.Graph
		for range 2 { // remembered the second time
			for _, genome := range all {
				if err := m.Measure(genome, got); err != nil {
					t.Fatal(err)
				}
				s.Network(genome, &n)
				if err := n.Lower(&g); err != nil {
					t.Fatal(err)
				}
				countChannels(&g, want)
				if !slices.Equal(got, want) {
					t.Fatalf("%v: measured %v, want %v", s.Words(genome), got, want)
				}
			}
		}
	}
	for _, text := range texts {
		s := parse(t, text)
		check(t, s, enumerate(s.plan))
	}
	eachSpace(t, check)
}

// More genes in a stage than a number can tell apart.
func TestMeterOfManyGenes(t *testing.T) {
	s := parse(t, `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: inverted, width: 8, depth: [1, 40], kernel: [3, 5], expansion: [1, 2, 3], per_block: [kernel, expansion]}
head: {classes: 10}`)
	m := s.Meter(2, countChannels)
	rng := rand.New(rand.NewPCG(1, 1))
	got, want := make([]int64, 2), make([]int64, 2)
	var n arch.Network
	var g arch.Graph
	for range 200 {
		genome, err := s.Sample(rng)
		if err != nil {
			t.Fatal(err)
		}
		s.Network(genome, &n)
		if err := n.Lower(&g); err != nil {
			t.Fatal(err)
		}
		countChannels(&g, want)
		if err := m.Measure(genome, got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("measured %v, %v, want %v", got, err, want)
		}
	}
	if len(m.codes) == 0 {
		t.Error("the genes fit a number, so the test tests nothing")
	}
}

func TestMeterOfWhatCannotBeBuilt(t *testing.T) {
	s := parse(t, spaces["groups that do not divide"])
	m := s.Meter(2, countChannels)
	all := enumerate(s.plan)
	g := make(Genome, len(s.plan.Slots))
	failed := false
	for i := range g {
		g[i] = uint16(len(s.plan.Slots[i].Options) - 1)
		_, ok := all[s.Key(g)]
		err := m.Measure(g, make([]int64, 2))
		if (err == nil) != ok {
			t.Errorf("%v: got error %v, can be built: %v", g, err, ok)
		}
		failed = failed || err != nil && strings.Contains(err.Error(), "cannot be built")
	}
	if !failed {
		t.Error("every genome could be built, so the test tests nothing")
	}
}

// The mobile space, genomes as a search proposes them: children of each other.
func BenchmarkMeter(b *testing.B) {
	data, err := os.ReadFile("../configs/mobile.yaml")
	if err != nil {
		b.Fatal(err)
	}
	node, err := strict.Parse("mobile.yaml", data)
	if err != nil {
		b.Fatal(err)
	}
	s, err := From(node.Fields("").Get("space"))
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bench := range []struct {
		name string
		draw func(before Genome) (Genome, error)
	}{
		{"samples", func(Genome) (Genome, error) { return s.Sample(rng) }},
		{"mutants", func(g Genome) (Genome, error) { return s.Mutate(rng, g) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			genomes := make([]Genome, 1<<16)
			g, err := s.Sample(rng)
			for i := range genomes {
				if genomes[i] = g; err != nil {
					b.Fatal(err)
				}
				g, err = bench.draw(g)
			}
			meters := sync.Pool{New: func() any { return s.Meter(2, countChannels) }}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				m := meters.Get().(*Meter)
				defer meters.Put(m)
				values := make([]int64, 2)
				for i := rand.IntN(len(genomes)); pb.Next(); i++ {
					if err := m.Measure(genomes[i%len(genomes)], values); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "networks/s")
		})
	}
}
