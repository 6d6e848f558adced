package cost_test

import (
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// truthDir holds costs counted independently of this project, by running the
// networks in PyTorch. It lies beside the project where it is developed.
const truthDir = "../../shared/truth"

// truth reads a table of the truth directory as one map a row.
func truth(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(truthDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no %s here; the truth tables are not part of the project", filepath.Join(truthDir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readTable(t, f)
}

// readTable reads a CSV table as one map a row.
func readTable(t *testing.T, r io.Reader) []map[string]string {
	t.Helper()
	lines, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := make(map[string]string, len(line))
		for i, v := range line {
			row[lines[0][i]] = v
		}
		rows = append(rows, row)
	}
	return rows
}

func number(t *testing.T, row map[string]string, key string) int64 {
	t.Helper()
	v, err := strconv.ParseInt(row[key], 10, 64)
	if err != nil {
		t.Fatalf("row %v: column %s: %v", row, key, err)
	}
	return v
}

func lower(t *testing.T, n *arch.Network) *arch.Graph {
	t.Helper()
	g := new(arch.Graph)
	if err := n.Lower(g); err != nil {
		t.Fatal(err)
	}
	return g
}

// liveColumns are what the layer tables call live memory under the policies.
var liveColumns = map[cost.MemoryPolicy]string{
	cost.AllocateAll: "live_all", cost.FuseElementwise: "live_fused", cost.WriteInPlace: "live_inplace",
}

// checkTotals compares a lowered network or block with its row.
func checkTotals(t *testing.T, g *arch.Graph, row map[string]string) {
	t.Helper()
	want := cost.Cost{
		MACs:        number(t, row, "macs"),
		Params:      number(t, row, "params"),
		Activations: number(t, row, "conv_linear_activations"),
	}
	if got := cost.Of(g); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var m cost.Memory
	for policy := range liveColumns {
		want := number(t, row, "peak_"+policy.String()+"_elems")
		if got, at := m.Peak(g, policy); got != want {
			t.Errorf("peak, %s: %d at %s, want %d", policy, got, g.Layers[at].Name(), want)
		}
	}
	if got, at := cost.LargestLayer(g); got != number(t, row, "max_layer_io_elems") {
		t.Errorf("largest layer: %d, %s, want %s", got, g.Layers[at].Name(), row["max_layer_io_elems"])
	}
}

func TestNetworksEqualTruth(t *testing.T) {
	rows := truth(t, "totals.csv")
	networks := truthNetworks(t)
	for _, row := range rows {
		t.Run(row["net"], func(t *testing.T) {
			n := networks[row["net"]]
			if n == nil {
				t.Fatal("no such network here")
			}
			checkTotals(t, lower(t, n), row)
		})
	}
}

// TestReferencesEqualTruth checks that each reference network is the one of its
// name, with the accuracy published for it.
func TestReferencesEqualTruth(t *testing.T) {
	totals := make(map[string]map[string]string)
	for _, row := range truth(t, "totals.csv") {
		totals[row["net"]] = row
	}
	zoo := readZoo(t)
	for _, name := range arch.References() {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		var macs, params int64
		var top1 float64
		if row := totals[inTruth[name]]; row != nil {
			macs, params = number(t, row, "macs"), number(t, row, "params")
			top1, _ = strconv.ParseFloat(row["top1"], 64)
		} else if row, ok := zoo[inZoo[name]]; ok {
			macs, params = row.MACs, row.Params
			if row.Source == "torchvision" { // as the references; another recipe, another accuracy
				top1 = row.Top1
			}
		} else {
			t.Errorf("no truth for reference network %q", name)
			continue
		}
		if c := cost.Of(lower(t, n)); c.MACs != macs || c.Params != params {
			t.Errorf("%s: %+v, want %d MACs and %d parameters", name, c, macs, params)
		}
		if top1 > 0 && math.Abs(100*n.About.Top1-top1) > 1e-9 {
			t.Errorf("%s: top-1 accuracy %v, want %v %%", name, n.About.Top1, top1)
		}
	}
}

// truthKinds are the truth tables' names of our layer kinds.
var truthKinds = map[arch.Kind]string{
	"input": "input", "linear": "linear", "bn": "bn", "add": "add", "mul": "mul", "concat": "cat",
	"shuffle": "shuffle", "slice": "split", "max_pool": "maxpool", "avg_pool": "avgpool",
	"adaptive_avg_pool": "adaptive_avgpool",
	"relu":              "relu", "relu6": "relu6", "hardswish": "hswish", "swish": "silu", "sigmoid": "sigmoid", "hardsigmoid": "hsigmoid",
	arch.KindConv: "conv", arch.KindPointwise: "pwconv", arch.KindGrouped: "gconv", arch.KindDepthwise: "dwconv",
	arch.KindGlobal: "gap",
}

func TestNetworksEqualTruthLayerByLayer(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(truthDir, "layers", "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no layer tables in %s here; the truth tables are not part of the project", truthDir)
	}
	networks := truthNetworks(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		t.Run(name, func(t *testing.T) {
			if networks[name] == nil {
				t.Fatal("no such network here")
			}
			compareLayers(t, lower(t, networks[name]), truth(t, filepath.Join("layers", name+".csv")))
		})
	}
}

