package predictor

import (
	"testing"

	"github.com/efficientnas/nas/arch"
)

// A stage that is left out has a block type, which makes no other network of it.
func TestNetworkKeyIgnoresStagesLeftOut(t *testing.T) {
	key := func(block, depth string) string {
		t.Helper()
		n, err := arch.Parse("network.yaml", []byte(`
input: {channels: 3, resolution: 32}
stem: {block: conv, width: 8}
stages: [{block: `+block+`, width: 8, depth: `+depth+`}, {block: basic, width: 16, stride: 2}]
head: {classes: 10}
`))
		if err != nil {
			t.Fatal(err)
		}
		k, err := NetworkKey(n)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if key("inverted", "0") != key("basic", "0") {
		t.Error("block types of a stage of depth 0 make different networks")
	}
	if key("inverted", "1") == key("basic", "1") {
		t.Error("block types of a stage of depth 1 make the same network")
	}
}
