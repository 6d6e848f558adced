// Package arch says what a network is: the architecture file, the block types
// that stages are made of, and the lowering of a network to layers with shapes.
//
// A [Network] is an image's way from pixels to class scores: a stem, stages of
// blocks, a head. It is what an architecture file describes, what a search
// tries, and what is costed, predicted and exported. [Network.Lower] turns it
// into a [Graph] of layers, and everything that needs to know how a network is
// built reads that graph: there is no second place that knows what a block
// consists of.
//
// # Architecture files
//
// A file is YAML or JSON and describes one network:
//
//	name: small
//	input: {channels: 3, resolution: 32}
//	activation: relu6                    # for all that name no other
//	stem: {width: 16, stride: 2}         # block: conv
//	stages:
//	  - {block: inverted, width: 24, depth: 2, stride: 2, expansion: 6, kernel: 3}
//	  - {block: basic, width: 64, pool: {kernel: 2}}
//	head: {width: 128, classes: 10}
//
// Every stage has a block, a width (its output channels) and may have a depth
// (how many blocks), a stride (of the first), an activation and a pool before
// it; what else it takes are the parameters of its block type. A key that is
// left out has its default. The keys of [Network], [Stage], [Head] and [Pool]
// are those of the file in lower case.
//
// [Read], [Parse] and [Reference] return a network that can be built. All that
// is wrong with a file, up to groups that do not divide their channels, is an
// error with file, line and column, what was found, and what is allowed.
// [Network.YAML] and [Network.MarshalJSON] write what Parse reads.
//
// # Templates: files with choices
//
// Any value of input, stem, stages and head, pools apart, may stay open:
//
//	width: 24                            # a value
//	width: [16, 24, 32]                  # one of a list
//	width: {from: 16, to: 64, step: 8}   # one of a range, both ends included
//	kernel: {blocks: [3, [3, 5]]}        # for each block of the stage its own
//	per_block: [kernel, expansion]       # these are chosen for every block alone
//	block: [conv, inverted]              # one of these types
//	block: [identity, {block: inverted, expansion: 6, kernel: 5}]
//
// In the last line an option is a [Variant]: a block type with values of its own
// for some parameters.
//
// Such a file is a [Template]; so is one written in Go, with [OneOf], [Range],
// [EachBlock] and [OneOfVariants]. [Template.Compile] checks it and returns a
// [Plan] whose slots are the open values: [Plan.Build] makes the network of one
// option for each slot, [Plan.Genes] is its inverse, and [Plan.Active] tells
// which slots matter to it. [Plan.Canonical] finds the one genome of all those
// that are the same network because some stages do nothing. A template without
// open values is a network: [Template.Network]. [Template.MarshalJSON] writes
// what ParseTemplate reads. Package space makes a search space of a plan.
//
// # Lowering
//
// The layers of a graph stand in the order of execution, every one behind those
// it reads, with shapes, kernel, groups and a name unique in the network, such
// as "stages.1.0.expand.conv". A graph can be used again and again; lowering
// into it then allocates nothing.
//
// What cannot be built (a kernel larger than its map, a sum of two shapes, more
// than the limits that keep all counts within an int64) is a [BuildError] that
// names the stage and the block.
//
// # Block types
//
// Built in are conv (AlexNet, VGG), basic and bottleneck (ResNet), grouped
// (ResNeXt, RegNet), fire (SqueezeNet), separable (MobileNet), inverted
// (MobileNetV2 and V3, MnasNet, EfficientNet), shuffle and shuffle_v2
// (ShuffleNet), and identity (nothing, where a search may skip a layer). Each is
// one file that cites its paper.
//
// A type of one's own is a [Block]: a name, the parameters it declares, and a
// method that adds one block's layers to a graph. After [Register] it works
// wherever the built-in ones do: in files, spaces, costs, features and
// exporters. A parameter that the declared Active function calls inactive does
// not tell two networks apart.
//
// # Reference networks
//
// [References] lists networks of the literature that are embedded as
// architecture files, with paper, published accuracy and its source in
// [Network.About]. Their costs are tested against an independent count.
package arch
