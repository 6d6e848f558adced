package export_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/export"
	"github.com/efficientnas/nas/runner"
)

var updateONNX = flag.Bool("update-onnx", false, "write the golden file of the ONNX export anew")

// odd is a block type with everything that the built-in ones do not use: flat
// vectors that meet maps, kernels that are not square, pools of every kind.
type odd struct{}

func (odd) Name() string         { return "onnx_odd" }
func (odd) Params() []arch.Param { return nil }

func (odd) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	w := u.Width
	wide := arch.Conv{Out: w, Kernel: 3, KernelW: 5, Padding: 2, PaddingW: 4, Dilation: 2, Stride: u.Stride, Bias: true}
	y := g.ConvNormAct(x, "wide", wide, arch.HardSwish)
	y = g.Dropout(y, "drop", 0.2)
	a := g.Pool(y, "ceil", arch.Pool{Average: true, Kernel: 3, Stride: 2, Padding: 1, CeilMode: true})
	b := g.Pool(y, "max", arch.Pool{Kernel: 3, Stride: 2, Padding: 1, CeilMode: true})
	c := g.Pool(y, "floor", arch.Pool{Average: true, Kernel: 2, Stride: 2, Padding: 1})
	a = g.AdaptiveAvgPool(a, "uneven", 5)
	b = g.AdaptiveAvgPool(b, "up", 5)
	c = g.AdaptiveAvgPool(g.AdaptiveAvgPool(c, "to", 10), "even", 5)
	c = g.AdaptiveAvgPool(c, "same", 5)
	y = g.Add(g.Add(a, b, "first"), c, "second")

	// A gate made by linear layers is a vector; what follows does not ask.
	v := g.Flatten(g.AdaptiveAvgPool(y, "global", 1), "flat")
	v = g.Act(g.Norm(g.Linear(v, "squeeze", 2*w, false), "squeeze"), "squeeze", arch.Swish)
	v = g.Shuffle(g.Slice(v, "half", w/2, w/2+w), "vector", 2)
	one := g.Conv(v, "pixel", arch.Conv{Out: w}) // a map of one pixel
	v = g.Add(v, one, "mixed")
	v = g.Concat("both", g.Flatten(v, "again"), g.Flatten(one, "other"))
	v = g.Act(g.Linear(g.Flatten(v, "twice"), "excite", w, true), "gate", arch.Sigmoid)
	y = g.Mul(v, y, "scale")
	return g.Mul(g.Act(g.AdaptiveAvgPool(y, "last", 1), "last", arch.HardSigmoid), y, "out")
}

// twins gives two layers one name.
type twins struct{}

func (twins) Name() string         { return "onnx_twins" }
func (twins) Params() []arch.Param { return nil }

func (twins) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	x = g.Conv(x, "", arch.Conv{Out: u.Width})
	return g.Conv(x, "", arch.Conv{Out: u.Width})
}

func init() {
	for _, b := range []arch.Block{odd{}, twins{}} {
		if err := arch.Register(b); err != nil {
			panic(err)
		}
	}
}

const oddFile = `
name: odd
input: {channels: 2, resolution: 32}
activation: relu6
stem: {width: 8, stride: 2}
stages:
  - {block: onnx_odd, width: 8}
  - {block: inverted, width: 8, se: 0.25, se_of: input, activation: swish}
  - {block: shuffle_v2, width: 8}
head: {pool_to: 3, hidden: 16, layers: 1, classes: 10, dropout: 0.1}
`

