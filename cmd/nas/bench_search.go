package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/bench"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/tabular"
	"github.com/efficientnas/nas/report"
	"github.com/efficientnas/nas/runner"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

type benchSearchOptions struct {
	table, space         string
	algorithms           []string
	budgets              []int
	seeds, workers       int
	seed                 uint64
	objective, reference string
	format, plot         string
	warmStart            string
}

func newBenchSearchCommand() *cobra.Command {
	var o benchSearchOptions
	c := &cobra.Command{
		Use:   "search --table FILE --space FILE",
		Short: "How much of the best front searches find, and how soon",
		Long: `Bench search runs search algorithms on a tabular benchmark that has every
network of its space, as NAS-Bench-Macro has. So nothing is trained, and the true
front of error, in percent, and a cost is known. Each algorithm searches with
--seeds seeds, once up to the greatest budget. A network counts once, however
often and by whichever genome it is proposed.

Hypervolume is relative to the true front's, as a mean over the seeds with its
standard deviation. The p-value is that of the hypervolumes being like those of
the algorithm named first, by the two-sided test of Mann and Whitney. Of the front
is the share of the true front's points that were found.

Evaluations to 99 % is the median number of networks up to a hypervolume of 0.99.
Overhead is what the algorithm itself takes for each network that it proposes, in
microseconds. It is the one figure that differs from run to run.

--format csv has the columns algorithm, evaluations, seeds, hypervolume_mean,
hypervolume_sd, front_share_mean, p_value, evaluations_to_99, duplicates,
overhead_us. The last three are of all evaluations, and the same in every row of an
algorithm. hypervolume_sd is empty for a single seed, p_value for the first
algorithm, evaluations_to_99 where half of the seeds do not come so far.`,
		Example: `  nas bench search --table nas_bench_macro.csv.gz --space configs/nas_bench_macro.yaml --reference 15,90e6
  nas bench search --table nas_bench_macro.csv.gz --space configs/nas_bench_macro.yaml \
    --algorithms random,nsga2 --budgets 50,100,200 --seeds 10 --objective params --plot searches.svg`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return interruptible(c, func(ctx context.Context) error { return o.run(ctx, c) })
		},
	}
	f := c.Flags()
	f.StringVar(&o.table, "table", "", "tabular benchmark, plain or compressed with gzip")
	f.StringVar(&o.space, "space", "", "space of its networks: a space file or a run configuration")
	f.StringSliceVar(&o.algorithms, "algorithms", runner.Algorithms(), "search algorithms; the first is what the others are tested against")
	f.IntSliceVar(&o.budgets, "budgets", []int{50, 100, 200, 400, 800}, "numbers of evaluations to measure at")
	f.IntVar(&o.seeds, "seeds", 30, "searches by each algorithm")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the first search; the next have the next ones")
	f.StringVar(&o.warmStart, "warm-start", "", "predictor that guided begins with, an embedded one or a saved one (default none)")
	f.StringVar(&o.objective, "objective", "macs", "cost to minimise: macs or params")
	f.StringVar(&o.reference, "reference", "", "reference point of the hypervolume: error in percent, and cost (default the worst of the true front)")
	f.StringVar(&o.format, "format", "table", "table or csv")
	f.StringVar(&o.plot, "plot", "", "picture file to write, .svg or .png")
	f.IntVar(&o.workers, "workers", 0, "searches at a time (default one a core)")
	return c
}

