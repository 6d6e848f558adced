package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

func costOf(t *testing.T, name string, o CostOptions) NetworkCost {
	t.Helper()
	n, err := arch.Reference(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := CostOf(n, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// printed rounds v as a figure that was printed with a unit: "37K", "0.2B".
func printed(v int64, like string) string {
	unit := like[len(like)-1:]
	scale := map[string]float64{"K": 1e3, "M": 1e6, "B": 1e9}[unit]
	decimals := 0
	if _, after, ok := strings.Cut(like, "."); ok {
		decimals = len(after) - 1
	}
	return fmt.Sprintf("%.*f%s", decimals, float64(v)/scale, unit)
}

// The table of VGG-16 in the lecture slides that this project grew out of:
// weights with biases, FLOPs as two for a MAC. Rounded its way, each figure comes
// out as printed.
func TestVGG16AsOnTheSlides(t *testing.T) {
	c := costOf(t, "vgg16", CostOptions{By: "layer"})
	var rows []LayerCost
	for _, l := range c.Layers {
		if l.MACs > 0 {
			rows = append(rows, l)
		}
	}
	slides := []struct{ layer, weights, flops string }{
		{"Conv1_1", "2K", "0.2B"},
		{"Conv1_2", "37K", "3.7B"},
		{"Conv2_1", "74K", "1.8B"},
		{"Conv2_2", "148K", "3.7B"},
		{"Conv3_1", "295K", "1.8B"},
		{"Conv3_2", "590K", "3.7B"},
		{"Conv3_3", "590K", "3.7B"},
		{"Conv4_1", "1M", "1.8B"},
		{"Conv4_2", "2M", "3.7B"},
		{"Conv4_3", "2M", "3.7B"},
		{"Conv5_1", "2M", "925M"},
		{"Conv5_2", "2M", "925M"},
		{"Conv5_3", "2M", "925M"},
		{"Fc6", "103M", "206M"},
		{"Fc7", "17M", "34M"},
		{"Fc8", "4M", "8M"},
	}
	if len(rows) != len(slides) {
		t.Fatalf("%d layers, the slides have %d", len(rows), len(slides))
	}
	for i, s := range slides {
		if got := printed(rows[i].Params, s.weights); got != s.weights {
			t.Errorf("%s: %s weights (%d), the slides print %s", s.layer, got, rows[i].Params, s.weights)
		}
		if got := printed(rows[i].FLOPs, s.flops); got != s.flops {
			t.Errorf("%s: %s FLOPs (%d), the slides print %s", s.layer, got, rows[i].FLOPs, s.flops)
		}
	}
	if printed(c.Params, "138M") != "138M" || printed(c.FLOPs, "30.9B") != "30.9B" {
		t.Errorf("in total %d weights and %d FLOPs, the slides print 138M and 30.9B", c.Params, c.FLOPs)
	}
}

// Every breakdown adds up to the whole, for any batch and width.
func TestBreakdownsAddUp(t *testing.T) {
	for _, name := range []string{"mobilenet_v3_large", "shufflenet_v2", "alexnet"} {
		for _, o := range []CostOptions{{}, {Batch: 7, Precision: cost.Precision{Weights: 4, Activations: 8}}} {
			for _, by := range Breakdowns {
				o.By = by
				c := costOf(t, name, o)
				var macs, flops, activations, params, moved, layers int64
				var energy float64
				for _, l := range c.Layers {
					macs, flops, activations, params = macs+l.MACs, flops+l.FLOPs, activations+l.Activations, params+l.Params
					moved, energy, layers = moved+l.Moved, energy+l.Energy, layers+1
				}
				for _, g := range c.Groups {
					macs, flops, activations, params = macs+g.MACs, flops+g.FLOPs, activations+g.Activations, params+g.Params
					moved, energy, layers = moved+g.Moved, energy+g.Energy, layers+int64(g.Layers)
				}
				if macs != c.MACs || flops != c.FLOPs || activations != c.Activations || params != c.Params || moved != c.Moved {
					t.Errorf("%s by %s, %+v: %d MACs, %d FLOPs, %d activations, %d params, %d bytes moved; in total %+v",
						name, by, o, macs, flops, activations, params, moved, c)
				}
				if d := energy - c.Energy; d > 1e-9*c.Energy || d < -1e-9*c.Energy {
					t.Errorf("%s by %s: %v mJ, in total %v", name, by, energy, c.Energy)
				}
				if layers == 0 {
					t.Errorf("%s by %s: no rows", name, by)
				}
			}
		}
	}
}

func TestBatchAndBits(t *testing.T) {
	one := costOf(t, "mobilenet_v2", CostOptions{})
	four := costOf(t, "mobilenet_v2", CostOptions{Batch: 4, Precision: cost.Precision{Weights: 8, Activations: 16}})
	if four.MACs != 4*one.MACs || four.FLOPs != 4*one.FLOPs || four.Activations != 4*one.Activations || four.Params != one.Params {
		t.Errorf("a batch of 4: %+v, one image: %+v", four, one)
	}
	if four.WeightBytes != one.WeightBytes/4 {
		t.Errorf("8-bit weights: %d bytes, 32-bit ones %d", four.WeightBytes, one.WeightBytes)
	}
	if four.PeakMemory.Fused != 4*one.PeakMemory.Fused/2 || four.Largest.Bytes != 4*one.Largest.Bytes/2 {
		t.Errorf("4 images at 16 bits: peak %d, one at 32: %d", four.PeakMemory.Fused, one.PeakMemory.Fused)
	}
	// A batch reads the weights once.
	wide := costOf(t, "mobilenet_v2", CostOptions{Batch: 4})
	if want := one.WeightBytes + 4*(one.Moved-one.WeightBytes); wide.Moved != want {
		t.Errorf("a batch of 4 moves %d bytes, want %d", wide.Moved, want)
	}
	n, err := arch.Reference("vgg16")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []CostOptions{
		{Batch: -1},
		{Batch: 1 << 40},
		{Precision: cost.Precision{Weights: 33, Activations: 1}},
		{By: "colour"},
		{Compression: cost.Compression{Density: 2}},
	} {
		if c, err := CostOf(n, o); err == nil {
			t.Errorf("%+v: no error, but %+v", o, c)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable("lrl", "name", "µ", "end")
	table.Row("a", "10", "x")
	table.Row("longer", "1")
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "name     µ  end\na       10  x\nlonger   1\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
