package runner

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/trainer"
	"github.com/efficientnas/nas/predictor"
)

// Accuracy says where a network's accuracy comes from: of Predictor, Table and
// Trials one is set.
type Accuracy struct {
	// Predictor is the name of an embedded predictor, "imagenet", or the path
	// of a saved one.
	Predictor string
	// Table is the path of a table of networks that were measured, and TableKey
	// which of its columns tells the network; empty for the one that is there.
	Table, TableKey string
	// Trials says how networks are trained; nil if they are not.
	Trials *Trials

	// Recipe is the training whose outcome is predicted, empty for the
	// predictor's default; of trials it is the name that their records are given.
	Recipe string
	// Dataset and Epochs are what the network is trained on and for how long. Of a
	// predictor that knows several, empty for its default.
	Dataset string
	Epochs  float64
	// Deviations is how many standard deviations are taken off a predicted
	// accuracy before networks are compared. With 0 a search finds the
	// predictor's errors rather than good networks. Default 1; 0 of what is measured.
	Deviations float64

	sourceAt, trainingAt strict.Pos
}

// Trials says how networks are trained to measure their accuracy.
type Trials struct {
	Command []string // the trainer; nil if workers have theirs
	NATS    string   // URL of the server that workers are at; empty to train here
	Queue   string   // of that server

	Parallel int           // trainings at a time
	Retries  int           // further attempts after a failure that may have been chance
	Timeout  time.Duration // of a training; 0 for none
	Grace    time.Duration // from SIGTERM to SIGKILL; 0 for the default
	Env      map[string]string
	Stopping *Stopping // nil: every training goes to its end
}

// Stopping is a rule for trainings that are not worth their end.
type Stopping struct {
	Rule      string // "median" or "halving"
	MinEpochs int    // that every training gets
	MinTrials int    // of median: others that a training is compared with
	Factor    int    // of halving: of so many one goes on
}

// The ranges of the settings of trials.
const (
	MaxParallel = 1024
	maxRetries  = 100
)

// source returns the key of the configuration that says where they come from.
func (a *Accuracy) source() string {
	switch {
	case a.Predictor != "":
		return "predictor"
	case a.Table != "":
		return "table"
	case a.Trials.NATS != "":
		return "nats"
	}
	return "command"
}

func (a *Accuracy) training() predictor.Training {
	return predictor.Training{Dataset: a.Dataset, Recipe: a.Recipe, Epochs: a.Epochs}
}

// A source is a key that says where accuracies come from, with the further keys
// that go with it.
type source struct {
	key     string
	further []string
	read    func(c *Config, f *strict.Fields, v *strict.Node) error
}

var sources = []source{
	{"predictor", []string{"recipe", "dataset", "epochs", "deviations"}, (*Config).readPredictor},
	{"table", []string{"key"}, (*Config).readTable},
	{"command", []string{"parallel", "timeout", "grace", "retries", "env", "epochs", "dataset", "recipe", "early_stopping"}, (*Config).readTrials},
	{"nats", []string{"queue", "parallel", "timeout", "retries", "epochs", "dataset", "recipe", "early_stopping"}, (*Config).readTrials},
}

func (c *Config) readAccuracy(n *strict.Node) error {
	f := n.Fields("accuracy")
	var named, known []string
	for _, s := range sources {
		for _, key := range append([]string{s.key}, s.further...) {
			if f.Get(key) != nil {
				named = append(named, key)
			}
		}
		known = append(known, strconv.Quote(s.key))
	}
	if err := f.Done(); err != nil { // what belongs to no source
		return err
	}
	at := slices.IndexFunc(sources, func(s source) bool { return slices.Contains(named, s.key) })
	if at < 0 {
		return n.Errorf("accuracy: say where it comes from, one of %s", strings.Join(known, ", "))
	}
	from := &sources[at]
	for _, key := range named {
		if key != from.key && !slices.Contains(from.further, key) {
			return f.Get(key).Errorf("accuracy: %q does not go with %q", key, from.key)
		}
	}
	v := f.Get(from.key)
	c.Accuracy = Accuracy{Recipe: f.Text("recipe", ""), Dataset: f.Text("dataset", ""), sourceAt: v.Pos, trainingAt: n.Pos}
	for _, key := range []string{"epochs", "dataset", "recipe"} {
		if v := f.Get(key); v != nil {
			c.Accuracy.trainingAt = v.Pos
		}
	}
	f.Fail(from.read(c, f, v))
	return f.Done()
}

