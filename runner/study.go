package runner

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// Options are what a run needs beyond its configuration. The zero value runs on
// all cores and is silent.
type Options struct {
	Workers int            // evaluations at a time; 0 means one a core
	Observe func(Progress) // called after every batch; may be nil
	Force   bool           // search also by a predictor that ranks no better than MACs do
	NATS    NATS           // how to reach the server of a study whose networks are trained by workers
}

// NATS says who one is at a NATS server, or how to be one. What is empty is left
// to the server. At most one of User, Token, NKey and Creds is set.
type NATS struct {
	URL            string // instead of the configuration's
	User, Password string
	Token          string
	NKey           string // file with the seed of an nkey
	Creds          string // file with credentials
	CA             string // file with the certificates that the server's is checked with
	Cert, Key      string // files of one's own certificate and its key

	// Embedded is the address, host:port, at which this process is to be the server
	// itself; empty for the server that the configuration names. On a loopback address
	// without a user or a token, the server makes a token.
	Embedded string
	// Log is told what happens to the connection; nil for nobody.
	Log *slog.Logger
	// Serving is called when the embedded server is ready, with its URL and the file
	// of the token that it has made, if it has; nil for nobody.
	Serving func(url, tokenFile string)
}

// Progress is how far a run had come when a batch of networks was evaluated.
type Progress struct {
	Evaluations int // networks evaluated so far, those beyond a bound too
	Total       int // networks to evaluate, if nothing ends the run before
	Before      int // of Evaluations, those that Seconds is not of: networks trained before an interruption
	Front       int // networks on the front
	// Hypervolume is what the front dominates, in the product of the objectives'
	// units: of accuracies' lower bounds as fractions of 1, and of each cost below
	// its upper constraint; where there is none, below the greatest in the space,
	// or 4 GB of peak memory and 4 J, whose greatest are not known.
	Hypervolume float64
	Best        float64 // greatest accuracy on the front, a fraction of 1; 0 if it is empty
	Seconds     float64 // since the search began
}

// Results are what a run found.
type Results struct {
	Run      RunInfo
	Front    []Member   // sorted by the first minimised objective
	Trials   []Trial    // networks that were trained, in order of proposal; nil if none are
	History  []Progress // after every batch, in order
	Explored []Explored // a sample of the networks within the bounds
}

// RunInfo says how results came about.
type RunInfo struct {
	Name        string   `json:"name"`
	Objectives  []string `json:"objectives"` // metrics, in the order of the configuration
	Algorithm   string   `json:"algorithm"`
	Seed        uint64   `json:"seed"`
	Evaluations int      `json:"evaluations"`
	Infeasible  int      `json:"infeasible"`      // of them, beyond a bound
	Failed      int      `json:"failed"`          // of them, not built
	Status      string   `json:"status"`          // why the search ended
	SpaceSize   string   `json:"space_size"`      // distinct networks in the space
	Source      string   `json:"accuracy_source"` // predictor, table, command or nats
	Predictor   string   `json:"predictor,omitempty"`
	Recipe      string   `json:"recipe,omitempty"`
	Dataset     string   `json:"dataset,omitempty"`
	Epochs      float64  `json:"epochs,omitempty"`
	Deviations  float64  `json:"deviations"`
	WeightBits  int      `json:"weight_bits"` // at which bytes and energy count
	ActBits     int      `json:"activation_bits"`
	Ranking     *Ranking `json:"ranking,omitempty"` // of guided trials
	Genes       []string `json:"genes"`             // names, in the order of Member.Genes
}

func (r *RunInfo) precision() cost.Precision {
	return cost.Precision{Weights: r.WeightBits, Activations: r.ActBits}
}

// A Member is a network of the front.
type Member struct {
	ID         string // of the architecture: equal networks have equal IDs
	Network    *arch.Network
	Accuracy   float64 // mean, a fraction of 1
	AccuracySD float64 // NaN if it is not known
	Bound      float64 // lower confidence bound: what the front is of
	// Nearest names the network among the predictor's records that is most like
	// this one; Extrapolated says that it is not much like it.
	Nearest      string
	Extrapolated bool
	Source       string // "predicted" or "measured"
	Costs        Costs
	Genes        []string // options in words; empty for inactive genes
}

