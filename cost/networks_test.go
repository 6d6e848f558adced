package cost_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// inTruth gives the reference networks' names in the truth tables.
var inTruth = map[string]string{
	"alexnet":            "alexnet_seed_224",
	"vgg11":              "vgg11",
	"vgg16":              "vgg16",
	"vgg16_bn":           "vgg16_bn",
	"vgg19":              "vgg19",
	"squeezenet":         "squeezenet1_0",
	"resnet18":           "resnet18",
	"resnet50":           "resnet50",
	"resnet101":          "resnet101",
	"resnet152":          "resnet152",
	"resnext50_32x4d":    "resnext50_32x4d",
	"mobilenet":          "mobilenet_v1_1.00_224",
	"mobilenet_v2":       "mobilenet_v2_1.00_224",
	"mobilenet_v3_large": "mobilenet_v3_large",
	"shufflenet":         "shufflenet_v1_g3_x1.00",
	"shufflenet_v2":      "shufflenet_v2_x1_0",
	"shufflenet_v2_x0_5": "shufflenet_v2_x0_5",
	"shufflenet_v2_x1_5": "shufflenet_v2_x1_5",
	"mnasnet":            "mnasnet1_0",
	"mnasnet0_5":         "mnasnet0_5",
	"mnasnet0_75":        "mnasnet0_75",
	"regnet_x_400mf":     "regnet_x_400mf",
	"regnet_x_1_6gf":     "regnet_x_1_6gf",
	"regnet_x_3_2gf":     "regnet_x_3_2gf",
	"regnet_x_8gf":       "regnet_x_8gf",
	"regnet_y_400mf":     "regnet_y_400mf",
	"regnet_y_800mf":     "regnet_y_800mf",
	"regnet_y_3_2gf":     "regnet_y_3_2gf",
	"regnet_y_8gf":       "regnet_y_8gf",
	"efficientnet_b0":    "efficientnet_b0_224",
	"efficientnet_b1":    "efficientnet_b1_240",
	"efficientnet_b2":    "efficientnet_b2_288",
	"efficientnet_b3":    "efficientnet_b3_300",
}

// inZoo gives the names of the others in imagenet_zoo.jsonl.
var inZoo = map[string]string{
	"resnet34":           "paddle_ResNet34",
	"squeezenet1_1":      "tv_SqueezeNet1_1",
	"mobilenet_v3_small": "tv_MobileNet_V3_Small",
	"shufflenet_v2_x2_0": "tv_ShuffleNet_V2_X2_0",
}

// truthNetworks returns the networks of the truth tables by their names there:
// reference networks, and reference networks of another size or form.
func truthNetworks(t *testing.T) map[string]*arch.Network {
	t.Helper()
	networks := make(map[string]*arch.Network)
	for name, truth := range inTruth {
		n, err := arch.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		networks[truth] = n
	}
	// add adds a file's network with changes, unless it is there already.
	add := func(truth, file string, changes ...change) {
		t.Helper()
		if networks[truth] != nil {
			return
		}
		tmpl, err := arch.ReadTemplate(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		base, err := tmpl.Network()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			c(tmpl, base)
		}
		n, err := tmpl.Network()
		if err != nil {
			t.Fatalf("%s: %v", truth, err)
		}
		networks[truth] = n
	}
	const references = "../arch/networks/"

	add("alexnet", "testdata/networks/alexnet_torchvision.yaml")
	add("vgg16_256", references+"vgg16.yaml", resolution(256))
	add("squeezenet1_0_227", references+"squeezenet.yaml", resolution(227))
	add("resnet50_160", references+"resnet50.yaml", resolution(160))
	add("resnet50_v1paper", references+"resnet50.yaml", params("stride_first", arch.OneOf(true)))
	add("resnet152_v1paper", references+"resnet152.yaml", params("stride_first", arch.OneOf(true)))
	for _, b := range []string{"b1", "b2", "b3"} {
		add("efficientnet_"+b+"_224", references+"efficientnet_"+b+".yaml", resolution(224))
	}
	for _, r := range []int{224, 192, 160, 128} {
		for _, w := range []float64{0.25, 0.5, 0.75, 1} {
			add(fmt.Sprintf("mobilenet_v1_%.2f_%d", w, r), references+"mobilenet.yaml", scale(w, 1), resolution(r))
		}
		for _, w := range []float64{0.5, 0.75, 1, 1.4} {
			add(fmt.Sprintf("mobilenet_v2_%.2f_%d", w, r), references+"mobilenet_v2.yaml", scale(w, 8), resolution(r))
		}
	}
	// Table 1 of the paper gives the first stage's channels by groups. The stem
	// scales too, to a multiple of the groups, but for Megvii's 1.5x and where
	// the name says 24.
	for groups, width := range map[int]int{1: 144, 2: 200, 3: 240, 4: 272, 8: 384} {
		file, grouped := references+"shufflenet.yaml", params("groups", arch.OneOf(groups))
		for _, w := range []float64{0.25, 0.5, 1, 2} {
			add(fmt.Sprintf("shufflenet_v1_g%d_x%.2f", groups, w), file, grouped, scale(w, groups), doubling(w*float64(width)))
		}
	}
	for name, width := range map[string]float64{"x1.50": 360, "x0.50_stem24": 120, "x0.25_stem24": 60} {
		add("shufflenet_v1_g3_"+name, references+"shufflenet.yaml", doubling(width))
	}
	for size, file := range map[string]string{"0.50": "shufflenet_v2_x0_5", "1.00": "shufflenet_v2", "2.00": "shufflenet_v2_x2_0"} {
		add("shufflenet_v2_megvii_x"+size, references+file+".yaml", params("form", arch.OneOf("megvii")), classifierWithoutBias)
	}
	return networks
}

// A change makes another network of a template; base is what it was before.
type change func(t *arch.Template, base *arch.Network)

func resolution(r int) change {
	return func(t *arch.Template, _ *arch.Network) { t.Input.Resolution = arch.OneOf(r) }
}

// params gives a parameter to all stages.
func params(name string, value arch.Choice) change {
	return func(t *arch.Template, _ *arch.Network) {
		for i := range t.Stages {
			t.Stages[i].Params[name] = value
		}
	}
}

// doubling gives the first stage a width, and each further one twice as much.
func doubling(width float64) change {
	return func(t *arch.Template, _ *arch.Network) {
		for i := range t.Stages {
			t.Stages[i].Width = arch.OneOf(width)
			width *= 2
		}
	}
}

func classifierWithoutBias(t *arch.Template, _ *arch.Network) { t.Head.Bias = arch.OneOf(false) }

// scale multiplies all widths, rounding to a multiple of divisor. That of the
// head's convolution does not shrink (MobileNetV2, section 6.1).
func scale(by float64, divisor int) change {
	return func(t *arch.Template, base *arch.Network) {
		width := func(s *arch.Stage) arch.Choice {
			return arch.OneOf(arch.RoundTo(by*float64(s.Width(0)), divisor))
		}
		t.Stem.Width = width(&base.Stem)
		for i := range t.Stages {
			t.Stages[i].Width = width(&base.Stages[i])
		}
		if w := float64(base.Head.Width); w > 0 {
			t.Head.Width = arch.OneOf(arch.RoundTo(max(by, 1)*w, divisor))
		}
	}
}
