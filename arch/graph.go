package arch

import (
	"fmt"
	"math"
)

// Limits on what can be lowered. They lie far above every network that can be
// trained, and keep every count of the cost model, for a whole network, within
// an int64.
const (
	MaxLayers   = 1 << 14 // layers of a network
	MaxElements = 1 << 40 // elements of one tensor
	MaxMACs     = 1 << 46 // multiply-accumulates of one layer
)

// A Graph is a network lowered to layers in execution order: the one
// description that the cost model, the predictor's features and the exporters
// walk. Every layer's inputs stand before it.
//
// Blocks build it with its methods. The first impossible step (groups that do
// not divide the channels, a map smaller than its kernel) is remembered and
// makes all later steps do nothing, so that a block needs no error handling;
// [Graph.Err] returns it. A Graph can be used again and again without
// allocating: see [Network.Lower].
type Graph struct {
	Layers []Layer

	inputs []Tensor // backs the layers' Inputs
	err    *BuildError

	// What the layers being added have in common.
	stage, block int16
	norm         bool
	bias         bool
	unit         Unit
}

// Err returns why the network cannot be built, or nil.
func (g *Graph) Err() error {
	if g.err == nil {
		return nil // not a nil *BuildError in a non-nil error
	}
	return g.err
}

// Reset empties the graph and adds the input layer.
func (g *Graph) Reset(input Shape) Tensor {
	g.Layers, g.inputs, g.err = g.Layers[:0], g.inputs[:0], nil
	g.stage, g.block, g.norm, g.bias = InInput, -1, true, false
	g.push(OpInput, "", input)
	if input.C < 1 || input.H < 1 || input.W < 1 {
		g.Failf("", "an input of %v", input)
	} else {
		g.bound("", int(input.C), int(input.H), int(input.W), 0)
	}
	return 0
}

// Shape returns the shape of x.
func (g *Graph) Shape(x Tensor) Shape { return g.Layers[x].Out }

// Output returns the last tensor.
func (g *Graph) Output() Tensor { return Tensor(len(g.Layers) - 1) }

// push appends a layer whose input and output have the given shape.
func (g *Graph) push(op Op, part string, shape Shape) *Layer {
	n := len(g.Layers)
	if n == MaxLayers {
		g.tooLarge(part)
	}
	if n < cap(g.Layers) {
		g.Layers = g.Layers[:n+1]
	} else {
		g.Layers = append(g.Layers, Layer{})
	}
	l := &g.Layers[n]
	// Field by field: a Layer holds pointers, and assigning one as a whole
	// costs half of all lowering.
	l.Op, l.Activation, l.Bias, l.CeilMode = op, Identity, false, false
	l.Stage, l.Block = g.stage, g.block
	l.Part, l.Inputs = part, nil
	l.In, l.Out = shape, shape
	l.KernelH, l.KernelW, l.PadH, l.PadW = 0, 0, 0, 0
	l.Stride, l.Dilation, l.Groups, l.From, l.Rate = 0, 0, 0, 0, 0
	return l
}

func (g *Graph) read(l *Layer, xs ...Tensor) {
	n := len(g.inputs)
	g.inputs = append(g.inputs, xs...)
	l.Inputs = g.inputs[n:len(g.inputs):len(g.inputs)]
}

// simple appends a layer that keeps its input's shape.
func (g *Graph) simple(op Op, x Tensor, part string) Tensor {
	g.read(g.push(op, part, g.Layers[x].Out), x)
	return g.Output()
}

// Failf records that the network cannot be built: the step named part is
// impossible. Blocks call it for conditions of their own.
func (g *Graph) Failf(part, format string, args ...any) {
	if g.err == nil {
		if part != "" {
			format = part + ": " + format
		}
		g.err = &BuildError{g.stage, g.block, fmt.Sprintf(format, args...)}
	}
}

// A Conv says how to convolve. Zero values of Kernel, Stride, Groups and
// Dilation mean 1.
type Conv struct {
	Out     int // output channels
	Kernel  int // height and width of the kernel
	KernelW int // width of the kernel, where it differs from Kernel
	Stride  int
	Padding int // on all sides
	// PaddingW is the padding at left and right where it differs from Padding;
	// it counts only if KernelW is set.
	PaddingW int
	Dilation int
	Groups   int
	Bias     bool // a bias also where the network's convolutions have none
}

