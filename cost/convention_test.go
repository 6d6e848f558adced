package cost_test

import (
	"compress/gzip"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// countAs returns what a convention counts, and its terms by name.
func countAs(t *testing.T, name string, g *arch.Graph) (total int64, terms map[string]int64) {
	t.Helper()
	c, ok := cost.ConventionByName(name)
	if !ok {
		t.Fatalf("no convention %q", name)
	}
	list := c.Count(g)
	terms = make(map[string]int64)
	for _, term := range list {
		terms[term.Name] = term.Value
	}
	return cost.Sum(list), terms
}

func TestConventions(t *testing.T) {
	g := reference(t, "mobilenet_v2")
	names := cost.ConventionNames()
	if names[0] != "paper" || len(names) != len(cost.Conventions()) {
		t.Errorf("%d conventions, names %v", len(cost.Conventions()), names)
	}
	for i, c := range cost.Conventions() {
		if c.Name != names[i] || slices.Contains(names[:i], c.Name) || c.Figure == "" || c.Summary == "" || c.Formula == "" {
			t.Errorf("convention %d: %+v", i, c)
		}
		terms := c.Count(g)
		if terms[0].Name != "MACs" || terms[0].Value != cost.Of(g).MACs {
			t.Errorf("%s: the first term is %+v", c.Name, terms[0])
		}
		seen := make(map[string]bool)
		for _, term := range terms {
			if seen[term.Name] || term.Why == "" || term.Value < 0 {
				t.Errorf("%s: term %+v", c.Name, term)
			}
			seen[term.Name] = true
		}
		if sum := cost.Sum(c.Count(new(arch.Graph))); sum != 0 {
			t.Errorf("%s: nothing counts %d", c.Name, sum)
		}
	}
	if _, ok := cost.ConventionByName("nobody"); ok {
		t.Error("a convention named nobody")
	}
	if got, _ := countAs(t, "paper", g); got != 300_774_272 {
		t.Errorf("paper: %d", got)
	}
	// Printed by onnx-tool itself for the network that torchvision exports.
	if got, _ := countAs(t, "onnx-tool", g); got != 319_949_192 {
		t.Errorf("onnx-tool: %d, want 319949192", got)
	}
}

// TestPyclsFigures compares with the exact figures that pycls publishes for its
// networks, in dev/model_complexity.json.
func TestPyclsFigures(t *testing.T) {
	for network, want := range map[string]int64{
		"resnet50": 4_089_185_256, "resnext50_32x4d": 4_230_480_872, "regnet_y_400mf": 401_849_056, "efficientnet_b0": 385_825_092,
	} {
		if got, _ := countAs(t, "pycls", reference(t, network)); got != want {
			t.Errorf("%s: %d, want %d", network, got, want)
		}
	}
}

// TestThopFigures compares with the figures that Accel-NASBench published for
// its 4612 networks, counted by thop.
func TestThopFigures(t *testing.T) {
	z, err := gzip.NewReader(openData(t, "accel_nasbench.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	rows := readTable(t, z)
	for _, row := range rows {
		printed, err := strconv.ParseFloat(row["thop_mmacs"], 64)
		if err != nil {
			t.Fatal(err)
		}
		g := lower(t, accelNetwork(t, row))
		got, terms := countAs(t, "thop", g)
		if want := int64(math.Round(printed * 1e6)); got != want {
			t.Fatalf("%v: %d, want %d; terms %v", row, got, want, terms)
		}
	}
	t.Logf("%d networks", len(rows))
}

// accelNetwork builds the network of a row of Accel-NASBench.
func accelNetwork(t *testing.T, row map[string]string) *arch.Network {
	t.Helper()
	plan := readPlan(t, "accel_nasbench.yaml")
	column := map[string]string{"depth": "l", "expansion": "e", "kernel": "k", "se": "se"}
	genes := make([]uint16, len(plan.Slots))
	for i, s := range plan.Slots {
		word := row[column[s.Path[strings.LastIndexByte(s.Path, '.')+1:]]][s.Stage : s.Stage+1]
		if strings.HasSuffix(s.Path, ".se") && word == "1" {
			word = "0.25"
		}
		genes[i] = uint16(slices.IndexFunc(s.Options, func(o arch.Scalar) bool { return o.String() == word }))
	}
	n := new(arch.Network)
	plan.Build(genes, n)
	return n
}

var _ = big.NewInt
