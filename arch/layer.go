package arch

import "strconv"

// An Op is what a layer computes.
type Op uint8

// The operations that networks are lowered to.
const (
	OpInput           Op = iota // the network's input
	OpConv                      // 2-D convolution, with or without groups
	OpLinear                    // fully connected
	OpBatchNorm                 // batch normalisation
	OpActivation                // an element-wise function, see Layer.Activation
	OpMaxPool                   // maximum over a window
	OpAvgPool                   // average over a window, padding counted
	OpAdaptiveAvgPool           // average to a given size; to 1x1 it is global
	OpAdd                       // sum of two tensors of one shape
	OpMul                       // first input, one value a channel, scales the second
	OpConcat                    // channels of the inputs, one after another
	OpShuffle                   // channel shuffle: (Groups, C/Groups) transposed
	OpSlice                     // channels From to From+Out.C of the input
	OpFlatten                   // C x H x W to a vector
	OpDropout                   // nothing at inference
)

var opNames = [...]string{
	"input", "conv", "linear", "bn", "activation", "max_pool", "avg_pool", "adaptive_avg_pool",
	"add", "mul", "concat", "shuffle", "slice", "flatten", "dropout",
}

func (o Op) String() string { return opNames[o] }

// An Activation is an element-wise function.
type Activation uint8

// The activations. Identity adds no layer.
const (
	Identity    Activation = iota
	ReLU                   // max(0, x)
	ReLU6                  // min(max(0, x), 6); MobileNetV2
	HardSwish              // x * relu6(x+3) / 6; MobileNetV3
	Swish                  // x * sigmoid(x), also called SiLU; EfficientNet
	Sigmoid                // 1 / (1 + exp(-x))
	HardSigmoid            // relu6(x+3) / 6
)

var activationNames = []string{"identity", "relu", "relu6", "hardswish", "swish", "sigmoid", "hardsigmoid"}

func (a Activation) String() string { return activationNames[a] }

// A Shape is the shape of one image's tensor: channels, height, width. The
// batch dimension is left out.
type Shape struct{ C, H, W int32 }

// Elements returns C*H*W.
func (s Shape) Elements() int64 { return int64(s.C) * int64(s.H) * int64(s.W) }

func (s Shape) String() string {
	return strconv.Itoa(int(s.C)) + "x" + strconv.Itoa(int(s.H)) + "x" + strconv.Itoa(int(s.W))
}

// A Tensor is the output of a layer: its index in [Graph.Layers].
type Tensor int32

// Where a layer stands when it is in no stage: values of [Layer.Stage].
const (
	InInput int16 = -3 + iota
	InStem
	InHead
)

// A Layer is one operation with its shapes. Fields that an operation does not
// use are zero.
type Layer struct {
	Op         Op
	Activation Activation // of OpActivation
	Bias       bool       // of OpConv and OpLinear
	CeilMode   bool       // of the pools: round the output size up
	Stage      int16      // index of the stage, or InInput, InStem, InHead
	Block      int16      // index of the block in its stage or stem, or -1
	Part       string     // the block's name for this step, such as "expand"; may be empty
	Inputs     []Tensor   // the layers whose outputs this one reads

	In, Out          Shape // In is the first input's
	KernelH, KernelW int32
	PadH, PadW       int32
	Stride           int32
	Dilation         int32
	Groups           int32   // of OpConv and OpShuffle
	From             int32   // of OpSlice
	Rate             float32 // of OpDropout: share of activations that training drops
}

// A Kind is a finer name for what a layer is: it tells the convolutions apart
// as the papers do.
type Kind string

// The kinds that an operation's own name does not tell.
const (
	KindConv      Kind = "conv"           // k x k over all channels
	KindPointwise Kind = "pointwise"      // 1 x 1 over all channels
	KindGrouped   Kind = "grouped"        // in groups, of any size
	KindDepthwise Kind = "depthwise"      // as many groups as input channels
	KindGlobal    Kind = "global_avgpool" // average to 1 x 1
)

// Kind returns the layer's kind: for convolutions one of the Kind constants,
// for activations their name, else the operation's name.
func (l *Layer) Kind() Kind {
	switch l.Op {
	case OpConv:
		switch {
		case l.Groups > 1 && l.Groups == l.In.C:
			return KindDepthwise
		case l.Groups > 1:
			return KindGrouped
		case l.KernelH == 1 && l.KernelW == 1:
			return KindPointwise
		}
		return KindConv
	case OpActivation:
		return Kind(l.Activation.String())
	case OpAdaptiveAvgPool:
		if l.Out.H == 1 && l.Out.W == 1 {
			return KindGlobal
		}
	}
	return Kind(l.Op.String())
}

// Name returns the layer's name, unique in its network:
// "stages.STAGE.BLOCK.PART.OP", "stem.BLOCK.PART.OP" or "head.PART.OP", without
// the part where it has none, and without the block for a stage's pool.
func (l *Layer) Name() string {
	leaf := l.Op.String()
	if l.Op == OpActivation {
		leaf = l.Activation.String()
	}
	if l.Part != "" {
		leaf = l.Part + "." + leaf
	}
	return Scope(l.Stage, l.Block) + leaf
}

// Scope returns the prefix of the names of a block's layers.
func Scope(stage, block int16) string {
	switch stage {
	case InInput:
		return ""
	case InHead:
		return "head."
	}
	scope := "stem."
	if stage >= 0 {
		scope = "stages." + strconv.Itoa(int(stage)) + "."
	}
	if block >= 0 {
		scope += strconv.Itoa(int(block)) + "."
	}
	return scope
}
