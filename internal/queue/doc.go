// Package queue puts the trials of a study on a NATS JetStream work queue, and
// takes them from it on any number of machines.
//
// A coordinator, which owns the study, submits a [Job] for each trial and handles
// the [Event]s that come back. A worker takes a job whenever it has a free slot,
// runs its own training command, and answers:
//
//	conn, err := queue.Connect(ctx, queue.Options{URL: "nats://host:4222", Token: token})
//
//	c, err := conn.Coordinate(ctx, queue.Study{ID: id}, handle) // the coordinator
//	err = c.Submit(ctx, queue.Job{Trial: 7, Request: request})
//
//	err = conn.Work(ctx, queue.Worker{Command: command, Slots: 2}) // a worker
//
// [Serve] starts a server inside the program, for those who have none.
//
// # What is promised
//
// Every job that was submitted is answered by at least one event that it has
// ended, with a result or a failure, as long as there are workers:
//
//   - A worker publishes the end of a training, and has the server confirm that it
//     is stored, before it gives up its claim to the job. The claim is renewed
//     while it trains. When a worker dies, or is cut off for longer than the claim
//     lasts (30 s), the job is delivered to another.
//   - A job that was delivered [Worker.Attempts] times without an end fails: it
//     is more likely to kill its workers than to meet bad luck again.
//   - An event stays stored until the coordinator's handler has returned without
//     an error, or 30 days.
//
// At least one means that there may be several: of a worker that was cut off and
// of its successor, or because an acknowledgement was lost. The handler keeps the
// first end of a (trial, attempt) and discards the others.
//
// Events of a study are handled one at a time, in the order in which they were
// stored. That a trial has started, and its progress, are best effort: they are
// stored like its end, but not confirmed.
//
// # Who is in charge
//
// One coordinator at a time runs a study: it holds a lease, which it renews. What
// a worker executes is on its own command line. Messages are data: they are
// limited in size, decoded strictly, and every text in them is made safe to show.
// Another attempt at a trial that failed is another job, which the coordinator
// submits; a worker never decides that.
//
// # On the server
//
// For a queue named q:
//
//	NAS_TRIALS_q   stream, work queue: nas.trials.q.STUDY.TRIAL.ATTEMPT, one consumer "workers"
//	NAS_RESULTS_q  stream, work queue: nas.results.q.STUDY, one consumer a study
//	NAS_LEASES     key-value bucket of all queues: q.STUDY
//	nas.stop.q.STUDY.TRIAL.ATTEMPT, nas.cancel.q.STUDY, nas.status.q
//	               messages to the workers that are there, not stored
//
// They are made when they are missing. Those that are there are used as they are,
// so that an administrator may make them with replicas or other limits.
package queue
