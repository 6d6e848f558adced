package arch_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// FuzzParseTemplate checks that no bytes make reading, compiling, building or
// lowering panic, and that every network that can be built survives being
// written and read.
func FuzzParseTemplate(f *testing.F) {
	for _, name := range arch.References() {
		data, err := os.ReadFile("networks/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(file))
	f.Add([]byte(with(5, "  - {block: [basic, shuffle], width: {from: 8, to: 32, step: 8}, depth: [0, 2], kernel: [3, 5], per_block: [kernel]}")))
	f.Add([]byte(with(5, "  - {block: inverted, width: 24, depth: 0}")))
	f.Add([]byte(with(5, "  - {block: inverted, width: {blocks: [8, [16, 24]]}, depth: 2}")))
	f.Add([]byte(with(5, "  - {block: [identity, {block: inverted, kernel: 5}, {block: inverted, se: 0.25}], width: [16, 24], expansion: [3, 6]}")))
	f.Fuzz(func(t *testing.T, data []byte) {
		tmpl, err := arch.ParseTemplate("f", data)
		if err != nil {
			return
		}
		p, err := tmpl.Compile()
		if err != nil {
			return
		}
		var n arch.Network
		genes := make([]uint16, len(p.Slots))
		p.Build(genes, &n)
		layers, failed := lower(&n)
		p.Active(genes, make([]bool, len(genes)))
		if got, err := p.Genes(&n); err != nil || len(got) != len(genes) {
			t.Fatalf("Genes: %v", err)
		}
		for i, s := range p.Slots {
			genes[i] = uint16(len(s.Options) - 1)
		}
		var last arch.Network
		p.Build(genes, &last)
		lower(&last)

		yaml := n.YAML()
		back, err := arch.Parse("f", yaml)
		if (err != nil) != (failed != "") {
			t.Fatalf("lowering says %q, reading back %v:\n%s", failed, err, yaml)
		}
		if err == nil {
			checkGraph(t, layers)
			if again := back.YAML(); !bytes.Equal(yaml, again) {
				t.Fatalf("written again:\n%s\nfirst:\n%s", again, yaml)
			}
		}
	})
}
