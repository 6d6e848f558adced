package cost

import (
	"fmt"
	"math"

	"github.com/efficientnas/nas/arch"
)

// MaxBits is the greatest width of a number. With it, and the limits of
// [arch.Graph], the bytes of any network fit an int64.
const MaxBits = 32

// A Precision is the widths of numbers, in bits from 1 to MaxBits.
type Precision struct {
	Weights     int
	Activations int
}

// FP32 is 32 bits for everything, what networks are trained in.
var FP32 = Precision{32, 32}

// Check returns an error if a width is out of its range.
func (p Precision) Check() error {
	for _, bits := range []int{p.Weights, p.Activations} {
		if bits < 1 || bits > MaxBits {
			return fmt.Errorf("cost: a number of %d bits; widths are from 1 to %d", bits, MaxBits)
		}
	}
	return nil
}

// Bytes returns the bytes that n numbers of the given width take, packed
// without gaps: n*bits/8, rounded up.
func Bytes(n int64, bits int) int64 {
	return n/8*int64(bits) + (n%8*int64(bits)+7)/8 // n*bits could be too large
}

// WeightBytes returns the bytes of all parameters at the given width.
func (c Cost) WeightBytes(bits int) int64 { return Bytes(c.Params, bits) }

// Batch returns the cost of n images at a time: n times the MACs and
// activations, and the same parameters. It fails if n is less than 1, or if the
// FLOPs or the bytes of the activations are more than an int64 holds.
func (c Cost) Batch(n int) (Cost, error) {
	if n < 1 {
		return Cost{}, fmt.Errorf("cost: a batch of %d images", n)
	}
	if c.MACs > math.MaxInt64/2/int64(n) || c.Activations > math.MaxInt64/(MaxBits/8)/int64(n) {
		return Cost{}, fmt.Errorf("cost: a batch of %d images is too large to be counted", n)
	}
	return Cost{c.MACs * int64(n), c.Params, c.Activations * int64(n)}, nil
}

// Traffic is the bytes that a layer moves for one image: its weights, and the
// activations that it reads and writes.
type Traffic struct{ Weights, Read, Written int64 }

// Total returns all bytes.
func (t Traffic) Total() int64 { return t.Weights + t.Read + t.Written }

// Add returns the sum of two traffics.
func (t Traffic) Add(u Traffic) Traffic {
	return Traffic{t.Weights + u.Weights, t.Read + u.Read, t.Written + u.Written}
}

// TrafficOf returns what layer i of g moves. Batch normalisation and activations
// are fused into the layer before them, as every inference engine does it, so
// that they move parameters at most; flattening, slicing and dropout move
// nothing.
func TrafficOf(g *arch.Graph, i int, p Precision) Traffic {
	l := &g.Layers[i]
	t := Traffic{Weights: OfLayer(l).WeightBytes(p.Weights)}
	switch l.Op {
	case arch.OpInput, arch.OpBatchNorm, arch.OpActivation, arch.OpFlatten, arch.OpSlice, arch.OpDropout:
		return t
	}
	for _, x := range l.Inputs {
		t.Read += Bytes(g.Layers[x].Out.Elements(), p.Activations)
	}
	t.Written = Bytes(l.Out.Elements(), p.Activations)
	return t
}

// TotalTraffic returns the sum over all layers.
func TotalTraffic(g *arch.Graph, p Precision) Traffic {
	var sum Traffic
	for i := range g.Layers {
		sum = sum.Add(TrafficOf(g, i, p))
	}
	return sum
}
