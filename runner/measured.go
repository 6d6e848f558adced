package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/predictor"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// A Trial is a network that was trained, or is going to be.
type Trial struct {
	ID        string // of the architecture, as [Member.ID]
	Number    int    // of the search's proposal
	State     string // queued, running, done or failed
	Accuracy  float64
	Predicted *Estimate // what a guided search expected of it; nil if nothing was
	Costs     Costs
	Genes     []string
	Attempts  int // how often it was started
	Worker    string
	Seconds   float64
	Error     string  // why it failed, or the last attempt at it
	network   []byte  // as JSON
	stopped   float64 // epochs after which it was ended early; 0 if it was not
}

// Ranking says how well a guided search had ranked the networks before it had them
// trained. Those that it had chosen before it had learnt anything do not count.
type Ranking struct {
	Trials   int     `json:"trials"`
	Kendall  float64 `json:"kendall_tau"`
	Spearman float64 `json:"spearman"`
	// MACs is Kendall's tau of ranking the same networks by their MACs.
	MACs     float64 `json:"macs_kendall_tau"`
	MAE      float64 `json:"mae"`         // of the predictions, as a fraction of 1
	Coverage float64 `json:"coverage_90"` // share of the 90 % intervals that hold the accuracy
}

// readTrials returns the results of a study that trains networks, from what its
// file, at path, holds now.
func (x *session) readTrials(path string, r *studydb.Reader) (*Results, error) {
	all, err := r.Trials()
	if err != nil {
		return nil, err
	}
	kept, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	state, err := readTrialState(path, r)
	if err != nil {
		return nil, err
	}
	study, err := r.Study()
	if err != nil {
		return nil, err
	}
	last, status := math.MaxInt, search.Interrupted.String()
	if kept.Ended != "" {
		last, status = state.Last, kept.Ended
	}
	results := &Results{}
	tracker, err := x.newTracker(study.Created)
	if err != nil {
		return nil, err
	}
	for i := range all {
		t := &all[i]
		row, costs, err := x.trial(t)
		if err != nil {
			return nil, damaged(path, err)
		}
		results.Trials = append(results.Trials, row)
		if t.ID > last || t.State != studydb.Done && t.State != studydb.Failed {
			continue
		}
		o, err := x.outcome(t)
		if err != nil {
			return nil, damaged(path, err)
		}
		if err := tracker.add(o, t.Finished); err != nil {
			return nil, err
		}
		if o.Err == nil && o.Violation == 0 {
			results.Explored = append(results.Explored, costs)
		}
	}
	counts := tracker.counts
	if kept.Ended != "" { // whoever is not among the trials was beyond a bound, and needed no training
		counted, _ := slices.BinarySearchFunc(all, last+1, func(t studydb.Trial, id int) int { return cmp.Compare(t.ID, id) })
		counts.Infeasible += last + 1 - counted
	}
	results.History = tracker.history
	for _, e := range tracker.front.Entries() {
		o := e.Value
		m, err := x.member(o.Genome, x.evaluator.estimates[o.ID])
		if err != nil {
			return nil, err
		}
		results.Front = append(results.Front, m)
	}
	results.Run = x.info(counts, status)
	results.Run.Ranking = ranking(results.Trials)
	return results, nil
}

// trial returns a trial as people see it.
func (x *session) trial(t *studydb.Trial) (Trial, Explored, error) {
	genome, err := x.config.decodeGenome(t.Genome)
	if err != nil {
		return Trial{}, Explored{}, fmt.Errorf("trial %d: %w", t.ID, err)
	}
	n, g, err := x.lower(&search.Candidate[space.Genome]{Genome: genome})
	if err != nil {
		return Trial{}, Explored{}, fmt.Errorf("trial %d: %w", t.ID, err)
	}
	id, err := architectureID(n)
	if err != nil {
		return Trial{}, Explored{}, err
	}
	row := Trial{
		ID: id, Number: t.ID, State: string(t.State), Accuracy: t.Result.Accuracy,
		Costs: (&meter{precision: x.config.Precision}).lowered(g, true, true), Genes: x.config.Space.Words(genome),
		Attempts: t.Attempts, Worker: t.Worker, Seconds: t.Result.Seconds, Error: t.Result.Error, network: t.Architecture,
	}
	if len(t.Result.Metrics) > 0 {
		var metrics map[string]float64
		if err := json.Unmarshal(t.Result.Metrics, &metrics); err != nil {
			return Trial{}, Explored{}, fmt.Errorf("trial %d: metrics: %w", t.ID, err)
		}
		row.stopped = metrics[stoppedAt]
	}
	if p := t.Predicted; p != nil {
		row.Predicted = &Estimate{p.Accuracy, p.SD}
	}
	return row, Explored{Costs: row.Costs, Accuracy: row.Accuracy, Block: dominantBlock(n, g)}, nil
}