// Conv adds a convolution. Its output has
// floor((h + 2*padding - dilation*(kernel-1) - 1) / stride) + 1 rows.
func (g *Graph) Conv(x Tensor, part string, c Conv) Tensor {
	if g.err != nil {
		return x
	}
	in := g.Layers[x].Out
	kh, stride, groups, dilation := max(c.Kernel, 1), max(c.Stride, 1), max(c.Groups, 1), max(c.Dilation, 1)
	kw, padW := kh, c.Padding
	if c.KernelW > 0 {
		kw, padW = c.KernelW, c.PaddingW
	}
	if c.Out < 1 {
		g.Failf(part, "a convolution to %d channels", c.Out)
		return x
	}
	if min(c.Padding, padW) < 0 || max(kh, kw, stride, dilation, c.Padding, padW) > MaxResolution {
		g.Failf(part, "a convolution with a kernel of %dx%d, stride %d, padding %d, %d and dilation %d", kh, kw, stride, c.Padding, padW, dilation)
		return x
	}
	if int(in.C)%groups != 0 || c.Out%groups != 0 {
		g.Failf(part, "%d groups do not divide %d input and %d output channels", groups, in.C, c.Out)
		return x
	}
	h := g.window(part, in.H, kh, stride, c.Padding, dilation, false)
	w := g.window(part, in.W, kw, stride, padW, dilation, false)
	out := g.bound(part, c.Out, h, w, float64(in.C)/float64(groups)*float64(kh)*float64(kw))
	if g.err != nil {
		return x
	}
	l := g.push(OpConv, part, in)
	l.Out, l.Bias = out, c.Bias || g.bias
	l.KernelH, l.KernelW, l.PadH, l.PadW = int32(kh), int32(kw), int32(c.Padding), int32(padW)
	l.Stride, l.Dilation, l.Groups = int32(stride), int32(dilation), int32(groups)
	g.read(l, x)
	return g.Output()
}

// window returns the output size of a sliding window.
func (g *Graph) window(part string, size int32, kernel, stride, padding, dilation int, ceil bool) int {
	span := int(size) + 2*padding - dilation*(kernel-1) - 1
	if ceil {
		span += stride - 1
	}
	if span < 0 {
		g.Failf(part, "a map of %d pixels is smaller than the kernel of %d", size, kernel)
		return 1
	}
	out := span/stride + 1
	if ceil && (out-1)*stride >= int(size)+padding {
		out-- // the last window must begin inside the input or its left padding
	}
	return out
}

// bound returns the shape of c channels of h x w and keeps all counts within
// their types.
func (g *Graph) bound(part string, c, h, w int, macsPerElement float64) Shape {
	elements := float64(c) * float64(h) * float64(w)
	if max(c, h, w) > math.MaxInt32 || elements > MaxElements || elements*macsPerElement > MaxMACs {
		g.tooLarge(part)
	}
	return Shape{int32(c), int32(h), int32(w)}
}

func (g *Graph) tooLarge(part string) {
	g.Failf(part, "the network is too large to be counted (at most %d layers, and in one layer %d elements and %d MACs)",
		MaxLayers, int64(MaxElements), int64(MaxMACs))
}

// Norm adds a batch normalisation, or nothing in a network without.
func (g *Graph) Norm(x Tensor, part string) Tensor {
	if g.err != nil || !g.norm {
		return x
	}
	return g.simple(OpBatchNorm, x, part)
}

// Act adds an activation, or nothing for Identity.
func (g *Graph) Act(x Tensor, part string, a Activation) Tensor {
	if g.err != nil || a == Identity {
		return x
	}
	y := g.simple(OpActivation, x, part)
	g.Layers[y].Activation = a
	return y
}

// ConvNormAct adds a convolution, its normalisation and an activation.
func (g *Graph) ConvNormAct(x Tensor, part string, c Conv, a Activation) Tensor {
	return g.Act(g.Norm(g.Conv(x, part, c), part), part, a)
}

// Linear adds a fully connected layer. Its input must be flat (H = W = 1).
func (g *Graph) Linear(x Tensor, part string, out int, bias bool) Tensor {
	if g.err != nil {
		return x
	}
	in := g.Layers[x].Out
	if in.H != 1 || in.W != 1 || out < 1 {
		g.Failf(part, "a linear layer from %v to %d features; flatten its input", in, out)
		return x
	}
	shape := g.bound(part, out, 1, 1, float64(in.C))
	if g.err != nil {
		return x
	}
	l := g.push(OpLinear, part, in)
	l.Out, l.Bias = shape, bias
	g.read(l, x)
	return g.Output()
}

// A Pool says how to pool over a sliding window.
type Pool struct {
	Average  bool // the average instead of the maximum
	Kernel   int
	Stride   int // 0 means Kernel
	Padding  int
	CeilMode bool // round the output size up, unless the last window would begin beyond the input
}

