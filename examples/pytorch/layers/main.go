// Layers prints the request that an evaluator hands to a trainer, for
// architecture files and reference networks, so that a network can be trained by
// hand:
//
//	go run ./examples/pytorch/layers -epochs 3 my.yaml | examples/pytorch/train.py
//
// It prints one JSON object a line and network.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"

	"github.com/efficientnas/nas/arch"
)

// A request is what a trainer reads.
type request struct {
	Version      int            `json:"version"`
	Key          string         `json:"key"`
	Architecture *arch.Network  `json:"architecture"`
	Layers       []layer        `json:"layers"`
	Seed         uint64         `json:"seed"`
	Budget       map[string]int `json:"budget"`
}

// A layer is an arch.Layer as a trainer needs it: what the operation does not
// use, or what is zero or false, is left out. Shapes are those of the output;
// the input's are those of the layers that Inputs names.
type layer struct {
	Name     string        `json:"name"`
	Op       string        `json:"op"`
	Inputs   []arch.Tensor `json:"inputs,omitempty"` // indices of earlier layers
	Shape    [3]int32      `json:"shape"`            // channels, height, width of the output
	Kernel   []int32       `json:"kernel,omitempty"` // height, width
	Stride   int32         `json:"stride,omitempty"`
	Padding  []int32       `json:"padding,omitempty"` // height, width
	Dilation int32         `json:"dilation,omitempty"`
	Groups   int32         `json:"groups,omitempty"`   // of conv and shuffle
	Bias     bool          `json:"bias,omitempty"`     // of conv and linear
	CeilMode bool          `json:"ceil,omitempty"`     // of the pools
	Function string        `json:"function,omitempty"` // of activation
	From     int32         `json:"from,omitempty"`     // of slice: the first channel
	Rate     float32       `json:"rate,omitempty"`     // of dropout
}

func lower(n *arch.Network) ([]layer, error) {
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return nil, err
	}
	layers := make([]layer, len(g.Layers))
	for i := range g.Layers {
		l := &g.Layers[i]
		layers[i] = layer{
			Name: l.Name(), Op: l.Op.String(), Inputs: l.Inputs, Shape: [3]int32{l.Out.C, l.Out.H, l.Out.W},
			Stride: l.Stride, Dilation: l.Dilation, Groups: l.Groups, Bias: l.Bias, CeilMode: l.CeilMode,
			From: l.From, Rate: l.Rate,
		}
		switch l.Op {
		case arch.OpConv, arch.OpMaxPool, arch.OpAvgPool:
			layers[i].Kernel, layers[i].Padding = []int32{l.KernelH, l.KernelW}, []int32{l.PadH, l.PadW}
		case arch.OpActivation:
			layers[i].Function = l.Activation.String()
		}
	}
	return layers, nil
}

// open returns the network of an architecture file, or if there is no such
// file, the reference network of that name.
func open(name string) (*arch.Network, error) {
	n, err := arch.Read(name)
	if errors.Is(err, os.ErrNotExist) && slices.Contains(arch.References(), name) {
		return arch.Reference(name)
	}
	return n, err
}

func run(w io.Writer, names []string, seed uint64, budget map[string]int) error {
	for _, name := range names {
		n, err := open(name)
		if err != nil {
			return err
		}
		layers, err := lower(n)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r := request{Version: 1, Key: n.Name, Architecture: n, Layers: layers, Seed: seed, Budget: budget}
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("layers: ")
	seed := flag.Uint64("seed", 1, "the trial's seed")
	epochs := flag.Int("epochs", 0, "epochs to train; 0 leaves them to the trainer")
	list := flag.Bool("list", false, "print the names of the reference networks instead")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: layers [-seed N] [-epochs N] NETWORK... | -list")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, name := range arch.References() {
			fmt.Println(name)
		}
		return
	}
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	budget := map[string]int{}
	if *epochs > 0 {
		budget["epochs"] = *epochs
	}
	if err := run(os.Stdout, flag.Args(), *seed, budget); err != nil {
		log.Fatal(err)
	}
}
