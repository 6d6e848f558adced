package runner

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/studydb"
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
	trialsCSV     = "trials.csv"    // if networks are trained
	recordsJSONL  = "records.jsonl" // likewise
	partialDir    = ".partial"      // of files that are being written
)

// outputs lists them, study.db apart, in the order in which they are put in place: front.csv,
// by which results are known, comes last.
var outputs = []string{
	configYAML, spaceYAML, predictorJSON, warmStartJSON, historyCSV, exploredCSV, trialsCSV, recordsJSONL, architectures, plotSVG, plotPNG, frontJSON, runJSON, frontCSV,
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
	row := []string{
		m.ID, fraction(m.Accuracy), orEmpty(m.AccuracySD), m.Source,
		integer(m.Costs.MACs), integer(m.Costs.Params), integer(m.Costs.Activations),
		integer(m.Costs.WeightBytes), integer(m.Costs.PeakMemory),
	}
	for _, name := range further {
		row = append(row, integer(metricByName(name).of(&m.Costs)))
	}
	extrapolated := ""
	if m.Source == "predicted" {
		extrapolated = strconv.FormatBool(m.Extrapolated)
	}
	row = append(row, fraction(m.Bound), m.Nearest, extrapolated)
	return append(row, m.Genes...)
}

func integer(v int64) string { return strconv.FormatInt(v, 10) }

