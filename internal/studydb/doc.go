// Package studydb is the file study.db of a study: what it searches, every
// candidate that was measured, and the state to go on from after an interruption.
//
// The file is an SQLite database, which other programs may read also while a run
// writes it; docs/study-db.md describes it for them. One process at a time writes
// it, through a [Writer]; a second one is told who has it. Any number may read it,
// through a [Reader].
//
// # Measured candidates
//
// A candidate that is measured is a trial. It is queued, started, reports epochs,
// and is finished, with a result or an error:
//
//	w, err := studydb.Open(path)
//	err = w.Queue(proposals...)
//	err = w.Start("worker", 7)
//	verdicts, err := w.Finish(studydb.Result{Trial: 7, Accuracy: 0.71})
//
// Whatever was stored without an error is there afterwards, also after a kill -9 or
// a power failure. Every call may be repeated: a trial that is queued twice is one,
// and of several results of one trial the first counts. The others are kept beside
// it, so that nothing that was measured is lost.
//
// # The search's state
//
// A [Checkpoint] holds the state of the search, and replaces what belongs to it in
// the same transaction: the trials that the search has proposed, the history, the
// front. A search whose evaluations are cheap stores no trials, but the front's
// members and a line a batch: so its file stays small however many it evaluates.
//
// # Damage
//
// A file that is damaged, of another program or of a newer nas is refused, and not
// changed. Damage is noticed where it breaks the structure of the database; the
// value of a number carries no checksum.
package studydb
