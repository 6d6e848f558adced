package arch

import "encoding/json"

// layerJSON is a [Layer] as other programs read it. What its operation does not
// use is left out, and so is what is zero or false. The table in
// docs/evaluators.md says which field belongs to which operation.
type layerJSON struct {
	Name     string   `json:"name"`
	Op       string   `json:"op"`
	Inputs   []Tensor `json:"inputs,omitempty"`
	Shape    [3]int32 `json:"shape"`            // of the output; the input's are those of Inputs
	Kernel   []int32  `json:"kernel,omitempty"` // height, width
	Stride   int32    `json:"stride,omitempty"`
	Padding  []int32  `json:"padding,omitempty"` // height, width
	Dilation int32    `json:"dilation,omitempty"`
	Groups   int32    `json:"groups,omitempty"`
	Bias     bool     `json:"bias,omitempty"`
	Ceil     bool     `json:"ceil,omitempty"`
	Function string   `json:"function,omitempty"`
	From     int32    `json:"from,omitempty"`
	Rate     float32  `json:"rate,omitempty"`
}

// MarshalJSON returns the layers as a JSON array in the order of execution, all
// that a program in another language needs to build the network without knowing
// a block type. docs/evaluators.md describes it. It fails for a graph with an
// error.
func (g *Graph) MarshalJSON() ([]byte, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	layers := make([]layerJSON, len(g.Layers))
	for i := range g.Layers {
		layers[i] = g.Layers[i].json()
	}
	return json.Marshal(layers)
}

func (l *Layer) json() layerJSON {
	j := layerJSON{
		Name: l.Name(), Op: l.Op.String(), Inputs: l.Inputs, Shape: [3]int32{l.Out.C, l.Out.H, l.Out.W},
		Stride: l.Stride, Groups: l.Groups, Bias: l.Bias, Ceil: l.CeilMode, From: l.From, Rate: l.Rate,
	}
	switch l.Op {
	case OpConv:
		j.Dilation = l.Dilation // that of a pool is always 1
		fallthrough
	case OpMaxPool, OpAvgPool:
		j.Kernel, j.Padding = []int32{l.KernelH, l.KernelW}, []int32{l.PadH, l.PadW}
	case OpActivation:
		j.Function = l.Activation.String()
	}
	return j
}