func fraction(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

// orEmpty returns a fraction, or nothing if it is not a number.
func orEmpty(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fraction(v)
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
	AccuracySD   *float64          `json:"accuracy_sd"` // null if it is not known
	Bound        float64           `json:"accuracy_bound"`
	Nearest      string            `json:"nearest_record,omitempty"`
	Extrapolated *bool             `json:"extrapolated,omitempty"` // of predictions
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
		var sd *float64
		if !math.IsNaN(m.AccuracySD) {
			sd = &m.AccuracySD
		}
		var extrapolated *bool
		if m.Source == "predicted" {
			extrapolated = &m.Extrapolated
		}
		list[i] = memberJSON{
			m.ID, m.Accuracy, sd, m.Bound, m.Nearest, extrapolated, m.Source,
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

// WriteTrialsCSV writes the networks that were trained, or are going to be, one a
// row, in order of proposal. What is not known, or is none, is empty.
func (r *Results) WriteTrialsCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	header := []string{"trial", "id", "state", "accuracy", "predicted_accuracy", "predicted_sd", "macs", "params", "attempts", "seconds", "worker", "error"}
	if err := c.Write(append(header, r.Run.Genes...)); err != nil {
		return err
	}
	for i := range r.Trials {
		t := &r.Trials[i]
		row := []string{strconv.Itoa(t.Number), t.ID, t.State, "", "", "", integer(t.Costs.MACs), integer(t.Costs.Params), strconv.Itoa(t.Attempts), "", t.Worker, t.Error}
		switch t.State {
		case "done":
			row[3] = fraction(t.Accuracy)
			fallthrough
		case "failed":
			row[9] = strconv.FormatFloat(t.Seconds, 'f', 2, 64)
		}
		if p := t.Predicted; p != nil {
			row[4], row[5] = fraction(p.Accuracy), fraction(p.SD)
		}
		if err := c.Write(append(row, t.Genes...)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// WriteRecords writes what was measured as records, from which a predictor can be
// trained. Trainings that were ended early have the epochs that they came to.
func (r *Results) WriteRecords(w io.Writer) error {
	var records []predictor.Record
	for i := range r.Trials {
		t := &r.Trials[i]
		if t.State != "done" {
			continue
		}
		n, err := arch.Parse(recordsJSONL, t.network)
		if err != nil {
			return err
		}
		epochs := r.Run.Epochs
		if t.stopped > 0 {
			if epochs == 0 {
				continue // nobody could tell that it was trained for less than the others
			}
			epochs = t.stopped
		}
		records = append(records, predictor.Record{
			Network: n, Accuracy: t.Accuracy, Dataset: cmp.Or(r.Run.Dataset, r.Run.Name), Recipe: cmp.Or(r.Run.Recipe, r.Run.Name),
			Epochs: epochs, Source: "nas, study " + r.Run.Name,
		})
	}
	return predictor.WriteRecords(w, records)
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

// Write puts all files of the results in place, front.csv, by which results are
// known, last. Files in the folder that are none of a run's stay. When the study
// has ended, the results that it replaces go.
func (s *Study) Write(r *Results) error {
	files := map[string]func(io.Writer) error{
		runJSON:     func(w io.Writer) error { return writeJSON(w, r.Run) },
		historyCSV:  r.writeHistory,
		exploredCSV: r.writeExplored,
		frontCSV:    r.WriteFrontCSV,
		frontJSON:   r.WriteFrontJSON,
	}
	if r.Trials != nil {
		files[trialsCSV], files[recordsJSONL] = r.WriteTrialsCSV, r.WriteRecords
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
	partial := s.path(partialDir)
	if err := os.RemoveAll(partial); err != nil { // of a process that was killed
		return err
	}
	if err := os.MkdirAll(filepath.Join(partial, architectures), 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(partial) // what is left of it, if something fails
	for name, write := range files {
		if err := writeFile(filepath.Join(partial, name), write); err != nil {
			return err
		}
	}
	for _, name := range outputs {
		from, to := filepath.Join(partial, name), s.path(name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue // an input, which is there already, or nothing to show
		}
		if err := errors.Join(os.RemoveAll(to), os.Rename(from, to)); err != nil {
			return err
		}
	}
	if s.ended == "" {
		return nil
	}
	return s.dropReplaced()
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

// ReadResults reads the results in a folder. Of a study that has not ended they are
// those so far, also while it runs. Of one that has, and trained no networks, they
// are without the history.
func ReadResults(dir string) (*Results, error) {
	_, err := os.Stat(filepath.Join(dir, studyDB))
	if err == nil {
		return readStudy(dir)
	}
	return readFiles(dir)
}

// readStudy reads the results of a study.
func readStudy(dir string) (*Results, error) {
	db, err := studydb.OpenRead(filepath.Join(dir, studyDB))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	c, kept, err := openConfig(dir, db)
	if err != nil {
		return nil, err
	}
	checkpoint, err := db.Checkpoint()
	if err != nil {
		return nil, err
	}
	if c.Accuracy.Trials == nil && checkpoint.Ended != "" {
		r, err := readFiles(dir) // which take less to read
		if err == nil && r.Run.Status == checkpoint.Ended {
			return r, nil
		} // else it was killed before they were written
	}
	x, err := newSession(c, Options{Force: kept.Force})
	if err != nil {
		return nil, err
	}
	if c.Accuracy.Trials != nil {
		return x.readTrials(filepath.Join(dir, studyDB), db)
	}
	r, err := readFiles(dir)
	if err == nil && r.Run.Evaluations >= checkpoint.Evaluations && checkpoint.Ended == "" { // it was interrupted after it was kept last
		return r, nil
	}
	if checkpoint.State == nil {
		return nil, strict.Pos{File: dir}.Errorf("the study has just begun: there is nothing to show yet")
	}
	return x.readCheckpoint(filepath.Join(dir, studyDB), checkpoint, db)
}

// readFiles reads the results from their files: all but the history.
func readFiles(dir string) (*Results, error) {
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
		m := Member{ID: j.ID, Network: n, Accuracy: j.Accuracy, AccuracySD: math.NaN(), Bound: j.Bound, Nearest: j.Nearest, Source: j.Source}
		if j.AccuracySD != nil {
			m.AccuracySD = *j.AccuracySD
		}
		m.Extrapolated = j.Extrapolated != nil && *j.Extrapolated
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
