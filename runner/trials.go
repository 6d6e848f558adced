package runner

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/internal/trainer"
	"github.com/efficientnas/nas/search"
	"github.com/efficientnas/nas/space"
)

// trials evaluates candidates by training them. What is proposed, and what came
// of it, is in study.db before anybody acts on it: so a study goes on from its
// file alone. Each candidate has one result that counts, the first.
type trials struct {
	study   *Study
	session *session
	site    site
	rule    stopRule // nil if every training goes to its end

	mu       sync.Mutex
	waiting  []studydb.Epoch        // reported, and not in study.db yet
	keys     map[int]string         // of the trials in study.db
	finished map[int]studydb.Result // results that count, by trial
	failures map[int]int            // attempts that failed and were to be repeated, by trial

	reporting sync.Mutex // held while reports are written
	unwritten error      // why they could not be

	next time.Time // when to keep the search's state again
}

// A site is where networks are trained.
type site interface {
	// train returns when the trial has a result that counts, of this attempt or of a
	// later one. Attempts count from 1. After an interruption it may be called again.
	train(ctx context.Context, trial int, r trainer.Request) error
	// close ends what the site has begun; ended says that the study has, too, and
	// needs no more results.
	close(ended bool) error
}

// trialState is the state of a search whose evaluations are trials.
type trialState struct {
	Method []byte
	// Proposed is how many candidates had been proposed; those that Method does not
	// wait for are evaluated.
	Proposed int
	// Last is, once the search has ended, the last candidate that counts. Trials of
	// later ones, which were under way, are kept, but are not on the front.
	Last int
}

// measure runs a study that trains its candidates.
func (s *Study) measure(ctx context.Context, x *session) (*Results, error) {
	if s.ended != "" {
		return s.trained(x)
	}
	t, err := s.newTrials(x)
	if err != nil {
		return nil, err
	}
	settings := x.settings()
	if settings.Earlier, err = t.restore(); err != nil {
		return nil, err
	}
	x.earlier = settings.Earlier
	settings.Asynchronous = true
	settings.Screen = x.evaluator.screen
	settings.Proposed = t.propose
	if settings.Workers == 0 {
		settings.Workers = x.config.Accuracy.Trials.Parallel
	}
	stop := t.keepReporting()
	result, err := t.search(ctx, settings)
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	if result.Status != search.Interrupted {
		s.ended = result.Status.String()
		if err := t.end(result.Evaluations); err != nil {
			return nil, err
		}
	}
	return s.trained(x)
}

// trained returns the results so far. It fails if no network is on the front.
func (s *Study) trained(x *session) (*Results, error) {
	r, err := x.readTrials(s.path(studyDB), s.db.Reader)
	if err != nil || len(r.Front) > 0 {
		return r, err
	}
	return nil, s.nothing(r)
}

// nothing says why no network is on the front.
func (s *Study) nothing(r *Results) error {
	if s.ended == "" && len(r.Trials) == 0 { // a study that has just been created is discarded
		return errors.New("interrupted before the search began")
	}
	if s.ended == "" {
		return fmt.Errorf("interrupted before any network was on the front (trained: %d, of which failed: %d); `nas resume %s` goes on",
			r.Run.Evaluations, r.Run.Failed, s.dir)
	}
	last := ""
	for _, t := range slices.Backward(r.Trials) {
		if t.State == string(studydb.Failed) {
			last = "; the last failure: " + t.Error
			break
		}
	}
	return fmt.Errorf("none of %d networks could be trained and met all constraints (failed: %d%s); they are in %s",
		r.Run.Evaluations, r.Run.Failed, last, s.path(studyDB))
}

// search opens the place where networks are trained, and searches.
func (t *trials) search(ctx context.Context, settings search.Settings[space.Genome]) (result search.Result[space.Genome], err error) {
	a := t.session.config.Accuracy.Trials
	if err := t.session.config.checkTrainer(); err != nil {
		return result, err
	}
	if a.NATS == "" {
		t.site = &local{trials: t, command: a.trainer(), worker: workerName()}
	} else if t.site, err = openRemote(ctx, t); err != nil {
		if ctx.Err() != nil {
			return search.Result[space.Genome]{Status: search.Interrupted}, nil
		}
		return result, err
	}
	result, err = search.Run(ctx, t.session.method, search.EvaluatorFunc[space.Genome](t.evaluate), settings)
	return result, errors.Join(err, t.site.close(err == nil && result.Status != search.Interrupted))
}