func parse(t rapid.TB, file string) *arch.Network {
	t.Helper()
	n, err := arch.Parse("test.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// An onnxModel is what the tests look at, read by the field numbers of onnx.proto.
type onnxModel struct {
	ir, opset int64
	producer  string
	metadata  map[string]string
	name      string
	nodes     []onnxNode
	weights   []onnxTensor
	input     onnxValue
	output    onnxValue
	values    []onnxValue
}

type onnxNode struct {
	op, name        string
	inputs, outputs []string
	attributes      []string // as text
}

type onnxTensor struct {
	name string
	kind int64
	dims []int64
	raw  []byte
}

type onnxValue struct {
	name  string
	shape string // such as "batch 3 32 32"
}

// fields calls f for every field of a message.
func fields(t rapid.TB, m []byte, f func(field protowire.Number, v uint64, b []byte)) {
	t.Helper()
	for len(m) > 0 {
		field, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m = m[n:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(m)
		case protowire.Fixed32Type:
			var v32 uint32
			v32, n = protowire.ConsumeFixed32(m)
			v = uint64(v32)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(m)
		default:
			t.Fatalf("field %d has wire type %d", field, kind)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m = m[n:]
		f(field, v, b)
	}
}

func readModel(t rapid.TB, data []byte) *onnxModel {
	t.Helper()
	m := &onnxModel{metadata: map[string]string{}}
	fields(t, data, func(field protowire.Number, v uint64, b []byte) {
		switch field {
		case 1:
			m.ir = int64(v)
		case 2:
			m.producer = string(b)
		case 7:
			m.readGraph(t, b)
		case 8:
			fields(t, b, func(field protowire.Number, v uint64, _ []byte) {
				if field == 2 {
					m.opset = int64(v)
				}
			})
		case 14:
			var entry [3]string
			fields(t, b, func(field protowire.Number, _ uint64, b []byte) { entry[field] = string(b) })
			m.metadata[entry[1]] = entry[2]
		}
	})
	return m
}

func (m *onnxModel) readGraph(t rapid.TB, data []byte) {
	fields(t, data, func(field protowire.Number, _ uint64, b []byte) {
		switch field {
		case 1:
			var n onnxNode
			fields(t, b, func(field protowire.Number, _ uint64, b []byte) {
				switch field {
				case 1:
					n.inputs = append(n.inputs, string(b))
				case 2:
					n.outputs = append(n.outputs, string(b))
				case 3:
					n.name = string(b)
				case 4:
					n.op = string(b)
				case 5:
					n.attributes = append(n.attributes, readAttribute(t, b))
				}
			})
			m.nodes = append(m.nodes, n)
		case 2:
			m.name = string(b)
		case 5:
			m.weights = append(m.weights, readTensor(t, b))
		case 11:
			m.input = readValue(t, b)
		case 12:
			m.output = readValue(t, b)
		case 13:
			m.values = append(m.values, readValue(t, b))
		}
	})
}

func readTensor(t rapid.TB, data []byte) onnxTensor {
	var tensor onnxTensor
	fields(t, data, func(field protowire.Number, v uint64, b []byte) {
		switch field {
		case 1:
			tensor.dims = append(tensor.dims, int64(v))
		case 2:
			tensor.kind = int64(v)
		case 8:
			tensor.name = string(b)
		case 9:
			tensor.raw = b
		}
	})
	return tensor
}

func readAttribute(t rapid.TB, data []byte) string {
	var name, text string
	var ints []uint64
	fields(t, data, func(field protowire.Number, v uint64, b []byte) {
		switch field {
		case 1:
			name = string(b)
		case 2:
			text = fmt.Sprint(math.Float32frombits(uint32(v)))
		case 3:
			text = fmt.Sprint(v)
		case 5:
			tensor := readTensor(t, b)
			text = fmt.Sprint(tensor.dims) + ":"
			for raw := tensor.raw; len(raw) > 0; {
				if tensor.kind == 1 {
					text += fmt.Sprint(" ", math.Float32frombits(binary.LittleEndian.Uint32(raw)))
					raw = raw[4:]
				} else {
					text += fmt.Sprint(" ", int64(binary.LittleEndian.Uint64(raw)))
					raw = raw[8:]
				}
			}
		case 8:
			ints = append(ints, v)
			text = fmt.Sprint(ints)
		}
	})
	return name + "=" + text
}

func readValue(t rapid.TB, data []byte) onnxValue {
	var value onnxValue
	var dims []string
	each := func(field protowire.Number, f func([]byte)) func(protowire.Number, uint64, []byte) {
		return func(found protowire.Number, _ uint64, b []byte) {
			if found == field {
				f(b)
			}
		}
	}
	fields(t, data, each(1, func(b []byte) { value.name = string(b) }))
	fields(t, data, each(2, func(b []byte) { // type
		fields(t, b, each(1, func(b []byte) { // tensor type
			fields(t, b, each(2, func(b []byte) { // shape
				fields(t, b, each(1, func(b []byte) { // dimension
					fields(t, b, func(field protowire.Number, v uint64, b []byte) {
						if field == 2 {
							dims = append(dims, string(b))
						} else {
							dims = append(dims, strconv.FormatUint(v, 10))
						}
					})
				}))
			}))
		}))
	}))
	value.shape = strings.Join(dims, " ")
	return value
}

func (w onnxTensor) values() []float32 {
	vs := make([]float32, len(w.raw)/4)
	for i := range vs {
		vs[i] = math.Float32frombits(binary.LittleEndian.Uint32(w.raw[4*i:]))
	}
	return vs
}

func exported(t rapid.TB, n *arch.Network, seed uint64) ([]byte, *onnxModel) {
	t.Helper()
	var b bytes.Buffer
	if err := export.ONNX(&b, n, export.Options{Seed: seed}); err != nil {
		t.Fatalf("%s: %v\n%s", n.Name, err, n.YAML())
	}
	return b.Bytes(), readModel(t, b.Bytes())
}

// checkModel checks that a model is the network's, and that a runtime can follow
// it from node to node.
func checkModel(t rapid.TB, n *arch.Network, m *onnxModel) {
	t.Helper()
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		t.Fatal(err)
	}
	in, out := g.Shape(0), g.Shape(g.Output())
	if want := fmt.Sprintf("batch %d %d %d", in.C, in.H, in.W); m.input != (onnxValue{"input", want}) {
		t.Errorf("input %v, want %s", m.input, want)
	}
	if want := fmt.Sprintf("batch %d", out.Elements()); m.output != (onnxValue{"logits", want}) {
		t.Errorf("output %v, want %s", m.output, want)
	}

	defined := map[string]bool{"input": true}
	define := func(name string) {
		if defined[name] || name == "" {
			t.Errorf("%q is there twice or empty", name)
		}
		defined[name] = true
	}
	var learnt int64
	for _, w := range m.weights {
		define(w.name)
		elements := int64(1)
		for _, d := range w.dims {
			elements *= d
		}
		if w.kind != 1 || int64(len(w.raw)) != 4*elements {
			t.Errorf("%s: %d bytes of type %d for %v", w.name, len(w.raw), w.kind, w.dims)
		}
		if !strings.Contains(w.name, ".running_") {
			learnt += elements
		}
	}
	if want := cost.Of(&g); learnt != want.Params || m.metadata["params"] != strconv.FormatInt(want.Params, 10) ||
		m.metadata["macs"] != strconv.FormatInt(want.MACs, 10) {
		t.Errorf("%d weights, metadata %s and %s; want %+v", learnt, m.metadata["params"], m.metadata["macs"], want)
	}
	names, read := map[string]bool{}, map[string]bool{}
	for _, node := range m.nodes {
		if names[node.name] || node.name == "" || len(node.outputs) != 1 {
			t.Errorf("node %q is there twice, or has no name or output", node.name)
		}
		names[node.name] = true
		for _, x := range node.inputs {
			read[x] = true
			if !defined[x] {
				t.Errorf("%s reads %q, which nothing has made", node.name, x)
			}
		}
		define(node.outputs[0])
	}
	for _, w := range m.weights {
		if !read[w.name] {
			t.Errorf("nobody reads %s", w.name)
		}
	}
	if !defined["logits"] || m.nodes[len(m.nodes)-1].outputs[0] != "logits" {
		t.Error("the last node is not that of the output")
	}
	shapes := map[string]string{}
	for _, v := range m.values {
		shapes[v.name] = v.shape
	}
	for i := range g.Layers {
		l := &g.Layers[i]
		switch l.Op {
		case arch.OpInput, arch.OpDropout, arch.OpFlatten, arch.OpAdaptiveAvgPool:
			continue // these may need no node
		}
		if !names[l.Name()] {
			t.Errorf("no node for %s", l.Name())
		}
		flat, grid := fmt.Sprintf("batch %d", l.Out.C), fmt.Sprintf("batch %d %d %d", l.Out.C, l.Out.H, l.Out.W)
		if got := shapes[l.Name()]; got != flat && got != grid && i < len(g.Layers)-1 {
			t.Errorf("%s has shape %q, want %s", l.Name(), got, grid)
		}
	}
	back, err := arch.Parse("metadata", []byte(m.metadata["architecture"]))
	if err != nil || !bytes.Equal(back.YAML(), n.YAML()) {
		t.Errorf("the architecture in the metadata is another: %v", err)
	}
	if m.ir != 10 || m.opset != 22 || m.producer != "nas" || m.name == "" {
		t.Errorf("IR %d, opset %d, producer %q, name %q", m.ir, m.opset, m.producer, m.name)
	}
}

// small reports whether a network is small enough to be drawn in a test. The
// others are exported by TestONNXRuns.
func small(t *testing.T, n *arch.Network) bool {
	t.Helper()
	c, err := cost.OfNetwork(n)
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		return c.Params < 3e6
	}
	return c.Params < 30e6
}

func TestONNXReferences(t *testing.T) {
	for _, name := range arch.References() {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		if small(t, n) {
			_, m := exported(t, n, 1)
			checkModel(t, n, m)
		}
	}
}

func TestONNXSampled(t *testing.T) {
	for _, n := range sampled(t, 2) {
		if small(t, n) {
			_, m := exported(t, n, 1)
			checkModel(t, n, m)
		}
	}
}

// A model of half a gigabyte is streamed, and no smaller than its weights.
func TestONNXLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 553 MB")
	}
	n, err := arch.Reference("vgg16")
	if err != nil {
		t.Fatal(err)
	}
	var size counter
	if err := export.ONNX(&size, n, export.Options{}); err != nil {
		t.Fatal(err)
	}
	if least := counter(4 * 138357544); size < least || size > least+1e5 {
		t.Errorf("%d bytes, want %d and little more", size, least)
	}
}

