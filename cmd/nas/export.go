package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/export"
	"github.com/efficientnas/nas/runner"
)

type exportOptions struct {
	to, out string
	export.Options
}

func newExportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export NETWORK --to onnx|pytorch|yaml|json",
		Short: "Write a network for other programs",
		Long: `Export writes a network to run or train elsewhere. A NETWORK is an architecture
file, the name of a reference network, or DIR#ID for a network of a front.

  onnx     an ONNX model with the weights of an untrained network: input
           "input", batch x channels x height x width, output "logits". --seed
           draws other weights; the file says how they were drawn
  pytorch  a Python file with the network as a class
  yaml     an architecture file
  json     the same on one line of JSON

Weights have the same names in the ONNX model and in PyTorch's state_dict.`,
		Example: `  nas export mobilenet_v2 --to onnx --out mobilenet_v2.onnx
  nas export results/mobile#f0b7a4d9 --to pytorch --out net.py
  nas export resnet50 --to yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "onnx, pytorch, yaml or json (required)")
	f.StringVar(&o.out, "out", "", "file to write (default standard output)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the weights of an ONNX model")
	return c
}

func (o *exportOptions) run(c *cobra.Command, name string) error {
	if o.to == "" {
		return hinted{usageError{errors.New("--to is missing: onnx, pytorch, yaml or json")}, "see `nas export --help`"}
	}
	if err := oneOf("to", o.to, "onnx", "pytorch", "yaml", "json"); err != nil {
		return err
	}
	if c.Flags().Changed("seed") && o.to != "onnx" {
		return usageError{fmt.Errorf("--seed and --to %s do not go together: only an ONNX model has weights", o.to)}
	}
	stdout := c.OutOrStdout()
	if f, ok := stdout.(*os.File); ok && o.to == "onnx" && o.out == "" && isatty.IsTerminal(f.Fd()) {
		return usageError{errors.New("an ONNX model is no text for a terminal: name a file with --out")}
	}
	n, err := runner.OpenNetwork(name)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		err := o.write(outputWriter{w}, n)
		var output outputError
		if err == nil || errors.As(err, &output) {
			return err
		}
		return usageError{fmt.Errorf("%s: %w", name, err)}
	}
	if o.out == "" {
		return write(stdout)
	}
	return writeWhole(o.out, write)
}

func (o *exportOptions) write(w io.Writer, n *arch.Network) error {
	switch o.to {
	case "onnx":
		return export.ONNX(w, n, o.Options)
	case "pytorch":
		return export.PyTorch(w, n)
	case "yaml":
		_, err := w.Write(n.YAML())
		return err
	}
	line, err := n.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// An outputWriter tells faults in writing from those in what is written.
type outputWriter struct{ w io.Writer }

func (o outputWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = outputError{err}
	}
	return n, err
}

// writeWhole writes a file whole or not at all: under another name first, since
// a model may be large and the disk full.
func writeWhole(path string, write func(io.Writer) error) error {
	part := path + ".part"
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		part = path // a device or a pipe cannot be replaced
	}
	f, err := os.Create(part)
	if err != nil {
		return outputError{err}
	}
	err = write(f)
	if closing := f.Close(); err == nil && closing != nil {
		err = outputError{closing}
	}
	if part == path {
		return err
	}
	if err == nil {
		if err = os.Rename(part, path); err == nil {
			return nil
		}
		err = outputError{err}
	}
	os.Remove(part)
	return err
}