func (s *Study) newTrials(x *session) (*trials, error) {
	t := &trials{
		study: s, session: x,
		keys: make(map[int]string), finished: make(map[int]studydb.Result), failures: make(map[int]int),
	}
	var err error
	if stopping := x.config.Accuracy.Trials.Stopping; stopping != nil {
		if t.rule, err = stopping.rule(int(x.config.Accuracy.Epochs)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// restore takes in what study.db knows, and returns what has been evaluated that
// the method, which is made what it was, need not be told.
func (t *trials) restore() ([]search.Outcome[space.Genome], error) {
	db := t.study.db
	all, err := db.Trials()
	if err != nil {
		return nil, err
	}
	others, err := db.Others()
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if !o.Late {
			t.failures[o.Trial]++
		}
	}
	var left []int
	for i := range all {
		trial := &all[i]
		if _, err := t.session.candidate(trial); err != nil {
			return nil, t.study.damaged(err)
		}
		t.keys[trial.ID] = trial.Key
		switch trial.State {
		case studydb.Done, studydb.Failed:
			t.finished[trial.ID] = trial.Result
		case studydb.Running:
			left = append(left, trial.ID)
		}
		if t.rule == nil {
			continue
		}
		epochs, err := db.Epochs(trial.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range epochs {
			t.rule.Stop(trial.Key, trainer.Progress{Epoch: e.Epoch, Accuracy: e.Accuracy})
		}
	}
	if t.session.config.Accuracy.Trials.NATS == "" { // workers elsewhere go on
		if err := db.Requeue(left...); err != nil {
			return nil, err
		}
	}
	state, err := readTrialState(t.study.path(studyDB), db.Reader)
	if err != nil || state.Method == nil {
		return nil, err
	}
	if err := t.session.method.UnmarshalBinary(state.Method); err != nil {
		return nil, t.study.damaged(err)
	}
	waits := make(map[int]bool)
	for _, c := range t.session.method.Pending() {
		waits[c.ID] = true
	}
	var earlier []search.Outcome[space.Genome]
	for i := range all {
		trial := &all[i]
		if trial.ID >= state.Proposed || waits[trial.ID] {
			continue
		}
		if trial.State != studydb.Done && trial.State != studydb.Failed {
			return nil, t.study.damaged(fmt.Errorf("trial %d is %s, but the search knows its result", trial.ID, trial.State))
		}
		o, err := t.session.outcome(trial)
		if err != nil {
			return nil, t.study.damaged(err)
		}
		earlier = append(earlier, o)
	}
	return earlier, nil
}

func readTrialState(path string, r *studydb.Reader) (trialState, error) {
	var state trialState
	kept, err := r.Checkpoint()
	if err != nil || kept.State == nil {
		return state, err
	}
	if err := json.Unmarshal(kept.State, &state); err != nil {
		return state, fmt.Errorf("%s: %w: the search's state: %w", path, studydb.ErrCorrupt, err)
	}
	return state, nil
}

// propose stores candidates before they are trained, and now and then the state
// of the search. A state that is older than the trials does no harm: a search that
// goes on from it proposes the same again.
func (t *trials) propose(candidates []search.Candidate[space.Genome]) error {
	list := make([]studydb.Proposal, len(candidates))
	for i := range candidates {
		var err error
		if list[i], err = t.session.proposal(&candidates[i]); err != nil {
			return err
		}
	}
	t.mu.Lock()
	for i := range list {
		t.keys[list[i].ID] = list[i].Key
	}
	t.mu.Unlock()
	begin := time.Now()
	if len(candidates) == 0 || begin.Before(t.next) {
		return t.study.db.Queue(list...)
	}
	method, err := t.session.method.MarshalBinary()
	if err != nil {
		return err
	}
	state, err := json.Marshal(trialState{Method: method, Proposed: candidates[len(candidates)-1].ID + 1})
	if err != nil {
		return err
	}
	if err := t.study.db.Save(studydb.Checkpoint{State: state, Queue: list}); err != nil {
		return err
	}
	t.next = time.Now().Add(max(keepEvery, keepShare*time.Since(begin)))
	return nil
}

// end stores that the search has ended, with so many trials that count: the
// first ones that were proposed.
func (t *trials) end(count int) error {
	all, err := t.study.db.Trials()
	if err != nil {
		return err
	}
	last := -1
	if n := min(count, len(all)); n > 0 {
		last = all[n-1].ID
	}
	state, err := json.Marshal(trialState{Last: last})
	if err != nil {
		return err
	}
	return t.study.db.Save(studydb.Checkpoint{Evaluations: count, State: state, Ended: t.study.ended})
}

// evaluate implements [search.Evaluator].
func (t *trials) evaluate(ctx context.Context, batch []search.Candidate[space.Genome], out []search.Evaluation) error {
	for i := range batch {
		c := &batch[i]
		result, ok := t.result(c.ID)
		if !ok {
			request, err := t.session.request(c)
			if err != nil {
				return err
			}
			if err := t.site.train(ctx, c.ID, request); err != nil {
				return err
			}
			if result, ok = t.result(c.ID); !ok {
				return fmt.Errorf("trial %d has no result", c.ID)
			}
		}
		var err error
		if out[i], err = t.session.measured(c, &result); err != nil {
			return err
		}
	}
	return nil
}

// result returns the result of a trial that counts, if there is one.
func (t *trials) result(trial int) (studydb.Result, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.finished[trial]
	return r, ok
}

// attempt returns the number of the next attempt at a trial: failures make it
// another one, interruptions do not.
func (t *trials) attempt(trial int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures[trial] + 1
}

// ended stores what came of an attempt at a trial, and reports whether it is to be
// attempted again. What came of an earlier attempt counts too, unless it failed.
func (t *trials) ended(trial, attempt int, worker string, r trainer.Result, failed error) (again bool, err error) {
	result := studydb.Result{Trial: trial, Worker: worker}
	var failure *trainer.Failure
	switch {
	case failed == nil:
		result.Accuracy, result.Seconds, result.Stderr = r.Accuracy, r.Duration.Seconds(), r.Stderr
		if result.Metrics, err = metricsOf(r); err != nil {
			return false, err
		}
	case errors.As(failed, &failure):
		if attempt < t.attempt(trial) {
			return false, nil // it was told before
		}
		result.Error, result.Seconds, result.Stderr = failure.Error(), failure.Seconds, failure.Stderr
		if failure.Retry() && attempt <= t.session.config.Accuracy.Trials.Retries {
			if err := t.writeReports(); err != nil {
				return false, err
			}
			if err := t.study.db.Retry(result); err != nil {
				return false, err
			}
			t.mu.Lock()
			t.failures[trial]++
			t.mu.Unlock()
			return true, nil
		}
	default:
		return false, failed
	}
	if err := t.writeReports(); err != nil {
		return false, err
	}
	verdicts, err := t.study.db.Finish(result)
	if err != nil {
		return false, err
	}
	if verdicts[0] != studydb.Accepted {
		stored, err := t.study.db.Trial(trial)
		if err != nil {
			return false, err
		}
		result = stored.Result
	}
	t.mu.Lock()
	t.finished[trial] = result
	t.mu.Unlock()
	return false, nil
}

// stoppedAt is the metric of trainings that were ended early.
const stoppedAt = "stopped_at_epoch"

// metricsOf returns the further figures of a result.
func metricsOf(r trainer.Result) (json.RawMessage, error) {
	metrics := make(map[string]float64, len(r.Metrics)+1)
	for name, v := range r.Metrics {
		metrics[name] = v
	}
	if r.Stopped {
		metrics[stoppedAt] = float64(r.Epoch)
	}
	if len(metrics) == 0 {
		return nil, nil
	}
	return json.Marshal(metrics)
}

// report takes note of the progress of a trial, and returns whether to end its
// training.
func (t *trials) report(trial int, key string, p trainer.Progress) bool {
	t.mu.Lock()
	t.waiting = append(t.waiting, studydb.Epoch{Trial: trial, Epoch: p.Epoch, Accuracy: p.Accuracy})
	t.mu.Unlock()
	stop := t.rule != nil && t.rule.Stop(key, p)
	last := int(t.session.config.Accuracy.Epochs) // 0 if it is not known
	return stop && (last == 0 || p.Epoch < last)  // else there is nothing left to stop
}

// writeReports writes what trainings have reported. That of an attempt has to be
// written before its end.
func (t *trials) writeReports() error {
	t.reporting.Lock()
	defer t.reporting.Unlock()
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	if len(waiting) > 0 && t.unwritten == nil {
		t.unwritten = t.study.db.Progress(waiting...)
	}
	return t.unwritten
}

// keepReporting writes what trainings report about once a second, until the
// function that it returns is called.
func (t *trials) keepReporting() (stop func() error) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.writeReports() // who ends next is told of the error
			case <-ended:
				return
			}
		}
	}()
	return func() error {
		close(ended)
		<-done
		return t.writeReports()
	}
}

