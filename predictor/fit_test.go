package predictor

import (
	"math"
	"testing"
)

func TestGradientIsOfTheObjective(t *testing.T) {
	s, _ := randomSample(5, 30, 4)
	o := objective{sample: s, priors: s.priors(), groups: [][]int{{0, 1, 2, 3, 4, 5}, {6}, {7, 9, 20, 29}}}
	x := make([]float64, len(o.priors))
	for i := range x {
		x[i] = -0.5 - 0.1*float64(i)
	}
	o.at(x)
	gradient := o.gradient
	for i := range x {
		const step = 1e-5
		at := func(v float64) float64 {
			y := append([]float64(nil), x...)
			y[i] = v
			o.at(y)
			return o.value
		}
		want := (at(x[i]+step) - at(x[i]-step)) / (2 * step)
		if math.Abs(gradient[i]-want) > 1e-5*max(1, math.Abs(want)) {
			t.Errorf("derivative %d: got %v, finite difference %v", i, gradient[i], want)
		}
	}
}

// Where the search for the optimum begins makes next to no difference. (There
// may be several: what a recipe with one record differs by is its level, or its
// noise.)
func TestFitIsIndependentOfTheStart(t *testing.T) {
	p := imagenetTrained(t)
	raw := p.sample(p.family)
	s, by := raw.standardised()
	decides := s.measured()
	at := func(shift ...float64) (*gp, float64) {
		o := objective{sample: decides, priors: s.priors(), groups: decides.families()}
		start := s.start()
		for i := range start {
			start[i] += shift[i%len(shift)]
		}
		x, err := o.maximise(start)
		if err != nil {
			t.Fatal(err)
		}
		o.at(x)
		g, err := newGP(hyperAt(x, s.columns), s, by)
		if err != nil {
			t.Fatal(err)
		}
		return g, o.value
	}
	usual, best := at(0)
	for _, shift := range [][]float64{{-1}, {1, -1}, {-1, 1}} {
		other, value := at(shift...)
		if math.Abs(value-best) > 0.2 {
			t.Errorf("start %v: the logarithm of the likelihood is %.3f, want %.3f", shift, value, best)
		}
		for i := range s.len() { // of all recipes as the first, which has the most records
			mean, variance := predictRow(usual, 0, raw.z.RawRowView(i))
			if m, _ := predictRow(other, 0, raw.z.RawRowView(i)); math.Abs(m-mean) > 0.25*math.Sqrt(variance) {
				t.Errorf("start %v: %s is predicted %.4f, want %.4f ± %.4f", shift, p.rows[i].Name, m, mean, math.Sqrt(variance))
			}
		}
	}
}
