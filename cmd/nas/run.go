package main

import (
	"context"
	"errors"
	"fmt"
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
  run.json, config.yaml   what was run

The same configuration and seed give the same front for any number of workers.
Constraints that no network of the space meets are refused before the search.
It ends when its evaluations are done, when all networks are known, or as the
configuration's stop says. Interrupted (Ctrl-C), it writes the front so far.`,
		Example: "  nas run configs/mobile.yaml\n  nas run my.yaml --out /tmp/trial --evaluations 20000",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "folder for the results (default results/NAME)")
	f.Uint64Var(&o.seed, "seed", 0, "seed, instead of the configuration's")
	f.IntVar(&o.evaluations, "evaluations", 0, "networks to evaluate at most, instead of the configuration's number")
	f.IntVar(&o.workers, "workers", 0, "evaluations at a time (default one a core)")
	f.BoolVar(&o.force, "force", false, "replace results that are in the folder already; search also by a predictor no better than MACs")
	f.BoolVar(&o.quiet, "quiet", false, "no progress")
	return c
}

func (o *runOptions) run(c *cobra.Command, path string) error {
	config, err := runner.LoadConfig(path)
	if err != nil {
		return err
	}
	flags := c.Flags()
	if flags.Changed("seed") {
		config.Search.Seed = o.seed
	}
	if flags.Changed("evaluations") {
		if o.evaluations < 1 || o.evaluations > runner.MaxEvaluations {
			return usageError{fmt.Errorf("--evaluations must be from 1 to %d, found %d", runner.MaxEvaluations, o.evaluations)}
		}
		config.Search.Evaluations = o.evaluations
	}
	if o.workers < 0 || o.workers > 1024 {
		return usageError{fmt.Errorf("--workers must be from 1 to 1024, found %d", o.workers)}
	}
	out := o.out
	if out == "" {
		out = filepath.Join("results", config.Name)
	}
	folder, err := runner.NewFolder(out, o.force)
	if errors.Is(err, runner.ErrBusy) {
		return hinted{err, "choose another folder with --out"}
	}
	if errors.Is(err, runner.ErrInUse) {
		return hinted{err, "choose another folder with --out, or replace the results with --force"}
	}
	if err != nil {
		return outputError{err}
	}
	defer folder.Discard()

	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := newProgress(c.ErrOrStderr(), o.quiet)
	results, err := runner.Run(ctx, config, runner.Options{Workers: o.workers, Observe: p.update, Force: o.force})
	p.finish()
	if err != nil {
		return err
	}
	if err := folder.Write(config, results); err != nil {
		return outputError{err}
	}
	if o.quiet {
		return nil
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s after %d evaluations: %d networks on the front, in %s%c\n",
		results.Run.Status, results.Run.Evaluations, len(results.Front), out, os.PathSeparator)
	return nil
}
