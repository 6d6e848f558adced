package queue

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/efficientnas/nas/internal/trainer"
)

// The test binary runs itself again, as a worker or as the trainer of one.
const (
	envWorker  = "QUEUE_TEST_WORKER"  // the slots of a worker
	envURL     = "QUEUE_TEST_URL"     // its server
	envToken   = "QUEUE_TEST_TOKEN"   //
	envTrainer = "QUEUE_TEST_TRAINER" // how a trainer behaves
	envFile    = "QUEUE_TEST_FILE"    // that it works with
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envTrainer); mode != "" {
		actAsTrainer(mode)
		os.Exit(0)
	}
	if slots := os.Getenv(envWorker); slots != "" {
		if err := actAsWorker(slots); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "after all tests:", err)
		code = 1
	}
	os.Exit(code)
}

// Claims of tests are short: a dead worker is noticed after so long.
const testClaim = 500 * time.Millisecond

const study = "0123456789abcdef0123456789abcdef"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve starts a server at a free port, which ends with the test.
func serve(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Serve(o)
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// connect connects in the process, with a short claim.
func connect(t testing.TB, s *Server) *Conn {
	t.Helper()
	return dial(t, s.Options())
}

func dial(t testing.TB, o Options) *Conn {
	t.Helper()
	c, err := Connect(t.Context(), o)
	must(t, err)
	c.claimTime = testClaim
	t.Cleanup(c.Close)
	return c
}

// coordinate begins a study whose events go to a channel that has room for all.
func coordinate(t testing.TB, c *Conn, s Study) (*Coordinator, <-chan Event) {
	t.Helper()
	events := make(chan Event, 100_000)
	q, err := c.Coordinate(t.Context(), s, func(e Event) error {
		events <- e
		return nil
	})
	must(t, err)
	t.Cleanup(func() { _ = q.Close() }) // a test that closes it looks at the error
	return q, events
}

func job(trial, attempt int) Job {
	return Job{Trial: trial, Request: trainer.Request{
		Key: "n" + strconv.Itoa(trial), Architecture: []byte(`{"stages":[]}`), Seed: uint32(trial), Attempt: attempt,
	}}
}

// accuracy is that of a trial.
func accuracy(trial int) float64 { return float64(trial%100) / 100 }

// work starts a worker, which ends with the test, and returns how it ends.
func work(t testing.TB, c *Conn, w Worker) (cancel context.CancelFunc, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		end <- c.Work(ctx, w)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return cancel, end
}

// instant is a training that takes no time.
func instant(_ context.Context, _ *trainer.Command, r trainer.Request, report func(trainer.Progress) bool) (trainer.Result, error) {
	return trainer.Result{Accuracy: accuracy(int(r.Seed))}, nil
}

// ends returns the next n ends of trainings.
func ends(t testing.TB, events <-chan Event, n int) []Event {
	t.Helper()
	var all []Event
	timeout := time.After(time.Minute) // for a test that hangs
	for len(all) < n {
		select {
		case e := <-events:
			if e.Kind == Ended {
				all = append(all, e)
			}
		case <-timeout:
			t.Fatalf("%d of %d trainings have ended", len(all), n)
		}
	}
	return all
}
