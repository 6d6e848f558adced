// Package tabular reads the tables of published benchmarks for architecture
// search: networks of one space, trained once by others, with the accuracy that
// they reached. With such a table a search and a predictor can be measured
// without training anything.
//
// [Read] recognises the table by its header and takes the space as a plan, of
// which every network of the table must be:
//
//	table            space                         columns that are read
//	nas_bench_macro  configs/nas_bench_macro.yaml  arch, real_arch, acc1, acc2, acc3, mean_acc, params, macs
//	accel_nasbench   configs/accel_nasbench.yaml   id, split, e, k, l, se, top1, params, macs224
//
// NAS-Bench-Macro (Su et al., arXiv 2103.11922) has all networks of a space of 8
// layers, each trained three times on CIFAR-10. A digit of arch is the option of
// one layer's block. Several rows are the same network, since a layer may do
// nothing; they become one [Row].
//
// Accel-NASBench (Ahmad et al., DAC 2024) has a few thousand networks of the
// space of MnasNet, each trained once on ImageNet for 16 epochs. A digit of e, k,
// l or se is one stage's expansion, kernel, depth, or whether it has
// squeeze-and-excitation (of a quarter of the block's input).
//
// Nothing is taken on trust. What is not of the space, a number that is none, an
// accuracy out of its range, and parameters or MACs that are not what package cost
// counts are errors with file and line.
//
// [ReadMeasured] takes any table of networks that somebody measured, these benchmarks
// and the user's own, for a search to look accuracies up in it.
package tabular
