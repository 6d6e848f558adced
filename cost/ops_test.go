package cost_test

import (
	"fmt"
	"strconv"
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
	for _, row := range truth(t, "blocks.csv") {
		t.Run(fmt.Sprintf("%s %s on %sx%s", row["block"], row["config"], row["hin"], row["win"]), func(t *testing.T) {
			config := make(map[string]float64)
			for _, field := range strings.Fields(row["config"]) {
				key, text, _ := strings.Cut(field, "=")
				config[key], _ = strconv.ParseFloat(text, 64) // words stay 0
			}
			n, err := blockNetwork(row["block"], config).Network()
			if err != nil {
				t.Fatal(err)
			}
			g := new(arch.Graph)
			in := arch.Shape{C: int32(config["cin"]), H: int32(number(t, row, "hin")), W: int32(number(t, row, "win"))}
			out, err := n.LowerBlock(g, 0, 0, in)
			if err != nil {
				t.Fatal(err)
			}
			if got := "1x" + out.String(); got != row["out"] {
				t.Errorf("output %s, want %s", got, row["out"])
			}
			checkTotals(t, g, row)
		})
	}
}

// blockNetwork returns a network whose first stage is a block of the truth
// table.
func blockNetwork(block string, config map[string]float64) *arch.Template {
	s := arch.StageTemplate{
		Block: arch.OneOf(block), Width: arch.OneOf(config["cout"]), Stride: arch.OneOf(max(config["stride"], 1)), Params: make(map[string]arch.Choice),
	}
	norm := "batch"
	param := func(name string, v float64) { s.Params[name] = arch.OneOf(v) }
	switch block {
	case "fire":
		norm = "none"
		width := config["expand1"] + config["expand3"]
		s.Width = arch.OneOf(width)
		param("squeeze", config["squeeze"])
		param("pct_3x3", config["expand3"]/width)
	case "bottleneck":
		param("hidden", config["mid"])
	case "dwsep":
		s.Block = arch.OneOf("separable")
		param("kernel", config["kernel"])
	case "grouped_bottleneck":
		s.Block = arch.OneOf("grouped")
		param("hidden", config["mid"])
		param("groups", config["groups"])
	case "inverted":
		param("kernel", config["kernel"])
		param("expansion", config["expand"])
	case "inverted_v3":
		s.Block = arch.OneOf("inverted")
		param("kernel", config["kernel"])
		param("hidden", config["mid"])
		param("se", config["se"]/4)
	case "shuffle_v1":
		s.Block = arch.OneOf("shuffle")
		param("ratio", config["mid"]/config["cout"])
		param("groups", config["groups"])
		s.Params["group_first"] = arch.OneOf(config["first_ungrouped"] == 0)
	}
	return &arch.Template{
		Norm: arch.OneOf(norm), Input: arch.InputTemplate{Resolution: arch.OneOf(32)}, Stem: arch.StageTemplate{Width: arch.OneOf(config["cin"])},
		Stages: []arch.StageTemplate{s}, Head: arch.HeadTemplate{Classes: arch.OneOf(2)},
	}
}
