package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/queue"
	"github.com/efficientnas/nas/internal/trainer"
)

// nas status lists the workers of a queue.
func TestStatusOfQueue(t *testing.T) {
	server, err := queue.Serve(queue.ServerOptions{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	status := func(args ...string) (string, string, int) {
		var out, talk bytes.Buffer
		args = append([]string{"status", "--nats", server.URL(), "--token-file", server.TokenFile()}, args...)
		code := run(t.Context(), args, &out, &talk)
		return out.String(), talk.String(), code
	}
	if _, talk, code := status(); code != exitFailed || !strings.Contains(talk, "there is no such queue") {
		t.Errorf("no queue: %d, %s", code, talk)
	}

	conn, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	self, err := os.Executable() // which no job has started
	if err != nil {
		t.Fatal(err)
	}
	drain, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- conn.Work(t.Context(), queue.Worker{
			Name: "gpu7", Labels: map[string]string{"gpu": "a100", "at": "lab"}, Slots: 3, Drain: drain,
			Command: trainer.Command{Args: []string{self}},
		})
	}()
	var out string
	for begin := time.Now(); !strings.Contains(out, "gpu7"); {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("no worker in\n%s", out)
		}
		out, _, _ = status()
	}
	for _, want := range []string{"0 jobs waiting, 0 taken, 0 results not yet handled", "1 answered, 0 of 3 slots busy", "at=lab gpu=a100"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, talk, code := status("--format", "json")
	var got struct {
		Queue struct {
			Name, URL string
			Waiting   *int
			Workers   []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDone {
		t.Fatalf("%d, %v: %s\n%s", code, err, out, talk)
	}
	if q := got.Queue; q.Name != "default" || q.URL != server.URL() || q.Waiting == nil || len(q.Workers) != 1 || q.Workers[0]["slots"] != 3. {
		t.Errorf("got %+v", q)
	}
	close(drain)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
