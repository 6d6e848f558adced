package predictor

import (
	"math"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// network returns the network that an architecture file with the given text says.
func network(t testing.TB, text string) *arch.Network {
	t.Helper()
	n, err := arch.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reference(t testing.TB, name string) *arch.Network {
	t.Helper()
	n, err := arch.Reference(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func lowered(t testing.TB, n *arch.Network) *arch.Graph {
	t.Helper()
	g := new(arch.Graph)
	if err := n.Lower(g); err != nil {
		t.Fatal(err)
	}
	return g
}

// A network small enough to count by hand.
func TestFeatures(t *testing.T) {
	g := lowered(t, network(t, `
input: {channels: 3, resolution: 16}
activation: hardswish
stem: {block: conv, width: 8, kernel: 3}
stages:
  - {block: inverted, width: 8, expansion: 2, kernel: 5, se: 0.25, se_of: input, activation: relu}
  - {block: conv, width: 12, kernel: 1, groups: 2, stride: 2}
head: {classes: 10}
`))
	const (
		stem      = 256 * 8 * 3 * 9 // 16 x 16 pixels
		expand    = 256 * 16 * 8
		depthwise = 256 * 16 * 25
		gate      = 16*2 + 2*16 // on one pixel
		project   = 256 * 8 * 16
		grouped   = 64 * 12 * 4 // 8 x 8 pixels
		linear    = 12 * 10
		macs      = stem + expand + depthwise + gate + project + grouped + linear
		params    = 8*27 + 16*8 + 16*25 + 16*2 + 2 + 2*16 + 16 + 8*16 + 12*4 + // convolutions
			2*(8+16+16+8+12) // batch norms
		activations = 256*(8+16+16+8) + 2 + 16 + 64*12 + 10
	)
	want := [NumFeatures]float64{
		logMACs:         math.Log(macs),
		logParams:       math.Log(params),
		logActivations:  math.Log(activations),
		logDepth:        math.Log(6), // stem, three of the block, conv, classifier; not the gate's two
		shareDepthwise:  depthwise / float64(macs),
		shareGrouped1x1: grouped / float64(macs),
		sharePointwise:  (expand + project) / float64(macs),
		logClassifier:   math.Log(linear),
		logLastWidth:    math.Log(12),
		lowResolution:   1. / 5,
		meanKernel:      5,
		logResolution:   math.Log(16),
		gatesPerConv:    1. / 5,
		sumsPerConv:     1. / 5,
		shareSmooth:     2. / 4,          // stem and conv of stem, expand, depthwise, conv
		logDepthAt1:     math.Log(1 + 4), // the gate's are on one pixel
		logDepthAt2:     math.Log(1 + 1),
		rootMACsInverse: 1 / math.Sqrt(macs),
		depthInverse:    1. / 6,
	}
	got := make([]float64, NumFeatures)
	new(Extractor).Features(got, g)
	for i, name := range FeatureNames() {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Errorf("%s = %v, want %v", name, got[i], want[i])
		}
	}
}

// A map belongs to the level whose side is nearest by ratio.
func TestLevelOf(t *testing.T) {
	for _, c := range []struct {
		input, side int32
		want        int
	}{
		{224, 224, 0}, {224, 112, 1}, {224, 56, 2}, {224, 28, 3}, {224, 14, 4}, {224, 7, 5}, {224, 1, 5},
		{224, 240, 0}, // padding
		{227, 55, 2}, {299, 149, 1}, {299, 147, 1}, {299, 35, 3}, {380, 12, 5}, {1, 1, 0},
	} {
		if got := levelOf(c.input, c.side); got != c.want {
			t.Errorf("a map of %d pixels of an input of %d is at level %d, want %d", c.side, c.input, got, c.want)
		}
	}
}

func TestFeatureNamesAreAllThereAndDifferent(t *testing.T) {
	seen := make(map[string]bool)
	for i, name := range FeatureNames() {
		if name == "" || seen[name] {
			t.Errorf("feature %d has the name %q", i, name)
		}
		seen[name] = true
	}
}

func TestFeaturesOfReferencesAreFinite(t *testing.T) {
	var e Extractor
	x := make([]float64, NumFeatures)
	for _, name := range arch.References() {
		for i := range x {
			x[i] = math.NaN()
		}
		e.Features(x, lowered(t, reference(t, name)))
		for i, v := range x {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: %s = %v", name, featureNames[i], v)
			}
		}
	}
}

func TestFeaturesDoNotAllocate(t *testing.T) {
	g := lowered(t, reference(t, "efficientnet_b0"))
	var e Extractor
	x := make([]float64, NumFeatures)
	e.Features(x, g)
	if n := testing.AllocsPerRun(10, func() { e.Features(x, g) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFeatures(b *testing.B) {
	for _, name := range []string{"mobilenet_v2", "efficientnet_b0", "shufflenet_v2"} {
		b.Run(name, func(b *testing.B) {
			g := lowered(b, reference(b, name))
			var e Extractor
			x := make([]float64, NumFeatures)
			b.ReportAllocs()
			for b.Loop() {
				e.Features(x, g)
			}
			b.ReportMetric(float64(len(g.Layers)), "layers")
		})
	}
}
