// Customblock adds a block type of its own, GhostNet's, and uses it in a search
// space beside a built-in one. Nothing else has to know: the block works in
// files, in the cost model, in search and for the predictor, because all of
// them read the layers that Lower adds.
package main

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/space"
)

// ghost makes part of its output by a 1x1 convolution, and the rest from that
// part by a cheap depthwise one (Han et al. 2019, GhostNet, arXiv 1911.11907,
// figure 1b).
type ghost struct{}

const (
	ghostKernel = iota
	ghostRatio
)

func (ghost) Name() string { return "ghost" }

func (ghost) Params() []arch.Param {
	return []arch.Param{
		ghostKernel: {Name: "kernel", Default: 3, Min: 1, Max: 7, Odd: true, Doc: "kernel of the cheap convolution"},
		ghostRatio:  {Name: "ghost_ratio", Default: 2, Min: 2, Max: 8, Doc: "one in so many channels is made at full cost"},
	}
}

func (ghost) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	k, ratio := u.Int(ghostKernel), u.Int(ghostRatio)
	if u.Width%ratio != 0 {
		g.Failf("", "a ghost block's ratio of %d does not divide its width of %d", ratio, u.Width)
		return x
	}
	intrinsic := u.Width / ratio
	y := g.ConvNormAct(x, "primary", arch.Conv{Out: intrinsic, Stride: u.Stride}, u.Activation)
	cheap := arch.Conv{Out: u.Width - intrinsic, Kernel: k, Padding: k / 2, Groups: intrinsic}
	return g.Concat("", y, g.ConvNormAct(y, "cheap", cheap, u.Activation))
}

const file = `
name: ghosts
input: {resolution: [64, 96]}
stem: {width: 16, stride: 2}
stages:
  - {block: [ghost, separable], width: [32, 48], depth: [1, 2], stride: 2, kernel: [3, 5], ghost_ratio: [2, 4]}
  - {block: ghost, width: 96, stride: 2}
head: {classes: 10}
`

func run(w io.Writer) error {
	if err := arch.Register(ghost{}); err != nil {
		return err
	}
	s, err := space.Parse("ghosts.yaml", []byte(file))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "networks:", s.Size())

	genome, err := s.Sample(rand.New(rand.NewPCG(7, 7)))
	if err != nil {
		return err
	}
	var n arch.Network
	s.Network(genome, &n)
	c, err := cost.OfNetwork(&n)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%d MACs, %d parameters\n", n.YAML(), c.MACs, c.Params)
	return err
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
