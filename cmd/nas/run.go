package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/runner"
)

type runOptions struct {
	out         string
	seed        uint64
	evaluations int
	workers     int
	force       bool
	quiet       bool
	nats        natsFlags
	embedded    string
}

func newRunCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run CONFIG",
		Short: "Search, and write the Pareto front as tables and pictures",
		Long: `Run searches the space of a configuration and writes what it found to
results/NAME, NAME being the configuration's name:

  front.csv, front.json   the Pareto front, a network a row
  pareto.svg, pareto.png  its picture
  architectures/          each network of the front as an architecture file
  history.csv             how the search went
  explored.csv            a sample of the networks that were looked at
  trials.csv              all networks that were trained, if any were
  records.jsonl           the same as records, to train a predictor
  run.json, config.yaml   what was run
  study.db                what it takes to go on after an interruption

The same configuration and seed give the same front for any number of workers.
Constraints that no network of the space meets are refused before the search.
It ends when its evaluations are done, when all networks are known, or as the
configuration's stop says. Interrupted (Ctrl-C), it writes the front so far.
However it was interrupted, nas resume goes on with it.

Where workers train the networks (accuracy: {nats: URL}), the flags say who one is
at the server; --embedded-nats makes this process the server, which then needs no
other. ` + natsHelp,
		Example: "  nas run configs/mobile.yaml\n  nas run my.yaml --out /tmp/trial --evaluations 20000",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "folder for the results (default results/NAME)")
	f.Uint64Var(&o.seed, "seed", 0, "seed, instead of the configuration's")
	f.IntVar(&o.evaluations, "evaluations", 0, "networks to evaluate at most, instead of the configuration's number")
	f.BoolVar(&o.force, "force", false, "replace results that are in the folder already; search also by a predictor no better than MACs")
	o.shared(c)
	return c
}

// shared defines the flags that run and resume have both.
func (o *runOptions) shared(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&o.workers, "workers", 0, "evaluations at a time (default one a core, or the configuration's parallel)")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
	f.StringVar(&o.embedded, "embedded-nats", "", "be the NATS server at this address, such as 127.0.0.1:4222, for workers of this study")
	o.nats.add(c)
}

// server returns how to reach workers.
func (o *runOptions) server(c *cobra.Command, study *runner.Study) (runner.NATS, error) {
	trials := study.Config().Accuracy.Trials
	flags := c.Flags()
	used := o.embedded != ""
	for _, name := range natsNames {
		used = used || flags.Changed(name)
	}
	if trials == nil || trials.NATS == "" {
		if used {
			return runner.NATS{}, usageError{errors.New("the flags about NATS are for studies whose networks are trained by workers: accuracy: {nats: URL}")}
		}
		return runner.NATS{}, nil
	}
	n, err := o.nats.options()
	if err != nil {
		return runner.NATS{}, err
	}
	w := c.ErrOrStderr()
	return runner.NATS{
		URL: n.URL, User: n.User, Password: n.Password, Token: n.Token, NKey: n.NKey, Creds: n.Creds, CA: n.CA, Cert: n.Cert, Key: n.Key,
		Embedded: o.embedded,
		Log:      slog.New(slog.NewTextHandler(w, nil)),
		Serving: func(url, tokenFile string) {
			if o.quiet {
				return
			}
			if tokenFile != "" {
				tokenFile = " --token-file " + tokenFile
			}
			fmt.Fprintf(w, "workers: nas worker --nats %s%s --command \"...\"\n", url, tokenFile)
		},
	}, nil
}

func (o *runOptions) run(c *cobra.Command, path string) error {
	if err := o.check(); err != nil {
		return err
	}
	config, err := runner.LoadConfig(path)
	if err != nil {
		return err
	}
	flags := c.Flags()
	if flags.Changed("seed") {
		if o.seed > math.MaxInt64 {
			return usageError{fmt.Errorf("--seed must be from 0 to %d, found %d", math.MaxInt64, o.seed)}
		}
		config.Search.Seed = o.seed
	}
	if flags.Changed("evaluations") {
		if o.evaluations < 1 || o.evaluations > runner.MaxEvaluations {
			return usageError{fmt.Errorf("--evaluations must be from 1 to %d, found %d", runner.MaxEvaluations, o.evaluations)}
		}
		config.Search.Evaluations = o.evaluations
	}
	out := o.out
	if out == "" {
		out = filepath.Join("results", config.Name)
	}
	study, err := runner.Create(config, out, runner.Options{Force: o.force}, o.force)
	switch {
	case errors.Is(err, runner.ErrBusy):
		return hinted{err, "choose another folder with --out"}
	case errors.Is(err, runner.ErrUnfinished):
		return hinted{err, "go on with `nas resume " + out + "`, choose another folder with --out, or replace it with --force"}
	case errors.Is(err, runner.ErrInUse):
		return hinted{err, "choose another folder with --out, or replace the results with --force"}
	case err != nil:
		return outputError{err}
	}
	if err := o.finish(c, study, out); err != nil {
		study.Discard()
		return err
	}
	return study.Close()
}

// check checks the shared flags.
func (o *runOptions) check() error {
	if o.workers < 0 || o.workers > runner.MaxParallel {
		return usageError{fmt.Errorf("--workers must be from 1 to %d, found %d", runner.MaxParallel, o.workers)}
	}
	if o.embedded != "" {
		return o.nats.embeddable(o.embedded)
	}
	return nil
}

// finish runs a study in the folder out until it ends or is interrupted.
func (o *runOptions) finish(c *cobra.Command, study *runner.Study, out string) error {
	server, err := o.server(c, study)
	if err != nil {
		return err
	}
	if config := study.Config(); config.LeavesIdle() && !o.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "note: at first %s proposes fewer than %d networks at a time; with search: {offspring: %d} none of the trainings waits for another\n",
			config.Search.Algorithm, config.Accuracy.Trials.Parallel, config.Accuracy.Trials.Parallel)
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := newProgress(c.ErrOrStderr(), o.quiet)
	results, err := study.Run(ctx, runner.Options{Workers: o.workers, Observe: p.update, Force: o.force, NATS: server})
	p.finish()
	if err != nil {
		return natsError(err, "start one, or let this process be the server: --embedded-nats 127.0.0.1:4222")
	}
	if o.quiet {
		return nil
	}
	w := c.ErrOrStderr()
	fmt.Fprintf(w, "%s after %s: %s on the front, in %s%c\n", results.Run.Status,
		plural(results.Run.Evaluations, "evaluation"), plural(len(results.Front), "network"), out, os.PathSeparator)
	if n := results.Run.Failed; n > 0 && results.Trials != nil {
		fmt.Fprintf(w, "%d of the networks failed to train; trials.csv says why\n", n)
	}
	if r := results.Run.Ranking; r != nil {
		fmt.Fprintf(w, "the predictor had ranked %d networks before they were trained: Kendall's tau %.2f (their MACs alone: %.2f)\n", r.Trials, r.Kendall, r.MACs)
	}
	if study.Ended() == "" {
		fmt.Fprintf(w, "go on with: nas resume %s\n", out)
	}
	if kept := study.Replaced(); kept != "" {
		fmt.Fprintf(w, "the study that was there, for which networks were trained, is kept in %s\n", kept)
	}
	return nil
}
