package arch

import "math"

// grouped is the bottleneck with a grouped k x k convolution: ResNeXt (Xie et
// al. 2016, figure 3c) and, with ratio 1, the RegNets (Radosavovic et al.
// 2020), RegNetY with squeeze-and-excitation.
//
// Hidden channels given by the ratio are rounded to a multiple of the groups.
type grouped struct{}

const (
	groupedKernel = iota
	groupedRatio
	groupedHidden
	groupedGroups
	groupedSE
	groupedShortcutFirst
)

func (grouped) Name() string { return "grouped" }

func (grouped) Params() []Param {
	return []Param{
		groupedKernel:        kernel(),
		groupedRatio:         ratio(0.5, groupedHidden),
		groupedHidden:        hidden(),
		groupedGroups:        {Name: "groups", Default: 32, Min: 1, Max: MaxWidth, Doc: "groups of the k x k convolution"},
		groupedSE:            {Name: "se", Kind: FloatParam, Max: 1, Doc: "squeeze-and-excitation channels as a share of the block's input; 0 means none"},
		groupedShortcutFirst: {Name: "shortcut_first", Kind: BoolParam, Doc: "run the projection before the other branch, as the RegNets do; matters for memory only"},
	}
}

func (grouped) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, groups := u.Int(groupedKernel), u.Int(groupedGroups)
	mid := hiddenWidth(u.Int(groupedHidden), u.Float(groupedRatio)*float64(u.Width), groups)
	in := float64(g.Shape(x).C)
	var around Tensor
	if u.Bool(groupedShortcutFirst) {
		around = shortcut(g, x, u)
	}
	y := g.ConvNormAct(x, "reduce", Conv{Out: mid}, u.Activation)
	y = g.ConvNormAct(y, "conv", Conv{Out: mid, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: groups}, u.Activation)
	if se := u.Float(groupedSE); se > 0 {
		y = squeezeExcite(g, y, max(1, int(math.RoundToEven(se*in))), ReLU, Sigmoid)
	}
	y = g.ConvNormAct(y, "expand", Conv{Out: u.Width}, Identity)
	if !u.Bool(groupedShortcutFirst) {
		around = shortcut(g, x, u)
	}
	return g.Act(g.Add(y, around, "add"), "out", u.Activation)
}

// squeezeExcite scales the channels of x by what a small network of two 1x1
// convolutions makes of their averages (Hu et al. 2017).
func squeezeExcite(g *Graph, x Tensor, squeezed int, inner, gate Activation) Tensor {
	s := g.AdaptiveAvgPool(x, "se", 1)
	s = g.Act(g.Conv(s, "se.reduce", Conv{Out: squeezed, Bias: true}), "se", inner)
	s = g.Act(g.Conv(s, "se.expand", Conv{Out: int(g.Shape(x).C), Bias: true}), "se.gate", gate)
	return g.Mul(s, x, "se")
}