// A tracker follows the front of trials, in order of proposal.
type tracker struct {
	session   *session
	reference []float64
	begin     time.Time
	front     *pareto.Archive[search.Outcome[space.Genome]]
	counts    search.Counts
	history   []Progress
}

func (x *session) newTracker(begin time.Time) (*tracker, error) {
	t := &tracker{session: x, reference: x.evaluator.reference(), begin: begin}
	var err error
	if epsilon := x.config.Search.Epsilon; epsilon != nil {
		t.front, err = pareto.NewEpsilonArchive[search.Outcome[space.Genome]](x.method.Directions(), epsilon)
	} else {
		t.front, err = pareto.NewArchive[search.Outcome[space.Genome]](x.method.Directions())
	}
	return t, err
}

// add takes in the next trial, which ended at a time.
func (t *tracker) add(o search.Outcome[space.Genome], ended time.Time) error {
	t.counts.Evaluations++
	t.counts.Generations = max(t.counts.Generations, o.Generation+1)
	switch {
	case o.Err != nil:
		t.counts.Failed++
	case o.Violation > 0:
		t.counts.Infeasible++
	default:
		if _, err := t.front.Add(o.Key, o.Objectives, o); err != nil {
			return fmt.Errorf("trial %d: %w", o.ID, err)
		}
	}
	now := Progress{Evaluations: t.counts.Evaluations, Total: t.session.total, Front: t.front.Len(), Seconds: ended.Sub(t.begin).Seconds()}
	if n := len(t.history); n > 0 { // what came early waited for those before it
		now.Seconds = max(now.Seconds, t.history[n-1].Seconds)
	}
	var points [][]float64
	var front []search.Outcome[space.Genome]
	for _, e := range t.front.Entries() {
		points, front = append(points, e.Point), append(front, e.Value)
	}
	var err error
	if now.Hypervolume, err = pareto.Hypervolume(points, t.reference, t.session.method.Directions()); err != nil {
		return err
	}
	now.Best = t.session.evaluator.best(front)
	t.history = append(t.history, now)
	return nil
}

// ranking compares what was expected of trials with what they came to; nil if
// fewer than two were expected anything.
func ranking(trials []Trial) *Ranking {
	var expected, reached, macs []float64
	var r Ranking
	for i := range trials {
		t := &trials[i]
		if t.State != string(studydb.Done) || t.Predicted == nil {
			continue
		}
		expected, reached = append(expected, t.Predicted.Accuracy), append(reached, t.Accuracy)
		macs = append(macs, float64(t.Costs.MACs))
		off := math.Abs(t.Predicted.Accuracy - t.Accuracy)
		r.MAE += off
		const z90 = 1.6449 // standard deviations to either side
		if off <= z90*t.Predicted.SD {
			r.Coverage++
		}
	}
	r.Trials = len(expected)
	if r.Trials < 2 {
		return nil
	}
	r.MAE /= float64(r.Trials)
	r.Coverage /= float64(r.Trials)
	r.Kendall, r.Spearman = predictor.KendallTau(expected, reached), predictor.Spearman(expected, reached)
	r.MACs = predictor.KendallTau(macs, reached)
	if slices.ContainsFunc([]float64{r.Kendall, r.Spearman, r.MACs}, math.IsNaN) {
		return nil // all are alike
	}
	return &r
}
