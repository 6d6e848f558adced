package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"github.com/efficientnas/nas/runner"
)

// A progress shows how far a run has come: as a bar where stderr is a terminal,
// as a plain line now and then elsewhere, and not at all if quiet.
type progress interface {
	update(runner.Progress)
	finish()
}

func newProgress(w io.Writer, quiet bool) progress {
	if quiet {
		return silent{}
	}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return &bar{w: w}
	}
	return &lines{w: w}
}

type silent struct{}

func (silent) update(runner.Progress) {}
func (silent) finish()                {}

// rate returns evaluations a second and the seconds left, from the whole run so
// far: the bar's own estimate is wrong where work comes in batches.
func rate(p runner.Progress) (perSecond float64, left time.Duration) {
	if p.Seconds <= 0 || p.Evaluations <= p.Before {
		return 0, 0
	}
	perSecond = float64(p.Evaluations-p.Before) / p.Seconds
	return perSecond, time.Duration(float64(p.Total-p.Evaluations) / perSecond * float64(time.Second))
}

func describe(p runner.Progress) string {
	perSecond, left := rate(p)
	speed := fmt.Sprintf("%.0f/s", perSecond)
	if perSecond < 2 { // trainings
		speed = fmt.Sprintf("%.0f/h", 3600*perSecond)
	}
	return fmt.Sprintf("%s, %s left, front %d, hypervolume %.4g, best %.2f %%",
		speed, left.Round(time.Second), p.Front, p.Hypervolume, 100*p.Best)
}

// bar draws a progress bar.
type bar struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

func (b *bar) update(p runner.Progress) {
	if b.bar == nil {
		b.bar = progressbar.NewOptions(p.Total,
			progressbar.OptionSetWriter(b.w),
			progressbar.OptionSetWidth(10), // with the description, within 80 columns
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetRenderBlankState(true),
		)
	}
	b.bar.Describe(describe(p))
	_ = b.bar.Set(p.Evaluations) // a bar that cannot be drawn must not end the run
}

func (b *bar) finish() {
	if b.bar != nil {
		_ = b.bar.Exit()
		fmt.Fprintln(b.w)
	}
}

// lines writes a line for every tenth of the run, and at least every minute.
type lines struct {
	w    io.Writer
	next int
	last time.Time
}

func (l *lines) update(p runner.Progress) {
	if p.Evaluations < l.next && time.Since(l.last) < time.Minute {
		return
	}
	l.last = time.Now()
	l.next = p.Evaluations + max(1, p.Total/10)
	fmt.Fprintf(l.w, "%d of %d: %s\n", p.Evaluations, p.Total, describe(p))
}

func (l *lines) finish() {}
