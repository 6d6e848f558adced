//go:build unix

package queue

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/trainer"
)

// actAsTrainer is the main function of a trainer.
func actAsTrainer(mode string) {
	var r trainer.Request
	if data, err := os.ReadFile(os.Getenv(trainer.EnvRequest)); err != nil || unmarshal(data, &r) != nil {
		os.Exit(9)
	}
	switch mode {
	case "short":
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
	case "poison": // takes its worker with it
		_ = syscall.Kill(os.Getppid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "gate": // trains until the file is there
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
		for range 6000 {
			if _, err := os.Stat(os.Getenv(envFile)); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	case "epochs": // trains until it is stopped
		for n := 1; n < 6000; n++ {
			fmt.Printf(`{"epoch":%d,"accuracy":0.5}`+"\n", n)
			time.Sleep(10 * time.Millisecond)
		}
	case "fails":
		fmt.Fprintln(os.Stderr, "\x1b[31mno data\x1b[0m")
		os.Exit(3)
	}
	fmt.Printf(`{"accuracy":%v,"loss":1.5}`+"\n", accuracy(int(r.Seed)))
}

// actAsWorker is the main function of a worker, which SIGTERM drains.
func actAsWorker(slots string) error {
	n, err := strconv.Atoi(slots)
	if err != nil {
		return err
	}
	c, err := Connect(context.Background(), Options{
		URL: os.Getenv(envURL), Token: os.Getenv(envToken), Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	drain := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		close(drain)
	}()
	c.claimTime = testClaim
	return c.Work(context.Background(), Worker{Slots: n, Attempts: attempts(), Drain: drain, Command: self(os.Getenv(envFile))})
}

func attempts() int {
	n, _ := strconv.Atoi(os.Getenv("QUEUE_TEST_ATTEMPTS"))
	return n
}

// self is a command that runs the test binary as a trainer. A worker process gets
// the mode from its environment.
func self(file string) trainer.Command {
	mode := os.Getenv("QUEUE_TEST_MODE")
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return trainer.Command{
		Args: []string{exe}, Timeout: time.Minute, Grace: 5 * time.Second,
		Env: map[string]string{envTrainer: mode, envFile: file, "GORACE": "atexit_sleep_ms=0"},
	}
}

// A process is a worker in a process of its own.
type process struct {
	*exec.Cmd
	lines chan string // of its log; closed when it has ended
}

// start starts a worker with trainers that behave as mode says.
func start(t testing.TB, s *Server, mode string, slots int, env ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	p := &process{exec.Command(exe), make(chan string, 100_000)}
	p.Env = append(os.Environ(), envWorker+"="+strconv.Itoa(slots), envURL+"="+s.URL(), envToken+"="+s.Options().Token,
		"QUEUE_TEST_MODE="+mode, "GORACE=atexit_sleep_ms=0", "TMPDIR="+t.TempDir())
	p.Env = append(p.Env, env...)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	go func(r io.Reader) {
		for scan := bufio.NewScanner(r); scan.Scan(); {
			p.lines <- scan.Text()
		}
		close(p.lines)
	}(out)
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) kill() {
	_ = p.Process.Kill() // it may be dead
	p.wait()
}

func (p *process) wait() error {
	for range p.lines {
	}
	return p.Wait()
}

// await waits for a line of its log.
func (p *process) await(t testing.TB, text string) {
	t.Helper()
	for l := range p.lines {
		if strings.Contains(l, text) {
			return
		}
	}
	t.Fatalf("the worker has ended without %q", text)
}

// Workers die at random, and every trial is measured.
func TestKilledWorkers(t *testing.T) {
	trials, kills := 300, 12
	if testing.Short() {
		trials, kills = 60, 3
	}
	s := serve(t, ServerOptions{})
	q, events := coordinate(t, connect(t, s), Study{ID: study})
	for i := range trials {
		must(t, q.Submit(t.Context(), job(i, 1)))
	}
	var all [4]*process
	for i := range all {
		all[i] = start(t, s, "short", 2, "QUEUE_TEST_ATTEMPTS=100")
	}
	go func() {
		for i := range kills {
			time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
			_ = all[i%4].Process.Kill()
		}
	}()
	for i := range kills {
		p := all[i%4]
		_ = p.wait()
		all[i%4] = start(t, s, "short", 2, "QUEUE_TEST_ATTEMPTS=100")
	}
	accepted := make(map[int]bool)
	late := 0
	for len(accepted) < trials {
		e := ends(t, events, 1)[0]
		if e.Failure != nil || e.Result.Accuracy != accuracy(e.Trial) || e.Attempt != 1 || e.Result.Metrics["loss"] != 1.5 {
			t.Fatalf("trial %d ended with %+v, %v", e.Trial, e.Result, e.Failure)
		}
		if accepted[e.Trial] {
			late++
		}
		accepted[e.Trial] = true
	}
	t.Logf("%d trials, %d kills, %d ends too many", trials, kills, late)
	must(t, q.Sync(t.Context()))
}

// A worker that was silent for too long answers after its successor.
func TestLateAnswer(t *testing.T) {
	s := serve(t, ServerOptions{})
	q, events := coordinate(t, connect(t, s), Study{ID: study})
	gate := t.TempDir() + "/gate"
	slow := start(t, s, "gate", 1, envFile+"="+gate)
	must(t, q.Submit(t.Context(), job(7, 1)))
	slow.await(t, "trial started")
	must(t, slow.Process.Signal(syscall.SIGSTOP))
	_, ended := work(t, connect(t, s), Worker{Name: "quick", run: instant})
	e := ends(t, events, 1)[0]
	if e.Worker.Name != "quick" || e.Result == nil {
		t.Errorf("first: %+v", e)
	}
	must(t, os.WriteFile(gate, nil, 0o600))
	must(t, slow.Process.Signal(syscall.SIGCONT))
	e = ends(t, events, 1)[0]
	if e.Worker.Name == "quick" || e.Trial != 7 || e.Attempt != 1 || e.Result == nil || e.Result.Accuracy != accuracy(7) {
		t.Errorf("late: %+v", e)
	}
	// Both go on as before.
	for i := range 10 {
		must(t, q.Submit(t.Context(), job(20+i, 1)))
	}
	ends(t, events, 10)
	select {
	case err := <-ended:
		t.Error(err)
	default:
	}
}

// A job that kills each of its workers fails in the end.
func TestPoison(t *testing.T) {
	s := serve(t, ServerOptions{})
	q, events := coordinate(t, connect(t, s), Study{ID: study})
	must(t, q.Submit(t.Context(), job(7, 1)))
	deaths := make(chan int)
	done := make(chan struct{})
	go func() {
		n := 0
		for {
			p := start(t, s, "poison", 1, "QUEUE_TEST_ATTEMPTS=2")
			exited := make(chan struct{})
			go func() {
				_ = p.wait()
				close(exited)
			}()
			select {
			case <-exited:
				n++
			case <-done:
				_ = p.Process.Kill()
				<-exited
				deaths <- n
				return
			}
		}
	}()
	e := ends(t, events, 1)[0]
	close(done)
	if n := <-deaths; n != 2 {
		t.Errorf("%d workers died, want 2", n)
	}
	if e.Failure == nil || e.Failure.Reason != Lost || e.Failure.Retry() || !strings.Contains(e.Failure.Message, "2 deliveries") {
		t.Errorf("ended with %+v, %v", e.Result, e.Failure)
	}
}

// A worker that is told to end finishes what it does, and begins nothing.
func TestDrain(t *testing.T) {
	s := serve(t, ServerOptions{})
	q, events := coordinate(t, connect(t, s), Study{ID: study})
	gate := t.TempDir() + "/gate"
	p := start(t, s, "gate", 1, envFile+"="+gate)
	must(t, q.Submit(t.Context(), job(1, 1)))
	must(t, q.Submit(t.Context(), job(2, 1)))
	p.await(t, "trial started")
	must(t, p.Process.Signal(syscall.SIGTERM))
	must(t, os.WriteFile(gate, nil, 0o600))
	if e := ends(t, events, 1)[0]; e.Result == nil || e.Trial != 1 {
		t.Errorf("ended with %+v", e)
	}
	if err := p.wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	work(t, connect(t, s), Worker{run: instant})
	if e := ends(t, events, 1)[0]; e.Trial != 2 {
		t.Errorf("then %+v", e)
	}
}

// A training that is cancelled goes to another worker at once.
func TestCancel(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	c.claimTime = time.Hour // else the job would come back by itself
	q, events := coordinate(t, c, Study{ID: study})
	t.Setenv("QUEUE_TEST_MODE", "gate")
	cancel, ended := work(t, c, Worker{Command: self(t.TempDir() + "/gate")})
	must(t, q.Submit(t.Context(), job(1, 1)))
	await(t, events, Progressed)
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("ended with %v", err)
	}
	work(t, connect(t, s), Worker{run: instant})
	if e := ends(t, events, 1)[0]; e.Result == nil || e.Trial != 1 {
		t.Errorf("ended with %+v", e)
	}
}

// What trainers say arrives.
func TestOutcomes(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	q, events := coordinate(t, c, Study{ID: study})
	t.Setenv("QUEUE_TEST_MODE", "epochs")
	stop, ended := work(t, c, Worker{Name: "w", Labels: map[string]string{"gpu": "a100"}, Command: self("")})
	must(t, q.Submit(t.Context(), job(1, 1)))
	e := await(t, events, Started)
	if e.Key != "n1" || e.Worker.Name != "w" || e.Worker.Labels["gpu"] != "a100" || e.Worker.Host == "" {
		t.Errorf("started: %+v", e)
	}
	if e = await(t, events, Progressed); e.Progress.Epoch != 1 || e.Progress.Accuracy != 0.5 {
		t.Errorf("progress: %+v", e.Progress)
	}
	must(t, q.Stop(1, 2)) // there is no such
	must(t, q.Stop(1, 1))
	if e = ends(t, events, 1)[0]; e.Result == nil || !e.Result.Stopped || e.Result.Epoch < 1 || e.Result.Accuracy != 0.5 {
		t.Errorf("stopped: %+v %v", e.Result, e.Failure)
	}
	j := job(2, 1)
	j.Timeout = time.Millisecond
	must(t, q.Submit(t.Context(), j))
	if e = ends(t, events, 1)[0]; e.Failure == nil || e.Failure.Reason != trainer.TimedOut {
		t.Errorf("timed out: %+v %v", e.Result, e.Failure)
	}
	stop()
	<-ended

	t.Setenv("QUEUE_TEST_MODE", "fails")
	work(t, c, Worker{Command: self("")})
	must(t, q.Submit(t.Context(), job(3, 1)))
	if e = ends(t, events, 1)[0]; e.Failure == nil || e.Failure.Error() != "exit status 3: no data" || !e.Failure.Retry() {
		t.Errorf("failed: %+v %v", e.Result, e.Failure)
	}
}

// Trainings of a study that has ended end too, and their jobs do not come back.
func TestFinish(t *testing.T) {
	s := serve(t, ServerOptions{})
	c := connect(t, s)
	q, events := coordinate(t, c, Study{ID: study})
	t.Setenv("QUEUE_TEST_MODE", "gate")
	work(t, c, Worker{Command: self(t.TempDir() + "/gate")})
	must(t, q.Submit(t.Context(), job(1, 1)))
	must(t, q.Submit(t.Context(), job(2, 1)))
	await(t, events, Progressed)
	must(t, q.Finish(t.Context()))
	must(t, q.Err())
	for { // until the worker has heard of it
		status, err := c.Status(t.Context(), "")
		must(t, err)
		if status.Workers[0].Busy == 0 && status.Waiting+status.Taken+status.Results == 0 {
			break
		}
	}
	if err := q.Submit(t.Context(), job(3, 1)); err == nil {
		t.Error("a job was submitted to a study that has ended")
	}
}
