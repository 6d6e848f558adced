package cost_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// drawGraph draws a graph of up to 20 layers that read anything before them.
func drawGraph(t *rapid.T) *arch.Graph {
	g := new(arch.Graph)
	g.Reset(arch.Shape{C: 4, H: 6, W: 6})
	anything := func(name string) arch.Tensor {
		return arch.Tensor(rapid.IntRange(0, len(g.Layers)-1).Draw(t, name))
	}
	// like returns a tensor as large as x, if it can also another than x.
	like := func(x arch.Tensor) arch.Tensor {
		var same []arch.Tensor
		for i := range g.Layers {
			if g.Layers[i].Out == g.Shape(x) {
				same = append(same, arch.Tensor(i))
			}
		}
		return rapid.SampledFrom(same).Draw(t, "second")
	}
	for range rapid.IntRange(1, 20).Draw(t, "layers") {
		x := anything("input")
		channels := int(g.Shape(x).C)
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			g.Conv(x, "", arch.Conv{Out: rapid.IntRange(1, 8).Draw(t, "channels"), Kernel: 3, Padding: 1})
		case 1:
			g.Norm(x, "")
		case 2:
			g.Act(x, "", arch.ReLU)
		case 3:
			g.Add(x, like(x), "")
		case 4:
			g.Mul(g.AdaptiveAvgPool(x, "", 1), x, "")
		case 5:
			if channels <= 16 {
				g.Concat("", x, like(x))
			}
		case 6:
			g.Slice(x, "", rapid.IntRange(0, channels-1).Draw(t, "from"), channels)
		case 7:
			g.Pool(x, "", arch.Pool{Kernel: 3, Stride: 1, Padding: 1})
		case 8:
			g.Flatten(x, "")
		case 9:
			g.Dropout(x, "", 0.5)
		}
	}
	return g
}

// liveWithoutSharing says by the definition what lives at each layer if every
// operation allocates: the output of each that is no view, from where it is
// made to the last reader of it or of a view of it.
func liveWithoutSharing(g *arch.Graph) []int64 {
	live := make([]int64, len(g.Layers))
	owner := make([]arch.Tensor, len(g.Layers))
	last := make([]int, len(g.Layers))
	for i := range g.Layers {
		l := &g.Layers[i]
		owner[i], last[i] = arch.Tensor(i), i
		if l.Op == arch.OpSlice || l.Op == arch.OpFlatten || l.Op == arch.OpDropout {
			owner[i] = owner[l.Inputs[0]]
			last[owner[i]] = i // it is a buffer's part also if nothing reads it
		}
		for _, x := range l.Inputs {
			last[owner[x]] = i
		}
	}
	for i := range g.Layers {
		if owner[i] == arch.Tensor(i) {
			for at := i; at <= last[i]; at++ {
				live[at] += g.Layers[i].Out.Elements()
			}
		}
	}
	return live
}

func TestMemoryOfRandomGraphs(t *testing.T) {
	var m cost.Memory
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		if err := g.Err(); err != nil {
			t.Fatal(err)
		}
		if got, want := m.Live(g, cost.AllocateAll), liveWithoutSharing(g); !slices.Equal(got, want) {
			t.Errorf("live without sharing:\n%v, want\n%v", got, want)
		}
		all, _ := m.Peak(g, cost.AllocateAll)
		fused, _ := m.Peak(g, cost.FuseElementwise)
		inplace, at := m.Peak(g, cost.WriteInPlace)
		layer, _ := cost.LargestLayer(g)
		var tensor int64
		for i := range g.Layers {
			tensor = max(tensor, g.Layers[i].Out.Elements())
		}
		if all < fused || fused < inplace || inplace < layer || inplace < tensor {
			t.Errorf("peaks: all %d, fused %d, in place %d; largest layer %d, largest tensor %d", all, fused, inplace, layer, tensor)
		}
		live := m.Live(g, cost.WriteInPlace)
		if live[at] != inplace || slices.Index(live, inplace) != at || inplace != slices.Max(live) {
			t.Errorf("peak %d at layer %d of %v", inplace, at, live)
		}
	})
}

// An activation writes over its input only where that is a whole buffer that
// nothing reads later, through another view either.
func TestActivationsOfViews(t *testing.T) {
	for _, test := range []struct {
		name  string
		build func(g *arch.Graph, x arch.Tensor)
		want  []int64 // from the activation on
	}{
		{"a view of a tensor that is read later", func(g *arch.Graph, x arch.Tensor) {
			g.Concat("", x, g.Act(g.Dropout(x, "", 0.5), "", arch.ReLU))
		}, []int64{128 + 128, 128 + 128 + 256}},
		{"a part of a tensor that is read later", func(g *arch.Graph, x arch.Tensor) {
			g.Concat("", x, g.Act(g.Slice(x, "", 0, 4), "", arch.ReLU))
		}, []int64{128 + 64, 128 + 64 + 192}},
		{"a part of a tensor that is not", func(g *arch.Graph, x arch.Tensor) {
			g.Conv(g.Act(g.Slice(x, "", 0, 4), "", arch.ReLU), "", arch.Conv{Out: 1})
		}, []int64{128 + 64, 64 + 16}},
		{"a view of all of a tensor that is not", func(g *arch.Graph, x arch.Tensor) {
			g.Conv(g.Act(g.Dropout(x, "", 0.5), "", arch.ReLU), "", arch.Conv{Out: 1})
		}, []int64{128, 128 + 16}},
	} {
		var g arch.Graph
		test.build(&g, g.Conv(g.Reset(arch.Shape{C: 1, H: 4, W: 4}), "", arch.Conv{Out: 8})) // 128 elements
		var m cost.Memory
		if got := m.Live(&g, cost.FuseElementwise)[3:]; !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestLargestLayer(t *testing.T) {
	var g arch.Graph
	x := g.Reset(arch.Shape{C: 3, H: 4, W: 4})
	if n, at := cost.LargestLayer(&g); n != 0 || at != 0 {
		t.Errorf("of no layers: %d at %d", n, at)
	}
	x = g.Conv(x, "", arch.Conv{Out: 2, Kernel: 3, Padding: 1}) // 48 + 32
	x = g.Concat("", x, x, x)                                   // is no such layer
	x = g.Flatten(g.AdaptiveAvgPool(x, "", 1), "")
	g.Linear(x, "", 74, true) // 6 + 74
	if n, at := cost.LargestLayer(&g); n != 80 || at != 1 {
		t.Errorf("%d at %d, want the first with 80, at 1", n, at)
	}
}

func TestMemoryDoesNotAllocate(t *testing.T) {
	n, err := arch.Reference("shufflenet_v2")
	if err != nil {
		t.Fatal(err)
	}
	g := lower(t, n)
	var m cost.Memory
	if allocs := testing.AllocsPerRun(10, func() {
		for _, policy := range []cost.MemoryPolicy{cost.AllocateAll, cost.FuseElementwise, cost.WriteInPlace} {
			m.Peak(g, policy)
		}
		cost.LargestLayer(g)
		cost.Of(g)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
