package runner

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/pareto"
)

// A unit is what a metric is counted in: which suffixes a user may write, and
// how a figure is shown.
type unit int

const (
	count  unit = iota // of things: k, M, G
	size               // bytes: kB, MB, GB, and KiB, MiB, GiB
	share              // of 1
	joules             // picojoules: nJ, uJ, mJ, J
)

var suffixes = map[unit]map[string]float64{
	count: {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12},
	size: {
		"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	},
	share:  {"": 1, "%": 0.01},
	joules: {"": 1, "pJ": 1, "nJ": 1e3, "uJ": 1e6, "µJ": 1e6, "mJ": 1e9, "J": 1e12},
}

func (u unit) allowed() string {
	return [...]string{
		"a number with k, M, G or T, such as 600M",
		"a number of bytes with kB, MB, GB, KiB, MiB or GiB, such as 320kB",
		"a share of 1, or a percentage, such as 0.7 or 70%",
		"a number of picojoules, or with nJ, uJ, mJ or J, such as 2mJ",
	}[u]
}

// parse reads a figure with its suffix.
func (u unit) parse(text string) (float64, error) {
	digits := strings.TrimRightFunc(text, func(r rune) bool { return unicode.IsLetter(r) || r == '%' || r == ' ' })
	v, err := strconv.ParseFloat(digits, 64)
	factor, known := suffixes[u][strings.TrimSpace(text[len(digits):])]
	if err != nil || !known || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not %s", text, u.allowed())
	}
	return v * factor, nil
}

// format shows a figure for people, with three digits.
func (u unit) format(v float64) string {
	if u == share {
		return strconv.FormatFloat(100*v, 'f', 2, 64) + " %"
	}
	names := []string{"", "k", "M", "G", "T"}
	switch u {
	case size:
		names = []string{" B", " kB", " MB", " GB", " TB"}
	case joules:
		names = []string{" pJ", " nJ", " µJ", " mJ", " J"}
	}
	i := 0
	for math.Abs(v) >= 999.5 && i < len(names)-1 {
		v /= 1000
		i++
	}
	digits := 3
	if i == 0 {
		digits = -1
	}
	return strconv.FormatFloat(v, 'g', digits, 64) + names[i]
}

// A metric is something that can be an objective or have a bound.
type metric struct {
	name   string // in configs and as a column
	title  string // for axes and tables
	unit   unit
	better pareto.Direction
	// of returns the metric from what a network costs; nil for the accuracy,
	// which a predictor gives.
	of func(c *Costs) int64
	// additive says that a network's value is the sum over its layers.
	additive bool
}

// Costs are all costs of a network for one image, at a study's precision.
type Costs struct {
	cost.Cost
	WeightBytes int64
	// PeakMemory is the greatest live activation memory in bytes, under
	// cost.FuseElementwise.
	PeakMemory int64
	Energy     int64 // estimate in picojoules
}

var metrics = []metric{
	{"accuracy", "Top-1 accuracy", share, pareto.Maximize, nil, false},
	{"macs", "MACs", count, pareto.Minimize, func(c *Costs) int64 { return c.MACs }, true},
	{"flops", "FLOPs", count, pareto.Minimize, func(c *Costs) int64 { return c.FLOPs() }, true},
	{"params", "Parameters", count, pareto.Minimize, func(c *Costs) int64 { return c.Params }, true},
	{"activations", "Activations", count, pareto.Minimize, func(c *Costs) int64 { return c.Activations }, true},
	{"weight_bytes", "Weights", size, pareto.Minimize, func(c *Costs) int64 { return c.WeightBytes }, false},
	{"peak_memory", "Peak activation memory", size, pareto.Minimize, func(c *Costs) int64 { return c.PeakMemory }, false},
	{"energy", "Energy (estimate)", joules, pareto.Minimize, func(c *Costs) int64 { return c.Energy }, false},
}

func metricByName(name string) *metric {
	i := slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return &metrics[i]
}

func metricNames() []string {
	var names []string
	for _, m := range metrics {
		names = append(names, m.name)
	}
	return names
}