// readPredictor reads accuracies that are predicted.
func (c *Config) readPredictor(f *strict.Fields, v *strict.Node) (err error) {
	c.Accuracy.Epochs = f.Float("epochs", 0, 0, 1e6)
	c.Accuracy.Deviations = f.Float("deviations", 1, 0, 10)
	f.Text("predictor", "") // for its kind
	c.Accuracy.Predictor, err = c.predictorAt(v, "predictor", predictorJSON)
	return err
}

// readTable reads accuracies that stand in a table. The configuration that is
// kept names it by its whole path: it may be too large to be copied.
func (c *Config) readTable(f *strict.Fields, v *strict.Node) (err error) {
	c.Accuracy.TableKey = f.Text("key", "")
	if f.Text("table", "") == "" {
		return v.Errorf("\"table\" is the path of a table, found %s", v.Describe())
	}
	if c.Accuracy.Table, err = filepath.Abs(beside(v.File, v.Text)); err != nil {
		return v.Errorf("the table: %v", err)
	}
	c.source = renamed(c.source, v, c.Accuracy.Table)
	return nil
}

// readTrials reads accuracies that trainings measure: of a command, or of workers
// at a server.
func (c *Config) readTrials(f *strict.Fields, v *strict.Node) (err error) {
	epochs := f.Int("epochs", 0, 1, 1e6)
	c.Accuracy.Epochs = float64(epochs)
	t := &Trials{
		Queue:    f.Text("queue", "default"),
		Parallel: f.Int("parallel", 1, 1, MaxParallel),
		Retries:  f.Int("retries", 1, 0, maxRetries),
	}
	c.Accuracy.Trials = t
	if t.Timeout, err = duration(f, "timeout"); err != nil {
		return err
	}
	if t.Grace, err = duration(f, "grace"); err != nil {
		return err
	}
	if e := f.Get("env"); e != nil {
		if t.Env, err = environment(e); err != nil {
			return err
		}
	}
	if s := f.Get("early_stopping"); s != nil {
		if t.Stopping, err = readStopping(s, epochs); err != nil {
			return err
		}
	}
	if f.Get("nats") != nil {
		if q := f.Get("queue"); q != nil && !queueName.MatchString(t.Queue) {
			return q.Errorf("accuracy: \"queue\" is at most 64 letters, digits, '_' and '-'; found %q", t.Queue)
		}
		t.NATS, err = natsURL(v)
		return err
	}
	t.Command, err = command(v)
	return err
}

