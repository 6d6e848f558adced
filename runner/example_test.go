package runner_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/efficientnas/nas/runner"
)

const exampleConfig = `
name: example
space:
  input: {resolution: [96, 128]}
  stem: {width: 16, stride: 2}
  stages:
    - {block: [separable, inverted], width: [16, 24, 32], depth: [1, 2], stride: 2, expansion: [2, 4]}
  head: {classes: 1000}
objectives: {maximize: [accuracy], minimize: [macs]}
accuracy: {predictor: imagenet}
search: {algorithm: nsga2, evaluations: 1000, seed: 1}
`

// A study from its configuration to its front. Had it been killed, Resume would go
// on with it.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "study.yaml")
	if err := os.WriteFile(path, []byte(exampleConfig), 0o644); err != nil {
		log.Fatal(err)
	}
	config, err := runner.LoadConfig(path)
	if err != nil {
		log.Fatal(err)
	}
	study, err := runner.Create(config, filepath.Join(dir, "results"), runner.Options{}, false)
	if err != nil {
		log.Fatal(err)
	}
	defer study.Close()
	results, err := study.Run(context.Background(), runner.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results.Run.Status, "after", results.Run.Evaluations, "of", results.Run.SpaceSize, "networks")
	fmt.Println("the cheapest of the front:", results.Front[0].Costs.MACs, "MACs")
	// Output:
	// exhausted after 36 of 36 networks
	// the cheapest of the front: 1241728 MACs
}
