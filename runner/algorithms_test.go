package runner

import (
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/space"
)

// Every algorithm can be made by its name, and proposes something.
func TestAlgorithms(t *testing.T) {
	s, err := space.Parse("space.yaml", []byte(`
input: {resolution: 32}
stem: {width: 8}
stages: [{block: inverted, width: [8, 16, 24], depth: [1, 2, 3], stride: 2}]
head: {classes: 10}
`))
	if err != nil {
		t.Fatal(err)
	}
	directions := []pareto.Direction{pareto.Maximize, pareto.Minimize}
	macs := func(_ *arch.Network, g *arch.Graph) float64 { return float64(cost.Of(g).MACs) }
	names := make(map[string]bool)
	for _, name := range Algorithms() {
		if names[name] {
			t.Errorf("%s stands twice", name)
		}
		names[name] = true
		m, err := NewMethod(name, s, directions, SearchOptions{Seed: 1, Known: []Known{{Scale: 1}, {Cost: macs}}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c, err := m.Ask(1); err != nil || len(c) != 1 {
			t.Errorf("%s proposes %v, %v", name, c, err)
		}
		if _, err := NewMethod(name, s, nil, SearchOptions{}); err == nil {
			t.Errorf("%s searches without an objective", name)
		}
	}
	if !names["random"] || !names["nsga2"] || Algorithms()[0] != "random" {
		t.Errorf("%v", Algorithms())
	}
	if _, err := NewMethod("nsga", s, directions, SearchOptions{}); err == nil || !strings.Contains(err.Error(), `did you mean "nsga2"?`) {
		t.Errorf("%v", err)
	}
}