func compareLayers(t *testing.T, g *arch.Graph, rows []map[string]string) {
	t.Helper()
	live := make(map[string][]int64) // by column
	var m cost.Memory
	for policy, column := range liveColumns {
		live[column] = slices.Clone(m.Live(g, policy))
	}
	// The truth has no rows for views and dropout; row says where the output of
	// each of our layers stands in it.
	row, next := make([]int, len(g.Layers)), 0
	for i := range g.Layers {
		l := &g.Layers[i]
		if l.Op == arch.OpFlatten || l.Op == arch.OpDropout {
			row[i] = row[l.Inputs[0]]
			continue
		}
		row[i] = next
		if next++; next > len(rows) {
			t.Fatalf("more layers than the %d of the truth, from %s on", len(rows), l.Name())
		}
		compareLayer(t, rows[row[i]], rows, l, row)
		for column, elements := range live {
			if want := number(t, rows[row[i]], column); elements[i] != want {
				t.Errorf("%s: %s = %d, want %d", l.Name(), column, elements[i], want)
			}
		}
	}
	if next != len(rows) {
		t.Errorf("%d layers, want %d", next, len(rows))
	}
}

func compareLayer(t *testing.T, want map[string]string, rows []map[string]string, l *arch.Layer, row []int) {
	t.Helper()
	if got := truthKinds[l.Kind()]; got != want["type"] {
		t.Fatalf("%s is %q, want %q (%s)", l.Name(), got, want["type"], want["name"])
	}
	check := func(column string, got int64) {
		t.Helper()
		if w := number(t, want, column); got != w {
			t.Errorf("%s (%s): %s = %d, want %d", l.Name(), want["name"], column, got, w)
		}
	}
	c := cost.OfLayer(l)
	check("macs", c.MACs)
	check("params", c.Params)
	check("cout", int64(l.Out.C))
	check("hout", int64(l.Out.H))
	check("wout", int64(l.Out.W))
	if l.Op != arch.OpInput && l.Op != arch.OpConcat && l.Op != arch.OpSlice {
		check("cin", int64(l.In.C))
		check("hin", int64(l.In.H))
		check("win", int64(l.In.W))
	}
	switch l.Op {
	case arch.OpConv, arch.OpMaxPool, arch.OpAvgPool:
		check("kh", int64(l.KernelH))
		check("kw", int64(l.KernelW))
		check("stride", int64(l.Stride))
		check("pad", int64(l.PadH))
		check("groups", int64(l.Groups))
		check("dilation", int64(l.Dilation))
	}

	// The producers, as a set: a sum has no order.
	producers := make(map[string]bool)
	for _, p := range strings.Fields(want["inputs"]) {
		producers[p] = true
	}
	if len(producers) != len(l.Inputs) {
		t.Errorf("%s reads %d tensors, want %v", l.Name(), len(l.Inputs), want["inputs"])
	}
	for _, x := range l.Inputs {
		if from := rows[row[x]]["name"]; !producers[from] {
			t.Errorf("%s reads %q, want %v", l.Name(), from, want["inputs"])
		}
	}
}
