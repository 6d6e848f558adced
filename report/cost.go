package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// CostOptions say what is counted. The zero value is one image at 32 bits.
type CostOptions struct {
	Batch     int            // images at a time; 0 means 1
	Precision cost.Precision // widths of numbers; zero means 32 bits
	By        string         // a breakdown: one of Breakdowns, or empty
	// Compression, if it is not zero, adds the estimated size of a compressed
	// model.
	Compression cost.Compression
}

// Breakdowns are the ways to break a network's cost down.
var Breakdowns = []string{"layer", "block", "stage", "kind"}

// NetworkCost is what a network costs, with the keys under which `nas cost
// --format json` prints it.
type NetworkCost struct {
	Name        string      `json:"name"`
	MACs        int64       `json:"macs"`
	FLOPs       int64       `json:"flops"`
	Params      int64       `json:"params"`
	Activations int64       `json:"activations"`
	WeightBytes int64       `json:"weight_bytes"`
	PeakMemory  PeakMemory  `json:"peak_memory_bytes"`
	PeakAt      PeakLayers  `json:"peak_memory_at"`
	Batch       int         `json:"batch"`
	Bits        Bits        `json:"bits"`
	Largest     LayerBytes  `json:"largest_layer"` // input and output of the convolution or linear layer with most
	Moved       int64       `json:"moved_bytes"`   // weights and activations, in and out of all layers
	Intensity   float64     `json:"macs_per_byte"` // below a device's ratio of arithmetic to bandwidth, memory is the limit (Williams et al. 2009, Roofline)
	Energy      float64     `json:"energy_millijoules"`
	Compressed  int64       `json:"compressed_bytes,omitempty"`
	Layers      []LayerCost `json:"layers,omitempty"`
	Groups      []GroupCost `json:"groups,omitempty"`
}

// Bits are the widths of numbers.
type Bits struct {
	Weights     int `json:"weights"`
	Activations int `json:"activations"`
}

// PeakMemory is the peak of live activation memory in bytes, under the policies
// of package cost.
type PeakMemory struct {
	All     int64 `json:"all"`
	Fused   int64 `json:"fused"`
	InPlace int64 `json:"inplace"`
}

// PeakLayers are the names of the first layers at which the peaks are reached.
type PeakLayers struct {
	All     string `json:"all"`
	Fused   string `json:"fused"`
	InPlace string `json:"inplace"`
}

// LayerBytes is a layer and bytes.
type LayerBytes struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// LayerCost is what a layer costs.
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
	Moved       int64     `json:"moved_bytes"`
	Intensity   float64   `json:"macs_per_byte"`
	Energy      float64   `json:"energy_millijoules"`
}

// GroupCost is what a group of layers costs: a block, a stage, or all layers of
// a kind.
type GroupCost struct {
	Name        string  `json:"name"`
	Layers      int     `json:"layers"`
	MACs        int64   `json:"macs"`
	FLOPs       int64   `json:"flops"`
	Params      int64   `json:"params"`
	Activations int64   `json:"activations"`
	Moved       int64   `json:"moved_bytes"`
	Energy      float64 `json:"energy_millijoules"`
}

const millijoule = 1e9 // picojoules

// CostOf returns the costs of a network. It fails if the network cannot be
// built, if an option is out of its range, and if the batch is too large to be
// counted.
func CostOf(n *arch.Network, o CostOptions) (NetworkCost, error) {
	if o.Batch == 0 {
		o.Batch = 1
	}
	if o.Precision == (cost.Precision{}) {
		o.Precision = cost.FP32
	}
	if err := o.Precision.Check(); err != nil {
		return NetworkCost{}, err
	}
	if err := o.Compression.Check(); err != nil {
		return NetworkCost{}, err
	}
	if o.By != "" && !slices.Contains(Breakdowns, o.By) {
		return NetworkCost{}, fmt.Errorf("report: no breakdown by %q", o.By)
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return NetworkCost{}, err
	}
	m := costMeter{graph: &g, options: o}
	if err := m.checkBatch(); err != nil {
		return NetworkCost{}, err
	}
	c, err := cost.Of(&g).Batch(o.Batch)
	if err != nil {
		return NetworkCost{}, err
	}
	r := NetworkCost{
		Name: n.Name, MACs: c.MACs, FLOPs: c.FLOPs(), Params: c.Params, Activations: c.Activations,
		WeightBytes: c.WeightBytes(o.Precision.Weights),
		Batch:       o.Batch,
		Bits:        Bits(o.Precision),
	}
	r.PeakMemory.All, r.PeakAt.All = m.peak(cost.AllocateAll)
	r.PeakMemory.Fused, r.PeakAt.Fused = m.peak(cost.FuseElementwise)
	r.PeakMemory.InPlace, r.PeakAt.InPlace = m.peak(cost.WriteInPlace)
	elements, at := cost.LargestLayer(&g)
	r.Largest = LayerBytes{g.Layers[at].Name(), m.activationBytes(elements)}
	if o.Compression != (cost.Compression{}) {
		r.Compressed = o.Compression.Bytes(&g)
	}
	for i := range g.Layers {
		l := m.layer(i)
		r.Moved += l.Moved
		r.Energy += l.Energy
		switch o.By {
		case "":
		case "layer":
			r.Layers = append(r.Layers, l)
		default:
			r.group(groupName(&g.Layers[i], o.By), &l)
		}
	}
	if r.Moved > 0 {
		r.Intensity = float64(r.MACs) / float64(r.Moved)
	}
	return r, nil
}