// Explored is a network that was evaluated and is within the bounds.
type Explored struct {
	Costs    Costs
	Accuracy float64
	Block    string // the block type with most MACs
}

// Run searches, and keeps nothing but what it returns: see [Create] for a study
// that can be resumed, and for one that trains networks, which needs that.
//
// It ends when the evaluations are done, when the space is exhausted, when the front
// is as good as the configuration asks or has not changed for as long as it says, or
// when ctx is done. Results.Run.Status tells which; an interruption is no error. It
// fails if no network met all constraints. The same configuration gives the same
// results for any number of workers.
func Run(ctx context.Context, c *Config, o Options) (*Results, error) {
	s, err := newSession(c, o)
	if err != nil {
		return nil, err
	}
	if c.Accuracy.Trials != nil {
		return nil, errors.New("runner: a study that trains networks needs a folder to keep them in")
	}
	result, err := search.Run(ctx, s.method, s.evaluator, s.settings())
	if err != nil {
		return nil, err
	}
	return s.results(result, result.Status.String())
}

// A session is one run of a study: from its beginning, or from where it was
// interrupted, until it ends or is interrupted.
type session struct {
	config    *Config
	options   Options
	total     int                  // networks to evaluate at most
	predictor *predictor.Predictor // nil unless accuracies are predicted
	evaluator *evaluator
	method    search.Method[space.Genome]
	guide     *guide // nil unless the search is guided

	earlier []search.Outcome[space.Genome] // trials of earlier sessions
	history []Progress
	begin   time.Time
	before  float64 // seconds of earlier sessions
}

func newSession(c *Config, o Options) (*session, error) {
	s := &session{config: c, options: o, total: c.Search.Evaluations, begin: time.Now()}
	if n := c.Space.Size(); n.IsInt64() {
		s.total = int(min(int64(s.total), n.Int64()))
	}
	newJudge, err := s.openSource()
	if err != nil {
		return nil, err
	}
	s.evaluator = newEvaluator(c, newJudge, s.total)
	if s.method, err = c.method(s.evaluator); err != nil {
		return nil, err
	}
	if g, ok := s.method.(*guided); ok {
		s.guide = g.guide
	}
	return s, nil
}

// openSource opens what accuracies come from, and returns what makes judges of it,
// nil if candidates are trained.
func (s *session) openSource() (func() judge, error) {
	a := &s.config.Accuracy
	switch {
	case a.Trials != nil:
		return nil, nil
	case a.Table != "":
		return a.openTable(s.config.Space)
	}
	p, err := s.config.openPredictor("accuracy", a.Predictor, a.sourceAt)
	if err != nil {
		return nil, err
	}
	if q := p.Summary(); !q.Beats() && !s.options.Force {
		return nil, a.sourceAt.Errorf("accuracy: the predictor %q ranks its own records no better than their MACs alone do "+
			"(Kendall's tau %.3f against %.3f), so that a search would follow its mistakes; train it on more records, or use --force",
			a.Predictor, q.Kendall, q.MACs)
	}
	if _, err := p.Batch(a.training()); err != nil {
		return nil, a.trainingAt.Errorf("accuracy: %v", err)
	}
	s.predictor = p
	return func() judge {
		batch, _ := p.Batch(a.training()) // which was tried above
		return predicts{batch}
	}, nil
}

// settings returns those of the search.
func (s *session) settings() search.Settings[space.Genome] {
	c := s.config
	return search.Settings[space.Genome]{
		Evaluations: c.Search.Evaluations,
		Target:      c.Search.Stop.Hypervolume,
		Stagnation:  c.Search.Stop.Unchanged,
		Workers:     s.options.Workers,
		Reference:   s.evaluator.reference(),
		Epsilon:     c.Search.Epsilon,
		Recorder:    s.record,
	}
}

