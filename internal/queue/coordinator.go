package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Study is what a [Coordinator] runs.
type Study struct {
	Queue string // that its trials go to; empty means [DefaultQueue]
	ID    string // by [NewID]; the same whenever the study is resumed

	// Predecessor is the [Coordinator.Lease] of the coordinator that the study had
	// last. The lease of that one is taken over at once if it is known to be gone: a
	// process of this machine that has ended, or whoever had it before the server in
	// this process began. It is respected otherwise, as a copy of a study knows it,
	// too. A caller who gives it must have a lock on the study's file. Empty means
	// that there is none.
	Predecessor string
}

// A Coordinator submits the trials of a study and handles what becomes of them.
// All methods may be called at once.
type Coordinator struct {
	conn     *Conn
	queue    string
	study    string
	trials   jetstream.Stream
	results  jetstream.Stream
	messages jetstream.MessagesContext
	handle   func(Event) error
	lease    *lease
	token    string

	cancel context.CancelCauseFunc
	ctx    context.Context // done when the coordinator has ended; its cause says why
	tasks  sync.WaitGroup
	done   chan struct{} // closed when all of its goroutines have ended

	mu        sync.Mutex
	withdrawn int           // how often something was withdrawn
	handled   uint64        // sequence number of the last message
	changed   chan struct{} // closed when handled changes
}

// errClosed is the cause of a coordinator's end that nobody needs to be told.
var errClosed = errors.New("the coordinator is closed")

// Coordinate takes the study's lease, or returns a [LeaseError], and begins to
// handle what its workers say, also what they have said while no coordinator was
// there. Events are handled one at a time. One whose handler has returned nil is
// forgotten, so what it says must be stored by then. If the handler returns an
// error the coordinator ends with it, and the event stays for the next.
//
// The handler may be given an end more than once, and a (trial, attempt) may end
// more than once. It may call methods of the coordinator, but neither
// [Coordinator.Close], [Coordinator.Sync] nor [Coordinator.Finish], which wait for it.
//
// ctx is for the beginning only: the coordinator goes on until it is closed, the
// handler fails, or the lease is lost.
func (c *Conn) Coordinate(ctx context.Context, s Study, handle func(Event) error) (_ *Coordinator, err error) {
	if s.Queue == "" {
		s.Queue = DefaultQueue
	}
	if err := (address{study: s.ID, attempt: 1}).check(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("queue %q at %s: %w", s.Queue, c.url, err)
		}
	}()
	q := &Coordinator{
		conn: c, queue: s.Queue, study: s.ID, handle: handle,
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	if q.trials, q.results, err = c.streams(ctx, s.Queue); err != nil {
		return nil, err
	}
	// Jobs wait for the consumer of the workers, but its absence would show as an
	// empty queue.
	if _, err = c.workers(ctx, q.trials); err != nil {
		return nil, err
	}
	if q.lease, err = c.acquire(ctx, s.Queue, s.ID, s.Predecessor); err != nil {
		return nil, err
	}
	q.token = q.lease.token
	if err = q.open(ctx); err != nil {
		return nil, errors.Join(err, q.lease.release(ctx))
	}
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	q.tasks.Go(q.consume)
	q.tasks.Go(q.watch)
	go func() {
		<-q.ctx.Done()
		q.messages.Stop()
		q.tasks.Wait()
		close(q.done)
	}()
	return q, nil
}

// open makes the study's consumer anew: what a coordinator that was killed had
// received, and not handled, is delivered again at once.
func (q *Coordinator) open(ctx context.Context) error {
	if err := q.results.DeleteConsumer(ctx, q.study); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("consumer of the study's results: %w", err)
	}
	consumer, err := q.results.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:           q.study,
		FilterSubject:     resultSubject(q.queue, q.study),
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           time.Minute,
		MaxDeliver:        -1,
		InactiveThreshold: maxAge,
	})
	if err == nil {
		q.messages, err = consumer.Messages(jetstream.PullMaxMessages(100), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	}
	if err != nil {
		return fmt.Errorf("consumer of the study's results: %w", err)
	}
	return nil
}

