package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/report"
)

func newExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [LAYER-KIND]",
		Short: "What a kind of layer costs, and why",
		Long: `Explain prints the formulas of a kind of layer (its multiply-accumulates, FLOPs,
parameters and activations) with an example. A LAYER-KIND is one that
nas cost --layers prints, such as conv, depthwise or bn; without one, explain
lists them.`,
		Example: "  nas explain\n  nas explain depthwise",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return cost.ExplainedKinds(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listExplanations(c.OutOrStdout())
			}
			e, ok := cost.ExplanationOf(args[0])
			if !ok {
				return usageError{fmt.Errorf("%s", strict.Unknown("layer kind", args[0], cost.ExplainedKinds()))}
			}
			return explain(c.OutOrStdout(), &e)
		},
	}
}

func listExplanations(w io.Writer) error {
	t := report.NewTable("lll", "kind", "also", "what it is")
	for _, e := range cost.Explanations() {
		t.Row(e.Kind, strings.Join(e.Also, ", "), e.Is)
	}
	return t.Write(w)
}

func explain(w io.Writer, e *cost.Explanation) error {
	var failed error
	line := func(format string, args ...any) {
		if _, err := fmt.Fprintf(w, format+"\n", args...); err != nil && failed == nil {
			failed = err
		}
	}
	line("%s: %s", e.Kind, e.Is)
	if len(e.Also) > 0 {
		line("also: %s", strings.Join(e.Also, ", "))
	}
	line("")
	counted := len(e.Formulas) > 1 // else it costs nothing
	for _, f := range e.Formulas {
		line("  %-11s = %s", f.Of, f.Is)
	}
	if counted {
		maps := uses(e, "h_o")
		line("\nwhere")
		for _, s := range cost.Symbols() {
			if maps || slices.ContainsFunc(strings.Split(s.Of, ", "), func(symbol string) bool { return uses(e, symbol) }) {
				line("  %-11s %s", s.Of, s.Is)
			}
		}
		if maps {
			line("  %s, w_o likewise", cost.OutputSize)
		}
	}
	for _, note := range e.Notes {
		line("\n%s", wrap(note, 80))
	}
	if failed != nil || len(e.Examples) == 0 {
		return failed
	}
	g := e.Examples[0].Graph()
	line("\nexample: %s, from %v to %v, n = 1", e.Examples[0].Name, g.Layers[0].Out, g.Shape(g.Output()))
	if len(g.Layers) == 2 {
		c := cost.OfLayer(&g.Layers[1])
		values := map[string]int64{"MACs": c.MACs, "FLOPs": c.FLOPs(), "parameters": c.Params, "activations": c.Activations}
		for _, f := range cost.Worked(&g.Layers[1]) {
			line("  %-11s = %s = %s", f.Of, f.Is, thousands(values[f.Of]))
		}
		if len(e.Examples) == 1 {
			return failed
		}
		line("\ncompared")
	}
	if failed != nil {
		return failed
	}
	t := report.NewTable("lrrrr", "", "MACs", "FLOPs", "parameters", "activations")
	for _, x := range e.Examples {
		c := cost.Of(x.Graph())
		t.Row(x.Name, thousands(c.MACs), thousands(c.FLOPs()), thousands(c.Params), thousands(c.Activations))
	}
	return t.Write(w)
}

// uses reports whether a formula of e has the symbol.
func uses(e *cost.Explanation, symbol string) bool {
	return slices.ContainsFunc(e.Formulas, func(f cost.Formula) bool {
		return slices.Contains(strings.FieldsFunc(f.Is, func(r rune) bool { return strings.ContainsRune(" */+()", r) }), symbol)
	})
}

// wrap breaks a paragraph into lines of at most width characters.
func wrap(text string, width int) string {
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		switch {
		case used == 0:
		case used+1+len(word) > width:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}

// thousands writes an integer of 0 or more with commas.
func thousands(v int64) string {
	s := strconv.FormatInt(v, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