func (o *benchSearchOptions) run(ctx context.Context, c *cobra.Command) error {
	reference, err := o.check()
	if err != nil {
		return err
	}
	config, err := runner.OpenSpace(o.space)
	if err != nil {
		return err
	}
	s := config.Space
	plan, err := s.Template().Compile()
	if err != nil {
		return err
	}
	table, err := tabular.Read(o.table, plan)
	if err != nil {
		return err
	}
	p, err := bench.NewProblem(table, s, bench.Cost(o.objective), reference)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", o.table, err)}
	}
	if most := slices.Max(o.budgets); most > p.Networks {
		return usageError{fmt.Errorf("--budgets: %d is more than the %s of the table", most, plural(p.Networks, "network"))}
	}
	var warm *runner.WarmStart
	if o.warmStart != "" {
		p, err := openPredictor(o.warmStart)
		if err != nil {
			return err
		}
		warm = &runner.WarmStart{Predictor: p}
	}
	var algorithms []bench.Algorithm
	for _, name := range o.algorithms {
		algorithms = append(algorithms, bench.Algorithm{Name: name, New: func(seed uint64) (search.Method[space.Genome], error) {
			return runner.NewMethod(name, s, bench.Directions(), runner.SearchOptions{
				Seed: seed, WarmStart: warm,
				Known: []runner.Known{{Offset: 100, Scale: -100}, {Cost: func(_ *arch.Network, g *arch.Graph) float64 {
					if bench.Cost(o.objective) == bench.Params {
						return float64(cost.Of(g).Params)
					}
					return float64(cost.Of(g).MACs)
				}}},
			})
		}})
	}
	count := newCounter(c.ErrOrStderr())
	defer count.finish()
	results, err := p.Search(ctx, algorithms, bench.SearchSettings{
		Budgets: o.budgets, Seeds: o.seeds, Seed: o.seed, Workers: o.workers, Progress: count.phase("searching"),
	})
	if err != nil {
		return err
	}
	count.finish()
	if o.format == "csv" {
		fmt.Fprintln(c.ErrOrStderr(), o.told(table, p))
		err = writeSearchesCSV(c.OutOrStdout(), results, o.seeds)
	} else {
		err = o.write(c.OutOrStdout(), table, p, results)
	}
	if err != nil || o.plot == "" {
		return err
	}
	return writePicture(o.plot, o.picture(table, p, results))
}

// check checks the flags and returns the reference point, nil for the default.
func (o *benchSearchOptions) check() (reference []float64, err error) {
	switch {
	case o.table == "":
		return nil, usageError{errors.New("--table is required")}
	case o.space == "":
		return nil, hinted{usageError{errors.New("--table needs the --space that its networks are of")}, "configs/ has those of the tables that are known"}
	}
	if err := oneOf("format", o.format, "table", "csv"); err != nil {
		return nil, err
	}
	if err := oneOf("objective", o.objective, string(bench.MACs), string(bench.Params)); err != nil {
		return nil, err
	}
	if len(o.algorithms) == 0 {
		return nil, usageError{errors.New("--algorithms names none")}
	}
	for i, name := range o.algorithms {
		if known := runner.Algorithms(); !slices.Contains(known, name) {
			return nil, usageError{fmt.Errorf("--algorithms: %s", strict.Unknown("algorithm", name, known))}
		}
		if slices.Contains(o.algorithms[:i], name) {
			return nil, usageError{fmt.Errorf("--algorithms: %s stands twice", name)}
		}
	}
	if len(o.budgets) == 0 {
		return nil, usageError{errors.New("--budgets names none")}
	}
	for _, n := range o.budgets {
		if n < 1 {
			return nil, usageError{fmt.Errorf("--budgets: each must be 1 or more, found %d", n)}
		}
	}
	slices.Sort(o.budgets)
	o.budgets = slices.Compact(o.budgets)
	const mostSeeds, mostWorkers = 10_000, 10_000
	if o.seeds < 1 || o.seeds > mostSeeds {
		return nil, usageError{fmt.Errorf("--seeds must be from 1 to %d, found %d", mostSeeds, o.seeds)}
	}
	if o.workers < 0 || o.workers > mostWorkers {
		return nil, usageError{fmt.Errorf("--workers must be from 0 to %d, found %d", mostWorkers, o.workers)}
	}
	if ext := filepath.Ext(o.plot); o.plot != "" && ext != ".svg" && ext != ".png" {
		return nil, usageError{fmt.Errorf("--plot %s: the name must end in .svg or .png", o.plot)}
	}
	if o.plot != "" && len(o.budgets) < 2 {
		return nil, usageError{errors.New("--plot draws lines, which take two --budgets or more")}
	}
	if o.reference == "" {
		return nil, nil
	}
	for _, text := range strings.Split(o.reference, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			reference = nil
			break
		}
		reference = append(reference, v)
	}
	if len(reference) != 2 {
		return nil, usageError{fmt.Errorf("--reference: %q must be an error in percent and a cost, such as 15,90e6", o.reference)}
	}
	return reference, nil
}