// watch renews the lease, and looks whether the server still has the study's
// consumer: of one that is gone there would be nothing but silence.
func (q *Coordinator) watch() {
	l := q.lease
	for sleep(q.ctx, q.conn.leaseTime/3) {
		if err := l.renew(q.ctx); err != nil {
			q.cancel(fmt.Errorf("queue %q at %s: %w", q.queue, q.conn.url, err))
			return
		}
		if _, err := q.results.Consumer(q.ctx, q.study); isGone(err) {
			q.cancel(q.gone())
			return
		}
	}
}

// isGone reports whether an error says that the study's consumer is not there.
func isGone(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, jetstream.ErrStreamNotFound)
}

func (q *Coordinator) gone() error {
	return fmt.Errorf("queue %q at %s: the study's results are not there any more: another coordinator has taken over the study, or the server has lost its store",
		q.queue, q.conn.url)
}

// consume handles events until the coordinator ends.
func (q *Coordinator) consume() {
	for q.ctx.Err() == nil {
		m, err := q.messages.Next()
		switch {
		case q.ctx.Err() != nil:
			return
		case isGone(err):
			q.cancel(q.gone())
			return
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			q.cancel(fmt.Errorf("queue %q: %w", q.queue, err))
			return
		case err != nil: // the server is out of reach
			q.conn.log.Warn("results", "study", q.study, "error", line(err.Error(), maxMessage))
			sleep(q.ctx, time.Second)
			continue
		}
		meta, err := m.Metadata()
		if err != nil {
			continue // it is no message of a stream
		}
		if e, err := decodeEvent(m.Data(), q.study); err != nil {
			q.conn.log.Warn("event ignored", "study", q.study, "error", err)
		} else if err := q.handle(e); err != nil {
			q.cancel(err)
			return
		}
		// An acknowledgement that is lost costs the handler a repetition, which it
		// discards: there is no need to wait for the server to confirm it.
		if err := m.Ack(); err != nil {
			q.conn.log.Warn("event not acknowledged", "study", q.study, "error", err)
		}
		q.mu.Lock()
		q.handled = max(q.handled, meta.Sequence.Stream)
		close(q.changed)
		q.changed = make(chan struct{})
		q.mu.Unlock()
	}
}

// Lease returns the token of the study's lease; see [Study.Predecessor]. It is to
// be stored with the study.
func (q *Coordinator) Lease() string { return q.token }

// Done is closed when the coordinator has ended; [Coordinator.Err] says why.
func (q *Coordinator) Done() <-chan struct{} { return q.done }

// Err returns why the coordinator has ended: the handler's error, or that of a
// lease that was lost. It is nil as long as it has not, and after
// [Coordinator.Close].
func (q *Coordinator) Err() error {
	if err := context.Cause(q.ctx); err != nil && !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Submit puts a job on the queue. When it returns nil the server has stored the
// job. A job that is still there is not doubled, whoever submitted it; one that is
// submitted again after its end may be trained again.
//
// As long as the server is out of reach or the queue is full Submit waits. Errors
// are those of a job that breaks a limit, of ctx, and of a coordinator that has ended.
func (q *Coordinator) Submit(ctx context.Context, j Job) error {
	fail := func(err error) error { return fmt.Errorf("queue %q: trial %d: %w", q.queue, j.Trial, err) }
	data, err := encodeJob(q.study, j)
	if err != nil {
		return fail(err)
	}
	a := j.address(q.study)
	q.mu.Lock()
	// The server drops a message whose ID it has seen in the last two minutes: that
	// is for an acknowledgement that was lost. A job that was withdrawn in between,
	// or whose result another coordinator was given, has a right to come again.
	id := fmt.Sprintf("%v.%s.%d", a, q.token, q.withdrawn)
	q.mu.Unlock()
	var why error // of the attempt before
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if q.ctx.Err() != nil {
			return fail(context.Cause(q.ctx))
		}
		tctx, cancel := context.WithTimeout(ctx, requestTime)
		_, err := q.conn.js.Publish(tctx, trialSubject(q.queue, a), data,
			jetstream.WithMsgID(id), jetstream.WithExpectLastSequencePerSubject(0))
		cancel()
		switch {
		case err == nil, wrongSequence(err): // it is there already
			return nil
		case ctx.Err() != nil:
			return fail(errors.Join(context.Cause(ctx), why))
		case !temporary(err):
			return fail(err)
		}
		why = err
		sleep(ctx, wait)
	}
}

