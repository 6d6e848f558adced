package runner

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/predictor"
)

// The files of a results folder.
const (
	frontCSV      = "front.csv"
	frontJSON     = "front.json"
	historyCSV    = "history.csv"
	exploredCSV   = "explored.csv"
	runJSON       = "run.json"
	configYAML    = "config.yaml"
	spaceYAML     = "space.yaml"      // if the configuration names a space file
	predictorJSON = "predictor.json"  // if it names a predictor's file
	warmStartJSON = "warm_start.json" // if it names one to begin with
	plotSVG       = "pareto.svg"
	plotPNG       = "pareto.png"
	architectures = "architectures"
)

// outputs lists them in the order in which they are put in place: front.csv,
// by which results are known, comes last.
var outputs = []string{
	configYAML, spaceYAML, predictorJSON, warmStartJSON, runJSON, historyCSV, exploredCSV, architectures, plotSVG, plotPNG, frontJSON, frontCSV,
}

// columns are the columns of front.csv that do not depend on the study.
var columns = []string{
	"id", "accuracy", "accuracy_sd", "accuracy_source",
	"macs", "params", "activations", "weight_bytes", "peak_memory_bytes",
}

// predictionColumns follow them. The bound is what the front is of: the mean
// accuracy less the study's number of standard deviations. By it and the other
// objectives, no row dominates another.
var predictionColumns = []string{"accuracy_bound", "nearest_record", "extrapolated"}

// row returns a member's values of columns, the further metrics,
// predictionColumns and the genes.
func (m *Member) row(further []string) []string {
	integer := func(v int64) string { return strconv.FormatInt(v, 10) }
	fraction := func(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }
	row := []string{
		m.ID, fraction(m.Accuracy), fraction(m.AccuracySD), m.Source,
		integer(m.Costs.MACs), integer(m.Costs.Params), integer(m.Costs.Activations),
		integer(m.Costs.WeightBytes), integer(m.Costs.PeakMemory),
	}
	for _, name := range further {
		row = append(row, integer(metricByName(name).of(&m.Costs)))
	}
	row = append(row, fraction(m.Bound), m.Nearest, strconv.FormatBool(m.Extrapolated))
	return append(row, m.Genes...)
}

// further returns the objectives that are no column yet.
func (r *Results) further() []string {
	var names []string
	for _, name := range r.Run.Objectives {
		if name != "accuracy" && name != "peak_memory" && !slices.Contains(columns, name) {
			names = append(names, name)
		}
	}
	return names
}

