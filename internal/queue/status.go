package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Status is how things stand on a queue, of all studies.
type Status struct {
	Waiting int            // jobs that no worker has taken
	Taken   int            // jobs that a worker has, or had before it died
	Results int            // events that no coordinator has handled
	Workers []WorkerStatus // that answered, by name
}

// WorkerStatus is what a worker says of itself.
type WorkerStatus struct {
	Identity
	Slots  int       `json:"slots"`
	Busy   int       `json:"busy"`   // jobs that it has
	Done   int       `json:"done"`   // trainings with a result since it began
	Failed int       `json:"failed"` // and those without
	Since  time.Time `json:"since"`
}

type replyMessage struct {
	Version int `json:"version"`
	WorkerStatus
}

// Most workers answer within a round trip; the rest is for a machine that is busy.
const (
	gatherTime = 500 * time.Millisecond
	maxWorkers = 10_000
)

// Status asks the server and all workers of a queue. It takes half a second.
func (c *Conn) Status(ctx context.Context, queue string) (Status, error) {
	if queue == "" {
		queue = DefaultQueue
	}
	if err := CheckName(queue); err != nil {
		return Status{}, err
	}
	fail := func(err error) (Status, error) {
		return Status{}, fmt.Errorf("status of queue %q at %s: %w", queue, c.url, err)
	}
	var s Status
	// Nothing is made here: to ask about a queue that is not there is no order.
	trials, err := c.js.Stream(ctx, trialsStream(queue))
	if err != nil {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = errors.New("there is no such queue")
		}
		return fail(err)
	}
	results, err := c.js.Stream(ctx, resultsStream(queue))
	if err != nil {
		return fail(err)
	}
	jobs, err := trials.Consumer(ctx, workers)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fail(err)
	}
	if err == nil {
		s.Taken = jobs.CachedInfo().NumAckPending
	}
	s.Waiting = max(0, int(trials.CachedInfo().State.Msgs)-s.Taken)
	s.Results = int(results.CachedInfo().State.Msgs)
	if s.Workers, err = c.gather(ctx, queue); err != nil {
		return fail(err)
	}
	return s, nil
}

// gather collects the answers of the workers.
func (c *Conn) gather(ctx context.Context, queue string) ([]WorkerStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	inbox := c.nc.NewRespInbox()
	answers, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }() // fails if the connection was closed
	if err := c.nc.PublishRequest(statusSubject(queue), inbox, nil); err != nil {
		return nil, err
	}
	var all []WorkerStatus
	for len(all) < maxWorkers {
		m, err := answers.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) {
			break
		}
		if err != nil {
			return nil, err
		}
		w, err := decodeReply(m.Data)
		if err != nil {
			c.log.Warn("status of a worker ignored", "error", err)
			continue
		}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b WorkerStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Since.Compare(b.Since))
	})
	return all, nil
}

func encodeReply(w WorkerStatus) ([]byte, error) { return json.Marshal(replyMessage{Version, w}) }

func decodeReply(data []byte) (WorkerStatus, error) {
	var m replyMessage
	if err := decode(data, maxReply, &m, &m.Version); err != nil {
		return WorkerStatus{}, err
	}
	for _, n := range []int{m.Slots, m.Busy, m.Done, m.Failed} {
		if n < 0 {
			return WorkerStatus{}, errors.New("a number is negative")
		}
	}
	m.Identity.clean()
	return m.WorkerStatus, nil
}
