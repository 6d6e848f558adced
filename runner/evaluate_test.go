package runner

import (
	"math/rand/v2"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

func benchmarkEvaluate(b *testing.B, c *Config) {
	c.Constraints = nil // predict every network
	x, err := newSession(c, Options{})
	if err != nil {
		b.Fatal(err)
	}
	e := x.evaluator
	rng := rand.New(rand.NewPCG(1, 1))
	batch := make([]search.Candidate[space.Genome], 64)
	for i := range batch {
		g, err := c.Space.Sample(rng)
		if err != nil {
			b.Fatal(err)
		}
		batch[i] = search.Candidate[space.Genome]{ID: i, Genome: g}
	}
	out := make([]search.Evaluation, len(batch))
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Evaluate(b.Context(), batch, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "candidates/s")
}

func TestDominantBlock(t *testing.T) {
	for _, test := range []struct{ network, want string }{
		{"mobilenet_v2", "inverted"}, {"squeezenet", "fire"}, {"alexnet", "conv"},
	} {
		n, err := arch.Reference(test.network)
		if err != nil {
			t.Fatal(err)
		}
		var g arch.Graph
		if err := n.Lower(&g); err != nil {
			t.Fatal(err)
		}
		if got := dominantBlock(n, &g); got != test.want {
			t.Errorf("%s: %q, want %q", test.network, got, test.want)
		}
	}
}

func TestExcess(t *testing.T) {
	k := Constraint{Min: 10, Max: 20}
	for _, test := range []struct{ v, want float64 }{{10, 0}, {20, 0}, {15, 0}, {30, 0.5}, {5, 0.5}} {
		if got := excess(test.v, &k); got != test.want {
			t.Errorf("excess(%v) = %v, want %v", test.v, got, test.want)
		}
	}
}
