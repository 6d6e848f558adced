package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/efficientnas/nas/internal/trainer"
)

// MaxSlots is how many trainings a worker may run at a time.
const MaxSlots = 4096

// DefaultAttempts is [Worker.Attempts] of a worker that states none.
const DefaultAttempts = 3

// idlePulls is after how many requests without a job a worker looks whether the
// queue is still there.
const idlePulls = 5

// maxProgress is how many lines of progress of a training are passed on.
const maxProgress = 10_000

// A Worker is what trains.
type Worker struct {
	Queue   string          // that it takes jobs from; empty means [DefaultQueue]
	Command trainer.Command // how to train: nothing in a job changes the program
	Slots   int             // trainings at a time; 0 means 1

	Name   string            // empty means the host and the process ID
	Labels map[string]string // what is to be known of the machine: at most 32, of up to 64 bytes

	// Attempts is how often a job may be delivered, to any worker. One that was
	// delivered as often, and has not ended, fails as [Lost]. 0 means
	// [DefaultAttempts].
	Attempts int

	// Drain, when it is closed, makes the worker take no more jobs, and return when
	// the trainings that run have ended. Nil means never.
	Drain <-chan struct{}

	run runFunc // tests train without processes; nil means [trainer.Command.Run]
}

type runFunc func(context.Context, *trainer.Command, trainer.Request, func(trainer.Progress) bool) (trainer.Result, error)

// Check returns an error for what [Conn.Work] would refuse, such as a program that
// does not exist.
func (w *Worker) Check() error {
	if w.Queue != "" {
		if err := CheckName(w.Queue); err != nil {
			return err
		}
	}
	if err := w.Command.Check(); err != nil && w.run == nil {
		return err
	}
	if w.Slots < 0 || w.Slots > MaxSlots {
		return fmt.Errorf("worker: slots are %d, want 1 to %d", w.Slots, MaxSlots)
	}
	if w.Attempts < 0 {
		return fmt.Errorf("worker: attempts are %d, want 1 or more", w.Attempts)
	}
	if line(w.Name, maxWorker) != w.Name {
		return fmt.Errorf("worker: name %.200q: want at most %d bytes that can be printed", w.Name, maxWorker)
	}
	if len(w.Labels) > maxLabels {
		return fmt.Errorf("worker: %d labels, want at most %d", len(w.Labels), maxLabels)
	}
	for name, value := range w.Labels {
		if !isName(name) || line(value, maxName) != value {
			return fmt.Errorf("worker: label %.80q=%.80q: want at most %d bytes for each, that can be printed", name, value, maxName)
		}
	}
	return nil
}

// A crew is a worker at work.
type crew struct {
	Worker
	conn     *Conn
	identity Identity
	since    time.Time
	claim    time.Duration // how long a job is ours without a word

	failed atomic.Int64 // trainings that ended with a failure
	ended  atomic.Int64 // trainings that ended

	mu      sync.Mutex
	running map[address]*training
	broken  error // why no training can be started any more
	breaks  chan struct{}
}

// A training is a job that a worker has taken.
type training struct {
	sequence uint64
	stop     atomic.Bool // with the next progress
	cancel   context.CancelCauseFunc
}

// errFinished is the cause of the end of a training of a study that has ended.
var errFinished = errors.New("its study has ended")

