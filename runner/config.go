package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/space"
)

// A Config is a study: what is searched, for what, within which bounds, judged
// by what, and how.
type Config struct {
	Name        string
	Space       *space.Space
	Objectives  []Objective
	Constraints []Constraint
	Precision   cost.Precision // widths at which bytes and energy count
	Accuracy    Accuracy
	Search      Search

	// The files as read, to be kept with the results. A configuration that names
	// a space file or a predictor's names the one beside it.
	source, spaceFile []byte
	// files are those that the configuration names, by the names that they have
	// beside the results, if they are not to be read from where it says.
	files map[string][]byte

	bounds map[string]space.Bounds // of every additive metric
}

// An Objective is a metric to be minimised or maximised.
type Objective struct {
	Metric    string
	Direction pareto.Direction
}

// A Constraint bounds a metric from below and above, both ends allowed.
type Constraint struct {
	Metric   string
	Min, Max float64 // -Inf and +Inf for none

	pos strict.Pos
}

// Search says how the space is explored, and when that ends.
type Search struct {
	Algorithm  string // one of [Algorithms]
	Population int    // networks that survive a generation; 0 for the algorithm's default
	// Offspring is how many networks are proposed at a time: those of a generation of
	// nsga2, of a batch of guided, and those that evolution and local count on being
	// under way. 0 for the algorithm's default.
	Offspring   int
	Evaluations int // networks to evaluate at most
	Seed        uint64
	// WarmStart is the predictor that guided begins with, as in Accuracy.Predictor,
	// by its default recipe; empty for none.
	WarmStart string
	Stop      Stop
	// Epsilon is the difference in each objective, in its unit, within which one
	// network on the front is enough, 0 for none; nil keeps the whole front.
	Epsilon []float64

	warmStartAt strict.Pos
}

// LeavesIdle reports whether trainings that could run at a time have to wait for each
// other, since the search proposes fewer networks at first. What it proposes does not
// depend on how many there are, so that the result does not.
func (c *Config) LeavesIdle() bool {
	t := c.Accuracy.Trials
	first, waits := firstOffspring[c.Search.Algorithm]
	return t != nil && waits && max(first, c.Search.Offspring) < t.Parallel
}

// firstOffspring is how many networks are proposed at a time at first, by those
// algorithms that need results to go on.
var firstOffspring = map[string]int{"nsga2": 1, "evolution": 1, "local": 1, "guided": 4, "guided_blind": 4}

// Stop says when a search ends before its evaluations are done.
type Stop struct {
	Hypervolume float64 // of the front, as [Progress] has it; 0 for never
	Unchanged   int     // evaluations in a row that leave the front as it is; 0 for never
}

// The ranges of the search's settings.
const (
	MaxEvaluations = 100_000_000
	MaxPopulation  = 100_000
)

// LoadConfig reads the run configuration at path. Every mistake in it is an
// error with its file, line and column: also constraints that no network of the
// space meets, alone or together, as far as that can be told within some seconds.
func LoadConfig(path string) (*Config, error) {
	c, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	if err := c.checkTrainer(); err != nil {
		return nil, err
	}
	if err := c.checkFeasible(); err != nil {
		return nil, err
	}
	return c, nil
}

// readConfig reads a configuration, whose constraints may be too much for any
// network.
func readConfig(path string) (*Config, error) {
	source, err := strict.ReadBytes(path)
	if err != nil {
		return nil, err
	}
	return parseConfig(path, source, nil)
}