// local trains on this machine.
type local struct {
	trials  *trials
	command *trainer.Command
	worker  string
}

func (l *local) train(ctx context.Context, trial int, r trainer.Request) error {
	for {
		r.Attempt = l.trials.attempt(trial)
		if err := l.trials.study.db.Start(l.worker, trial); err != nil {
			return err
		}
		result, err := l.command.Run(ctx, r, func(p trainer.Progress) bool { return l.trials.report(trial, r.Key, p) })
		var failure *trainer.Failure
		if err != nil && ctx.Err() != nil && !errors.As(err, &failure) {
			return errors.Join(err, l.trials.study.db.Requeue(trial))
		}
		again, err := l.trials.ended(trial, r.Attempt, l.worker, result, err)
		if err != nil || !again {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (l *local) close(bool) error { return nil }

// proposal returns a candidate as study.db has it.
func (x *session) proposal(c *search.Candidate[space.Genome]) (studydb.Proposal, error) {
	n, g, err := x.lower(c)
	if err != nil {
		return studydb.Proposal{}, err
	}
	architecture, err := json.Marshal(n)
	if err != nil {
		return studydb.Proposal{}, err
	}
	costs, err := json.Marshal(x.costsOf(g))
	if err != nil {
		return studydb.Proposal{}, err
	}
	p := studydb.Proposal{
		ID: c.ID, Key: trialKey(c.Key), Architecture: architecture, Genome: encodeGenome(c.Genome),
		Generation: c.Generation, Parents: c.Parents, Operator: c.Operator, Costs: costs,
	}
	if x.guide != nil {
		if e, ok, err := x.guide.expected(c.Genome); err != nil {
			return p, err
		} else if ok {
			p.Predicted = &studydb.Prediction{Accuracy: e.Accuracy, SD: e.SD}
		}
	}
	return p, nil
}

// request returns what a trainer is asked of a candidate. It is the same for
// every attempt but for the number of that.
func (x *session) request(c *search.Candidate[space.Genome]) (trainer.Request, error) {
	n, g, err := x.lower(c)
	if err != nil {
		return trainer.Request{}, err
	}
	key := trialKey(c.Key)
	architecture, err := json.Marshal(n)
	if err != nil {
		return trainer.Request{}, err
	}
	layers, err := json.Marshal(g)
	if err != nil {
		return trainer.Request{}, err
	}
	a := &x.config.Accuracy
	return trainer.Request{
		Key: key, Architecture: architecture, Layers: layers, Costs: x.costsOf(g), Dataset: a.Dataset,
		Budget: trainer.Budget{Epochs: int(a.Epochs)}, Seed: trialSeed(x.config.Search.Seed, key),
	}, nil
}

// lower returns the network of a candidate, named by its ID, and its layers.
func (x *session) lower(c *search.Candidate[space.Genome]) (*arch.Network, *arch.Graph, error) {
	n, g := new(arch.Network), new(arch.Graph)
	x.config.Space.Network(c.Genome, n)
	id, err := architectureID(n)
	if err != nil {
		return nil, nil, err
	}
	n.Name = x.config.Name + "-" + id
	return n, g, n.Lower(g)
}

// costsOf returns all costs of a network that was lowered to g, by metric.
func (x *session) costsOf(g *arch.Graph) map[string]float64 {
	c := (&meter{precision: x.config.Precision}).lowered(g, true, true)
	costs := make(map[string]float64)
	for _, m := range metrics {
		if m.of != nil {
			costs[m.name] = float64(m.of(&c))
		}
	}
	return costs
}

// measured returns the evaluation of a candidate whose trial has this result.
func (x *session) measured(c *search.Candidate[space.Genome], r *studydb.Result) (search.Evaluation, error) {
	if r.Error != "" {
		return search.Evaluation{Err: errors.New(r.Error)}, nil
	}
	_, g, err := x.lower(c)
	if err != nil {
		return search.Evaluation{}, err
	}
	costs := (&meter{precision: x.config.Precision}).lowered(g, true, true)
	e := x.evaluator
	estimate := Estimate{r.Accuracy, math.NaN()}
	e.mu.Lock()
	e.estimates[c.ID] = estimate
	e.mu.Unlock()
	return e.judged(estimate, &costs, make([]float64, len(e.objective))), nil
}

// candidate returns the candidate that a trial is of.
func (x *session) candidate(t *studydb.Trial) (search.Candidate[space.Genome], error) {
	genome, err := x.config.decodeGenome(t.Genome)
	if err != nil {
		return search.Candidate[space.Genome]{}, fmt.Errorf("trial %d: %w", t.ID, err)
	}
	c := search.Candidate[space.Genome]{
		ID: t.ID, Genome: genome, Key: x.config.Space.Key(genome), Generation: t.Generation, Parents: t.Parents, Operator: t.Operator,
	}
	if trialKey(c.Key) != t.Key {
		return c, fmt.Errorf("trial %d: its key is not that of its genome", t.ID)
	}
	return c, nil
}

// outcome returns what the search knows of a trial that has ended.
func (x *session) outcome(t *studydb.Trial) (o search.Outcome[space.Genome], err error) {
	if o.Candidate, err = x.candidate(t); err == nil {
		o.Evaluation, err = x.measured(&o.Candidate, &t.Result)
	}
	return o, err
}

// trialKey returns the name by which trainers, workers and study.db know a
// candidate that has this key in its space.
func trialKey(key string) string {
	digest := sha256.Sum256([]byte(key))
	return hex.EncodeToString(digest[:8])
}

// trialSeed returns the seed of a trial: the same for every attempt, and another
// for every network and every study.
func trialSeed(seed uint64, key string) uint32 {
	digest := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(key), seed))
	return binary.LittleEndian.Uint32(digest[:])
}
