package arch_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
)

// windows slides a window over h pixels with the padding and counts where it
// stands. Rounded up, a last window may reach beyond the padding by less than
// a stride, if it begins inside the input or the padding before it.
func windows(h, kernel, stride, padding, dilation int, ceil bool) int {
	reach := dilation*(kernel-1) + 1
	n := 0
	for start := 0; ; start += stride {
		beyond := start + reach - (h + 2*padding)
		inside := beyond <= 0
		if ceil {
			inside = beyond < stride && start < h+padding
		}
		if !inside {
			return n
		}
		n++
	}
}

func TestOutputSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, w := rapid.IntRange(1, 40).Draw(t, "h"), rapid.IntRange(1, 40).Draw(t, "w")
		stride := rapid.IntRange(1, 6).Draw(t, "stride")
		var g arch.Graph
		in := arch.Shape{C: 4, H: int32(h), W: int32(w)}

		c := arch.Conv{
			Out: 6, Kernel: rapid.IntRange(1, 9).Draw(t, "kernel"), KernelW: rapid.IntRange(1, 9).Draw(t, "kernel across"), Stride: stride,
			Padding: rapid.IntRange(0, 9).Draw(t, "padding"), PaddingW: rapid.IntRange(0, 9).Draw(t, "padding across"),
			Dilation: rapid.IntRange(1, 3).Draw(t, "dilation"), Groups: rapid.IntRange(1, 2).Draw(t, "groups"),
		}
		want := arch.Shape{
			C: 6,
			H: int32(windows(h, c.Kernel, stride, c.Padding, c.Dilation, false)),
			W: int32(windows(w, c.KernelW, stride, c.PaddingW, c.Dilation, false)),
		}
		x := g.Conv(g.Reset(in), "", c)
		if fits := want.H > 0 && want.W > 0; fits != (g.Err() == nil) || fits && g.Shape(x) != want {
			t.Errorf("convolution: %v, %v, want %v", g.Shape(x), g.Err(), want)
		}

		p := arch.Pool{Kernel: rapid.IntRange(1, 9).Draw(t, "pool"), Stride: stride, CeilMode: rapid.Bool().Draw(t, "ceil_mode")}
		p.Padding = rapid.IntRange(0, p.Kernel/2).Draw(t, "pool padding")
		want = arch.Shape{
			C: 4,
			H: int32(windows(h, p.Kernel, stride, p.Padding, 1, p.CeilMode)),
			W: int32(windows(w, p.Kernel, stride, p.Padding, 1, p.CeilMode)),
		}
		x = g.Pool(g.Reset(in), "", p)
		if fits := want.H > 0 && want.W > 0; fits != (g.Err() == nil) || fits && g.Shape(x) != want {
			t.Errorf("pool: %v, %v, want %v", g.Shape(x), g.Err(), want)
		}
	})
}

func TestOutputSizesOfPyTorch(t *testing.T) {
	for _, test := range []struct {
		h    int32
		pool arch.Pool
		want int32 // 0 if PyTorch refuses
	}{
		{54, arch.Pool{Kernel: 3, Stride: 2, CeilMode: true}, 27}, // SqueezeNet
		{54, arch.Pool{Kernel: 3, Stride: 2}, 26},
		{2, arch.Pool{Kernel: 3, Stride: 2, CeilMode: true}, 1}, // a window that is never full
		{1, arch.Pool{Kernel: 3, Stride: 2, CeilMode: true}, 0},
		{1, arch.Pool{Kernel: 3, Stride: 2, Padding: 1, CeilMode: true}, 1},
		{5, arch.Pool{Kernel: 2, Stride: 3, Padding: 1, CeilMode: true}, 2}, // a third would begin in the padding behind
	} {
		var g arch.Graph
		x := g.Pool(g.Reset(arch.Shape{C: 1, H: test.h, W: test.h}), "", test.pool)
		got := g.Shape(x).H
		if g.Err() != nil {
			got = 0
		}
		if got != test.want {
			t.Errorf("%+v of %d: %d, want %d", test.pool, test.h, got, test.want)
		}
	}
}

