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
// There are three methods. [Random] draws distinct candidates. [NSGA2] evolves
// them towards the Pareto front, under constraints. [Guided] is for evaluations that
// take minutes or days: a [Surrogate], which learns from what was evaluated, says
// which candidates are likely to add most to the front.
//
// # What holds for every method
//
// One seed gives one result. Every random decision draws from a stream of its
// own, keyed by (seed, purpose, generation, index), and nothing depends on the
// number of workers, the size of batches, the order of results or the time.
//
// No candidate is proposed twice: candidates are one if their [Space.Key] is
// one. A space that has nothing new to give ends the search with [ErrExhausted].
//
// A failed evaluation, or one with an objective that is no finite number, costs
// the candidate its place on the front, and nothing else. An infeasible one
// guides the search back to where it is feasible.
package search
