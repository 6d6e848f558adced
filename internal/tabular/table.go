package tabular

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
)

// MaxBytes is the largest table that is read, after decompression.
const MaxBytes = 64 << 20

// A Table is the networks of a benchmark, in the order of its file.
type Table struct {
	Name    string // "nas_bench_macro" or "accel_nasbench"
	Dataset string // what the networks were trained on: "cifar10" or "imagenet"
	Recipe  string // how: the benchmark's name, since each trained in its own way
	Rows    []Row
}

// A Row is a network of a table and what was measured of it.
type Row struct {
	Key      string        // in the table: real_arch of NAS-Bench-Macro, id of Accel-NASBench
	Genes    []uint16      // canonical, see [arch.Plan.Canonical]
	Network  *arch.Network // of these genes
	Accuracy float64       // top-1, a fraction of 1: the mean of what was measured
	Measured []float64     // top-1 of every training
	MACs     int64         // of package cost, and the same in the table
	Params   int64         // likewise
	Split    string        // "train" or "val"; empty in a table without
}

// Read reads the table at path, plain or compressed with gzip, whose networks
// are of the given plan.
func Read(path string, plan *arch.Plan) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(path, f, plan)
}

func read(file string, in io.Reader, plan *arch.Plan) (*Table, error) {
	r, err := newReader(file, in)
	if err != nil {
		return nil, err
	}
	f, err := r.format()
	if err != nil {
		return nil, err
	}
	decode, err := f.decoder(plan)
	if err != nil {
		return nil, err
	}
	t := &Table{Name: f.name, Dataset: f.dataset, Recipe: f.name}
	var lines []int                 // of the rows
	byGenes := make(map[string]int) // index of the row
	byKey := make(map[string]int)
	var graph arch.Graph
	for r.next() {
		row := Row{Genes: make([]uint16, len(plan.Slots)), Network: new(arch.Network)}
		decode(r, &row)
		r.cost(f, &row, &graph)
		genes := fmt.Sprint(row.Genes)
		same, again := byGenes[genes]
		_, taken := byKey[row.Key]
		switch {
		case again && (t.Rows[same].Key != row.Key || t.Rows[same].Split != row.Split || !slices.Equal(t.Rows[same].Measured, row.Measured)):
			r.fail(f.columns[0], "this is the network of line %d, but with another key, split or accuracy", lines[same])
		case !again && taken:
			r.fail(f.columns[0], "%q stands for the network of line %d already", row.Key, lines[byKey[row.Key]])
		}
		if r.err == nil && !again {
			byGenes[genes], byKey[row.Key] = len(t.Rows), len(t.Rows)
			t.Rows, lines = append(t.Rows, row), append(lines, r.line)
		}
	}
	if r.err == nil && len(t.Rows) == 0 {
		r.err = strict.Pos{File: file}.Errorf("the table has no rows")
	}
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

// cost sets the row's costs to those of its network, which must be what the
// table counts.
func (r *reader) cost(f *format, row *Row, graph *arch.Graph) {
	if r.err != nil {
		return
	}
	if err := row.Network.Lower(graph); err != nil {
		r.fail(f.columns[0], "the network cannot be built: %v", err)
		return
	}
	c := cost.Of(graph)
	row.MACs, row.Params = c.MACs, c.Params
	r.same(f.macs, "MACs", c.MACs)
	r.same("params", "parameters", c.Params)
}

// same checks that a column has the count of the row's network.
func (r *reader) same(column, what string, counted int64) {
	if listed := r.integer(column); listed != counted {
		r.fail(column, "the network has %d %s, found %d", counted, what, listed)
	}
}

// A reader reads a table line by line. The first mistake stays in err.
type reader struct {
	file   string
	csv    *csv.Reader
	fields []string
	line   int
	index  map[string]int // of the columns, by name
	err    error
}

func newReader(file string, in io.Reader) (*reader, error) {
	b := bufio.NewReader(in)
	in = b
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, strict.Pos{File: file}.Errorf("%v", err)
		}
		in = z
	}
	c := csv.NewReader(&limited{in, MaxBytes})
	c.ReuseRecord = true
	return &reader{file: file, csv: c, index: make(map[string]int)}, nil
}