// Pool adds a pooling layer. With CeilMode its output has
// ceil((h + 2*padding - kernel) / stride) + 1 rows, less one if the last window
// would begin at or beyond h + padding.
func (g *Graph) Pool(x Tensor, part string, p Pool) Tensor {
	if g.err != nil {
		return x
	}
	in := g.Layers[x].Out
	kernel, stride := max(p.Kernel, 1), p.Stride
	if stride == 0 {
		stride = kernel
	}
	if stride < 0 || max(kernel, stride) > MaxResolution || p.Padding < 0 || 2*p.Padding > kernel {
		g.Failf(part, "a pool with a kernel of %d, stride %d and padding %d; the padding is at most half the kernel", kernel, stride, p.Padding)
		return x
	}
	h := g.window(part, in.H, kernel, stride, p.Padding, 1, p.CeilMode)
	w := g.window(part, in.W, kernel, stride, p.Padding, 1, p.CeilMode)
	out := g.bound(part, int(in.C), h, w, 0)
	if g.err != nil {
		return x
	}
	op := OpMaxPool
	if p.Average {
		op = OpAvgPool
	}
	l := g.push(op, part, in)
	l.Out, l.CeilMode, l.Groups = out, p.CeilMode, 0
	l.KernelH, l.KernelW, l.Stride, l.Dilation = int32(kernel), int32(kernel), int32(stride), 1
	l.PadH, l.PadW = int32(p.Padding), int32(p.Padding)
	g.read(l, x)
	return g.Output()
}

// AdaptiveAvgPool adds an average pool to size x size; 1 is global pooling.
func (g *Graph) AdaptiveAvgPool(x Tensor, part string, size int) Tensor {
	if g.err != nil {
		return x
	}
	if size < 1 {
		g.Failf(part, "an average pool to %dx%d", size, size)
		return x
	}
	out := g.bound(part, int(g.Shape(x).C), size, size, 0)
	if g.err != nil {
		return x
	}
	y := g.simple(OpAdaptiveAvgPool, x, part)
	g.Layers[y].Out = out
	return y
}

// Add adds the sum of x and y, which have one shape.
func (g *Graph) Add(x, y Tensor, part string) Tensor {
	if g.err != nil {
		return x
	}
	if a, b := g.Shape(x), g.Shape(y); a != b {
		g.Failf(part, "a sum of %v and %v", a, b)
		return x
	}
	g.read(g.push(OpAdd, part, g.Shape(x)), x, y)
	return g.Output()
}

// Mul scales x, channel by channel, with gate, which has one value a channel.
func (g *Graph) Mul(gate, x Tensor, part string) Tensor {
	if g.err != nil {
		return x
	}
	in, scale := g.Shape(x), g.Shape(gate)
	if scale != (Shape{in.C, 1, 1}) {
		g.Failf(part, "a gate of %v for %v", scale, in)
		return x
	}
	l := g.push(OpMul, part, scale)
	l.Out = in
	g.read(l, gate, x)
	return g.Output()
}

// Concat joins the channels of tensors of one height and width.
func (g *Graph) Concat(part string, xs ...Tensor) Tensor {
	if g.err != nil {
		return xs[0]
	}
	first := g.Shape(xs[0])
	channels := int(first.C)
	for _, x := range xs[1:] {
		s := g.Shape(x)
		if s.H != first.H || s.W != first.W {
			g.Failf(part, "a concatenation of %v and %v", first, s)
			return xs[0]
		}
		channels += int(s.C)
	}
	out := g.bound(part, channels, int(first.H), int(first.W), 0)
	if g.err != nil {
		return xs[0]
	}
	l := g.push(OpConcat, part, first)
	l.Out = out
	g.read(l, xs...)
	return g.Output()
}

// Shuffle exchanges channels between groups: channel i*n+j of groups x n
// becomes channel j*groups+i (ShuffleNet, Zhang et al. 2017, section 3.1). For
// one group that is nothing, and it adds nothing.
func (g *Graph) Shuffle(x Tensor, part string, groups int) Tensor {
	if g.err != nil {
		return x
	}
	if c := int(g.Shape(x).C); groups < 1 || c%groups != 0 {
		g.Failf(part, "%d groups do not divide %d channels", groups, c)
		return x
	}
	if groups == 1 {
		return x
	}
	y := g.simple(OpShuffle, x, part)
	g.Layers[y].Groups = int32(groups)
	return y
}

// Slice takes the channels from up to, not including, to.
func (g *Graph) Slice(x Tensor, part string, from, to int) Tensor {
	if g.err != nil {
		return x
	}
	if c := int(g.Shape(x).C); from < 0 || to <= from || to > c {
		g.Failf(part, "channels %d to %d of %d", from, to, c)
		return x
	}
	y := g.simple(OpSlice, x, part)
	g.Layers[y].From, g.Layers[y].Out.C = int32(from), int32(to-from)
	return y
}

// Flatten makes a vector of x.
func (g *Graph) Flatten(x Tensor, part string) Tensor {
	if g.err != nil {
		return x
	}
	in := g.Shape(x)
	if in.Elements() > 1<<30 {
		g.Failf(part, "a vector of %d elements", in.Elements())
		return x
	}
	y := g.simple(OpFlatten, x, part)
	g.Layers[y].Out = Shape{int32(in.Elements()), 1, 1}
	return y
}

// Dropout marks where training drops activations at random, at the given rate.
func (g *Graph) Dropout(x Tensor, part string, rate float64) Tensor {
	if g.err != nil || rate <= 0 {
		return x
	}
	y := g.simple(OpDropout, x, part)
	g.Layers[y].Rate = float32(rate)
	return y
}
