package main

import (
	"fmt"
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
or mixes types of blocks more than any of them.`,
		Example: "  nas show results/mobile",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("format", format, "table", "csv", "json"); err != nil {
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
			}
			t := report.NewTable("lrrlrrrrl", "id", "top-1 %", "± sd", "", "MACs", "params", "activations", "peak memory", "stages (block width x depth)")
			mega := func(v int64, digits int, unit string) string {
				return strconv.FormatFloat(float64(v)/1e6, 'f', digits, 64) + unit
			}
			for i := range r.Front {
				m := &r.Front[i]
				far := ""
				if m.Extrapolated {
					far = "*"
				}
				t.Row(m.ID, fmt.Sprintf("%.2f", 100*m.Accuracy), fmt.Sprintf("%.2f", 100*m.AccuracySD), far,
					mega(m.Costs.MACs, 1, "M"), mega(m.Costs.Params, 2, "M"), mega(m.Costs.Activations, 2, "M"),
					mega(m.Costs.PeakMemory, 2, " MB"), m.Network.Summary())
			}
			return t.Write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, csv or json")
	return c
}
