package predictor

import (
	"math"
	"testing"
)

func TestGradientIsOfTheObjective(t *testing.T) {
	s, _ := randomSample(5, 30, 4)
	o := objective{sample: s, priors: priors(4), groups: [][]int{{0, 1, 2, 3, 4, 5}, {6}, {7, 9, 20, 29}}}
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

// The optimum does not depend on where the search for it begins.
func TestFitIsIndependentOfTheStart(t *testing.T) {
	raw, _ := imagenetTrained(t).sample()
	s, _ := raw.standardised()
	want := imagenetTrained(t).model.state().Hyper
	o := objective{sample: s, priors: priors(NumFeatures), groups: groupsOf(imagenetRecords(t), BlockTypes)}
	for _, shift := range [][]float64{{-1}, {1, -1}} {
		start := make([]float64, len(o.priors))
		for i, p := range o.priors {
			start[i] = math.Log(p.median) + shift[i%len(shift)]
		}
		x, err := o.maximise(start)
		if err != nil {
			t.Fatal(err)
		}
		h := hyperAt(x)
		for i, name := range featureNames {
			if math.Abs(h.Length[i]-want.Length[i]) > 0.01*want.Length[i] {
				t.Errorf("start %v: length scale of %s is %v, want %v", shift, name, h.Length[i], want.Length[i])
			}
		}
	}
}
