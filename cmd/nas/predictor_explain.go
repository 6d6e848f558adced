package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/report"
)

// importanceJSON is an object of explain --format json.
type importanceJSON struct {
	Input     string  `json:"input"`
	RMSE      float64 `json:"rmse"`
	RMSESD    float64 `json:"rmse_sd"`
	Kendall   float64 `json:"kendall"`
	KendallSD float64 `json:"kendall_sd"`
	Length    float64 `json:"length,omitempty"`
}

func newPredictorExplainCommand() *cobra.Command {
	var seed uint64
	var format string
	c := &cobra.Command{
		Use:   "explain MODEL RECORDS",
		Short: "Which inputs a predictor relies on, by permutation",
		Long: `Explain permutes one input of the predictor at a time among the records, ten
times, and prints how much worse the predictions become: by how many points the
RMSE rises, and by how much Kendall's tau falls. All inputs of one gene move together.
MODEL is imagenet, which is embedded, or the file of a predictor; with the
records that it has learnt from, explain says what it relies on, and with others
what helps it.

Inputs that tell the same share their importance: since large networks have more
MACs, parameters and layers, each of these can seem less important than it is.

The length scale of a Gaussian process says over how many standard deviations of
an input accuracies become unlike; the linear trend in the network's size is
apart from it.

--format json prints one object a line: input, rmse and rmse_sd (fractions of 1),
kendall and kendall_sd, and length if there is one.`,
		Example: "  nas predictor explain imagenet predictor/records/imagenet.jsonl",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return interruptible(c, func(context.Context) error { return runExplain(c, args[0], args[1], seed, format) })
		},
	}
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the permutations")
	c.Flags().StringVar(&format, "format", "table", "table or json")
	return c
}

func runExplain(c *cobra.Command, model, path string, seed uint64, format string) error {
	if err := oneOf("format", format, "table", "json"); err != nil {
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
	all, err := p.Importance(records, seed)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	w := c.OutOrStdout()
	if format == "json" {
		e := json.NewEncoder(w)
		for _, i := range all {
			if err := e.Encode(importanceJSON(i)); err != nil {
				return outputError{err}
			}
		}
		return nil
	}
	lengths := false
	for _, i := range all {
		lengths = lengths || i.Length > 0
	}
	header, align := []string{"input", "RMSE rises by", "± sd", "tau falls by", "± sd"}, "lrrrr"
	if lengths {
		header, align = append(header, "length scale"), align+"r"
	}
	t := report.NewTable(align, header...)
	for _, i := range all {
		row := []string{i.Input, points(i.RMSE), points(i.RMSESD), thousandths(i.Kendall), thousandths(i.KendallSD)}
		switch {
		case i.Length > 0:
			row = append(row, fmt.Sprintf("%.3g", i.Length))
		case lengths:
			row = append(row, "")
		}
		t.Row(row...)
	}
	if err := t.Write(w); err != nil {
		return outputError{err}
	}
	fmt.Fprintln(c.ErrOrStderr(), wrap("Inputs that tell the same, as MACs, parameters and depth do, share their importance.", 80))
	return nil
}
