package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/runner"
	"github.com/efficientnas/nas/space"
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
			s := config.Space
			exact := s.Size().IsInt64() && s.Size().Int64() <= exactNetworks
			if exact {
				samples = 1 // for the ranges alone
			}
			survey, err := config.Survey(samples, 1)
			if err != nil {
				return err
			}
			var within []int // by constraint, and of all
			if exact {
				within, err = countWithin(args[0], config, survey)
			} else {
				err = checkTogether(args[0], config, survey)
			}
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "networks\t%s\n\n", s.Size())
			for _, m := range survey.Metrics {
				fmt.Fprintf(w, "%s\t%s to %s\n", m.Title, m.Least, m.Greatest)
			}
			if len(survey.Shares) > 0 {
				if exact {
					fmt.Fprintf(w, "\nwithin the bounds (all %s networks)\n", s.Size())
				} else {
					fmt.Fprintf(w, "\nwithin the bounds (%d samples)\n", survey.Samples)
				}
				for i, b := range append(survey.Shares, survey.All) {
					if exact {
						fmt.Fprintf(w, "%s\t%.1f %% (%d)\n", b.Bound, 100*float64(within[i])/float64(s.Size().Int64()), within[i])
						continue
					}
					fmt.Fprintf(w, "%s\t%.1f %% (%.1f to %.1f)\n", b.Bound, 100*b.Share, 100*b.Low, 100*b.High)
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

// exactNetworks is how large a space may be for all its networks to be looked at,
// which takes some seconds.
const exactNetworks = 50_000

// counted returns the constraints that a network's costs decide, in the order of
// a survey's shares.
func counted(c *runner.Config) []runner.Constraint {
	var list []runner.Constraint
	for _, k := range c.Constraints {
		if k.Metric != "accuracy" {
			list = append(list, k)
		}
	}
	return list
}

// measure returns a cost of a network.
func measure(metric string, g *arch.Graph, m *cost.Memory, p cost.Precision) int64 {
	switch c := cost.Of(g); metric {
	case "macs":
		return c.MACs
	case "flops":
		return c.FLOPs()
	case "params":
		return c.Params
	case "activations":
		return c.Activations
	case "weight_bytes":
		return c.WeightBytes(p.Weights)
	case "peak_memory":
		elements, _ := m.Peak(g, cost.FuseElementwise)
		return cost.Bytes(elements, p.Activations)
	case "energy":
		return cost.TotalEnergy(g, p).Picojoules()
	}
	panic("nas space: no cost " + metric)
}

// countWithin counts the networks of the space that each constraint leaves, and
// all together. It refuses constraints that leave none.
func countWithin(file string, c *runner.Config, survey *runner.Survey) ([]int, error) {
	constraints := counted(c)
	within := make([]int, len(constraints)+1)
	if len(constraints) == 0 {
		return within, nil
	}
	all, err := c.Space.All()
	if err != nil {
		return nil, err
	}
	reach := make([]space.Bounds, len(constraints))
	for i := range reach {
		reach[i] = space.Bounds{Least: math.MaxInt64, Greatest: math.MinInt64}
	}
	var n arch.Network
	var g arch.Graph
	var m cost.Memory
	for genome := range all {
		c.Space.Network(genome, &n)
		if err := n.Lower(&g); err != nil {
			return nil, err
		}
		ok := true
		for i, k := range constraints {
			v := measure(k.Metric, &g, &m, c.Precision)
			reach[i] = space.Bounds{Least: min(reach[i].Least, v), Greatest: max(reach[i].Greatest, v)}
			if k.Min <= float64(v) && float64(v) <= k.Max {
				within[i]++
			} else {
				ok = false
			}
		}
		if ok {
			within[len(constraints)]++
		}
	}
	for i := range constraints {
		if within[i] == 0 {
			return nil, strict.Pos{File: file}.Errorf("no network of the space is within %s: the least is %d, the greatest %d",
				survey.Shares[i].Bound, reach[i].Least, reach[i].Greatest)
		}
	}
	if within[len(constraints)] == 0 {
		return nil, excluded(file, survey)
	}
	return within, nil
}

func excluded(file string, survey *runner.Survey) error {
	var bounds []string
	for _, b := range survey.Shares {
		bounds = append(bounds, b.Bound)
	}
	return strict.Pos{File: file}.Errorf("no network of the space is within all constraints together: %s", strings.Join(bounds, ", "))
}

// checkTogether refuses constraints of which it can prove that no network of the
// space meets them all: of those that bound sums over layers. Each alone is
// checked when a configuration is read.
func checkTogether(file string, c *runner.Config, survey *runner.Survey) error {
	var names []string
	var limits []space.Interval
	for _, k := range counted(c) {
		limit := space.Interval{Lo: math.MinInt64, Hi: math.MaxInt64}
		scale := 1. // weights are measured in bits, which add up, bytes are rounded
		switch k.Metric {
		case "macs", "flops", "params", "activations":
		case "weight_bytes":
			scale = 8
		default:
			continue
		}
		if hi := math.Floor(k.Max) * scale; hi < math.MaxInt64 {
			limit.Hi = int64(hi)
		}
		if lo := (math.Ceil(k.Min)-1)*scale + 1; lo > math.MinInt64 {
			limit.Lo = int64(lo)
		}
		names, limits = append(names, k.Metric), append(limits, limit)
	}
	if len(names) < 2 {
		return nil
	}
	measured := c.Space.Measure(len(names), func(g *arch.Graph, values []int64) {
		for i, name := range names {
			if name == "weight_bytes" {
				values[i] = cost.Of(g).Params * int64(c.Precision.Weights)
				continue
			}
			values[i] = measure(name, g, nil, c.Precision)
		}
	})
	_, err := measured.Feasible(limits)
	var infeasible *space.InfeasibleError
	if errors.As(err, &infeasible) {
		return excluded(file, survey)
	}
	return nil // some network is within all, or that is not decided
}
