package arch_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
)

// TestBlocksInTheirRanges is the conformance suite of block types: for
// parameters anywhere in their declared ranges and any input, a block makes
// its width or refuses.
func TestBlocksInTheirRanges(t *testing.T) {
	for _, b := range builtin {
		t.Run(b.Name(), func(t *testing.T) {
			built := 0
			check := func(t *rapid.T) {
				params := make(map[string]arch.Choice)
				for _, p := range b.Params() {
					if rapid.IntRange(0, 2).Draw(t, p.Name+" is given") == 0 {
						params[p.Name] = anyValue(t, p)
					}
				}
				stride := rapid.IntRange(1, 8).Draw(t, "stride")
				tmpl := arch.Template{
					Norm:  arch.OneOf("none"),
					Input: arch.InputTemplate{Resolution: arch.OneOf(8)}, Stem: arch.StageTemplate{Width: arch.OneOf(8)},
					Stages: []arch.StageTemplate{{
						Block: arch.OneOf(b.Name()), Width: arch.OneOf(rapid.OneOf(rapid.IntRange(1, 96), rapid.IntRange(1, arch.MaxWidth)).Draw(t, "width")),
						Depth: arch.OneOf(2), Stride: arch.OneOf(stride), Activation: arch.OneOf("swish"), Params: params,
					}},
					Head: arch.HeadTemplate{Classes: arch.OneOf(2)},
				}
				p, err := tmpl.Compile()
				if err != nil {
					t.Fatal(err)
				}
				var n arch.Network
				p.Build(nil, &n)
				in := arch.Shape{
					C: int32(rapid.IntRange(1, 96).Draw(t, "channels")),
					H: int32(rapid.IntRange(1, 40).Draw(t, "height")), W: int32(rapid.IntRange(1, 40).Draw(t, "width of the map")),
				}
				var g arch.Graph
				for i := range 2 {
					out, err := n.LowerBlock(&g, 0, i, in)
					if err != nil {
						return
					}
					checkGraph(t, g.Layers)
					if int(out.C) != n.Stages[0].Width(i) {
						t.Fatalf("%v instead of %d channels", out, n.Stages[0].Width(i))
					}
					if i == 1 && (out.H != in.H || out.W != in.W) && b.Name() != "conv" { // conv has a padding of its own
						t.Fatalf("a block without a stride makes %v of %v", out, in)
					}
					in = out
				}
				built++
			}
			for range 50 { // few draws of some types fit, and -short draws few
				if rapid.Check(t, check); built > 0 {
					break
				}
			}
			if built == 0 {
				t.Error("no block could be built")
			}
		})
	}
}

// anyValue draws a value in the declared range of p, often at its ends.
func anyValue(t *rapid.T, p arch.Param) arch.Choice {
	switch p.Kind {
	case arch.BoolParam:
		return arch.OneOf(rapid.Bool().Draw(t, p.Name))
	case arch.EnumParam:
		return arch.OneOf(rapid.SampledFrom(p.Enum).Draw(t, p.Name))
	case arch.FloatParam:
		return arch.OneOf(rapid.OneOf(rapid.Float64Range(p.Min, p.Max), rapid.SampledFrom(valuesOf(p))).Draw(t, p.Name))
	}
	near := rapid.IntRange(int(p.Min), int(min(p.Max, p.Min+16)))
	v := rapid.OneOf(near, near, rapid.IntRange(int(p.Min), int(p.Max))).Draw(t, p.Name)
	if p.Odd && v%2 == 0 {
		v++
	}
	return arch.OneOf(v)
}

// A block is one that only declares, for Register to refuse.
type block struct {
	name   string
	params []arch.Param
}

func (b block) Name() string         { return b.name }
func (b block) Params() []arch.Param { return b.params }
func (b block) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	return g.ConvNormAct(x, "", arch.Conv{Out: u.Width, Stride: u.Stride}, u.Activation)
}

