package arch

// fire is SqueezeNet's module (Iandola et al. 2016, figure 1): a 1x1
// convolution squeezes the channels, then a 1x1 and a k x k convolution expand
// them side by side, together to the width: each to half of it, or as pct_3x3
// says, the share that the paper varies in section 5.3.
//
// With a stride the block begins with a 3x3 max pool of that stride, as the
// paper downsamples between modules.
type fire struct{}

const (
	fireKernel = iota
	fireRatio
	fireSqueeze
	firePct3x3
	fireResidual
)

func (fire) Name() string { return "fire" }

func (fire) Params() []Param {
	return []Param{
		fireKernel: kernel(),
		fireRatio: {
			Name: "squeeze_ratio", Kind: FloatParam, Default: 0.125, Min: 1. / 64, Max: 1, Doc: "squeezed channels as a share of the width",
			Active: func(u *Unit) bool { return u.Int(fireSqueeze) == 0 },
		},
		fireSqueeze: {Name: "squeeze", Min: 0, Max: MaxWidth, Doc: "squeezed channels; 0 means as the ratio says"},
		firePct3x3: {
			Name: "pct_3x3", Kind: FloatParam, Default: 0.5, Min: 0.01, Max: 0.99,
			Doc: "share of the expanded channels that the k x k convolution makes, the 1x1 making the others",
		},
		fireResidual: {Name: "residual", Kind: BoolParam, Doc: "add the input where the shape stays, the paper's simple bypass"},
	}
}

func (fire) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	if u.Width < 2 {
		g.Failf("expand", "a fire module's width must be at least 2, found %d", u.Width)
		return x
	}
	if u.Stride > 1 {
		x = g.Pool(x, "pool", Pool{Kernel: 3, Stride: u.Stride, CeilMode: true})
	}
	k := u.Int(fireKernel)
	squeeze := hiddenWidth(u.Int(fireSqueeze), u.Float(fireRatio)*float64(u.Width), 1)
	three := min(hiddenWidth(0, u.Float(firePct3x3)*float64(u.Width), 1), u.Width-1)
	s := g.ConvNormAct(x, "squeeze", Conv{Out: squeeze}, u.Activation)
	a := g.ConvNormAct(s, "expand1", Conv{Out: u.Width - three}, u.Activation)
	b := g.ConvNormAct(s, "expand3", Conv{Out: three, Kernel: k, Padding: k / 2}, u.Activation)
	y := g.Concat("expand", a, b)
	if u.Bool(fireResidual) && int(g.Shape(x).C) == u.Width {
		y = g.Add(y, x, "add")
	}
	return y
}
