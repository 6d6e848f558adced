package predictor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/efficientnas/nas/arch"
)

const (
	fileFormat  = "efficientnas predictor"
	fileVersion = 2
	maxFile     = 256 << 20 // bytes; MaxRecords take about 20 MiB, as many trees or pairs the rest
)

// envelope is a predictor's file. The checksum is of the predictor as compact
// JSON, so that it does not depend on white space.
type envelope struct {
	Format    string          `json:"format"`
	Version   int             `json:"version"`
	SHA256    string          `json:"sha256"`
	Predictor json.RawMessage `json:"predictor"`
}

// content is everything that a predictor is: what follows from it is computed
// on loading.
type content struct {
	Datasets []string        `json:"datasets"`
	Recipes  []string        `json:"recipes"`
	Usual    Training        `json:"usual"`
	Target   string          `json:"target"`
	Kinds    []Input         `json:"input_kinds"`
	Space    json.RawMessage `json:"space,omitempty"` // whose genes are inputs, as a space file
	Inputs   []string        `json:"inputs"`
	Summary  Summary         `json:"summary"`
	Single   float64         `json:"measurement_variance,omitempty"`
	Model    modelState      `json:"model"`
	Records  []rowOfFile     `json:"records"`
}

// rowOfFile is a record as the model sees it.
type rowOfFile struct {
	Name   string  `json:"name"`            // of the network
	Task   int     `json:"task"`            // index of the recipe
	Target float64 `json:"target"`          // log(1 - accuracy)
	Noise  float64 `json:"noise,omitempty"` // known variance of the target
	// Derived says that the target was not measured.
	Derived bool      `json:"derived,omitempty"`
	Inputs  []float64 `json:"inputs"`
}

const targetName = "log_error"

// Save writes the predictor as [Load] reads it. The same predictor gives the
// same bytes.
func (p *Predictor) Save(w io.Writer) error {
	c := content{
		Datasets: p.layout.datasets, Recipes: p.recipes, Usual: p.usual,
		Target: targetName, Kinds: p.layout.kinds, Inputs: p.layout.names,
		Summary: p.summary, Single: p.single, Model: p.model.state(), Records: p.rows,
	}
	var err error
	if p.layout.plan != nil {
		if c.Space, err = json.Marshal(p.layout.plan.Template()); err != nil {
			return fmt.Errorf("predictor: save: %w", err)
		}
	}
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("predictor: save: %w", err)
	}
	file, err := json.Marshal(envelope{fileFormat, fileVersion, checksum(body), body})
	if err != nil {
		return fmt.Errorf("predictor: save: %w", err)
	}
	_, err = w.Write(append(file, '\n'))
	return err
}

func checksum(compact []byte) string {
	sum := sha256.Sum256(compact)
	return hex.EncodeToString(sum[:])
}

// Load reads a predictor that [Predictor.Save] wrote. A file that is damaged,
// not a predictor's, or written by a newer version is an error that says which.
// The name of the file is for messages only.
func Load(file string, r io.Reader) (*Predictor, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	p, err := load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// Open returns the embedded predictor of the given name, which is "imagenet", or else
// loads the file at that path.
func Open(nameOrPath string) (*Predictor, error) {
	if nameOrPath == ImagenetName {
		return Imagenet()
	}
	f, err := os.Open(nameOrPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Load(nameOrPath, f)
}

func load(data []byte) (*Predictor, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d MiB, the most that is read", maxFile>>20)
	}
	// Format and version first, and leniently: a newer version may have other keys.
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || e.Format != fileFormat {
		if bytes.Contains(data[:min(len(data), 200)], []byte(fileFormat)) {
			return nil, fmt.Errorf("the predictor's file is damaged: it is no whole JSON object")
		}
		return nil, fmt.Errorf("not a predictor's file; \"nas predictor train\" writes them")
	}
	if e.Version > fileVersion {
		return nil, fmt.Errorf("the predictor was written by a newer version of nas (format %d; this one reads up to %d)", e.Version, fileVersion)
	}
	if e.Version == 1 {
		return nil, fmt.Errorf("the predictor was written by an older version of nas (format 1, this one reads %d); train it again", fileVersion)
	}
	if e.Version < 1 {
		return nil, fmt.Errorf("the predictor's file is damaged: version %d", e.Version)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, e.Predictor); err != nil || checksum(body.Bytes()) != e.SHA256 {
		return nil, fmt.Errorf("the predictor's file is damaged: its checksum does not match")
	}
	var c content
	d := json.NewDecoder(&body)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("the predictor's file is damaged: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Predictor{recipes: c.Recipes, usual: c.Usual, rows: c.Records, single: c.Single, summary: c.Summary}
	var err error
	if p.layout, err = c.layout(); err != nil {
		return nil, err
	}
	s := p.sample(nil)
	p.origin = s.origin
	if p.model, err = c.Model.load(s); err != nil {
		return nil, fmt.Errorf("the predictor's file contradicts itself: %w; train it again", err)
	}
	return p, nil
}

// layout returns the layout of the inputs, which must be those of the file.
func (c *content) layout() (*layout, error) {
	epochs := slices.Contains(c.Inputs, epochsInput)
	if epochs && c.Usual.Epochs == 0 {
		return nil, errContradiction
	}
	var space *arch.Template
	var err error
	if c.Space != nil {
		if space, err = arch.ParseTemplate("the space in the predictor's file", c.Space); err != nil {
			return nil, err
		}
	}
	l, err := newLayout(c.Kinds, space, c.Datasets, epochs)
	if err != nil {
		return nil, fmt.Errorf("the predictor's file contradicts itself: %w", err)
	}
	if !slices.Equal(c.Inputs, l.names) {
		return nil, fmt.Errorf("the predictor looks at other things than this version of nas computes (%s instead of %s); train it again",
			abbreviated(c.Inputs), abbreviated(l.names))
	}
	for _, r := range c.Records {
		if len(r.Inputs) != len(l.names) {
			return nil, errContradiction
		}
	}
	return l, nil
}

// abbreviated returns a list of names for a message.
func abbreviated(names []string) string {
	const most = 30
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

var errContradiction = errors.New("the predictor's file contradicts itself; train it again")

// check returns what of the content cannot be used. The checksum was right, so
// that it is somebody's doing, or of a version that was never released.
func (c *content) check() error {
	if c.Target != targetName {
		return fmt.Errorf("the predictor predicts %q; this version of nas knows %q", c.Target, targetName)
	}
	ok := len(c.Datasets) > 0 && slices.Contains(c.Datasets, c.Usual.Dataset) && len(c.Records) >= MinRecords &&
		len(c.Records) <= MaxRecords && slices.IsSorted(c.Recipes) && slices.Contains(c.Recipes, c.Usual.Recipe) &&
		c.Single >= 0 && c.Single < 1e6 && c.Usual.Epochs >= 0 && c.Usual.Epochs <= maxEpochs
	ok = ok && slices.ContainsFunc(c.Records, func(r rowOfFile) bool { return !r.Derived })
	for _, r := range c.Records {
		ok = ok && r.Task >= 0 && r.Task < len(c.Recipes) && r.Noise >= 0 && r.Noise < 1e6 &&
			r.Target <= 0 && r.Target >= math.Log(leastError)-1
		for _, v := range r.Inputs {
			ok = ok && math.Abs(v) < 1e6
		}
	}
	if !ok {
		return errContradiction
	}
	return nil
}
