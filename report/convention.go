package report

import (
	"fmt"
	"io"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// WriteConvention writes what another counter prints for a network and one
// image, term by term, so that it shows what makes the difference from the exact
// MACs; for the convention of the papers also the figures that were published.
func WriteConvention(w io.Writer, n *arch.Network, c *cost.Convention) error {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return err
	}
	terms := c.Count(&g)
	fmt.Fprintf(w, "%s, as %s counts its %s: %s\n\n", n.Name, c.Name, c.Figure, c.Formula)
	t := NewTable("lrl", "term", "count", "why")
	for _, term := range terms {
		if term.Value != 0 {
			t.Row(term.Name, grouped(term.Value), term.Why)
		}
	}
	t.Row(c.Figure, grouped(cost.Sum(terms)))
	if err := t.Write(w); err != nil {
		return err
	}
	if c.Assumes != "" {
		fmt.Fprintf(w, "\nassumed: %s\n", c.Assumes)
	}
	if published := cost.PublishedOf(n.Name); c.Name == "paper" && len(published) > 0 {
		fmt.Fprintln(w)
		t := NewTable("llrrll", "network", "published", "printed", "exact", "where", "why it differs")
		for _, p := range published {
			t.Row(p.Of, p.What, p.Printed, grouped(p.Exact), p.Where, p.Why)
		}
		return t.Write(w)
	}
	return nil
}
