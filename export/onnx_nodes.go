package export

import (
	"fmt"
	"strconv"

	"github.com/efficientnas/nas/arch"
)

// A node is a NodeProto with one output.
type node struct {
	op, name, output string
	inputs           []string
	attributes       []attribute
	dims             []int64 // of the output, without the batch; nil where nobody asks
}

func (n *node) message() message {
	var m message
	for _, in := range n.inputs {
		m.text(nodeInput, in)
	}
	m.text(nodeOutput, n.output)
	m.text(nodeName, n.name)
	m.text(nodeOp, n.op)
	for _, a := range n.attributes {
		m.bytes(nodeAttribute, a)
	}
	return m
}

// A value is the output of a layer. In package arch vectors are maps of one
// pixel; ONNX tells them apart.
type value struct {
	name string
	flat bool // batch x features; else batch x channels x height x width
}

// A converter makes nodes of layers.
type converter struct {
	layers    []arch.Layer
	values    []value // of the layers so far
	nodes     []node
	names     map[string]bool   // of the nodes
	constants map[string]string // names of constants, by what is in them
	err       error             // the first
}

// convert returns the nodes in the order of execution. The output of the last
// one is the network's.
func convert(g *arch.Graph) ([]node, error) {
	c := converter{layers: g.Layers, names: map[string]bool{}, constants: map[string]string{}}
	c.values = append(c.values, value{name: "input"})
	for i := 1; i < len(g.Layers); i++ {
		c.values = append(c.values, c.layer(&g.Layers[i]))
	}
	out := c.vector(g.Output())
	if n := len(c.nodes); n == 0 || c.nodes[n-1].output != out {
		c.node("Identity", "logits", []string{out}) // the last layer has no node
		c.nodes[n].dims = []int64{g.Shape(g.Output()).Elements()}
	}
	c.nodes[len(c.nodes)-1].output = "logits"
	return c.nodes, c.err
}

// node adds a node and returns its output, which has its name.
func (c *converter) node(op, name string, inputs []string, attributes ...attribute) string {
	if c.names[name] && c.err == nil {
		c.err = fmt.Errorf("two layers are called %s: a block's parts need names of their own", name)
	}
	c.names[name] = true
	c.nodes = append(c.nodes, node{op: op, name: name, output: name, inputs: inputs, attributes: attributes})
	return name
}

// constant returns a tensor that is no weight. Equal ones are one node.
func (c *converter) constant(t message) string {
	name, ok := c.constants[string(t)]
	if !ok {
		name = c.node("Constant", "constant/"+strconv.Itoa(len(c.constants)), nil, tensorAttribute("value", t))
		c.constants[string(t)] = name
	}
	return name
}

func (c *converter) ints(vs ...int64) string { return c.constant(int64Tensor(vs)) }

// grid returns the output of layer x as a map, vector as a vector.
func (c *converter) grid(x arch.Tensor) string {
	v := &c.values[x]
	if v.flat {
		shape := c.ints(0, int64(c.layers[x].Out.C), 1, 1) // 0 keeps the batch
		*v = value{name: c.node("Reshape", v.name+"/map", []string{v.name, shape})}
	}
	return v.name
}

func (c *converter) vector(x arch.Tensor) string {
	v := &c.values[x]
	if !v.flat {
		*v = value{c.node("Flatten", v.name+"/vector", []string{v.name}, intAttribute("axis", 1)), true}
		c.nodes[len(c.nodes)-1].dims = []int64{c.layers[x].Out.Elements()}
	}
	return v.name
}

// layer adds the nodes of a layer and returns its output.
func (c *converter) layer(l *arch.Layer) value {
	n := len(c.nodes)
	v := c.operation(l)
	if len(c.nodes) > n && c.nodes[len(c.nodes)-1].output == v.name {
		dims := []int64{int64(l.Out.C), int64(l.Out.H), int64(l.Out.W)}
		if v.flat {
			dims = dims[:1]
		}
		c.nodes[len(c.nodes)-1].dims = dims
	}
	return v
}

