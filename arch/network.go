package arch

// Limits of the values in an architecture.
const (
	MaxWidth      = 1 << 16
	MaxResolution = 1 << 14
	MaxDepth      = 256 // blocks of a stage
	MaxStages     = 256
)

// A Network is a fully specified convolutional network: a stem, stages of
// blocks, and a head that classifies. [Network.Lower] turns it into layers.
//
// Networks come from architecture files ([Read], [Parse]), from the embedded
// ones ([Reference]), from a [Template] in Go, or from a search space.
type Network struct {
	Name       string
	Input      Input
	Norm       bool       // batch normalisation after every convolution of stem, stages and head
	Bias       bool       // biases in those convolutions
	Activation Activation // where stem, stage or head name no other
	Stem       Stage
	Stages     []Stage
	Head       Head
	About      About
}

// Input is what the network reads: square images.
type Input struct {
	Channels   int
	Resolution int // height and width, pixels
}

// A Stage is a run of blocks of one type. Its first block has the stage's
// stride; a pool, if there is one, comes before it (in the stem: after it).
type Stage struct {
	Block      Block
	Depth      int // number of blocks; 0 leaves the stage out, pool included
	Stride     int // of the first block
	Activation Activation
	Pool       Pool // none if its Kernel is 0

	// rows holds for each block its width and the block type's parameters.
	rows []float64
}

// Width returns the output channels of the stage's block i.
func (s *Stage) Width(i int) int { return int(s.row(i)[0]) }

// Param returns the value of the named parameter in block i, or false if the
// stage's block type has none of this name. A word of an enum is given by its
// index, a boolean as 0 or 1.
func (s *Stage) Param(i int, name string) (float64, bool) {
	for j, p := range s.Block.Params() {
		if p.Name == name {
			return s.row(i)[1+j], true
		}
	}
	return 0, false
}

func (s *Stage) row(i int) []float64 {
	n := len(s.rows) / max(s.Depth, 1)
	return s.rows[i*n : (i+1)*n]
}

// unit returns the block i as its Lower sees it.
func (s *Stage) unit(i int) Unit {
	row := s.row(i)
	u := Unit{First: i == 0, Width: int(row[0]), Stride: 1, Activation: s.Activation, values: row[1:]}
	if i == 0 {
		u.Stride = s.Stride
	}
	return u
}

// Head turns the last feature map into class scores. In this order, each part
// only if it is asked for: a pool, a 1x1 convolution, an average pool, fully
// connected layers, the classifier.
type Head struct {
	Pool       Pool // none if its Kernel is 0
	Width      int  // output channels of the 1x1 convolution; 0 for none
	PoolTo     int  // height and width after the adaptive average pool; 1 is global, 0 for none
	Hidden     int  // features of each hidden fully connected layer; 0 for none
	Layers     int  // how many hidden layers
	Classes    int
	Bias       bool    // of the classifier
	Dropout    float64 // rate, before the classifier and between hidden layers
	Activation Activation
	// ConvClassifier classifies every pixel by a 1x1 convolution with
	// activation and averages after it, as SqueezeNet does.
	ConvClassifier bool
}

// About says where a network and its published accuracy come from.
type About struct {
	Year   int
	Paper  string  // who, title, where
	Top1   float64 // published top-1 accuracy on ImageNet, a fraction of 1; 0 if none is given
	Source string  // where Top1 is published
}

// Lower builds the network's layers into g, which it empties first. It returns
// a [*BuildError] if the network cannot be built. g may be
// reused; then nothing is allocated.
func (n *Network) Lower(g *Graph) error {
	x := g.Reset(Shape{int32(n.Input.Channels), int32(n.Input.Resolution), int32(n.Input.Resolution)})
	g.norm, g.bias = n.Norm, n.Bias

	x = n.lowerStem(g, x)
	for i := range n.Stages {
		x = n.lowerStage(g, x, i)
	}
	g.stage, g.block = InHead, -1
	n.Head.lower(g, x)
	return g.Err()
}

// LowerPart lowers one part of the network alone, a stage by its index, InStem
// or InHead, on an input of the given shape into g, which it empties first. It
// returns the shape of the output.
func (n *Network) LowerPart(g *Graph, part int, in Shape) (Shape, error) {
	x := g.Reset(in)
	g.norm, g.bias = n.Norm, n.Bias
	switch part {
	case int(InStem):
		x = n.lowerStem(g, x)
	case int(InHead):
		g.stage = InHead
		n.Head.lower(g, x)
		return Shape{}, g.Err()
	default:
		x = n.lowerStage(g, x, part)
	}
	return g.Shape(x), g.Err()
}

