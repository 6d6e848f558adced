//go:build unix

package queue_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/trainer"
)

func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// trial 7 has accuracy 0.75
}

func example() error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "nas-queue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := queue.Serve(queue.ServerOptions{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		return err
	}
	defer server.Close()
	conn, err := server.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()

	// A worker: nas worker does this, on other machines.
	drain, drained := make(chan struct{}), make(chan error)
	go func() {
		drained <- conn.Work(ctx, queue.Worker{
			Command: trainer.Command{Args: []string{"echo", `{"accuracy":0.75}`}, Timeout: time.Minute},
			Drain:   drain,
		})
	}()

	// The coordinator: nas run.
	ended := make(chan queue.Event, 1)
	c, err := conn.Coordinate(ctx, queue.Study{ID: queue.NewID()}, func(e queue.Event) error {
		if e.Kind == queue.Ended { // store it here
			ended <- e
		}
		return nil
	})
	if err != nil {
		return err
	}
	job := queue.Job{Trial: 7, Request: trainer.Request{Key: "n7", Architecture: []byte(`{"name":"small"}`), Attempt: 1}}
	if err := c.Submit(ctx, job); err != nil {
		return err
	}
	e := <-ended
	if e.Failure != nil {
		return e.Failure
	}
	fmt.Println("trial", e.Trial, "has accuracy", e.Result.Accuracy)

	close(drain)
	if err := <-drained; err != nil {
		return err
	}
	return c.Finish(ctx)
}
