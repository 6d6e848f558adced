package cost

import (
	"fmt"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
)

// An Explanation says what a kind of layer costs and why: what `nas explain`
// prints and docs/cost.md shows.
type Explanation struct {
	Kind     string    // its name, mostly an [arch.Kind]
	Also     []string  // other names for it, or further kinds that cost the same
	Is       string    // what the layer does, one line
	Formulas []Formula // what it costs, in Symbols; nothing costs nothing
	Notes    []string  // paragraphs
	Examples []Example // the first is worked out, the others are compared with it
}

// A Formula gives a quantity in symbols.
type Formula struct{ Of, Is string }

// An Example is a few layers with numbers.
type Example struct {
	Name  string
	build func(g *arch.Graph)
}

// Graph returns the example's layers, the input first.
func (e Example) Graph() *arch.Graph {
	g := new(arch.Graph)
	e.build(g)
	return g
}

// Symbols are the symbols of the formulas.
func Symbols() []Formula {
	return []Formula{
		{"n", "batch size"},
		{"c_i, c_o", "input and output channels"},
		{"h_i, h_o", "input and output height"},
		{"w_i, w_o", "input and output width"},
		{"k_h, k_w", "kernel height and width"},
		{"g", "groups"},
		{"s, p, d", "stride, padding, dilation"},
	}
}

// OutputSize is the output height of convolutions and pools; the width likewise.
const OutputSize = "h_o = floor((h_i + 2*p - d*(k_h-1) - 1) / s) + 1"

// Explanations returns all explanations, those of layers with MACs first.
func Explanations() []Explanation { return slices.Clone(explanations) }

// ExplanationOf returns the explanation of a kind, by any of its names, or
// false.
func ExplanationOf(kind string) (Explanation, bool) {
	for _, e := range explanations {
		if e.Kind == kind || slices.Contains(e.Also, kind) {
			return e, true
		}
	}
	return Explanation{}, false
}

// ExplainedKinds returns all names that ExplanationOf knows.
func ExplainedKinds() []string {
	var names []string
	for _, e := range explanations {
		names = append(append(names, e.Kind), e.Also...)
	}
	return names
}

// Worked returns the costs of a convolution or linear layer with its numbers put
// into the formulas, such as "64*56*56 * 64*3*3", for one image.
func Worked(l *arch.Layer) []Formula {
	var perOutput []string
	switch l.Op {
	case arch.OpConv:
		perOutput = []string{itoa(l.In.C)}
		if l.Groups > 1 {
			perOutput[0] += "/" + itoa(l.Groups)
		}
		if l.KernelH != 1 || l.KernelW != 1 {
			perOutput = append(perOutput, itoa(l.KernelH), itoa(l.KernelW))
		}
	case arch.OpLinear:
		perOutput = []string{itoa(l.In.C)}
	default:
		return nil
	}
	out := []string{itoa(l.Out.C)}
	if l.Op == arch.OpConv {
		out = append(out, itoa(l.Out.H), itoa(l.Out.W))
	}
	times := func(factors ...string) string { return strings.Join(factors, "*") }
	macs := times(append(slices.Clone(out), perOutput...)...)
	params := times(append([]string{out[0]}, perOutput...)...)
	if l.Bias {
		params += " + " + out[0]
	}
	return []Formula{{"MACs", macs}, {"FLOPs", "2*" + macs}, {"parameters", params}, {"activations", times(out...)}}
}

func itoa(v int32) string { return fmt.Sprint(v) }

// convExample returns an example of convolutions in a row on a square map.
func convExample(name string, channels, size int32, convs ...arch.Conv) Example {
	return Example{name, func(g *arch.Graph) {
		x := g.Reset(arch.Shape{C: channels, H: size, W: size})
		for _, c := range convs {
			x = g.Conv(x, "", c)
		}
	}}
}

func square(out, kernel, groups int) arch.Conv {
	return arch.Conv{Out: out, Kernel: kernel, Padding: kernel / 2, Groups: groups}
}

// nothing is the formula of layers that are not counted.
func nothing() []Formula { return []Formula{{"MACs, FLOPs, parameters, activations", "0"}} }

const convActivations = "n * c_o * h_o * w_o"