// Work takes jobs and trains until the worker has drained: then it returns nil. If
// ctx is done before, it cancels the trainings that run, gives their jobs back at
// once, and returns the cause of ctx.
//
// A server that is out of reach does not disturb what runs: Work takes no jobs and
// keeps the results until it is back. A command that cannot be run is a
// [trainer.ConfigError]: before the first job, or when it is noticed later. Then
// the job is given back, and the other trainings are waited for.
func (c *Conn) Work(ctx context.Context, worker Worker) error {
	if err := worker.Check(); err != nil {
		return err
	}
	w := &crew{Worker: worker, conn: c, since: time.Now(), running: make(map[address]*training), breaks: make(chan struct{})}
	w.setDefaults()
	fail := func(err error) error { return fmt.Errorf("queue %q at %s: %w", w.Queue, c.url, err) }
	trials, _, err := c.streams(ctx, w.Queue)
	if err != nil {
		return fail(err)
	}
	jobs, err := c.workers(ctx, trials)
	if err != nil {
		return fail(err)
	}
	w.claim = jobs.CachedInfo().Config.AckWait
	stop, err := w.subscribe()
	if err != nil {
		return fail(err)
	}
	defer stop()

	// A server that is out of reach is not asked any more once the worker is to end.
	asking, enough := context.WithCancel(ctx)
	defer enough()
	go func() {
		defer enough()
		select {
		case <-asking.Done():
		case <-w.Drain:
		case <-w.breaks:
		}
	}()

	slots := make(chan struct{}, w.Slots)
	var trainings sync.WaitGroup
	idle := 0 // requests that nothing came of
	for w.wants(ctx, slots) {
		m, err := jobs.Next(jetstream.FetchMaxWait(pullTime))
		if err == nil && w.ends(ctx) {
			_ = m.Nak() // it came after the signal; lost, it takes the time of a claim
			break
		}
		if err == nil {
			idle = 0
			trainings.Go(func() {
				defer func() { <-slots }()
				w.take(ctx, m)
			})
			continue
		}
		<-slots
		idle++
		if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages) {
			if !errors.Is(err, jetstream.ErrServerShutdown) { // the connection says so
				w.conn.log.Warn("no jobs", "queue", w.Queue, "error", line(err.Error(), maxMessage))
			}
			sleep(asking, pullTime)
		} else if idle%idlePulls != 0 {
			continue
		}
		// A server that has lost its store has no consumer to answer, and says nothing.
		if again, err := w.rejoin(asking); err == nil {
			jobs = again
		}
	}
	trainings.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	return context.Cause(ctx)
}

