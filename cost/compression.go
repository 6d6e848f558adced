package cost

import (
	"fmt"
	"math"

	"github.com/efficientnas/nas/arch"
)

// A Compression says how weights are stored, to estimate the size of a
// compressed model. It knows four methods, in the order in which they are
// applied: low-rank factors of linear layers (Denton et al. 2014), pruning,
// quantisation with a codebook and entropy coding (the last three: Han et al.
// 2015, Deep Compression, arXiv 1510.00149). What they do to the accuracy it
// does not know.
//
// The zero value of a field leaves the method out.
type Compression struct {
	// Rank replaces the weights of linear layers, m x n, by factors m x r and
	// r x n, where that is smaller.
	Rank int
	// Density is the share of the weights that pruning keeps, above 0 to 1.
	Density float64
	// IndexBits is the width of the distance from one kept weight to the next.
	// It counts only where weights are pruned; 0 counts no positions.
	IndexBits float64
	// Bits is the width of a weight, 32 by default. It may be a mean, such as
	// 5.4 for 8 bits in convolutions and 5 in linear layers.
	Bits float64
	// Codebook counts a table of 2^Bits values of 32 bits for each layer.
	Codebook bool
	// Huffman is the share of the bits, of weights and indices, that entropy
	// coding saves, from 0 to below 1.
	Huffman float64
}

// Check returns an error if a field is out of its range.
func (c Compression) Check() error {
	switch {
	case c.Rank < 0:
		return fmt.Errorf("cost: a rank of %d", c.Rank)
	case !(c.Density >= 0 && c.Density <= 1):
		return fmt.Errorf("cost: a density of %v; it is a share from 0 to 1", c.Density)
	case !(c.IndexBits >= 0 && c.IndexBits <= MaxBits):
		return fmt.Errorf("cost: an index of %v bits; widths are from 0 to %d", c.IndexBits, MaxBits)
	case !(c.Bits >= 0 && c.Bits <= MaxBits):
		return fmt.Errorf("cost: weights of %v bits; widths are from 0 to %d", c.Bits, MaxBits)
	case !(c.Huffman >= 0 && c.Huffman < 1):
		return fmt.Errorf("cost: a gain of %v by entropy coding; it is a share from 0 to below 1", c.Huffman)
	}
	return nil
}

// Bytes estimates the bytes of the network's parameters. Biases and batch
// normalisations are neither pruned nor factored, as they are few, but take the
// same width as the weights.
func (c Compression) Bytes(g *arch.Graph) int64 {
	bits, density, index := c.Bits, c.Density, c.IndexBits
	if bits == 0 {
		bits = 32
	}
	if density == 0 || density == 1 {
		density, index = 1, 0
	}
	total := 0.
	for i := range g.Layers {
		l := &g.Layers[i]
		params := float64(OfLayer(l).Params)
		weights := params
		switch {
		case l.Op == arch.OpBatchNorm:
			weights = 0
		case l.Bias:
			weights -= float64(l.Out.C)
		}
		if params == 0 {
			continue
		}
		rest := params - weights
		if m, n := float64(l.In.C), float64(l.Out.C); l.Op == arch.OpLinear && c.Rank > 0 {
			weights = min(weights, float64(c.Rank)*(m+n))
		}
		total += (weights*density*(bits+index) + rest*bits) * (1 - c.Huffman)
		if c.Codebook && weights > 0 {
			total += 32 * math.Exp2(bits)
		}
	}
	return int64(math.Ceil(total / 8))
}