// A counter counts what is written.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// sampled returns random networks of every configuration.
func sampled(t *testing.T, each int) []*arch.Network {
	t.Helper()
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	var ns []*arch.Network
	for _, file := range files {
		config, err := runner.OpenSpace(file)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range each {
			genome, err := config.Space.Sample(rng)
			if err != nil {
				t.Fatal(err)
			}
			n := new(arch.Network)
			config.Space.Network(genome, n)
			n.Name = fmt.Sprintf("%s_%d", strings.TrimSuffix(filepath.Base(file), ".yaml"), i)
			ns = append(ns, n)
		}
	}
	return ns
}

// drawNetwork draws an architecture file of any blocks and parameters. Many
// cannot be built; of those it returns nil.
func drawNetwork(t *rapid.T) *arch.Network {
	activations := rapid.SampledFrom([]string{"relu", "relu6", "hardswish", "swish", "sigmoid", "hardsigmoid", "identity"})
	var blocks []arch.Block
	for _, b := range arch.Blocks() {
		if b.Name() != "onnx_twins" {
			blocks = append(blocks, b)
		}
	}
	pool := func() string {
		if rapid.IntRange(0, 2).Draw(t, "pools") > 0 {
			return ""
		}
		kernel := rapid.IntRange(1, 4).Draw(t, "pool")
		return fmt.Sprintf(", pool: {kernel: %d, stride: %d, padding: %d, kind: %s, ceil_mode: %t}",
			kernel, rapid.IntRange(1, 3).Draw(t, "stride"), rapid.IntRange(0, kernel/2).Draw(t, "padding"),
			rapid.SampledFrom([]string{"max", "average"}).Draw(t, "kind"), rapid.Bool().Draw(t, "ceil"))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "input: {channels: %d, resolution: %d}\nactivation: %s\nnorm: %s\nbias: %t\n",
		rapid.IntRange(1, 3).Draw(t, "channels"), rapid.IntRange(8, 40).Draw(t, "resolution"),
		activations.Draw(t, "activation"), rapid.SampledFrom([]string{"batch", "none"}).Draw(t, "norm"), rapid.Bool().Draw(t, "bias"))
	fmt.Fprintf(&b, "stem: {width: %d%s}\nstages:\n", 8*rapid.IntRange(1, 2).Draw(t, "width"), pool())
	for range rapid.IntRange(1, 3).Draw(t, "stages") {
		block := rapid.SampledFrom(blocks).Draw(t, "block")
		fmt.Fprintf(&b, "  - {block: %s, width: %d, depth: %d, stride: %d%s", block.Name(), 8*rapid.IntRange(1, 3).Draw(t, "width"),
			rapid.IntRange(1, 2).Draw(t, "depth"), rapid.IntRange(1, 2).Draw(t, "stride"), pool())
		for _, p := range block.Params() {
			if rapid.Bool().Draw(t, "default") {
				continue
			}
			switch p.Kind {
			case arch.BoolParam:
				fmt.Fprintf(&b, ", %s: %t", p.Name, rapid.Bool().Draw(t, p.Name))
			case arch.EnumParam:
				fmt.Fprintf(&b, ", %s: %s", p.Name, rapid.SampledFrom(p.Enum).Draw(t, p.Name))
			case arch.FloatParam:
				fmt.Fprintf(&b, ", %s: %g", p.Name, rapid.Float64Range(p.Min, min(p.Max, 2)).Draw(t, p.Name))
			default:
				v := rapid.IntRange(int(p.Min), int(min(p.Max, 8))).Draw(t, p.Name)
				if p.Odd {
					v |= 1
				}
				fmt.Fprintf(&b, ", %s: %d", p.Name, v)
			}
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "head: {classes: 7, width: %d, pool_to: %d, layers: %d, hidden: %d, bias: %t, classifier: %s}\n",
		8*rapid.IntRange(0, 1).Draw(t, "head"), rapid.IntRange(0, 5).Draw(t, "to"), rapid.IntRange(1, 2).Draw(t, "layers"), 8*rapid.IntRange(0, 1).Draw(t, "hidden"),
		rapid.Bool().Draw(t, "bias"), rapid.SampledFrom([]string{"linear", "conv"}).Draw(t, "classifier"))
	n, err := arch.Parse("drawn.yaml", []byte(b.String()))
	if err != nil {
		return nil
	}
	return n
}

func TestONNXDrawn(t *testing.T) {
	built := 0
	rapid.Check(t, func(t *rapid.T) {
		n := drawNetwork(t)
		if n == nil {
			return
		}
		built++
		_, m := exported(t, n, 1)
		checkModel(t, n, m)
		if t.Failed() {
			t.Logf("%s", n.YAML())
		}
	})
	if built == 0 {
		t.Error("none of the drawn networks can be built")
	}
}

// TestONNXGolden shows a whole model with every operation.
func TestONNXGolden(t *testing.T) {
	n := parse(t, oddFile)
	_, m := exported(t, n, 1)
	checkModel(t, n, m)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: IR %d, opset %d\ninput %v\noutput %v\n\nnodes\n", m.name, m.ir, m.opset, m.input, m.output)
	shapes := map[string]string{}
	for _, v := range m.values {
		shapes[v.name] = " [" + v.shape + "]"
	}
	for _, n := range m.nodes {
		fmt.Fprintf(&b, "%s = %s(%s)%s %s\n", n.name, n.op, strings.Join(n.inputs, ", "), shapes[n.outputs[0]], strings.Join(n.attributes, " "))
	}
	b.WriteString("\nweights\n")
	for _, w := range m.weights {
		vs := w.values()
		fmt.Fprintf(&b, "%s %v: %v\n", w.name, w.dims, vs[:min(len(vs), 3)])
	}
	b.WriteString("\nmetadata\n")
	for _, key := range slices.Sorted(maps.Keys(m.metadata)) {
		fmt.Fprintf(&b, "%s: %s\n", key, m.metadata[key])
	}
	file := filepath.Join("testdata", "onnx", "odd.txt")
	if *updateONNX {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("not as in %s (-update-onnx writes it anew):\n%s", file, diff)
	}
}

// A tensor's values depend on the seed and its name, not on the other tensors.
func TestONNXWeights(t *testing.T) {
	const file = `
input: {channels: 3, resolution: 16}
stem: {width: 64, kernel: 5}
stages:
  - {block: basic, width: %d}
head: {classes: 500}
`
	n := parse(t, fmt.Sprintf(file, 64))
	data, m := exported(t, n, 1)
	if again, _ := exported(t, n, 1); !bytes.Equal(again, data) {
		t.Error("the same seed gave another model")
	}
	byName := func(m *onnxModel) map[string]onnxTensor {
		weights := map[string]onnxTensor{}
		for _, w := range m.weights {
			weights[w.name] = w
		}
		return weights
	}
	weights := byName(m)
	_, other := exported(t, n, 2)
	_, wider := exported(t, parse(t, fmt.Sprintf(file, 32)), 1)
	const stem = "stem.0.conv.weight"
	if bytes.Equal(byName(other)[stem].raw, weights[stem].raw) {
		t.Error("another seed gave the same weights")
	}
	if !bytes.Equal(byName(wider)[stem].raw, weights[stem].raw) {
		t.Error("the stem's weights depend on the stage's")
	}

	for name, std := range map[string]float64{
		stem:                            math.Sqrt(2. / (3 * 5 * 5)),
		"stages.0.0.conv1.conv.weight":  math.Sqrt(2. / (64 * 3 * 3)),
		"head.classifier.linear.weight": 0.01,
	} {
		var sum, squares float64
		vs := weights[name].values()
		for _, v := range vs {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		n := float64(len(vs))
		if mean, got := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 5*std/math.Sqrt(n) || math.Abs(got/std-1) > 5/math.Sqrt(2*n) {
			t.Errorf("%s: mean %g, deviation %g, want 0 and %g", name, mean, got, std)
		}
	}
	for name, want := range map[string]float32{
		"stem.0.bn.weight": 1, "stem.0.bn.bias": 0, "stem.0.bn.running_mean": 0, "stem.0.bn.running_var": 1,
		"head.classifier.linear.bias": 0,
	} {
		vs := weights[name].values()
		if len(vs) == 0 || slices.ContainsFunc(vs, func(v float32) bool { return v != want }) {
			t.Errorf("%s: %v, want %v", name, vs, want)
		}
	}
}

func TestONNXRefuses(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{
			"stem: {width: 8}\nstages: [{block: onnx_twins, width: 8}]\nhead: {classes: 10}",
			"two layers are called stages.0.0.conv: a block's parts need names of their own",
		},
		{
			"stem: {width: 8}\nstages: [{block: conv, width: 8}]\nhead: {hidden: 65536, layers: 2, classes: 10}",
			"the model takes 16.0 GiB, and an ONNX file holds less than 2: the network is too large",
		},
	} {
		n := parse(t, "input: {resolution: 8}\n"+test.file)
		var written counter
		err := export.ONNX(&written, n, export.Options{})
		if err == nil || err.Error() != test.want || written > 0 {
			t.Errorf("error %v after %d bytes, want %s", err, written, test.want)
		}
	}
}

// A full writer takes so many bytes and no more.
type full int

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > int(*f) {
		return 0, errFull
	}
	*f -= full(len(p))
	return len(p), nil
}

