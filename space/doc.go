// Package space says which networks are possible. A space is an architecture
// file in which values are lists of choices or ranges, or an [arch.Template]
// written in Go; every open value is a gene, and a [Genome] names one option of
// each.
//
// # One network, one genome
//
// Not every gene matters to every network: the expansion of an inverted
// bottleneck means nothing to a fire module, nor does the kernel of a fourth
// block in a stage of two. Genomes that a Space makes are canonical: inactive
// genes are zero. [Space.Key] is equal for two genomes exactly if they differ
// in inactive genes at most, [Space.Size] counts each such network once, and
// [Space.Sample] draws each with the same probability.
//
// # Only networks that can be built
//
// Groups must divide channels, a shuffle block must widen when it downsamples,
// a small image cannot be halved for ever. Whether parts fit is decided by
// lowering them, not by rules of this package, so it holds for custom blocks
// too. Sample never draws what cannot be built; Mutate and Crossover repair it
// by the rule of [Space.Repair]; a space without a single network is refused by
// [New], with the place and the reason; so is one whose choices would take more
// than some seconds to count.
//
// # Costs without networks
//
// Quantities that add up over layers, such as MACs and parameters, are known of
// the whole space and of millions of its networks: [Space.Bounds] is the exact
// least and greatest, and a [Meter] measures genome after genome in a fraction
// of the time that building and lowering takes.
package space