// LowerBlock lowers block i of a part alone, as LowerPart does. A pool before
// the stage goes with its first block; for the one after the stem see LowerPool.
func (n *Network) LowerBlock(g *Graph, part, i int, in Shape) (Shape, error) {
	x := g.Reset(in)
	g.norm, g.bias = n.Norm, n.Bias
	s := &n.Stem
	if part >= 0 {
		s = &n.Stages[part]
		if i == 0 {
			g.stage, g.block = int16(part), -1
			x = g.pool(x, s.Pool)
		}
	}
	x = s.lowerBlock(g, x, int16(part), i)
	return g.Shape(x), g.Err()
}

// LowerPool lowers what a part has after its blocks, as LowerPart does: in the
// stem its pool, else nothing.
func (n *Network) LowerPool(g *Graph, part int, in Shape) (Shape, error) {
	x := g.Reset(in)
	if part == int(InStem) && n.Stem.Depth > 0 {
		g.stage = InStem
		x = g.pool(x, n.Stem.Pool)
	}
	return g.Shape(x), g.Err()
}

func (n *Network) lowerStem(g *Graph, x Tensor) Tensor {
	if n.Stem.Depth == 0 {
		return x
	}
	x = n.Stem.lower(g, x, InStem)
	g.stage, g.block = InStem, -1
	return g.pool(x, n.Stem.Pool)
}

func (n *Network) lowerStage(g *Graph, x Tensor, i int) Tensor {
	s := &n.Stages[i]
	if s.Depth == 0 {
		return x
	}
	g.stage, g.block = int16(i), -1
	return s.lower(g, g.pool(x, s.Pool), int16(i))
}

// lowerBlock adds block i of the stage, which stands in the network at index
// stage, to g with input x, and returns its output.
func (s *Stage) lowerBlock(g *Graph, x Tensor, stage int16, i int) Tensor {
	g.stage, g.block = stage, int16(i)
	u := &g.unit // not a variable of its own: it would be allocated for every block
	*u = s.unit(i)
	if in := g.Shape(x); u.Stride > 1 && (in.H == 1 || in.W == 1) {
		g.Failf("", "a map of 1 pixel cannot be downsampled: the resolution is too small for the strides")
		return x
	}
	x = s.Block.Lower(g, x, u)
	if g.err == nil && int(g.Shape(x).C) != u.Width {
		g.Failf("", "block type %q made %d channels instead of its width of %d", s.Block.Name(), g.Shape(x).C, u.Width)
	}
	return x
}

func (s *Stage) lower(g *Graph, x Tensor, stage int16) Tensor {
	for i := range s.Depth {
		x = s.lowerBlock(g, x, stage, i)
	}
	return x
}

// pool adds a pool of stem, stage or head, if it is asked for.
func (g *Graph) pool(x Tensor, p Pool) Tensor {
	if p.Kernel == 0 {
		return x
	}
	return g.Pool(x, "", p)
}

func (h *Head) lower(g *Graph, x Tensor) {
	x = g.pool(x, h.Pool)
	if h.Width > 0 {
		x = g.ConvNormAct(x, "", Conv{Out: h.Width}, h.Activation)
	}
	if h.ConvClassifier {
		x = g.Dropout(x, "classifier", h.Dropout)
		others := g.bias
		g.bias = h.Bias // the classifier's is its own
		x = g.Conv(x, "classifier", Conv{Out: h.Classes})
		g.bias = others
		x = g.Act(x, "classifier", h.Activation)
		if h.PoolTo > 0 {
			x = g.AdaptiveAvgPool(x, "", h.PoolTo)
		}
		g.Flatten(x, "")
		return
	}
	if h.PoolTo > 0 {
		x = g.AdaptiveAvgPool(x, "", h.PoolTo)
	}
	x = g.Flatten(x, "")
	for i := range h.Layers {
		part := hiddenParts[i]
		if i > 0 {
			x = g.Dropout(x, part, h.Dropout)
		}
		x = g.Act(g.Linear(x, part, h.Hidden, true), part, h.Activation)
	}
	x = g.Dropout(x, "classifier", h.Dropout)
	g.Linear(x, "classifier", h.Classes, h.Bias)
}

// MaxHidden is the most hidden fully connected layers of a head.
const MaxHidden = 8

var hiddenParts = [MaxHidden]string{
	"hidden1", "hidden2", "hidden3", "hidden4", "hidden5", "hidden6", "hidden7", "hidden8",
}

// A BuildError says why a network cannot be built and where.
type BuildError struct {
	Stage, Block int16 // as in Layer
	Message      string
}

func (e *BuildError) Error() string {
	scope := Scope(e.Stage, e.Block)
	if scope == "" {
		return e.Message
	}
	return scope[:len(scope)-1] + ": " + e.Message
}
