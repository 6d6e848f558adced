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
//   - [Create] begins the study in a results folder, whose study.db has from the
//     first moment what it takes to go on; [Resume] opens one that was
//     interrupted, in whatever way.
//   - [Study.Run] searches until the study ends or is interrupted, writes the
//     results and returns them. What it comes to does not depend on interruptions.
//
// [Run] does without a folder, where nothing needs to be kept. [ReadResults] reads
// a folder, also while its study runs.
//
// A candidate's way is straight: genes, network, layers, costs and features,
// accuracy, objectives. Networks beyond a bound on a cost are neither predicted nor
// trained. A predicted accuracy takes part in the search as its lower confidence
// bound, the mean less Accuracy.Deviations standard deviations; a measured one, of
// a table or of [Trials], as it is.
//
// What is trained is stored before anybody acts on it, by [Study] alone: a
// training that has ended is never repeated, wherever it ran.
//
// The same configuration gives the same results for any number of workers.
package runner
