package arch_test

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

func compile(t interface{ Fatal(...any) }, text string) *arch.Plan {
	tmpl, err := arch.ParseTemplate("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stageless returns the layers of genes, with the stages that have layers
// numbered from 0, and whether they can be built.
func stageless(p *arch.Plan, genes []uint16) ([]arch.Layer, bool) {
	var n arch.Network
	var g arch.Graph
	p.Build(genes, &n)
	if n.Lower(&g) != nil {
		return nil, false
	}
	last, number := int16(-1), int16(-1)
	for i := range g.Layers {
		l := &g.Layers[i]
		if l.Stage > last {
			last = l.Stage
			number++
		}
		if l.Stage >= 0 {
			l.Stage = number
		}
	}
	return g.Layers, true
}

func canonical(p *arch.Plan, genes []uint16) []uint16 {
	c := slices.Clone(genes)
	p.Canonical(c, make([]bool, len(c)))
	return c
}

// each calls f with every genome of a plan, which f must not keep.
func each(p *arch.Plan, f func(genes []uint16)) {
	genes := make([]uint16, len(p.Slots))
	var try func(i int)
	try = func(i int) {
		if i == len(genes) {
			f(genes)
			return
		}
		for v := range p.Slots[i].Options {
			genes[i] = uint16(v)
			try(i + 1)
		}
	}
	try(0)
}

// Spaces in which all networks with equal layers are so because of stages that
// do nothing, and the number of their different networks.
var idleSpaces = []struct {
	name     string
	stages   []string
	distinct int
}{
	{"depth 0", []string{
		"{block: conv, width: 8, kernel: [1, 3], depth: [0, 1]}",
		"{block: conv, width: 8, kernel: [1, 3], depth: [0, 1]}",
		"{block: conv, width: 8, kernel: [1, 3], depth: [0, 1]}",
	}, 1 + 2 + 4 + 8},
	{"depth 0, not the first option", []string{
		"{block: [conv, separable], width: 8, depth: [1, 0], stride: 2}",
		"{block: [conv, separable], width: 8, depth: [1, 0], stride: 2}",
	}, 1 + 2 + 4},
	{"identity", []string{
		"{block: [conv, identity], width: 8}",
		"{block: [conv, identity], width: 8}",
		"{block: [conv, identity], width: 16}", // where it is no identity
		"{block: [conv, identity], width: 16}",
		"{block: [conv, identity], width: 16}",
	}, 3 * 2 * 3},
	{"identity of several depths, or depth 0", []string{
		"{block: [{block: conv, kernel: 5}, identity], width: 8, depth: [2, 1, 0]}",
		"{block: [{block: conv, kernel: 3}, identity], width: 8, depth: [2, 1]}", // another operation
	}, 9},
	{"widths", []string{ // an identity may widen; to nothing it comes with the width that is there
		"{block: [identity, conv], width: [8, 16]}",
		"{block: [identity, conv], width: [8, 16]}",
		"{block: [identity, conv], width: [8, 16]}",
	}, 27 + 9 + 3 + 1},
	{"widths of each block", []string{ // 16 channels forbid doing nothing, 8 do not
		"{block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2}",
		"{block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2}",
	}, 16 - 1},
	{"widths of each block, three stages", []string{
		"{block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2}",
		"{block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2}",
		"{block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2}",
	}, 15 + 39},
	{"unequal values of each block", []string{
		"{block: [identity, conv], width: 8, depth: 2, kernel: {blocks: [3, 5]}}",
		"{block: [identity, conv], width: 8, depth: 2, kernel: {blocks: [5, 3]}}",
		"{block: [identity, conv], width: 8, depth: 2, kernel: 3}",
		"{block: [identity, {block: conv, groups: 8}], width: 8, depth: 2, kernel: 3}",
		"{block: [identity, basic], width: 8, depth: 2}",
	}, 32},
	{"strides", []string{
		"{block: [identity, conv], width: 8, stride: [2, 1]}",
		"{block: [identity, conv], width: 8, stride: [2, 1]}",
	}, 1 + 3 + 9},
	{"unequal neighbours", []string{
		"{block: [identity, conv], width: 8, kernel: 3}",
		"{block: [identity, conv], width: 8, kernel: 5}",
		"{block: [identity, conv], width: 8, kernel: 5}",
		"{block: [identity, conv], width: 8, kernel: 7}",
	}, 2 * 3 * 2},
	{"an activation", []string{
		"{block: [identity, conv], width: 8, activation: [swish, relu]}",
		"{block: [identity, conv], width: 8, activation: [swish, relu]}",
	}, 1 + 2 + 4},
	{"a pool", []string{ // so that identity does something
		"{block: [identity, conv], width: 8, pool: {kernel: 2}}",
		"{block: [identity, conv], width: 8, pool: {kernel: 2}}",
	}, 4},
	{"unequal in one thing", []string{
		"{block: conv, width: 8, depth: [0, 1]}",
		"{block: conv, width: 8, depth: [0, 1], stride: 2}",
		"{block: conv, width: 8, depth: [0, 1], stride: 2, activation: swish}",
		"{block: conv, width: 8, depth: [0, 1], stride: 2, activation: sigmoid}",
		"{block: conv, width: 16, depth: [0, 1], stride: 2, activation: sigmoid}",
		"{block: conv, width: 16, depth: [0, 1], stride: 2, activation: sigmoid, pool: {kernel: 2}}",
	}, 64},
	{"kernels of each block", []string{
		"{block: [identity, conv], width: 8, depth: 2, kernel: [3, 5], per_block: [kernel]}",
		"{block: [identity, conv], width: 8, depth: 2, kernel: [3, 5], per_block: [kernel]}",
	}, 1 + 4 + 16},
}

func idleSpace(stages []string, stem string) string {
	return "input: {channels: 8, resolution: 64}\nactivation: [relu, swish]\nstem: " + stem + "\nstages:\n  - " +
		strings.Join(stages, "\n  - ") + "\nhead: {classes: 10, activation: relu}\n"
}

// Two genomes have equal layers if and only if they have one canonical genome.
func TestCanonicalIsTheOnlyOne(t *testing.T) {
	for _, test := range idleSpaces {
		for _, stem := range []string{"{width: 8, activation: relu}", "{width: 8, depth: 0}"} {
			t.Run(test.name+" "+stem, func(t *testing.T) {
				p := compile(t, strings.Replace(idleSpace(test.stages, stem), "[relu, swish]", "relu", 1))
				found := make(map[string][]uint16)
				seen := make(map[string]bool)
				each(p, func(genes []uint16) {
					layers, ok := stageless(p, genes)
					if !ok {
						t.Fatalf("%v cannot be built", genes)
					}
					c := canonical(p, genes)
					key := fmt.Sprint(layers)
					if first := found[key]; first == nil {
						found[key] = c
						if seen[fmt.Sprint(c)] {
							t.Errorf("%v, of %v, is that of other layers", c, genes)
						}
						seen[fmt.Sprint(c)] = true
					} else if !slices.Equal(first, c) {
						t.Fatalf("%v leads to %v, genes with the same layers to %v", genes, c, first)
					}
				})
				if len(found) != test.distinct {
					t.Errorf("%d networks, want %d", len(found), test.distinct)
				}
			})
		}
	}
}

// checkCanonical checks what holds for the canonical form of any genome. Stages
// are alike if what alike gives for them is equal.
func checkCanonical[T comparable](t *rapid.T, p *arch.Plan, genes []uint16, alike []T) {
	layers, ok := stageless(p, genes)
	c := slices.Clone(genes)
	active := make([]bool, len(c))
	p.Canonical(c, active)
	again, still := stageless(p, c)
	if ok != still || !cmp.Equal(layers, again) {
		t.Fatalf("%v became %v:\n%s", genes, c, cmp.Diff(layers, again))
	}
	want := make([]bool, len(c))
	if p.Active(c, want); !slices.Equal(active, want) {
		t.Fatalf("active %v, want %v", active, want)
	}
	for i, on := range active {
		if !on && c[i] != 0 {
			t.Fatalf("%v of %v: %s is inactive", c, genes, p.Slots[i].Path)
		}
	}
	if twice := canonical(p, c); !slices.Equal(twice, c) {
		t.Fatalf("%v became %v, and that %v", genes, c, twice)
	}
	if !ok {
		return
	}
	var n arch.Network
	p.Build(c, &n)
	if back, err := p.Genes(&n); err != nil || len(back) != len(c) {
		t.Fatalf("Genes(%v) = %v, %v", c, back, err)
	}

	// A stage that does nothing, exchanged for one that is alike and near, makes
	// no difference, if it does nothing there either.
	first := rapid.IntRange(0, p.Stages()-1).Draw(t, "stage")
	second := rapid.IntRange(0, p.Stages()-1).Draw(t, "other stage")
	for i := min(first, second); i <= max(first, second); i++ {
		if alike[i] != alike[first] || i != second && !idle(p, genes, i) {
			return
		}
	}
	swapped := slices.Clone(genes)
	a, b := stageSlots(p, first), stageSlots(p, second)
	for i := range a {
		swapped[a[i]], swapped[b[i]] = genes[b[i]], genes[a[i]]
	}
	other, ok := stageless(p, swapped)
	if !ok || !cmp.Equal(layers, other) || !idle(p, swapped, second) {
		return
	}
	if got := canonical(p, swapped); !slices.Equal(got, c) {
		t.Fatalf("%v became %v, but with stages %d and %d exchanged %v became %v", genes, c, first, second, swapped, got)
	}
	t.Log("compared")
}

func stageSlots(p *arch.Plan, stage int) (slots []int) {
	for i, s := range p.Slots {
		if s.Stage == stage {
			slots = append(slots, i)
		}
	}
	return slots
}

// idle reports whether a stage adds no layers.
func idle(p *arch.Plan, genes []uint16, stage int) bool {
	var n arch.Network
	var g arch.Graph
	p.Build(genes, &n)
	if n.Lower(&g) != nil {
		return false
	}
	return !slices.ContainsFunc(g.Layers, func(l arch.Layer) bool { return int(l.Stage) == stage })
}

// Stages that are alike only at first sight: exchanging them would change the
// network, or mean something else by the same genes.
func TestCanonicalOfUnequalStages(t *testing.T) {
	for _, stages := range [][]string{
		{"{block: conv, width: 8, depth: [0, 1]}", "{block: conv, width: 8, depth: [0, 1], activation: relu}"},
		{"{block: conv, width: 8, depth: [0, 1]}", "{block: conv, width: 8, depth: [1, 0]}"},
		{"{block: conv, width: 8, depth: [0, 1]}", "{block: conv, width: 8, depth: [0, 2]}"},
		{"{block: [conv, basic], width: 8, depth: [0, 1]}", "{block: [basic, conv], width: 8, depth: [0, 1]}"},
		{"{block: [conv, basic], width: 8, depth: [0, 1]}", "{block: [conv, basic, fire], width: 8, depth: [0, 1]}"},
		{"{block: conv, width: 8, depth: [0, 1]}", "{block: conv, width: 8, depth: [0, 1], kernel: [3, 5]}"},
	} {
		p := compile(t, idleSpace(stages, "{width: 8}"))
		rapid.Check(t, func(t *rapid.T) { checkCanonical(t, p, drawGenes(t, p), stages) })
	}
}

func TestCanonicalOfSpaces(t *testing.T) {
	for _, test := range idleSpaces {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, idleSpace(test.stages, "{width: 8, depth: [0, 1], kernel: [1, 3]}"))
			rapid.Check(t, func(t *rapid.T) { checkCanonical(t, p, drawGenes(t, p), test.stages) })
		})
	}
}

