package arch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
)

// builtin are the block types of this package, without those that tests add.
var builtin = arch.Blocks()

// lower returns the layers of n, or the error in words.
func lower(n *arch.Network) ([]arch.Layer, string) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return nil, err.Error()
	}
	return g.Layers, ""
}

// checkGraph checks what every reader of layers relies on.
func checkGraph(t interface{ Errorf(string, ...any) }, layers []arch.Layer) {
	names := make(map[string]bool)
	for i := range layers {
		l := &layers[i]
		name := l.Name()
		if names[name] {
			t.Errorf("two layers are named %q", name)
		}
		names[name] = true
		if (len(l.Inputs) == 0) != (l.Op == arch.OpInput) {
			t.Errorf("%s reads %d tensors", name, len(l.Inputs))
		}
		for _, x := range l.Inputs {
			if x < 0 || int(x) >= i {
				t.Errorf("%s, layer %d, reads layer %d", name, i, x)
			}
		}
		if len(l.Inputs) > 0 && l.In != layers[l.Inputs[0]].Out {
			t.Errorf("%s: input %v, but its producer makes %v", name, l.In, layers[l.Inputs[0]].Out)
		}
		if min(l.In.C, l.In.H, l.In.W, l.Out.C, l.Out.H, l.Out.W) < 1 {
			t.Errorf("%s: from %v to %v", name, l.In, l.Out)
		}
	}
}

// checkRoundTrip checks that n survives being written and read.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, n *arch.Network) {
	yaml := n.YAML()
	json, err := n.MarshalJSON()
	if err != nil {
		t.Fatalf("%v", err)
	}
	layers, failed := lower(n)
	for _, data := range [][]byte{yaml, json} {
		back, err := arch.Parse("f", data)
		if (err != nil) != (failed != "") {
			t.Fatalf("lowering says %q, reading back %v:\n%s", failed, err, data)
		}
		if err != nil {
			continue
		}
		if again, _ := lower(back); !cmp.Equal(layers, again) {
			t.Fatalf("other layers after reading back:\n%s\n%s", data, cmp.Diff(layers, again))
		}
		if back.Name != n.Name || back.About != n.About {
			t.Fatalf("name and origin %q %+v, want %q %+v", back.Name, back.About, n.Name, n.About)
		}
		if again := back.YAML(); !bytes.Equal(yaml, again) {
			t.Fatalf("written again:\n%s\nfirst:\n%s", again, yaml)
		}
	}
}

func TestReferences(t *testing.T) {
	names := arch.References()
	if len(names) < 14 || !slices.IsSorted(names) {
		t.Errorf("references %v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			n, err := arch.Reference(name)
			if err != nil {
				t.Fatal(err)
			}
			if n.Name != name || n.About.Year == 0 || n.About.Paper == "" || n.About.Top1 == 0 || n.About.Source == "" {
				t.Errorf("%q is from %+v", n.Name, n.About)
			}
			layers, failed := lower(n)
			if failed != "" {
				t.Fatal(failed)
			}
			checkGraph(t, layers)
			if out := layers[len(layers)-1].Out; out != (arch.Shape{C: 1000, H: 1, W: 1}) {
				t.Errorf("its output is %v", out)
			}
			checkRoundTrip(t, n)
		})
	}
	want := `unknown reference network "resnet51"; did you mean "resnet50"? (allowed: `
	if _, err := arch.Reference("resnet51"); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Errorf("got %v, want %s…", err, want)
	}
}

