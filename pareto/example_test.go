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

// What a candidate would add to a front of error in % and MACs in millions.
func ExampleVolume() {
	volume, err := pareto.NewVolume([]float64{40, 600}, []pareto.Direction{pareto.Minimize, pareto.Minimize})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range [][]float64{{28, 300}, {25, 585}} {
		if _, err := volume.Add(p); err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, candidate := range [][]float64{{29, 310}, {26, 400}, {30, 200}} {
		gain, err := volume.Gain(candidate)
		fmt.Println(candidate, gain, err)
	}
	fmt.Println(volume.Value())
	// Output:
	// [29 310] 0 <nil>
	// [26 400] 370 <nil>
	// [30 200] 1000 <nil>
	// 3645
}

// Networks whose accuracy differs by less than 1 % and whose MACs by less than 50
// million are as good as one.
func ExampleNewEpsilonArchive() {
	archive, err := pareto.NewEpsilonArchive[int]([]pareto.Direction{pareto.Maximize, pareto.Minimize}, []float64{1, 50})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, p := range [][]float64{{70.3, 310}, {70.6, 340}, {70.9, 345}, {74.5, 580}, {74.9, 599}} {
		if _, err := archive.Add(fmt.Sprint("network ", i), p, i); err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, e := range archive.Entries() {
		fmt.Println(e.Key, e.Point)
	}
	// Output:
	// network 0 [70.3 310]
	// network 3 [74.5 580]
	// network 4 [74.9 599]
}

func ExampleKnee() {
	points := [][]float64{{60, 100}, {74, 220}, {76, 300}, {77, 600}} // top-1 in %, MACs in millions
	index, distance, err := pareto.Knee(points, []pareto.Direction{pareto.Maximize, pareto.Minimize})
	fmt.Printf("%v %.2f %v\n", points[index], distance, err)
	// Output: [74 220] 0.41 <nil>
}

func ExampleCoverage() {
	directions := []pareto.Direction{pareto.Minimize, pareto.Minimize}
	found := [][]float64{{1, 4}, {2, 3}, {5, 1}}
	front := [][]float64{{1, 4}, {2, 2}, {3, 1.5}, {5, 1}}
	share, err := pareto.Coverage(found, front, directions)
	fmt.Println(share, err)
	// Output: 0.5 <nil>
}
