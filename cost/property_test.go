package cost_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// drawConv draws a small convolution and its input.
func drawConv(t *rapid.T) (arch.Shape, arch.Conv) {
	groups := rapid.IntRange(1, 4).Draw(t, "groups")
	in := arch.Shape{
		C: int32(groups * rapid.IntRange(1, 3).Draw(t, "input channels of a group")),
		H: int32(rapid.IntRange(1, 9).Draw(t, "height")), W: int32(rapid.IntRange(1, 9).Draw(t, "width")),
	}
	return in, arch.Conv{
		Out: groups * rapid.IntRange(1, 3).Draw(t, "output channels of a group"), Groups: groups,
		Kernel: rapid.IntRange(1, 4).Draw(t, "kernel"), KernelW: rapid.IntRange(1, 4).Draw(t, "kernel across"),
		Stride: rapid.IntRange(1, 3).Draw(t, "stride"), Dilation: rapid.IntRange(1, 2).Draw(t, "dilation"),
		Padding: rapid.IntRange(0, 3).Draw(t, "padding"), PaddingW: rapid.IntRange(0, 3).Draw(t, "padding across"),
		Bias: rapid.Bool().Draw(t, "bias"),
	}
}

// count runs a convolution without numbers: it walks every output element and
// every weight that it is made of.
func count(in arch.Shape, c arch.Conv) (sum cost.Cost) {
	type weight struct{ out, in, row, column int }
	weights := make(map[weight]bool)
	perGroupIn, perGroupOut := int(in.C)/c.Groups, c.Out/c.Groups
	for o := range c.Out {
		for y := -c.Padding; y+c.Dilation*(c.Kernel-1) < int(in.H)+c.Padding; y += c.Stride {
			for x := -c.PaddingW; x+c.Dilation*(c.KernelW-1) < int(in.W)+c.PaddingW; x += c.Stride {
				sum.Activations++
				for i := range perGroupIn {
					for ky := range c.Kernel {
						for kx := range c.KernelW {
							sum.MACs++
							weights[weight{o, o/perGroupOut*perGroupIn + i, ky, kx}] = true
						}
					}
				}
			}
		}
	}
	sum.Params = int64(len(weights))
	if c.Bias {
		sum.Params += int64(c.Out)
	}
	return sum
}

func conv(in arch.Shape, c arch.Conv) (cost.Cost, error) {
	var g arch.Graph
	g.Conv(g.Reset(in), "", c)
	return cost.Of(&g), g.Err()
}

func TestConvEqualsNaiveCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, c := drawConv(t)
		want := count(in, c)
		got, err := conv(in, c)
		if (err == nil) != (want.Activations > 0) || err == nil && got != want {
			t.Fatalf("%v %+v: got %+v, %v, want %+v", in, c, got, err, want)
		}
	})
}

func TestGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, c := drawConv(t)
		c.Bias = false
		grouped, err := conv(in, c)
		if err != nil {
			t.Skip(err)
		}
		plain := c
		plain.Groups = 0
		whole, err := conv(in, plain)
		if err != nil {
			t.Fatal(err)
		}
		one := c
		one.Groups = 1
		if got, _ := conv(in, one); got != whole {
			t.Errorf("one group costs %+v, none %+v", got, whole)
		}
		if g := int64(c.Groups); grouped.MACs*g != whole.MACs || grouped.Params*g != whole.Params || grouped.Activations != whole.Activations {
			t.Errorf("%d groups cost %+v, one %+v", g, grouped, whole)
		}
		// The work of g groups is that of g small convolutions.
		part := c
		part.Groups, part.Out = 1, c.Out/c.Groups
		small, err := conv(arch.Shape{C: in.C / int32(c.Groups), H: in.H, W: in.W}, part)
		var sum cost.Cost
		for range c.Groups {
			sum = sum.Add(small)
		}
		if err != nil || sum != grouped {
			t.Errorf("%d groups cost %+v, as many convolutions %+v, %v", c.Groups, grouped, sum, err)
		}
		// Depthwise is grouped with as many groups as channels.
		depthwise := c
		depthwise.Groups, depthwise.Out = int(in.C), int(in.C)
		got, err := conv(in, depthwise)
		k := int64(c.Kernel) * int64(c.KernelW)
		if err != nil || got.Params != int64(in.C)*k || got.MACs != got.Activations*k {
			t.Errorf("depthwise on %v costs %+v, %v", in, got, err)
		}
	})
}

func TestOfIsTheSumOfItsLayers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g arch.Graph
		x := g.Reset(arch.Shape{C: 4, H: 12, W: 10})
		var want cost.Cost
		for range rapid.IntRange(0, 6).Draw(t, "layers") {
			before := len(g.Layers)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				c := arch.Conv{Out: rapid.IntRange(1, 8).Draw(t, "channels"), Kernel: 3, Padding: 1, Bias: true}
				in := g.Shape(x)
				one, _ := conv(in, c)
				want = want.Add(one)
				x = g.Conv(x, "", c)
			case 1:
				want.Params += 2 * int64(g.Shape(x).C)
				x = g.Norm(x, "")
			case 2:
				x = g.Act(x, "", arch.Swish)
			case 3:
				x = g.Pool(x, "", arch.Pool{Kernel: 2, CeilMode: true})
			case 4:
				x = g.Add(x, x, "")
			}
			if g.Err() != nil || len(g.Layers) != before+1 {
				t.Fatal(g.Err())
			}
		}
		var sum cost.Cost
		for i := range g.Layers {
			sum = sum.Add(cost.OfLayer(&g.Layers[i]))
		}
		if got := cost.Of(&g); got != sum || got != want {
			t.Errorf("%+v, the sum of the layers %+v, counted along %+v", got, sum, want)
		}
	})
}

// TestTotalsFitTheirTypes adds up the most that the limits of a graph allow:
// every layer at all of them at once.
func TestTotalsFitTheirTypes(t *testing.T) {
	layers := big.NewInt(arch.MaxLayers)
	most := func(perLayer int64) *big.Int { return new(big.Int).Mul(layers, big.NewInt(perLayer)) }
	// A layer has at most as many weights as MACs, and two numbers a channel.
	params := int64(arch.MaxMACs) + 2*math.MaxInt32
	for name, total := range map[string]*big.Int{
		"FLOPs":        most(2 * arch.MaxMACs),
		"weight bytes": most(4 * params),
		"activations":  most(arch.MaxElements),
		"bytes":        most(4 * arch.MaxElements),
	} {
		if !total.IsInt64() {
			t.Errorf("%s of a network may be %v", name, total)
		}
	}
}

// TestLimits lowers a network whose layers are as large as they may be.
func TestLimits(t *testing.T) {
	var g arch.Graph
	x := g.Reset(arch.Shape{C: 1 << 16, H: 1, W: 1})
	c := arch.Conv{Out: 1 << 16, Kernel: 128, Padding: 64, Stride: 2} // 2^46 MACs
	want := new(big.Int)
	for g.Err() == nil {
		x = g.Conv(x, "", c)
		if g.Err() == nil {
			want.Add(want, big.NewInt(arch.MaxMACs))
		}
	}
	if len(g.Layers) < arch.MaxLayers {
		t.Fatalf("stopped after %d layers: %v", len(g.Layers), g.Err())
	}
	got := cost.Of(&g)
	if want.Cmp(big.NewInt(got.MACs)) > 0 || got.FLOPs() < got.MACs || got.WeightBytes(32) < got.Params || got.Params < got.MACs {
		t.Errorf("%+v, want at least %v MACs", got, want)
	}
}