// record keeps the history of the search, and shows it.
func (s *session) record(p search.Progress[space.Genome]) error {
	if p.Screened {
		return nil // nothing was evaluated
	}
	now := Progress{
		Evaluations: p.Evaluations,
		Total:       s.total,
		Before:      len(s.earlier),
		Front:       p.FrontSize,
		Hypervolume: p.Hypervolume,
		Seconds:     s.seconds(),
	}
	if s.config.Accuracy.Trials != nil {
		now.Best = s.best(p.Batch)
	} else {
		front := p.Front()
		s.evaluator.keep(front)
		now.Best = s.evaluator.best(front)
	}
	s.history = append(s.history, now)
	if s.options.Observe != nil {
		s.options.Observe(now)
	}
	return nil
}

// best returns the greatest accuracy of trials so far, of which these are the last.
// It is that of the front's best, which nothing dominates.
func (s *session) best(batch []search.Outcome[space.Genome]) float64 {
	if n := len(s.history); n > 0 {
		return max(s.history[n-1].Best, s.evaluator.best(feasible(batch)))
	}
	return s.evaluator.best(feasible(slices.Concat(s.earlier, batch)))
}

// feasible returns the outcomes that can be on a front.
func feasible(outcomes []search.Outcome[space.Genome]) []search.Outcome[space.Genome] {
	return slices.DeleteFunc(slices.Clone(outcomes), func(o search.Outcome[space.Genome]) bool { return o.Err != nil || o.Violation > 0 })
}

// seconds returns for how long the study has been searching.
func (s *session) seconds() float64 { return s.before + time.Since(s.begin).Seconds() }

// results returns what a search has found that ended for the reason status.
func (s *session) results(result search.Result[space.Genome], status string) (*Results, error) {
	if err := s.evaluator.found(result); err != nil {
		return nil, err
	}
	r := &Results{Run: s.info(result.Counts, status), History: s.history}
	for _, x := range s.evaluator.explored {
		if x.Block != "" {
			r.Explored = append(r.Explored, x)
		}
	}
	for _, outcome := range result.Front {
		m, err := s.member(outcome.Genome, s.evaluator.estimates[outcome.ID])
		if err != nil {
			return nil, err
		}
		r.Front = append(r.Front, m)
	}
	return r, nil
}

// method returns the configuration's search method, for candidates that e is to
// evaluate.
func (c *Config) method(e *evaluator) (search.Method[space.Genome], error) {
	var directions []pareto.Direction
	for _, objective := range c.Objectives {
		directions = append(directions, objective.Direction)
	}
	var warm *WarmStart
	if s := &c.Search; s.WarmStart != "" {
		p, err := c.openPredictor("warm_start", s.WarmStart, s.warmStartAt)
		if err != nil {
			return nil, err
		}
		warm = &WarmStart{Predictor: p}
	}
	return NewMethod(c.Search.Algorithm, c.Space, directions, SearchOptions{
		Seed: c.Search.Seed, Population: c.Search.Population, Offspring: c.Search.Offspring,
		MACs: c.within("macs"), WarmStart: warm,
		Known: e.known(), Violation: e.knownViolation,
	})
}

// within returns the values of a metric that the constraints allow, or nil if
// they allow all.
func (c *Config) within(metric string) *space.Interval {
	for _, k := range c.Constraints {
		if k.Metric == metric {
			in := space.Interval{Lo: int64(math.Ceil(max(0, k.Min))), Hi: math.MaxInt64}
			if k.Max < math.MaxInt64 {
				in.Hi = int64(k.Max)
			}
			return &in
		}
	}
	return nil
}

// found fails if the front is empty.
func (e *evaluator) found(result search.Result[space.Genome]) error {
	switch {
	case len(result.Front) > 0:
		return nil
	case result.Status == search.Interrupted:
		return fmt.Errorf("interrupted after %d evaluations, before any network met all constraints", result.Evaluations)
	}
	failed := "could not be built"
	if e.config.Accuracy.Table != "" {
		failed = "not in the table"
	}
	return fmt.Errorf("none of %d networks met all constraints (beyond a bound: %s; %s: %d); loosen a bound or search longer",
		result.Evaluations, cmp.Or(e.obstacles(), "none"), failed, result.Failed)
}

