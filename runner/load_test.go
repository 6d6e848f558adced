package runner

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/efficientnas/nas/internal/trainer"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// instant is a site whose trainings take no time.
type instant struct{ trials *trials }

func (i instant) train(_ context.Context, trial int, r trainer.Request) error {
	if err := i.trials.study.db.Start("instant", trial); err != nil {
		return err
	}
	accuracy := 1 - 1/(1+r.Costs["macs"]/1e6)
	if i.trials.report(trial, r.Key, trainer.Progress{Epoch: 1, Accuracy: accuracy}) {
		return nil
	}
	_, err := i.trials.ended(trial, 1, "instant", trainer.Result{Accuracy: accuracy}, nil)
	return err
}

func (instant) close(bool) error { return nil }

// BenchmarkBookkeeping is a study of 10,000 trials that take no time: all that nas
// does for a trial but to train it. An operation is a trial.
func BenchmarkBookkeeping(b *testing.B) {
	defer func(before time.Duration) { keepEvery = before }(keepEvery)
	keepEvery = time.Second
	digits, err := filepath.Abs("../examples/pytorch/digits-space.yaml")
	if err != nil {
		b.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	const trialsEach = 10_000
	text := strings.NewReplacer("SPACE", digits, "PROGRAM", exe).Replace(`name: load
space: "SPACE"
objectives: {maximize: [accuracy], minimize: [macs]}
accuracy: {command: ["PROGRAM"], parallel: 64}
search: {algorithm: random, evaluations: 10000, seed: 1}
`)
	for b.Loop() {
		s := start(b, text)
		x, err := newSession(s.config, Options{})
		if err != nil {
			b.Fatal(err)
		}
		t, err := s.newTrials(x)
		if err != nil {
			b.Fatal(err)
		}
		t.site = instant{t}
		settings := x.settings()
		settings.Asynchronous, settings.Workers = true, 64
		settings.Screen, settings.Proposed = x.evaluator.screen, t.propose
		stop := t.keepReporting()
		result, err := search.Run(b.Context(), x.method, search.EvaluatorFunc[space.Genome](t.evaluate), settings)
		if err != nil {
			b.Fatal(err)
		}
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if result.Evaluations != trialsEach || result.Failed > 0 {
			b.Fatalf("%d trials, of which %d failed", result.Evaluations, result.Failed)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(b.N)*trialsEach/b.Elapsed().Seconds(), "trials/s")
	b.ReportMetric(float64(m.Sys)/1e6, "MB")
}