// parseConfig reads a configuration that was read from path, with the files that
// it names, by name; nil for those that are on the disk.
func parseConfig(path string, source []byte, files map[string][]byte) (*Config, error) {
	node, err := strict.Parse(path, source)
	if err != nil {
		return nil, err
	}
	f := node.Fields("a run configuration")
	c := &Config{Name: f.Text("name", ""), source: source, files: files}
	for _, key := range []string{"name", "space", "objectives", "accuracy", "search"} {
		f.Require(key)
	}
	if n := f.Get("name"); n != nil && !plainName.MatchString(c.Name) {
		f.Fail(n.Errorf("\"name\" names a folder: at most 64 letters, digits, '.', '_' and '-', a letter or digit first; found %q", c.Name))
	}
	if n := f.Get("space"); n != nil {
		var file []byte
		c.Space, file, err = c.readSpace(n)
		f.Fail(err)
		if file != nil {
			c.spaceFile, c.source = file, renamed(c.source, n, spaceYAML)
		}
	}
	if n := f.Get("objectives"); n != nil {
		c.Objectives = objectives(f, n)
	}
	if n := f.Get("constraints"); n != nil {
		c.Constraints = constraints(f, n)
	}
	c.Precision = cost.FP32
	if n := f.Get("precision"); n != nil {
		g := n.Fields("precision")
		c.Precision = cost.Precision{
			Weights:     g.Int("weights", cost.FP32.Weights, 1, cost.MaxBits),
			Activations: g.Int("activations", cost.FP32.Activations, 1, cost.MaxBits),
		}
		f.Fail(g.Done())
	}
	if n := f.Get("accuracy"); n != nil {
		f.Fail(c.readAccuracy(n))
	}
	if n := f.Get("search"); n != nil {
		f.Fail(c.readSearch(n))
	}
	if err := f.Done(); err != nil {
		return nil, err
	}
	c.bounds = costBounds(c.Space, c.Precision)
	return c, nil
}

// predictorAt returns the predictor that the value of a key names, whose file, if
// it has one, is kept by the name beside the results.
func (c *Config) predictorAt(v *strict.Node, key, name string) (string, error) {
	switch {
	case v.Kind == strict.String && v.Text == "":
		return "", v.Errorf("%q is the name of an embedded predictor or the path of a saved one; found an empty string", key)
	case v.Text == predictor.ImagenetName:
		return v.Text, nil
	}
	c.source = renamed(c.source, v, name)
	return beside(v.File, v.Text), nil
}

// ownKeys says which algorithms know the keys of a search that others do not.
var ownKeys = []struct {
	key        string
	algorithms []string
}{
	{"population", []string{"nsga2", "islands", "evolution"}},
	{"offspring", []string{"nsga2", "evolution", "local", "guided", "guided_blind"}},
	{"warm_start", []string{"guided"}},
}

func (c *Config) readSearch(n *strict.Node) error {
	f := n.Fields("search")
	c.Search = Search{
		Algorithm:   f.Text("algorithm", "nsga2"),
		Population:  f.Int("population", 0, 2, MaxPopulation),
		Offspring:   f.Int("offspring", 0, 1, MaxPopulation),
		Evaluations: f.Int("evaluations", 100_000, 1, MaxEvaluations),
		Seed:        uint64(f.Int("seed", 1, 0, math.MaxInt)),
		WarmStart:   f.Text("warm_start", ""),
	}
	if known := Algorithms(); !slices.Contains(known, c.Search.Algorithm) {
		f.Fail(f.Get("algorithm").Errorf("search: %s", strict.Unknown("algorithm", c.Search.Algorithm, known)))
	}
	if v := f.Get("warm_start"); v != nil {
		c.Search.warmStartAt = v.Pos
		var err error
		c.Search.WarmStart, err = c.predictorAt(v, "warm_start", warmStartJSON)
		f.Fail(err)
	}
	for _, own := range ownKeys {
		if v := f.Get(own.key); v != nil && !slices.Contains(own.algorithms, c.Search.Algorithm) {
			f.Fail(v.Errorf("search: %s has no %q; it is a key of %s", c.Search.Algorithm, own.key, strings.Join(own.algorithms, " and ")))
		}
	}
	if v := f.Get("stop"); v != nil {
		f.Fail(c.Search.Stop.read(v))
	}
	if v := f.Get("epsilon"); v != nil {
		var err error
		c.Search.Epsilon, err = epsilon(v, c.Objectives)
		f.Fail(err)
	}
	return f.Done()
}

