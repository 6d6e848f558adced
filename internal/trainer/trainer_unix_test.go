//go:build unix

package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// actAsTrainer is the main function of a trainer. Some modes go on until they are
// ended, at most for the minute that keeps a failed test from leaving them.
func actAsTrainer(mode string) {
	forever := func() { time.Sleep(time.Minute) }
	switch mode {
	case "good":
		_, _ = io.Copy(os.Stderr, os.Stdin)
		for _, name := range []string{EnvRequest, EnvArchitecture} {
			data, err := os.ReadFile(os.Getenv(name))
			fmt.Fprintf(os.Stderr, "%s\n", data)
			if err != nil {
				os.Exit(9)
			}
		}
		if os.WriteFile(filepath.Join(os.Getenv(EnvTrialDir), "checkpoint"), nil, 0o400) != nil {
			os.Exit(9)
		}
		fmt.Println("loading data")
		fmt.Println(`{"epoch":1,"accuracy":0.5,"loss":3}`)
		fmt.Println(`{"epoch":2,"accuracy":0.625}`)
		fmt.Println(`{"accuracy":0.75,"loss":1.5,"sd":NaN,"note":"done"}`)
		fmt.Println("bye")
	case "epochs only":
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
		fmt.Print(`{"epoch":2,"accuracy":0.4,"loss":2}`)
	case "result first":
		fmt.Println(`{"accuracy":0.75}`)
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
	case "exit 3":
		fmt.Println(`{"epoch":4,"accuracy":0.4}`)
		fmt.Println(`{"accuracy":0.5}`)
		fmt.Fprintln(os.Stderr, "Traceback\n\x1b[31mRuntimeError\x1b[0m: shapes differ\x07")
		os.Exit(3)
	case "exit 65":
		os.Exit(ExitHopeless)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		forever()
	case "terminated":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		forever()
	case "no result":
		fmt.Println(`{"loss":2}`)
		fmt.Fprintln(os.Stderr, "data set is empty")
	case "NaN":
		fmt.Println(`{"epoch":1,"accuracy":NaN}`)
		forever()
	case "percent":
		fmt.Println(`{"accuracy":71.3}`)
	case "text":
		fmt.Println(`{"accuracy":"0.7"}`)
	case "bad epoch":
		fmt.Println(`{"accuracy":0.7,"epoch":-1}`)
	case "sleep":
		writePID()
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
		forever()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		writePID()
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
		forever()
	case "polite": // has something to do before it ends
		ask := make(chan os.Signal, 1)
		signal.Notify(ask, syscall.SIGTERM)
		fmt.Println(`{"epoch":1,"accuracy":0.5}`)
		<-ask
		fmt.Println(repeat("x", 1<<20)) // more than a pipe holds
		fmt.Println(`{"epoch":2,"accuracy":0.6}`)
		fmt.Fprintln(os.Stderr, "checkpoint saved")
		fmt.Println(`{"accuracy":0.9}`)
	case "family": // goes, and leaves children that hold its output or do not
		for _, output := range []*os.File{os.Stdout, nil} {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), envMode+"=stubborn")
			if output != nil {
				child.Stdout, child.Stderr = output, os.Stderr
			}
			if child.Start() != nil {
				os.Exit(9)
			}
		}
		for len(readPIDs(os.Getenv(envPIDs))) < 2 { // they ignore SIGTERM by now
			time.Sleep(time.Millisecond)
		}
		fmt.Println(`{"accuracy":0.75}`)
	case "outsider": // leaves a child in a session of its own, which holds its output
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), envMode+"=sleep")
		child.Stdout = os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if child.Start() != nil {
			os.Exit(9)
		}
		for len(readPIDs(os.Getenv(envPIDs))) < 1 {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(`{"accuracy":0.75}`)
	case "huge":
		junk := repeat("x", 1<<20)
		for range 32 {
			fmt.Print(junk)
			fmt.Fprint(os.Stderr, junk)
		}
		fmt.Println("\n" + `{"accuracy":0.9,"pad":"` + repeat("x", maxLine) + `"}`)
		fmt.Println(`{"accuracy":0.75}`)
		fmt.Fprint(os.Stderr, "\nlast words")
	case "garbage":
		noise := make([]byte, 100_000)
		for i := range noise {
			noise[i] = byte(i * i >> 3)
		}
		os.Stdout.Write(noise)
		os.Stderr.Write(noise)
		fmt.Println("\n{\"accuracy\":0.75,\"\xff\xfe\":1,\"\\u0000\":2}")
	case "many":
		for i := range 20_000 {
			fmt.Printf("{\"epoch\":%d,\"accuracy\":0.5}\n", i+1)
		}
	case "deaf":
		os.Stdin.Close()
		fmt.Println(`{"accuracy":0.75}`)
	case "parent": // of a trainer, and dies
		c := &Command{Args: os.Args[:1], Env: map[string]string{envMode: "sleep"}}
		_, _ = c.Run(context.Background(), request(), func(Progress) bool {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			return false
		})
	default:
		os.Exit(8)
	}
}

