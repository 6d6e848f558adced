package report

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/plot/vg"
	"pgregory.net/rapid"
)

func vgLength(rng *rand.Rand) vg.Length { return vg.Length(rng.Float64()) }

// TestLabelsDoNotOverlap draws up to 14 references anywhere, also on top of one
// another: there is always room for their names.
func TestLabelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[a-z][a-z0-9_]{0,17}`)
	rapid.Check(t, func(t *rapid.T) {
		p := synthetic(300, 20)
		// Some crowd in one place.
		crowdX, crowdY := rapid.Float64Range(20e6, 600e6).Draw(t, "x"), rapid.Float64Range(50, 80).Draw(t, "y")
		spread := rapid.Float64Range(0, 0.1).Draw(t, "spread")
		p.References = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Reference {
			x, y := rapid.Float64Range(20e6, 600e6).Draw(t, "x"), rapid.Float64Range(50, 80).Draw(t, "y")
			if rapid.Bool().Draw(t, "crowd") {
				x = crowdX * math.Pow(x/crowdX, spread)
				y = crowdY + spread*(y-crowdY)
			}
			return Reference{X: x, Y: y, Name: name.Draw(t, "name")}
		}), 1, 14).Draw(t, "references")

		f := layOut(t, p)
		if len(f.labels) != len(p.References) {
			t.Fatalf("%d labels for %d references", len(f.labels), len(p.References))
		}
		for i, a := range f.labels {
			if !inside(a.box, f.area) {
				t.Errorf("%q lies at %v, outside %v", a.text, a.box, f.area)
			}
			if overlap(a.box, around(a.marker, refRadius*math.Sqrt2/2)) > 0 {
				t.Errorf("%q covers its own marker", a.text)
			}
			for _, b := range f.labels[:i] {
				if overlap(a.box, b.box) > 0 {
					t.Errorf("%q and %q overlap: %v, %v", a.text, b.text, a.box, b.box)
				}
			}
		}
	})
}

// TestLabelsClearOfMarkers checks the example that people will see: no name
// covers a marker, a leader, or the front.
func TestLabelsClearOfMarkers(t *testing.T) {
	f := layOut(t, synthetic(5000, 40))
	o := newObstacles(f)
	for i := range f.labels {
		a := &f.labels[i]
		for _, r := range o.refs {
			if overlap(a.box, r) > 0 {
				t.Errorf("%q covers a reference", a.text)
			}
		}
		for j := 1; j < len(o.front); j++ {
			if lengthWithin(o.front[j-1], o.front[j], a.box) > 0 {
				t.Errorf("%q covers the front", a.text)
			}
		}
		for _, b := range f.labels {
			if from, to := b.ends(); b.leader && b.marker != a.marker && lengthWithin(from, to, a.box) > 0 {
				t.Errorf("%q covers the leader of %q", a.text, b.text)
			}
		}
	}
}

// TestManyReferences cannot place all labels well, but must end soon.
func TestManyReferences(t *testing.T) {
	t.Parallel()
	p := synthetic(0, 100)
	p.References = nil
	rng := rand.New(rand.NewPCG(7, 8))
	for range 150 {
		p.References = append(p.References, Reference{X: 20e6 + 500e6*rng.Float64(), Y: 50 + 30*rng.Float64(), Name: "network"})
	}
	if f := layOut(t, p); len(f.labels) != 150 {
		t.Errorf("%d labels", len(f.labels))
	}
}

func TestLengthWithin(t *testing.T) {
	box := vg.Rectangle{Min: vg.Point{X: 0, Y: 0}, Max: vg.Point{X: 10, Y: 4}}
	tests := []struct {
		a, b vg.Point
		want float64
	}{
		{vg.Point{X: 1, Y: 1}, vg.Point{X: 4, Y: 1}, 3},
		{vg.Point{X: -5, Y: 2}, vg.Point{X: 15, Y: 2}, 10},
		{vg.Point{X: 5, Y: -5}, vg.Point{X: 5, Y: 2}, 2},
		{vg.Point{X: -5, Y: 5}, vg.Point{X: 15, Y: 5}, 0},
		{vg.Point{X: 11, Y: 0}, vg.Point{X: 20, Y: 4}, 0},
		{vg.Point{X: 2, Y: 2}, vg.Point{X: 2, Y: 2}, 0},
	}
	for _, test := range tests {
		if got := lengthWithin(test.a, test.b, box); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%v-%v: got %g, want %g", test.a, test.b, got, test.want)
		}
	}
}