// Codes of a stream that has no room for one more message.
const (
	codeStreamStoreFailed    jetstream.ErrorCode = 10077
	codeMessagesPerSubject   jetstream.ErrorCode = 10034
	codeInsufficientResource jetstream.ErrorCode = 10023
)

// temporary reports whether it makes sense to publish again.
func temporary(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeStreamStoreFailed, codeMessagesPerSubject, codeInsufficientResource:
			return true
		}
		return api.Code >= 500
	}
	return !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrMaxPayload)
}

// Queued returns the jobs of the study that are on the queue, waiting or taken, as
// the numbers of trial and attempt. What is not there has been acknowledged, if it
// ever was, and so its end is stored: [Coordinator.Sync] after this has it handled.
func (q *Coordinator) Queued(ctx context.Context) (map[[2]int]bool, error) {
	prefix := "nas.trials." + q.queue + "."
	info, err := q.trials.Info(ctx, jetstream.WithSubjectFilter(prefix+q.study+".>"))
	if err != nil {
		return nil, fmt.Errorf("queue %q: jobs: %w", q.queue, err)
	}
	jobs := make(map[[2]int]bool)
	for subject := range info.State.Subjects {
		if a, ok := parseAddress(strings.TrimPrefix(subject, prefix)); ok {
			jobs[[2]int{a.trial, a.attempt}] = true
		}
	}
	return jobs, nil
}

// Stop asks the worker that trains the trial to end the training with its next
// line of progress, whose accuracy is then the result. It is best effort: nobody
// may be training the trial any more.
func (q *Coordinator) Stop(trial, attempt int) error {
	return q.conn.nc.Publish(stopSubject(q.queue, address{q.study, trial, attempt}), nil)
}

// Withdraw removes the jobs of a trial. One that a worker has taken goes on, and
// its end is reported, unless its worker dies.
func (q *Coordinator) Withdraw(ctx context.Context, trial int) error {
	return q.purge(ctx, fmt.Sprintf("nas.trials.%s.%s.%d.*", q.queue, q.study, trial))
}

func (q *Coordinator) purge(ctx context.Context, subject string) error {
	q.mu.Lock()
	q.withdrawn++
	q.mu.Unlock()
	if err := q.trials.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("queue %q: withdraw jobs: %w", q.queue, err)
	}
	return nil
}

// Sync waits until all events that are stored by now have been handled. Who
// resumes a study does so before submitting what is missing, and asks before what
// is [Coordinator.Queued]: a job that ends in between would be submitted again.
func (q *Coordinator) Sync(ctx context.Context) error {
	m, err := q.results.GetLastMsgForSubject(ctx, resultSubject(q.queue, q.study))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("queue %q: results: %w", q.queue, err)
	}
	for {
		q.mu.Lock()
		handled, changed := q.handled, q.changed
		q.mu.Unlock()
		if handled >= m.Sequence {
			return nil
		}
		select {
		case <-changed:
		case <-q.ctx.Done():
			return context.Cause(q.ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Finish closes the coordinator of a study that has come to its end: its jobs are
// removed, trainings that still run are cancelled without a result, and events that
// were not handled are dropped.
func (q *Coordinator) Finish(ctx context.Context) error {
	err := q.purge(ctx, "nas.trials."+q.queue+"."+q.study+".>")
	if err == nil {
		err = q.conn.nc.Publish(cancelSubject(q.queue, q.study), nil)
	}
	q.cancel(errClosed)
	<-q.done
	if err == nil {
		err = q.results.Purge(ctx, jetstream.WithPurgeSubject(resultSubject(q.queue, q.study)))
	}
	if err == nil {
		err = q.results.DeleteConsumer(ctx, q.study)
	}
	return errors.Join(err, q.Close())
}

// Close ends the coordinator and gives the lease back. Jobs stay on the queue and
// are trained; their ends wait for the next coordinator. It waits for the handler
// to return. A second call does nothing.
func (q *Coordinator) Close() error {
	q.cancel(errClosed)
	<-q.done
	q.mu.Lock()
	l := q.lease
	q.lease = nil
	q.mu.Unlock()
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	return l.release(ctx)
}
