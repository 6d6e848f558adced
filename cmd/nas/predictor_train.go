package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
)

type trainOptions struct {
	training       trainingFlags
	out, recipe    string
	repeats, folds int
	quick          bool
	plots, format  string
}

func newPredictorTrainCommand() *cobra.Command {
	var o trainOptions
	c := &cobra.Command{
		Use:   "train RECORDS",
		Short: "Train a predictor on records of measured networks, and say how good it is",
		Long: `Train reads records, one JSON object a line:

  {"architecture": {...}, "accuracy": 0.7322, "dataset": "imagenet", "recipe": "...", "source": "..."}

trains a predictor on them, and writes it to a file that a run configuration can
name. The same records and options give the same file. "epochs" may be given of
all records; "derived": true says of one that it was not measured, so that it is learnt
from with less weight, and not assessed.

Then it tells how good such a predictor is, by repeated cross-validation in
which all records of a network stay together, beside predicting by MACs alone,
parameters alone and the mean accuracy, and, where networks were measured
repeatedly, the best that noise allows. Below each figure is its 90 % interval.
RMSE and MAE are in points of accuracy. The learning curve says whether more
records would help. Records whose recipe no other network has stay apart.

Without --out the predictor goes to standard output and all else to standard
error.

--format json prints one object instead of the tables: model, inputs, recipe,
records, apart, repeats, folds; predictor, macs_alone, params_alone, mean (each
with n and kendall, spearman, rmse, mae, log_likelihood, coverage50 and
coverage90, each of which has value, low and high); noise_ceiling (kendall,
spearman, rmse, mae, sd), gain (of kendall over macs_alone), calibration
(nominal, share, low, high), learning_curve (records, kendall, low, high),
comparison (of --model auto), repeated and warning. Errors and accuracies are
fractions of 1, and null is what cannot be told.`,
		Example: `  nas predictor train predictor/records/imagenet.jsonl --out imagenet.json --recipe imgclsmob
  nas predictor train mine.jsonl --out mine.json --model auto --plots plots
  nas predictor train mine.jsonl --out mine.json --space space.yaml --inputs sizes,ordinal`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return interruptible(c, func(ctx context.Context) error { return o.run(ctx, c, args[0]) })
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "file to write (default standard output)")
	f.StringVar(&o.recipe, "recipe", "", "recipe to predict for where none is asked for (default the most frequent)")
	o.training.add(c)
	f.IntVar(&o.repeats, "repeats", 0, "how often to cross-validate (default 3; 1 of more than 1,000 records)")
	f.IntVar(&o.folds, "folds", 5, "folds of a cross-validation")
	f.BoolVar(&o.quick, "quick", false, "only train, and leave records out one by one in closed form")
	f.StringVar(&o.plots, "plots", "", "folder for predicted, calibration and learning .svg and .png")
	f.StringVar(&o.format, "format", "table", "table or json")
	return c
}

func (o *trainOptions) run(ctx context.Context, c *cobra.Command, path string) error {
	options, err := o.check()
	if err != nil {
		return err
	}
	records, err := readRecords(path)
	if err != nil {
		return err
	}
	count := newCounter(c.ErrOrStderr())
	defer count.finish()
	options.Progress = count.phase("training")
	p, err := predictor.Train(records, options)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	options.Progress = nil
	var file bytes.Buffer // written whole or not at all
	if err := p.Save(&file); err != nil {
		return err
	}
	results := c.OutOrStdout()
	if o.out == "" {
		results = c.ErrOrStderr()
	} else if err := os.WriteFile(o.out, file.Bytes(), 0o644); err != nil {
		return outputError{err}
	}
	q := quality{predictor: p, title: path}
	if !o.quick {
		if err := o.validate(ctx, c, &q, records, options, count); err != nil {
			return err
		}
	}
	count.finish()
	if err := q.draw(o.plots); err != nil {
		return err
	}
	if o.format == "json" {
		err = q.writeJSON(results)
	} else {
		err = q.writeTables(results, len(records))
	}
	if err != nil {
		return outputError{err}
	}
	if w := q.warning(); w != "" {
		fmt.Fprintln(c.ErrOrStderr(), wrap("warning: "+w, 80))
	}
	if o.out == "" {
		if _, err := c.OutOrStdout().Write(file.Bytes()); err != nil {
			return outputError{err}
		}
	}
	return nil
}

