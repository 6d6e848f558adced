package cost_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

func TestEveryKindIsExplained(t *testing.T) {
	for _, name := range arch.References() {
		g := reference(t, name)
		for i := range g.Layers {
			if kind := string(g.Layers[i].Kind()); !slices.Contains(cost.ExplainedKinds(), kind) {
				t.Errorf("%s: kind %q is not explained", name, kind)
			}
		}
	}
	names := cost.ExplainedKinds()
	for i, name := range names {
		e, ok := cost.ExplanationOf(name)
		if !ok || e.Is == "" || len(e.Formulas) == 0 || slices.Contains(names[:i], name) {
			t.Errorf("%q: %+v, %v", name, e, ok)
		}
	}
	if _, ok := cost.ExplanationOf("convv"); ok {
		t.Error("a kind named convv")
	}
}

// evaluate computes a sum of products, and of quotients that are integers, whose
// factors are numbers or symbols.
func evaluate(t *testing.T, formula string, symbols map[string]int64) int64 {
	t.Helper()
	number := func(s string) int64 {
		if v, ok := symbols[s]; ok {
			return v
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", formula, err)
		}
		return v
	}
	var sum int64
	for _, product := range strings.Split(strings.ReplaceAll(formula, " ", ""), "+") {
		value := int64(1)
		for _, factor := range strings.Split(product, "*") {
			above, below, quotient := strings.Cut(factor, "/")
			value *= number(above)
			if quotient {
				value /= number(below)
			}
		}
		sum += value
	}
	return sum
}

// TestFormulas puts the numbers of every example into its formulas, in symbols
// and worked out.
func TestFormulas(t *testing.T) {
	for _, e := range cost.Explanations() {
		for i, x := range e.Examples {
			g := x.Graph()
			if err := g.Err(); err != nil || x.Name == "" {
				t.Fatalf("%s, %q: %v", e.Kind, x.Name, err)
			}
			if i > 0 || e.Kind == "se" {
				continue
			}
			l := &g.Layers[1]
			if got, _ := cost.ExplanationOf(string(l.Kind())); got.Kind != e.Kind {
				t.Errorf("%s: the example is %s", e.Kind, l.Kind())
			}
			c := cost.OfLayer(l)
			want := map[string]int64{"MACs": c.MACs, "FLOPs": c.FLOPs(), "parameters": c.Params, "activations": c.Activations}
			symbols := map[string]int64{
				"n": 1, "c_i": int64(l.In.C), "c_o": int64(l.Out.C), "h_o": int64(l.Out.H), "w_o": int64(l.Out.W),
				"k_h": int64(l.KernelH), "k_w": int64(l.KernelW), "g": int64(l.Groups),
			}
			for _, f := range e.Formulas {
				text, bias, _ := strings.Cut(f.Is, ", and ")
				got := evaluate(t, text, symbols)
				if bias != "" && l.Bias {
					got += symbols["c_o"]
				}
				if v, ok := want[f.Of]; !ok || got != v {
					t.Errorf("%s: %s = %s = %d, want %d", e.Kind, f.Of, f.Is, got, v)
				}
			}
			worked := cost.Worked(l)
			for _, f := range worked {
				if got := evaluate(t, f.Is, nil); got != want[f.Of] {
					t.Errorf("%s: %s = %s = %d, want %d", e.Kind, f.Of, f.Is, got, want[f.Of])
				}
			}
			if len(worked) != 4 {
				t.Errorf("%s: worked out %v", e.Kind, worked)
			}
		}
	}
	if got := cost.Worked(&arch.Layer{Op: arch.OpAdd}); got != nil {
		t.Errorf("a sum is worked out as %v", got)
	}
}

func TestSqueezeExciteFormula(t *testing.T) {
	e, _ := cost.ExplanationOf("se")
	c := cost.Of(e.Examples[0].Graph())
	symbols := map[string]int64{"n": 1, "c_i": 120, "r": 32}
	for of, want := range map[string]int64{"MACs": c.MACs, "FLOPs": c.FLOPs(), "parameters": c.Params} {
		i := slices.IndexFunc(e.Formulas, func(f cost.Formula) bool { return f.Of == of })
		if got := evaluate(t, e.Formulas[i].Is, symbols); got != want {
			t.Errorf("%s = %s = %d, want %d", of, e.Formulas[i].Is, got, want)
		}
	}
	if want := int64(120 + 32); c.Activations != want {
		t.Errorf("%d activations, want %d", c.Activations, want)
	}
}

