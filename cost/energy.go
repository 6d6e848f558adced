package cost

import (
	"math"

	"github.com/efficientnas/nas/arch"
)

// Energy is an estimate of the energy for one image, in picojoules: of
// arithmetic and of moving data. It says which of two networks is cheaper and
// where the energy goes, not what a device will draw.
type Energy struct{ Compute, Weights, Activations float64 }

// Total returns the sum, in picojoules.
func (e Energy) Total() float64 { return e.Compute + e.Weights + e.Activations }

// The energies of a 45 nm process at 0.9 V: Horowitz, "Computing's energy problem
// (and what we can do about it)", ISSCC 2014, figure 1.1.9. A MAC is one
// multiplication and one addition; a byte of memory is an eighth of the access
// of 64 bits that the paper gives.
const (
	MAC8Bit  = 0.2 + 0.03 // pJ, integer
	MAC16Bit = 1.1 + 0.4  // pJ, floating point
	MAC32Bit = 3.7 + 0.9  // pJ, floating point

	SRAMByte = 100. / 8  // pJ, of a 1 MB cache
	DRAMByte = 1300. / 8 // pJ, the paper gives 1.3 to 2.6 nJ
)

// MACEnergy returns the picojoules of a MAC whose wider operand has the given
// bits: those of the next wider arithmetic that the source lists.
func MACEnergy(bits int) float64 {
	switch {
	case bits <= 8:
		return MAC8Bit
	case bits <= 16:
		return MAC16Bit
	}
	return MAC32Bit
}

// EnergyOf returns the energy of layer i of g: its MACs at the width of the wider
// operand, its weights read once from DRAM, and its activations read from and
// written to on-chip memory (see [TrafficOf]).
func EnergyOf(g *arch.Graph, i int, p Precision) Energy {
	t := TrafficOf(g, i, p)
	return Energy{
		Compute:     float64(OfLayer(&g.Layers[i]).MACs) * MACEnergy(max(p.Weights, p.Activations)),
		Weights:     float64(t.Weights) * DRAMByte,
		Activations: float64(t.Read+t.Written) * SRAMByte,
	}
}

// TotalEnergy returns the sum over all layers.
func TotalEnergy(g *arch.Graph, p Precision) Energy {
	var sum Energy
	for i := range g.Layers {
		e := EnergyOf(g, i, p)
		sum.Compute += e.Compute
		sum.Weights += e.Weights
		sum.Activations += e.Activations
	}
	return sum
}

// Picojoules returns the energy as an integer, so that it can be summed and
// compared like the other costs.
func (e Energy) Picojoules() int64 { return int64(math.Round(e.Total())) }
