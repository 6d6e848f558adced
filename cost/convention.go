package cost

import (
	"slices"

	"github.com/efficientnas/nas/arch"
)

// A Convention is how a public counter arrives at the figure that it prints for
// a network. All of them start from the same multiply-accumulates; what they add
// to them is why their figures differ.
//
// The formulas were found by running the counters on 14 networks, but for what
// Assumes says.
type Convention struct {
	Name    string // as `nas cost --convention` takes it
	Figure  string // what the counter calls its figure
	Summary string // one line: who counts so, and what
	Formula string // the terms in symbols, bn and so on being output elements
	Assumes string // what a lowered network cannot tell and is taken for granted; may be empty

	terms []conventionTerm
}

// A Term is a part of the figure that a counter prints.
type Term struct {
	Name  string
	Value int64
	Why   string // what is counted, in words
}

// A conventionTerm is a term of a convention; count gives the share of layer i
// of g.
type conventionTerm struct {
	name, why string
	count     func(g *arch.Graph, i int) int64
}

// Count returns what the counter would print for a lowered network, term by
// term, for one image: the sum of their values is its figure, the first is the
// exact MACs. The terms of a convention are the same for all networks; some are 0.
// A pool whose windows hold more than 2^46 pixels counts as if they held so many,
// which keeps every sum within an int64.
func (c *Convention) Count(g *arch.Graph) []Term {
	terms := make([]Term, len(c.terms))
	for j, t := range c.terms {
		terms[j] = Term{Name: t.name, Why: t.why}
		for i := range g.Layers {
			terms[j].Value += t.count(g, i)
		}
	}
	return terms
}

// Sum returns the sum of the terms' values.
func Sum(terms []Term) int64 {
	var sum int64
	for _, t := range terms {
		sum += t.Value
	}
	return sum
}

// Conventions returns the conventions, that of the papers, which is ours, first.
func Conventions() []Convention { return slices.Clone(conventions) }

// ConventionNames returns the names of the conventions, in their order.
func ConventionNames() []string {
	names := make([]string, len(conventions))
	for i := range conventions {
		names[i] = conventions[i].Name
	}
	return names
}

// ConventionByName returns the convention of the given name, or false.
func ConventionByName(name string) (Convention, bool) {
	for _, c := range conventions {
		if c.Name == name {
			return c, true
		}
	}
	return Convention{}, false
}

// elements returns a count of k for each output element of the operations.
func elements(k int64, ops ...arch.Op) func(*arch.Graph, int) int64 {
	return func(g *arch.Graph, i int) int64 {
		if slices.Contains(ops, g.Layers[i].Op) {
			return k * g.Layers[i].Out.Elements()
		}
		return 0
	}
}

// inputs returns a count of k for each input element of the operations.
func inputs(k int64, ops ...arch.Op) func(*arch.Graph, int) int64 {
	return func(g *arch.Graph, i int) int64 {
		if slices.Contains(ops, g.Layers[i].Op) {
			return k * g.Layers[i].In.Elements()
		}
		return 0
	}
}

// activations returns a count of each[a] for each element of activation a.
func activations(each map[arch.Activation]int64) func(*arch.Graph, int) int64 {
	return func(g *arch.Graph, i int) int64 {
		if l := &g.Layers[i]; l.Op == arch.OpActivation {
			return each[l.Activation] * l.Out.Elements()
		}
		return 0
	}
}

// biases counts one addition for each output element of the operations where
// they have a bias.
func biases(ops ...arch.Op) func(*arch.Graph, int) int64 {
	all := elements(1, ops...)
	return func(g *arch.Graph, i int) int64 {
		if g.Layers[i].Bias {
			return all(g, i)
		}
		return 0
	}
}

func layerMACs(g *arch.Graph, i int) int64 { return OfLayer(&g.Layers[i]).MACs }

// folds reports whether an exporter folds layer i, a batch normalisation, into
// the convolution before it.
func folds(g *arch.Graph, i int) bool {
	l := &g.Layers[i]
	return l.Op == arch.OpBatchNorm && g.Layers[l.Inputs[0]].Op == arch.OpConv
}

// foldedBiases is biases after batch normalisation was folded into the
// convolutions, which gives each of them a bias.
func foldedBiases(g *arch.Graph, i int) int64 {
	l := &g.Layers[i]
	switch {
	case folds(g, i) && !g.Layers[l.Inputs[0]].Bias:
		return l.Out.Elements()
	case (l.Op == arch.OpConv || l.Op == arch.OpLinear) && l.Bias:
		return l.Out.Elements()
	}
	return 0
}