// Random templates, most of whose stages stand there several times.
func TestCanonicalOfRandomTemplates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tmpl := drawTemplate(t)
		var stages []arch.StageTemplate
		var alike []int
		for i, s := range tmpl.Stages {
			if rapid.Bool().Draw(t, "has identity") && len(s.Params) == 0 {
				s.Block = arch.OneOf("conv", "identity")
			}
			for range rapid.IntRange(1, 3).Draw(t, fmt.Sprint("times stage ", i)) {
				stages, alike = append(stages, s), append(alike, i)
			}
		}
		tmpl.Stages = stages
		p, err := tmpl.Compile()
		if err != nil {
			t.Fatal(err)
		}
		checkCanonical(t, p, drawGenes(t, p), alike)
	})
}

const macroFile = "../configs/nas_bench_macro.yaml"

func readPlan(t testing.TB, path string) *arch.Plan {
	t.Helper()
	tmpl, err := arch.ReadTemplate(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The authors of NAS-Bench-Macro move what does nothing behind the other layers
// of its resolution, the first of which always does something.
func TestCanonicalOfNASBenchMacro(t *testing.T) {
	p := readPlan(t, macroFile)
	distinct := make(map[string]bool)
	each(p, func(genes []uint16) {
		var want []uint16
		for _, layers := range [][]uint16{genes[:2], genes[2:5], genes[5:]} {
			want = append(want, layers[0])
			idle := 0
			for _, v := range layers[1:] {
				if v == 0 {
					idle++
				} else {
					want = append(want, v)
				}
			}
			want = append(want, make([]uint16, idle)...)
		}
		if got := canonical(p, genes); !slices.Equal(got, want) {
			t.Fatalf("%v became %v, want %v", genes, got, want)
		}
		distinct[fmt.Sprint(want)] = true
	})
	if len(distinct) != 3969 {
		t.Errorf("%d distinct networks, want 3969", len(distinct))
	}
}

// raceEnabled is set where the race detector makes pools forget.
var raceEnabled bool

func TestCanonicalDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector a pool forgets what it holds")
	}
	p := compile(t, idleSpace([]string{
		"{block: [inverted, shuffle, identity], width: [8, 16], depth: [1, 2], se: [0, 0.25], se_of: [hidden, input], groups: [1, 2]}",
		"{block: [inverted, shuffle, identity], width: [8, 16], depth: [1, 2], se: [0, 0.25], se_of: [hidden, input], groups: [1, 2]}",
		"{block: [inverted, shuffle, identity], width: [8, 16], depth: [1, 2], se: [0, 0.25], se_of: [hidden, input], groups: [1, 2]}",
	}, "{width: 8}"))
	genes, own := make([]uint16, len(p.Slots)), make([]uint16, len(p.Slots))
	active := make([]bool, len(genes))
	genes[stageSlots(p, 0)[0]], genes[stageSlots(p, 1)[0]] = 2, 2
	if n := testing.AllocsPerRun(1000, func() {
		copy(own, genes)
		p.Canonical(own, active)
	}); n >= 1 { // the garbage collector empties the pool behind it now and then
		t.Errorf("%v allocations", n)
	}
	if slices.Equal(own, genes) {
		t.Errorf("%v is canonical, and so tests nothing", genes)
	}
}

