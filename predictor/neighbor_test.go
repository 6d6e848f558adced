package predictor

import (
	"fmt"
	"math"
	"testing"

	"github.com/efficientnas/nas/arch"
)

func TestNearest(t *testing.T) {
	p, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	nearest := func(n *arch.Network) Neighbor {
		t.Helper()
		near, err := p.Nearest(n)
		if err != nil {
			t.Fatal(err)
		}
		if near.Similarity < 0 || near.Similarity > 1 || near.Name == "" || near.Recipe == "" {
			t.Errorf("%s: %+v", n.Name, near)
		}
		return near
	}
	// Networks that are among the records, under one name or another.
	for _, name := range []string{"mobilenet_v2", "resnet50", "squeezenet", "shufflenet_v2"} {
		if near := nearest(reference(t, name)); near.Far || near.Similarity < 0.999 {
			t.Errorf("%s is among the records, but the nearest is %+v", name, near)
		}
	}
	// One that is like none.
	far := network(t, `
name: far
input: {resolution: 64}
stem: {width: 8}
stages: [{block: conv, width: 8, kernel: 11}]
head: {classes: 10}`)
	if near := nearest(far); !near.Far {
		t.Errorf("two convolutions of 11x11 are like %+v", near)
	}
	// By definition about one measured record in twenty is far from all other
	// networks.
	n, of := 0, 0
	for i := range p.rows {
		if p.rows[i].Derived {
			continue
		}
		of++
		if _, s := p.nearest(p.rows[i].Inputs, p.rows[i].Inputs); s < p.near() {
			n++
		}
	}
	if n > of/20 || n < of/40 {
		t.Errorf("%d of %d records are far from all others", n, of)
	}
}

// mixOf returns a network of four stages of the given types.
func mixOf(t *testing.T, types ...string) *arch.Network {
	t.Helper()
	return network(t, fmt.Sprintf(`
input: {resolution: 224}
stem: {width: 32, stride: 2}
stages:
  - {width: 24, stride: 2, depth: 2, block: %s}
  - {width: 40, stride: 2, depth: 3, block: %s}
  - {width: 96, stride: 2, depth: 4, block: %s}
  - {width: 192, stride: 2, depth: 3, block: %s}
head: {width: 1280, classes: 1000}`, types[0], types[1], types[2], types[3]))
}

// What mixing types of blocks does, no published network tells: a mix is
// predicted as its features say, but less surely than networks of either type, and
// marked, however like a record it is. Published networks are not marked for it.
func TestMixesAreExtrapolations(t *testing.T) {
	p, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	const recipe = "torchvision_v1"
	predict := func(n *arch.Network) Prediction {
		t.Helper()
		y, err := p.Predict(n, Training{Recipe: recipe})
		if err != nil {
			t.Fatal(err)
		}
		return y
	}
	task, err := p.task(recipe)
	if err != nil {
		t.Fatal(err)
	}
	widest := 0.
	for _, pure := range []string{"separable", "inverted"} {
		n := mixOf(t, pure, pure, pure, pure)
		widest = max(widest, predict(n).LogErrorSD)
		if near, err := p.Nearest(n); err != nil || near.Far {
			t.Errorf("%s alone is far from %+v (%v)", pure, near, err)
		}
	}
	for _, c := range []struct {
		types []string
		mixed float64
		wider float64 // than the less sure of the pure ones
	}{
		{[]string{"separable", "separable", "inverted", "inverted"}, 0.5, 3},
		{[]string{"inverted", "inverted", "inverted", "separable"}, 0.375, 2},
	} {
		n := mixOf(t, c.types...)
		y := predict(n)
		if y.LogErrorSD < c.wider*widest {
			t.Errorf("%v: the deviation is %.4f, that of its types %.4f at most", c.types, y.LogErrorSD, widest)
		}

		// The same but for the mixing, which no network can be.
		inputs := inputsOf(t, p, n)
		at := NumFeatures // mixedInput
		if inputs[at] != c.mixed {
			t.Fatalf("%v: the input is %v, want %v", c.types, inputs[at], c.mixed)
		}
		inputs[at] = 0
		mean, variance := predictRow(p.model, task, inputs)
		if math.Abs(p.origin+mean-y.LogError) > 0.005 {
			t.Errorf("%v: the mean is %.4f, and without mixing %.4f", c.types, y.LogError, p.origin+mean)
		}
		h := p.model.state().GP
		slope := h.Slope[p.layout.columns[at].slope]
		if got, want := y.LogErrorSD*y.LogErrorSD-variance, h.Widening*slope*slope*c.mixed*c.mixed; math.Abs(got/want-1) > 0.05 {
			t.Errorf("%v: mixing adds the variance %.4f, want about %.4f", c.types, got, want)
		}
	}

	// As like a record as can be: it is the mixing that marks it.
	n := mixOf(t, "separable", "separable", "inverted", "inverted")
	if near, err := p.Nearest(n); err != nil || !near.Far || near.Similarity < p.near() {
		t.Errorf("a mix is not marked: %+v, near is from %v on (%v)", near, p.near(), err)
	}
	for _, name := range arch.References() {
		if x := inputsOf(t, p, reference(t, name)); p.mixesMore(x) {
			t.Errorf("%s is taken for a mix", name)
		}
	}
	for i := range p.rows {
		if p.mixesMore(p.rows[i].Inputs) {
			t.Errorf("the record of %s is taken for a mix", p.rows[i].Name)
		}
	}
}

// inputsOf returns what the predictor looks at.
func inputsOf(t *testing.T, p *Predictor, n *arch.Network) []float64 {
	t.Helper()
	x := make([]float64, len(p.layout.columns))
	if err := p.layout.newEncoder().encode(x, n, lowered(t, n), p.Usual()); err != nil {
		t.Fatal(err)
	}
	return x
}

// Where measured records mix as much, mixing is nothing unheard of. Derived ones
// have not been measured.
func TestMixesLikeMeasuredOnes(t *testing.T) {
	p, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	q := &Predictor{layout: p.layout, rows: []rowOfFile{p.rows[0], p.rows[1]}}
	x := inputsOf(t, p, mixOf(t, "separable", "separable", "inverted", "inverted"))
	less := inputsOf(t, p, mixOf(t, "inverted", "inverted", "inverted", "separable"))
	more := inputsOf(t, p, mixOf(t, "separable", "separable", "inverted", "shuffle, groups: 4"))
	q.rows[1].Inputs = x
	for _, c := range []struct {
		name    string
		derived bool
		inputs  []float64
		want    bool
	}{
		{"as much", false, x, false},
		{"less", false, less, false},
		{"more", false, more, true},
		{"as much as a derived one", true, x, true},
	} {
		q.rows[1].Derived = c.derived
		if got := q.mixesMore(c.inputs); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// Without the input, nobody can tell.
	q.layout = layoutOf(t, nil, Sizes)
	if q.mixesMore(x) {
		t.Error("a predictor that does not look at mixing marks it")
	}
}