func (c *converter) operation(l *arch.Layer) value {
	name, x := l.Name(), l.Inputs[0]
	same := c.values[x] // for what works on vectors and maps alike
	switch l.Op {
	case arch.OpConv:
		return value{name: c.node("Conv", name, c.weighted(l, c.grid(x)),
			kernelShape(l), strides(l), pads(l.PadH, l.PadW, l.PadH, l.PadW),
			intsAttribute("dilations", int64(l.Dilation), int64(l.Dilation)),
			intAttribute("group", int64(l.Groups)))}
	case arch.OpLinear:
		return value{c.node("Gemm", name, c.weighted(l, c.vector(x)), intAttribute("transB", 1)), true}
	case arch.OpBatchNorm:
		inputs := []string{same.name, name + ".weight", name + ".bias", name + ".running_mean", name + ".running_var"}
		same.name = c.node("BatchNormalization", name, inputs, floatAttribute("epsilon", 1e-5))
	case arch.OpActivation:
		same.name = c.activation(l.Activation, name, same.name)
	case arch.OpMaxPool, arch.OpAvgPool:
		return value{name: c.pool(l, name, c.grid(x))}
	case arch.OpAdaptiveAvgPool:
		return value{name: c.adaptive(l, name, c.grid(x))}
	case arch.OpAdd:
		return c.join(l, name, "Add")
	case arch.OpMul:
		return c.join(l, name, "Mul")
	case arch.OpConcat:
		return c.join(l, name, "Concat", intAttribute("axis", 1))
	case arch.OpShuffle:
		g, channels, h, w := int64(l.Groups), int64(l.In.C), int64(l.In.H), int64(l.In.W)
		y := c.node("Reshape", name+"/split", []string{c.grid(x), c.ints(0, g, channels/g, h, w)})
		y = c.node("Transpose", name+"/swap", []string{y}, intsAttribute("perm", 0, 2, 1, 3, 4))
		return value{name: c.node("Reshape", name, []string{y, c.ints(0, channels, h, w)})}
	case arch.OpSlice:
		from := int64(l.From)
		inputs := []string{same.name, c.ints(from), c.ints(from + int64(l.Out.C)), c.ints(1)}
		same.name = c.node("Slice", name, inputs)
	case arch.OpFlatten:
		if !same.flat {
			return value{c.node("Flatten", name, []string{same.name}, intAttribute("axis", 1)), true}
		}
	case arch.OpDropout:
	default:
		if c.err == nil {
			c.err = fmt.Errorf("%s: ONNX export does not know the operation %s", name, l.Op)
		}
	}
	return same
}

// weighted returns the inputs of a convolution or a linear layer.
func (c *converter) weighted(l *arch.Layer, x string) []string {
	inputs := []string{x, l.Name() + ".weight"}
	if l.Bias {
		inputs = append(inputs, l.Name()+".bias")
	}
	return inputs
}

// join adds a node with several inputs, all vectors or all maps.
func (c *converter) join(l *arch.Layer, name, op string, attributes ...attribute) value {
	flat := true
	for _, x := range l.Inputs {
		flat = flat && c.values[x].flat
	}
	inputs := make([]string, len(l.Inputs))
	for i, x := range l.Inputs {
		if inputs[i] = c.values[x].name; !flat {
			inputs[i] = c.grid(x)
		}
	}
	return value{c.node(op, name, inputs, attributes...), flat}
}

func (c *converter) activation(a arch.Activation, name, x string) string {
	const sixth = 1. / 6
	switch a {
	case arch.ReLU:
		return c.node("Relu", name, []string{x})
	case arch.ReLU6:
		bounds := []string{c.constant(float32Tensor(nil, []float32{0})), c.constant(float32Tensor(nil, []float32{6}))}
		return c.node("Clip", name, append([]string{x}, bounds...))
	case arch.HardSwish:
		return c.node("HardSwish", name, []string{x})
	case arch.Swish:
		return c.node("Mul", name, []string{x, c.node("Sigmoid", name+"/sigmoid", []string{x})})
	case arch.Sigmoid:
		return c.node("Sigmoid", name, []string{x})
	case arch.HardSigmoid:
		return c.node("HardSigmoid", name, []string{x}, floatAttribute("alpha", sixth), floatAttribute("beta", 0.5))
	}
	if c.err == nil {
		c.err = fmt.Errorf("%s: ONNX export does not know the activation %s", name, a)
	}
	return x
}

