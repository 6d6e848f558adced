package cost_test

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// truthDir holds costs counted independently of this project, by running the
// networks in PyTorch. It lies beside the project where it is developed.
const truthDir = "../../shared/truth"

// inTruth gives the reference networks' names in the truth tables.
var inTruth = map[string]string{
	"alexnet":            "alexnet_seed_224",
	"vgg16":              "vgg16",
	"squeezenet":         "squeezenet1_0",
	"resnet18":           "resnet18",
	"resnet50":           "resnet50",
	"resnext50_32x4d":    "resnext50_32x4d",
	"mobilenet":          "mobilenet_v1_1.00_224",
	"mobilenet_v2":       "mobilenet_v2_1.00_224",
	"mobilenet_v3_large": "mobilenet_v3_large",
	"shufflenet":         "shufflenet_v1_g3_x1.00",
	"shufflenet_v2":      "shufflenet_v2_x1_0",
	"mnasnet":            "mnasnet1_0",
	"regnet_y_400mf":     "regnet_y_400mf",
	"efficientnet_b0":    "efficientnet_b0_224",
}

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
	lines, err := csv.NewReader(f).ReadAll()
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

func lower(t *testing.T, name string) *arch.Graph {
	t.Helper()
	n, err := arch.Reference(name)
	if err != nil {
		t.Fatal(err)
	}
	g := new(arch.Graph)
	if err := n.Lower(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestReferencesEqualTruth(t *testing.T) {
	totals := make(map[string]map[string]string)
	for _, row := range truth(t, "totals.csv") {
		totals[row["net"]] = row
	}
	for _, name := range arch.References() {
		t.Run(name, func(t *testing.T) {
			row, ok := totals[inTruth[name]]
			if !ok {
				t.Fatalf("no truth for reference network %q", name)
			}
			want := cost.Cost{
				MACs:        number(t, row, "macs"),
				Params:      number(t, row, "params"),
				Activations: number(t, row, "conv_linear_activations"),
			}
			if got := cost.Of(lower(t, name)); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestPeakMemoryEqualsTruth(t *testing.T) {
	totals := make(map[string]map[string]string)
	for _, row := range truth(t, "totals.csv") {
		totals[row["net"]] = row
	}
	var m cost.Memory
	for _, name := range arch.References() {
		t.Run(name, func(t *testing.T) {
			g := lower(t, name)
			for policy, column := range map[cost.MemoryPolicy]string{
				cost.AllocateAll:     "peak_all_elems",
				cost.FuseElementwise: "peak_fused_elems",
				cost.WriteInPlace:    "peak_inplace_elems",
			} {
				want := number(t, totals[inTruth[name]], column)
				if got, at := m.Peak(g, policy); got != want {
					t.Errorf("%s: %d at %s, want %d", policy, got, g.Layers[at].Name(), want)
				}
			}
		})
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

func TestReferencesEqualTruthLayerByLayer(t *testing.T) {
	for _, name := range arch.References() {
		t.Run(name, func(t *testing.T) {
			rows := truth(t, filepath.Join("layers", inTruth[name]+".csv"))
			g := lower(t, name)

			// The truth has no rows for views and dropout; row says where the
			// output of each of our layers stands in it.
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
			}
			if next != len(rows) {
				t.Errorf("%d layers, want %d", next, len(rows))
			}
		})
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