func (o *trainOptions) check() (predictor.Options, error) {
	if err := oneOf("format", o.format, "table", "json"); err != nil {
		return predictor.Options{}, err
	}
	if o.repeats < 0 || o.repeats > predictor.MaxRepeats {
		return predictor.Options{}, usageError{fmt.Errorf("--repeats must be from 1 to %d, found %d", predictor.MaxRepeats, o.repeats)}
	}
	if o.folds < 2 || o.folds > predictor.MaxFolds {
		return predictor.Options{}, usageError{fmt.Errorf("--folds must be from 2 to %d, found %d", predictor.MaxFolds, o.folds)}
	}
	if o.quick && o.plots != "" {
		return predictor.Options{}, usageError{errors.New("--quick and --plots do not go together: plots show what --quick leaves out")}
	}
	options, err := o.training.options()
	options.Recipe = o.recipe
	return options, err
}

// validate adds the cross-validation and the learning curve, as far as there are
// records enough.
func (o *trainOptions) validate(ctx context.Context, c *cobra.Command, q *quality, records []predictor.Record, options predictor.Options, count *counter) error {
	v, err := predictor.Validate(ctx, records, options, predictor.ValidationSettings{
		Repeats: o.repeats, Folds: o.folds, Progress: count.phase("cross-validation"),
	})
	if errors.Is(err, predictor.ErrTooFew) {
		fmt.Fprintln(c.ErrOrStderr(), wrap("note: there are too few records to cross-validate, so that what is said of the quality is of no great worth", 80))
		return nil
	}
	if err != nil {
		return err
	}
	q.validation = v
	options.Model = mainModel(q.predictor, options.Model)
	q.curve, err = predictor.LearningCurve(ctx, records, options, predictor.CurveSettings{Progress: count.phase("learning curve")})
	return err
}

// mainModel returns the model of the learning curve: of auto the one that it
// chose, or that has the greatest weight in what it chose.
func mainModel(p *predictor.Predictor, asked predictor.Model) predictor.Model {
	if asked != predictor.Auto {
		return asked
	}
	best := predictor.Comparison{Model: predictor.GP}
	for _, m := range p.Summary().Comparison {
		if m.Model != predictor.Auto && m.Weight > best.Weight {
			best = m
		}
	}
	return best.Model
}

// A quality is what is known of how good a predictor is. What is not known is nil.
type quality struct {
	title      string
	predictor  *predictor.Predictor
	validation *predictor.Validation
	curve      []predictor.CurvePoint
}

// warning returns a warning in words, or nothing. A run asks the predictor's
// summary, and so that goes first.
func (q *quality) warning() string {
	s := q.predictor.Summary()
	if !s.Beats() {
		return fmt.Sprintf("the predictor does not rank these networks better than their MACs alone do (Kendall's tau %.3f against %.3f, of records left out): it needs more records, or more varied ones, and a run that uses it asks for --force", s.Kendall, s.MACs)
	}
	if q.validation != nil {
		return q.validation.Warning()
	}
	return ""
}

// writeTables writes all that is known, for a person; n is the number of records.
func (q *quality) writeTables(w io.Writer, n int) error {
	p := q.predictor
	s := p.Summary()
	usual := p.Usual()
	fmt.Fprintf(w, "%s learnt from %s of %s; asked nothing else, it predicts for %s on %s\n",
		nameOf(s.Model), plural(n, "record"), plural(len(p.Recipes()), "recipe"), usual.Recipe, usual.Dataset)
	if err := writeRepeated(w, &s); err != nil {
		return err
	}
	if err := writeComparison(w, s.Comparison); err != nil {
		return err
	}
	switch v := q.validation; {
	case v == nil:
		writeLeaveOneOut(w, p)
	case len(v.Records) == 0:
		fmt.Fprintln(w, "\nno two networks are of one recipe, so nothing can be said of the quality")
	default:
		times := ""
		if v.Repeats > 1 {
			times = fmt.Sprintf(", %d times", v.Repeats)
		}
		fmt.Fprintf(w, "\n%d-fold cross-validation%s: %s predicted, each by predictors that learnt from other networks\n", v.Folds, times, plural(len(v.Records), "record"))
		if v.Apart > 0 {
			fmt.Fprintf(w, "apart: %s whose recipe or dataset no other network has\n", plural(v.Apart, "record"))
		}
		fmt.Fprintln(w)
		if err := writeQuality(w, v); err != nil {
			return err
		}
		if err := writeCurve(w, q.curve, n); err != nil {
			return err
		}
	}
	return nil
}

// nameOf returns a model in words.
func nameOf(m predictor.Model) string {
	switch m {
	case predictor.GP:
		return "a Gaussian process"
	case predictor.Ridge:
		return "ridge regression"
	case predictor.Trees:
		return "boosted trees"
	case predictor.Neural:
		return "an ensemble of neural networks"
	}
	return "a weighted mean of several models"
}

