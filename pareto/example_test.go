package pareto_test

import (
	"fmt"

	"github.com/efficientnas/nas/pareto"
)

// Three networks of the literature: the front of accuracy against MACs.
func Example() {
	directions := []pareto.Direction{pareto.Maximize, pareto.Minimize} // top-1 in %, MACs in millions
	front, err := pareto.NewArchive[int](directions)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, network := range []struct {
		name       string
		top1, macs float64
		year       int
	}{
		{"MobileNet", 70.6, 569, 2017},
		{"MobileNetV2", 72.0, 300, 2018},
		{"MobileNetV2 1.4", 74.7, 585, 2018},
	} {
		if _, err := front.Add(network.name, []float64{network.top1, network.macs}, network.year); err != nil {
			fmt.Println(err)
			return
		}
	}

	var points [][]float64
	for _, e := range front.Entries() {
		fmt.Println(e.Key, e.Value, e.Point)
		points = append(points, e.Point)
	}
	volume, err := pareto.Hypervolume(points, []float64{70, 600}, directions)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("hypervolume %.1f\n", volume)
	// Output:
	// MobileNetV2 2018 [72 300]
	// MobileNetV2 1.4 2018 [74.7 585]
	// hypervolume 640.5
}

func ExampleFronts() {
	points := [][]float64{{1, 4}, {2, 2}, {3, 3}, {4, 1}}
	fronts, err := pareto.Fronts(points, []pareto.Direction{pareto.Minimize, pareto.Minimize})
	fmt.Println(fronts, err)
	// Output: [[0 1 3] [2]] <nil>
}