func writePID() {
	if name := os.Getenv(envPIDs); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			os.Exit(9)
		}
		fmt.Fprintln(f, os.Getpid())
		f.Close()
	}
}

// readPIDs returns the process IDs in a file, none if there is no file.
func readPIDs(name string) []int {
	data, _ := os.ReadFile(name)
	var all []int
	for line := range strings.Lines(string(data)) {
		if pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
			all = append(all, pid)
		}
	}
	return all
}

// running reports whether a process is there and no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		_, noProc := os.Stat("/proc/self/stat")
		return noProc != nil
	}
	after := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return !strings.HasPrefix(after, " Z") && !strings.HasPrefix(after, " X")
}

// expectGone fails unless the n processes in the file end: the kernel may take a
// moment after SIGKILL.
func expectGone(t *testing.T, name string, n int) {
	t.Helper()
	pids := readPIDs(name)
	if len(pids) != n {
		t.Fatalf("%d processes wrote their ID, want %d", len(pids), n)
	}
	for _, pid := range pids {
		for end := time.Now().Add(30 * time.Second); running(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d still runs", pid)
			}
		}
	}
}

// expectEmpty fails unless the folder of the trials is empty.
func expectEmpty(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

// findChildren returns an error if this process has children, zombies included.
func findChildren() error {
	pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	if err == syscall.ECHILD {
		return nil
	}
	return fmt.Errorf("there are child processes: %d, %v", pid, err)
}

func TestGood(t *testing.T) {
	var all []Progress
	r, err := command(t, "good").Run(t.Context(), request(), func(p Progress) bool {
		all = append(all, p)
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Progress{{1, 0.5}, {2, 0.625}}, all); diff != "" {
		t.Errorf("progress:\n%s", diff)
	}
	asked := `{"version":1,"key":"n1","architecture":{"name":"small","stages":[]},"costs":{"macs":600000000},` +
		`"dataset":"digits","budget":{"epochs":3,"seconds":60},"seed":7,"attempt":2}` + "\n"
	want := Result{
		Accuracy: 0.75, Epoch: 2, Metrics: map[string]float64{"loss": 1.5},
		Stderr: asked + asked + "\n" + `{"name":"small","stages":[]}` + "\n",
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(Result{}, "Duration")); diff != "" {
		t.Errorf("result:\n%s", diff)
	}
	if r.Duration <= 0 {
		t.Errorf("took %v", r.Duration)
	}
	expectEmpty(t)
}

// TestRequest checks that a trainer is sent what a request is written as.
func TestRequest(t *testing.T) {
	req := request()
	req.Layers = []byte(" [{\"op\": \"input\"},\n{\"op\":\"conv\"}]\n")
	c := command(t, "good")
	r, err := c.Run(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Budget.Seconds = c.Timeout.Seconds()
	want, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	sent, _, _ := strings.Cut(r.Stderr, "\n")
	if sent != string(want) || !strings.Contains(sent, `,"layers":[{"op":"input"},{"op":"conv"}],"costs":`) {
		t.Errorf("sent    %s\nwritten %s", sent, want)
	}
}

func TestResults(t *testing.T) {
	tests := []struct {
		mode     string
		accuracy float64
		epoch    int
		metrics  map[string]float64
		stderr   string // its end
	}{
		{mode: "epochs only", accuracy: 0.4, epoch: 2, metrics: map[string]float64{"loss": 2}},
		{mode: "result first", accuracy: 0.75, epoch: 1},
		{mode: "huge", accuracy: 0.75, stderr: "last words"},
		{mode: "garbage", accuracy: 0.75, metrics: map[string]float64{"\ufffd\ufffd": 1}},
		{mode: "deaf", accuracy: 0.75},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			req := request() // more than a pipe holds
			req.Architecture = []byte(`{"name":"` + repeat("x", 1<<20) + `"}`)
			r, err := command(t, test.mode).Run(t.Context(), req, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Accuracy != test.accuracy || r.Epoch != test.epoch || r.Stopped || !cmp.Equal(r.Metrics, test.metrics) {
				t.Errorf("got %v at %d, stopped %v, metrics %v", r.Accuracy, r.Epoch, r.Stopped, r.Metrics)
			}
			if !strings.HasSuffix(r.Stderr, test.stderr) || len(r.Stderr) > 3*maxTail || r.Stderr != SafeText(r.Stderr) {
				t.Errorf("standard error: %q", r.Stderr)
			}
			expectEmpty(t)
		})
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		mode  string
		want  Failure
		err   string
		retry bool
	}{
		{
			mode: "exit 3", err: "exit status 3: RuntimeError: shapes differ", retry: true,
			want: Failure{
				Reason: Exited, Code: 3, Message: "exit status 3", Last: &Progress{4, 0.4},
				Stderr: "Traceback\nRuntimeError: shapes differ\n",
			},
		},
		{mode: "exit 65", err: "exit status 65", want: Failure{Reason: Exited, Code: 65, Message: "exit status 65"}},
		{
			mode: "killed", err: "killed by SIGKILL (out of memory?)", retry: true,
			want: Failure{Reason: Signalled, Message: "killed by SIGKILL (out of memory?)"},
		},
		{
			mode: "terminated", err: "killed by SIGTERM", retry: true,
			want: Failure{Reason: Signalled, Message: "killed by SIGTERM"},
		},
		{
			mode: "no result", err: "no accuracy on standard output: data set is empty",
			want: Failure{Reason: NoResult, Message: "no accuracy on standard output", Stderr: "data set is empty\n"},
		},
		{
			mode: "NaN", err: "accuracy is NaN, want a number from 0 to 1",
			want: Failure{Reason: BadResult, Message: "accuracy is NaN, want a number from 0 to 1"},
		},
		{
			mode: "percent", err: "accuracy is 71.3, want a number from 0 to 1; is it in percent?",
			want: Failure{Reason: BadResult, Message: "accuracy is 71.3, want a number from 0 to 1; is it in percent?"},
		},
		{
			mode: "text", err: `accuracy is "0.7", want a number from 0 to 1`,
			want: Failure{Reason: BadResult, Message: `accuracy is "0.7", want a number from 0 to 1`},
		},
		{
			mode: "bad epoch", err: "epoch is -1, want an integer from 0 to 1e9",
			want: Failure{Reason: BadResult, Message: "epoch is -1, want an integer from 0 to 1e9"},
		},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			r, err := command(t, test.mode).Run(t.Context(), request(), nil)
			var f *Failure
			if !errors.As(err, &f) {
				t.Fatalf("got %v, %v", r, err)
			}
			if diff := cmp.Diff(&test.want, f, cmpopts.IgnoreFields(Failure{}, "Seconds")); diff != "" {
				t.Error(diff)
			}
			if err.Error() != test.err || f.Retry() != test.retry {
				t.Errorf("error %q, retry %v", err, f.Retry())
			}
			expectEmpty(t)
		})
	}
}

