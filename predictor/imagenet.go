package predictor

import (
	"bytes"
	_ "embed" // the trained predictor
	"sync"
)

// ImagenetName is the name of the embedded predictor in configurations and
// commands.
const ImagenetName = "imagenet"

// The predictor is trained from records/imagenet.jsonl. TestImagenet trains it
// again and compares.
//
//go:generate go test -run TestImagenetIsReproduced -update .
//go:embed imagenet.json
var imagenetFile []byte

// Imagenet returns the embedded predictor of top-1 accuracy on ImageNet-1k, trained on
// 194 published accuracies of networks and 50 derived ones. See the package
// comment for its recipes, and for what to believe of it.
func Imagenet() (*Predictor, error) { return imagenet() }

var imagenet = sync.OnceValues(func() (*Predictor, error) {
	return Load("imagenet.json (embedded)", bytes.NewReader(imagenetFile))
})
