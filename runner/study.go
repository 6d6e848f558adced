package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
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
}

// Progress is how far a run had come when a batch of networks was evaluated.
type Progress struct {
	Evaluations int // networks evaluated so far, those beyond a bound too
	Total       int // networks to evaluate, if nothing ends the run before
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
	Infeasible  int      `json:"infeasible"` // of them, beyond a bound
	Failed      int      `json:"failed"`     // of them, not built
	Status      string   `json:"status"`     // why the search ended
	SpaceSize   string   `json:"space_size"` // distinct networks in the space
	Predictor   string   `json:"predictor"`
	Recipe      string   `json:"recipe"`
	Deviations  float64  `json:"deviations"`
	WeightBits  int      `json:"weight_bits"` // at which bytes and energy count
	ActBits     int      `json:"activation_bits"`
	Genes       []string `json:"genes"` // names, in the order of Member.Genes
}

func (r *RunInfo) precision() cost.Precision {
	return cost.Precision{Weights: r.WeightBits, Activations: r.ActBits}
}

// A Member is a network of the front.
type Member struct {
	ID         string // of the architecture: equal networks have equal IDs
	Network    *arch.Network
	Accuracy   float64 // mean, a fraction of 1
	AccuracySD float64
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

// Run searches. It ends when the evaluations are done, when the space is
// exhausted, when the front is as good as the configuration asks or has not
// changed for as long as it says, or when ctx is done. Results.Run.Status tells which;
// an interruption is no error. It fails if no network met all constraints. The
// same configuration gives the same results for any number of workers.
func Run(ctx context.Context, c *Config, o Options) (*Results, error) {
	p, err := openPredictor("accuracy", c.Accuracy.Predictor, c.Accuracy.predictorAt)
	if err != nil {
		return nil, err
	}
	if s := p.Summary(); !s.Beats() && !o.Force {
		return nil, c.Accuracy.predictorAt.Errorf("accuracy: the predictor %q ranks its own records no better than their MACs alone do "+
			"(Kendall's tau %.3f against %.3f), so that a search would follow its mistakes; train it on more records, or use --force",
			c.Accuracy.Predictor, s.Kendall, s.MACs)
	}
	total := c.Search.Evaluations
	if n := c.Space.Size(); n.IsInt64() {
		total = int(min(int64(total), n.Int64()))
	}
	e, err := newEvaluator(c, p, total)
	if err != nil {
		return nil, err
	}
	method, err := c.method(e)
	if err != nil {
		return nil, err
	}
	r := &Results{}
	settings := search.Settings[space.Genome]{
		Evaluations: c.Search.Evaluations,
		Target:      c.Search.Stop.Hypervolume,
		Stagnation:  c.Search.Stop.Unchanged,
		Workers:     o.Workers,
		Reference:   e.reference(),
		Epsilon:     c.Search.Epsilon,
		Recorder:    r.recorder(e, total, o.Observe),
	}
	result, err := search.Run(ctx, method, e, settings)
	if err != nil {
		return nil, err
	}
	if err := e.found(result); err != nil {
		return nil, err
	}
	r.Run = c.info(p, result)
	for _, x := range e.explored {
		if x.Block != "" {
			r.Explored = append(r.Explored, x)
		}
	}
	for _, outcome := range result.Front {
		m, err := e.member(c, outcome)
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
		p, err := openPredictor("warm_start", s.WarmStart, s.warmStartAt)
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

// recorder returns what keeps the history of a search of at most total networks,
// and shows it to observe, which may be nil.
func (r *Results) recorder(e *evaluator, total int, observe func(Progress)) func(search.Progress[space.Genome]) error {
	begin := time.Now()
	return func(s search.Progress[space.Genome]) error {
		now := Progress{
			Evaluations: s.Evaluations,
			Total:       total,
			Front:       s.FrontSize,
			Hypervolume: s.Hypervolume,
			Seconds:     time.Since(begin).Seconds(),
		}
		front := s.Front()
		e.keep(front)
		for _, member := range front {
			now.Best = max(now.Best, e.predictions[member.ID].Accuracy)
		}
		r.History = append(r.History, now)
		if observe != nil {
			observe(now)
		}
		return nil
	}
}

// found fails if the front is empty.
func (e *evaluator) found(result search.Result[space.Genome]) error {
	switch {
	case len(result.Front) > 0:
		return nil
	case result.Status == search.Interrupted:
		return fmt.Errorf("interrupted after %d evaluations, before any network met all constraints", result.Evaluations)
	}
	return fmt.Errorf("none of %d networks met all constraints (beyond a bound: %s; could not be built: %d); loosen a bound or search longer",
		result.Evaluations, e.obstacles(), result.Failed)
}

// info says how a result came about.
func (c *Config) info(p *predictor.Predictor, result search.Result[space.Genome]) RunInfo {
	info := RunInfo{
		Name:        c.Name,
		Algorithm:   c.Search.Algorithm,
		Seed:        c.Search.Seed,
		Evaluations: result.Evaluations,
		Infeasible:  result.Infeasible,
		Failed:      result.Failed,
		Status:      result.Status.String(),
		SpaceSize:   c.Space.Size().String(),
		Predictor:   c.Accuracy.Predictor,
		Recipe:      cmp.Or(c.Accuracy.Recipe, p.Usual().Recipe),
		Deviations:  c.Accuracy.Deviations,
		WeightBits:  c.Precision.Weights,
		ActBits:     c.Precision.Activations,
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
func openPredictor(key, name string, at strict.Pos) (*predictor.Predictor, error) {
	p, err := predictor.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, at.Errorf("%s: %q is neither the embedded predictor \"imagenet\" nor the file of a saved one", key, name)
	}
	if err != nil {
		return nil, at.Errorf("%s: %v", key, err)
	}
	return p, nil
}

// member makes a network of the front presentable.
func (e *evaluator) member(c *Config, o search.Outcome[space.Genome]) (Member, error) {
	n := new(arch.Network)
	c.Space.Network(o.Genome, n)
	n.Name = ""
	text, err := json.Marshal(n)
	if err != nil {
		return Member{}, err
	}
	digest := sha256.Sum256(text)
	m := Member{
		ID:         hex.EncodeToString(digest[:4]),
		Network:    n,
		Accuracy:   e.predictions[o.ID].Accuracy,
		AccuracySD: e.predictions[o.ID].SD,
		Bound:      e.predictions[o.ID].Accuracy - c.Accuracy.Deviations*e.predictions[o.ID].SD,
		Source:     "predicted",
		Genes:      c.Space.Words(o.Genome),
	}
	n.Name = c.Name + "-" + m.ID
	near, err := e.predictor.Nearest(n)
	if err != nil {
		return Member{}, err
	}
	m.Nearest, m.Extrapolated = near.Name, near.Far
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