func TestTimeout(t *testing.T) {
	for _, mode := range []string{"sleep", "stubborn"} {
		t.Run(mode, func(t *testing.T) {
			c := command(t, mode)
			c.Timeout, c.Grace = 100*time.Millisecond, 50*time.Millisecond
			r, err := c.Run(t.Context(), request(), nil)
			var f *Failure
			if !errors.As(err, &f) || f.Reason != TimedOut || f.Retry() || err.Error() != "not done after 100ms" {
				t.Fatalf("got %+v, %v", r, err)
			}
			expectEmpty(t)
		})
	}
}

func TestCancel(t *testing.T) {
	why := errors.New("enough")
	for _, mode := range []string{"sleep", "stubborn", "polite"} {
		t.Run(mode, func(t *testing.T) {
			c := command(t, mode)
			if mode == "stubborn" {
				c.Grace = 50 * time.Millisecond
			}
			pids := filepath.Join(t.TempDir(), "pids")
			c.Env[envPIDs] = pids
			ctx, cancel := context.WithCancelCause(t.Context())
			calls := 0
			r, err := c.Run(ctx, request(), func(Progress) bool {
				calls++
				cancel(why)
				return false
			})
			if calls != 1 {
				t.Errorf("%d calls, though the first cancelled the trial", calls)
			}
			var f *Failure
			if !errors.Is(err, why) || errors.As(err, &f) {
				t.Fatalf("got %v, %v", r, err)
			}
			if mode != "polite" {
				expectGone(t, pids, 1)
			}
			expectEmpty(t)

			// A trial that is cancelled before it began starts nothing.
			c.Args = []string{"/no/such/program"}
			if _, err := c.Run(ctx, request(), nil); !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStopEarly(t *testing.T) {
	for _, mode := range []string{"sleep", "stubborn", "polite", "good", "result first", "many"} {
		t.Run(mode, func(t *testing.T) {
			c := command(t, mode)
			if mode == "stubborn" {
				c.Grace = 50 * time.Millisecond
			}
			calls := 0
			r, err := c.Run(t.Context(), request(), func(Progress) bool {
				calls++
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if calls != 1 || r.Accuracy != 0.5 || r.Epoch != 1 || !r.Stopped {
				t.Errorf("after %d calls: %+v", calls, r)
			}
			if saved := strings.Contains(r.Stderr, "checkpoint saved"); saved != (mode == "polite") {
				t.Errorf("standard error: %q", r.Stderr)
			}
		})
	}
}

// TestFamily checks that children are ended with the trainer, and that their hold
// on its output delays nobody: not for longer than the grace.
func TestFamily(t *testing.T) {
	c := command(t, "family")
	c.Grace = 50 * time.Millisecond
	pids := filepath.Join(t.TempDir(), "pids")
	c.Env[envPIDs] = pids
	r, err := c.Run(t.Context(), request(), nil)
	if err != nil || r.Accuracy != 0.75 {
		t.Fatalf("got %v, %v", r, err)
	}
	expectGone(t, pids, 2)
}

// TestOutsider checks that a process that left the group can hold the output open
// without holding up the trial.
func TestOutsider(t *testing.T) {
	c := command(t, "outsider")
	c.Grace = 50 * time.Millisecond
	pids := filepath.Join(t.TempDir(), "pids")
	c.Env[envPIDs] = pids
	r, err := c.Run(t.Context(), request(), nil)
	if err != nil || r.Accuracy != 0.75 {
		t.Fatalf("got %v, %v", r, err)
	}
	for _, pid := range readPIDs(pids) {
		if !running(pid) {
			t.Error("the outsider had ended: this tests nothing")
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	expectGone(t, pids, 1)
}

// TestDeath checks that the trainer ends when the process that started it is
// killed.
func TestDeath(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux tells a process of its parent's death")
	}
	c := command(t, "parent")
	pids := filepath.Join(t.TempDir(), "pids")
	parent := exec.Command(c.Args[0])
	parent.Env = append(os.Environ(), envMode+"=parent", envPIDs+"="+pids)
	var e *exec.ExitError
	if err := parent.Run(); !errors.As(err, &e) || signalOf(e.ProcessState) != "SIGKILL" {
		t.Fatalf("the parent ended with %v", err)
	}
	expectGone(t, pids, 1)
}

func TestManyLines(t *testing.T) {
	next := 1
	r, err := command(t, "many").Run(t.Context(), request(), func(p Progress) bool {
		if p.Epoch != next {
			t.Errorf("epoch %d, want %d", p.Epoch, next)
			return true
		}
		next++
		return false
	})
	if err != nil || r.Epoch != 20_000 || next != 20_001 {
		t.Errorf("got %v, %v after %d lines", r, err, next-1)
	}
}

func TestConcurrent(t *testing.T) {
	c := command(t, "good")
	rule := &Halving{Reduction: 2}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 3 {
				req := request()
				req.Key = strconv.Itoa(i)
				r, err := c.Run(t.Context(), req, func(p Progress) bool { return rule.Stop(req.Key, p) })
				if err != nil || r.Accuracy != 0.75 {
					t.Errorf("got %v, %v", r, err)
				}
			}
		})
	}
	all.Wait()
	expectEmpty(t)
	if err := findChildren(); err != nil {
		t.Error(err)
	}
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	files := map[string]struct {
		text string
		mode os.FileMode
	}{
		"train.py": {"", 0o600},
		"magic":    {"echo hi\n", 0o700},
		"orphan":   {"#!/no/such/interpreter\n", 0o700},
	}
	for name, f := range files {
		if err := os.WriteFile(name, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		command Command
		runs    bool // the error is found only by Run
		want    string
	}{
		{name: "empty", want: "training command: no program is named"},
		{
			name: "missing", command: Command{Args: []string{"no-such-program"}},
			want: `training command: "no-such-program" is not in PATH: executable file not found in $PATH`,
		},
		{
			name: "missing path", command: Command{Args: []string{"./no-such"}},
			want: `training command: "./no-such": stat ./no-such: no such file or directory`,
		},
		{
			name: "here", command: Command{Args: []string{"train.py"}},
			want: `training command: "train.py" is not in PATH; the file here is ./train.py`,
		},
		{
			name: "not executable", command: Command{Args: []string{"./train.py"}},
			want: `training command: "./train.py" is not executable (chmod +x, or name its interpreter before it)`,
		},
		{
			name: "no interpreter", command: Command{Args: []string{"./magic"}}, runs: true,
			want: "training command: fork/exec ./magic: exec format error (a script must begin with #! and its interpreter)",
		},
		{
			name: "bad interpreter", command: Command{Args: []string{"./orphan"}}, runs: true,
			want: "training command: fork/exec ./orphan: no such file or directory (does its interpreter exist?)",
		},
		{
			name: "all at once",
			command: Command{
				Args: []string{"a\x00"}, Timeout: -1, Grace: -1,
				Env: map[string]string{"A=B": "", "NAS_REQUEST": "x", "Z": "\x00"},
			},
			want: "training command: an argument has a zero byte\n\"A=B\" is no name of an environment variable\n" +
				"environment variable NAS_REQUEST is set by nas\nenvironment variable Z has a zero byte\n" +
				"time-out is -1ns, want 0 or more\ngrace is -1ns, want 0 or more",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.command.Run(t.Context(), request(), nil)
			var e *ConfigError
			if !errors.As(err, &e) || err.Error() != test.want {
				t.Errorf("Run: %v", err)
			}
			if err := test.command.Check(); (err == nil) != test.runs || err != nil && err.Error() != test.want {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func TestBadRequest(t *testing.T) {
	for _, architecture := range []string{"", "[]", "{", "null"} {
		req := request()
		req.Architecture = []byte(architecture)
		if r, err := command(t, "good").Run(t.Context(), req, nil); err == nil {
			t.Errorf("%q: got %v", architecture, r)
		}
	}
	for _, layers := range []string{"{}", "[", "null", "[] []"} {
		req := request()
		req.Layers = []byte(layers)
		if r, err := command(t, "good").Run(t.Context(), req, nil); err == nil {
			t.Errorf("layers %q: got %v", layers, r)
		}
	}
	req := request()
	req.Costs["macs"] /= 0 * req.Costs["macs"] // infinite
	if r, err := command(t, "good").Run(t.Context(), req, nil); err == nil {
		t.Errorf("got %v", r)
	}
}

// TestNoRoom checks that a machine without a place for the trial's folder is not
// mistaken for a bad command.
func TestNoRoom(t *testing.T) {
	c := command(t, "good")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	_, err := c.Run(t.Context(), request(), nil)
	var f *Failure
	if !errors.As(err, &f) || f.Reason != NotStarted || !f.Retry() {
		t.Errorf("got %v", err)
	}
}
