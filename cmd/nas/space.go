package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/runner"
)

func newSpaceCommand() *cobra.Command {
	var samples int
	c := &cobra.Command{
		Use:   "space FILE",
		Short: "Size, genes and cost range of a space",
		Long: `Space tells how many distinct networks a space holds, which genes it has, and
the least and greatest cost of any network in it, all exact. For a run
configuration it also tells which share of the networks each constraint leaves,
and all of them together: exactly where the space is small, else estimated from
uniform samples, with a 95 % interval. Constraints that no network meets are
refused.

Networks are distinct if they differ in more than parameters that their blocks do
not have and stages that do nothing: of stages that are alike, it is one network
whichever of them is left out.`,
		Example: "  nas space configs/mobile.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if samples < 1 {
				return usageError{fmt.Errorf("--samples must be at least 1, found %d", samples)}
			}
			config, err := runner.OpenSpace(args[0])
			if err != nil {
				return err
			}
			survey, err := config.Survey(samples, 1)
			if err != nil {
				return err
			}
			s := config.Space
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "networks\t%s\n\n", s.Size())
			for _, m := range survey.Metrics {
				fmt.Fprintf(w, "%s\t%s to %s\n", m.Title, m.Least, m.Greatest)
			}
			if len(survey.Shares) > 0 {
				which := "%d samples"
				if survey.Exact {
					which = "all %d networks"
				}
				fmt.Fprintf(w, "\nwithin the bounds ("+which+")\n", survey.Networks)
				for _, b := range append(survey.Shares, survey.All) {
					fmt.Fprintf(w, "%s\t%.1f %% (", b.Bound, 100*b.Share)
					if survey.Exact {
						fmt.Fprintf(w, "%d)\n", b.Networks)
					} else {
						fmt.Fprintf(w, "%.1f to %.1f)\n", 100*b.Low, 100*b.High)
					}
				}
			}
			for _, bound := range survey.Uncounted {
				fmt.Fprintf(w, "%s\tis not counted here\n", bound)
			}
			fmt.Fprintf(w, "\n%d genes\n", len(s.Genes()))
			for _, g := range s.Genes() {
				fmt.Fprintf(w, "%s\t%v\n", g.Name, g.Options)
			}
			return w.Flush()
		},
	}
	c.Flags().IntVar(&samples, "samples", 10_000, "networks to sample for the constraints' shares")
	return c
}
