package predictor_test

import (
	"fmt"
	"log"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/predictor"
)

func Example() {
	p, err := predictor.Imagenet()
	if err != nil {
		log.Fatal(err)
	}
	batch, err := p.Batch(predictor.Training{Recipe: "torchvision_v1"})
	if err != nil {
		log.Fatal(err)
	}
	names := []string{"mobilenet_v2", "resnet50", "shufflenet_v2"}
	var g arch.Graph
	for _, name := range names {
		network, err := arch.Reference(name)
		if err != nil {
			log.Fatal(err)
		}
		if err := network.Lower(&g); err != nil {
			log.Fatal(err)
		}
		if err := batch.Add(network, &g); err != nil {
			log.Fatal(err)
		}
	}
	for i, y := range batch.Predict() {
		low, high := y.Interval(0.9)
		fmt.Printf("%-13s about %.0f %%, within %.0f to %.0f %%\n", names[i], 100*y.Accuracy, 100*low, 100*high)
	}
	// Output:
	// mobilenet_v2  about 72 %, within 71 to 72 %
	// resnet50      about 76 %, within 76 to 77 %
	// shufflenet_v2 about 70 %, within 69 to 70 %
}

func ExamplePredictor_Batch_unknownRecipe() {
	p, err := predictor.Imagenet()
	if err != nil {
		log.Fatal(err)
	}
	_, err = p.Batch(predictor.Training{Recipe: "torchvison_v1"})
	fmt.Println(err)
	// Output:
	// predictor: unknown recipe "torchvison_v1"; did you mean "torchvision_v1"? (allowed: accel_nasbench, imgclsmob, paddleclas, ported, pycls_dds_100ep, pycls_effnet_100ep, tf_slim, tf_slim_v3, torchvision_v1)
}

// A learner is told accuracies as they are measured, and says what to expect of
// other networks.
func ExampleLearner() {
	l, err := predictor.NewLearner(predictor.LearnerOptions{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	inputs := func(name string) []float64 {
		n, err := arch.Reference(name)
		if err != nil {
			log.Fatal(err)
		}
		var g arch.Graph
		if err := n.Lower(&g); err != nil {
			log.Fatal(err)
		}
		x, err := l.Encode(n, &g)
		if err != nil {
			log.Fatal(err)
		}
		return x
	}
	for _, measured := range []struct {
		name     string
		accuracy float64
	}{{"resnet18", 0.6976}, {"resnet34", 0.7331}, {"resnet50", 0.7613}, {"resnet152", 0.7831}} {
		if err := l.Learn(inputs(measured.name), measured.accuracy); err != nil {
			log.Fatal(err)
		}
	}
	out := make([]predictor.Prediction, 1)
	if err := l.Predict([][]float64{inputs("resnet101")}, out); err != nil {
		log.Fatal(err)
	}
	low, high := out[0].Interval(0.9)
	fmt.Println("between those of resnet50 and resnet152:", out[0].Accuracy > 0.7613 && out[0].Accuracy < 0.7831)
	fmt.Println("0.7737, as measured, is within the interval:", low < 0.7737 && 0.7737 < high)
	// Output:
	// between those of resnet50 and resnet152: true
	// 0.7737, as measured, is within the interval: true
}
