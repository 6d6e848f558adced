package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// NetworkCost is what a network costs for one image, with the keys under which
// `nas cost --format json` prints it.
type NetworkCost struct {
	Name        string      `json:"name"`
	MACs        int64       `json:"macs"`
	FLOPs       int64       `json:"flops"`
	Params      int64       `json:"params"`
	Activations int64       `json:"activations"`
	WeightBytes int64       `json:"weight_bytes"` // at 32 bits
	PeakMemory  PeakMemory  `json:"peak_memory_bytes"`
	Layers      []LayerCost `json:"layers,omitempty"`
}

// PeakMemory is the peak of live activation memory in bytes at 32 bits, under
// the policies of package cost.
type PeakMemory struct {
	All     int64 `json:"all"`
	Fused   int64 `json:"fused"`
	InPlace int64 `json:"inplace"`
}

// LayerCost is what a layer costs for one image.
type LayerCost struct {
	Name        string    `json:"name"`
	Kind        arch.Kind `json:"kind"`
	Input       string    `json:"input"`  // shape, channels x height x width
	Output      string    `json:"output"` // likewise
	Kernel      string    `json:"kernel,omitempty"`
	Stride      int       `json:"stride,omitempty"`
	Groups      int       `json:"groups,omitempty"`
	MACs        int64     `json:"macs"`
	FLOPs       int64     `json:"flops"`
	Params      int64     `json:"params"`
	Activations int64     `json:"activations"`
}

// CostOf returns the costs of a network, with those of its layers if layers is
// set.
func CostOf(n *arch.Network, layers bool) (NetworkCost, error) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return NetworkCost{}, err
	}
	const bytes = 4
	peak := func(policy cost.MemoryPolicy) int64 {
		var m cost.Memory
		elements, _ := m.Peak(&g, policy)
		return bytes * elements
	}
	c := cost.Of(&g)
	r := NetworkCost{
		Name: n.Name, MACs: c.MACs, FLOPs: c.FLOPs(), Params: c.Params, Activations: c.Activations, WeightBytes: c.WeightBytes(),
		PeakMemory: PeakMemory{peak(cost.AllocateAll), peak(cost.FuseElementwise), peak(cost.WriteInPlace)},
	}
	for i := range g.Layers {
		if !layers {
			break
		}
		l := &g.Layers[i]
		c := cost.OfLayer(l)
		row := LayerCost{
			Name: l.Name(), Kind: l.Kind(), Input: l.In.String(), Output: l.Out.String(),
			Stride: int(l.Stride), Groups: int(l.Groups),
			MACs: c.MACs, FLOPs: c.FLOPs(), Params: c.Params, Activations: c.Activations,
		}
		if l.KernelH > 0 {
			row.Kernel = fmt.Sprintf("%dx%d", l.KernelH, l.KernelW)
		}
		r.Layers = append(r.Layers, row)
	}
	return r, nil
}

// WriteCosts writes costs as "table", for people, as "csv", or as "json", one
// object a line. With layers, table and csv list those of each network instead
// of the networks.
func WriteCosts(w io.Writer, costs []NetworkCost, format string) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, c := range costs {
			if err := e.Encode(c); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return writeCostCSV(w, costs)
	case "table":
		return writeCostTable(w, costs)
	}
	return fmt.Errorf("report: unknown format %q", format)
}

func writeCostCSV(w io.Writer, costs []NetworkCost) error {
	c := csv.NewWriter(w)
	integer := func(v int64) string { return strconv.FormatInt(v, 10) }
	if costs[0].Layers == nil {
		c.Write([]string{
			"name", "macs", "flops", "params", "activations", "weight_bytes",
			"peak_memory_bytes_all", "peak_memory_bytes_fused", "peak_memory_bytes_inplace",
		})
	} else {
		c.Write([]string{"network", "name", "kind", "input", "output", "kernel", "stride", "groups", "macs", "flops", "params", "activations"})
	}
	for _, n := range costs {
		if n.Layers == nil {
			c.Write([]string{
				n.Name, integer(n.MACs), integer(n.FLOPs), integer(n.Params), integer(n.Activations), integer(n.WeightBytes),
				integer(n.PeakMemory.All), integer(n.PeakMemory.Fused), integer(n.PeakMemory.InPlace),
			})
		}
		for _, l := range n.Layers {
			c.Write([]string{
				n.Name, l.Name, string(l.Kind), l.Input, l.Output, l.Kernel, strconv.Itoa(l.Stride), strconv.Itoa(l.Groups),
				integer(l.MACs), integer(l.FLOPs), integer(l.Params), integer(l.Activations),
			})
		}
	}
	c.Flush()
	return c.Error()
}

func writeCostTable(w io.Writer, costs []NetworkCost) error {
	if costs[0].Layers == nil {
		t := NewTable("lrrrrrr", "network", "MACs", "FLOPs", "params", "activations", "weights", "peak memory")
		for _, n := range costs {
			t.Row(n.Name, grouped(n.MACs), grouped(n.FLOPs), grouped(n.Params), grouped(n.Activations),
				mega(n.WeightBytes), mega(n.PeakMemory.Fused))
		}
		return t.Write(w)
	}
	for _, n := range costs {
		t := NewTable("lllrrrrrr", "layer", "kind", "output", "kernel", "stride", "groups", "params", "MACs", "share")
		for _, l := range n.Layers {
			share := ""
			if l.MACs > 0 {
				share = fmt.Sprintf("%.1f %%", 100*float64(l.MACs)/float64(n.MACs))
			}
			t.Row(l.Name, string(l.Kind), l.Output, l.Kernel, blank(l.Stride), blank(l.Groups), grouped(l.Params), grouped(l.MACs), share)
		}
		t.Row(n.Name, "total", "", "", "", "", grouped(n.Params), grouped(n.MACs))
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}

func mega(bytes int64) string { return fmt.Sprintf("%.2f MB", float64(bytes)/1e6) }

func blank(v int) string {
	if v == 0 {
		return ""
	}
	return strconv.Itoa(v)
}
