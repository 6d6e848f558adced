package main

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
)

type predictOptions struct {
	training predictor.Training
	format   string
}

// predictionJSON is an object of predict --format json.
type predictionJSON struct {
	Name         string  `json:"name"`
	Accuracy     float64 `json:"accuracy"`
	SD           float64 `json:"accuracy_sd"`
	Low          float64 `json:"low"`
	High         float64 `json:"high"`
	Published    float64 `json:"published,omitempty"`
	Dataset      string  `json:"dataset"`
	Recipe       string  `json:"recipe"`
	Epochs       float64 `json:"epochs,omitempty"`
	Nearest      string  `json:"nearest_record"`
	NearestOf    string  `json:"nearest_recipe"`
	Similarity   float64 `json:"similarity"`
	Extrapolated bool    `json:"extrapolated"`
}

func newPredictorPredictCommand() *cobra.Command {
	var o predictOptions
	c := &cobra.Command{
		Use:   "predict MODEL NETWORK...",
		Short: "Predict the accuracy of networks",
		Long: `Predict prints the accuracy that networks would reach if they were trained by a
recipe, with its uncertainty, and beside it the published accuracy of reference
networks, whoever trained them. MODEL is imagenet, which is embedded, or the file
of a predictor. A NETWORK is an architecture file, the name of a reference
network, or DIR#ID for a network of a front (whose run may have asked for another
recipe: see its run.json).

The nearest record is the measured network that the predictor has learnt from that
is most like it, and how like, from 0 to 1. A star marks extrapolations: networks that
are less like any of them than those are like each other, or that mix types of
blocks more than any of them.

--format json prints one object a line: name, accuracy, accuracy_sd, low and high
(the 90 % interval), published (if it is), dataset, recipe, epochs (if the predictor
knows of them), nearest_record, nearest_recipe, similarity, extrapolated.
Accuracies are fractions of 1.`,
		Example: "  nas predictor predict imagenet mobilenet_v2 my.yaml --recipe torchvision_v1\n  nas predictor predict mine.json results/mine#1a2b3c",
		Args:    cobra.MinimumNArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c, args[0], args[1:]) },
	}
	f := c.Flags()
	f.StringVar(&o.training.Recipe, "recipe", "", "training recipe to predict for (default the predictor's)")
	f.StringVar(&o.training.Dataset, "dataset", "", "dataset to predict for (default the predictor's)")
	f.Float64Var(&o.training.Epochs, "epochs", 0, "epochs of training to predict for (default the predictor's)")
	f.StringVar(&o.format, "format", "table", "table or json")
	return c
}

func (o *predictOptions) run(c *cobra.Command, model string, networks []string) error {
	if err := oneOf("format", o.format, "table", "json"); err != nil {
		return err
	}
	p, err := openPredictor(model)
	if err != nil {
		return err
	}
	if c.Flags().Changed("epochs") && !(o.training.Epochs > 0) {
		return usageError{fmt.Errorf("--epochs must be above 0, found %v", o.training.Epochs)}
	}
	if _, err := p.Batch(o.training); err != nil {
		return usageError{err}
	}
	var predictions []predictionJSON
	for _, arg := range networks {
		y, err := o.predict(p, arg)
		if err != nil {
			return err
		}
		predictions = append(predictions, y)
	}
	w := c.OutOrStdout()
	if o.format == "json" {
		e := json.NewEncoder(w)
		for _, y := range predictions {
			if err := e.Encode(y); err != nil {
				return outputError{err}
			}
		}
		return nil
	}
	how := predictions[0]
	epochs := ""
	if how.Epochs > 0 {
		epochs = fmt.Sprintf(", trained for %g epochs", how.Epochs)
	}
	fmt.Fprintf(c.ErrOrStderr(), "for the recipe %s on %s%s; published figures can be of others\n", how.Recipe, how.Dataset, epochs)
	t := report.NewTable("lrrlrrlr", "network", "top-1 %", "± sd", "", "90 % interval", "published", "nearest record", "similarity")
	for _, y := range predictions {
		published, far := "", ""
		if y.Published > 0 {
			published = points(y.Published)
		}
		if y.Extrapolated {
			far = "*"
		}
		t.Row(y.Name, points(y.Accuracy), points(y.SD), far, fmt.Sprintf("%.1f to %.1f", 100*y.Low, 100*y.High), published,
			fmt.Sprintf("%s (%s)", y.Nearest, y.NearestOf), fmt.Sprintf("%.2f", y.Similarity))
	}
	if err := t.Write(w); err != nil {
		return outputError{err}
	}
	for _, y := range predictions {
		if y.Extrapolated {
			fmt.Fprintln(c.ErrOrStderr(), "* extrapolated: unlike the networks that the predictor has learnt from")
			break
		}
	}
	return nil
}

// predict predicts the network that an argument stands for.
func (o *predictOptions) predict(p *predictor.Predictor, arg string) (predictionJSON, error) {
	n, err := runner.OpenNetwork(arg)
	if err != nil {
		return predictionJSON{}, err
	}
	y, err := p.Predict(n, o.training)
	if err != nil {
		return predictionJSON{}, usageError{fmt.Errorf("%s: %w", arg, err)}
	}
	near, err := p.Nearest(n)
	if err != nil {
		return predictionJSON{}, usageError{fmt.Errorf("%s: %w", arg, err)}
	}
	t := p.Usual()
	if o.training.Recipe != "" {
		t.Recipe = o.training.Recipe
	}
	if o.training.Dataset != "" {
		t.Dataset = o.training.Dataset
	}
	if o.training.Epochs > 0 {
		t.Epochs = o.training.Epochs
	}
	low, high := y.Interval(0.9)
	return predictionJSON{
		Name: n.Name, Accuracy: y.Accuracy, SD: y.SD, Low: low, High: high, Published: n.About.Top1,
		Dataset: t.Dataset, Recipe: t.Recipe, Epochs: t.Epochs,
		Nearest: near.Name, NearestOf: near.Recipe, Similarity: math.Round(1e6*near.Similarity) / 1e6, Extrapolated: near.Far,
	}, nil
}
