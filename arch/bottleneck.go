package arch

import "math"

// bottleneck is the block of ResNet-50 and deeper: 1x1 to fewer channels, k x k,
// 1x1 to the width, and a shortcut (He et al. 2015, figure 5 right).
type bottleneck struct{}

const (
	bottleneckKernel = iota
	bottleneckRatio
	bottleneckHidden
	bottleneckStrideFirst
)

func (bottleneck) Name() string { return "bottleneck" }

func (bottleneck) Params() []Param {
	return []Param{
		bottleneckKernel: kernel(),
		bottleneckRatio:  ratio(0.25, bottleneckHidden),
		bottleneckHidden: hidden(),
		bottleneckStrideFirst: {
			Name: "stride_first", Kind: BoolParam, Doc: "stride in the first 1x1, as in the paper, not in the k x k",
			Active: func(u *Unit) bool { return u.Stride > 1 },
		},
	}
}

// ratio declares hidden channels as a share of the width, unless the parameter
// with the index hidden gives their number.
func ratio(def float64, hidden int) Param {
	return Param{
		Name: "ratio", Kind: FloatParam, Default: def, Min: 1. / 64, Max: 8, Doc: "hidden channels as a share of the width",
		Active: func(u *Unit) bool { return u.Int(hidden) == 0 },
	}
}

func hidden() Param {
	return Param{Name: "hidden", Min: 0, Max: MaxWidth, Doc: "hidden channels; 0 means as many as the ratio or the expansion gives"}
}

// hiddenWidth returns the hidden channels that the parameters ask for: the
// given number, or the share of the width rounded to a multiple of divisor, the
// lower of two that are as near.
func hiddenWidth(hidden int, share float64, divisor int) int {
	if hidden > 0 {
		return hidden
	}
	return max(1, int(math.Ceil(share/float64(divisor)-0.5))) * divisor
}

func (bottleneck) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k := u.Int(bottleneckKernel)
	mid := hiddenWidth(u.Int(bottleneckHidden), u.Float(bottleneckRatio)*float64(u.Width), 1)
	first, second := 1, u.Stride
	if u.Bool(bottleneckStrideFirst) {
		first, second = second, first
	}
	y := g.ConvNormAct(x, "reduce", Conv{Out: mid, Stride: first}, u.Activation)
	y = g.ConvNormAct(y, "conv", Conv{Out: mid, Kernel: k, Stride: second, Padding: k / 2}, u.Activation)
	y = g.ConvNormAct(y, "expand", Conv{Out: u.Width}, Identity)
	y = g.Add(y, shortcut(g, x, u), "add")
	return g.Act(y, "out", u.Activation)
}
