package arch

// shuffle is the unit of ShuffleNet (Zhang et al. 2017, figure 2): grouped 1x1,
// channel shuffle, depthwise k x k, grouped 1x1. At stride 1 the input is
// added; with a stride it is average-pooled and concatenated, so the
// convolutions make only the channels that are missing to the width. At stride
// 1 with another width there is no shortcut.
//
// Hidden channels are the ratio of the width, rounded to a multiple of the
// groups.
type shuffle struct{}

const (
	shuffleKernel = iota
	shuffleRatio
	shuffleGroups
	shuffleGroupFirst
)

func (shuffle) Name() string { return "shuffle" }

func (shuffle) Params() []Param {
	return []Param{
		shuffleKernel: kernel(),
		shuffleRatio:  {Name: "ratio", Kind: FloatParam, Default: 0.25, Min: 1. / 64, Max: 8, Doc: "hidden channels as a share of the width"},
		shuffleGroups: {Name: "groups", Default: 3, Min: 1, Max: MaxWidth, Doc: "groups of both 1x1 convolutions"},
		shuffleGroupFirst: {
			Name: "group_first", Kind: BoolParam, Default: 1, Active: func(u *Unit) bool { return u.First },
			Doc: "group the stage's very first 1x1 too; the paper does not after the narrow stem",
		},
	}
}

func (shuffle) Lower(g *Graph, x Tensor, u *Unit) Tensor {
	k, groups, in := u.Int(shuffleKernel), u.Int(shuffleGroups), int(g.Shape(x).C)
	mid := hiddenWidth(0, u.Float(shuffleRatio)*float64(u.Width), groups)
	first, out := groups, u.Width
	if u.First && !u.Bool(shuffleGroupFirst) {
		first = 1
	}
	if u.Stride > 1 {
		if out -= in; out < 1 {
			g.Failf("expand", "a shuffle block with a stride keeps its %d input channels, so its width must be more, found %d", in, u.Width)
			return x
		}
	}
	y := g.ConvNormAct(x, "reduce", Conv{Out: mid, Groups: first}, u.Activation)
	y = g.Shuffle(y, "", groups)
	y = g.ConvNormAct(y, "depthwise", Conv{Out: mid, Kernel: k, Stride: u.Stride, Padding: k / 2, Groups: mid}, Identity)
	y = g.ConvNormAct(y, "expand", Conv{Out: out, Groups: groups}, Identity)
	switch {
	case u.Stride > 1:
		y = g.Concat("", g.Pool(x, "shortcut", Pool{Average: true, Kernel: 3, Stride: u.Stride, Padding: 1}), y)
	case in == u.Width:
		y = g.Add(x, y, "add")
	}
	return g.Act(y, "out", u.Activation)
}
