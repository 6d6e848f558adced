package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

type costOptions struct {
	report.CostOptions
	bits       int
	layers     bool
	format     string
	convention string
}

func newCostCommand() *cobra.Command {
	var o costOptions
	c := &cobra.Command{
		Use:   "cost NETWORK...",
		Short: "Exact MACs, parameters, activations, memory and more of networks",
		Long: `Cost prints what networks cost. A NETWORK is an architecture file, the name of a
reference network, or DIR#ID for a network of a front.

FLOPs are 2 MACs. Activations are the outputs of convolutions and linear layers.
The peak memory of activations lets batch normalisation and activations write
over their input; json and csv have two other policies too. Moved are the weights
and activations that all layers read and write; energy is an estimate (package
cost names its source). Everything is exact but the energy and the compressed
size.

--rank, --density, --code-bits, --index-bits, --codebook and --huffman estimate
the size of a compressed model: low-rank linear layers, pruning, quantisation
with a codebook and Huffman coding, the last three as in Deep Compression.`,
		Example: `  nas cost mobilenet_v2 resnet50
  nas cost vgg16 --layers
  nas cost mobilenet_v2 --by stage --batch 8 --bits 8
  nas cost squeezenet --bits 6 --density 0.33 --index-bits 5 --codebook --huffman 0.18
  nas cost resnet50 --convention fvcore
  nas cost my.yaml --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	f := c.Flags()
	f.BoolVar(&o.layers, "layers", false, "list the layers of each network (short for --by layer)")
	f.StringVar(&o.By, "by", "", "break costs down by layer, block, stage or kind")
	f.IntVar(&o.Batch, "batch", 1, "images at a time")
	f.IntVar(&o.bits, "bits", 32, "bits of a weight and of an activation")
	f.Float64Var(&o.Compression.Density, "density", 0, "share of the weights that pruning keeps")
	f.Float64Var(&o.Compression.Bits, "code-bits", 0, "bits of a compressed weight, also a mean such as 5.4 (default --bits)")
	f.Float64Var(&o.Compression.IndexBits, "index-bits", 0, "bits for the position of each kept weight")
	f.BoolVar(&o.Compression.Codebook, "codebook", false, "count a table of values for each layer")
	f.Float64Var(&o.Compression.Huffman, "huffman", 0, "share of the bits that entropy coding saves")
	f.IntVar(&o.Compression.Rank, "rank", 0, "rank of the factors of linear layers")
	f.StringVar(&o.format, "format", "table", "table, csv or json")
	f.StringVar(&o.convention, "convention", "", "what another counter prints for one image, and why: "+strings.Join(cost.ConventionNames(), ", "))
	return c
}

func (o *costOptions) run(c *cobra.Command, args []string) error {
	if err := oneOf("format", o.format, "table", "csv", "json"); err != nil {
		return err
	}
	if o.convention != "" {
		return o.runConvention(c, args)
	}
	if o.layers && o.By == "" {
		o.By = "layer"
	}
	if o.By != "" {
		if err := oneOf("by", o.By, report.Breakdowns...); err != nil {
			return err
		}
	}
	if o.Batch < 1 {
		return usageError{fmt.Errorf("--batch must be at least 1, found %d", o.Batch)}
	}
	o.Precision = cost.Precision{Weights: o.bits, Activations: o.bits}
	if err := o.Precision.Check(); err != nil {
		return usageError{fmt.Errorf("--bits: %w", err)}
	}
	if o.Compression != (cost.Compression{}) {
		if o.Compression.Bits == 0 {
			o.Compression.Bits = float64(o.bits)
		}
		if err := o.Compression.Check(); err != nil {
			return usageError{err}
		}
	}
	var costs []report.NetworkCost
	for _, name := range args {
		n, err := runner.OpenNetwork(name)
		if err != nil {
			return err
		}
		counted, err := report.CostOf(n, o.CostOptions)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", name, err)}
		}
		costs = append(costs, counted)
	}
	return report.WriteCosts(c.OutOrStdout(), costs, o.format)
}

// runConvention prints what another counter would, instead of the costs.
func (o *costOptions) runConvention(c *cobra.Command, args []string) error {
	if err := oneOf("convention", o.convention, cost.ConventionNames()...); err != nil {
		return err
	}
	for _, flag := range []string{"layers", "by", "batch", "bits", "density", "code-bits", "index-bits", "codebook", "huffman", "rank", "format"} {
		if c.Flags().Changed(flag) {
			return usageError{fmt.Errorf("--convention and --%s do not go together", flag)}
		}
	}
	convention, _ := cost.ConventionByName(o.convention)
	for i, name := range args {
		n, err := runner.OpenNetwork(name)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		if err := report.WriteConvention(c.OutOrStdout(), n, &convention); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
