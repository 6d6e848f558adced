package cost_test

import (
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// mobilenet_v2 has 17 blocks, mobilenet_v3_large 15 with squeeze-excite.
func BenchmarkLowerAndCost(b *testing.B) {
	for _, name := range []string{"mobilenet_v2", "mobilenet_v3_large", "shufflenet"} {
		b.Run(name, func(b *testing.B) {
			n, err := arch.Reference(name)
			if err != nil {
				b.Fatal(err)
			}
			var g arch.Graph
			b.ReportAllocs()
			for b.Loop() {
				if err := n.Lower(&g); err != nil {
					b.Fatal(err)
				}
				cost.Of(&g)
			}
		})
	}
}

func BenchmarkCost(b *testing.B) {
	n, err := arch.Reference("mobilenet_v2")
	if err != nil {
		b.Fatal(err)
	}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		cost.Of(&g)
	}
}
