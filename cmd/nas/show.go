package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

func newShowCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "show DIR",
		Short: "The Pareto front of a run as a table",
		Long: `Show prints the front of a results folder, sorted by the first minimised
objective. A star marks accuracies that are extrapolated: the network is less like
any measured one that the predictor has learnt from than those are like each other,
or mixes types of blocks more than any of them.

Of a study that goes on, or was interrupted, it is the front so far.`,
		Example: "  nas show results/mobile",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("format", format, "table", "csv", "json", "trials", "records"); err != nil {
				return err
			}
			r, err := runner.ReadResults(args[0])
			if err != nil {
				return err
			}
			switch format {
			case "csv":
				return r.WriteFrontCSV(c.OutOrStdout())
			case "json":
				return r.WriteFrontJSON(c.OutOrStdout())
			case "trials", "records":
				if r.Trials == nil {
					return usageError{fmt.Errorf("%s: no networks were trained for this study", args[0])}
				}
				if format == "trials" {
					return r.WriteTrialsCSV(c.OutOrStdout())
				}
				return r.WriteRecords(c.OutOrStdout())
			}
			t := report.NewTable("lrrlrrrrl", "id", "top-1 %", "± sd", "", "MACs", "params", "activations", "peak memory", "stages (block width x depth)")
			mega := func(v int64, digits int, unit string) string {
				return strconv.FormatFloat(float64(v)/1e6, 'f', digits, 64) + unit
			}
			for i := range r.Front {
				m := &r.Front[i]
				far, sd := "", ""
				if !math.IsNaN(m.AccuracySD) {
					sd = fmt.Sprintf("%.2f", 100*m.AccuracySD)
				}
				if m.Extrapolated {
					far = "*"
				}
				t.Row(m.ID, fmt.Sprintf("%.2f", 100*m.Accuracy), sd, far,
					mega(m.Costs.MACs, 1, "M"), mega(m.Costs.Params, 2, "M"), mega(m.Costs.Activations, 2, "M"),
					mega(m.Costs.PeakMemory, 2, " MB"), m.Network.Summary())
			}
			return t.Write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, csv or json of the front; trials, as CSV, or records of all networks that were trained")
	return c
}