func (s *Stop) read(n *strict.Node) error {
	f := n.Fields("stop")
	s.Unchanged = f.Int("unchanged", 0, 1, MaxEvaluations)
	if v := f.Get("hypervolume"); v != nil {
		if s.Hypervolume = v.Float; !(s.Hypervolume > 0) { // as it is of what is no number
			f.Fail(v.Errorf("\"hypervolume\" must be a number greater than 0, found %s", v.Describe()))
		}
	}
	return f.Done()
}

// epsilon reads the differences in objectives that do not matter.
func epsilon(n *strict.Node, objectives []Objective) ([]float64, error) {
	f := n.Fields("epsilon")
	var list []float64
	for i, o := range objectives {
		v := f.Get(o.Metric)
		if v == nil {
			continue
		}
		if list == nil {
			list = make([]float64, len(objectives))
		}
		m := metricByName(o.Metric)
		least := 1. // of what is counted in whole numbers
		if m.unit == share {
			least = 1e-6
		}
		var err error
		if list[i], err = quantity(v, "epsilon", m); err == nil && list[i] < least {
			err = v.Errorf("the epsilon of %s must be at least %s, found %s", m.name, strconv.FormatFloat(least, 'f', -1, 64), v.Text)
		}
		f.Fail(err)
	}
	return list, f.Done()
}

