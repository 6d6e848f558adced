package predictor

import (
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
	// By definition about one record in twenty is far from all other networks.
	n := 0
	for i := range p.rows {
		if _, s := p.nearest(p.rows[i].Inputs, p.rows[i].Inputs); s < p.near() {
			n++
		}
	}
	if n > len(p.rows)/20 || n < len(p.rows)/40 {
		t.Errorf("%d of %d records are far from all others", n, len(p.rows))
	}
}