// TestExplanationsAreTrue checks the figures that the texts give.
func TestExplanationsAreTrue(t *testing.T) {
	example := func(kind string, i int) cost.Cost {
		e, _ := cost.ExplanationOf(kind)
		return cost.Of(e.Examples[i].Graph())
	}
	two, five := example("conv", 1), example("conv", 2)
	if two.MACs*25 != five.MACs*18 || two.Params*25 != five.Params*18 || two.Activations != 2*five.Activations {
		t.Errorf("two 3x3 %+v, one 5x5 %+v", two, five)
	}
	grouped, plain := example("grouped", 0), example("grouped", 1)
	if 32*grouped.MACs != plain.MACs || 32*grouped.Params != plain.Params {
		t.Errorf("grouped %+v, plain %+v", grouped, plain)
	}
	separable, plain := example("depthwise", 1), example("depthwise", 2)
	if separable.MACs*9*128 != plain.MACs*(9+128) { // 1/c_o + 1/(k_h*k_w)
		t.Errorf("separable %+v, plain %+v", separable, plain)
	}
	if one, three := example("pointwise", 0), example("pointwise", 1); 9*one.MACs != three.MACs {
		t.Errorf("1x1 %+v, 3x3 %+v", one, three)
	}
	var linear cost.Cost
	g := reference(t, "vgg16")
	for i := range g.Layers {
		if g.Layers[i].Op == arch.OpLinear {
			linear = linear.Add(cost.OfLayer(&g.Layers[i]))
		}
	}
	all := cost.Of(g)
	if w, m := 100*linear.Params/all.Params, 100*float64(linear.MACs)/float64(all.MACs); w != 89 || m < 0.5 || m > 1.5 {
		t.Errorf("the linear layers of VGG-16 have %d %% of the weights, %.2f %% of the MACs", w, m)
	}
}

var updateDocs = flag.Bool("update", false, "write the tables of docs/cost.md anew")

const docFile = "../docs/cost.md"

