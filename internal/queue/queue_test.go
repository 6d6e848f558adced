package queue

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/efficientnas/nas/internal/trainer"
)

func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// await returns the next event of a kind.
func await(t testing.TB, events <-chan Event, kind Kind) Event {
	t.Helper()
	timeout := time.After(time.Minute) // for a test that hangs
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			t.Fatalf("no event %s", kind)
		}
	}
}

// The server goes, and comes back with what it had stored.
func TestServerRestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Serve(ServerOptions{Addr: "127.0.0.1:0", Dir: dir})
	must(t, err)
	addr := strings.TrimPrefix(s.URL(), "nats://")
	o := s.Options()
	o.server = nil // over the network, to find the next server

	q, events := coordinate(t, dial(t, o), Study{ID: study})
	begun, proceed := make(chan int, 100), make(chan struct{})
	run := func(_ context.Context, _ *trainer.Command, r trainer.Request, _ func(trainer.Progress) bool) (trainer.Result, error) {
		begun <- int(r.Seed)
		<-proceed
		return trainer.Result{Accuracy: accuracy(int(r.Seed))}, nil
	}
	work(t, dial(t, o), Worker{Slots: 2, run: run})
	for i := range 20 {
		must(t, q.Submit(t.Context(), job(i, 1)))
	}
	<-begun
	<-begun
	s.Close()
	close(proceed) // two end while there is no server
	submitted := make(chan error)
	go func() { submitted <- q.Submit(t.Context(), job(20, 1)) }()
	<-time.After(3 * testClaim / 2) // or longer: their claims end
	serve(t, ServerOptions{Addr: addr, Dir: dir})
	must(t, <-submitted)
	measured := make(map[int]bool)
	for len(measured) < 21 {
		e := ends(t, events, 1)[0]
		if e.Result == nil || e.Result.Accuracy != accuracy(e.Trial) {
			t.Fatalf("trial %d: %v", e.Trial, e.Failure)
		}
		measured[e.Trial] = true
	}
	must(t, q.Err())
	must(t, q.Close())
}

// A job that is there is not doubled, whoever submits it.
func TestSubmitTwice(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	q, _ := coordinate(t, c, Study{ID: study})
	for range 3 {
		must(t, q.Submit(t.Context(), job(1, 1)))
	}
	must(t, q.Submit(t.Context(), job(1, 2)))
	must(t, q.Close())
	q, events := coordinate(t, c, Study{ID: study})
	must(t, q.Submit(t.Context(), job(1, 1)))
	must(t, q.Withdraw(t.Context(), 1))
	must(t, q.Withdraw(t.Context(), 2)) // there is none
	must(t, q.Submit(t.Context(), job(1, 1)))
	must(t, q.Submit(t.Context(), job(1, 1)))
	status, err := c.Status(t.Context(), "")
	must(t, err)
	if status.Waiting != 1 || status.Taken != 0 || len(status.Workers) != 0 {
		t.Errorf("status: %+v", status)
	}
	work(t, c, Worker{run: instant})
	must(t, q.Submit(t.Context(), job(2, 1)))
	var got []int
	for _, e := range ends(t, events, 2) {
		got = append(got, e.Trial)
	}
	if !slices.Equal(got, []int{1, 2}) {
		t.Errorf("measured %v", got)
	}
}

// Ends wait for a coordinator, also for one that could not store them.
func TestResume(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	full := errors.New("disk full")
	q, err := c.Coordinate(t.Context(), Study{ID: study}, func(Event) error { return full })
	must(t, err)
	for i := range 5 {
		must(t, q.Submit(t.Context(), job(i, 1)))
	}
	stop, ended := work(t, c, Worker{run: instant})
	<-q.Done()
	if !errors.Is(q.Err(), full) {
		t.Errorf("ended with %v", q.Err())
	}
	if err := q.Submit(t.Context(), job(9, 1)); !errors.Is(err, full) {
		t.Errorf("submitted: %v", err)
	}
	must(t, q.Close())
	must(t, q.Close())
	for { // until all is done
		status, err := c.Status(t.Context(), DefaultQueue)
		must(t, err)
		if status.Waiting+status.Taken == 0 {
			if w := status.Workers; len(w) != 1 || w[0].Done != 5 || w[0].Failed != 0 || w[0].Slots != 1 || status.Results != 10 {
				t.Errorf("status: %+v", status)
			}
			break
		}
	}
	stop()
	<-ended
	q, events := coordinate(t, c, Study{ID: study})
	must(t, q.Sync(t.Context()))
	if len(events) != 10 {
		t.Errorf("%d events, want 5 starts and 5 ends", len(events))
	}
	for i := range 5 { // in order
		if a, b := <-events, <-events; a.Kind != Started || b.Kind != Ended || a.Trial != i || b.Trial != i {
			t.Errorf("got %+v and %+v", a, b)
		}
	}
	must(t, q.Sync(t.Context()))
}