// onnxPools counts pools as onnx-tool does.
func onnxPools(g *arch.Graph, i int) int64 {
	l := &g.Layers[i]
	switch l.Op {
	case arch.OpMaxPool, arch.OpAvgPool: // one for each pixel of the window
		window := int64(l.KernelH) * int64(l.KernelW)
		if n := l.Out.Elements(); n <= (1<<46)/window {
			return n * window
		}
		return 1 << 46 // no pool that was ever built
	case arch.OpAdaptiveAvgPool:
		if l.Kind() == arch.KindGlobal {
			return l.In.Elements() + 4*l.Out.Elements()
		}
		return l.In.Elements()
	}
	return 0
}

var (
	macsTerm = conventionTerm{"MACs", "multiply-accumulates of convolutions and linear layers: the exact count", layerMACs}
	biasTerm = conventionTerm{
		"biases", "one addition for each output element of a convolution or linear layer with a bias", biases(arch.OpConv, arch.OpLinear),
	}
	normTerm = conventionTerm{
		"batch normalisation", "two for each element: scale and shift, which inference folds into the convolution before", elements(2, arch.OpBatchNorm),
	}
)

const windows = "max pools, average pools and adaptive average pools"

var conventions = []Convention{
	{
		Name: "paper", Figure: "FLOPs, mult-adds or MACs",
		Summary: "papers and this project: convolutions and linear layers only",
		Formula: "MACs",
		Assumes: "Papers say FLOPs for multiply-adds; where one differs from the count, see the table of published figures.",
		terms:   []conventionTerm{macsTerm},
	},
	{
		Name: "fvcore", Figure: "FLOPs",
		Summary: "fvcore's FlopCountAnalysis: MACs, called flops, with batch normalisation and adaptive pools",
		Formula: "MACs + 2*bn + input of adaptive pools",
		Assumes: "Adaptive pools are modules or functions of this name; where a network averages by x.mean, as torchvision's MnasNet and " +
			"ShuffleNetV2 do, they are not seen.",
		terms: []conventionTerm{
			macsTerm, normTerm,
			{"adaptive pools", "one addition for each input element of adaptive average pools, in squeeze-and-excitation too", inputs(1, arch.OpAdaptiveAvgPool)},
		},
	},
	{
		Name: "timm", Figure: "GMACs",
		Summary: "timm's benchmark tables, made with fvcore: MACs with batch normalisation",
		Formula: "MACs + 2*bn",
		Assumes: "Pools are timm's own, which fvcore does not see.",
		terms:   []conventionTerm{macsTerm, normTerm},
	},
	{
		Name: "pycls", Figure: "flops",
		Summary: "pycls (RegNet): MACs with biases",
		Formula: "MACs + biases",
		Assumes: "Found from the figures that it publishes, not by running it.",
		terms:   []conventionTerm{macsTerm, biasTerm},
	},
	{
		Name: "ptflops", Figure: "MACs",
		Summary: "ptflops with its aten backend: MACs with biases",
		Formula: "MACs + biases",
		Assumes: "Biases of linear layers count, as measured; versions whose source leaves them out print that much less.",
		terms:   []conventionTerm{macsTerm, biasTerm},
	},
	{
		Name: "ptflops-pytorch", Figure: "MACs",
		Summary: "ptflops with its pytorch backend: MACs with biases, batch normalisation, activations and pools",
		Formula: "MACs + biases + 2*bn + 2*relu + relu6 + swish + 2*input of pools",
		Assumes: "Activations and pools are modules. ReLU and pools then count twice, as the module and the function that it calls are " +
			"both counted; called as functions they count once, and x.mean not at all. Other activations than ReLU, ReLU6 and " +
			"Swish are not counted (read in its source).",
		terms: []conventionTerm{
			macsTerm, biasTerm, normTerm,
			{"activations", "two for each element of ReLU, one of ReLU6 and Swish", activations(map[arch.Activation]int64{arch.ReLU: 2, arch.ReLU6: 1, arch.Swish: 1})},
			{"pools", "two for each input element of " + windows, inputs(2, arch.OpMaxPool, arch.OpAvgPool, arch.OpAdaptiveAvgPool)},
		},
	},
	{
		Name: "torchinfo", Figure: "mult-adds",
		Summary: "torchinfo: MACs with biases and the parameters of batch normalisation",
		Formula: "MACs + biases + 2 for each channel of bn",
		terms: []conventionTerm{
			macsTerm, biasTerm,
			{"batch normalisation", "its parameters, two for each channel, whatever the size of the map", func(g *arch.Graph, i int) int64 {
				if l := &g.Layers[i]; l.Op == arch.OpBatchNorm {
					return 2 * int64(l.Out.C)
				}
				return 0
			}},
		},
	},
	{
		Name: "calflops", Figure: "FLOPs",
		Summary: "calflops' FLOPs, two a MAC and more; its MACs are the exact count",
		Formula: "2*MACs + biases of convolutions + 2*bn + relu + swish + input of pools",
		Assumes: "Pools are modules or functions, not x.mean.",
		terms: []conventionTerm{
			macsTerm,
			{"additions", "the second operation of each MAC", layerMACs},
			{"biases", "one addition for each output element of a convolution with a bias; those of linear layers are missed", biases(arch.OpConv)},
			normTerm,
			{
				"activations", "one for each element of ReLU and Swish; ReLU6 and the others are missed",
				activations(map[arch.Activation]int64{arch.ReLU: 1, arch.Swish: 1}),
			},
			{"pools", "one for each input element of " + windows, inputs(1, arch.OpMaxPool, arch.OpAvgPool, arch.OpAdaptiveAvgPool)},
		},
	},
	{
		Name: "thop", Figure: "MACs",
		Summary: "thop (2022): MACs with batch normalisation counted four times, and average pools",
		Formula: "MACs + 4*bn + input and output of adaptive pools + average pools",
		Assumes: "Pools are modules. Called as functions, as torchvision's MobileNetV2, MnasNet and ShuffleNetV2 call their last, they are not counted.",
		terms: []conventionTerm{
			macsTerm,
			{"batch normalisation", "four for each element", elements(4, arch.OpBatchNorm)},
			{"adaptive pools", "one for each input and each output element of adaptive average pools", func(g *arch.Graph, i int) int64 {
				return inputs(1, arch.OpAdaptiveAvgPool)(g, i) + elements(1, arch.OpAdaptiveAvgPool)(g, i)
			}},
			{"average pools", "one for each output element of average pools over a window", elements(1, arch.OpAvgPool)},
		},
	},
	{
		Name: "onnx-tool", Figure: "MACs",
		Summary: "onnx-tool on the exported network: batch normalisation folded, all other arithmetic counted by instructions",
		Formula: "MACs + biases after folding + 2*relu6 + relu + 32*sigmoid + 33*swish + 4*hardsigmoid + 5*hardswish + add + mul + " +
			"input and 4*output of global pools + k*k*output of pools",
		Assumes: "The exporter folds batch normalisation into the convolution before it (any other counts 31 an element) and writes a global " +
			"pool, not the mean of x.mean. The factors of all but biases, ReLU6, add and the global pool are read in its source.",
		terms: []conventionTerm{
			macsTerm,
			{"biases", "one addition for each output element of a convolution or linear layer; folding gives each convolution a bias", foldedBiases},
			{"batch normalisation", "31 for each element of one that follows no convolution", func(g *arch.Graph, i int) int64 {
				if folds(g, i) {
					return 0
				}
				return elements(31, arch.OpBatchNorm)(g, i)
			}},
			{
				"activations", "for each element: ReLU 1, ReLU6 2, hard sigmoid 4, hard swish 5, sigmoid 32, Swish 33",
				activations(map[arch.Activation]int64{arch.ReLU: 1, arch.ReLU6: 2, arch.HardSigmoid: 4, arch.HardSwish: 5, arch.Sigmoid: 32, arch.Swish: 33}),
			},
			{"sums and products", "one for each element", elements(1, arch.OpAdd, arch.OpMul)},
			{"pools", "global pools one for each input element and four for each output, others one for each pixel of each window", onnxPools},
		},
	},
}