// next reads a line into fields, and reports whether there is one.
func (r *reader) next() bool {
	if r.err != nil {
		return false
	}
	fields, err := r.csv.Read()
	if err == io.EOF {
		return false
	}
	if err != nil {
		r.err = r.mistake(err)
		return false
	}
	r.fields = fields
	r.line, _ = r.csv.FieldPos(0)
	return true
}

// mistake turns an error of reading into one that says where it is.
func (r *reader) mistake(err error) error {
	var parse *csv.ParseError
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed):
		return err // not the table's fault
	case errors.Is(err, csv.ErrFieldCount) && errors.As(err, &parse):
		return strict.Pos{File: r.file, Line: parse.StartLine, Column: 1}.Errorf("the header has %d columns, this line has not", len(r.index))
	case errors.As(err, &parse):
		return strict.Pos{File: r.file, Line: parse.Line, Column: max(parse.Column, 1)}.Errorf("%v", parse.Err)
	}
	return strict.Pos{File: r.file}.Errorf("%v", err)
}

// format reads the header and returns the format that it is of.
func (r *reader) format() (*format, error) {
	if !r.next() {
		if r.err == nil {
			r.err = strict.Pos{File: r.file}.Errorf("the table is empty")
		}
		return nil, r.err
	}
	for i, name := range r.fields {
		if _, twice := r.index[name]; twice {
			line, column := r.csv.FieldPos(i)
			return nil, strict.Pos{File: r.file, Line: line, Column: column}.Errorf("the column %q stands twice", name)
		}
		r.index[name] = i
	}
	var known []string
	for i := range formats {
		f := &formats[i]
		if !slices.ContainsFunc(f.columns, func(name string) bool { _, ok := r.index[name]; return !ok }) {
			return f, nil
		}
		known = append(known, f.name+" with "+strings.Join(f.columns, ", "))
	}
	header := strings.Join(r.fields, ", ")
	if len(header) > 200 {
		header = header[:200] + "..."
	}
	return nil, strict.Pos{File: r.file, Line: r.line, Column: 1}.Errorf("unknown table with the columns %q; known are %s", header, strings.Join(known, "; "))
}

// fail records a mistake in the named column of the line, unless there was one
// before.
func (r *reader) fail(column, format string, args ...any) {
	if r.err == nil {
		line, at := r.csv.FieldPos(r.index[column])
		r.err = strict.Pos{File: r.file, Line: line, Column: at}.Errorf(format, args...)
	}
}

func (r *reader) text(column string) string { return r.fields[r.index[column]] }

// integer reads a count.
func (r *reader) integer(column string) int64 {
	v, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil || v < 0 {
		r.fail(column, "%q must be a count, found %q", column, r.text(column))
	}
	return v
}

// accuracy reads an accuracy in percent and returns it as a fraction of 1.
func (r *reader) accuracy(column string) float64 {
	v, err := strconv.ParseFloat(r.text(column), 64)
	if err != nil {
		r.fail(column, "%q must be a number, found %q", column, r.text(column))
	} else if !(v >= 0 && v <= 100) { // so, not a number is refused too
		r.fail(column, "%q must be from 0 to 100 %%, found %s", column, r.text(column))
	}
	return v / 100
}

// digits reads a digit for each stage, such as "0120".
func (r *reader) digits(column string, stages int) []byte {
	text := r.text(column)
	if len(text) != stages || strings.Trim(text, "0123456789") != "" {
		r.fail(column, "%q must have a digit for each of the %d stages, found %q", column, stages, text)
		return nil
	}
	return []byte(text)
}

// limited is a reader that fails when there is more than left bytes.
type limited struct {
	in   io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, fmt.Errorf("the table is larger than %d MiB, the most that is read", MaxBytes>>20)
	}
	n, err := l.in.Read(p[:min(len(p), l.left+1)])
	l.left -= n
	return n, err
}