func TestRegisterRefuses(t *testing.T) {
	before := len(arch.Blocks())
	one := func(p arch.Param) block { return block{"bad", []arch.Param{p}} }
	for _, test := range []struct {
		block block
		want  string
	}{
		{block{name: "conv"}, `arch: register block "conv": the name is taken`},
		{block{name: ""}, `arch: register block "": a name is lower-case letters, digits and _`},
		{block{name: "My Block"}, `arch: register block "My Block": a name is lower-case letters, digits and _`},
		{block{name: "1x1"}, `arch: register block "1x1": a name is lower-case letters, digits and _`},
		{one(arch.Param{Max: 1}), `arch: register block "bad": parameter "": a name is lower-case letters, digits and _`},
		{one(arch.Param{Name: "a.b", Max: 1}), `arch: register block "bad": parameter "a.b": a name is lower-case letters, digits and _`},
		{one(arch.Param{Name: "width", Max: 1}), `arch: register block "bad": parameter "width": the name is taken`},
		{block{"bad", []arch.Param{{Name: "a", Max: 1}, {Name: "a", Max: 1}}}, `arch: register block "bad": parameter "a": the name is taken`},
		{one(arch.Param{Name: "a", Min: 1, Max: 2}), `arch: register block "bad": parameter "a": the default must be from 1 to 2, found 0`},
		{one(arch.Param{Name: "a", Min: 2, Max: 1, Default: 2}), `arch: register block "bad": parameter "a": the default must be from 2 to 1, found 2`},
		{one(arch.Param{Name: "a", Max: 2, Default: 0.5}), `arch: register block "bad": parameter "a": the default must be an integer, found 0.5`},
		{one(arch.Param{Name: "a", Max: 2, Default: 2, Odd: true}), `arch: register block "bad": parameter "a": the default must be odd, found 2`},
		{one(arch.Param{Name: "a", Kind: arch.FloatParam, Max: 2, Default: math.NaN()}), `arch: register block "bad": parameter "a": the default must be from 0 to 2, found NaN`},
		{one(arch.Param{Name: "a", Kind: arch.FloatParam, Max: math.Inf(1)}), `arch: register block "bad": parameter "a": the range has no end`},
		{one(arch.Param{Name: "a", Kind: arch.BoolParam, Default: 2}), `arch: register block "bad": parameter "a": the default of a boolean must be 0 or 1, found 2`},
		{one(arch.Param{Name: "a", Kind: arch.EnumParam}), `arch: register block "bad": parameter "a": the default of an enum must be the index of one of its 0 words, found 0`},
		{one(arch.Param{Name: "a", Kind: arch.EnumParam, Enum: []string{"x"}, Default: 1}), `arch: register block "bad": parameter "a": the default of an enum must be the index of one of its 1 words, found 1`},
		{one(arch.Param{Name: "a", Kind: arch.EnumParam, Enum: []string{"x", "x"}}), `arch: register block "bad": parameter "a": the word "x" is empty or stands twice`},
		{one(arch.Param{Name: "a", Kind: 9}), `arch: register block "bad": parameter "a": there is no kind 9`},
	} {
		err := arch.Register(test.block)
		if err == nil || err.Error() != test.want {
			t.Errorf("\ngot  %v\nwant %s", err, test.want)
		}
	}
	if arch.BlockByName("bad") != nil || len(arch.Blocks()) != before {
		t.Error("a refused block is known")
	}
}

// A block that breaks its promise is told from a network that is wrong.
type liar struct{ block }

func (liar) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor { return x }

func init() {
	if err := arch.Register(liar{block{name: "test_liar"}}); err != nil {
		panic(err)
	}
}

func TestBlockOfTheWrongWidth(t *testing.T) {
	_, err := arch.Parse("f", []byte(strings.Replace(file, "basic", "test_liar", 1)))
	want := `f:6:5: stages.1.0: block type "test_liar" made 24 channels instead of its width of 32`
	if err == nil || err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", err, want)
	}
}