// A PublishedFigure is one that was printed for a network and is not what `nas
// cost` prints, and why.
type PublishedFigure struct {
	Network string // the reference network that it is of, or a smaller or larger form of
	Of      string // the network in words
	What    string // "MACs", "params" or "weight bytes"
	Printed string
	Where   string
	Exact   int64 // the count of What for the network Of
	Why     string
}

// Published returns the published figures that differ from the exact count, or
// are of another form of a network than the reference of its name.
func Published() []PublishedFigure { return slices.Clone(published) }

// PublishedOf returns those of a reference network.
func PublishedOf(network string) []PublishedFigure {
	var of []PublishedFigure
	for _, p := range published {
		if p.Network == network {
			of = append(of, p)
		}
	}
	return of
}

const (
	resNetPaper   = "He et al. 2015, table 1"
	shufflePaper  = "Zhang et al. 2017, table 1"
	shuffle2Paper = "Ma et al. 2018, table 8; Megvii's README"
	vggSlide      = "lecture slides (AI System Lab, NCKU), rows added up"
	slimV1        = "TF-slim, mobilenet_v1.md"
	seedSlides    = "Iandola et al. 2016, table 2"

	strideFirst  = "The paper's bottleneck has its stride in the first 1x1 (stride_first: true), torchvision's and ours in the 3x3, so that the first 1x1 of three stages runs on four times the pixels."
	noClassifier = "The paper leaves out the classifier."
	megviiForm   = "The authors' unit with a stride keeps the input's channels in its short branch (form: megvii); torchvision's, and ours, gives each branch half the width."
	wrongTable   = "The table is wrong; its rows of widths 1.0 and 0.5 are right."
)