func writeRepeated(w io.Writer, s *predictor.Summary) error {
	if len(s.Repeated) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s measured repeatedly, and used as their mean; one measurement has a standard deviation of %.1f %% of the error\n",
		plural(len(s.Repeated), "network"), 100*s.Noise)
	const most = 10
	t := report.NewTable("lrrrr", "network", "records", "mean top-1 %", "least", "greatest")
	for _, r := range s.Repeated[:min(len(s.Repeated), most)] {
		t.Row(r.Name, fmt.Sprint(r.Records), points(r.Mean), points(r.Low), points(r.High))
	}
	if more := len(s.Repeated) - most; more > 0 {
		t.Row(fmt.Sprintf("and %d more", more))
	}
	return t.Write(w)
}

func writeComparison(w io.Writer, models []predictor.Comparison) error {
	if len(models) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nmodels compared by cross-validation, and what was chosen")
	t := report.NewTable("lrrrr", "model", "tau", "RMSE", "MAE", "weight")
	for _, m := range models {
		name, weight := string(m.Model), "-"
		if m.Model == predictor.Auto {
			name = "weighted mean"
		} else if m.Weight > 0 {
			weight = fmt.Sprintf("%.2f", m.Weight)
		}
		t.Row(name, fmt.Sprintf("%.3f", m.Kendall), points(m.RMSE), points(m.MAE), weight)
	}
	return t.Write(w)
}

// writeLeaveOneOut says what can be told without training again.
func writeLeaveOneOut(w io.Writer, p *predictor.Predictor) {
	s := p.Summary()
	q, apart, ok := p.LeaveOneOut()
	if ok {
		fmt.Fprintf(w, "\nleave-one-out, in closed form: RMSE %.2f, MAE %.2f points; Kendall tau %.3f, Spearman %.3f; 50 %% intervals cover %.0f %%, 90 %% intervals %.0f %%; of %d",
			100*q.RMSE, 100*q.MAE, q.Kendall, q.Spearman, 100*q.Coverage50, 100*q.Coverage90, q.N)
		if apart > 0 {
			fmt.Fprintf(w, " (%d the only ones of their recipe)", apart)
		}
		fmt.Fprintln(w)
	} else {
		fmt.Fprintf(w, "\nKendall tau of records left out: %.3f\n", s.Kendall)
	}
	fmt.Fprintf(w, "Kendall tau of MACs alone: %.3f\n", s.MACs)
}

// writeCurve writes the learning curve, and what follows from it.
func writeCurve(w io.Writer, curve []predictor.CurvePoint, n int) error {
	if len(curve) == 0 {
		fmt.Fprintln(w, "\nthere are too few records for a learning curve")
		return nil
	}
	fmt.Fprintf(w, "\nlearning curve: %s of the records, ranking others\n", plural(len(curve[0].Draws), "draw"))
	t := report.NewTable("rrrr", "learnt from", "tau", "least", "greatest")
	for _, c := range curve {
		t.Row(fmt.Sprint(c.Records), fmt.Sprintf("%.3f", c.Kendall), fmt.Sprintf("%.3f", c.Low), fmt.Sprintf("%.3f", c.High))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if words := moreRecords(curve, n); words != "" {
		fmt.Fprintln(w, wrap(words, 80))
	}
	return nil
}

// worthDoubling is the gain in tau for which twice the records are worth having.
const worthDoubling = 0.005

// moreRecords says in words whether more than the n records would help, by what the
// curve's last ones did, in the same draws.
func moreRecords(curve []predictor.CurvePoint, n int) string {
	if len(curve) < 2 {
		return ""
	}
	a, b := curve[len(curve)-2], curve[len(curve)-1]
	var mean, squares float64
	draws := float64(len(a.Draws))
	for d := range a.Draws {
		mean += (b.Draws[d] - a.Draws[d]) / draws
	}
	for d := range a.Draws {
		squares += (b.Draws[d] - a.Draws[d] - mean) * (b.Draws[d] - a.Draws[d] - mean)
	}
	sd := math.Sqrt(squares / max(1, draws-1) / draws) // of the mean
	said := fmt.Sprintf("From %d to %d records, tau changed by %+.3f (standard deviation %.3f).", a.Records, b.Records, mean, sd)
	switch {
	case n > 2*b.Records:
		return said + fmt.Sprintf(" The curve ends there, to save time; the predictor has learnt from %d.", n)
	case mean > worthDoubling && mean > 2*sd:
		return said + " More records would help: expect somewhat less than that from twice as many."
	case mean < worthDoubling && mean+2*sd < 2*worthDoubling:
		return said + " More records of the same kind would hardly help."
	}
	return said + " That is too close to chance to say whether more records would help."
}

// points writes a fraction in points.
func points(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100*v)
}
