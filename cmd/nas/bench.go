package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/internal/bench"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/report"
)

func newBenchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure predictors and searches on tables of trained networks",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBenchPredictorCommand(), newBenchSearchCommand())
	return c
}

type benchPredictorOptions struct {
	training       trainingFlags
	table, records string
	train          []string
	draws          int
	deviations     float64
	format         string
}

func newBenchPredictorCommand() *cobra.Command {
	var o benchPredictorOptions
	c := &cobra.Command{
		Use:   "predictor --table FILE --space FILE | --records FILE",
		Short: "How good predictors are, and how much a search fools them",
		Long: `Bench predictor trains predictors on some networks and measures them on others.

With --table, the networks are those of a tabular benchmark, NAS-Bench-Macro or
Accel-NASBench, whose space is given too. So many as --train says are drawn at
random, repeatedly; all others are held out, or, if the table has a validation
split, those of that. Chosen is what a search would choose among all that were
not trained on: the front of MACs and predicted accuracy, less --deviations standard
deviations. Optimism is by how much it is predicted too high, in the mean.

With --records, records are left out and predicted by others: each on its own, a
network at all resolutions by all recipes, all of a combination of block types,
and all of a source. Records whose recipe has no other stay apart.

RMSE, MAE and optimism are in points of accuracy.

--format csv has, with --table, the columns trained, held_out, draws, kendall,
spearman, rmse, mae, coverage50, coverage90, macs_kendall, chosen, optimism,
chosen_coverage; with --records, left_out, groups, n, kendall, spearman, rmse, mae,
log_likelihood, coverage50, coverage90, macs_kendall. There, errors are fractions of 1.`,
		Example: `  nas bench predictor --table nas_bench_macro.csv.gz --space configs/nas_bench_macro.yaml --train 50,100,200
  nas bench predictor --table accel_nasbench.csv.gz --space configs/accel_nasbench.yaml --train all
  nas bench predictor --records predictor/records/imagenet.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return interruptible(c, func(ctx context.Context) error { return o.run(ctx, c) })
		},
	}
	f := c.Flags()
	f.StringVar(&o.table, "table", "", "tabular benchmark, plain or compressed with gzip")
	f.StringVar(&o.records, "records", "", "file of records")
	f.StringSliceVar(&o.train, "train", []string{"100"}, "numbers of networks to train on; all for the whole train split")
	f.IntVar(&o.draws, "draws", 10, "how often each number is drawn")
	f.Float64Var(&o.deviations, "deviations", 1, "standard deviations taken off a predicted accuracy before it is chosen")
	o.training.add(c)
	f.StringVar(&o.format, "format", "table", "table or csv")
	return c
}

func (o *benchPredictorOptions) run(ctx context.Context, c *cobra.Command) error {
	if err := oneOf("format", o.format, "table", "csv"); err != nil {
		return err
	}
	if (o.table == "") == (o.records == "") {
		return usageError{errors.New("either --table or --records is required, and not both")}
	}
	count := newCounter(c.ErrOrStderr())
	defer count.finish()
	if o.records != "" {
		return o.onRecords(ctx, c, count)
	}
	return o.onTable(ctx, c, count)
}

func (o *benchPredictorOptions) onRecords(ctx context.Context, c *cobra.Command, count *counter) error {
	for _, flag := range []string{"train", "draws", "deviations"} {
		if c.Flags().Changed(flag) {
			return usageError{fmt.Errorf("--records and --%s do not go together", flag)}
		}
	}
	options, err := o.training.options()
	if err != nil {
		return err
	}
	records, err := readRecords(o.records)
	if err != nil {
		return err
	}
	if n := len(records); n < predictor.MinRecords {
		return usageError{fmt.Errorf("%s: %d records; a predictor learns from at least %d", o.records, n, predictor.MinRecords)}
	}
	all, sources, err := bench.Records(ctx, records, options, count.phase("leaving out"))
	if err != nil {
		return err
	}
	count.finish()
	w := c.OutOrStdout()
	if o.format == "csv" {
		return writeLeftOutCSV(w, all, sources)
	}
	if err := writeLeftOut(w, "left out together", all); err != nil {
		return outputError{err}
	}
	if len(sources) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	if err := writeLeftOut(w, "source, left out", sources); err != nil {
		return outputError{err}
	}
	return nil
}

func writeLeftOut(w io.Writer, title string, rows []bench.LeftOut) error {
	header, align := []string{title, "groups", "n"}, "lrr"
	for _, f := range figures {
		header, align = append(header, f.name), align+"r"
	}
	t := report.NewTable(align+"r", append(header, "tau of MACs")...)
	for _, l := range rows {
		row := []string{l.What, strconv.Itoa(l.Groups)}
		if l.Missing != "" {
			t.Row(append(row, l.Missing)...)
			continue
		}
		row = append(row, strconv.Itoa(l.Quality.N))
		for _, f := range figures {
			row = append(row, f.format(f.of(&l.Quality)))
		}
		t.Row(append(row, thousandths(l.MACs))...)
	}
	return t.Write(w)
}

func writeLeftOutCSV(w io.Writer, all, sources []bench.LeftOut) error {
	header := []string{"left_out", "groups", "n"}
	for _, f := range figures {
		header = append(header, f.key)
	}
	rows := [][]string{append(header, "macs_kendall")}
	add := func(prefix string, of []bench.LeftOut) {
		for _, l := range of {
			if l.Missing != "" {
				continue
			}
			row := []string{prefix + l.What, strconv.Itoa(l.Groups), strconv.Itoa(l.Quality.N)}
			for _, f := range figures {
				row = append(row, decimal(f.of(&l.Quality)))
			}
			rows = append(rows, append(row, decimal(l.MACs)))
		}
	}
	add("", all)
	add("source ", sources)
	return writeCSV(w, rows)
}

// decimal writes a number with six significant digits.
func decimal(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func writeCSV(w io.Writer, rows [][]string) error {
	if err := csv.NewWriter(w).WriteAll(rows); err != nil {
		return outputError{err}
	}
	return nil
}

func (o *benchPredictorOptions) onTable(ctx context.Context, c *cobra.Command, count *counter) error {
	if o.training.space == "" {
		return hinted{usageError{errors.New("--table needs the --space that its networks are of")}, "configs/ has those of the tables that are known"}
	}
	options, _, err := o.training.kinds()
	if err != nil {
		return err
	}
	s := bench.PredictorSettings{
		Draws: o.draws, Seed: o.training.seed, Model: options.Model, Inputs: options.Inputs, Deviations: o.deviations,
		Progress: count.phase("training"),
	}
	if o.draws < 1 || o.draws > 1000 {
		return usageError{fmt.Errorf("--draws must be from 1 to 1000, found %d", o.draws)}
	}
	if !(o.deviations >= 0 && o.deviations <= 10) {
		return usageError{fmt.Errorf("--deviations must be from 0 to 10, found %v", o.deviations)}
	}
	for _, text := range o.train {
		n, err := strconv.Atoi(text)
		if text == "all" {
			n, err = 0, nil
		}
		if err != nil || n != 0 && n < predictor.MinRecords || n > predictor.MaxRecords {
			return usageError{fmt.Errorf("--train: %q must be a number from %d to %d, or all", text, predictor.MinRecords, predictor.MaxRecords)}
		}
		s.Train = append(s.Train, n)
	}
	if s.Space, err = openTemplate(o.training.space); err != nil {
		return err
	}
	plan, err := s.Space.Compile()
	if err != nil {
		return err
	}
	table, err := tabular.Read(o.table, plan)
	if err != nil {
		return err
	}
	results, err := bench.Predictors(ctx, table, s)
	if err != nil {
		return err
	}
	count.finish()
	if o.format == "csv" {
		return writeTrainedCSV(c.OutOrStdout(), results)
	}
	if err := writeTrained(c.OutOrStdout(), results); err != nil {
		return outputError{err}
	}
	return nil
}

func writeTrained(w io.Writer, results []bench.PredictorResult) error {
	t := report.NewTable("rrrrrrrrrrrrr", "trained", "held out", "draws", "tau", "Spearman", "RMSE", "MAE", "in 50 %", "in 90 %",
		"tau of MACs", "chosen", "optimism", "chosen in 90 %")
	for _, r := range results {
		q := &r.Quality
		t.Row(strconv.Itoa(r.Trained), strconv.Itoa(r.HeldOut), strconv.Itoa(r.Draws),
			thousandths(q.Kendall), thousandths(q.Spearman), points(q.RMSE), points(q.MAE), percent(q.Coverage50), percent(q.Coverage90),
			thousandths(r.MACs), fmt.Sprintf("%.1f", r.Chosen.Networks), points(r.Chosen.Optimism), percent(r.Chosen.Coverage))
	}
	return t.Write(w)
}

func writeTrainedCSV(w io.Writer, results []bench.PredictorResult) error {
	rows := [][]string{{
		"trained", "held_out", "draws", "kendall", "spearman", "rmse", "mae", "coverage50", "coverage90",
		"macs_kendall", "chosen", "optimism", "chosen_coverage",
	}}
	for _, r := range results {
		row := []string{strconv.Itoa(r.Trained), strconv.Itoa(r.HeldOut), strconv.Itoa(r.Draws)}
		q := &r.Quality
		for _, v := range []float64{
			q.Kendall, q.Spearman, q.RMSE, q.MAE, q.Coverage50, q.Coverage90, r.MACs,
			r.Chosen.Networks, r.Chosen.Optimism, r.Chosen.Coverage,
		} {
			row = append(row, decimal(v))
		}
		rows = append(rows, row)
	}
	return writeCSV(w, rows)
}