// A costMeter counts the layers of a network with a batch size and widths.
type costMeter struct {
	graph   *arch.Graph
	options CostOptions
	memory  cost.Memory
}

// checkBatch refuses a batch whose activations no int64 can count.
func (m *costMeter) checkBatch() error {
	sum := 0.
	for i := range m.graph.Layers {
		l := &m.graph.Layers[i]
		sum += float64(l.Out.Elements()) * float64(1+len(l.Inputs)) * cost.MaxBits / 8
	}
	if sum*float64(m.options.Batch) > math.MaxInt64/2 {
		return fmt.Errorf("report: a batch of %d images is too large to be counted", m.options.Batch)
	}
	return nil
}

func (m *costMeter) activationBytes(elements int64) int64 {
	return int64(m.options.Batch) * cost.Bytes(elements, m.options.Precision.Activations)
}

func (m *costMeter) peak(policy cost.MemoryPolicy) (bytes int64, at string) {
	elements, layer := m.memory.Peak(m.graph, policy)
	return m.activationBytes(elements), m.graph.Layers[layer].Name()
}

// layer counts layer i. The batch fits, as the network's does.
func (m *costMeter) layer(i int) LayerCost {
	l, batch := &m.graph.Layers[i], int64(m.options.Batch)
	c := cost.OfLayer(l)
	t := cost.TrafficOf(m.graph, i, m.options.Precision)
	e := cost.EnergyOf(m.graph, i, m.options.Precision)
	row := LayerCost{
		Name: l.Name(), Kind: l.Kind(), Input: l.In.String(), Output: l.Out.String(),
		Stride: int(l.Stride), Groups: int(l.Groups),
		MACs: batch * c.MACs, FLOPs: batch * c.FLOPs(), Params: c.Params, Activations: batch * c.Activations,
		Moved:  t.Weights + batch*(t.Read+t.Written),
		Energy: (e.Weights + float64(batch)*(e.Compute+e.Activations)) / millijoule,
	}
	if row.Moved > 0 {
		row.Intensity = float64(row.MACs) / float64(row.Moved)
	}
	if l.KernelH > 0 {
		row.Kernel = fmt.Sprintf("%dx%d", l.KernelH, l.KernelW)
	}
	return row
}

func groupName(l *arch.Layer, by string) string {
	if by == "kind" {
		return string(l.Kind())
	}
	block := l.Block
	if by == "stage" {
		block = -1
	}
	if scope := arch.Scope(l.Stage, block); scope != "" {
		return scope[:len(scope)-1]
	}
	return "input"
}

// group adds a layer to the group of its name.
func (r *NetworkCost) group(name string, l *LayerCost) {
	i := slices.IndexFunc(r.Groups, func(g GroupCost) bool { return g.Name == name })
	if i < 0 {
		i = len(r.Groups)
		r.Groups = append(r.Groups, GroupCost{Name: name})
	}
	g := &r.Groups[i]
	g.Layers++
	g.MACs += l.MACs
	g.FLOPs += l.FLOPs
	g.Params += l.Params
	g.Activations += l.Activations
	g.Moved += l.Moved
	g.Energy += l.Energy
}

