package search_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

// rooms is a space of boxes: width and height, 1 to 100 each.
type rooms struct{}

type room struct{ width, height int }

func (rooms) Sample(rng *rand.Rand) (room, error) {
	return room{1 + rng.IntN(100), 1 + rng.IntN(100)}, nil
}

func (rooms) Mutate(rng *rand.Rand, r room) (room, error) {
	if rng.IntN(2) == 0 {
		r.width = min(max(r.width+rng.IntN(11)-5, 1), 100)
	} else {
		r.height = min(max(r.height+rng.IntN(11)-5, 1), 100)
	}
	return r, nil
}

func (rooms) Crossover(_ *rand.Rand, a, b room) (room, error) {
	return room{a.width, b.height}, nil
}

func (rooms) Key(r room) string { return fmt.Sprint(r.width, "x", r.height) }

// Rooms with much floor and little wall, of no more than 30 units of floor. The
// squarest are the best.
func Example() {
	evaluator := search.EvaluatorFunc[room](func(_ context.Context, batch []search.Candidate[room], out []search.Evaluation) error {
		for i, c := range batch {
			floor, wall := c.Genome.width*c.Genome.height, 2*(c.Genome.width+c.Genome.height)
			out[i].Objectives = []float64{float64(floor), float64(wall)}
			out[i].Violation = max(0, float64(floor)/30-1)
		}
		return nil
	})
	method, err := search.NewNSGA2(rooms{}, []pareto.Direction{pareto.Maximize, pareto.Minimize}, search.NSGA2Settings{
		Seed:       1,
		Population: 50,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := search.Run(context.Background(), method, evaluator, search.Settings[room]{Evaluations: 2000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Status, "after", result.Evaluations, "of 10,000 rooms")
	for _, o := range result.Front {
		fmt.Println("floor", o.Objectives[0], "wall", o.Objectives[1])
	}
	// Output:
	// evaluation limit after 2000 of 10,000 rooms
	// floor 1 wall 4
	// floor 2 wall 6
	// floor 4 wall 8
	// floor 6 wall 10
	// floor 9 wall 12
	// floor 12 wall 14
	// floor 16 wall 16
	// floor 20 wall 18
	// floor 25 wall 20
	// floor 30 wall 22
}
