package cost_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
)

// TestLayersEqualTruth compares single layers of odd sizes.
func TestLayersEqualTruth(t *testing.T) {
	for _, row := range truth(t, "ops_random.csv") {
		n := func(key string) int { return int(number(t, row, key)) }
		var g arch.Graph
		x := g.Reset(arch.Shape{C: int32(n("cin")), H: int32(n("hin")), W: int32(n("win"))})
		switch row["type"] {
		case "linear":
			g.Linear(x, "", n("cout"), n("bias") == 1)
		case "gap":
			g.AdaptiveAvgPool(x, "", 1)
		case "maxpool", "avgpool":
			g.Pool(x, "", arch.Pool{
				Average: row["type"] == "avgpool", Kernel: n("kh"), Stride: n("stride"), Padding: n("pad_h"), CeilMode: n("ceil_mode") == 1,
			})
		default:
			g.Conv(x, "", arch.Conv{
				Out: n("cout"), Kernel: n("kh"), KernelW: n("kw"), Stride: n("stride"), Padding: n("pad_h"), PaddingW: n("pad_w"),
				Dilation: n("dilation"), Groups: n("groups"), Bias: n("bias") == 1,
			})
		}
		if err := g.Err(); err != nil {
			t.Errorf("layer %s: %v", row["id"], err)
			continue
		}
		l := &g.Layers[1]
		if want := (arch.Shape{C: int32(n("cout")), H: int32(n("hout")), W: int32(n("wout"))}); l.Out != want {
			t.Errorf("layer %s, %s: output %v, want %v", row["id"], row["type"], l.Out, want)
		}
		c := cost.Of(&g)
		if want := number(t, row, "macs"); c.MACs != want {
			t.Errorf("layer %s, %s: %d MACs, want %d", row["id"], row["type"], c.MACs, want)
		}
		if want := number(t, row, "params"); c.Params != want {
			t.Errorf("layer %s, %s: %d parameters, want %d", row["id"], row["type"], c.Params, want)
		}
	}
}

// TestBlocksEqualTruth compares single blocks on maps of several sizes, some
// not square.
func TestBlocksEqualTruth(t *testing.T) {
	tried := make(map[string]int)
	for _, row := range truth(t, "blocks.csv") {
		config := make(map[string]float64)
		for _, field := range strings.Fields(row["config"]) {
			key, text, _ := strings.Cut(field, "=")
			var v float64
			_, _ = fmt.Sscan(text, &v) // words stay 0
			config[key] = v
		}
		stage := arch.StageTemplate{Width: arch.OneOf(config["cout"]), Stride: arch.OneOf(max(config["stride"], 1)), Params: map[string]arch.Choice{}}
		param := func(name string, v float64) { stage.Params[name] = arch.OneOf(v) }
		norm, block := "batch", row["block"]
		switch block {
		case "fire":
			if config["expand1"] != config["expand3"] {
				continue
			}
			norm = "none"
			stage.Width = arch.OneOf(2 * config["expand1"])
			param("squeeze", config["squeeze"])
		case "basic":
		case "bottleneck":
			param("hidden", config["mid"])
		case "dwsep":
			block = "separable"
			param("kernel", config["kernel"])
		case "grouped_bottleneck":
			block = "grouped"
			param("hidden", config["mid"])
			param("groups", config["groups"])
		case "inverted":
			param("kernel", config["kernel"])
			param("expansion", config["expand"])
		case "inverted_v3":
			block = "inverted"
			param("kernel", config["kernel"])
			param("hidden", config["mid"])
			param("se", config["se"]/4)
		case "shuffle_v1":
			block = "shuffle"
			param("ratio", config["mid"]/config["cout"])
			param("groups", config["groups"])
			stage.Params["group_first"] = arch.OneOf(config["first_ungrouped"] == 0)
		case "shuffle_v2":
		default:
			t.Errorf("a block %q", block)
			continue
		}
		stage.Block = arch.OneOf(block)
		p, err := (&arch.Template{
			Norm: arch.OneOf(norm), Input: arch.InputTemplate{Resolution: arch.OneOf(8)}, Stem: arch.StageTemplate{Width: arch.OneOf(8)},
			Stages: []arch.StageTemplate{stage}, Head: arch.HeadTemplate{Classes: arch.OneOf(2)},
		}).Compile()
		if err != nil {
			t.Errorf("%s: %v", row["config"], err)
			continue
		}
		var n arch.Network
		p.Build(nil, &n)
		var g arch.Graph
		out, err := n.LowerBlock(&g, 0, 0, arch.Shape{C: int32(config["cin"]), H: int32(number(t, row, "hin")), W: int32(number(t, row, "win"))})
		if err != nil {
			t.Errorf("%s %s: %v", block, row["config"], err)
			continue
		}
		if got := "1x" + out.String(); got != row["out"] {
			t.Errorf("%s %s: output %s, want %s", block, row["config"], got, row["out"])
		}
		want := cost.Cost{MACs: number(t, row, "macs"), Params: number(t, row, "params"), Activations: number(t, row, "conv_linear_activations")}
		if got := cost.Of(&g); got != want {
			t.Errorf("%s %s on %sx%s: got %+v, want %+v", block, row["config"], row["hin"], row["win"], got, want)
		}
		tried[row["block"]]++
	}
	t.Logf("%v", tried)
}
