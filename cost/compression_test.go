package cost_test

import (
	"fmt"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// The compression table of Iandola et al. 2016 (SqueezeNet), table 2, with the
// inputs that lead to its sizes. Densities, bits and gains are those of Han et
// al. 2015a and b where they state them: AlexNet keeps 11 % of its weights, and
// 12.4 % with the zeros that fill long distances; 8 and 5 bits are 5.4 on
// average, an index has 4, and Huffman coding takes 27x to 35x. Of SqueezeNet the
// paper states 33 % and the bits; index and gain are chosen to fit.
func TestCompressionTableOfSqueezeNet(t *testing.T) {
	for _, row := range []struct {
		network string
		how     string
		c       cost.Compression
		printed string // megabytes
	}{
		{"alexnet", "none", cost.Compression{}, "2.4e+02"},
		{"alexnet", "SVD", cost.Compression{Rank: 363}, "48"},
		{"alexnet", "pruning", cost.Compression{Density: 0.11}, "27"},
		{"alexnet", "Deep Compression, 5-8 bit", cost.Compression{Density: 0.124, Bits: 5.4, IndexBits: 4, Huffman: 1 - 27./35}, "6.9"},
		{"squeezenet", "none", cost.Compression{}, "5"},
		{"squeezenet", "Deep Compression, 8 bit", cost.Compression{Density: 0.33, Bits: 8, IndexBits: 5, Codebook: true, Huffman: 0.05}, "0.66"},
		{"squeezenet", "Deep Compression, 6 bit", cost.Compression{Density: 0.33, Bits: 6, IndexBits: 5, Codebook: true, Huffman: 0.18}, "0.47"},
	} {
		if err := row.c.Check(); err != nil {
			t.Errorf("%s, %s: %v", row.network, row.how, err)
		}
		g := reference(t, row.network)
		megabytes := float64(row.c.Bytes(g)) / 1e6
		if got := fmt.Sprintf("%.2g", megabytes); got != row.printed {
			t.Errorf("%s, %s: %s MB (%.4f), the paper prints %s", row.network, row.how, got, megabytes, row.printed)
		}
	}
}

func TestCompressionMethods(t *testing.T) {
	g := reference(t, "squeezenet")
	params := cost.Of(g).Params
	for _, test := range []struct {
		name string
		c    cost.Compression
		want int64
	}{
		{"none", cost.Compression{}, 4 * params},
		{"8 bits, dense", cost.Compression{Bits: 8}, params},
		{"6 bits, dense", cost.Compression{Bits: 6}, cost.Bytes(params, 6)},
		{"everything kept needs no index", cost.Compression{Bits: 8, Density: 1, IndexBits: 4}, params},
		{"half by coding", cost.Compression{Bits: 8, Huffman: 0.5}, params / 2},
		{"a codebook for each of 26 convolutions", cost.Compression{Bits: 8, Codebook: true}, params + 26*256*4},
	} {
		if got := test.c.Bytes(g); got != test.want {
			t.Errorf("%s: %d bytes, want %d", test.name, got, test.want)
		}
	}
	// A rank that would make factors larger than the matrix changes nothing.
	vgg := reference(t, "vgg16")
	if got, want := (cost.Compression{Rank: 1 << 20}).Bytes(vgg), 4*cost.Of(vgg).Params; got != want {
		t.Errorf("a useless rank: %d bytes, want %d", got, want)
	}
	for _, c := range []cost.Compression{{Density: 1.1}, {Density: -1}, {Bits: 33}, {Huffman: 1}, {Rank: -1}, {IndexBits: -1}} {
		if c.Check() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, test := range []struct {
		n    int64
		bits int
		want int64
	}{{0, 8, 0}, {1, 1, 1}, {8, 1, 1}, {9, 1, 2}, {10, 32, 40}, {3, 4, 2}, {1248424, 8, 1248424}, {1248424, 6, 936318}, {1 << 60, 32, 1 << 62}} {
		if got := cost.Bytes(test.n, test.bits); got != test.want {
			t.Errorf("Bytes(%d, %d) = %d, want %d", test.n, test.bits, got, test.want)
		}
	}
}

func TestBatch(t *testing.T) {
	c := cost.Cost{MACs: 3, Params: 5, Activations: 7}
	if got, err := c.Batch(4); err != nil || got != (cost.Cost{MACs: 12, Params: 5, Activations: 28}) {
		t.Errorf("Batch(4) = %+v, %v", got, err)
	}
	if got, err := (cost.Cost{MACs: 1 << 60}).Batch(16); err == nil {
		t.Errorf("a batch that overflows: %+v", got)
	}
	if _, err := c.Batch(0); err == nil {
		t.Error("a batch of no images: no error")
	}
}

func TestTrafficAndEnergy(t *testing.T) {
	n, err := arch.Parse("test", []byte(`
input: {resolution: 8}
stem: {width: 4, kernel: 3}
stages: [{block: inverted, width: 4, expansion: 2}]
head: {classes: 10}`))
	if err != nil {
		t.Fatal(err)
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		t.Fatal(err)
	}
	want := map[string]cost.Traffic{
		"stem.0.conv":            {Weights: 27 * 4, Read: 3 * 64, Written: 4 * 64},
		"stem.0.bn":              {Weights: 8},
		"stem.0.relu":            {},
		"stages.0.0.add.add":     {Read: 2 * 4 * 64, Written: 4 * 64},
		"head.adaptive_avg_pool": {Read: 4 * 64, Written: 4},
		"head.flatten":           {},
		"head.classifier.linear": {Weights: 50, Read: 4, Written: 10},
	}
	p := cost.Precision{Weights: 8, Activations: 8}
	for i := range g.Layers {
		name := g.Layers[i].Name()
		w, ok := want[name]
		if !ok {
			continue
		}
		delete(want, name)
		if got := cost.TrafficOf(&g, i, p); got != w {
			t.Errorf("%s moves %+v, want %+v", name, got, w)
		}
		c := cost.OfLayer(&g.Layers[i])
		e := cost.EnergyOf(&g, i, p)
		if e.Compute != float64(c.MACs)*cost.MAC8Bit || e.Weights != float64(w.Weights)*cost.DRAMByte ||
			e.Activations != float64(w.Read+w.Written)*cost.SRAMByte {
			t.Errorf("%s: energy %+v", name, e)
		}
	}
	for name := range want {
		t.Errorf("no layer %s", name)
	}
	if got, want := cost.TotalTraffic(&g, cost.FP32).Weights, 4*cost.Of(&g).Params; got != want {
		t.Errorf("the weights moved are %d bytes, want %d", got, want)
	}
	if a, b := cost.TotalEnergy(&g, p).Total(), cost.TotalEnergy(&g, cost.FP32).Total(); a >= b {
		t.Errorf("8 bits take %v pJ, 32 bits %v", a, b)
	}
}

// reference returns the layers of a reference network.
func reference(t *testing.T, name string) *arch.Graph {
	t.Helper()
	n, err := arch.Reference(name)
	if err != nil {
		t.Fatal(err)
	}
	return lower(t, n)
}
