package search

import (
	"math"
	"testing"

	"github.com/efficientnas/nas/pareto"
)

// The expected gain of one uncertain objective is the expected improvement
// (Jones, Schonlau and Welch 1998) times the width; of two, draws come near.
func TestExpectedGain(t *testing.T) {
	minimize := []pareto.Direction{pareto.Minimize, pareto.Minimize}
	volume, err := pareto.NewVolume([]float64{10, 10}, minimize)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewGuided[int](nil, minimize, nil, GuidedSettings[int]{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	improvement := func(best, mean, sd float64) float64 {
		z := (best - mean) / sd
		return (best-mean)*math.Erfc(-z/math.Sqrt2)/2 + sd*math.Exp(-z*z/2)/math.Sqrt(2*math.Pi)
	}
	for _, c := range []struct {
		guess  Guess
		want   float64
		within float64
	}{
		{Guess{Mean: []float64{4, 7}, SD: []float64{0, 0}}, 6 * 3, 1e-12},
		{Guess{Mean: []float64{4, 7}, SD: []float64{0, 0.5}}, 6 * 3, 1e-6},
		{Guess{Mean: []float64{4, 10}, SD: []float64{0, 1}}, 6 * improvement(10, 10, 1), 0.05},
		{Guess{Mean: []float64{4, 11}, SD: []float64{0, 1}}, 6 * improvement(10, 11, 1), 0.1},
		{Guess{Mean: []float64{4, 7}, SD: []float64{1, 1}}, 6 * 3, 0.15},
	} {
		got, err := expectedGain(volume, &c.guess, m.draws([]Guess{c.guess}))
		if err != nil || math.Abs(got-c.want) > c.within*c.want {
			t.Errorf("%+v: %v, want %v (%v)", c.guess, got, c.want, err)
		}
	}
}
