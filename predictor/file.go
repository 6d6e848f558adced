package predictor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

const (
	fileFormat  = "efficientnas predictor"
	fileVersion = 1
	maxFile     = 16 << 20 // bytes; MaxRecords take 1 MiB
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
	Dataset string      `json:"dataset"`
	Recipes []string    `json:"recipes"`
	Recipe  string      `json:"recipe"` // the default
	Target  string      `json:"target"`
	Inputs  []string    `json:"inputs"`
	Model   modelState  `json:"model"`
	Records []rowOfFile `json:"records"`
}

// rowOfFile is a record as the model sees it.
type rowOfFile struct {
	Name   string    `json:"name"`   // of the network
	Task   int       `json:"task"`   // index of the recipe
	Target float64   `json:"target"` // log(1 - accuracy)
	Inputs []float64 `json:"inputs"`
}

const targetName = "log_error"

// Save writes the predictor as [Load] reads it. The same predictor gives the
// same bytes.
func (p *Predictor) Save(w io.Writer) error {
	c := content{
		Dataset: p.dataset, Recipes: p.recipes, Recipe: p.recipe,
		Target: targetName, Inputs: FeatureNames(), Model: p.model.state(), Records: p.rows,
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
	p := &Predictor{dataset: c.Dataset, recipes: c.Recipes, recipe: c.Recipe, rows: c.Records}
	raw, origin := p.sample()
	p.origin = origin
	s, by := raw.standardised()
	var err error
	if p.model, err = newGP(c.Model.Hyper, s, by); err != nil {
		return nil, err
	}
	return p, nil
}

// check returns what of the content cannot be used. The checksum was right, so
// that it is somebody's doing, or of a version that was never released.
func (c *content) check() error {
	if !slices.Equal(c.Inputs, featureNames[:]) {
		return fmt.Errorf("the predictor reads other features of a network than this version of nas computes (%v instead of %v); train it again",
			c.Inputs, featureNames)
	}
	if c.Target != targetName || c.Model.Kind != kindGP {
		return fmt.Errorf("the predictor predicts %q by a model of the kind %q; this version of nas knows %q and %q",
			c.Target, c.Model.Kind, targetName, kindGP)
	}
	ok := c.Dataset != "" && len(c.Records) >= MinRecords && len(c.Records) <= MaxRecords && slices.IsSorted(c.Recipes) &&
		slices.Contains(c.Recipes, c.Recipe) && c.Model.Hyper.valid(NumFeatures)
	for _, r := range c.Records {
		ok = ok && r.Task >= 0 && r.Task < len(c.Recipes) && len(r.Inputs) == NumFeatures &&
			r.Target <= 0 && r.Target >= math.Log(leastError)-1
		for _, v := range r.Inputs {
			ok = ok && math.Abs(v) < 1e6
		}
	}
	if !ok {
		return fmt.Errorf("the predictor's file contradicts itself; train it again")
	}
	return nil
}