func TestONNXWriteFails(t *testing.T) {
	n := parse(t, oddFile)
	data, _ := exported(t, n, 1)
	for _, room := range []int{0, len(data) / 2, len(data) - 1} {
		f := full(room)
		if err := export.ONNX(&f, n, export.Options{}); !errors.Is(err, errFull) {
			t.Errorf("room for %d of %d bytes: %v", room, len(data), err)
		}
	}
}

// TestONNXRuns checks and runs models in Python: check_onnx.py says how. It
// needs a Python that has onnx and onnxruntime: its path in NAS_ONNX_PYTHON.
func TestONNXRuns(t *testing.T) {
	python := os.Getenv("NAS_ONNX_PYTHON")
	if python == "" {
		t.Skip("NAS_ONNX_PYTHON is not set")
	}
	script, err := filepath.Abs("check_onnx.py")
	if err != nil {
		t.Fatal(err)
	}
	ns := append(sampled(t, 2), parse(t, oddFile))
	drawn := rapid.Custom(drawNetwork)
	for seed := range 40 {
		if n := drawn.Example(seed); n != nil {
			n.Name = fmt.Sprintf("drawn_%d", seed)
			ns = append(ns, n)
		}
	}
	for _, name := range arch.References() {
		if slices.Contains([]string{"vgg16", "vgg16_bn", "vgg19"}, name) {
			continue // half a gigabyte each, and no layer that vgg11 or others lack
		}
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	// A few at a time: all together take gigabytes.
	for part := range slices.Chunk(ns, 8) {
		dir := t.TempDir()
		args := []string{script}
		for _, n := range part {
			args = append(args, n.Name+".onnx")
			f, err := os.Create(filepath.Join(dir, n.Name+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(export.ONNX(f, n, export.Options{Seed: 1}), f.Close()); err != nil {
				t.Fatalf("%s: %v", n.Name, err)
			}
		}
		c := exec.Command(python, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		t.Logf("\n%s", out)
		if err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}