// pool adds a pool. Runtimes round sizes up in several ways; so its windows are
// given by padding at the end that makes the number come out even.
func (c *converter) pool(l *arch.Layer, name, x string) string {
	endH := endPadding(l.In.H, l.Out.H, l.KernelH, l.Stride, l.PadH)
	endW := endPadding(l.In.W, l.Out.W, l.KernelW, l.Stride, l.PadW)
	if l.Op == arch.OpMaxPool {
		return c.node("MaxPool", name, []string{x}, kernelShape(l), strides(l), pads(l.PadH, l.PadW, endH, endW))
	}
	h, w := l.PadH, l.PadW
	if (h > 0 || w > 0) && (endH > h || endW > w) {
		// An average counts the padding, but not what a last window covers beyond
		// it. The attribute counts both or neither.
		sizes := c.ints(0, 0, int64(h), int64(w), 0, 0, int64(h), int64(w))
		x = c.node("Pad", name+"/pad", []string{x, sizes})
		endH, endW, h, w = endH-h, endW-w, 0, 0
	}
	var counted int64
	if h > 0 || w > 0 {
		counted = 1
	}
	return c.node("AveragePool", name, []string{x}, kernelShape(l), strides(l), pads(h, w, endH, endW),
		intAttribute("count_include_pad", counted))
}

// endPadding returns the padding behind the map: that of the layer, or what its
// last window needs if that is more.
func endPadding(in, out, kernel, stride, padding int32) int32 {
	return max(padding, (out-1)*stride+kernel-in-padding)
}

// adaptive adds an average pool to a given size. Output i of n averages the
// pixels from floor(i*size/n) up to ceil((i+1)*size/n), as in PyTorch.
func (c *converter) adaptive(l *arch.Layer, name, x string) string {
	in, out := l.In, l.Out
	switch {
	case out.H == 1 && out.W == 1:
		return c.node("GlobalAveragePool", name, []string{x})
	case in.H == out.H && in.W == out.W:
		return x
	case in.H%out.H == 0 && in.W%out.W == 0:
		h, w := int64(in.H/out.H), int64(in.W/out.W)
		return c.node("AveragePool", name, []string{x}, intsAttribute("kernel_shape", h, w), intsAttribute("strides", h, w))
	}
	// Windows of several sizes: the mean over rows, then over columns, each a
	// product with a matrix.
	rows := c.constant(float32Tensor([]int64{int64(out.H), int64(in.H)}, averages(in.H, out.H, in.H, 1)))
	columns := c.constant(float32Tensor([]int64{int64(in.W), int64(out.W)}, averages(in.W, out.W, 1, out.W)))
	y := c.node("MatMul", name+"/rows", []string{rows, x})
	return c.node("MatMul", name, []string{y, columns})
}

// averages returns the matrix that averages size values to n. Its element of
// output i and value j stands at i*outputs + j*values.
func averages(size, n, outputs, values int32) []float32 {
	matrix := make([]float32, int64(size)*int64(n))
	for i := range int64(n) {
		from, to := i*int64(size)/int64(n), ((i+1)*int64(size)+int64(n)-1)/int64(n)
		for j := from; j < to; j++ {
			matrix[i*int64(outputs)+j*int64(values)] = 1 / float32(to-from)
		}
	}
	return matrix
}

func kernelShape(l *arch.Layer) attribute {
	return intsAttribute("kernel_shape", int64(l.KernelH), int64(l.KernelW))
}

func strides(l *arch.Layer) attribute {
	return intsAttribute("strides", int64(l.Stride), int64(l.Stride))
}

func pads(top, left, bottom, right int32) attribute {
	return intsAttribute("pads", int64(top), int64(left), int64(bottom), int64(right))
}