// told says in a line what is searched and what hypervolumes are relative to.
func (o *benchSearchOptions) told(t *tabular.Table, p *bench.Problem) string {
	which := ""
	if o.reference == "" {
		which = ", the worst of the front"
	}
	return fmt.Sprintf("%s: %s, %s on the true front of error and %s; reference point %s%s",
		t.Name, plural(p.Networks, "network"), thousands(int64(p.Front)), costWords[p.Cost], referenceWords(p), which)
}

var costWords = map[bench.Cost]string{bench.MACs: "MACs", bench.Params: "params"}

// referenceWords writes the reference point as people do, the cost in full.
func referenceWords(p *bench.Problem) string {
	c := p.Reference[1]
	text := strconv.FormatFloat(c, 'g', -1, 64)
	if c == math.Trunc(c) && c < 1e15 {
		text = thousands(int64(c))
	}
	return decimal(p.Reference[0]) + " %, " + text + " " + costWords[p.Cost]
}

func (o *benchSearchOptions) write(w io.Writer, table *tabular.Table, p *bench.Problem, results []bench.SearchResult) error {
	fmt.Fprintf(w, "%s\n\n", o.told(table, p))
	t := report.NewTable("lrrrrr", "algorithm", "evaluations", "hypervolume", "sd", "p-value", "of the front")
	for _, r := range results {
		for _, at := range r.At {
			significance := thousandths(at.P)
			if at.P < 0.001 {
				significance = "<0.001"
			}
			t.Row(r.Algorithm, strconv.Itoa(at.Evaluations), formatted("%.4f", at.Hypervolume), formatted("%.4f", at.SD),
				significance, percent(at.FrontShare)+" %")
		}
	}
	if err := t.Write(w); err != nil {
		return outputError{err}
	}
	fmt.Fprintln(w)
	t = report.NewTable("lrrr", "algorithm", "evaluations to 99 %", "duplicates", "overhead, us")
	for _, r := range results {
		to99 := ">" + strconv.Itoa(o.budgets[len(o.budgets)-1])
		if !math.IsInf(r.To99, 0) {
			to99 = decimal(r.To99)
		}
		t.Row(r.Algorithm, to99, strconv.Itoa(r.Duplicates), formatted("%.1f", microseconds(&r)))
	}
	if err := t.Write(w); err != nil {
		return outputError{err}
	}
	return nil
}

func microseconds(r *bench.SearchResult) float64 { return float64(r.Overhead.Nanoseconds()) / 1e3 }

func writeSearchesCSV(w io.Writer, results []bench.SearchResult, seeds int) error {
	rows := [][]string{{
		"algorithm", "evaluations", "seeds", "hypervolume_mean", "hypervolume_sd", "front_share_mean", "p_value",
		"evaluations_to_99", "duplicates", "overhead_us",
	}}
	known := func(v float64) string {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return ""
		}
		return decimal(v)
	}
	for _, r := range results {
		for _, at := range r.At {
			rows = append(rows, []string{
				r.Algorithm, strconv.Itoa(at.Evaluations), strconv.Itoa(seeds),
				known(at.Hypervolume), known(at.SD), known(at.FrontShare), known(at.P),
				known(r.To99), strconv.Itoa(r.Duplicates), decimal(microseconds(&r)),
			})
		}
	}
	return writeCSV(w, rows)
}

func (o *benchSearchOptions) picture(t *tabular.Table, p *bench.Problem, results []bench.SearchResult) picture {
	plot := &report.SearchCurvePlot{
		Title: fmt.Sprintf("Searches of %s, error against %s", t.Name, costWords[p.Cost]),
		Note:  fmt.Sprintf("Mean and standard deviation over %s. Reference point %s.", plural(o.seeds, "seed"), referenceWords(p)),
	}
	for _, r := range results {
		c := report.SearchCurve{Name: r.Algorithm}
		for _, at := range r.At {
			q := report.SearchPoint{Evaluations: at.Evaluations, Mean: min(1, at.Hypervolume)}
			if at.SD > 0 { // and is a number
				q.SD = at.SD
			}
			c.Points = append(c.Points, q)
		}
		plot.Curves = append(plot.Curves, c)
	}
	return plot
}

// writePicture writes a picture to a file, .svg or .png, whole or not at all.
func writePicture(path string, p picture) error {
	write := p.WriteSVG
	if filepath.Ext(path) == ".png" {
		write = p.WritePNG
	}
	var file bytes.Buffer
	if err := write(&file); err != nil {
		return err
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		return outputError{err}
	}
	return nil
}
