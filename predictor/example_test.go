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
