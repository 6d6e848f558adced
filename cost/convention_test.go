package cost_test

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
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
	zoo := make(map[string]int64) // what pycls printed
	lines := json.NewDecoder(openData(t, "imagenet_zoo.jsonl"))
	for lines.More() {
		var row struct {
			Name, Source string
			MACs         float64 `json:"macs_pub"`
		}
		if err := lines.Decode(&row); err != nil {
			t.Fatal(err)
		}
		if row.Source == "pycls" {
			zoo[row.Name] = int64(row.MACs)
		}
	}
	f, err := os.Open(filepath.FromSlash("../predictor/records/imagenet.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	compared := 0
	for records := json.NewDecoder(f); records.More(); {
		var record struct {
			Architecture json.RawMessage
		}
		if err := records.Decode(&record); err != nil {
			t.Fatal(err)
		}
		n, err := arch.Parse("record", record.Architecture)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := zoo[n.Name]
		if !ok {
			continue
		}
		if got, _ := countAs(t, "pycls", lower(t, n)); got != want {
			t.Errorf("%s: %d, want %d", n.Name, got, want)
		}
		compared++
	}
	if compared != len(zoo) {
		t.Errorf("%d of %d networks compared", compared, len(zoo))
	}
}

// TestVGGSlide compares the layers of VGG-16 with the table of the lecture's
// slide: exactly as counted, and rounded as printed there.
func TestVGGSlide(t *testing.T) {
	rows := truth(t, "seed_vgg_table.csv")
	g := reference(t, "vgg16")
	var weights, flops float64
	for i := range g.Layers {
		c := cost.OfLayer(&g.Layers[i])
		if c.MACs == 0 {
			continue
		}
		row := rows[0]
		rows = rows[1:]
		if c.Params != number(t, row, "params_with_bias") || c.FLOPs() != number(t, row, "flops_2x") {
			t.Errorf("%v: %+v", row, c)
		}
		for printed, exact := range map[string]int64{row["seed_weights"]: c.Params, row["seed_flop"]: c.FLOPs()} {
			unit := map[byte]float64{'K': 1e3, 'M': 1e6, 'B': 1e9}[printed[len(printed)-1]]
			value, err := strconv.ParseFloat(printed[:len(printed)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			digits := 0
			if strings.Contains(printed, ".") {
				digits = 1
			}
			if got := strconv.FormatFloat(float64(exact)/unit, 'f', digits, 64); got != printed[:len(printed)-1] {
				t.Errorf("%s: %d rounds to %s, printed %s", row["layer"], exact, got, printed)
			}
			if exact == c.Params {
				weights += value * unit
			} else {
				flops += value * unit
			}
		}
	}
	if len(rows) > 0 {
		t.Errorf("rows without a layer: %v", rows)
	}
	// What the rounded rows add up to.
	if math.Abs(weights-136.7e6) > 0.05e6 || math.Abs(flops-30.82e9) > 0.005e9 {
		t.Errorf("the rows add up to %v weights and %v FLOPs", weights, flops)
	}
}

// TestThopFigures compares with the figures that Accel-NASBench published for
// its 4612 networks, counted by thop.
func TestThopFigures(t *testing.T) {
	z, err := gzip.NewReader(openData(t, "accel_nasbench.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	plan := readPlan(t, "accel_nasbench.yaml")
	column := map[string]string{"depth": "l", "expansion": "e", "kernel": "k", "se": "se"}
	genes := make([]uint16, len(plan.Slots))
	rows := readTable(t, z)
	for _, row := range rows {
		for i, s := range plan.Slots {
			word := row[column[s.Path[strings.LastIndexByte(s.Path, '.')+1:]]][s.Stage : s.Stage+1]
			if strings.HasSuffix(s.Path, ".se") && word == "1" {
				word = "0.25"
			}
			genes[i] = uint16(slices.IndexFunc(s.Options, func(o arch.Scalar) bool { return o.String() == word }))
		}
		var n arch.Network
		plan.Build(genes, &n)
		printed, err := strconv.ParseFloat(row["thop_mmacs"], 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, terms := countAs(t, "thop", lower(t, &n)); got != int64(math.Round(printed*1e6)) {
			t.Errorf("%v: %d; terms %v", row, got, terms)
		}
	}
	if len(rows) != 4612 {
		t.Errorf("%d networks", len(rows))
	}
}

// TestConventionTermsOfBlocks compares the elements that the terms count with
// those of the truth table of blocks. Where a block has them, its activations are
// ReLU, and the hard sigmoid of its squeeze-and-excitation.
func TestConventionTermsOfBlocks(t *testing.T) {
	compared := 0
	for _, row := range truth(t, "blocks.csv") {
		config := make(map[string]float64)
		for _, field := range strings.Fields(row["config"]) {
			key, text, _ := strings.Cut(field, "=")
			config[key], _ = strconv.ParseFloat(text, 64)
		}
		n, err := blockNetwork(row["block"], config).Network()
		if err != nil {
			t.Fatal(err)
		}
		g := new(arch.Graph)
		in := arch.Shape{C: int32(config["cin"]), H: int32(number(t, row, "hin")), W: int32(number(t, row, "win"))}
		if _, err := n.LowerBlock(g, 0, 0, in); err != nil {
			t.Fatal(err)
		}
		var gates, globals int64
		if config["se"] > 0 {
			gates = int64(config["mid"])
			globals = gates
		}
		bn, act := number(t, row, "bn_elems"), number(t, row, "act_elems")
		want := map[string]map[string]int64{
			"fvcore":          {"batch normalisation": 2 * bn},
			"timm":            {"batch normalisation": 2 * bn},
			"ptflops-pytorch": {"batch normalisation": 2 * bn, "activations": 2 * (act - gates)},
			"torchinfo":       {"batch normalisation": number(t, row, "params_bn")},
			"calflops":        {"additions": number(t, row, "macs"), "batch normalisation": 2 * bn, "activations": act - gates},
			"thop":            {"batch normalisation": 4 * bn},
			"onnx-tool": {
				"batch normalisation": 0, "activations": act - gates + 4*gates,
				"sums and products": number(t, row, "add_elems") + number(t, row, "mul_elems"),
				"pools":             number(t, row, "pool_window_elems") + 4*globals,
				// In these blocks every convolution has a batch normalisation or a bias.
				"biases": number(t, row, "conv_linear_activations"),
			},
		}
		if number(t, row, "params_bias") == 0 {
			want["ptflops"] = map[string]int64{"biases": 0}
		}
		for name, terms := range want {
			_, got := countAs(t, name, g)
			for term, value := range terms {
				if v, ok := got[term]; !ok || v != value {
					t.Errorf("%s %s on %v: %s, %s: %d, want %d", row["block"], row["config"], in, name, term, v, value)
				}
				compared++
			}
		}
	}
	t.Logf("%d terms", compared)
}

// TestConventionsOfNetworks adds up what every counter prints from the layer
// tables of the truth.
func TestConventionsOfNetworks(t *testing.T) {
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
		want := make(map[string]int64)
		for _, row := range truth(t, filepath.Join("layers", name+".csv")) {
			in, out, macs, bias := number(t, row, "in_elems"), number(t, row, "out_elems"), number(t, row, "macs"), number(t, row, "bias_params") > 0
			add := func(convention string, v int64) { want[convention] += v }
			for _, c := range cost.ConventionNames() {
				add(c, macs)
			}
			add("calflops", macs)
			isConv := strings.HasSuffix(row["type"], "conv")
			if bias {
				for _, c := range []string{"pycls", "ptflops", "ptflops-pytorch", "torchinfo"} {
					add(c, out)
				}
				if isConv {
					add("calflops", out)
				}
			}
			if isConv || bias {
				add("onnx-tool", out)
			}
			switch row["type"] {
			case "bn":
				for _, c := range []string{"fvcore", "timm", "ptflops-pytorch", "calflops"} {
					add(c, 2*out)
				}
				add("thop", 4*out)
				add("torchinfo", number(t, row, "bn_params"))
			case "relu":
				add("ptflops-pytorch", 2*out)
				add("calflops", out)
				add("onnx-tool", out)
			case "relu6":
				add("ptflops-pytorch", out)
				add("onnx-tool", 2*out)
			case "silu":
				add("ptflops-pytorch", out)
				add("calflops", out)
				add("onnx-tool", 33*out)
			case "sigmoid":
				add("onnx-tool", 32*out)
			case "hsigmoid":
				add("onnx-tool", 4*out)
			case "hswish":
				add("onnx-tool", 5*out)
			case "add", "mul":
				add("onnx-tool", out)
			case "maxpool", "avgpool":
				add("ptflops-pytorch", 2*in)
				add("calflops", in)
				add("onnx-tool", out*number(t, row, "kh")*number(t, row, "kw"))
				if row["type"] == "avgpool" {
					add("thop", out)
				}
			case "gap", "adaptive_avgpool":
				add("fvcore", in)
				add("ptflops-pytorch", 2*in)
				add("calflops", in)
				add("thop", in+out)
				add("onnx-tool", in)
				if row["type"] == "gap" {
					add("onnx-tool", 4*out)
				}
			}
		}
		g := lower(t, networks[name])
		for _, c := range cost.ConventionNames() {
			if got, terms := countAs(t, c, g); got != want[c] {
				t.Errorf("%s, %s: %d, want %d; terms %v", name, c, got, want[c], terms)
			}
		}
	}
}

// TestConventionsFitTheirTypes adds up the most that the limits of a graph allow
// in the terms of a convention: a layer adds two a MAC and a bias, or 34 for each
// element, or a pool of 2^46.
func TestConventionsFitTheirTypes(t *testing.T) {
	most := big.NewInt(max(2*arch.MaxMACs+arch.MaxElements, 34*arch.MaxElements))
	if most.Mul(most, big.NewInt(arch.MaxLayers)); !most.IsInt64() {
		t.Errorf("a network may count %v", most)
	}
	// A pool whose windows hold more pixels than an int64 counts.
	g := new(arch.Graph)
	x := g.Reset(arch.Shape{C: 1 << 11, H: 1 << 14, W: 1 << 14})
	g.Pool(x, "", arch.Pool{Kernel: 1 << 14, Stride: 1, Padding: 1 << 13})
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range cost.ConventionNames() {
		if got, terms := countAs(t, name, g); got < 0 || got > 1<<46 {
			t.Errorf("%s: %d; terms %v", name, got, terms)
		}
	}
}

// publishedForms gives the truth tables' names of the networks that published
// figures are of, where that is not the reference.
var publishedForms = map[string]string{
	"ResNet-50, stride in the first 1x1":  "resnet50_v1paper",
	"ResNet-152, stride in the first 1x1": "resnet152_v1paper",
	"ShuffleNet 1x, 1 group":              "shufflenet_v1_g1_x1.00",
	"ShuffleNet 1x, 2 groups":             "shufflenet_v1_g2_x1.00",
	"ShuffleNet 1x, 4 groups":             "shufflenet_v1_g4_x1.00",
	"ShuffleNet 1x, 8 groups":             "shufflenet_v1_g8_x1.00",
	"ShuffleNet 0.5x, 4 groups":           "shufflenet_v1_g4_x0.50",
	"ShuffleNetV2 1x, Megvii's":           "shufflenet_v2_megvii_x1.00",
	"ShuffleNetV2 2x, Megvii's":           "shufflenet_v2_megvii_x2.00",
	"MobileNet 0.75, 224 pixels":          "mobilenet_v1_0.75_224",
	"MobileNet 0.75, 192 pixels":          "mobilenet_v1_0.75_192",
	"MobileNet 0.75, 160 pixels":          "mobilenet_v1_0.75_160",
	"MobileNet 0.75, 128 pixels":          "mobilenet_v1_0.75_128",
	"MobileNet 0.25, 192 pixels":          "mobilenet_v1_0.25_192",
}

func TestPublished(t *testing.T) {
	networks := truthNetworks(t)
	form := func(file string, changes ...change) *arch.Network {
		tmpl, err := arch.ReadTemplate(filepath.FromSlash("../arch/networks/" + file + ".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			c(tmpl, nil)
		}
		n, err := tmpl.Network()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	others := map[string]*arch.Network{
		"ResNet-101, stride in the first 1x1": form("resnet101", params("stride_first", arch.OneOf(true))),
		"ShuffleNetV2 1.5x, Megvii's":         form("shufflenet_v2_x1_5", params("form", arch.OneOf("megvii")), classifierWithoutBias),
	}
	seen := make(map[string]bool)
	for _, p := range cost.Published() {
		n := networks[publishedForms[p.Of]]
		if n == nil {
			n = others[p.Of]
		}
		if n == nil {
			n = networks[inTruth[p.Network]]
		}
		var c cost.Cost
		if n != nil {
			c = cost.Of(lower(t, n))
		} else {
			c = cost.Of(reference(t, p.Network))
		}
		got, ok := map[string]int64{"MACs": c.MACs, "FLOPs": c.FLOPs(), "params": c.Params, "weight bytes": c.WeightBytes(32)}[p.What]
		if !ok || got != p.Exact {
			t.Errorf("%s, %s: exact %d, want %d", p.Of, p.What, p.Exact, got)
		}
		if p.Printed == "" || p.Where == "" || p.Why == "" || !slices.Contains(arch.References(), p.Network) {
			t.Errorf("%+v", p)
		}
		if key := p.Of + p.What + p.Where; seen[key] {
			t.Errorf("%s twice", key)
		} else {
			seen[key] = true
		}
		if !slices.Contains(cost.PublishedOf(p.Network), p) {
			t.Errorf("PublishedOf(%q) lacks %+v", p.Network, p)
		}
	}
	if got := cost.PublishedOf("resnet18"); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// TestPublishedReasons checks the reasons that are sums.
func TestPublishedReasons(t *testing.T) {
	channels := func(network string) (sum int64) {
		g := reference(t, network)
		for i := range g.Layers {
			if g.Layers[i].Op == arch.OpBatchNorm {
				sum += int64(g.Layers[i].Out.C)
			}
		}
		return sum
	}
	for what, check := range map[string][2]float64{
		"MobileNet with 3 numbers a channel":     {4_231_976 + float64(channels("mobilenet")), 4.24e6},
		"MobileNetV2 without batch norm's":       {3_504_872 - 2*float64(channels("mobilenet_v2")), 3.47e6},
		"ShuffleNet g=1 without classifier":      {143_078_976 - 576*1000, 143e6},
		"ShuffleNet g=2 without classifier":      {140_836_512 - 800*1000, 140e6},
		"ShuffleNet g=3 without classifier":      {137_460_672 - 960*1000, 137e6},
		"ShuffleNet g=4 without classifier":      {134_339_776 - 1088*1000, 133e6},
		"ShuffleNet g=8 without classifier":      {138_365_952 - 1536*1000, 137e6},
		"AlexNet in MiB":                         {243_860_896. / (1 << 20) * 1e6, 232.56e6},
		"SqueezeNet in MiB":                      {4_993_696. / (1 << 20) * 1e6, 4.762e6},
		"AlexNet for each byte of SqueezeNet's":  {243_860_896. / 4_993_696 * 1e6, 48.8e6},
		"ShuffleNet 0.5x of 8 groups, the most":  {40_469_760, 40.5e6},
		"ShuffleNet 0.5x of 4 groups, the least": {36_468_448, 36.5e6},
	} {
		if math.Abs(check[0]-check[1]) > 0.0050001*check[1] {
			t.Errorf("%s: %v, printed %v", what, check[0], check[1])
		}
	}
}