// The slots of a plan, as those who encode genes see them.
func TestNumbers(t *testing.T) {
	p := compile(t, `
input: {resolution: 32}
bias: [true, false]
stem: {width: 8}
stages: [{block: [conv, inverted], width: [8, 16], se: [0.25, 0]}]
head: {classes: 10}`)
	want := map[string][]float64{"stages.0.width": {8, 16}, "stages.0.se": {0.25, 0}}
	for _, s := range p.Slots {
		for i, o := range s.Options {
			v, ok := o.Number()
			if numbers := want[s.Path]; ok != (numbers != nil) || ok && v != numbers[i] {
				t.Errorf("%s: %v is the number %v, %t", s.Path, o, v, ok)
			}
		}
	}
}

// samePlan checks that two plans are the same but for the places in files.
func samePlan(t interface{ Fatalf(string, ...any) }, a, b *arch.Plan, genes ...[]uint16) {
	ignore := cmp.Options{cmpopts.IgnoreUnexported(arch.Slot{}), cmp.AllowUnexported(arch.Scalar{})}
	if diff := cmp.Diff(a.Slots, b.Slots, ignore); diff != "" {
		t.Fatalf("other slots:\n%s", diff)
	}
	for _, g := range append(genes, make([]uint16, len(a.Slots))) {
		var n, m arch.Network
		a.Build(g, &n)
		b.Build(g, &m)
		if n, m := string(n.YAML()), string(m.YAML()); n != m {
			t.Fatalf("%v leads to\n%s\nnot\n%s", g, m, n)
		}
		first, second := make([]bool, len(g)), make([]bool, len(g))
		a.Active(g, first)
		b.Active(g, second)
		if !slices.Equal(first, second) || !slices.Equal(canonical(a, g), canonical(b, g)) {
			t.Fatalf("%v: active %v and %v, canonical %v and %v", g, first, second, canonical(a, g), canonical(b, g))
		}
	}
}

