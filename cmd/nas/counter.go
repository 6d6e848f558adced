package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// errInterrupted is what a command fails with that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible calls f, and returns errInterrupted as soon as a signal comes, even
// if f does not look at its context for a while. The program is to end then.
func interruptible(c *cobra.Command, f func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		fmt.Fprintln(c.ErrOrStderr()) // below a bar that may be there
		return errInterrupted
	}
}

// A counter shows how far the phases of a command have come: as a bar where stderr
// is a terminal, and elsewhere as a line for each half minute.
type counter struct {
	w        io.Writer
	terminal bool

	mutex sync.Mutex
	bar   *progressbar.ProgressBar
	last  time.Time
}

func newCounter(w io.Writer) *counter {
	f, ok := w.(*os.File)
	return &counter{w: w, terminal: ok && isatty.IsTerminal(f.Fd()), last: time.Now()}
}

// betweenLines is the time from one line to the next.
const betweenLines = 30 * time.Second

// phase ends the phase before, if there is one, and returns what to call as
// the next gets on.
func (c *counter) phase(name string) func(done, total int) {
	c.finish()
	return func(done, total int) {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if !c.terminal {
			if time.Since(c.last) > betweenLines {
				c.last = time.Now()
				fmt.Fprintf(c.w, "%s: %d of %d\n", name, done, total)
			}
			return
		}
		if c.bar == nil {
			c.bar = progressbar.NewOptions(total,
				progressbar.OptionSetWriter(c.w),
				progressbar.OptionSetDescription(name),
				progressbar.OptionSetWidth(30),
				progressbar.OptionSetPredictTime(false),
				progressbar.OptionSetElapsedTime(true),
				progressbar.OptionShowCount(),
				progressbar.OptionClearOnFinish(),
				progressbar.OptionSetRenderBlankState(true),
			)
		}
		_ = c.bar.Set(done) // a bar that cannot be drawn must not end the work
	}
}

// finish takes the bar away.
func (c *counter) finish() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.bar != nil {
		_ = c.bar.Finish()
		c.bar = nil
	}
}