func TestLease(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	c.leaseTime = 300 * time.Millisecond
	first, _ := coordinate(t, c, Study{ID: study})
	ignore := func(Event) error { return nil }

	host, _ := os.Hostname()
	_, err := c.Coordinate(t.Context(), Study{ID: study}, ignore)
	var taken *LeaseError
	if !errors.As(err, &taken) || taken.Host != host || taken.PID != os.Getpid() || taken.Since.IsZero() {
		t.Fatalf("second coordinator: %v", err)
	}
	if _, err = c.Coordinate(t.Context(), Study{ID: study, Predecessor: "other"}, ignore); !errors.As(err, &taken) {
		t.Fatalf("second coordinator, of another line: %v", err)
	}
	other, _ := coordinate(t, c, Study{ID: NewID()}) // is not concerned
	must(t, other.Close())
	<-time.After(2 * c.leaseTime) // it is renewed
	if _, err = c.Coordinate(t.Context(), Study{ID: study}, ignore); !errors.As(err, &taken) {
		t.Fatalf("second coordinator, later: %v", err)
	}

	second, _ := coordinate(t, c, Study{ID: study, Predecessor: first.Lease()})
	<-first.Done()
	if first.Err() == nil || !strings.Contains(first.Err().Error(), "taken over") {
		t.Errorf("the first has ended with %v", first.Err())
	}
	if first.Lease() == second.Lease() {
		t.Error("two leases have one token")
	}
	must(t, first.Close())
	must(t, second.Err())
	must(t, second.Close())

	// Of one that was killed the lease ends by itself.
	_, err = c.acquire(t.Context(), DefaultQueue, study, "")
	must(t, err)
	for {
		third, err := c.Coordinate(t.Context(), Study{ID: study}, ignore)
		if err == nil {
			must(t, third.Close())
			break
		}
		if !errors.As(err, &taken) {
			t.Fatal(err)
		}
	}
}

// Whatever others send, a study goes on.
func TestGarbage(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	c.claimTime = 50 * time.Millisecond
	q, events := coordinate(t, c, Study{ID: study})
	newer, err := encodeJob(study, job(3, 1))
	must(t, err)
	newer = []byte(strings.Replace(string(newer), `"version":1`, `"version":2,"more":true`, 1))
	a := address{study, 3, 1}
	send := func(subject string, data []byte) {
		t.Helper()
		must(t, c.nc.Publish(subject, data))
	}
	send(trialSubject(DefaultQueue, a), newer)
	send(trialSubject(DefaultQueue, address{study, 4, 1}), []byte("garbage"))
	send("nas.trials.default.a.b.c", []byte("garbage"))
	send(resultSubject(DefaultQueue, study), nil)
	send(resultSubject(DefaultQueue, study), []byte(`{"version":1,"study":"`+study+`","trial":1,"attempt":1,"kind":"ended","result":{"accuracy":7}}`))
	send(resultSubject(DefaultQueue, study), make([]byte, maxEvent+8<<10))
	for _, subject := range []string{"nas.stop.default.x", "nas.stop.default." + a.String(), "nas.cancel.default.x", "nas.status.default"} {
		send(subject, []byte("garbage"))
	}
	if _, err := c.js.Publish(t.Context(), trialSubject(DefaultQueue, a), make([]byte, 1<<20+1)); err == nil {
		t.Error("an oversize job was stored")
	}
	work(t, c, Worker{run: instant})
	must(t, q.Submit(t.Context(), job(1, 1)))
	got := make(map[int]Event)
	for _, e := range ends(t, events, 3) {
		got[e.Trial] = e
	}
	if got[1].Result == nil {
		t.Errorf("a good job ended with %+v", got[1])
	}
	for trial, want := range map[int]string{3: "version 2, this nas understands 1", 4: "cannot be read"} {
		f := got[trial].Failure
		if f == nil || f.Reason != Refused || f.Retry() || !strings.Contains(f.Message, want) {
			t.Errorf("trial %d ended with %+v, want %s", trial, f, want)
		}
	}
	reply, err := c.nc.SubscribeSync("inbox")
	must(t, err)
	must(t, c.nc.PublishRequest("nas.status.default", "inbox", make([]byte, 1<<16)))
	if _, err := reply.NextMsg(10 * time.Second); err != nil {
		t.Errorf("no status: %v", err)
	}
	must(t, reply.Unsubscribe())
}