func (w *crew) setDefaults() {
	if w.Queue == "" {
		w.Queue = DefaultQueue
	}
	if w.Slots == 0 {
		w.Slots = 1
	}
	if w.Attempts == 0 {
		w.Attempts = DefaultAttempts
	}
	host, _ := os.Hostname() // a name is a help, not a must
	w.identity = Identity{Name: w.Name, Host: host, Labels: w.Labels}
	if w.Name == "" {
		w.identity.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	w.identity.clean()
	if w.run == nil {
		w.run = func(ctx context.Context, c *trainer.Command, r trainer.Request, report func(trainer.Progress) bool) (trainer.Result, error) {
			return c.Run(ctx, r, report)
		}
	}
}

// ends reports whether the worker is to take no more jobs.
func (w *crew) ends(ctx context.Context) bool {
	select {
	case <-ctx.Done():
	case <-w.Drain:
	case <-w.breaks:
	default:
		return false
	}
	return true
}

// wants waits for a free slot and takes it; false means to take no more jobs.
func (w *crew) wants(ctx context.Context, slots chan<- struct{}) bool {
	if w.ends(ctx) {
		return false // even if there is a slot
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-w.Drain:
	case <-w.breaks:
	}
	return false
}

// rejoin finds the consumer, which it makes anew if it is gone.
func (w *crew) rejoin(ctx context.Context) (jetstream.Consumer, error) {
	trials, _, err := w.conn.streams(ctx, w.Queue)
	if err != nil {
		return nil, err
	}
	return w.conn.workers(ctx, trials)
}

// subscribe makes the worker hear what is said to all workers.
func (w *crew) subscribe() (stop func(), err error) {
	var subscriptions []*nats.Subscription
	stop = func() {
		for _, s := range subscriptions {
			_ = s.Unsubscribe() // also a connection that is closed has none
		}
	}
	for subject, hear := range map[string]nats.MsgHandler{
		"nas.stop." + w.Queue + ".>":   w.stop,
		"nas.cancel." + w.Queue + ".*": w.cancel,
		statusSubject(w.Queue):         w.report,
	} {
		s, err := w.conn.nc.Subscribe(subject, hear)
		if err != nil {
			stop()
			return nil, err
		}
		subscriptions = append(subscriptions, s)
	}
	return stop, nil
}

func (w *crew) stop(m *nats.Msg) {
	a, ok := parseAddress(strings.TrimPrefix(m.Subject, "nas.stop."+w.Queue+"."))
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.running[a]; t != nil {
		t.stop.Store(true)
	}
}

func (w *crew) cancel(m *nats.Msg) {
	study := strings.TrimPrefix(m.Subject, "nas.cancel."+w.Queue+".")
	w.mu.Lock()
	defer w.mu.Unlock()
	for a, t := range w.running {
		if a.study == study {
			t.cancel(errFinished)
		}
	}
}

// take does a job that was delivered, and answers it.
func (w *crew) take(ctx context.Context, m jetstream.Msg) {
	a, ok := parseAddress(strings.TrimPrefix(m.Subject(), "nas.trials."+w.Queue+"."))
	meta, err := m.Metadata()
	if !ok || err != nil {
		w.conn.log.Warn("job ignored: its subject names no trial", "subject", line(m.Subject(), maxMessage))
		_ = m.Term() // else it comes again
		return
	}
	log := w.conn.log.With("study", a.study, "trial", a.trial, "attempt", a.attempt)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &training{sequence: meta.Sequence.Stream, cancel: cancel}
	w.mu.Lock()
	if other := w.running[a]; other != nil && other.sequence == t.sequence {
		w.mu.Unlock()
		return // our own, which came again while the server was out of reach; its claim is being renewed
	}
	w.running[a] = t
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.running[a] == t {
			delete(w.running, a)
		}
	}()
	defer w.keep(m)()

	job, err := decodeJob(m.Data(), a)
	e := Event{Trial: a.trial, Attempt: a.attempt, Key: job.Request.Key, Kind: Ended, Worker: w.identity}
	switch over := meta.NumDelivered > uint64(w.Attempts); {
	case over && err != nil:
		e.Failure = &trainer.Failure{Reason: Refused, Message: "no worker can read the job: " + err.Error()}
	case over:
		e.Failure = &trainer.Failure{Reason: Lost, Message: fmt.Sprintf(
			"given up after %d deliveries: each time its worker died, lost contact or was stopped", w.Attempts)}
	case err != nil:
		log.Warn("job given back, perhaps for a newer worker", "error", err)
		_ = m.NakWithDelay(w.claim) // else it comes again after the same time
		return
	default:
		if e.Result, e.Failure, err = w.train(ctx, t, a.study, job, e, log.With("key", job.Request.Key)); err != nil {
			w.giveBack(m, err, log)
			return
		}
	}
	w.ended.Add(1)
	if e.Failure != nil {
		w.failed.Add(1)
		log.Warn("trial failed", "reason", string(e.Failure.Reason), "error", line(e.Failure.Error(), maxMessage))
	}
	id := fmt.Sprintf("%v.%d.%d", a, meta.Sequence.Stream, meta.NumDelivered)
	if !w.publish(ctx, a.study, e, id, log) {
		w.giveBack(m, context.Cause(ctx), log)
		return
	}
	w.acknowledge(ctx, m, log)
}

// train trains, and tells the coordinator what happens. It returns a result, or a
// failure, or why there is neither: ctx is done, or the command cannot be run.
func (w *crew) train(ctx context.Context, t *training, study string, job Job, e Event, log *slog.Logger) (*trainer.Result, *trainer.Failure, error) {
	// These events need no confirmation: the server stores them if it is in reach,
	// and in the order in which they were sent.
	tell := func(e Event) {
		data, err := encodeEvent(study, e)
		if err == nil {
			err = w.conn.nc.Publish(resultSubject(w.Queue, study), data)
		}
		if err != nil {
			log.Warn("event not sent", "kind", string(e.Kind), "error", err)
		}
	}
	e.Kind = Started
	tell(e)
	log.Info("trial started")
	e.Kind = Progressed
	lines := 0
	report := func(p trainer.Progress) bool {
		if lines++; lines <= maxProgress {
			e.Progress = &p
			tell(e)
		}
		return t.stop.Load()
	}
	command := w.Command
	if job.Timeout > 0 && (command.Timeout == 0 || job.Timeout < command.Timeout) {
		command.Timeout = job.Timeout
	}
	result, err := w.run(ctx, &command, job.Request, report)
	var failure *trainer.Failure
	var config *trainer.ConfigError
	switch {
	case err == nil:
		log.Info("trial ended", "accuracy", result.Accuracy, "seconds", math.Round(result.Duration.Seconds()*1000)/1000)
		return &result, nil, nil
	case errors.As(err, &failure):
		return nil, failure, nil
	case errors.As(err, &config), ctx.Err() != nil:
		return nil, nil, err
	}
	return nil, &trainer.Failure{Reason: Refused, Message: err.Error()}, nil
}