// checkTemplateRoundTrip checks that the template of a plan survives being
// written and read.
func checkTemplateRoundTrip(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, p *arch.Plan, genes ...[]uint16) {
	data, err := json.Marshal(p.Template())
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := arch.ParseTemplate("written.json", data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	back, err := tmpl.Compile()
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	samePlan(t, p, back, genes...)
	if again, err := json.Marshal(tmpl); err != nil || string(again) != string(data) {
		t.Fatalf("written again:\n%s\nfirst:\n%s\n%v", again, data, err)
	}
}

func TestTemplateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := drawTemplate(t).Compile()
		if err != nil {
			t.Fatal(err)
		}
		checkTemplateRoundTrip(t, p, drawGenes(t, p))
	})
}

func TestTemplateRoundTripOfFiles(t *testing.T) {
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			node, err := strict.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if own := node.Fields("").Get("space"); own != nil { // of a run configuration
				node = own
			}
			if node.Kind == strict.String { // a space file
				if node, err = strict.ReadFile(filepath.Join(filepath.Dir(file), node.Text)); err != nil {
					t.Fatal(err)
				}
			}
			tmpl, err := arch.TemplateFrom(node)
			if err != nil {
				t.Fatal(err)
			}
			p, err := tmpl.Compile()
			if err != nil {
				t.Fatal(err)
			}
			checkTemplateRoundTrip(t, p)
		})
	}
	for _, name := range arch.References() {
		p := readPlan(t, "networks/"+name+".yaml")
		checkTemplateRoundTrip(t, p)
	}
	checkTemplateRoundTrip(t, compile(t, operations), []uint16{1, 1}, []uint16{2, 1})
}

