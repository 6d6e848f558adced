package export

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// The operator set 22 has the newest definition of all that networks compute
// with: up to 28, later ones only add element types to operators that move data.
// So the model is current, and runtimes that are not the latest load it too:
// onnxruntime from 1.21. IR version 10 goes with it.
const (
	onnxOpset = 22
	onnxIR    = 10
)

// Options are those of [ONNX].
type Options struct {
	Seed uint64 // of the weights
}

// ONNX writes the network as an ONNX model with the weights of an untrained one.
//
// It reads "input", batch x channels x height x width, and gives "logits", batch
// x classes; the batch may have any size. Nodes have the names of the layers.
// The initializers are the weights and statistics, under the names that PyTorch
// gives them, and nothing else. Weights are normal with mean 0 and variance
// 2/fan-in (He et al. 2015, Delving Deep into Rectifiers), those of the last
// layer with a standard deviation of 0.01; biases are 0; batch normalisations
// change nothing. A tensor's values depend on the seed and on its name, and the
// same network and seed give the same file. The metadata has the architecture,
// its cost, the initialization and the seed.
//
// Dropout, which does nothing at inference, is left out. A network of more than
// 2 GiB is refused: an ONNX file holds no more.
func ONNX(w io.Writer, n *arch.Network, o Options) error {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return err
	}
	nodes, err := convert(&g)
	if err != nil {
		return err
	}
	head, tail, err := onnxModel(n, &g, o)
	if err != nil {
		return err
	}

	name := n.Name
	if name == "" {
		name = "network"
	}
	var before, after message // of the graph, around the weights
	for i := range nodes {
		before.bytes(graphNode, nodes[i].message())
	}
	before.text(graphName, name)
	after.text(graphDoc, n.Summary())
	in := g.Layers[0].Out
	after.bytes(graphInput, valueInfo("input", []int64{int64(in.C), int64(in.H), int64(in.W)}))
	last := len(nodes) - 1
	after.bytes(graphOutput, valueInfo(nodes[last].output, nodes[last].dims))
	for i := range nodes[:last] {
		if nodes[i].dims != nil {
			after.bytes(graphValueInfo, valueInfo(nodes[i].output, nodes[i].dims))
		}
	}

	// The weights may be hundreds of megabytes: they are drawn while they are
	// written, and here only their sizes are known.
	weights := tensors(&g)
	heads := make([]message, len(weights))
	size := int64(len(before) + len(after))
	for i := range weights {
		t := &weights[i]
		raw := 4 * t.elements()
		h := tensorHead(t.name, float32Data, t.dims)
		h.begin(tensorRaw, raw)
		heads[i].begin(graphInitializer, int64(len(h))+raw)
		heads[i] = append(heads[i], h...)
		size += int64(len(heads[i])) + raw
	}
	if total := int64(len(head)+len(tail)+protowire.SizeTag(modelGraph)+protowire.SizeVarint(uint64(size))) + size; total > math.MaxInt32 {
		return fmt.Errorf("the model takes %.1f GiB, and an ONNX file holds less than 2: the network is too large", float64(total)/(1<<30))
	}
	head.begin(modelGraph, size)

	b := bufio.NewWriterSize(w, 1<<16)
	b.Write(head) // b keeps the first error
	b.Write(before)
	for i := range weights {
		b.Write(heads[i])
		if err := weights[i].write(b, o.Seed); err != nil {
			return err
		}
	}
	b.Write(after)
	b.Write(tail)
	return b.Flush()
}

// onnxModel returns the fields of the ModelProto before and after the graph.
func onnxModel(n *arch.Network, g *arch.Graph, o Options) (head, tail message, err error) {
	architecture, err := n.MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	head.int(modelIRVersion, onnxIR)
	head.text(modelProducer, "nas")
	head.text(modelDoc, "An untrained network. The metadata has its architecture and says how the weights were drawn.")

	var opset message
	opset.int(opsetVersion, onnxOpset) // of the domain "", ONNX's own
	tail.bytes(modelOpset, opset)
	c := cost.Of(g)
	for _, entry := range [][2]string{
		{"architecture", string(architecture)},
		{"macs", strconv.FormatInt(c.MACs, 10)},
		{"params", strconv.FormatInt(c.Params, 10)},
		{"initialization", initialization},
		{"seed", strconv.FormatUint(o.Seed, 10)},
	} {
		var m message
		m.text(entryKey, entry[0])
		m.text(entryValue, entry[1])
		tail.bytes(modelMetadata, m)
	}
	return head, tail, nil
}
