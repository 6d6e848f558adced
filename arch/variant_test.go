package arch_test

import (
	"fmt"
	"testing"

	"github.com/efficientnas/nas/arch"
)

const operations = `name: operations
input: {resolution: 32}
stem: {width: 16}
stages:
  - {block: [identity, {block: inverted, expansion: 3, kernel: 3}, {block: inverted, expansion: 6}], width: 16, kernel: [5, 7]}
  - {block: basic, width: 32, stride: 2}
head: {classes: 10}
`

// A stage may choose among block types with parameters of their own; the
// stage's own parameters are for those that have no value.
func TestVariants(t *testing.T) {
	tmpl, err := arch.ParseTemplate("f", []byte(operations))
	if err != nil {
		t.Fatal(err)
	}
	p, err := tmpl.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.Slots[0].Options), "[identity inverted expansion=3 kernel=3 inverted expansion=6]"; got != want {
		t.Errorf("options %s, want %s", got, want)
	}
	for _, test := range []struct {
		genes             []uint16
		expansion, kernel float64
		summary           string
		kernelIsActive    bool
	}{
		{[]uint16{0, 0}, 0, 0, "identity 16, basic 32", false},
		{[]uint16{1, 0}, 3, 3, "inverted 16, basic 32", false},
		{[]uint16{2, 0}, 6, 5, "inverted 16, basic 32", true},
		{[]uint16{2, 1}, 6, 7, "inverted 16, basic 32", true},
	} {
		var n arch.Network
		p.Build(test.genes, &n)
		expansion, _ := n.Stages[0].Param(0, "expansion")
		kernel, _ := n.Stages[0].Param(0, "kernel")
		if expansion != test.expansion || kernel != test.kernel || n.Summary() != test.summary {
			t.Errorf("%v: expansion %v, kernel %v, %s", test.genes, expansion, kernel, n.Summary())
		}
		active := make([]bool, 2)
		if p.Active(test.genes, active); !active[0] || active[1] != test.kernelIsActive {
			t.Errorf("%v: active %v", test.genes, active)
		}
		if genes, err := p.Genes(&n); err != nil || fmt.Sprint(genes) != fmt.Sprint(test.genes) {
			t.Errorf("%v: Genes = %v, %v", test.genes, genes, err)
		}
		checkRoundTrip(t, &n)
	}
}

func TestVariantsInGo(t *testing.T) {
	stage := func(block arch.Choice) *arch.Template {
		return &arch.Template{
			Input: arch.InputTemplate{Resolution: arch.OneOf(32)}, Stem: arch.StageTemplate{Width: arch.OneOf(16)},
			Stages: []arch.StageTemplate{{Block: block, Width: arch.OneOf(16)}}, Head: arch.HeadTemplate{Classes: arch.OneOf(10)},
		}
	}
	params := func(name string, c arch.Choice) map[string]arch.Choice { return map[string]arch.Choice{name: c} }
	p, err := stage(arch.OneOfVariants(arch.Variant{Block: "conv"}, arch.Variant{Block: "conv", Params: params("kernel", arch.OneOf(5))})).Compile()
	if err != nil || fmt.Sprint(p.Slots[0].Options) != "[conv conv kernel=5]" {
		t.Errorf("%v, %v", p, err)
	}
	n, err := stage(arch.OneOf("conv")).Network()
	if err != nil {
		t.Fatal(err)
	}
	if genes, err := p.Genes(n); err != nil || genes[0] != 0 {
		t.Errorf("Genes = %v, %v", genes, err)
	}
	for _, test := range []struct {
		block arch.Choice
		want  string
	}{
		{arch.OneOfVariants(), "stages.0.block: the list of choices is empty"},
		{arch.OneOfVariants(arch.Variant{}), `stages.0.block: unknown block ""`},
		{arch.OneOfVariants(arch.Variant{Block: "conv", Params: params("kernel", arch.OneOf(3, 5))}), "stages.0.block: kernel of conv must have one value, found 2"},
		{arch.OneOfVariants(arch.Variant{Block: "conv", Params: params("kernel", arch.Choice{})}), "stages.0.kernel: the list of choices is empty"},
		{arch.OneOfVariants(arch.Variant{Block: "conv", Params: params("expansion", arch.OneOf(3))}), `stages.0.block: unknown parameter of conv "expansion"`},
	} {
		_, err := stage(test.block).Compile()
		if got := fmt.Sprint(err); len(got) < len(test.want) || got[:len(test.want)] != test.want {
			t.Errorf("\ngot  %s\nwant %s…", got, test.want)
		}
	}
}
