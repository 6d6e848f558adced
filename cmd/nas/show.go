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
			macs := inUnit(r.Front, 1, "", func(m *runner.Member) int64 { return m.Costs.MACs })
			params := inUnit(r.Front, 2, "", func(m *runner.Member) int64 { return m.Costs.Params })
			activations := inUnit(r.Front, 2, "", func(m *runner.Member) int64 { return m.Costs.Activations })
			memory := inUnit(r.Front, 2, "B", func(m *runner.Member) int64 { return m.Costs.PeakMemory })
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
					macs(m), params(m), activations(m), memory(m), m.Network.Summary())
			}
			return t.Write(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, csv or json of the front; trials, as CSV, or records of all networks that were trained")
	return c
}

// inUnit returns what shows a cost of a front's members, all in one unit: millions,
// or thousands if none has as many, of what is counted.
func inUnit(front []runner.Member, digits int, counted string, cost func(*runner.Member) int64) func(*runner.Member) string {
	unit, name := 1e3, "k"
	for i := range front {
		if cost(&front[i]) >= 1e6 {
			unit, name = 1e6, "M"
		}
	}
	if counted != "" {
		name = " " + name + counted
	}
	return func(m *runner.Member) string {
		return strconv.FormatFloat(float64(cost(m))/unit, 'f', digits, 64) + name
	}
}