var explanations = []Explanation{
	{
		Kind: "linear", Also: []string{"fc"},
		Is: "fully connected layer: every output is a weighted sum of all inputs",
		Formulas: []Formula{
			{"MACs", "n * c_o * c_i"},
			{"FLOPs", "2 * n * c_o * c_i"},
			{"parameters", "c_o * c_i, and c_o more with a bias"},
			{"activations", "n * c_o"},
		},
		Notes: []string{
			"Each weight is used once for each image: a linear layer has as many MACs as weights, and reading the weights is what it waits for. " +
				"VGG-16 has 89 % of its weights in its three linear layers, but 1 % of its MACs. Global average pooling before a single one " +
				"makes the head cheap.",
		},
		Examples: []Example{
			{"the last layer of ResNet-50", func(g *arch.Graph) { g.Linear(g.Reset(arch.Shape{C: 2048, H: 1, W: 1}), "", 1000, true) }},
			{"the first of VGG-16", func(g *arch.Graph) { g.Linear(g.Reset(arch.Shape{C: 25088, H: 1, W: 1}), "", 4096, true) }},
		},
	},
	{
		Kind: "conv", Also: []string{"convolution"},
		Is: "convolution of k_h x k_w over all channels",
		Formulas: []Formula{
			{"MACs", "n * c_o * h_o * w_o * c_i * k_h * k_w"},
			{"FLOPs", "2 * n * c_o * h_o * w_o * c_i * k_h * k_w"},
			{"parameters", "c_o * c_i * k_h * k_w, and c_o more with a bias"},
			{"activations", convActivations},
		},
		Notes: []string{
			"Each weight is used at every output pixel: the MACs grow with the square of the resolution and fall with the square of the stride, " +
				"while the parameters stay. Padded positions count as if they were inside.",
			"Two convolutions of 3x3 see as far as one of 5x5, but for each pixel and pair of channels they take 3*3 + 3*3 = 18 MACs instead of " +
				"5*5 = 25, and as many weights: 28 % less, and one more activation function in between. VGG is built on it. (Three of 3x3 replace " +
				"one of 7x7: 27 instead of 49.) It holds where the channels stay the same; and there are twice as many activations to store.",
		},
		Examples: []Example{
			convExample("one 3x3", 64, 56, square(64, 3, 1)),
			convExample("two 3x3", 64, 56, square(64, 3, 1), square(64, 3, 1)),
			convExample("one 5x5", 64, 56, square(64, 5, 1)),
		},
	},
	{
		Kind: "grouped",
		Is:   "grouped convolution: g convolutions side by side, each over c_i/g of the channels",
		Formulas: []Formula{
			{"MACs", "n * c_o * h_o * w_o * c_i/g * k_h * k_w"},
			{"FLOPs", "2 * n * c_o * h_o * w_o * c_i/g * k_h * k_w"},
			{"parameters", "c_o * c_i/g * k_h * k_w, and c_o more with a bias"},
			{"activations", convActivations},
		},
		Notes: []string{
			"g times cheaper than without groups, in MACs and in weights; g must divide c_i and c_o. No information passes between groups: " +
				"ResNeXt mixes them by the 1x1 convolutions before and after, ShuffleNet, whose 1x1 are grouped too, by a channel shuffle. " +
				"With g = 1 it is the plain convolution, with g = c_i the depthwise one.",
		},
		Examples: []Example{
			convExample("3x3, 32 groups", 128, 56, square(128, 3, 32)),
			convExample("3x3, no groups", 128, 56, square(128, 3, 1)),
		},
	},
	{
		Kind: "depthwise", Also: []string{"dw"},
		Is: "depthwise convolution: a group for every channel, g = c_i = c_o",
		Formulas: []Formula{
			{"MACs", "n * c_o * h_o * w_o * k_h * k_w"},
			{"FLOPs", "2 * n * c_o * h_o * w_o * k_h * k_w"},
			{"parameters", "c_o * k_h * k_w, and c_o more with a bias"},
			{"activations", convActivations},
		},
		Notes: []string{
			"The cost grows linearly with the channels, not with their product. It cannot mix channels: a 1x1 convolution does it (MobileNet), and " +
				"together they cost 1/c_o + 1/(k_h*k_w) of a plain convolution. As it is cheap, MobileNetV2 gives it six times the channels.",
			"There are few MACs for each byte that it moves, so that on many devices it is slower than its MACs let expect. " +
				"(With a multiplier, c_o = m * c_i, the formulas hold as they stand.)",
		},
		Examples: []Example{
			convExample("depthwise 3x3", 128, 56, square(128, 3, 128)),
			convExample("and 1x1 after it", 128, 56, square(128, 3, 128), square(128, 1, 1)),
			convExample("plain 3x3", 128, 56, square(128, 3, 1)),
		},
	},
	{
		Kind: "pointwise", Also: []string{"1x1", "pw"},
		Is: "1x1 convolution over all channels: a linear layer at every pixel",
		Formulas: []Formula{
			{"MACs", "n * c_o * c_i * h_o * w_o"},
			{"FLOPs", "2 * n * c_o * c_i * h_o * w_o"},
			{"parameters", "c_o * c_i, and c_o more with a bias"},
			{"activations", convActivations},
		},
		Notes: []string{
			"Nine times cheaper than 3x3. Bottlenecks (ResNet, SqueezeNet's fire module) use it to narrow the input of the 3x3. Where the " +
				"spatial convolution is depthwise, nearly all MACs are here; ShuffleNet groups it for that reason.",
		},
		Examples: []Example{
			convExample("1x1", 256, 56, square(64, 1, 1)),
			convExample("3x3", 256, 56, square(64, 3, 1)),
			convExample("1x1 to 64, 3x3, 1x1 to 256", 256, 56, square(64, 1, 1), square(64, 3, 1), square(256, 1, 1)),
			convExample("two 3x3 at 256", 256, 56, square(256, 3, 1), square(256, 3, 1)),
		},
	},
	{
		Kind: "se", Also: []string{"squeeze_excite"},
		Is: "squeeze-and-excitation: global pool, 1x1 to r channels, activation, 1x1 back to c_i, gate, product",
		Formulas: []Formula{
			{"MACs", "n * 2 * c_i * r"},
			{"FLOPs", "4 * n * c_i * r"},
			{"parameters", "2 * c_i * r + r + c_i"},
			{"activations", "n * (r + c_i)"},
		},
		Notes: []string{
			"Its two 1x1 convolutions count, on one pixel; the pool and the product do not. It adds few MACs, but many parameters, and it reads " +
				"its whole input twice.",
		},
		Examples: []Example{{"120 channels, r = 32", func(g *arch.Graph) {
			x := g.Reset(arch.Shape{C: 120, H: 28, W: 28})
			y := g.AdaptiveAvgPool(x, "", 1)
			y = g.Act(g.Conv(y, "", arch.Conv{Out: 32, Bias: true}), "", arch.ReLU)
			y = g.Act(g.Conv(y, "", arch.Conv{Out: 120, Bias: true}), "", arch.HardSigmoid)
			g.Mul(y, x, "")
		}}},
	},
	{
		Kind: "bn", Also: []string{"batch_norm"},
		Is: "batch normalisation: a scale and a shift for each channel",
		Formulas: []Formula{
			{"MACs, FLOPs, activations", "0"},
			{"parameters", "2 * c_o"},
		},
		Notes: []string{
			"At inference it is folded into the convolution before it, so that it costs nothing. Its running mean and variance are not learnt and " +
				"no parameters. Most counters that differ from ours count it: fvcore two for each element, thop four.",
		},
	},
	{
		Kind: "activation", Also: []string{"relu", "relu6", "hardswish", "swish", "sigmoid", "hardsigmoid", "silu"},
		Is:       "element-wise function",
		Formulas: nothing(),
		Notes:    []string{"It is no multiplication and addition, and inference runs it in the layer before. What it costs differs: ReLU one comparison, Swish an exponential."},
	},
	{
		Kind: "max_pool", Also: []string{"avg_pool", "pool"},
		Is:       "maximum or average over a window",
		Formulas: nothing(),
		Notes: []string{
			"With ceil_mode the output size is rounded up, less one if the last window would begin at or beyond h_i + p: SqueezeNet's pools need it.",
		},
	},
	{
		Kind: "global_avgpool", Also: []string{"adaptive_avg_pool", "gap"},
		Is:       "average of each channel over the whole map, or to a given size",
		Formulas: nothing(),
	},
	{
		Kind: "add", Also: []string{"mul"},
		Is:       "sum of two tensors, as of a residual connection, or product with a gate",
		Formulas: nothing(),
		Notes: []string{
			"No MACs, but both operands live at once: residual connections raise the peak of the memory, and adding costs the time to read and write the maps.",
		},
	},
	{
		Kind: "concat", Also: []string{"shuffle", "slice", "flatten", "dropout", "input"},
		Is:       "moves or renames elements, or marks what only training does",
		Formulas: nothing(),
		Notes:    []string{"Slices, flattening and dropout are free in memory too; concatenation and shuffle write a tensor, see the policies of peak memory."},
	},
}