// A queue that is full makes Submit wait. Streams that an administrator has made
// are left as they are.
func TestFull(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	_, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: trialsStream("small"), Subjects: []string{"nas.trials.small.>"}, Retention: jetstream.WorkQueuePolicy,
		MaxMsgs: 2, Discard: jetstream.DiscardNew,
	})
	must(t, err)
	q, events := coordinate(t, c, Study{Queue: "small", ID: study})
	must(t, q.Submit(t.Context(), job(1, 1)))
	must(t, q.Submit(t.Context(), job(2, 1)))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := q.Submit(ctx, job(3, 1)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "maximum messages exceeded") {
		t.Errorf("a full queue: %v", err)
	}
	submitted := make(chan error)
	go func() { submitted <- q.Submit(t.Context(), job(3, 1)) }()
	work(t, c, Worker{Queue: "small", run: instant})
	must(t, <-submitted)
	ends(t, events, 3)

	_, err = c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: trialsStream("odd"), Subjects: []string{"nas.trials.odd.>"}})
	must(t, err)
	if err := c.Work(t.Context(), Worker{Queue: "odd", run: instant}); err == nil || !strings.Contains(err.Error(), "retention") {
		t.Errorf("a stream of another kind: %v", err)
	}
}

// A worker whose command cannot be run takes nothing, and gives back what it has.
func TestBrokenCommand(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	q, events := coordinate(t, c, Study{ID: study})
	var config *trainer.ConfigError
	if err := c.Work(t.Context(), Worker{Command: trainer.Command{Args: []string{"no such program"}}}); !errors.As(err, &config) {
		t.Errorf("no program: %v", err)
	}
	gone := func(context.Context, *trainer.Command, trainer.Request, func(trainer.Progress) bool) (trainer.Result, error) {
		return trainer.Result{}, &trainer.ConfigError{Err: errors.New("removed")}
	}
	_, ended := work(t, c, Worker{run: gone})
	must(t, q.Submit(t.Context(), job(1, 1)))
	if err := <-ended; !errors.As(err, &config) {
		t.Errorf("a program that is removed: %v", err)
	}
	work(t, c, Worker{run: instant})
	if e := ends(t, events, 1)[0]; e.Result == nil {
		t.Errorf("ended with %v", e.Failure)
	}
}

// A worker that has nothing to do ends when it is told to.
func TestDrainIdle(t *testing.T) {
	c := connect(t, serve(t, ServerOptions{}))
	drain := make(chan struct{})
	_, ended := work(t, c, Worker{run: instant, Drain: drain})
	close(drain)
	must(t, <-ended)
}

func TestWorkerCheck(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		w    Worker
		want string
	}{
		{Worker{Queue: "a b"}, `queue "a b": a name is 1 to 64 letters, digits, - and _`},
		{Worker{Slots: -1}, "slots are -1"},
		{Worker{Slots: 5000}, "slots are 5000, want 1 to 4096"},
		{Worker{Attempts: -1}, "attempts are -1"},
		{Worker{Name: long}, "want at most 128 bytes"},
		{Worker{Name: "a\x1b[31m"}, "that can be printed"},
		{Worker{Labels: map[string]string{"": "x"}}, "label"},
		{Worker{Labels: map[string]string{"gpu": long}}, "at most 64 bytes"},
	}
	for _, test := range tests {
		test.w.run = instant
		if err := test.w.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %s", test.w, err, test.want)
		}
	}
}

// A server that comes back without what it had stored ends the coordinator, which
// would wait for ever, but not the workers.
func TestServerLost(t *testing.T) {
	s, err := Serve(ServerOptions{Addr: "127.0.0.1:0", Dir: t.TempDir(), Token: "secret"})
	must(t, err)
	addr := strings.TrimPrefix(s.URL(), "nats://")
	o := s.Options()
	o.server = nil
	c := dial(t, o)
	c.leaseTime = time.Second
	q, events := coordinate(t, c, Study{ID: study})
	work(t, dial(t, o), Worker{run: instant})
	must(t, q.Submit(t.Context(), job(0, 1)))
	ends(t, events, 1) // so all are there
	s.Close()
	serve(t, ServerOptions{Addr: addr, Dir: t.TempDir(), Token: "secret"})
	<-q.Done()
	if q.Err() == nil || !strings.Contains(q.Err().Error(), "lost its store") {
		t.Errorf("ended with %v", q.Err())
	}
	q, events = coordinate(t, c, Study{ID: study})
	must(t, q.Submit(t.Context(), job(1, 1)))
	ends(t, events, 1)
}