// WriteFrontCSV writes the front as front.csv holds it: one network a row,
// sorted by the first minimised objective; plain numbers without units,
// accuracies as fractions of 1.
func (r *Results) WriteFrontCSV(w io.Writer) error {
	further := r.further()
	c := csv.NewWriter(w)
	if err := c.Write(slices.Concat(columns, further, predictionColumns, r.Run.Genes)); err != nil {
		return err
	}
	for i := range r.Front {
		if err := c.Write(r.Front[i].row(further)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// memberJSON is a member in front.json.
type memberJSON struct {
	ID           string            `json:"id"`
	Accuracy     float64           `json:"accuracy"`
	AccuracySD   float64           `json:"accuracy_sd"`
	Bound        float64           `json:"accuracy_bound"`
	Nearest      string            `json:"nearest_record"`
	Extrapolated bool              `json:"extrapolated"`
	Source       string            `json:"accuracy_source"`
	MACs         int64             `json:"macs"`
	FLOPs        int64             `json:"flops"`
	Params       int64             `json:"params"`
	Activations  int64             `json:"activations"`
	WeightBytes  int64             `json:"weight_bytes"`
	PeakMemory   int64             `json:"peak_memory_bytes"`
	Energy       int64             `json:"energy"` // picojoules
	Genes        map[string]string `json:"genes"`
	Architecture json.RawMessage   `json:"architecture"`
}

// WriteFrontJSON writes the front as front.json holds it: an array of objects.
func (r *Results) WriteFrontJSON(w io.Writer) error {
	list := make([]memberJSON, len(r.Front))
	for i := range r.Front {
		m := &r.Front[i]
		text, err := json.Marshal(m.Network)
		if err != nil {
			return err
		}
		genes := make(map[string]string)
		for j, word := range m.Genes {
			if word != "" {
				genes[r.Run.Genes[j]] = word
			}
		}
		list[i] = memberJSON{
			m.ID, m.Accuracy, m.AccuracySD, m.Bound, m.Nearest, m.Extrapolated, m.Source,
			m.Costs.MACs, m.Costs.FLOPs(), m.Costs.Params, m.Costs.Activations, m.Costs.WeightBytes, m.Costs.PeakMemory, m.Costs.Energy,
			genes, text,
		}
	}
	return writeJSON(w, list)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (r *Results) writeHistory(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "evaluations,hypervolume,front,best_accuracy,seconds")
	for _, h := range r.History {
		fmt.Fprintf(b, "%d,%.6g,%d,%.6f,%.2f\n", h.Evaluations, h.Hypervolume, h.Front, h.Best, h.Seconds)
	}
	return b.Flush()
}

func (r *Results) writeExplored(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "accuracy,macs,params,activations,weight_bytes,peak_memory_bytes,energy,block")
	for _, x := range r.Explored {
		fmt.Fprintf(b, "%.6f,%d,%d,%d,%d,%d,%d,%s\n", x.Accuracy, x.Costs.MACs, x.Costs.Params, x.Costs.Activations,
			x.Costs.WeightBytes, x.Costs.PeakMemory, x.Costs.Energy, x.Block)
	}
	return b.Flush()
}

// A Folder is a results folder that is being written. Everything goes into a
// folder beside it first, so that a failure leaves nothing half-written.
type Folder struct {
	path, partial string
	made          []string // parents that did not exist, the deepest first
}

// What stands in the way of a run's folder.
var (
	ErrInUse = errors.New("the folder holds results already")
	ErrBusy  = errors.New("another run writes there, or one was killed")
)

// NewFolder claims the folder at path for a run. It fails with [ErrInUse] if the
// folder holds results and force is not set, with [ErrBusy] if another run has
// claimed it, and always if it holds anything else than results.
func NewFolder(path string, force bool) (*Folder, error) {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == frontCSV }):
		if !force {
			return nil, fmt.Errorf("%s: %w", path, ErrInUse)
		}
	case len(entries) > 0:
		return nil, strict.Pos{File: path}.Errorf("the folder is not empty, and holds no results that could be replaced")
	}
	f := &Folder{path: filepath.Clean(path), partial: filepath.Clean(path) + ".partial"}
	for dir := filepath.Dir(f.partial); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		f.made = append(f.made, dir)
	}
	if err := os.MkdirAll(filepath.Dir(f.partial), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(f.partial, 0o755); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w; if none is running, remove that folder", f.partial, ErrBusy)
	} else if err != nil {
		return nil, err
	}
	return f, nil
}

// Discard gives the folder up without leaving a trace. After a Write it does
// nothing.
func (f *Folder) Discard() {
	os.RemoveAll(f.partial)
	for _, dir := range f.made {
		os.Remove(dir) // if it is empty
	}
}

