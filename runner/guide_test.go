package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// A guide is trusted once its accuracies rank better than the cost alone does:
// not when the cost says all there is, nor when accuracies do not differ.
func TestGuideTrusts(t *testing.T) {
	template, err := arch.ParseTemplate("s.yaml", []byte(`
input: {resolution: 32}
stem: {width: 8}
stages: [{block: inverted, width: [8, 16, 24, 32], depth: [1, 2, 3, 4], stride: 2, kernel: [3, 5]}]
head: {classes: 10}
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.New(template)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	genomes := slices.Collect(all)
	macs := func(_ *arch.Network, g *arch.Graph) float64 { return float64(cost.Of(g).MACs) }
	depth := func(g space.Genome) float64 {
		n := new(arch.Network)
		s.Network(g, n)
		return float64(n.Stages[0].Depth)
	}
	for _, c := range []struct {
		name     string
		accuracy func(g space.Genome, macs float64) float64
		want     bool
	}{
		{"depth decides", func(g space.Genome, _ float64) float64 { return 0.5 + depth(g)/10 }, true},
		{"MACs decide", func(_ space.Genome, macs float64) float64 { return macs / 1e8 }, false},
		{"all are alike", func(space.Genome, float64) float64 { return 0.5 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := newGuide(s, SearchOptions{Seed: 1, Known: []Known{{Offset: 100, Scale: -100}, {Cost: macs}}}, false)
			if err != nil {
				t.Fatal(err)
			}
			if trusted, err := g.Trusted(); err != nil || trusted {
				t.Errorf("trusted before it has learnt anything (%v)", err)
			}
			guesses := make([]search.Guess, len(genomes))
			for i := range guesses {
				guesses[i] = search.Guess{Mean: make([]float64, 2), SD: make([]float64, 2)}
			}
			if err := g.Guess(genomes, guesses); err != nil {
				t.Fatal(err)
			}
			for i, genome := range genomes {
				if guesses[i].SD[0] == 0 || guesses[i].SD[1] != 0 || guesses[i].Mean[1] <= 0 {
					t.Fatalf("before it has learnt anything, it guesses %+v", guesses[i])
				}
				a := c.accuracy(genome, guesses[i].Mean[1])
				if err := g.Learn(genome, []float64{100 - 100*a, guesses[i].Mean[1]}); err != nil {
					t.Fatal(err)
				}
			}
			if trusted, err := g.Trusted(); err != nil || trusted != c.want {
				t.Errorf("trusted is %v, want %v (%v)", trusted, c.want, err)
			}
		})
	}
}

// A study that is guided has one result for any number of workers.
func TestGuidedStudy(t *testing.T) {
	text := strings.Replace(study, "evaluations: 400, seed: 3", "algorithm: guided, evaluations: 40, seed: 3", 1)
	if text == study {
		t.Fatal("the study of the tests has no such search")
	}
	_, one := runStudy(t, text, Options{Workers: 1})
	_, five := runStudy(t, text, Options{Workers: 5})
	if diff := cmp.Diff(frontOf(t, one), frontOf(t, five)); diff != "" || len(one.Front) == 0 {
		t.Errorf("the fronts of 1 and 5 workers differ:\n%s", diff)
	}
	if _, evolved := runStudy(t, study, Options{}); cmp.Equal(one.Explored, evolved.Explored) {
		t.Error("guided explored what nsga2 does")
	}
}

// BenchmarkGuidedProposal is a batch of a guided search of configs/mobile.yaml after
// 1,000 evaluations: to learn the last ones, and to choose the next.
func BenchmarkGuidedProposal(b *testing.B) {
	c, err := LoadConfig("../configs/mobile.yaml")
	if err != nil {
		b.Fatal(err)
	}
	x, err := newSession(c, Options{})
	if err != nil {
		b.Fatal(err)
	}
	e := x.evaluator
	g, err := newGuide(c.Space, SearchOptions{Seed: 1, Known: e.known(), Violation: e.knownViolation}, false)
	if err != nil {
		b.Fatal(err)
	}
	m, err := search.NewGuided(c.Space, []pareto.Direction{pareto.Maximize, pareto.Minimize}, g, search.GuidedSettings[space.Genome]{First: 1000})
	if err != nil {
		b.Fatal(err)
	}
	batch := func(most int) int {
		candidates, err := m.Ask(most)
		if err != nil {
			b.Fatal(err)
		}
		out := make([]search.Evaluation, len(candidates))
		if err := e.Evaluate(b.Context(), candidates, out); err != nil {
			b.Fatal(err)
		}
		if err := m.Tell(candidates, out); err != nil {
			b.Fatal(err)
		}
		return len(candidates)
	}
	batch(1000)
	for b.Loop() {
		b.ReportMetric(float64(batch(256)), "networks")
	}
}