// WriteCosts writes costs as "table", for people, as "csv", or as "json", one
// object a line. With a breakdown, table and csv list its rows instead of the
// networks.
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
	decimal := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for i, n := range costs {
		switch {
		case n.Layers != nil:
			if i == 0 {
				c.Write([]string{
					"network", "name", "kind", "input", "output", "kernel", "stride", "groups",
					"macs", "flops", "params", "activations", "moved_bytes", "macs_per_byte", "energy_millijoules",
				})
			}
			for _, l := range n.Layers {
				c.Write([]string{
					n.Name, l.Name, string(l.Kind), l.Input, l.Output, l.Kernel, strconv.Itoa(l.Stride), strconv.Itoa(l.Groups),
					integer(l.MACs), integer(l.FLOPs), integer(l.Params), integer(l.Activations), integer(l.Moved), decimal(l.Intensity), decimal(l.Energy),
				})
			}
		case n.Groups != nil:
			if i == 0 {
				c.Write([]string{"network", "name", "layers", "macs", "flops", "params", "activations", "moved_bytes", "energy_millijoules"})
			}
			for _, g := range n.Groups {
				c.Write([]string{
					n.Name, g.Name, strconv.Itoa(g.Layers),
					integer(g.MACs), integer(g.FLOPs), integer(g.Params), integer(g.Activations), integer(g.Moved), decimal(g.Energy),
				})
			}
		default:
			if i == 0 {
				c.Write([]string{
					"name", "macs", "flops", "params", "activations", "weight_bytes",
					"peak_memory_bytes_all", "peak_memory_bytes_fused", "peak_memory_bytes_inplace",
					"moved_bytes", "energy_millijoules", "compressed_bytes",
				})
			}
			c.Write([]string{
				n.Name, integer(n.MACs), integer(n.FLOPs), integer(n.Params), integer(n.Activations), integer(n.WeightBytes),
				integer(n.PeakMemory.All), integer(n.PeakMemory.Fused), integer(n.PeakMemory.InPlace),
				integer(n.Moved), decimal(n.Energy), integer(n.Compressed),
			})
		}
	}
	c.Flush()
	return c.Error()
}

func writeCostTable(w io.Writer, costs []NetworkCost) error {
	if costs[0].Layers == nil && costs[0].Groups == nil {
		return networkTable(costs).Write(w)
	}
	for i, n := range costs {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		t := groupTable(&n)
		if n.Layers != nil {
			t = layerTable(&n)
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	return nil
}

func networkTable(costs []NetworkCost) *Table {
	header := []string{"network", "MACs", "FLOPs", "params", "activations", "weights", "peak memory", "moved", "MACs/byte", "energy"}
	compressed := slices.ContainsFunc(costs, func(n NetworkCost) bool { return n.Compressed > 0 })
	align := "lrrrrrrrrr"
	if compressed {
		header, align = append(header, "compressed"), align+"r"
	}
	t := NewTable(align, header...)
	for _, n := range costs {
		row := []string{
			n.Name, grouped(n.MACs), grouped(n.FLOPs), grouped(n.Params), grouped(n.Activations),
			mega(n.WeightBytes), mega(n.PeakMemory.Fused), mega(n.Moved), fmt.Sprintf("%.1f", n.Intensity), joules(n.Energy),
		}
		if compressed {
			row = append(row, mega(n.Compressed))
		}
		t.Row(row...)
	}
	return t
}

// layerTable lists the layers that have MACs or parameters.
func layerTable(n *NetworkCost) *Table {
	t := NewTable("lllrrrrrrrrr", "layer", "kind", "output", "kernel", "stride", "groups", "weights", "MACs", "FLOPs", "share", "MACs/byte", "energy")
	for _, l := range n.Layers {
		if l.MACs == 0 && l.Params == 0 {
			continue
		}
		t.Row(l.Name, string(l.Kind), l.Output, l.Kernel, blank(l.Stride), blank(l.Groups),
			grouped(l.Params), grouped(l.MACs), grouped(l.FLOPs), percent(l.MACs, n.MACs), intensity(l), joules(l.Energy))
	}
	t.Row(n.Name, "total", "", "", "", "", grouped(n.Params), grouped(n.MACs), grouped(n.FLOPs), "", fmt.Sprintf("%.1f", n.Intensity), joules(n.Energy))
	return t
}

// intensity shows the MACs for each byte of a layer that has any.
func intensity(l LayerCost) string {
	if l.MACs == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", l.Intensity)
}

func groupTable(n *NetworkCost) *Table {
	t := NewTable("lrrrrrrrr", "part", "layers", "weights", "MACs", "FLOPs", "share", "activations", "moved", "energy")
	layers := 0
	for _, g := range n.Groups {
		t.Row(g.Name, strconv.Itoa(g.Layers), grouped(g.Params), grouped(g.MACs), grouped(g.FLOPs), percent(g.MACs, n.MACs),
			grouped(g.Activations), mega(g.Moved), joules(g.Energy))
		layers += g.Layers
	}
	t.Row(n.Name, strconv.Itoa(layers), grouped(n.Params), grouped(n.MACs), grouped(n.FLOPs), "", grouped(n.Activations), mega(n.Moved), joules(n.Energy))
	return t
}

func percent(part, whole int64) string {
	if part == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

func mega(bytes int64) string { return fmt.Sprintf("%.2f MB", float64(bytes)/1e6) }

func joules(millijoules float64) string { return fmt.Sprintf("%.3g mJ", millijoules) }

func blank(v int) string {
	if v == 0 {
		return ""
	}
	return strconv.Itoa(v)
}
