package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

func newPredictorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "predictor",
		Short: "Train and use accuracy predictors",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPredictorTrainCommand(), newPredictorPredictCommand())
	return c
}

func newPredictorTrainCommand() *cobra.Command {
	var out, recipe string
	c := &cobra.Command{
		Use:   "train RECORDS",
		Short: "Train a predictor on records of measured networks",
		Long: `Train reads records, one JSON object a line:

  {"architecture": {...}, "accuracy": 0.7322, "dataset": "imagenet", "recipe": "...", "source": "..."}

trains a predictor on them, prints how well it predicts records that it is not
shown (leave-one-out, recipes with a single record apart), and writes it to a
file that a run configuration can name. The same records give the same file.`,
		Example: "  nas predictor train predictor/records/imagenet.jsonl --out imagenet.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			records, err := predictor.ReadRecords(args[0], f)
			if err != nil {
				return err
			}
			o := predictor.Options{Recipe: recipe}
			p, err := predictor.Train(records, o)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", args[0], err)}
			}
			if err := printQuality(c.ErrOrStderr(), records, o); err != nil {
				return err
			}
			if out == "" {
				return p.Save(c.OutOrStdout())
			}
			var file bytes.Buffer // written whole or not at all
			if err := p.Save(&file); err != nil {
				return err
			}
			if err := os.WriteFile(out, file.Bytes(), 0o644); err != nil {
				return outputError{err}
			}
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write (default standard output)")
	c.Flags().StringVar(&recipe, "recipe", "", "recipe to predict for where none is asked for (default the most frequent)")
	return c
}

func printQuality(w io.Writer, records []predictor.Record, o predictor.Options) error {
	predictions, err := predictor.LeaveOut(records, predictor.EachRecord, o)
	if err != nil {
		return err
	}
	all := len(records)
	predictions, records = predictor.Comparable(predictions, records)
	if len(records) == 0 {
		fmt.Fprintln(w, "no two records are of one recipe, so nothing can be said of the quality")
		return nil
	}
	q, err := predictor.Assess(predictions, records)
	if err != nil {
		return err
	}
	if apart := all - len(records); apart > 0 {
		fmt.Fprintf(w, "%d of %d records are the only ones of their recipe and stay out of the following\n", apart, all)
	}
	fmt.Fprintf(w, "leave-one-out over %d records: RMSE %.2f, MAE %.2f points; Kendall tau %.3f, Spearman %.3f; 90 %% intervals cover %.0f %%\n",
		len(records), 100*q.RMSE, 100*q.MAE, q.Kendall, q.Spearman, 100*q.Coverage90)
	b, err := predictor.Bootstrap{}.Baselines(records, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "for comparison, ranked by MACs alone: Kendall tau %.3f; by parameters alone: %.3f\n", b.MACs.Kendall, b.Params.Kendall)
	if !(q.Kendall > b.MACs.Kendall) {
		fmt.Fprintln(w, "warning: the predictor does not rank these networks better than their MACs do; it needs more records, or more varied ones")
	}
	return nil
}

func newPredictorPredictCommand() *cobra.Command {
	var name, recipe string
	c := &cobra.Command{
		Use:   "predict NETWORK...",
		Short: "Predict the accuracy of networks",
		Long: `Predict prints the accuracy that networks would reach if they were trained by a
recipe, with its uncertainty, and beside it the published accuracy of reference
networks, whoever trained them. A NETWORK is an architecture file, the name of a
reference network, or DIR#ID for a network of a front (whose run may have asked
for another recipe: see its run.json).`,
		Example: "  nas predictor predict mobilenet_v2 my.yaml --recipe torchvision_v1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := predictor.Open(name)
			if err != nil {
				return usageError{err}
			}
			used := recipe
			if used == "" {
				used = p.Usual().Recipe
			}
			if !slices.Contains(p.Recipes(), used) {
				return usageError{fmt.Errorf("--recipe: %s", strict.Unknown("recipe", used, p.Recipes()))}
			}
			fmt.Fprintf(c.ErrOrStderr(), "for the recipe %s; published figures can be of others\n", used)
			t := report.NewTable("lrrrr", "network", "top-1 %", "± sd", "90 % interval", "published")
			for _, arg := range args {
				n, err := runner.OpenNetwork(arg)
				if err != nil {
					return err
				}
				y, err := p.Predict(n, predictor.Training{Recipe: used})
				if err != nil {
					return fmt.Errorf("%s: %w", arg, err)
				}
				published := ""
				if n.About.Top1 > 0 {
					published = fmt.Sprintf("%.2f", 100*n.About.Top1)
				}
				low, high := y.Interval(0.9)
				t.Row(n.Name, fmt.Sprintf("%.2f", 100*y.Accuracy), fmt.Sprintf("%.2f", 100*y.SD),
					fmt.Sprintf("%.1f to %.1f", 100*low, 100*high), published)
			}
			return t.Write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&name, "predictor", "imagenet", "an embedded predictor or the file of a saved one")
	c.Flags().StringVar(&recipe, "recipe", "", "training recipe to predict for (default the predictor's)")
	return c
}
