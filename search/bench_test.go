package search_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientnas/nas/search"
)

// BenchmarkRun measures what a search costs beside the evaluation: an evaluation
// here is two stores. With a reference point it includes the hypervolume of the
// front after each batch.
func BenchmarkRun(b *testing.B) {
	space := grid{12, 31}
	objectives := make([]float64, 0, 2*100_000)
	ev := search.EvaluatorFunc[genes](func(_ context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		for i, c := range batch {
			// Cheap, and with a front: the first gene against the rest.
			x := c.Genome
			rest := int(x[1]) + int(x[2]) + int(x[3]) + int(x[4]) + int(x[5]) + int(x[6]) + int(x[7]) + int(x[8])
			at := len(objectives)
			objectives = append(objectives, float64(int(x[0])*100+int(x[9])), float64(rest)-float64(x[0]))
			out[i].Objectives = objectives[at : at+2 : at+2]
		}
		return nil
	})
	for _, name := range []string{"random", "nsga2", "islands"} {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					objectives = objectives[:0]
					var m search.Method[genes]
					switch name {
					case "random":
						m = methods[name](b, space, 1)
					case "nsga2":
						m = nsga2(b, space, minimize2, search.NSGA2Settings{Seed: 1, Population: 200})
					case "islands":
						m = islands(b, space, search.IslandsSettings{Seed: 1})
					}
					result, err := search.Run(b.Context(), m, ev, search.Settings[genes]{
						Evaluations: n, Workers: 1, Reference: []float64{3200, 300},
						Recorder: func(search.Progress[genes]) error { return nil },
					})
					if err != nil || result.Evaluations != n {
						b.Fatal(result.Evaluations, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/evaluation")
			})
		}
	}
}

// BenchmarkRunLargeFront measures the bookkeeping of [search.Run] where the front
// has a thousand members and batches are small, as with dear evaluations.
func BenchmarkRunLargeFront(b *testing.B) {
	space := grid{12, 31}
	ev := each(func(x genes) search.Evaluation {
		v := float64((31*int(x[0]) + int(x[1])) % 961)
		return search.Evaluation{Objectives: []float64{v, -v}}
	})
	const n = 20_000
	for b.Loop() {
		result, err := search.Run(b.Context(), methods["random"](b, space, 1), ev, search.Settings[genes]{
			Evaluations: n, Workers: 1, Batch: 4, Reference: []float64{1000, 1000},
			Recorder: func(search.Progress[genes]) error { return nil },
		})
		if err != nil || len(result.Front) != 961 {
			b.Fatal(len(result.Front), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/evaluation")
}
