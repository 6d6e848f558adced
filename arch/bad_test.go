package arch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// file is a small architecture file; TestParseRefuses replaces one line in it.
const file = `name: small
input: {channels: 3, resolution: 32}
stem: {block: conv, width: 16, kernel: 3, stride: 2}
stages:
  - {block: inverted, width: 24, depth: 2, stride: 2, kernel: 3, expansion: 6}
  - {block: basic, width: 32, depth: 1}
head: {classes: 10}
`

// with returns file with the given line, counted from 1, instead of its own.
func with(line int, text string) string {
	lines := strings.Split(file, "\n")
	lines[line-1] = text
	return strings.Join(lines, "\n")
}

func TestParseRefuses(t *testing.T) {
	if _, err := arch.Parse("f.yaml", []byte(file)); err != nil {
		t.Fatal(err)
	}
	const (
		blocks = "(allowed: basic, bottleneck, conv, example_mixed, fire, grouped, identity, inverted, separable, shuffle, shuffle_v2, test_liar)"
		params = "(allowed: activation, always_expand, block, depth, divisor, expansion, hidden, kernel, per_block, pool, se, se_of, stride, width)"
	)
	for _, test := range []struct{ name, data, want string }{
		// The file as a whole.
		{"empty", "", "f.yaml: the file is empty"},
		{"a list", "[1]", "f.yaml:1:1: an architecture must be a map of keys and values, found a list"},
		{"above 1 MiB", strings.Repeat("#", 1<<20+1), "f.yaml: the file is larger than 1024 KiB, the most that is read"},
		{"several documents", file + "---\n" + file, "f.yaml:8:1: a second document in one file; write one document a file"},
		{"anchors", with(6, "  - &a {block: basic, width: 32}\n  - *a"), "f.yaml:6:5: anchors (&) and aliases (*) are not supported; write the value out"},
		{"bomb", "a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "f.yaml:1:4: anchors (&) and aliases (*) are not supported; write the value out"},
		{"deep nesting", with(2, "input: "+strings.Repeat("{a: ", 40)), "f.yaml:2:132: nested deeper than 32 levels"},
		{"syntax", with(7, "head: {classes: 10"), "f.yaml:7:7: could not find flow mapping end token '}'; the map that begins here is not closed"},

		// Keys.
		{"misspelt key", with(7, "haed: {classes: 10}"),
			`f.yaml:7:1: an architecture: unknown key "haed"; did you mean "head"? (allowed: about, activation, bias, head, input, name, norm, stages, stem)`},
		{"misspelt key of the input", with(2, "input: {chanels: 3, resolution: 32}"),
			`f.yaml:2:9: input: unknown key "chanels"; did you mean "channels"? (allowed: channels, resolution)`},
		{"misspelt key of the head", with(7, "head: {clases: 10}"),
			`f.yaml:7:8: head: unknown key "clases"; did you mean "classes"? (allowed: activation, bias, classes, classifier, dropout, hidden, layers, pool, pool_to, width)`},
		{"misspelt key of a pool", with(7, "head: {classes: 10, pool: {kernel: 3, paddin: 1}}"),
			`f.yaml:7:39: a pool: unknown key "paddin"; did you mean "padding"? (allowed: ceil_mode, kernel, kind, padding, stride)`},
		{"misspelt parameter", with(5, "  - {block: inverted, width: 24, expantion: 6}"),
			`f.yaml:5:34: stages.0: unknown parameter "expantion"; did you mean "expansion"? ` + params},
		{"misspelt key of a stage", with(5, "  - {block: inverted, wdith: 24}"),
			`f.yaml:5:23: stages.0: unknown parameter "wdith"; did you mean "width"? ` + params},
		{"parameter of another block", with(6, "  - {block: basic, width: 32, se: 0.25}"),
			`f.yaml:6:31: stages.1: unknown parameter "se" (allowed: activation, block, depth, kernel, per_block, pool, stride, width)`},
		{"key of about", file + "about: {year: 2012, papers: x}", `f.yaml:8:21: about: unknown key "papers"; did you mean "paper"? (allowed: paper, source, top1, year)`},
		{"duplicate key", file + "name: again\n", `f.yaml:8:1: the key "name" stands twice, first in line 1`},
		{"duplicate parameter", with(6, "  - {block: basic, width: 32, kernel: 3, kernel: 5}"), `f.yaml:6:42: the key "kernel" stands twice, first in line 6`},
		{"missing input", with(2, ""), `f.yaml:1:1: an architecture has no "input"`},
		{"missing stem", with(3, ""), `f.yaml:1:1: an architecture has no "stem"`},
		{"missing head", with(7, ""), `f.yaml:1:1: an architecture has no "head"`},
		{"missing resolution", with(2, "input: {channels: 3}"), "f.yaml:2:8: input.resolution is missing"},
		{"missing classes", with(7, "head: {width: 64}"), "f.yaml:7:7: head.classes is missing"},
		{"missing width", with(6, "  - {block: basic}"), "f.yaml:6:5: stages.1.width is missing"},
		{"missing block", with(6, "  - {width: 32}"), "f.yaml:6:5: stages.1.block is missing " + blocks},
		{"no stages", "name: x\ninput: {resolution: 32}\nstem: {width: 8}\nstages: []\nhead: {classes: 10}\n", "f.yaml:4:9: a network has at least one stage"},

		// Values.
		{"misspelt block", with(5, "  - {block: invertd, width: 24}"), `f.yaml:5:13: stages.0.block: unknown block "invertd"; did you mean "inverted"? ` + blocks},
		{"misspelt block among choices", with(5, "  - {block: [basic, invertd], width: 24}"), `f.yaml:5:21: stages.0.block: unknown block "invertd"; did you mean "inverted"? ` + blocks},
		{"misspelt activation", file + "activation: rleu\n",
			`f.yaml:8:13: activation: unknown activation "rleu"; did you mean "relu"? (allowed: hardsigmoid, hardswish, identity, relu, relu6, sigmoid, swish)`},
		{"misspelt norm", file + "norm: bacth\n", `f.yaml:8:7: norm: unknown norm "bacth"; did you mean "batch"? (allowed: batch, none)`},
		{"misspelt classifier", with(7, "head: {classes: 10, classifier: cnov}"), `f.yaml:7:33: head.classifier: unknown classifier "cnov"; did you mean "conv"? (allowed: conv, linear)`},
		{"a number as a block", with(5, "  - {block: 3, width: 24}"),
			"f.yaml:5:13: stages.0.block: must be one of conv, basic, bottleneck, grouped, fire, separable, inverted, shuffle, shuffle_v2, identity, test_liar, example_mixed, found 3"},
		{"a string as a width", with(6, "  - {block: basic, width: wide}"), `f.yaml:6:27: stages.1.width: must be an integer, found the string "wide"`},
		{"a quoted number", with(6, `  - {block: basic, width: "32"}`), `f.yaml:6:27: stages.1.width: must be an integer, found the string "32"`},
		{"a fraction as a width", with(6, "  - {block: basic, width: 32.5}"), "f.yaml:6:27: stages.1.width: must be an integer, found 32.5"},
		{"a boolean as a kernel", with(6, "  - {block: basic, width: 32, kernel: true}"), "f.yaml:6:39: stages.1.kernel: must be an integer, found true"},
		{"a number as a boolean", with(6, "  - {block: fire, width: 32, residual: 1}"), "f.yaml:6:40: stages.1.residual: must be true or false, found 1"},
		{"yes as a boolean", with(6, "  - {block: fire, width: 32, residual: yes}"), `f.yaml:6:40: stages.1.residual: must be true or false, found the string "yes"`},
		{"nothing", with(6, "  - {block: basic, width: }"), `f.yaml:6:26: "width" must be a value, a list of choices, a range {from, to, step} or {blocks: [...]}, found nothing`},
		{"negative width", with(6, "  - {block: basic, width: -32}"), "f.yaml:6:27: stages.1.width: must be from 1 to 65536, found -32"},
		{"zero width", with(6, "  - {block: basic, width: 0}"), "f.yaml:6:27: stages.1.width: must be from 1 to 65536, found 0"},
		{"huge width", with(6, "  - {block: basic, width: 1e8}"), "f.yaml:6:27: stages.1.width: must be from 1 to 65536, found 100000000"},
		{"negative depth", with(6, "  - {block: basic, width: 32, depth: -1}"), "f.yaml:6:38: stages.1.depth: must be from 0 to 256, found -1"},
		{"stride 0", with(6, "  - {block: basic, width: 32, stride: 0}"), "f.yaml:6:39: stages.1.stride: must be from 1 to 8, found 0"},
		{"even kernel", with(6, "  - {block: basic, width: 32, kernel: 4}"), "f.yaml:6:39: stages.1.kernel: must be odd, found 4"},
		{"even kernel among choices", with(6, "  - block: basic\n    width: 32\n    kernel: [3,\n      4, 5]"), "f.yaml:9:7: stages.1.kernel: must be odd, found 4"},
		{"resolution 0", with(2, "input: {resolution: 0}"), "f.yaml:2:21: input.resolution: must be from 1 to 16384, found 0"},
		{"octal", with(2, "input: {resolution: 0224}"), "f.yaml:2:21: 0224 is no plain decimal number; if it is text, put it in quotes"},
		{"a stage that is none", with(6, "  - basic"), "f.yaml:6:5: a stage must be a map of keys and values, found the string \"basic\""},
		{"stages that are none", "input: {resolution: 32}\nstem: {width: 8}\nstages: 3\nhead: {classes: 10}\n", `f.yaml:3:9: "stages" must be a list of stages, found 3`},
		{"a name that is none", with(1, "name: [a]"), `f.yaml:1:7: "name" must be a string, found a list`},
		{"accuracy in percent", file + "about: {top1: 73.2}", `f.yaml:8:15: "top1" must be from 0 to 1, found 73.2`},
		{"year", file + "about: {year: 12}", `f.yaml:8:15: "year" must be from 1950 to 2200, found 12`},

		// Pools and the head.
		{"pool without a kernel", with(7, "head: {classes: 10, pool: {stride: 2}}"), `f.yaml:7:27: a pool has no "kernel"`},
		{"pool that is none", with(7, "head: {classes: 10, pool: max}"), `f.yaml:7:27: a pool must be a map of keys and values, found the string "max"`},
		{"kind of a pool", with(7, "head: {classes: 10, pool: {kernel: 3, kind: avrage}}"), `f.yaml:7:45: a pool: unknown kind "avrage"; did you mean "average"? (allowed: average, max)`},
		{"padding of a pool", with(6, "  - {block: basic, width: 32, pool: {kernel: 3, padding: 2}}"), `f.yaml:6:58: "padding" of a pool must be at most half its kernel of 3, found 2`},
		{"pool larger than the map", with(7, "head: {classes: 10, pool: {kernel: 9}}"), "f.yaml:7:7: head: a map of 8 pixels is smaller than the kernel of 9"},
		{"dropout", with(7, "head: {classes: 10, dropout: 1}"), "f.yaml:7:30: head.dropout: must be from 0 to 0.95, found 1"},
		{"layers", with(7, "head: {classes: 10, hidden: 64, layers: 9}"), "f.yaml:7:41: head.layers: must be from 1 to 8, found 9"},

		// Choices.
		{"a space", with(6, "  - {block: basic, width: [32, 48]}"), "f.yaml:6:27: stages.1.width has 2 choices, so this is a space, not one network"},
		{"a range", with(6, "  - {block: basic, width: {from: 32, to: 64, step: 16}}"), "f.yaml:6:27: stages.1.width has 3 choices, so this is a space, not one network"},
		{"a choice for each block", with(5, "  - {block: inverted, width: 24, depth: 2, kernel: [3, 5], per_block: [kernel]}"),
			"f.yaml:5:52: stages.0.0.kernel has 2 choices, so this is a space, not one network"},
		{"no choice", with(6, "  - {block: basic, width: []}"), `f.yaml:6:27: "width": the list of choices is empty`},
		{"a choice twice", with(6, "  - {block: basic, width: [32, 48, 32]}"), "f.yaml:6:36: stages.1.width: 32 stands twice in the list of choices"},
		{"a choice of lists", with(6, "  - {block: basic, width: [32, [48]]}"), `f.yaml:6:32: "width": a choice must be a single value, found a list`},
		{"empty range", with(6, "  - {block: basic, width: {from: 64, to: 32}}"), `f.yaml:6:27: "width": the range from 64 to 32 in steps of 1 is empty`},
		{"range without an end", with(6, "  - {block: basic, width: {from: 64}}"), `f.yaml:6:27: a range {from, to, step} has no "to"`},
		{"range with a step of 0", with(6, "  - {block: basic, width: {from: 8, to: 64, step: 0}}"), `f.yaml:6:27: "width": the step of a range must be more than 0, found 0`},
		{"range beyond the limits", with(6, "  - {block: basic, width: {from: 0, to: 64, step: 32}}"), "f.yaml:6:27: stages.1.width: must be from 1 to 65536, found 0"},
		{"huge range", with(6, "  - {block: basic, width: {from: 1, to: 65536}}"), "f.yaml:6:27: stages.1.width: more than 4096 choices"},
		{"many ranges", with(6, strings.Repeat("  - {block: basic, width: {from: 1, to: 4096}}\n", 17)), `f.yaml:21:27: "width": the ranges of this file have more than 65536 values together`},
		{"misspelt key of a range", with(6, "  - {block: basic, width: {from: 8, to: 64, stop: 8}}"),
			`f.yaml:6:45: a range {from, to, step}: unknown key "stop"; did you mean "step"? (allowed: from, step, to)`},
		{"misspelt blocks", with(5, "  - {block: inverted, width: 24, kernel: {block: [3]}}"),
			`f.yaml:5:43: a range {from, to, step} or values for each block {blocks: [...]}: unknown key "block"; did you mean "blocks"? (allowed: blocks, from, step, to)`},
		{"values for too few blocks", with(5, "  - {block: inverted, width: 24, depth: 2, kernel: {blocks: [3]}}"),
			"f.yaml:5:52: stages.0.kernel: {blocks: [...]} needs a value for each of the stage's 2 blocks, found 1"},
		{"values for too many blocks", with(5, "  - {block: inverted, width: 24, depth: [1, 2], kernel: {blocks: [3, 5, 7]}}"),
			"f.yaml:5:57: stages.0.kernel: {blocks: [...]} needs a value for each of the stage's 2 blocks, found 3"},
		{"values for no blocks", with(5, "  - {block: inverted, width: 24, kernel: {blocks: []}}"),
			`f.yaml:5:51: "kernel": "blocks" must be a list with a value for each block, found an empty list`},
		{"values for each block and a range", with(5, "  - {block: inverted, width: 24, kernel: {blocks: [3], from: 3}}"),
			`f.yaml:5:56: values for each block: unknown key "from" (allowed: blocks)`},
		{"wrong value for one block", with(5, "  - {block: inverted, width: 24, depth: 2, kernel: {blocks: [3, 4]}}"), "f.yaml:5:65: stages.0.1.kernel: must be odd, found 4"},
		{"values for each block in the head", with(7, "head: {classes: {blocks: [10]}}"), "f.yaml:7:17: head.classes cannot have values for each block"},
		{"per_block unknown", with(5, "  - {block: inverted, width: 24, kernel: 3, expansion: 6, per_block: [kernel, expantion]}"),
			`f.yaml:5:79: stages.0.per_block: unknown parameter of this stage "expantion"; did you mean "expansion"? (allowed: expansion, kernel)`},
		{"per_block that is no list", with(5, "  - {block: inverted, width: 24, per_block: kernel}"), `f.yaml:5:45: "per_block" must be a list of parameter names, found the string "kernel"`},
		{"per_block of a number", with(5, "  - {block: inverted, width: 24, per_block: [3]}"), `f.yaml:5:46: "per_block" must list parameter names, found 3`},
		{"variants", with(6, "  - {block: [basic, {block: basic, kernel: 5}], width: 32}"), "f.yaml:6:13: stages.1.block has 2 choices, so this is a space, not one network"},
		{"a misspelt variant", with(6, "  - {block: [basic, {block: basik, kernel: 5}], width: 32}"), `f.yaml:6:29: stages.1.block: unknown block "basik"; did you mean "basic"? ` + blocks},
		{"a misspelt parameter of a variant", with(6, "  - {block: [basic, {block: basic, kernl: 5}], width: 32}"),
			`f.yaml:6:36: stages.1.block: unknown parameter of basic "kernl"; did you mean "kernel"? (allowed: kernel)`},
		{"a wrong parameter of a variant", with(6, "  - {block: [basic, {block: basic, kernel: 4}], width: 32}"), "f.yaml:6:44: stages.1.kernel: must be odd, found 4"},
		{"a variant with choices", with(6, "  - {block: [basic, {block: basic, kernel: [3, 5]}], width: 32}"), `f.yaml:6:44: "kernel" of a block type must be a single value, found a list`},
		{"a variant twice", with(6, "  - {block: [{block: basic, kernel: 5}, {block: basic, kernel: 5.0}], width: 32}"),
			"f.yaml:6:49: stages.1.block: basic kernel=5 stands twice in the list of choices"},
		{"a variant without a block", with(6, "  - {block: [basic, {kernel: 5}], width: 32}"), `f.yaml:6:21: a block type has no "block"`},
		{"a number among variants", with(6, "  - {block: [{block: basic, kernel: 5}, 3], width: 32}"), `f.yaml:6:41: "block" must list block types, found 3`},
		{"a parameter of which all variants have their own", with(6, "  - {block: [{block: basic, kernel: 5}, identity], width: 32, kernel: 3}"),
			"f.yaml:6:63: stages.1.kernel: every block type of this stage that has it has a value of its own"},

		// What fits each for itself but not together.
		{"groups that do not divide", with(6, "  - {block: conv, width: 32, groups: 5}"), "f.yaml:6:5: stages.1.0: 5 groups do not divide 24 input and 32 output channels"},
		{"shuffle groups", with(6, "  - {block: shuffle, width: 32, groups: 3}"), "f.yaml:6:5: stages.1.0: expand: 3 groups do not divide 9 input and 32 output channels"},
		{"shuffle that does not widen", with(6, "  - {block: shuffle, width: 24, stride: 2}"),
			"f.yaml:6:5: stages.1.0: expand: a shuffle block with a stride keeps its 24 input channels, so its width must be more, found 24"},
		{"fire of one channel", with(6, "  - {block: fire, width: 1}"), "f.yaml:6:5: stages.1.0: expand: a fire module's width must be at least 2, found 1"},
		{"odd shuffle_v2", with(6, "  - {block: shuffle_v2, width: 33}"), "f.yaml:6:5: stages.1.0: a shuffle_v2 block's width must be even, found 33"},
		{"resolution too small", with(2, "input: {resolution: 2}"), "f.yaml:5:5: stages.0.0: a map of 1 pixel cannot be downsampled: the resolution is too small for the strides"},
		{"kernel too large", with(3, "stem: {width: 16, kernel: 31, padding: 0, stride: 2}"), "f.yaml:5:5: stages.0.0: a map of 1 pixel cannot be downsampled: the resolution is too small for the strides"},
		{"kernel larger than the image", strings.NewReplacer("kernel: 3, stride: 2}\ns", "kernel: 31, padding: 0}\ns", "resolution: 32", "resolution: 30").Replace(file),
			"f.yaml:3:7: stem.0: a map of 30 pixels is smaller than the kernel of 31"},
		{"too large to be counted", strings.NewReplacer("32}", "16384}", "width: 24", "width: 65536", "expansion: 6", "expansion: 64").Replace(file),
			"f.yaml:5:5: stages.0.0: project: the network is too large to be counted (at most 16384 layers, and in one layer 1099511627776 elements and 70368744177664 MACs)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := arch.Parse("f.yaml", []byte(test.data))
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			if got := err.Error(); got != test.want {
				t.Errorf("\ngot  %s\nwant %s", got, test.want)
			}
			var at *strict.Error
			if !errors.As(err, &at) {
				t.Errorf("the error is a %T", err)
			}
		})
	}
}

// A few hundred bytes may ask for billions of choices.
func TestParseHugeSpaces(t *testing.T) {
	stage := "  - {block: [conv, basic, bottleneck, grouped, fire, separable, inverted, shuffle, shuffle_v2], width: 32, depth: 256,\n" +
		"     hidden: {from: 1, to: 4000}, kernel: [1, 3, 5, 7], per_block: [hidden, kernel]}\n"
	data := with(6, strings.Repeat(stage, 15))
	tmpl, err := arch.ParseTemplate("f.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := tmpl.Compile(); err != nil || len(p.Slots) != 15*(2*256+1) {
		t.Errorf("%v", err)
	}
	tmpl, err = arch.ParseTemplate("f.yaml", []byte(strings.ReplaceAll(with(6, strings.Repeat(stage, 40)), "4000", "1000")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Compile()
	if want := fmt.Sprintf("f.yaml:69:43: stages.32.224.kernel: a space of more than %d open values", 1<<14); err == nil || err.Error() != want {
		t.Errorf("\ngot  %v\nwant %s", err, want)
	}
}