// docTables returns the tables of docs/cost.md, by the names of their places.
func docTables(t *testing.T) map[string]string {
	t.Helper()
	tables := make(map[string]string)
	table := func(name, header string) func(cells ...any) {
		tables[name] = header + "\n|" + strings.Repeat(" --- |", strings.Count(header, "|")-1) + "\n"
		return func(cells ...any) {
			for _, c := range cells {
				text := fmt.Sprint(c)
				if v, ok := c.(int64); ok {
					text = commas(v)
				}
				tables[name] += "| " + text + " "
			}
			tables[name] += "|\n"
		}
	}
	code := func(s string) string { return "`" + s + "`" }

	row := table("symbols", "| symbol | means |")
	for _, s := range cost.Symbols() {
		row(code(s.Of), s.Is)
	}
	row = table("formulas", "| kind | MACs | parameters | activations |")
	for _, e := range cost.Explanations() {
		is := make(map[string]string)
		for _, f := range e.Formulas {
			text, _, _ := strings.Cut(f.Is, ", and ")
			for _, of := range strings.Split(f.Of, ", ") {
				is[of] = text
			}
		}
		if is["parameters"] != "0" {
			row(e.Kind, code(is["MACs"]), code(is["parameters"]), code(is["activations"]))
		}
	}
	row = table("stack", "| | MACs | parameters | activations |")
	conv, _ := cost.ExplanationOf("conv")
	for _, x := range conv.Examples {
		c := cost.Of(x.Graph())
		row(x.Name, c.MACs, c.Params, c.Activations)
	}
	row = table("networks", "| network | MACs | parameters | activations | peak, all | fused | inplace |")
	for _, name := range arch.References() {
		g := reference(t, name)
		c := cost.Of(g)
		var m cost.Memory
		peak := func(p cost.MemoryPolicy) int64 {
			elements, _ := m.Peak(g, p)
			return elements
		}
		row(name, c.MACs, c.Params, c.Activations, peak(cost.AllocateAll), peak(cost.FuseElementwise), peak(cost.WriteInPlace))
	}
	row = table("widths", "| network | bits | weight bytes | MB | MiB |")
	for _, name := range []string{"alexnet", "squeezenet", "mobilenet_v2"} {
		c := cost.Of(reference(t, name))
		for _, bits := range []int{32, 16, 8, 6, 4} {
			b := c.WeightBytes(bits)
			row(name, bits, b, fmt.Sprintf("%.3f", float64(b)/1e6), fmt.Sprintf("%.3f", float64(b)/(1<<20)))
		}
	}
	row = table("energy", "| what | pJ |")
	for _, e := range []struct {
		what string
		pJ   float64
	}{
		{"MAC, integer of 8 bits or less", cost.MAC8Bit},
		{"MAC, 16-bit floating point (9 to 16 bits)", cost.MAC16Bit},
		{"MAC, 32-bit floating point (more)", cost.MAC32Bit},
		{"byte of on-chip memory", cost.SRAMByte},
		{"byte of DRAM", cost.DRAMByte},
	} {
		row(e.what, strconv.FormatFloat(e.pJ, 'g', 4, 64))
	}
	row = table("conventions", "| convention | what it is | its figure | formula |")
	for _, c := range cost.Conventions() {
		row(c.Name, c.Summary, c.Figure, code(c.Formula))
		if c.Assumes != "" {
			tables["assumptions"] += "- " + c.Name + ": " + c.Assumes + "\n"
		}
	}
	row = table("terms", "| term | value | why |")
	thop, _ := cost.ConventionByName("thop")
	terms := thop.Count(reference(t, "efficientnet_b0"))
	for _, term := range terms {
		row(term.Name, term.Value, term.Why)
	}
	row("sum", cost.Sum(terms), "what thop prints")
	row = table("figures", "| convention | mobilenet_v2 | resnet50 | efficientnet_b0 | vgg16 |")
	for _, c := range cost.Conventions() {
		cells := []any{c.Name}
		for _, name := range []string{"mobilenet_v2", "resnet50", "efficientnet_b0", "vgg16"} {
			cells = append(cells, cost.Sum(c.Count(reference(t, name))))
		}
		row(cells...)
	}
	row = table("published", "| network | figure | printed | where | exact | why |")
	for _, p := range cost.Published() {
		row(p.Of, p.What, p.Printed, p.Where, p.Exact, p.Why)
	}
	return tables
}

func commas(v int64) string {
	s := strconv.FormatInt(v, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// TestDocs compares the tables of docs/cost.md with what the code counts, and
// looks for every long number of its text among the counts.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	old := string(data)
	places := regexp.MustCompile(`(?s)<!-- begin (\w+) -->\n.*?<!-- end (\w+) -->\n`)
	tables := docTables(t)
	used := make(map[string]bool)
	text := places.ReplaceAllStringFunc(old, func(place string) string {
		m := places.FindStringSubmatch(place)
		if m[1] != m[2] || tables[m[1]] == "" {
			t.Fatalf("no table for the place %q to %q", m[1], m[2])
		}
		used[m[1]] = true
		return "<!-- begin " + m[1] + " -->\n" + tables[m[1]] + "<!-- end " + m[1] + " -->\n"
	})
	for name := range tables {
		if !used[name] {
			t.Errorf("%s has no place for %s", docFile, name)
		}
	}
	if text != old {
		if !*updateDocs {
			t.Fatalf("the tables of %s are out of date: go test ./cost -run TestDocs -update", docFile)
		}
		if err := os.WriteFile(docFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	rest := places.ReplaceAllString(text, "")
	known := strings.Join(slices.Collect(maps.Values(tables)), "\n")
	// AlexNet of torchvision, which is no reference network.
	if n := truthNetworks(t)["alexnet"]; n != nil {
		known += " " + commas(cost.Of(lower(t, n)).Params)
	}
	for _, number := range regexp.MustCompile(`\d{1,3}(,\d{3})+`).FindAllString(rest, -1) {
		if !strings.Contains(known, number) {
			t.Errorf("%s: %s is in none of its tables", docFile, number)
		}
	}
}
