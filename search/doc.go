// Package search decides which candidates to try next, and drives the trying.
//
// It knows no networks. A [Space] says what the candidates are: how to draw one,
// change one, cross two, and tell two apart. An [Evaluator] says how good they
// are. Everything in between works for any type of genome.
//
// # Ask and tell
//
// A [Method] never evaluates anything. It is asked for candidates and told what
// became of them, so that concurrency, recording, stopping and storage belong to
// the caller, who may be [Run] or any other loop:
//
//	for {
//		batch, err := method.Ask(n)
//		// evaluate batch, anywhere, in any order
//		err = method.Tell(batch, evaluations)
//	}
//
// There are six methods:
//
//   - [Random] draws distinct candidates. It is the yardstick of the others.
//   - [NSGA2] evolves a population towards the Pareto front, under constraints.
//   - [Islands] are several such populations that evolve side by side, for
//     evaluations so cheap that one core cannot propose fast enough.
//   - [Evolution] is aging evolution on scalarisations of the objectives. It never
//     waits for the slowest evaluation.
//   - [Local] is Pareto local search: it looks at the neighbours of what is best.
//   - [Guided] is for evaluations that take minutes or days: a [Surrogate], which
//     learns from what was evaluated, says which candidates are likely to add most
//     to the front.
//
// # Stop and go on
//
// [Run] ends after so many evaluations, at a hypervolume that is enough, or when the
// front has not changed for long; see [Settings].
//
// It evaluates batch by batch, on all cores: for evaluations so cheap that calls
// would cost more. Or, where each is a training of minutes or days, one by one, so
// that no worker ever waits for another's: see [Settings.Asynchronous]. Then
// [Settings.Screen] keeps candidates from being trained that are too large anyway.
//
// Every method saves its state at any moment, also while candidates are being
// evaluated, and goes on from it exactly as it would have:
//
//	state, err := method.MarshalBinary()
//	// later, elsewhere, with a method newly made in the same way
//	err = method.UnmarshalBinary(state)
//	batch := method.Pending() // proposed, but not evaluated in time
//
// Run evaluates first what is pending. With what was evaluated so far as
// [Settings.Earlier], or if that is too much to keep with a [Snapshot] as
// [Settings.Resume], it comes to the result of a search that was never interrupted.
// State and outcomes belong together whenever Run calls [Settings.Proposed] or
// [Settings.Recorder]: what is stored there outlives a process that is killed.
//
// # What holds for every method
//
// One seed gives one result. Every random decision draws from a stream of its
// own, keyed by (seed, purpose, generation, index), and nothing depends on the
// number of workers or cores, the size of batches, the order of results, the time,
// or on interruptions.
//
// No candidate is proposed twice: candidates are one if their [Space.Key] is
// one. A space that has nothing new to give ends the search with [ErrExhausted].
//
// A failed evaluation, or one with an objective that is no finite number, costs
// the candidate its place on the front, and nothing else. An infeasible one
// guides the search back to where it is feasible.
package search