// A few values of each parameter that suit small networks, and its limits.
func valuesOf(p arch.Param) []float64 {
	switch p.Kind {
	case arch.BoolParam:
		return []float64{0, 1}
	case arch.EnumParam:
		var all []float64
		for i := range p.Enum {
			all = append(all, float64(i))
		}
		return all
	}
	values := []float64{p.Default, p.Min}
	for _, v := range []float64{0.25, 0.5, 1, 2, 3, 4, 5, 8} {
		whole := v == float64(int(v))
		if v >= p.Min && v <= p.Max && (whole || p.Kind == arch.FloatParam) && (!p.Odd || int(v)%2 == 1) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// choice draws a choice of up to three different ones of values.
func choice[T arch.Value](t *rapid.T, name string, values ...T) arch.Choice {
	all := rapid.Permutation(values).Draw(t, name)
	return arch.OneOf(all[:rapid.IntRange(1, min(3, len(all))).Draw(t, name+" choices")]...)
}

// paramChoice is choice for the values of a parameter.
func paramChoice(t *rapid.T, name string, p arch.Param) arch.Choice {
	values := valuesOf(p)
	switch p.Kind {
	case arch.BoolParam:
		return choice(t, name, true, false)
	case arch.EnumParam:
		return choice(t, name, p.Enum...)
	}
	return choice(t, name, values...)
}

func maybe(t *rapid.T, name string) bool { return rapid.IntRange(0, 2).Draw(t, name) == 0 }

func drawPool(t *rapid.T, name string) arch.Pool {
	if !maybe(t, name) {
		return arch.Pool{}
	}
	kernel := rapid.IntRange(1, 5).Draw(t, name+" kernel")
	return arch.Pool{
		Average: rapid.Bool().Draw(t, name+" average"), Kernel: kernel, Stride: rapid.IntRange(0, 3).Draw(t, name+" stride"),
		Padding: rapid.IntRange(0, kernel/2).Draw(t, name+" padding"), CeilMode: rapid.Bool().Draw(t, name+" ceil"),
	}
}

func drawStage(t *rapid.T, name string, stem bool) arch.StageTemplate {
	var names []string
	for _, b := range builtin {
		names = append(names, b.Name())
	}
	names = rapid.Permutation(names).Draw(t, name+" blocks")[:rapid.IntRange(1, 3).Draw(t, name+" types")]
	depths := []int{0, 1, 2, 3}
	if stem {
		names, depths = []string{"conv"}, []int{0, 1, 2}
	}
	s := arch.StageTemplate{
		Block:  arch.OneOf(names...),
		Width:  choice(t, name+" width", 4, 8, 12, 24, 48),
		Depth:  choice(t, name+" depth", depths...),
		Stride: choice(t, name+" stride", 1, 2),
		Pool:   drawPool(t, name+" pool"),
		Params: make(map[string]arch.Choice),
	}
	if maybe(t, name+" has an activation") {
		s.Activation = choice(t, name+" activation", "relu", "hardswish", "identity")
	}
	own := "" // the parameter that variants have values of their own for
	if maybe(t, name+" has variants") {
		s.Block, own = drawVariants(t, name, names)
	}
	greatest := 0
	for _, d := range depths {
		for _, o := range optionsOf(s.Depth) {
			if fmt.Sprint(d) == o {
				greatest = max(greatest, d)
			}
		}
	}
	for _, block := range names {
		for _, p := range arch.BlockByName(block).Params() {
			key := name + " " + p.Name
			if _, done := s.Params[p.Name]; done || p.Name == own || !maybe(t, key+" is given") {
				continue
			}
			switch rapid.IntRange(0, 3).Draw(t, key+" how") {
			case 0:
				s.PerBlock = append(s.PerBlock, p.Name)
				fallthrough
			case 1, 2:
				s.Params[p.Name] = paramChoice(t, key, p)
			case 3:
				var each []arch.Choice
				for i := range greatest {
					each = append(each, paramChoice(t, fmt.Sprint(key, i), p))
				}
				if each != nil {
					s.Params[p.Name] = arch.EachBlock(each...)
				}
			}
		}
	}
	return s
}

// drawVariants draws the choice between block types, the first of which has
// values of its own for a parameter, whose name it returns.
func drawVariants(t *rapid.T, name string, names []string) (c arch.Choice, own string) {
	var variants []arch.Variant
	for _, block := range names[1:] {
		variants = append(variants, arch.Variant{Block: block})
	}
	params := arch.BlockByName(names[0]).Params()
	if len(params) == 0 {
		return arch.OneOfVariants(append(variants, arch.Variant{Block: names[0]})...), ""
	}
	p := rapid.SampledFrom(params).Draw(t, name+" parameter of variants")
	for _, v := range valuesOf(p) {
		value := arch.OneOf(v)
		switch p.Kind {
		case arch.BoolParam:
			value = arch.OneOf(v != 0)
		case arch.EnumParam:
			value = arch.OneOf(p.Enum[int(v)])
		}
		variants = append(variants, arch.Variant{Block: names[0], Params: map[string]arch.Choice{p.Name: value}})
		if p.Name != "kernel" {
			break // two that differ in another may be one network
		}
	}
	return arch.OneOfVariants(variants...), p.Name
}

// optionsOf returns the options of a choice in words, by compiling it as the
// depth of a stage.
func optionsOf(c arch.Choice) []string {
	t := arch.Template{
		Input: arch.InputTemplate{Resolution: arch.OneOf(8)}, Stem: arch.StageTemplate{Width: arch.OneOf(8)},
		Stages: []arch.StageTemplate{{Block: arch.OneOf("conv"), Width: arch.OneOf(8), Depth: c}}, Head: arch.HeadTemplate{Classes: arch.OneOf(2)},
	}
	p, err := t.Compile()
	if err != nil {
		panic(err)
	}
	if len(p.Slots) == 0 {
		var n arch.Network
		p.Build(nil, &n)
		return []string{fmt.Sprint(n.Stages[0].Depth)}
	}
	var words []string
	for _, o := range p.Slots[0].Options {
		words = append(words, o.String())
	}
	return words
}

func drawTemplate(t *rapid.T) *arch.Template {
	tmpl := &arch.Template{
		Name: rapid.OneOf(rapid.StringMatching(`[a-z_0-9]{0,9}`), rapid.SampledFrom([]string{"", "no", "1e3", "_1", "0x1", "a b", "a: b", "ü\u2028\"'\\"})).Draw(t, "name"),
		Input: arch.InputTemplate{
			Channels: choice(t, "channels", 1, 3, 4), Resolution: choice(t, "resolution", 8, 15, 32, 64),
		},
		Stem: drawStage(t, "stem", true),
		Head: arch.HeadTemplate{
			Pool: drawPool(t, "head pool"), Classes: choice(t, "classes", 1, 10),
			Width: choice(t, "head width", 0, 16), PoolTo: choice(t, "pool_to", 0, 1, 2), Hidden: choice(t, "hidden", 0, 8, 16),
			Layers: choice(t, "layers", 1, 2, 3), Bias: choice(t, "head bias", true, false), Dropout: choice(t, "dropout", 0, 0.2, 0.5),
			Classifier: choice(t, "classifier", "linear", "conv"),
		},
	}
	if maybe(t, "about") {
		tmpl.About = arch.About{Year: 2017, Paper: rapid.String().Draw(t, "paper"), Top1: 0.5}
	}
	if maybe(t, "has a norm") {
		tmpl.Norm = choice(t, "norm", "none", "batch")
	}
	if maybe(t, "has a bias") {
		tmpl.Bias = choice(t, "bias", true, false)
	}
	if maybe(t, "has an activation") {
		tmpl.Activation = choice(t, "activation", "relu", "relu6", "swish")
	}
	if maybe(t, "head has an activation") {
		tmpl.Head.Activation = choice(t, "head activation", "relu", "sigmoid")
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
		tmpl.Stages = append(tmpl.Stages, drawStage(t, fmt.Sprint("stage ", i), false))
	}
	return tmpl
}

func drawGenes(t *rapid.T, p *arch.Plan) []uint16 {
	genes := make([]uint16, len(p.Slots))
	for i, s := range p.Slots {
		genes[i] = uint16(rapid.IntRange(0, len(s.Options)-1).Draw(t, s.Path))
	}
	return genes
}

func TestRandomNetworks(t *testing.T) {
	buildable := 0
	rapid.Check(t, func(t *rapid.T) {
		p, err := drawTemplate(t).Compile()
		if err != nil {
			t.Fatal(err)
		}
		genes := drawGenes(t, p)
		var n arch.Network
		p.Build(genes, &n)
		layers, failed := lower(&n)
		if failed == "" {
			buildable++
			checkGraph(t, layers)
			checkParts(t, &n, layers)
		}
		checkRoundTrip(t, &n)

		active := make([]bool, len(genes))
		p.Active(genes, active)
		canonical := slices.Clone(genes)
		for i := range canonical {
			if !active[i] {
				canonical[i] = 0
			}
		}
		if got, err := p.Genes(&n); err != nil || !slices.Equal(got, canonical) {
			t.Fatalf("Genes = %v, %v, want %v for %v", got, err, canonical, genes)
		}
		var same arch.Network
		p.Build(canonical, &same)
		if again, message := lower(&same); message != failed || !cmp.Equal(layers, again) {
			t.Fatalf("inactive genes matter: %v and %v, %q and %q\n%s", genes, canonical, failed, message, cmp.Diff(layers, again))
		}

		// One gene more or less.
		if len(genes) == 0 {
			return
		}
		i := rapid.IntRange(0, len(genes)-1).Draw(t, "gene")
		slot := p.Slots[i]
		genes[i] = (genes[i] + 1) % uint16(len(slot.Options))
		p.Build(genes, &same)
		again, message := lower(&same)
		equal := message == failed && cmp.Equal(layers, again)
		if !active[i] && !equal {
			t.Fatalf("the inactive gene %s matters", slot.Path)
		}
		switch key := leaf(slot.Path); key {
		case "block", "width", "kernel", "depth", "stride", "resolution", "channels", "classes":
			// Further blocks of type identity are nothing.
			nothing := key == "depth" && slot.Stage >= 0 && n.Stages[slot.Stage].Block.Name() == "identity"
			if active[i] && equal && failed == "" && !nothing {
				t.Fatalf("the active gene %s does not matter", slot.Path)
			}
		}
	})
	if buildable == 0 {
		t.Error("none of the random networks could be built")
	}
}

// checkParts checks that a network's parts, lowered alone, and their blocks,
// are what the whole is made of.
func checkParts(t *rapid.T, n *arch.Network, layers []arch.Layer) {
	var part, block arch.Graph
	shape := layers[0].Out
	count := 1
	for i := -2; i <= len(n.Stages); i++ {
		at, s := i, &n.Stem
		switch {
		case i == -2:
			at = int(arch.InStem)
		case i == -1:
			continue
		case i == len(n.Stages):
			at, s = int(arch.InHead), nil
		default:
			s = &n.Stages[i]
		}
		out, err := n.LowerPart(&part, at, shape)
		if err != nil {
			t.Fatalf("part %d: %v", at, err)
		}
		for j, l := range part.Layers[1:] {
			whole := &layers[count+j]
			if l.Name() != whole.Name() || l.Out != whole.Out || l.In != whole.In {
				t.Fatalf("part %d: %s of %v, want %s of %v", at, l.Name(), l.Out, whole.Name(), whole.Out)
			}
		}
		count += len(part.Layers) - 1
		if s == nil {
			break
		}
		sum, at2 := 0, shape
		for b := range s.Depth {
			if at2, err = n.LowerBlock(&block, at, b, at2); err != nil {
				t.Fatalf("part %d, block %d: %v", at, b, err)
			}
			sum += len(block.Layers) - 1
		}
		if at2, err = n.LowerPool(&block, at, at2); err != nil {
			t.Fatalf("pool of part %d: %v", at, err)
		}
		if sum += len(block.Layers) - 1; sum != len(part.Layers)-1 || at2 != out {
			t.Fatalf("part %d has %d layers to %v, its blocks %d to %v", at, len(part.Layers)-1, out, sum, at2)
		}
		shape = out
	}
	if count != len(layers) {
		t.Fatalf("%d layers in the parts, %d in the whole", count, len(layers))
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := arch.Read(path)
	if err != nil || n.Name != "small" {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := arch.Read(path + ".yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want one that is fs.ErrNotExist", err)
	}
	if err := os.WriteFile(path, []byte(with(7, "head: {classes: ten}")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := arch.Read(path); err == nil || err.Error() != path+`:7:17: head.classes: must be an integer, found the string "ten"` {
		t.Errorf("got %v", err)
	}
}

func leaf(path string) string { return path[bytes.LastIndexByte([]byte(path), '.')+1:] }

func TestLowerDoesNotAllocate(t *testing.T) {
	var g arch.Graph
	for _, name := range arch.References() {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := lower(n)
		if allocs := testing.AllocsPerRun(10, func() { _ = n.Lower(&g) }); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
		if !cmp.Equal(first, g.Layers) {
			t.Errorf("%s: other layers in a graph that was used before", name)
		}
	}
}

func TestGenesRefuses(t *testing.T) {
	template := func(width, kernel arch.Choice) *arch.Template {
		return &arch.Template{
			Input: arch.InputTemplate{Resolution: arch.OneOf(32)}, Stem: arch.StageTemplate{Width: arch.OneOf(8)},
			Stages: []arch.StageTemplate{{
				Block: arch.OneOf("conv"), Width: width, Depth: arch.OneOf(2), Params: map[string]arch.Choice{"kernel": kernel},
			}},
			Head: arch.HeadTemplate{Classes: arch.OneOf(10)},
		}
	}
	p, err := template(arch.OneOf(16, 32), arch.OneOf(3, 5)).Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name          string
		width, kernel arch.Choice
		change        func(*arch.Network)
		want          string
	}{
		{"another width", arch.OneOf(24), arch.OneOf(3), nil, "arch: stages.0.width = 24 is not among the choices [16 32]"},
		{"values that differ", arch.OneOf(16), arch.EachBlock(arch.OneOf(3), arch.OneOf(5)), nil, "arch: stages.0.kernel differs between blocks that share it"},
		{"another pool", arch.OneOf(16), arch.OneOf(3), func(n *arch.Network) { n.Head.Pool.Kernel = 3 }, "arch: head.pool differs from the space's"},
		{"biases", arch.OneOf(16), arch.OneOf(3), func(n *arch.Network) { n.Bias = true }, "arch: bias = true is not the default"},
		{"more stages", arch.OneOf(16), arch.OneOf(3), func(n *arch.Network) { n.Stages = append(n.Stages, n.Stages[0]) }, "arch: 2 stages instead of 1"},
		{"none", arch.OneOf(16), arch.OneOf(5), nil, ""},
	} {
		n, err := template(test.width, test.kernel).Network()
		if err != nil {
			t.Fatal(err)
		}
		if test.change != nil {
			test.change(n)
		}
		_, err = p.Genes(n)
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestStageReads(t *testing.T) {
	n, err := arch.Reference("mobilenet_v3_large")
	if err != nil {
		t.Fatal(err)
	}
	s := &n.Stages[1]
	if v, ok := s.Param(1, "hidden"); !ok || v != 72 || s.Width(1) != 24 {
		t.Errorf("hidden %v %v, width %d", v, ok, s.Width(1))
	}
	if _, ok := s.Param(0, "groups"); ok {
		t.Error("an inverted block with groups")
	}
}

// The classifier's bias is its own, whatever the other convolutions have.
func TestClassifierBias(t *testing.T) {
	for _, classifier := range []string{"linear", "conv"} {
		for _, norm := range []string{"batch", "none"} {
			for _, bias := range []bool{true, false} {
				n, err := arch.Parse("test", fmt.Appendf(nil, `
input: {resolution: 8}
norm: %s
stem: {width: 4}
stages: [{block: conv, width: 8}]
head: {classifier: %s, bias: %v, classes: 10}`, norm, classifier, bias))
				if err != nil {
					t.Fatal(err)
				}
				var g arch.Graph
				if err := n.Lower(&g); err != nil {
					t.Fatal(err)
				}
				for i := range g.Layers {
					l := &g.Layers[i]
					want := norm == "none"
					if l.Part == "classifier" {
						want = bias
					}
					if (l.Op == arch.OpConv || l.Op == arch.OpLinear) && l.Bias != want {
						t.Errorf("norm %s, %s classifier with bias %v: %s has bias %v", norm, classifier, bias, l.Name(), l.Bias)
					}
				}
			}
		}
	}
}
