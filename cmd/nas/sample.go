package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/runner"
)

func newSampleCommand() *cobra.Command {
	var count int
	var seed uint64
	var format string
	c := &cobra.Command{
		Use:   "sample FILE",
		Short: "Random networks of a space",
		Long: `Sample prints networks drawn uniformly from the distinct networks of a space,
with replacement, as architecture files: documents separated by "---" in YAML, or
one JSON object a line. A run configuration's constraints do not count.`,
		Example: "  nas sample configs/mobile.yaml -n 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("format", format, "yaml", "jsonl"); err != nil {
				return err
			}
			if count < 1 {
				return usageError{fmt.Errorf("--count must be at least 1, found %d", count)}
			}
			config, err := runner.OpenSpace(args[0])
			if err != nil {
				return err
			}
			rng := rand.New(rand.NewPCG(seed, 0))
			w := bufio.NewWriter(c.OutOrStdout())
			for i := range count {
				g, err := config.Space.Sample(rng)
				if err != nil {
					return err
				}
				var n arch.Network
				config.Space.Network(g, &n)
				if format == "jsonl" {
					line, err := json.Marshal(&n)
					if err != nil {
						return err
					}
					w.Write(append(line, '\n'))
					continue
				}
				if i > 0 {
					w.WriteString("---\n")
				}
				w.Write(n.YAML())
			}
			return w.Flush()
		},
	}
	c.Flags().IntVarP(&count, "count", "n", 1, "how many networks")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the draws")
	c.Flags().StringVar(&format, "format", "yaml", "yaml or jsonl")
	return c
}