func TestRoundTo(t *testing.T) {
	for _, test := range []struct {
		v       float64
		divisor int
		want    int
	}{
		{16, 8, 16}, {15.9, 8, 16}, {11, 8, 16}, {12, 8, 16}, {1, 8, 8}, {33, 8, 32}, {35.9, 8, 40}, {24 * 0.75, 8, 24}, {7.5, 1, 8}, {0.2, 1, 1},
	} {
		got := arch.RoundTo(test.v, test.divisor)
		if got != test.want || float64(got) < 0.9*test.v {
			t.Errorf("RoundTo(%v, %d) = %d, want %d", test.v, test.divisor, got, test.want)
		}
	}
}

// layersOf returns the first stage's layers of a small network with it, as
// name and output.
func layersOf(t *testing.T, stage string) string {
	t.Helper()
	n, err := arch.Parse("f", []byte("input: {resolution: 8}\nstem: {width: 12}\nstages:\n  - "+stage+"\nhead: {classes: 2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	layers, failed := lower(n)
	if failed != "" {
		t.Fatal(failed)
	}
	var words []string
	for i := range layers {
		if l := &layers[i]; l.Stage == 0 {
			words = append(words, strings.TrimPrefix(l.Name(), "stages.0.")+" "+l.Out.String())
		}
	}
	return strings.Join(words, ", ")
}

func TestLayersOfBlocks(t *testing.T) {
	for _, test := range []struct{ stage, want string }{
		{"{block: identity, width: 12, depth: 3}", ""},
		{"{block: identity, width: 16, depth: 2}", "0.shortcut.conv 16x8x8, 0.shortcut.bn 16x8x8"},
		{"{block: identity, width: 12, stride: 2}", "0.shortcut.conv 12x4x4, 0.shortcut.bn 12x4x4"},
		// One group leaves nothing to shuffle.
		{"{block: shuffle, width: 12, groups: 1}", "0.reduce.conv 3x8x8, 0.reduce.bn 3x8x8, 0.reduce.relu 3x8x8, " +
			"0.depthwise.conv 3x8x8, 0.depthwise.bn 3x8x8, 0.expand.conv 12x8x8, 0.expand.bn 12x8x8, 0.add.add 12x8x8, 0.out.relu 12x8x8"},
	} {
		if got := layersOf(t, test.stage); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.stage, got, test.want)
		}
	}
}

func TestFireShares(t *testing.T) {
	for _, test := range []struct {
		width, pct string
		one, three string
	}{
		{"64", "", "32", "32"}, {"64", ", pct_3x3: 0.625", "24", "40"}, {"64", ", pct_3x3: 0.01", "63", "1"}, {"64", ", pct_3x3: 0.99", "1", "63"},
		{"33", "", "17", "16"}, {"2", ", pct_3x3: 0.99", "1", "1"}, {"3", ", pct_3x3: 0.01", "2", "1"},
	} {
		stage := "{block: fire, activation: identity, width: " + test.width + test.pct + "}"
		got := layersOf(t, stage)
		for _, want := range []string{"expand1.conv " + test.one + "x8x8", "expand3.conv " + test.three + "x8x8", "expand.concat " + test.width + "x8x8"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", stage, got, want)
			}
		}
	}
}

// Hidden channels by a ratio are the nearest multiple of the groups, the lower
// of two.
func TestHiddenChannels(t *testing.T) {
	for _, test := range []struct{ stage, want string }{
		{"{block: bottleneck, width: 50}", "reduce.conv 12x"},
		{"{block: bottleneck, width: 52}", "reduce.conv 13x"},
		{"{block: bottleneck, width: 1}", "reduce.conv 1x"},
		{"{block: shuffle, width: 100, groups: 2}", "reduce.conv 24x"},
		{"{block: shuffle, width: 108, groups: 2}", "reduce.conv 26x"},
		{"{block: grouped, width: 24, groups: 8, ratio: 1}", "reduce.conv 24x"},
		{"{block: bottleneck, width: 50, hidden: 13}", "reduce.conv 13x"},
	} {
		if got := layersOf(t, test.stage); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %s", test.stage, got, test.want)
		}
	}
}
