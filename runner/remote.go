package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/trainer"
)

// Files in study.db of a study whose networks are trained by workers.
const (
	remoteID    = "nats-study" // by which workers know the study
	remoteLease = "nats-lease" // of the process that had the study last
)

// natsDir is the folder, in that of the study, of what an embedded server stores.
const natsDir = "nats"

// remote has workers train, which are reached by a NATS server.
type remote struct {
	trials      *trials
	server      *queue.Server // nil unless it is embedded
	conn        *queue.Conn
	coordinator *queue.Coordinator
	timeout     time.Duration
	alone       *time.Timer     // says so when nobody is heard of; nil until there is a connection
	queued      map[[2]int]bool // trials and attempts that were on the queue when this process began

	mu      sync.Mutex
	waiting map[int]chan struct{} // by trial: something was heard of it
}

// openRemote connects to the server, and takes in what workers have done while
// nobody was there.
func openRemote(ctx context.Context, t *trials) (_ *remote, err error) {
	r := &remote{trials: t, timeout: t.session.config.Accuracy.Trials.Timeout, waiting: make(map[int]chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(false))
		}
	}()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	r.alone = time.AfterFunc(alonePatience, func() {
		if log := t.session.options.NATS.Log; log != nil {
			log.Warn("no worker has taken a trial yet", "queue", t.session.config.Accuracy.Trials.Queue)
		}
	})
	study, err := t.study.db.Study()
	if err != nil {
		return nil, err
	}
	id := string(study.Files[remoteID])
	if id == "" {
		id = queue.NewID()
		if err := t.study.db.Put(remoteID, []byte(id)); err != nil {
			return nil, err
		}
	}
	r.coordinator, err = r.conn.Coordinate(ctx, queue.Study{
		Queue: t.session.config.Accuracy.Trials.Queue, ID: id, Predecessor: string(study.Files[remoteLease]),
	}, r.handle)
	if errors.As(err, new(*queue.LeaseError)) {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	if err := t.study.db.Put(remoteLease, []byte(r.coordinator.Lease())); err != nil {
		return nil, err
	}
	if r.queued, err = r.coordinator.Queued(ctx); err != nil {
		return nil, err
	}
	return r, r.coordinator.Sync(ctx)
}

// connect connects to the server that the study names, or to one of its own.
func (r *remote) connect(ctx context.Context) (err error) {
	o := &r.trials.session.options.NATS
	if o.Embedded == "" {
		r.conn, err = queue.Connect(ctx, queue.Options{
			URL: cmp.Or(o.URL, r.trials.session.config.Accuracy.Trials.NATS), Name: "nas " + r.trials.session.config.Name, Log: o.Log,
			User: o.User, Password: o.Password, Token: o.Token, NKey: o.NKey, Creds: o.Creds, CA: o.CA, Cert: o.Cert, Key: o.Key,
		})
		return err
	}
	dir := r.trials.study.path(natsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r.server, err = queue.Serve(queue.ServerOptions{
		Addr: o.Embedded, Dir: dir, User: o.User, Password: o.Password, Token: o.Token, Cert: o.Cert, Key: o.Key, Log: o.Log,
	})
	if err != nil {
		return err
	}
	if o.Serving != nil {
		o.Serving(r.server.URL(), r.server.TokenFile())
	}
	r.conn, err = r.server.Connect(ctx)
	return err
}

func (r *remote) train(ctx context.Context, trial int, request trainer.Request) error {
	heard := make(chan struct{}, 1)
	r.mu.Lock()
	r.waiting[trial] = heard
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, trial)
		r.mu.Unlock()
	}()
	for {
		if _, ok := r.trials.result(trial); ok {
			return nil
		}
		if attempt := r.trials.attempt(trial); attempt != request.Attempt {
			request.Attempt = attempt
			if r.queued[[2]int{trial, attempt}] {
				continue // its end will be told, or was just now
			}
			if err := r.coordinator.Submit(ctx, queue.Job{Trial: trial, Request: request, Timeout: r.timeout}); err != nil {
				return err
			}
		}
		select {
		case <-heard:
		case <-r.coordinator.Done():
			return cmp.Or(r.coordinator.Err(), errors.New("the connection to the workers was closed"))
		case <-ctx.Done():
			return context.Cause(ctx) // the job stays: what comes of it is there when the study goes on
		}
	}
}

// handle takes in what a worker says. What was measured is stored when it returns.
func (r *remote) handle(e queue.Event) error {
	r.alone.Stop()
	t := r.trials
	t.mu.Lock()
	key, known := t.keys[e.Trial]
	t.mu.Unlock()
	if !known || e.Key != "" && e.Key != key {
		return nil // no trial of this study: whoever sent it, it measures nothing of ours
	}
	worker := describeWorker(e.Worker)
	switch e.Kind {
	case queue.Started:
		return t.study.db.Start(worker, e.Trial)
	case queue.Progressed:
		if t.report(e.Trial, key, *e.Progress) {
			return r.coordinator.Stop(e.Trial, e.Attempt)
		}
		return nil
	}
	var result trainer.Result
	var failed error
	if e.Failure != nil {
		failed = e.Failure
	} else {
		result = *e.Result
	}
	if _, err := t.ended(e.Trial, e.Attempt, worker, result, failed); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if heard := r.waiting[e.Trial]; heard != nil {
		select {
		case heard <- struct{}{}:
		default: // it has not yet looked since the last time
		}
	}
	return nil
}

// describeWorker returns the name of a worker with its labels, such as
// "gpu7-4711 gpu=a100".
func describeWorker(w queue.Identity) string {
	text := w.Name
	for _, label := range slices.Sorted(maps.Keys(w.Labels)) {
		text += " " + label + "=" + w.Labels[label]
	}
	return text
}

func (r *remote) close(ended bool) error {
	var errs []error
	if r.alone != nil {
		r.alone.Stop()
	}
	if r.coordinator != nil {
		if ended {
			ctx, cancel := context.WithTimeout(context.Background(), finishPatience)
			defer cancel()
			errs = append(errs, r.coordinator.Finish(ctx))
		} else {
			errs = append(errs, r.coordinator.Close())
		}
	}
	if r.conn != nil {
		r.conn.Close()
	}
	if r.server != nil {
		r.server.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("leave the workers: %w", err)
	}
	return nil
}

const (
	// finishPatience is how long a study that has ended tries to tell the workers.
	finishPatience = 20 * time.Second
	// alonePatience is how long nobody need take a trial before the user hears of it.
	alonePatience = 30 * time.Second
)
