// Package export writes networks for other programs: [ONNX] writes a model that
// runtimes load, [PyTorch] a source file that trains. Both walk the layers that
// package arch lowers a network to and know no block type, so that one's own are
// exported like the built-in ones.
//
// Weights are named alike in both: a layer's name, and the name that PyTorch
// gives them, such as "stages.1.0.expand.conv.weight" or
// "stem.0.bn.running_mean". What was trained under these names fits the exported
// model.
package export