var published = []PublishedFigure{
	{"resnet50", "ResNet-50, stride in the first 1x1", "MACs", "3.8G", resNetPaper, 3_857_973_248, strideFirst},
	{"resnet101", "ResNet-101, stride in the first 1x1", "MACs", "7.6G", resNetPaper, 7_570_194_432, strideFirst},
	{"resnet152", "ResNet-152, stride in the first 1x1", "MACs", "11.3G", resNetPaper, 11_282_415_616, strideFirst},
	{"resnet50", "ResNet-50", "params", "22.6M", "pycls, model zoo", 25_557_032, "A slip in that table: its own file of complexities has the exact count."},
	{"shufflenet", "ShuffleNet 1x, 1 group", "MACs", "143M", shufflePaper, 143_078_976, noClassifier},
	{"shufflenet", "ShuffleNet 1x, 2 groups", "MACs", "140M", shufflePaper, 140_836_512, noClassifier},
	{"shufflenet", "ShuffleNet 1x, 3 groups", "MACs", "137M", shufflePaper, 137_460_672, noClassifier},
	{"shufflenet", "ShuffleNet 1x, 4 groups", "MACs", "133M", shufflePaper, 134_339_776, noClassifier},
	{"shufflenet", "ShuffleNet 1x, 8 groups", "MACs", "137M", shufflePaper, 138_365_952, noClassifier},
	{"shufflenet", "ShuffleNet 0.5x, 4 groups", "MACs", "38M", "ShuffleNet 0.5x of any groups", 36_468_448, "The stem of 24 channels scales too; by groups the count is from 36.5M to 40.5M."},
	{"shufflenet_v2", "ShuffleNetV2 1x, Megvii's", "MACs", "146M", shuffle2Paper, 145_814_296, megviiForm},
	{"shufflenet_v2_x1_5", "ShuffleNetV2 1.5x, Megvii's", "MACs", "299M", shuffle2Paper, 298_970_656, megviiForm},
	{"shufflenet_v2_x2_0", "ShuffleNetV2 2x, Megvii's", "MACs", "591M", shuffle2Paper, 590_783_000, megviiForm},
	{"mobilenet", "MobileNet 0.75, 224 pixels", "MACs", "317M", slimV1, 325_400_448, wrongTable},
	{"mobilenet", "MobileNet 0.75, 192 pixels", "MACs", "233M", slimV1, 239_273_472, wrongTable},
	{"mobilenet", "MobileNet 0.75, 160 pixels", "MACs", "162M", slimV1, 166_396_800, wrongTable},
	{"mobilenet", "MobileNet 0.75, 128 pixels", "MACs", "104M", slimV1, 106_770_432, wrongTable},
	{"mobilenet", "MobileNet 0.25, 192 pixels", "MACs", "34M", slimV1, 30_212_608, wrongTable},
	{"mobilenet", "MobileNet 1.0", "params", "4.24M", slimV1, 4_231_976, "It counts three numbers for each channel of a batch normalisation, not two."},
	{"mobilenet_v2", "MobileNetV2 1.0", "params", "3.47M", "TF-slim, mobilenet/README.md", 3_504_872, "It leaves out scale and shift of batch normalisation."},
	{"mobilenet_v2", "MobileNetV2 1.0", "MACs", "300M", "Sandler et al. 2018, table 4", 300_774_272, "Rounded down."},
	{"mobilenet_v3_small", "MobileNetV3-small", "MACs", "66M", "Howard et al. 2019, an early version", 56_510_400, "The network changed in later versions of the paper."},
	{"mobilenet_v3_large", "MobileNetV3-large", "MACs", "219M", "Howard et al. 2019, table 3", 216_589_760, "Not explained; TF-slim's table of the same network says 217M."},
	{"efficientnet_b1", "EfficientNet-B1, 240 pixels", "MACs", "0.70B", "Tan and Le 2019, table 2", 686_802_832, "Not explained; two digits, the nearest would be 0.69B."},
	{"vgg16", "VGG-16", "params", "136.7M", vggSlide, 138_357_544, "The rows are rounded; its total of 138M is right."},
	{"vgg16", "VGG-16", "FLOPs", "30.82B", vggSlide, 30_940_528_640, "The rows are rounded; its total of 30.9B is right."},
	{"alexnet", "AlexNet with two groups", "weight bytes", "240MB", seedSlides, 243_860_896, "Mixed units: 243.86 MB are 232.56 MiB."},
	{"squeezenet", "SqueezeNet 1.0", "weight bytes", "4.8MB", seedSlides, 4_993_696, "Mixed units: 4.994 MB are 4.762 MiB, 48.8 times less than AlexNet; the table says 50."},
}