// Write writes all files of the results and puts them in place. Files in the
// folder that are none of a run's stay. With an error nothing is left behind.
func (f *Folder) Write(c *Config, r *Results) (err error) {
	defer func() {
		if err != nil {
			f.Discard()
		}
	}()
	if err := os.Mkdir(filepath.Join(f.partial, architectures), 0o755); err != nil {
		return err
	}
	files := map[string]func(io.Writer) error{
		configYAML:  func(w io.Writer) error { _, err := w.Write(c.source); return err },
		runJSON:     func(w io.Writer) error { return writeJSON(w, r.Run) },
		historyCSV:  r.writeHistory,
		exploredCSV: r.writeExplored,
		frontCSV:    r.WriteFrontCSV,
		frontJSON:   r.WriteFrontJSON,
	}
	if c.spaceFile != nil {
		files[spaceYAML] = func(w io.Writer) error { _, err := w.Write(c.spaceFile); return err }
	}
	for name, predictorFile := range map[string]string{predictorJSON: c.Accuracy.Predictor, warmStartJSON: c.Search.WarmStart} {
		if predictorFile != predictor.ImagenetName && predictorFile != "" {
			files[name] = func(w io.Writer) error {
				from, err := os.Open(predictorFile)
				if err != nil {
					return err
				}
				defer from.Close()
				_, err = io.Copy(w, from)
				return err
			}
		}
	}
	for i := range r.Front {
		m := &r.Front[i]
		files[filepath.Join(architectures, m.ID+".yaml")] = func(w io.Writer) error {
			_, err := w.Write(m.Network.YAML())
			return err
		}
	}
	if len(r.Front) > 0 {
		plot, err := r.Plot("", "")
		if err != nil {
			return err
		}
		files[plotSVG], files[plotPNG] = plot.WriteSVG, plot.WritePNG
	}
	for name, write := range files {
		if err := writeFile(filepath.Join(f.partial, name), write); err != nil {
			return err
		}
	}
	return f.place()
}

func (f *Folder) place() error {
	info, err := os.Lstat(f.path)
	if err == nil && info.IsDir() {
		err = os.Remove(f.path) // an empty folder may stand there
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return os.Rename(f.partial, f.path)
	}
	for _, name := range outputs {
		from, to := filepath.Join(f.partial, name), filepath.Join(f.path, name)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(f.partial)
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ReadResults reads the results in a folder: all but the history.
func ReadResults(dir string) (*Results, error) {
	r := &Results{}
	if _, err := os.Stat(filepath.Join(dir, runJSON)); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, strict.Pos{File: dir}.Errorf("not a results folder: there is no %s in it", runJSON)
	}
	if err := readJSON(filepath.Join(dir, runJSON), &r.Run); err != nil {
		return nil, err
	}
	if err := r.Run.precision().Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, runJSON), err)
	}
	for _, name := range r.Run.Objectives {
		if metricByName(name) == nil {
			return nil, fmt.Errorf("%s: unknown objective %q", filepath.Join(dir, runJSON), name)
		}
	}
	var list []memberJSON
	costs := meter{precision: r.Run.precision()}
	if err := readJSON(filepath.Join(dir, frontJSON), &list); err != nil {
		return nil, err
	}
	for _, j := range list {
		n, err := arch.Parse(filepath.Join(dir, frontJSON), j.Architecture)
		if err != nil {
			return nil, err
		}
		m := Member{ID: j.ID, Network: n, Accuracy: j.Accuracy, AccuracySD: j.AccuracySD, Bound: j.Bound, Nearest: j.Nearest, Extrapolated: j.Extrapolated, Source: j.Source}
		if m.Costs, err = costs.costs(n); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", filepath.Join(dir, frontJSON), j.ID, err)
		}
		for _, gene := range r.Run.Genes {
			m.Genes = append(m.Genes, j.Genes[gene])
		}
		r.Front = append(r.Front, m)
	}
	var err error
	r.Explored, err = readExplored(filepath.Join(dir, exploredCSV))
	return r, err
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func readExplored(path string) ([]Explored, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var list []Explored
	for i, row := range rows {
		if i == 0 {
			continue
		}
		var x Explored
		var err [7]error
		if len(row) != 8 {
			return nil, fmt.Errorf("%s: line %d: %d columns instead of 8", path, i+1, len(row))
		}
		x.Accuracy, err[0] = strconv.ParseFloat(row[0], 64)
		for j, v := range []*int64{&x.Costs.MACs, &x.Costs.Params, &x.Costs.Activations, &x.Costs.WeightBytes, &x.Costs.PeakMemory, &x.Costs.Energy} {
			*v, err[1+j] = strconv.ParseInt(row[1+j], 10, 64)
		}
		if e := errors.Join(err[:]...); e != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, e)
		}
		x.Block = row[7]
		list = append(list, x)
	}
	return list, nil
}
