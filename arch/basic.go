package arch

// basic is the basic block of ResNet-18 and -34: two k x k convolutions and a
// shortcut (He et al. 2015, figure 5 left).
type basic struct{}

const (
	basicKernel = iota
)

func (basic) Name() string { return "basic" }

func (basic) Params() []Param { return []Param{basicKernel: kernel()} }

func (basic) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k := u.Int(basicKernel)
	y := g.ConvNormAct(x, "conv1", Conv{Out: u.Width, Kernel: k, Stride: u.Stride, Padding: k / 2}, u.Activation)
	y = g.ConvNormAct(y, "conv2", Conv{Out: u.Width, Kernel: k, Padding: k / 2}, Identity)
	y = g.Add(y, shortcut(g, x, u), "add")
	return g.Act(y, "out", u.Activation)
}

// shortcut is the path around a residual block: the input itself, or where the
// shape changes a strided 1x1 convolution (He et al. 2015, option B).
func shortcut(g *Graph, x Tensor, u *Unit) Tensor {
	if u.Stride == 1 && int(g.Shape(x).C) == u.Width {
		return x
	}
	return g.ConvNormAct(x, "shortcut", Conv{Out: u.Width, Stride: u.Stride}, Identity)
}