// keep renews the claim to a job until stop is called.
func (w *crew) keep(m jetstream.Msg) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var beats sync.WaitGroup
	beats.Go(func() {
		for sleep(ctx, w.claim/3) {
			// Out of reach, nothing can be done: the job may be delivered again.
			_ = m.InProgress()
		}
	})
	return func() {
		cancel()
		beats.Wait()
	}
}

// giveBack returns a job without an answer.
func (w *crew) giveBack(m jetstream.Msg, why error, log *slog.Logger) {
	var config *trainer.ConfigError
	switch {
	case errors.Is(why, errFinished): // nobody wants it any more
		log.Info("training cancelled: its study has ended")
		_ = m.Term()
		return
	case errors.As(why, &config):
		// This machine would get it again at once, if it went on.
		_ = m.NakWithDelay(w.claim / 10)
		w.mu.Lock()
		if w.broken == nil {
			w.broken = why
			close(w.breaks)
		}
		w.mu.Unlock()
	default:
		_ = m.Nak()
	}
	// What is not sent makes no difference but in time: the claim ends by itself.
	log.Warn("job given back", "error", why)
}

// publish has the server store how a job has ended. It tries for as long as it
// takes, and returns false if ctx is done before.
func (w *crew) publish(ctx context.Context, study string, e Event, id string, log *slog.Logger) bool {
	data, err := encodeEvent(study, e)
	if err != nil { // an accuracy that no trainer.Command returns
		e.Result, e.Failure = nil, &trainer.Failure{Reason: trainer.BadResult, Message: err.Error()}
		if data, err = encodeEvent(study, e); err != nil {
			log.Error("result not sent", "error", err)
			return false
		}
	}
	return w.insist(ctx, log, "result", true, func(ctx context.Context) error {
		_, err := w.conn.js.Publish(ctx, resultSubject(w.Queue, study), data, jetstream.WithMsgID(id))
		return err
	})
}

// acknowledge removes a job that was answered from the queue. If that fails it is
// trained again, in vain.
func (w *crew) acknowledge(ctx context.Context, m jetstream.Msg, log *slog.Logger) {
	w.insist(ctx, log, "acknowledgement", false, m.DoubleAck)
}

// insist calls send until it succeeds, and returns false if ctx is done before.
// What need not arrive is not tried again once the worker is to end. It logs the
// first failure, and how it goes on: whatever is wrong lasts, as a rule.
func (w *crew) insist(ctx context.Context, log *slog.Logger, what string, must bool, send func(context.Context) error) bool {
	failed := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, requestTime) {
		tctx, cancel := context.WithTimeout(ctx, requestTime)
		err := send(tctx)
		cancel()
		if err == nil {
			if failed {
				log.Info(what + " confirmed")
			}
			return true
		}
		if ctx.Err() != nil || errors.Is(err, nats.ErrConnectionClosed) || !must && w.ends(ctx) {
			return false
		}
		if !failed {
			log.Warn(what+" not confirmed: sending it until it is", "error", line(err.Error(), maxMessage))
		}
		failed = true
		sleep(ctx, wait)
	}
}

// report answers who asks how the worker is.
func (w *crew) report(m *nats.Msg) {
	w.mu.Lock()
	busy := len(w.running)
	w.mu.Unlock()
	failed := int(w.failed.Load())
	data, err := encodeReply(WorkerStatus{
		Identity: w.identity, Slots: w.Slots, Busy: busy,
		Done: int(w.ended.Load()) - failed, Failed: failed, Since: w.since.UTC().Truncate(time.Second),
	})
	if err == nil && m.Reply != "" {
		err = m.Respond(data)
	}
	if err != nil {
		w.conn.log.Warn("status not sent", "error", err)
	}
}
