package arch

// shuffleV2 is the unit of ShuffleNetV2 (Ma et al. 2018, figure 3c and d). At
// stride 1 half of the channels pass unchanged while the others go through 1x1,
// depthwise k x k, 1x1; with a stride, or where the width changes, both
// branches read the whole input. The branches are joined and their channels
// shuffled.
//
// Of the published forms, torchvision's gives each branch half the width and
// shuffles at the end of a unit. Megvii's (the authors') keeps the input's
// channels in the short branch of a strided unit, whose other branch makes the
// rest, and shuffles at the beginning of a unit of stride 1.
type shuffleV2 struct{}

const (
	shuffleV2Kernel = iota
	shuffleV2Form
)

const formMegvii = 1

func (shuffleV2) Name() string { return "shuffle_v2" }

func (shuffleV2) Params() []Param {
	return []Param{
		shuffleV2Kernel: kernel(),
		shuffleV2Form:   {Name: "form", Kind: EnumParam, Enum: []string{"torchvision", "megvii"}, Doc: "whose implementation to follow"},
	}
}

func (shuffleV2) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, in, megvii := u.Int(shuffleV2Kernel), int(g.Shape(x).C), u.Int(shuffleV2Form) == formMegvii
	if u.Width%2 != 0 {
		g.Failf("", "a shuffle_v2 block's width must be even, found %d", u.Width)
		return x
	}
	half := u.Width / 2
	if u.Stride == 1 && in == u.Width {
		if megvii {
			x = g.Shuffle(x, "", 2)
		}
		pass := g.Slice(x, "pass", 0, half)
		y := shuffleV2Branch(g, g.Slice(x, "work", half, u.Width), u, k, half, half)
		y = g.Concat("", pass, y)
		if !megvii {
			y = g.Shuffle(y, "", 2)
		}
		return y
	}
	short, long := half, half
	if megvii {
		short, long = in, u.Width-in
		if long < 1 {
			g.Failf("", "a strided shuffle_v2 block of megvii's form keeps its %d input channels, so its width must be more, found %d", in, u.Width)
			return x
		}
	}
	a := g.ConvNormAct(x, "short.depthwise", Conv{Out: in, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: in}, Identity)
	a = g.ConvNormAct(a, "short.pointwise", Conv{Out: short}, u.Activation)
	y := g.Concat("", a, shuffleV2Branch(g, x, u, k, half, long))
	if !megvii {
		y = g.Shuffle(y, "", 2)
	}
	return y
}

// shuffleV2Branch is the branch with three convolutions.
func shuffleV2Branch(g *Graph, x Tensor, u *Unit, k, mid, out int) Tensor {
	y := g.ConvNormAct(x, "reduce", Conv{Out: mid}, u.Activation)
	y = g.ConvNormAct(y, "depthwise", Conv{Out: mid, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: mid}, Identity)
	return g.ConvNormAct(y, "expand", Conv{Out: out}, u.Activation)
}
