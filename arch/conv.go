package arch

// conv is a plain convolution with normalisation and activation, as in
// AlexNet (Krizhevsky et al. 2012) and VGG (Simonyan and Zisserman 2014), and
// as most stems.
type conv struct{}

const (
	convKernel = iota
	convGroups
	convPadding
)

func (conv) Name() string { return "conv" }

func (conv) Params() []Param {
	return []Param{
		convKernel:  kernel(),
		convGroups:  {Name: "groups", Default: 1, Min: 1, Max: MaxWidth, Doc: "groups of the convolution"},
		convPadding: {Name: "padding", Default: -1, Min: -1, Max: 31, Doc: "padding on all sides; -1 means kernel/2"},
	}
}

func (conv) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, padding := u.Int(convKernel), u.Int(convPadding)
	if padding < 0 {
		padding = k / 2
	}
	c := Conv{Out: u.Width, Kernel: k, Stride: u.Stride, Padding: padding, Groups: u.Int(convGroups)}
	return g.ConvNormAct(x, "", c, u.Activation)
}
