package predictor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
)

// A Record is a network that somebody trained and measured.
type Record struct {
	Network  *arch.Network
	Accuracy float64 // top-1 accuracy on held-out images, a fraction of 1
	Dataset  string  // what it was trained and measured on, such as "imagenet"
	Recipe   string  // how it was trained; records of one recipe can be compared
	Source   string  // where the figure comes from
	// Epochs is for how many passes over the dataset the network was trained; 0
	// where nobody said. Of the records of a predictor, all say or none.
	Epochs float64
	// Derived says that the accuracy was not measured: another model, which
	// learnt from measurements that are not at hand, says so. A predictor learns
	// from such records, but they do not decide how much to believe what, and no figure of
	// its quality counts them.
	Derived bool

	at strict.Pos // where it was read
}

// errorf returns an error about the record, which names its place if it was read.
func (r *Record) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	switch {
	case r.at.Line == 0 && strings.HasPrefix(err.Error(), "predictor: "):
		return err
	case r.at.Line == 0:
		return fmt.Errorf("predictor: %w", err)
	}
	return r.at.Errorf("%s", strings.ReplaceAll(err.Error(), "predictor: ", ""))
}

// String returns which network was measured, and where that was read.
func (r *Record) String() string {
	name := r.Network.Name
	if name == "" {
		name = "a network without a name"
	}
	if r.at.Line > 0 {
		name += fmt.Sprintf(" (line %d)", r.at.Line)
	}
	return name
}

// check returns what is wrong with a record that was made in Go.
func (r *Record) check() error {
	switch {
	case r.Network == nil:
		return errors.New("no network")
	case !(r.Accuracy >= 0 && r.Accuracy <= 1):
		return fmt.Errorf("the accuracy must be from 0 to 1, found %v", r.Accuracy)
	case r.Dataset == "" || r.Recipe == "":
		return errors.New("no dataset or no recipe")
	case !(r.Epochs >= 0 && r.Epochs <= maxEpochs):
		return fmt.Errorf("the epochs must be from 0 to %d, found %v", maxEpochs, r.Epochs)
	}
	return nil
}

const maxEpochs = 1_000_000

// ReadRecords reads records, one JSON object a line:
//
//	{"architecture": {…}, "accuracy": 0.7322, "dataset": "imagenet", "recipe": "imgclsmob", "epochs": 200, "source": "…"}
//
// The architecture is what an architecture file says; epochs and source may be
// left out. A record that was not measured has "derived": true.
// Empty lines are skipped. Anything that is not understood, a network that
// cannot be built, and an accuracy that is not from 0 to 1 is an error with the
// file's name, line and column. The name of the file is for messages only.
func ReadRecords(file string, r io.Reader) ([]Record, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, strict.MaxBytes+2) // a longer line gets strict's message, or the scanner's
	var records []Record
	n := 1
	for ; lines.Scan(); n++ {
		line := lines.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		record, err := readRecord(file, line)
		if err != nil {
			return nil, atLine(err, n)
		}
		record.at = strict.Pos{File: file, Line: n, Column: 1}
		records = append(records, record)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, strict.Pos{File: file, Line: n, Column: 1}.Errorf("the line is longer than %d KiB, the most that is read", strict.MaxBytes>>10)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return records, nil
}

// readRecord reads one line. Its errors place it in line 1.
func readRecord(file string, line []byte) (Record, error) {
	// strict reads YAML too, which is more than the format allows.
	if err := json.Unmarshal(line, new(json.RawMessage)); err != nil {
		at := strict.Pos{File: file, Line: 1, Column: 1}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at.Column = max(1, int(syntax.Offset))
		}
		return Record{}, at.Errorf("not a JSON object, of which there is one a line: %v", err)
	}
	node, err := strict.Parse(file, line)
	if err != nil {
		return Record{}, err
	}
	f := node.Fields("a record")
	for _, key := range []string{"architecture", "accuracy", "dataset", "recipe"} {
		f.Require(key)
	}
	record := Record{
		Accuracy: f.Float("accuracy", 0, 0, 1),
		Dataset:  name(f, "dataset"),
		Recipe:   name(f, "recipe"),
		Source:   f.Text("source", ""),
		Epochs:   f.Float("epochs", 0, 0, maxEpochs),
		Derived:  f.Bool("derived", false),
	}
	architecture := f.Get("architecture")
	if err := f.Done(); err != nil {
		return Record{}, err
	}
	template, err := arch.TemplateFrom(architecture)
	if err != nil {
		return Record{}, err
	}
	record.Network, err = template.Network() // which builds it
	return record, err
}

// name reads a string that must not be empty.
func name(f *strict.Fields, key string) string {
	s := f.Text(key, "")
	if n := f.Get(key); n != nil && n.Kind == strict.String && s == "" {
		f.Fail(n.Errorf("%q must not be empty", key))
	}
	return s
}

// atLine moves a mistake from line 1 to the given one.
func atLine(err error, line int) error {
	var e *strict.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("line %d: %w", line, err)
	}
	pos := e.Pos
	pos.Line, pos.Column = line, max(pos.Column, 1)
	return &strict.Error{Pos: pos, Message: e.Message}
}

// WriteRecords writes records as [ReadRecords] reads them.
func WriteRecords(w io.Writer, records []Record) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for i := range records {
		r := &records[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("predictor: write record %d: %w", i+1, err)
		}
		line := struct {
			Architecture *arch.Network `json:"architecture"`
			Accuracy     float64       `json:"accuracy"`
			Dataset      string        `json:"dataset"`
			Recipe       string        `json:"recipe"`
			Epochs       float64       `json:"epochs,omitempty"`
			Source       string        `json:"source,omitempty"`
			Derived      bool          `json:"derived,omitempty"`
		}{r.Network, r.Accuracy, r.Dataset, r.Recipe, r.Epochs, r.Source, r.Derived}
		if err := e.Encode(line); err != nil {
			return fmt.Errorf("predictor: write record %d: %w", i+1, err)
		}
	}
	return b.Flush()
}
