package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/predictor"
)

type evalOptions struct {
	seed          uint64
	plots, format string
}

func newPredictorEvalCommand() *cobra.Command {
	var o evalOptions
	c := &cobra.Command{
		Use:   "eval MODEL RECORDS",
		Short: "Say how good a predictor is on records that it was not trained on",
		Long: `Eval predicts the networks of records, each as it was trained, and compares the
predictions with what was measured: the table that train prints. MODEL is
imagenet, which is embedded, or the file of a predictor. A recipe that the
predictor does not know is predicted as an unknown one: the mean over recipes, with
wide intervals. A dataset that it does not know is an error.

MACs alone, params alone and the mean predict each network by a line through the
others of these records.

--format json prints one object: records, seen (those that the predictor learnt
from), extrapolated, unknown_recipes, and of what train prints predictor,
macs_alone, params_alone, mean, noise_ceiling, gain, calibration and warning.`,
		Example: "  nas predictor eval imagenet mine.jsonl\n  nas predictor eval mine.json others.jsonl --plots plots",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return interruptible(c, func(context.Context) error { return o.run(c, args[0], args[1]) })
		},
	}
	f := c.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "seed of the draws that the intervals come from")
	f.StringVar(&o.plots, "plots", "", "folder for predicted and calibration .svg and .png")
	f.StringVar(&o.format, "format", "table", "table or json")
	return c
}

func (o *evalOptions) run(c *cobra.Command, model, path string) error {
	if err := oneOf("format", o.format, "table", "json"); err != nil {
		return err
	}
	p, err := openPredictor(model)
	if err != nil {
		return err
	}
	records, err := readRecords(path)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return usageError{fmt.Errorf("%s: no records", path)}
	}
	predictions, err := p.PredictRecords(records)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	b := predictor.Bootstrap{By: predictor.EachNetwork, Seed: o.seed}
	v, err := b.Validation(predictions, records)
	if err != nil {
		return err
	}
	about, err := about(p, records)
	if err != nil {
		return err
	}
	q := quality{predictor: p, validation: v, title: path}
	if err := q.draw(o.plots); err != nil {
		return err
	}
	w := c.OutOrStdout()
	if o.format == "json" {
		out := map[string]any{
			"records": len(records), "seen": about.seen, "extrapolated": about.extrapolated, "unknown_recipes": about.unknown,
		}
		addValidation(out, v)
		delete(out, "apart")
		if words := v.Warning(); words != "" {
			out["warning"] = words
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			return outputError{err}
		}
		return nil
	}
	fmt.Fprintf(w, "%s of %s\n", plural(len(records), "record"), path)
	if about.extrapolated > 0 {
		fmt.Fprintf(w, "%s unlike any that the predictor learnt from, so that it extrapolates\n", plural(about.extrapolated, "network"))
	}
	fmt.Fprintln(w)
	if err := writeQuality(w, v); err != nil {
		return outputError{err}
	}
	talk := c.ErrOrStderr()
	if about.seen > 0 {
		fmt.Fprintln(talk, wrap(fmt.Sprintf("note: the predictor has learnt from %d of these records, or from others that look the same to it, which makes it look better than it is", about.seen), 80))
	}
	if len(about.unknown) > 0 {
		fmt.Fprintln(talk, wrap(fmt.Sprintf("note: the predictor does not know %s %s, and predicts the mean over recipes", nouns(len(about.unknown), "the recipe"), strings.Join(about.unknown, ", ")), 80))
	}
	if words := v.Warning(); words != "" {
		fmt.Fprintln(talk, wrap("warning: "+words, 80))
	}
	return nil
}

func nouns(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// recordsAbout is what records are to a predictor.
type recordsAbout struct {
	seen, extrapolated int
	unknown            []string // recipes
}

func about(p *predictor.Predictor, records []predictor.Record) (recordsAbout, error) {
	a := recordsAbout{unknown: []string{}}
	seen, err := p.Seen(records)
	if err != nil {
		return a, err
	}
	known := p.Recipes()
	for i := range records {
		if seen[i] {
			a.seen++
		}
		near, err := p.Nearest(records[i].Network)
		if err != nil {
			return a, err
		}
		if near.Far {
			a.extrapolated++
		}
		if r := records[i].Recipe; !slices.Contains(known, r) && !slices.Contains(a.unknown, r) {
			a.unknown = append(a.unknown, r)
		}
	}
	return a, nil
}
