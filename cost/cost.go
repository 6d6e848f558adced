package cost

import "github.com/efficientnas/nas/arch"

// A Cost is what a layer or a network costs for one image. The limits of
// [arch.Graph] keep every field, also summed over a network, within an int64.
type Cost struct {
	MACs        int64 // multiply-accumulates of convolutions and linear layers
	Params      int64 // weights, biases, and scale and shift of batch normalisations
	Activations int64 // output elements of convolutions and linear layers
}

// FLOPs returns floating-point operations, two a MAC.
func (c Cost) FLOPs() int64 { return 2 * c.MACs }

// Add returns the sum of two costs.
func (c Cost) Add(d Cost) Cost {
	return Cost{c.MACs + d.MACs, c.Params + d.Params, c.Activations + d.Activations}
}

// OfLayer returns the cost of one layer:
//
//	convolution  MACs   = out.C*out.H*out.W * (in.C/groups)*kernelH*kernelW
//	             params = out.C * (in.C/groups)*kernelH*kernelW, + out.C with bias
//	linear       MACs   = in.C*out.C
//	             params = in.C*out.C, + out.C with bias
//	batch norm   params = 2*out.C
//
// Everything else is free. Padded positions count at the full kernel.
func OfLayer(l *arch.Layer) Cost {
	switch l.Op {
	case arch.OpConv:
		perOutput := int64(l.In.C/l.Groups) * int64(l.KernelH) * int64(l.KernelW)
		elements := l.Out.Elements()
		c := Cost{MACs: elements * perOutput, Params: int64(l.Out.C) * perOutput, Activations: elements}
		if l.Bias {
			c.Params += int64(l.Out.C)
		}
		return c
	case arch.OpLinear:
		macs := int64(l.In.C) * int64(l.Out.C)
		c := Cost{MACs: macs, Params: macs, Activations: int64(l.Out.C)}
		if l.Bias {
			c.Params += int64(l.Out.C)
		}
		return c
	case arch.OpBatchNorm:
		return Cost{Params: 2 * int64(l.Out.C)}
	}
	return Cost{}
}

// Of returns the cost of a lowered network: the sum over its layers.
func Of(g *arch.Graph) Cost {
	var sum Cost
	for i := range g.Layers {
		switch g.Layers[i].Op {
		case arch.OpConv, arch.OpLinear, arch.OpBatchNorm: // skip the call for the others
			sum = sum.Add(OfLayer(&g.Layers[i]))
		}
	}
	return sum
}

// OfNetwork lowers a network and returns its cost. Where many networks are
// costed, lower them into one [arch.Graph] and call [Of].
func OfNetwork(n *arch.Network) (Cost, error) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return Cost{}, err
	}
	return Of(&g), nil
}
