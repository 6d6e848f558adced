// Layers prints the request that nas hands to a trainer, for architecture files
// and reference networks, so that a network can be trained by hand:
//
//	go run ./examples/pytorch/layers -epochs 3 my.yaml | examples/pytorch/train.py
//
// It prints one JSON object a line and network.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"slices"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/trainer"
)

// open returns the network of an architecture file, or if there is no such
// file, the reference network of that name.
func open(name string) (*arch.Network, error) {
	n, err := arch.Read(name)
	if errors.Is(err, os.ErrNotExist) && slices.Contains(arch.References(), name) {
		return arch.Reference(name)
	}
	return n, err
}

// request returns what a trainer of the network is asked to do.
func request(n *arch.Network, seed uint32, epochs int) (trainer.Request, error) {
	r := trainer.Request{Key: n.Name, Budget: trainer.Budget{Epochs: epochs}, Seed: seed, Attempt: 1}
	var g arch.Graph
	if err := n.Lower(&g); err != nil {
		return r, err
	}
	var err error
	if r.Architecture, err = n.MarshalJSON(); err != nil {
		return r, err
	}
	r.Layers, err = g.MarshalJSON()
	return r, err
}

func run(w io.Writer, names []string, seed uint32, epochs int) error {
	for _, name := range names {
		n, err := open(name)
		if err != nil {
			return err
		}
		r, err := request(n, seed, epochs)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("layers: ")
	seed := flag.Uint64("seed", 1, "the trial's seed, of 32 bits")
	epochs := flag.Int("epochs", 0, "epochs to train; 0 leaves them to the trainer")
	list := flag.Bool("list", false, "print the names of the reference networks instead")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: layers [-seed N] [-epochs N] NETWORK... | -list")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		for _, name := range arch.References() {
			fmt.Println(name)
		}
		return
	}
	if flag.NArg() == 0 || *seed > math.MaxUint32 || *epochs < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(os.Stdout, flag.Args(), uint32(*seed), *epochs); err != nil {
		log.Fatal(err)
	}
}
