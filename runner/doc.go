// Package runner runs studies: a configuration goes in, candidates go out to be
// evaluated, and what was found is written to a results folder. It is the one
// package that knows all the others, and where a run configuration and the files
// of a results folder are defined.
//
// A study is three calls:
//
//   - [LoadConfig] reads a configuration and refuses whatever could go wrong
//     later: unknown keys, impossible shapes, bounds that no network of the
//     space meets.
//   - [Run] searches, on all cores, and returns [Results].
//   - [Folder.Write] writes them: all files or none.
//
// A candidate's way is straight: genes, network, layers, costs and features,
// accuracy, objectives. Networks beyond a bound are not even predicted. An
// accuracy takes part in the search as its lower confidence bound, the mean less
// Accuracy.Deviations standard deviations.
//
// The same configuration gives the same results for any number of workers.
package runner