// What a file can say in several ways.
func TestTemplateRoundTripOfSpellings(t *testing.T) {
	for _, test := range []struct{ stage, want string }{
		{"{block: conv, width: {from: 8, to: 80, step: 8}}", `{"block":"conv","width":{"from":8,"to":80,"step":8}}`},
		{"{block: conv, width: {from: 8, to: 24, step: 8}}", `{"block":"conv","width":[8,16,24]}`},
		{"{block: conv, width: [8]}", `{"block":"conv","width":8}`},
		{"{block: conv, width: [1, 2, 3, 4, 5, 6, 7, 8, 10]}", `{"block":"conv","width":[1,2,3,4,5,6,7,8,10]}`},
		{"{block: conv, width: [9, 8, 7, 6, 5, 4, 3, 2, 1]}", `{"block":"conv","width":[9,8,7,6,5,4,3,2,1]}`},
		{"{block: inverted, width: 8, expansion: {from: 0.1, to: 1.1, step: 0.1}}",
			`{"block":"inverted","width":8,"expansion":{"from":0.1,"to":1.1,"step":0.1}}`},
		{"{block: conv, width: {blocks: [8, [8, 16]]}, depth: [0, 2], kernel: [3, 5], per_block: [kernel]}",
			`{"block":"conv","width":{"blocks":[8,[8,16]]},"depth":[0,2],"kernel":[3,5],"per_block":["kernel"]}`},
		{"{block: [identity, {block: inverted, se: 0.25, always_expand: true}], width: 8, pool: {kind: average, kernel: 3, stride: 2, padding: 1, ceil_mode: true}}",
			`{"block":["identity",{"block":"inverted","always_expand":true,"se":0.25}],"width":8,` +
				`"pool":{"kind":"average","kernel":3,"stride":2,"padding":1,"ceil_mode":true}}`},
		{"{block: [{block: conv}, identity], width: 8}", `{"block":["conv","identity"],"width":8}`},
		{"{block: inverted, width: 8, se: 0.5, se_of: [input, hidden], always_expand: [true, false], activation: [relu, swish]}",
			`{"block":"inverted","width":8,"always_expand":[true,false],"se":0.5,"se_of":["input","hidden"],"activation":["relu","swish"]}`},
	} {
		p := compile(t, "input: {resolution: 32}\nstem: {width: 8}\nstages: ["+test.stage+"]\nhead: {classes: 10}")
		checkTemplateRoundTrip(t, p)
		data, err := p.Template().MarshalJSON()
		want := `{"input":{"resolution":32},"stem":{"width":8},"stages":[` + test.want + `],"head":{"classes":10}}`
		if err != nil || string(data) != want {
			t.Errorf("%v\ngot  %s\nwant %s", err, data, want)
		}
	}
}

