package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/runner"
)

func newPlotCommand() *cobra.Command {
	var x, title string
	var outs []string
	c := &cobra.Command{
		Use:     "plot DIR",
		Short:   "Draw the Pareto front of a run",
		Long:    "Plot draws accuracy against a cost, with the explored networks behind the front\nand the reference networks beside it.",
		Example: "  nas plot results/mobile --x params --out front.png",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := runner.ReadResults(args[0])
			if err != nil {
				return err
			}
			p, err := r.Plot(x, title)
			if err != nil {
				return usageError{err}
			}
			if len(outs) == 0 {
				outs = []string{filepath.Join(args[0], "pareto.svg"), filepath.Join(args[0], "pareto.png")}
			}
			for _, out := range outs {
				var picture bytes.Buffer // written whole or not at all
				switch filepath.Ext(out) {
				case ".svg":
					err = p.WriteSVG(&picture)
				case ".png":
					err = p.WritePNG(&picture)
				default:
					err = usageError{fmt.Errorf("--out %s: the name must end in .svg or .png", out)}
				}
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, picture.Bytes(), 0o644); err != nil {
					return outputError{err}
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&x, "x", "", "cost on the x axis (default the first minimised objective)")
	c.Flags().StringVar(&title, "title", "", "title (default the run's name)")
	c.Flags().StringSliceVar(&outs, "out", nil, "picture files, .svg or .png (default pareto.svg and pareto.png in DIR)")
	return c
}