// checkTrainer refuses a training command that cannot be run here.
func (c *Config) checkTrainer() error {
	if t := c.Accuracy.Trials; t != nil && t.NATS == "" {
		if err := t.trainer().Check(); err != nil {
			return c.Accuracy.sourceAt.Errorf("accuracy: %v", err)
		}
	}
	return nil
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// trainer returns the command of trials that are trained here.
func (t *Trials) trainer() *trainer.Command {
	return &trainer.Command{Args: t.Command, Env: t.Env, Timeout: t.Timeout, Grace: t.Grace}
}

// command reads a program and its arguments.
func command(v *strict.Node) ([]string, error) {
	if v.Kind != strict.List || len(v.Items) == 0 {
		return nil, v.Errorf("\"command\" must be a list of a program and its arguments, such as [python3, train.py], found %s", v.Describe())
	}
	var args []string
	for _, item := range v.Items {
		if item.Kind == strict.List || item.Kind == strict.Map || item.Kind == strict.Null {
			return nil, item.Errorf("\"command\": an argument must be a word, found %s", item.Describe())
		}
		args = append(args, item.Text)
	}
	return args, nil
}

// environment reads variables and their values.
func environment(n *strict.Node) (map[string]string, error) {
	if n.Kind != strict.Map {
		return nil, n.Errorf("\"env\" must be a map of variables and values, found %s", n.Describe())
	}
	env := make(map[string]string)
	for i, k := range n.Keys {
		v := n.Items[i]
		if v.Kind == strict.List || v.Kind == strict.Map || v.Kind == strict.Null {
			return nil, v.Errorf("env: the value of %s must be a word, found %s", k.Name, v.Describe())
		}
		env[k.Name] = v.Text
	}
	return env, nil
}

// duration reads a time such as 2h or 90s at key; 0 if it is not there.
func duration(f *strict.Fields, key string) (time.Duration, error) {
	v := f.Get(key)
	if v == nil {
		return 0, nil
	}
	d, err := time.ParseDuration(v.Text)
	if err != nil || v.Kind != strict.String || d <= 0 {
		return 0, v.Errorf("accuracy: %q must be a time greater than 0, such as 90s, 30m or 2h, found %s", key, v.Describe())
	}
	return d, nil
}

// natsURL reads where a server is. Names and secrets do not belong into a file
// that is kept with the results.
func natsURL(v *strict.Node) (string, error) {
	u, err := url.Parse(v.Text)
	if err != nil || v.Kind != strict.String || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return "", v.Errorf("accuracy: \"nats\" must be the URL of a server, such as nats://host:4222, found %s", v.Describe())
	}
	if u.User != nil {
		return "", v.Errorf("accuracy: the URL of the server must not hold a name or a secret, since it is kept with the results; see `nas run --help`")
	}
	return v.Text, nil
}

func readStopping(n *strict.Node, epochs int) (*Stopping, error) {
	f := n.Fields("early_stopping")
	f.Require("rule")
	s := &Stopping{
		Rule:      f.Text("rule", ""),
		MinEpochs: f.Int("min_epochs", 0, 0, 1e6),
		MinTrials: f.Int("min_trials", 0, 1, 1e6),
		Factor:    f.Int("factor", 0, 2, 1000),
	}
	rules := []string{"median", "halving"}
	if v := f.Get("rule"); v != nil && !slices.Contains(rules, s.Rule) {
		f.Fail(v.Errorf("early_stopping: %s", strict.Unknown("rule", s.Rule, rules)))
	}
	for _, own := range []struct{ key, rule string }{{"min_trials", "median"}, {"factor", "halving"}} {
		if v := f.Get(own.key); v != nil && s.Rule != own.rule {
			f.Fail(v.Errorf("early_stopping: %q is a key of the rule %q", own.key, own.rule))
		}
	}
	if err := f.Done(); err != nil {
		return nil, err
	}
	if _, err := s.rule(epochs); err != nil {
		return nil, n.Errorf("early_stopping: %v", err)
	}
	return s, nil
}

// A stopRule says of each line of progress whether its training is to end.
type stopRule interface {
	Stop(trial string, p trainer.Progress) bool
	Check() error
}

// rule returns the rule, for trainings of so many epochs, 0 if that is not known.
func (s *Stopping) rule(epochs int) (stopRule, error) {
	var r stopRule
	switch s.Rule {
	case "median":
		r = &trainer.Median{WarmupEpochs: s.MinEpochs, WarmupTrials: s.MinTrials}
	case "halving":
		r = &trainer.Halving{MinEpochs: s.MinEpochs, MaxEpochs: epochs, Reduction: s.Factor}
	default:
		return nil, fmt.Errorf("there is no rule %q", s.Rule)
	}
	return r, r.Check()
}

// workerName is what trials that are trained here have for a worker.
func workerName() string {
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "here"
}