// Numbers that integers in files cannot hold are written otherwise.
func TestLargeNumbers(t *testing.T) {
	tmpl := arch.Template{Stages: []arch.StageTemplate{{Width: arch.OneOf(1e30, -1e300, 1<<52, 5e-324)}}}
	data, err := tmpl.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := arch.ParseTemplate("f", data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if again, err := back.MarshalJSON(); err != nil || string(again) != string(data) {
		t.Errorf("%v\ngot  %s\nwant %s", err, again, data)
	}
}

func TestTemplateThatCannotBeWritten(t *testing.T) {
	type word string
	params := func(name string, c arch.Choice) map[string]arch.Choice { return map[string]arch.Choice{name: c} }
	nested := arch.EachBlock(arch.EachBlock(arch.OneOf(8)))
	for _, test := range []struct {
		stage arch.StageTemplate
		want  string
	}{
		{arch.StageTemplate{Width: arch.OneOf(math.NaN(), 1)}, "arch: write template: width: NaN is no number that a file can hold"},
		{arch.StageTemplate{Params: params("x", arch.OneOf(math.Inf(-1)))}, "arch: write template: x: -Inf is no number that a file can hold"},
		{arch.StageTemplate{Width: nested}, "arch: write template: width: values for each block inside values for each block"},
		{arch.StageTemplate{Width: arch.OneOf(word("x"))}, "arch: write template: width: a value of type arch_test.word"},
		{arch.StageTemplate{Params: params("width", arch.OneOf(1))}, "arch: write template: width: no parameter may have the name of a key that every stage has"},
		{arch.StageTemplate{Block: arch.OneOfVariants(arch.Variant{Block: "conv", Params: params("kernel", arch.OneOf(3, 5))})},
			"arch: write template: block: kernel of conv must have one value"},
	} {
		tmpl := arch.Template{Stages: []arch.StageTemplate{test.stage}}
		if _, err := tmpl.MarshalJSON(); err == nil || err.Error() != test.want {
			t.Errorf("\ngot  %v\nwant %s", err, test.want)
		}
	}
}

// A plan and its template do not change with those that they came from.
func TestTemplateIsACopy(t *testing.T) {
	stage := arch.StageTemplate{
		Block: arch.OneOf("conv"), Width: arch.OneOf(8, 16), Params: map[string]arch.Choice{"kernel": arch.OneOf(3, 5)}, PerBlock: []string{"kernel"},
	}
	tmpl := &arch.Template{
		Name: "first", Input: arch.InputTemplate{Resolution: arch.OneOf(32)}, Stem: arch.StageTemplate{Width: arch.OneOf(8)},
		Stages: []arch.StageTemplate{stage}, Head: arch.HeadTemplate{Classes: arch.OneOf(10)},
	}
	p, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(p.Template())
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []*arch.Template{tmpl, p.Template()} {
		own.Name, own.Bias, own.Stages[0].Width = "second", arch.OneOf(true), arch.OneOf(24)
		own.Stages[0].Params["kernel"], own.Stages[0].PerBlock[0] = arch.OneOf(7), "groups"
		after, err := json.Marshal(p.Template())
		if err != nil || string(after) != string(before) {
			t.Errorf("%v\ngot  %s\nwant %s", err, after, before)
		}
		var n arch.Network
		if p.Build([]uint16{0, 0}, &n); n.Name != "first" || n.Bias {
			t.Errorf("a network %q, bias %t", n.Name, n.Bias)
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	p := readPlan(b, macroFile)
	genes, own := []uint16{0, 0, 0, 0, 2, 1, 0, 1}, make([]uint16, 8)
	active := make([]bool, 8)
	b.ReportAllocs()
	for b.Loop() {
		copy(own, genes)
		p.Canonical(own, active)
	}
}
