package predictor

import (
	"math"
	"slices"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// The features of a network, in the order in which an [Extractor] stores them.
// Counted are convolutions on maps of more than one pixel, if nothing else is
// said: those on one pixel, as in squeeze-and-excitation, are linear layers.
// Logarithms are natural, of at least 1.
const (
	// How large it is. Error falls about as a power of each of these, so that
	// logarithms make it nearly linear.
	logMACs        = iota // multiply-accumulates
	logParams             // parameters without the classifier's, which say more about the number of classes
	logActivations        // output elements of convolutions and linear layers (Radosavovic et al. 2020)
	logDepth              // weighted layers on the longest way through the network; gates are beside the way

	// What it is made of, as shares of the MACs; dense k x k is the rest. They
	// tell the block types apart without knowing their names.
	shareDepthwise
	shareGroupedKxK
	shareGrouped1x1
	sharePointwise

	// Where it spends its width and resolution.
	logClassifier // MACs of the classifier: how many features it decides by
	logLastWidth  // channels of the last convolution in a stage
	lowResolution // share of convolutions that make maps of 14 pixels or less
	meanKernel    // mean kernel of the stages' spatial convolutions, 0 without any
	logResolution // pixels of the input's side
	gatesPerConv  // squeeze-and-excitation gates a convolution
	sumsPerConv   // residual sums a convolution
	shareSmooth   // share of activations that are swish or hard swish

	// How its depth is spread over the resolutions: 1 + the number of
	// convolutions that make maps of the input's side, of a half, … , of a
	// 32nd or less. Two networks of equal size and depth differ most in this.
	logDepthAt1
	logDepthAt2
	logDepthAt4
	logDepthAt8
	logDepthAt16
	logDepthAt32

	// What small networks lack. As a network shrinks to nothing its error does not
	// grow by a power any more: it soars. Among many networks these two hardly
	// vary, and say how the smallest, which are always on a front, go on.
	rootMACsInverse // 1 over the square root of the MACs
	depthInverse    // 1 over the depth

	NumFeatures = iota // how many there are
)

var featureNames = [NumFeatures]string{
	logMACs: "log_macs", logParams: "log_params", logActivations: "log_activations", logDepth: "log_depth",
	shareDepthwise: "depthwise_share", shareGroupedKxK: "grouped_kxk_share", shareGrouped1x1: "grouped_1x1_share",
	sharePointwise: "pointwise_share",
	logClassifier:  "log_classifier_macs", logLastWidth: "log_last_width", lowResolution: "low_resolution_share",
	meanKernel: "mean_kernel", logResolution: "log_resolution", gatesPerConv: "gates_per_conv",
	sumsPerConv: "sums_per_conv", shareSmooth: "smooth_share",
	logDepthAt1: "log_depth_1", logDepthAt2: "log_depth_2", logDepthAt4: "log_depth_4",
	logDepthAt8: "log_depth_8", logDepthAt16: "log_depth_16", logDepthAt32: "log_depth_32",
	rootMACsInverse: "inverse_root_macs", depthInverse: "inverse_depth",
}

// trend lists the features with which the logarithm of the error has a linear
// trend, also far from the records.
var trend = []int{logMACs, logParams, logDepth, logResolution}

// bend lists the features that bend the trend where networks are small. To a
// process they are nothing else: of what is near, they tell no more than their
// logarithms do.
var bend = []int{rootMACsInverse, depthInverse}

// sizes lists the features that say how large a network is.
var sizes = []int{
	logMACs, logParams, logActivations, logDepth, logDepthAt1, logDepthAt2, logDepthAt4, logDepthAt8, logDepthAt16, logDepthAt32,
	rootMACsInverse, depthInverse,
}

// FeatureNames returns the names of the features in their order. docs and
// files use them.
func FeatureNames() []string { return slices.Clone(featureNames[:]) }

// An Extractor computes the features of networks, whatever their blocks: it
// sees only layers. It is for one goroutine; used again and again, it does not
// allocate. The zero value is ready for use.
type Extractor struct {
	depth []int32 // of every layer: weighted layers on the longest way to it
}

// Features stores the features of a network that was lowered without an error
// in dst, which has room for [NumFeatures].
func (e *Extractor) Features(dst []float64, g *arch.Graph) {
	_ = dst[NumFeatures-1]
	e.depth = grow(e.depth, len(g.Layers))
	var (
		total, classifier                            cost.Cost
		depthwise, groupedKxK, grouped1x1, pointwise int64 // MACs
		convs, low, spatial, kernels                 int
		gates, sums, activations, smooth             int
		at                                           [logDepthAt32 - logDepthAt1 + 1]int64 // convolutions by resolution
		lastWidth                                    int32
	)
	for i := range g.Layers {
		l := &g.Layers[i]
		var depth int32
		if l.Op == arch.OpMul {
			depth = e.depth[l.Inputs[1]] // the gate is beside the way
		} else {
			for _, x := range l.Inputs {
				depth = max(depth, e.depth[x])
			}
		}
		pixels := l.Out.H > 1 || l.Out.W > 1
		switch l.Op {
		case arch.OpConv, arch.OpLinear:
			depth++
			c := cost.OfLayer(l)
			classifier = c // if nothing weighted follows
			total = total.Add(c)
			if !pixels && l.In.H == 1 && l.In.W == 1 {
				break
			}
			convs++
			at[levelOf(g.Layers[0].Out.H, l.Out.H)]++
			point := l.KernelH == 1 && l.KernelW == 1
			switch {
			case l.Groups > 1 && l.Groups == l.In.C:
				depthwise += c.MACs
			case l.Groups > 1 && point:
				grouped1x1 += c.MACs
			case l.Groups > 1:
				groupedKxK += c.MACs
			case point:
				pointwise += c.MACs
			}
			if l.Out.H <= lowMap {
				low++
			}
			if l.Stage >= 0 {
				lastWidth = l.Out.C
				if !point {
					spatial++
					kernels += int(max(l.KernelH, l.KernelW))
				}
			}
		case arch.OpBatchNorm:
			total.Params += 2 * int64(l.Out.C)
		case arch.OpActivation:
			if pixels {
				activations++
				if l.Activation == arch.Swish || l.Activation == arch.HardSwish {
					smooth++
				}
			}
		case arch.OpAdd:
			sums++
		case arch.OpMul:
			gates++
		}
		e.depth[i] = depth
	}
	dst[logMACs] = logCount(total.MACs)
	dst[logParams] = logCount(total.Params - classifier.Params)
	dst[logActivations] = logCount(total.Activations)
	dst[logDepth] = logCount(int64(e.depth[g.Output()]))
	macs := float64(max(1, total.MACs))
	dst[shareDepthwise] = float64(depthwise) / macs
	dst[shareGroupedKxK] = float64(groupedKxK) / macs
	dst[shareGrouped1x1] = float64(grouped1x1) / macs
	dst[sharePointwise] = float64(pointwise) / macs
	dst[logClassifier] = logCount(classifier.MACs)
	dst[logLastWidth] = logCount(int64(lastWidth))
	dst[lowResolution] = ratioOf(low, convs)
	dst[meanKernel] = ratioOf(kernels, spatial)
	dst[logResolution] = logCount(int64(g.Layers[0].Out.H))
	dst[gatesPerConv] = ratioOf(gates, convs)
	dst[sumsPerConv] = ratioOf(sums, convs)
	dst[shareSmooth] = ratioOf(smooth, activations)
	for i, n := range at {
		dst[logDepthAt1+i] = logCount(1 + n)
	}
	dst[rootMACsInverse] = math.Exp(-dst[logMACs] / 2)
	dst[depthInverse] = math.Exp(-dst[logDepth])
}

// levelOf returns how often a map of the given side was halved since the input,
// to the nearest, from 0 to 5.
func levelOf(input, side int32) int {
	level := 0
	for ratio := float64(input) / float64(side); ratio > math.Sqrt2 && level < logDepthAt32-logDepthAt1; ratio /= 2 {
		level++
	}
	return level
}

// lowMap is the side of the maps that count as of low resolution: those of the
// last two resolutions of a network for ImageNet.
const lowMap = 14

func logCount(v int64) float64 { return math.Log(float64(max(1, v))) }

func ratioOf(a, b int) float64 { return float64(a) / float64(max(1, b)) }
