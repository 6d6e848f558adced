// Package space says which networks are possible. A space is an architecture
// file in which values are lists of choices or ranges, or an [arch.Template]
// written in Go; every open value is a gene, and a [Genome] names one option of
// each.
//
// # One network, one genome
//
// Not every genome is a network of its own. Not every gene matters to every
// network: the expansion of an inverted bottleneck means nothing to a fire module,
// nor does the kernel of a fourth block in a stage of two. And of stages that are
// alike, it is one network whichever of them does nothing, by a depth of 0 or by
// identity blocks that leave the shape as it is. Genomes that a Space makes are
// canonical, in the sense of [arch.Plan.Canonical]: inactive genes are zero, and
// stages that do nothing stand, in one form, behind the others that are like them.
//
// Networks are distinct if their canonical genomes differ. [Space.Key] is equal
// for two genomes exactly if they are one network, [Space.Size] counts each once,
// [Space.Sample] draws each with the same probability and [Space.All] gives each
// once; all of that is exact. Equal layers that come about in another way count as
// distinct: of block types that agree for some parameters, of a block at the end of
// one stage or at the beginning of the next, of a custom block that does nothing,
// or of a stage left out between two that are alike, but unlike it.
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
// the whole space and of millions of its networks. [Space.Bounds] is the exact
// least and greatest, and [Space.Measure] knows more: networks that attain them,
// whether limits leave any network at all, and a [Sampler] that draws networks at
// a given number of MACs, or in steps of it from the least to the greatest. A
// [Meter] measures genome after genome in a fraction of the time that building
// and lowering takes.
package space
