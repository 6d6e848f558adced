package trainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A process is a trainer that runs.
type process struct {
	cmd    *exec.Cmd
	group  group
	began  time.Time
	stdout *os.File
	stderr *os.File
	output output
	tail   tail
}

// start starts the program at path for the trial in dir. The calling goroutine
// must call finish, and stays on its thread until then.
func (c *Command) start(path, dir string, report func(Progress) bool) (_ *process, err error) {
	p := &process{cmd: exec.Command(path, c.Args[1:]...)}
	p.cmd.Args[0] = c.Args[0]
	p.cmd.Env = c.environment(dir)
	p.output = output{report: report, decided: make(chan struct{})}

	// All three streams are files: exec copies nothing, so that nothing but finish
	// waits for whoever holds a pipe. As standard input is a file too, nobody minds
	// a trainer that does not read it.
	var ours, theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(ours)
		}
	}()
	stdin, err := os.Open(filepath.Join(dir, requestFile))
	if err != nil {
		return nil, notStarted(err)
	}
	theirs = append(theirs, stdin)
	p.cmd.Stdin = stdin
	for _, stream := range []struct {
		read  **os.File
		write *io.Writer
	}{{&p.stdout, &p.cmd.Stdout}, {&p.stderr, &p.cmd.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, notStarted(err)
		}
		ours, theirs = append(ours, r), append(theirs, w)
		*stream.read, *stream.write = r, w
	}

	// The death signal that Linux sends the trainer is for the death of the thread
	// that started it.
	runtime.LockOSThread()
	p.group.prepare(p.cmd)
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		return nil, notStarted(err)
	}
	p.group.adopt(p.cmd.Process)
	return p, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// notStarted tells commands that can never be started from machines that at the
// moment cannot.
func notStarted(err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		hint = " (a script must begin with #! and its interpreter)"
	case errors.Is(err, fs.ErrNotExist):
		hint = " (does its interpreter exist?)"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.E2BIG), errors.Is(err, syscall.EINVAL):
	default:
		return &Failure{Reason: NotStarted, Message: "not started: " + err.Error()}
	}
	return &ConfigError{fmt.Errorf("%w%s", err, hint)}
}

// linger is how long finish reads on after all processes of the group are gone,
// for the rest of the output, if someone outside still holds the pipes.
const linger = time.Second

// finish waits for the trainer, or ends it, and says what came of it. A timeout of
// 0 is none.
func (p *process) finish(ctx context.Context, timeout, grace time.Duration) (Result, error) {
	defer runtime.UnlockOSThread()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		awaitExit(p.cmd)
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		var both sync.WaitGroup
		both.Go(func() { p.output.read(p.stdout) })
		both.Go(func() { _, _ = io.Copy(&p.tail, p.stderr) }) // a pipe that breaks has ended
		both.Wait()
	}()

	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	var isCancelled, isLate bool
	select {
	case <-exited:
	case <-p.output.decided:
	case <-ctx.Done():
		isCancelled = true
	case <-late:
		isLate = true
	}
	if isCancelled || isLate {
		select {
		case <-exited: // at the same time: then what it said counts
			isCancelled, isLate = false, false
		default:
			if !p.output.giveUp() {
				isCancelled, isLate = false, false
			}
		}
	}
	duration := time.Since(p.began)

	// Now its children, too, have to go, and the trainer unless it went by itself.
	p.group.terminate()
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for gone, silent := exited, drained; gone != nil || silent != nil; {
		select {
		case <-gone:
			gone = nil
			continue
		case <-silent:
			silent = nil
			continue
		case <-patience.C:
		}
		break
	}
	p.group.kill() // also those who had closed their output
	<-exited
	rest := time.NewTimer(linger)
	defer rest.Stop()
	select {
	case <-drained:
	case <-rest.C:
	}
	closeAll([]*os.File{p.stdout, p.stderr})
	<-drained
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // the error is in the state
	}
	p.group.close()

	if isCancelled {
		return Result{}, cancelled(ctx)
	}
	if isLate {
		return Result{}, p.failure(duration, TimedOut, fmt.Sprintf("not done after %v", timeout))
	}
	return p.outcome(duration)
}

// outcome says what came of a trainer that nobody had to interrupt, except for
// what it printed.
func (p *process) outcome(duration time.Duration) (Result, error) {
	o := &p.output
	if o.err != nil {
		reason := BadResult
		if errors.Is(o.err, errTooMuch) {
			reason = TooMuch
		}
		return Result{}, p.failure(duration, reason, o.err.Error())
	}
	if !o.stopped {
		switch state := p.cmd.ProcessState; {
		case state == nil:
			return Result{}, p.failure(duration, Exited, "its exit status is not known")
		case signalOf(state) != "":
			hint := ""
			if signalOf(state) == "SIGKILL" {
				hint = " (out of memory?)"
			}
			return Result{}, p.failure(duration, Signalled, "killed by "+signalOf(state)+hint)
		case !state.Success():
			f := p.failure(duration, Exited, fmt.Sprintf("exit status %d", state.ExitCode()))
			f.Code = state.ExitCode()
			return Result{}, f
		}
	}
	l := o.final()
	if l == nil {
		return Result{}, p.failure(duration, NoResult, "no accuracy on standard output")
	}
	r := Result{
		Accuracy: l.accuracy, Metrics: l.metrics, Stopped: o.stopped,
		Duration: duration, Stderr: p.tail.String(),
	}
	if o.last != nil {
		r.Epoch = o.last.epoch
	}
	return r, nil
}

func (p *process) failure(duration time.Duration, reason Reason, message string) *Failure {
	f := &Failure{Reason: reason, Message: message, Stderr: p.tail.String(), Seconds: duration.Seconds()}
	if l := p.output.last; l != nil {
		f.Last = &Progress{Epoch: l.epoch, Accuracy: l.accuracy}
	}
	return f
}

// output is what a trainer has said so far. Only read changes it; the others may
// look at it when read has returned.
type output struct {
	report  func(Progress) bool // may be nil
	last    *line               // of progress
	result  *line               // the last line without an epoch
	stopped bool                // report wanted it
	err     error               // a line that makes the trial fail
	decided chan struct{}       // closed when stopped or err is set

	mu     sync.Mutex
	closed bool // the trial was given up: report is not to be called
}

// giveUp makes read take no more lines, unless one has decided the trial: then it
// returns false. A report that is being called is waited for.
func (o *output) giveUp() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = !o.stopped && o.err == nil
	return o.closed
}

// read takes lines until r ends. After a line that decides the trial it reads on,
// as a trainer that is being ended must not block.
func (o *output) read(r io.Reader) {
	if err := readLines(r, maxOutput, o.take); err != nil {
		o.mu.Lock()
		o.err = err
		o.mu.Unlock()
	}
	if o.stopped || o.err != nil {
		close(o.decided)
	}
	_, _ = io.Copy(io.Discard, r)
}

// take takes one line, and reports whether the next one matters.
func (o *output) take(text []byte) bool {
	l, ok, err := parseLine(text)
	if !ok && err == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return false
	case err != nil:
		o.err = err
		return false
	case !l.progress:
		o.result = &l
		return true
	}
	o.last = &l
	o.stopped = o.report != nil && o.report(Progress{Epoch: l.epoch, Accuracy: l.accuracy})
	return !o.stopped
}

// final returns the line that is the result: the last one without an epoch, or
// the last of all if every line had one; nil if there is none. That of a trial
// that was stopped is the one that report saw last.
func (o *output) final() *line {
	if o.result != nil && !o.stopped {
		return o.result
	}
	return o.last
}