// info says how a result came about.
func (s *session) info(counts search.Counts, status string) RunInfo {
	c := s.config
	info := RunInfo{
		Name:        c.Name,
		Algorithm:   c.Search.Algorithm,
		Seed:        c.Search.Seed,
		Evaluations: counts.Evaluations,
		Infeasible:  counts.Infeasible,
		Failed:      counts.Failed,
		Status:      status,
		SpaceSize:   c.Space.Size().String(),
		Source:      c.Accuracy.source(),
		Predictor:   c.Accuracy.Predictor,
		Recipe:      c.Accuracy.Recipe,
		Dataset:     c.Accuracy.Dataset,
		Epochs:      c.Accuracy.Epochs,
		Deviations:  c.Accuracy.Deviations,
		WeightBits:  c.Precision.Weights,
		ActBits:     c.Precision.Activations,
	}
	if s.predictor != nil {
		usual := s.predictor.Usual()
		info.Recipe, info.Dataset = cmp.Or(info.Recipe, usual.Recipe), cmp.Or(info.Dataset, usual.Dataset)
		info.Epochs = cmp.Or(info.Epochs, usual.Epochs)
	}
	for _, objective := range c.Objectives {
		info.Objectives = append(info.Objectives, objective.Metric)
	}
	for _, gene := range c.Space.Genes() {
		info.Genes = append(info.Genes, gene.Name)
	}
	return info
}

// openPredictor returns the predictor that the value at a place of the
// configuration names.
func (c *Config) openPredictor(key, name string, at strict.Pos) (*predictor.Predictor, error) {
	var p *predictor.Predictor
	var err error
	if data, ok := c.files[filepath.Base(name)]; ok && name != predictor.ImagenetName {
		p, err = predictor.Load(name, bytes.NewReader(data))
	} else {
		p, err = predictor.Open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, at.Errorf("%s: %q is neither the embedded predictor \"imagenet\" nor the file of a saved one", key, name)
	}
	if err != nil {
		return nil, at.Errorf("%s: %v", key, err)
	}
	return p, nil
}

// architectureID returns the ID of a network, whose name does not count: equal
// networks have equal IDs.
func architectureID(n *arch.Network) (string, error) {
	name := n.Name
	n.Name = ""
	text, err := json.Marshal(n)
	n.Name = name
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:4]), nil
}

// member makes a network of the front presentable.
func (s *session) member(genome space.Genome, estimate Estimate) (Member, error) {
	c := s.config
	n := new(arch.Network)
	c.Space.Network(genome, n)
	id, err := architectureID(n)
	if err != nil {
		return Member{}, err
	}
	n.Name = c.Name + "-" + id
	m := Member{
		ID:         id,
		Network:    n,
		Accuracy:   estimate.Accuracy,
		AccuracySD: estimate.SD,
		Bound:      s.evaluator.sober(estimate),
		Source:     "measured",
		Genes:      c.Space.Words(genome),
	}
	if s.predictor != nil {
		near, err := s.predictor.Nearest(n)
		if err != nil {
			return Member{}, err
		}
		m.Source, m.Nearest, m.Extrapolated = "predicted", near.Name, near.Far
	}
	m.Costs, err = (&meter{precision: c.Precision}).costs(n)
	return m, err
}

// A meter finds costs at a precision. Used again and again, it does not allocate.
type meter struct {
	precision cost.Precision
	graph     arch.Graph
	memory    cost.Memory
}

// costs returns all costs of a network.
func (m *meter) costs(n *arch.Network) (Costs, error) {
	if err := n.Lower(&m.graph); err != nil {
		return Costs{}, err
	}
	return m.lowered(&m.graph, true, true), nil
}

// lowered returns the costs of a network that was lowered to g. Peak memory and
// energy take longer than the rest, and are left out unless they are wanted.
func (m *meter) lowered(g *arch.Graph, peak, energy bool) Costs {
	c := Costs{Cost: cost.Of(g)}
	c.WeightBytes = c.Cost.WeightBytes(m.precision.Weights)
	if peak {
		elements, _ := m.memory.Peak(g, cost.FuseElementwise)
		c.PeakMemory = cost.Bytes(elements, m.precision.Activations)
	}
	if energy {
		c.Energy = cost.TotalEnergy(g, m.precision).Picojoules()
	}
	return c
}
