package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/runner"
)

func newPredictorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "predictor",
		Short: "Train, assess and use accuracy predictors",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPredictorTrainCommand(), newPredictorEvalCommand(), newPredictorPredictCommand(), newPredictorExplainCommand())
	return c
}

// trainingFlags say how predictors are trained.
type trainingFlags struct {
	model  string
	inputs []string
	space  string
	seed   uint64
}

func (t *trainingFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.model, "model", string(predictor.GP), "kind of model: "+joined(predictor.Models())+"; auto compares the others")
	f.StringSliceVar(&t.inputs, "inputs", nil, "what it looks at, one or more of "+joined(predictor.InputKinds())+" (default features; with --space sizes,ordinal)")
	f.StringVar(&t.space, "space", "", "space file, or a run configuration, whose genes are inputs")
	f.Uint64Var(&t.seed, "seed", 1, "seed of everything that is drawn at random")
}

// options checks the flags and reads the space, which may be there only if
// inputs are of genes.
func (t *trainingFlags) options() (predictor.Options, error) {
	o, genes, err := t.kinds()
	switch {
	case err != nil:
		return o, err
	case genes && t.space == "":
		return o, hinted{
			usageError{fmt.Errorf("--inputs %s: genes are of a space, and none is given", strings.Join(t.inputs, ","))},
			"name the space file, or the run configuration, that the networks are of with --space",
		}
	case !genes && t.space != "":
		return o, hinted{
			usageError{fmt.Errorf("--space: of the inputs %s none is of a gene", strings.Join(t.inputs, ","))},
			"add ordinal or onehot to --inputs, or leave --space out",
		}
	case t.space != "":
		o.Space, err = openTemplate(t.space)
	}
	return o, err
}

// kinds checks the kinds of model and inputs, and says if any of these is of genes.
func (t *trainingFlags) kinds() (o predictor.Options, genes bool, err error) {
	o = predictor.Options{Model: predictor.Model(t.model), Seed: t.seed}
	if err := oneOf("model", t.model, words(predictor.Models())...); err != nil {
		return o, false, err
	}
	if len(t.inputs) == 0 && t.space != "" {
		t.inputs = []string{string(predictor.Sizes), string(predictor.Ordinal)}
	}
	for i, input := range t.inputs {
		if err := oneOf("inputs", input, words(predictor.InputKinds())...); err != nil {
			return o, false, err
		}
		if slices.Contains(t.inputs[:i], input) {
			return o, false, usageError{fmt.Errorf("--inputs: %q twice", input)}
		}
		kind := predictor.Input(input)
		genes = genes || kind == predictor.Ordinal || kind == predictor.OneHot || kind == predictor.Pairs
		o.Inputs = append(o.Inputs, kind)
	}
	return o, genes, nil
}

// openTemplate reads the space of a space file or a run configuration.
func openTemplate(path string) (*arch.Template, error) {
	c, err := runner.OpenSpace(path)
	if err != nil {
		return nil, err
	}
	return c.Space.Template(), nil
}

// openPredictor opens the predictor that an argument names.
func openPredictor(name string) (*predictor.Predictor, error) {
	p, err := predictor.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted{
			usageError{fmt.Errorf("%q is neither %q nor the file of a predictor", name, predictor.ImagenetName)},
			"`nas predictor train` writes predictors; the networks follow the predictor: nas predictor predict imagenet mobilenet_v2",
		}
	}
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

func readRecords(path string) ([]predictor.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return predictor.ReadRecords(path, f)
}

// words returns names of some type as strings.
func words[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

func joined[T ~string](names []T) string { return strings.Join(words(names), ", ") }

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int64(n)) + " " + noun + "s"
}
