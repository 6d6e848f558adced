// Package trainer runs a user's training command for one architecture and says
// what came of it: an accuracy, or the reason why there is none.
//
//	c := &trainer.Command{Args: []string{"python3", "train.py"}, Timeout: 2 * time.Hour}
//	if err := c.Check(); err != nil {
//		return err // before anything is trained
//	}
//	result, err := c.Run(ctx, request, nil)
//
// # Protocol
//
// A trainer reads a [Request], one JSON object, from its standard input, and
// writes lines of JSON to its standard output: {"epoch":3,"accuracy":0.61} while
// it trains, {"accuracy":0.71} at the end. Then it exits with 0. All else that it
// prints is ignored. docs/evaluators.md is the reference for people who write
// one.
//
// # What can come of it
//
// [Command.Run] returns a [Result], or one of these errors:
//
//   - [Failure]: this trial has no result. [Failure.Retry] tells whether another
//     attempt makes sense; to make it is the caller's affair.
//   - [ConfigError]: the command cannot be run, for this or any architecture. A
//     study should refuse to begin.
//   - an error that wraps the context's cause: the trial was cancelled, which says
//     nothing about the architecture.
//
// # Early stopping
//
// A function that Run calls with every line of progress may end the training.
// [Median] and [Halving] are rules for it; they compare the trials of a study:
//
//	rule := &trainer.Halving{MinEpochs: 2}
//	result, err := c.Run(ctx, request, func(p trainer.Progress) bool {
//		return rule.Stop(request.Key, p)
//	})
//
// # Processes
//
// The command is started without a shell, in a process group of its own (on
// Windows in a job object). However a trial ends, the group ends with it:
// leftover children first get SIGTERM, and SIGKILL after [Command.Grace]. A
// process that leaves the group, with setsid, is not found; it cannot keep Run
// from returning. On Linux the command is also killed when this program dies.
package trainer
