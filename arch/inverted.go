package arch

// inverted is the inverted bottleneck of MobileNetV2 (Sandler et al. 2018,
// figure 4d): 1x1 to more channels, depthwise k x k, linear 1x1 to the width,
// and the input added where the shape stays. With squeeze-and-excitation it is
// the block of MnasNet-A, MobileNetV3 (Howard et al. 2019) and EfficientNet
// (Tan and Le 2019).
//
// An expansion to as many channels as the input has is left out.
type inverted struct{}

const (
	invertedKernel = iota
	invertedExpansion
	invertedHidden
	invertedDivisor
	invertedAlwaysExpand
	invertedSE
	invertedSEOf
)

func (inverted) Name() string { return "inverted" }

func (inverted) Params() []Param {
	byExpansion := func(u *Unit) bool { return u.Int(invertedHidden) == 0 }
	return []Param{
		invertedKernel: kernel(),
		invertedExpansion: {
			Name: "expansion", Kind: FloatParam, Default: 6, Min: 1. / 16, Max: 64, Active: byExpansion,
			Doc: "hidden channels as a multiple of the block's input",
		},
		invertedHidden: hidden(),
		invertedDivisor: {
			Name: "divisor", Default: 1, Min: 1, Max: 1024, Active: byExpansion,
			Doc: "round the expanded channels to a multiple of it, never below nine tenths",
		},
		invertedAlwaysExpand: {Name: "always_expand", Kind: BoolParam, Doc: "keep the first 1x1 also where it expands nothing"},
		invertedSE:           {Name: "se", Kind: FloatParam, Max: 1, Doc: "squeeze-and-excitation ratio; 0 means none"},
		invertedSEOf: {
			Name: "se_of", Kind: EnumParam, Enum: []string{"hidden", "input"},
			Active: func(u *Unit) bool { return u.Float(invertedSE) > 0 },
			Doc: "what the ratio is of: the hidden channels, rounded to a multiple of 8, with hard sigmoid (MobileNetV3), " +
				"or the block's input, rounded down, with sigmoid (EfficientNet)",
		},
	}
}

func (inverted) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, in := u.Int(invertedKernel), int(g.Shape(x).C)
	mid := u.Int(invertedHidden)
	if mid == 0 {
		mid = RoundTo(u.Float(invertedExpansion)*float64(in), u.Int(invertedDivisor))
	}
	y := x
	if mid != in || u.Bool(invertedAlwaysExpand) {
		y = g.ConvNormAct(y, "expand", Conv{Out: mid}, u.Activation)
	}
	y = g.ConvNormAct(y, "depthwise", Conv{Out: mid, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: mid}, u.Activation)
	if se := u.Float(invertedSE); se > 0 {
		if u.Int(invertedSEOf) == 0 {
			y = squeezeExcite(g, y, RoundTo(float64(int(se*float64(mid))), 8), ReLU, HardSigmoid)
		} else {
			y = squeezeExcite(g, y, max(1, int(se*float64(in))), u.Activation, Sigmoid)
		}
	}
	y = g.ConvNormAct(y, "project", Conv{Out: u.Width}, Identity)
	if u.Stride == 1 && in == u.Width {
		y = g.Add(y, x, "add")
	}
	return y
}
