// Package cost says what a network costs: multiply-accumulates (MACs),
// parameters, activations and weight bytes, exact to the last one, for a whole
// network and for every layer.
//
// Beyond the counts it has the live memory of activations ([Memory]), bytes at
// any bit width, an estimate of compressed sizes ([Compression]), the bytes that
// layers move and an estimate of energy, and what other counters would print and
// why ([Convention]).
//
// It walks the layers that package arch lowers a network to and adds up small
// integer formulas; nothing is run, estimated or rounded. The counting rules
// are those of the papers:
//
//   - A MAC is one multiplication and one addition; a FLOP is half a MAC, so
//     FLOPs = 2 MACs.
//   - Convolutions and linear layers have MACs. The addition of a bias, batch
//     normalisation, activations, pools and element-wise sums have none.
//   - Convolutions count padded positions as if they were inside.
//   - Parameters are weights, biases, and two for each channel of a batch
//     normalisation. Its running mean and variance are not learnt and not
//     counted.
//   - Bytes are those of numbers packed without gaps; a megabyte (MB) is 10^6,
//     a mebibyte (MiB) 2^20.
//   - Activations are the output elements of convolutions and linear layers
//     (Radosavovic et al. 2020, Designing Network Design Spaces, section 3.2).
package cost