func TestGraphRefuses(t *testing.T) {
	in := arch.Shape{C: 8, H: 4, W: 4}
	for _, test := range []struct {
		name string
		in   arch.Shape
		step func(g *arch.Graph, x arch.Tensor) arch.Tensor
		want string // the beginning
	}{
		{"convolution to nothing", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Conv(x, "p", arch.Conv{}) }, "p: a convolution to 0 channels"},
		{"groups", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 9, Groups: 3})
		}, "p: 3 groups do not divide 8 input and 9 output channels"},
		{"negative padding", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 8, Padding: -1})
		}, "p: a convolution with a kernel of 1x1, stride 1, padding -1, -1 and dilation 1"},
		{"kernel", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Conv(x, "p", arch.Conv{Out: 8, Kernel: 5}) },
			"p: a map of 4 pixels is smaller than the kernel of 5"},
		{"huge kernel", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 8, Kernel: math.MaxInt / 2, Dilation: math.MaxInt / 2})
		}, "p: a convolution with a kernel of"},
		{"channels beyond int32", arch.Shape{C: 1, H: 1, W: 1}, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 1<<32 + 1})
		}, "p: the network is too large to be counted"},
		{"channels joined beyond int32", arch.Shape{C: 1, H: 1, W: 1}, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			x = g.Conv(x, "", arch.Conv{Out: 1 << 30})
			return g.Concat("p", x, x, x)
		}, "p: the network is too large to be counted"},
		{"many elements", arch.Shape{C: 1, H: 1 << 14, W: 1 << 14}, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 1 << 13})
		}, "p: the network is too large to be counted"},
		{"many MACs", arch.Shape{C: 1 << 12, H: 1 << 10, W: 1 << 10}, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Conv(x, "p", arch.Conv{Out: 1 << 12, Kernel: 5, Padding: 2})
		}, "p: the network is too large to be counted"},
		{"linear without flatten", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Linear(x, "p", 3, true) },
			"p: a linear layer from 8x4x4 to 3 features; flatten its input"},
		{"huge linear", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Linear(g.Flatten(x, ""), "p", 1<<33, true)
		}, "p: the network is too large to be counted"},
		{"pool padding", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Pool(x, "p", arch.Pool{Kernel: 3, Padding: 2})
		}, "p: a pool with a kernel of 3, stride 3 and padding 2; the padding is at most half the kernel"},
		{"pool stride", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Pool(x, "p", arch.Pool{Kernel: 3, Stride: -1})
		}, "p: a pool with a kernel of 3, stride -1 and padding 0"},
		{"average to nothing", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.AdaptiveAvgPool(x, "p", 0) }, "p: an average pool to 0x0"},
		{"average to too much", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.AdaptiveAvgPool(x, "p", 1<<31) }, "p: the network is too large to be counted"},
		{"sum", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Add(x, g.Conv(x, "", arch.Conv{Out: 9}), "p")
		}, "p: a sum of 8x4x4 and 9x4x4"},
		{"gate", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Mul(x, x, "p") }, "p: a gate of 8x4x4 for 8x4x4"},
		{"concatenation", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Concat("p", x, g.AdaptiveAvgPool(x, "", 1))
		}, "p: a concatenation of 8x4x4 and 8x1x1"},
		{"shuffle", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Shuffle(x, "p", 3) }, "p: 3 groups do not divide 8 channels"},
		{"slice", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor { return g.Slice(x, "p", 4, 9) }, "p: channels 4 to 9 of 8"},
		{"vector", arch.Shape{C: 1, H: 1 << 14, W: 1 << 14}, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			return g.Flatten(g.Conv(x, "", arch.Conv{Out: 8}), "p")
		}, "p: a vector of 2147483648 elements"},
		{"too many layers", in, func(g *arch.Graph, x arch.Tensor) arch.Tensor {
			for range arch.MaxLayers {
				x = g.Act(x, "", arch.ReLU)
			}
			return x
		}, "the network is too large to be counted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g arch.Graph
			x := test.step(&g, g.Reset(test.in))
			err := g.Err()
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("\ngot  %v\nwant %s", err, test.want)
			}
			// Every later step does nothing and keeps the first error.
			n := len(g.Layers)
			x = g.Conv(x, "q", arch.Conv{})
			x = g.Pool(g.Norm(g.Act(x, "q", arch.ReLU), "q"), "q", arch.Pool{Kernel: 99})
			x = g.Linear(g.AdaptiveAvgPool(x, "q", 1), "q", 0, false)
			x = g.Shuffle(g.Slice(g.Concat("q", x, 0), "q", 9, 9), "q", 0)
			g.Mul(x, g.Add(x, g.Dropout(g.Flatten(x, "q"), "q", 0.5), "q"), "q")
			g.Failf("q", "later")
			if len(g.Layers) != n || g.Err().Error() != err.Error() {
				t.Errorf("%d layers after %d, error %v", len(g.Layers), n, g.Err())
			}
			g.Reset(in)
			if g.Err() != nil {
				t.Error("an error after Reset")
			}
		})
	}
}
