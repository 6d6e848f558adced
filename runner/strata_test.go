package runner

import (
	"math/rand/v2"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/space"
)

// Of a large space, nearly all networks are of middling size. From strata, small and
// large ones are drawn as often.
func TestStrataAreEven(t *testing.T) {
	c, err := LoadConfig("../configs/mobile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	within := &space.Interval{Lo: 30e6, Hi: 480e6} // four doublings
	s, err := newStrata(c.Space, within)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 0))
	counts := make([]int, 4)
	const draws = 800
	for range draws {
		g, err := s.Sample(rng)
		if err != nil {
			t.Fatal(err)
		}
		var n arch.Network
		var graph arch.Graph
		c.Space.Network(g, &n)
		if err := n.Lower(&graph); err != nil {
			t.Fatal(err)
		}
		macs := cost.Of(&graph).MACs
		if !within.Contains(macs) {
			t.Fatalf("%d MACs, want 30M to 480M", macs)
		}
		at := 0
		for bound := within.Lo * 2; macs >= bound && at < 3; bound *= 2 {
			at++
		}
		counts[at]++
	}
	for i, n := range counts {
		if n < draws/8 || n > draws*3/8 { // a quarter each, but for where strata are cut off
			t.Errorf("doubling %d: %d of %d draws", i, n, draws)
		}
	}
	if _, err := newStrata(c.Space, &space.Interval{Lo: 1, Hi: 1000}); err == nil {
		t.Error("1,000 MACs are enough for a network of the space")
	}
}
