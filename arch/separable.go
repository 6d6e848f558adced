package arch

// separable is MobileNet's block (Howard et al. 2017, figure 3 right): a
// depthwise k x k and a pointwise convolution, each with normalisation and
// activation.
type separable struct{}

const (
	separableKernel = iota
	separableResidual
)

func (separable) Name() string { return "separable" }

func (separable) Params() []Param {
	return []Param{
		separableKernel:   kernel(),
		separableResidual: {Name: "residual", Kind: BoolParam, Doc: "add the input where the shape stays; MobileNet does not"},
	}
}

func (separable) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, in := u.Int(separableKernel), int(g.Shape(x).C)
	y := g.ConvNormAct(x, "depthwise", Conv{Out: in, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: in}, u.Activation)
	y = g.ConvNormAct(y, "pointwise", Conv{Out: u.Width}, u.Activation)
	if u.Bool(separableResidual) && u.Stride == 1 && in == u.Width {
		y = g.Add(y, x, "add")
	}
	return y
}
