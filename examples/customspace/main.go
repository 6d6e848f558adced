// Customspace builds a search space in Go, without YAML, and searches it for the
// trade-off between predicted accuracy and parameters.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// template is MobileNetV2 with open widths, depths and kernels: each stage is
// made by the same few lines, which YAML could not say.
func template() *arch.Template {
	t := &arch.Template{
		Name:       "narrow",
		Input:      arch.InputTemplate{Resolution: arch.OneOf(160, 224)},
		Activation: arch.OneOf("relu6"),
		Stem:       arch.StageTemplate{Width: arch.OneOf(16), Stride: arch.OneOf(2)},
		Head:       arch.HeadTemplate{Width: arch.OneOf(640, 1280), Classes: arch.OneOf(1000)},
	}
	for i, width := range []float64{16, 24, 32, 64, 96, 160} {
		stride := 2
		if i == 0 || i == 4 {
			stride = 1
		}
		t.Stages = append(t.Stages, arch.StageTemplate{
			Block:  arch.OneOf("inverted"),
			Width:  arch.Range(width/2, width, width/4),
			Depth:  arch.OneOf(1, 2, 3),
			Stride: arch.OneOf(stride),
			Params: map[string]arch.Choice{
				"expansion": arch.OneOf(3, 6),
				"kernel":    arch.OneOf(3, 5),
			},
		})
	}
	return t
}

func run(w io.Writer) error {
	s, err := space.New(template())
	if err != nil {
		return err
	}
	p, err := predictor.Imagenet()
	if err != nil {
		return err
	}

	// The evaluator: any function of genomes. It is called from several
	// goroutines, so what it changes is its own.
	evaluate := func(_ context.Context, batch []search.Candidate[space.Genome], out []search.Evaluation) error {
		var n arch.Network
		var g arch.Graph
		networks, err := p.Batch(predictor.Training{})
		if err != nil {
			return err
		}
		params := make([]float64, len(batch))
		for i, candidate := range batch {
			s.Network(candidate.Genome, &n)
			if err := n.Lower(&g); err != nil {
				return err
			}
			params[i] = float64(cost.Of(&g).Params)
			if err := networks.Add(&n, &g); err != nil {
				return err
			}
		}
		for i, prediction := range networks.Predict() {
			out[i].Objectives = []float64{prediction.Accuracy - prediction.SD, params[i]}
		}
		return nil
	}

	method, err := search.NewNSGA2[space.Genome](s, []pareto.Direction{pareto.Maximize, pareto.Minimize},
		search.NSGA2Settings{Seed: 1, Population: 50})
	if err != nil {
		return err
	}
	result, err := search.Run(context.Background(), method, search.EvaluatorFunc[space.Genome](evaluate),
		search.Settings[space.Genome]{Evaluations: 2000})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s networks, %d looked at\n", s.Size(), result.Evaluations)
	first, last := result.Front[0], result.Front[len(result.Front)-1]
	fmt.Fprintf(w, "on the front from %.1fM to %.1fM parameters\n", first.Objectives[1]/1e6, last.Objectives[1]/1e6)
	return nil
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
