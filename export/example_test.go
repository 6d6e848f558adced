package export_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/export"
)

func Example() {
	network, err := arch.Reference("squeezenet")
	if err != nil {
		log.Fatal(err)
	}
	var model, source bytes.Buffer
	if err := export.ONNX(&model, network, export.Options{Seed: 1}); err != nil {
		log.Fatal(err)
	}
	if err := export.PyTorch(&source, network); err != nil {
		log.Fatal(err)
	}
	fmt.Println("megabytes of ONNX:", model.Len()/1e6)
	for line := range strings.Lines(source.String()) {
		if strings.HasPrefix(line, "class ") {
			fmt.Print(line)
		}
	}
	// Output:
	// megabytes of ONNX: 5
	// class ConvReLU(nn.Module):
	// class Fire(nn.Module):
	// class SqueezeNet(nn.Module):
}