// quantity reads a figure of a metric, 0 or more; what says in messages which.
func quantity(v *strict.Node, what string, m *metric) (float64, error) {
	if v.Kind != strict.Int && v.Kind != strict.Float && v.Kind != strict.String {
		return 0, v.Errorf("the %s of %s must be %s, found %s", what, m.name, m.unit.allowed(), v.Describe())
	}
	q, err := m.unit.parse(v.Text)
	switch {
	case err != nil:
	case q < 0:
		err = errors.New("it cannot be negative")
	case m.unit == share && q > 1:
		err = fmt.Errorf("%s is no %s", v.Text, m.unit.allowed()[2:])
	}
	if err != nil {
		return 0, v.Errorf("the %s of %s: %v", what, m.name, err)
	}
	return q, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// renamed returns source with the path in node n replaced by a name.
func renamed(source []byte, n *strict.Node, name string) []byte {
	lines := strings.SplitAfter(string(source), "\n")
	line := []rune(lines[n.Line-1]) // columns count characters
	before, after := string(line[:n.Column-1]), string(line[n.Column-1:])
	for _, quote := range []string{"", `"`, "'"} {
		if rest, ok := strings.CutPrefix(after, quote+n.Text+quote); ok {
			lines[n.Line-1] = before + quote + name + quote + rest
			break
		}
	}
	return []byte(strings.Join(lines, ""))
}

// beside returns the path that stands in the configuration file at config: it
// is relative to that file.
func beside(config, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	path = filepath.Join(filepath.Dir(config), path)
	if filepath.Base(path) == path { // never the name of something embedded
		path = "." + string(filepath.Separator) + path
	}
	return path
}

// readSpace reads an inline space, or the space file that is named. Of a file it
// also returns the content.
func (c *Config) readSpace(n *strict.Node) (*space.Space, []byte, error) {
	if n.Kind != strict.String {
		s, err := space.From(n)
		return s, nil, err
	}
	if n.Text == "" {
		return nil, nil, n.Errorf("\"space\" is a space, or the path of a space file; found an empty string")
	}
	path := beside(n.File, n.Text)
	data, kept := c.files[filepath.Base(path)]
	var err error
	if !kept {
		data, err = strict.ReadBytes(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, n.Errorf("the space file %s does not exist", path)
	}
	if err != nil {
		return nil, nil, n.Errorf("the space file: %v", err)
	}
	s, err := space.Parse(path, data)
	return s, data, err
}

func objectives(f *strict.Fields, n *strict.Node) []Objective {
	var list []Objective
	g := n.Fields("objectives")
	for _, key := range []string{"maximize", "minimize"} {
		names := g.Get(key)
		if names == nil {
			continue
		}
		if names.Kind != strict.List {
			g.Fail(names.Errorf("%q must be a list of metrics, found %s", key, names.Describe()))
			continue
		}
		for _, name := range names.Items {
			m := metricByName(name.Text)
			switch {
			case m == nil:
				g.Fail(name.Errorf("objectives: %s", strict.Unknown("metric", name.Text, metricNames())))
			case m.better.String() != key:
				g.Fail(name.Errorf("objectives: %s is a metric to %s", m.name, m.better))
			case slices.ContainsFunc(list, func(o Objective) bool { return o.Metric == m.name }):
				g.Fail(name.Errorf("objectives: %s stands twice", m.name))
			default:
				list = append(list, Objective{m.name, m.better})
			}
		}
	}
	if err := g.Done(); err != nil {
		f.Fail(err)
		return nil
	}
	switch {
	case !slices.ContainsFunc(list, func(o Objective) bool { return o.Metric == "accuracy" }):
		f.Fail(n.Errorf("objectives: accuracy must be among those to maximize"))
	case len(list) < 2:
		f.Fail(n.Errorf("objectives: name at least one metric to minimize beside accuracy, such as macs"))
	case len(list) > 3:
		f.Fail(n.Errorf("objectives: at most three objectives are supported, found %d", len(list)))
	}
	return list
}

func constraints(f *strict.Fields, n *strict.Node) []Constraint {
	var list []Constraint
	if n.Kind != strict.Map {
		f.Fail(n.Errorf("constraints must be a map of metrics and bounds, found %s", n.Describe()))
		return nil
	}
	bound := func(v *strict.Node, m *metric) float64 {
		b, err := quantity(v, "bound", m)
		f.Fail(err)
		return b
	}
	for i, key := range n.Keys {
		m := metricByName(key.Name)
		if m == nil {
			f.Fail(key.Errorf("constraints: %s", strict.Unknown("metric", key.Name, metricNames())))
			continue
		}
		c := Constraint{Metric: m.name, Min: math.Inf(-1), Max: math.Inf(1), pos: n.Items[i].Pos}
		v := n.Items[i]
		switch {
		case v.Kind == strict.Map:
			g := v.Fields("the bounds of " + m.name)
			if b := g.Get("min"); b != nil {
				c.Min = bound(b, m)
			}
			if b := g.Get("max"); b != nil {
				c.Max = bound(b, m)
			}
			f.Fail(g.Done())
			if c.Min > c.Max {
				f.Fail(v.Errorf("the bounds of %s: min is greater than max", m.name))
			}
		case m.better == pareto.Maximize:
			c.Min = bound(v, m)
		default:
			c.Max = bound(v, m)
		}
		list = append(list, c)
	}
	return list
}

// costBounds returns the least and the greatest value of every metric that is
// additive over layers, or follows from one that is.
func costBounds(s *space.Space, p cost.Precision) map[string]space.Bounds {
	var additive []*metric
	for i := range metrics {
		if metrics[i].additive {
			additive = append(additive, &metrics[i])
		}
	}
	list := s.Bounds(len(additive), func(g *arch.Graph, values []int64) {
		c := Costs{Cost: cost.Of(g)}
		for i, m := range additive {
			values[i] = m.of(&c)
		}
	})
	bounds := make(map[string]space.Bounds)
	for i, m := range additive {
		bounds[m.name] = list[i]
	}
	params := bounds["params"]
	bounds["weight_bytes"] = space.Bounds{Least: cost.Bytes(params.Least, p.Weights), Greatest: cost.Bytes(params.Greatest, p.Weights)}
	return bounds
}
