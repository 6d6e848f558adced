package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

func newCostCommand() *cobra.Command {
	var layers bool
	var format string
	c := &cobra.Command{
		Use:   "cost NETWORK...",
		Short: "Exact MACs, parameters, activations and memory of networks",
		Long: `Cost prints what networks cost for one image. A NETWORK is an architecture file,
the name of a reference network, or DIR#ID for a network of a front.

FLOPs are 2 MACs. Activations are the outputs of convolutions and linear layers.
Weights and peak memory are at 32 bits; the peak lets batch normalisation and
activations write over their input (json and csv have two other policies too).`,
		Example: "  nas cost mobilenet_v2 resnet50\n  nas cost vgg16 --layers\n  nas cost my.yaml --format json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("format", format, "table", "csv", "json"); err != nil {
				return err
			}
			var costs []report.NetworkCost
			for _, name := range args {
				n, err := runner.OpenNetwork(name)
				if err != nil {
					return err
				}
				cost, err := report.CostOf(n, layers)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				costs = append(costs, cost)
			}
			return report.WriteCosts(c.OutOrStdout(), costs, format)
		},
	}
	c.Flags().BoolVar(&layers, "layers", false, "list the layers of each network")
	c.Flags().StringVar(&format, "format", "table", "table, csv or json")
	return c
}
