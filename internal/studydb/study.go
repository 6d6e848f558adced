package studydb

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// A Study is what a study is made of. It does not change once it is created,
// except that a [Checkpoint] may add and replace files.
type Study struct {
	Name    string
	Config  string            // the resolved configuration, as text
	Seed    uint64            // at most math.MaxInt64
	Version string            // of the nas that created the study
	Created time.Time         // to the millisecond; the zero time means now
	Files   map[string][]byte // what belongs to the study, by name: a space, a predictor
}

// A Proposal is a candidate that is to be measured.
type Proposal struct {
	ID           int    // the search's number of the proposal, 0 or more
	Key          string // of the architecture: equal architectures have equal keys; not empty
	Architecture json.RawMessage
	Genome       []byte
	Generation   int
	Parents      []int // IDs; nil if there are none
	Operator     string
	Costs        json.RawMessage // an object; nil if they are not known
	Predicted    *Prediction     // what was expected of it before it was measured; nil if nothing was
}

// A Prediction is an accuracy, a fraction of 1, that was expected of a candidate,
// and its standard deviation.
type Prediction struct{ Accuracy, SD float64 }

// State says what has become of a trial.
type State string

const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// A Result is what came of measuring a candidate.
type Result struct {
	Trial      int             `json:"trial"`                // the proposal's ID
	Accuracy   float64         `json:"accuracy"`             // a fraction of 1; without meaning if the trial failed
	Metrics    json.RawMessage `json:"metrics,omitempty"`    // further ones, an object; nil if there are none
	Objectives []float64       `json:"objectives,omitempty"` // finite
	Violation  float64         `json:"violation,omitempty"`  // of constraints, 0 or more
	Error      string          `json:"error,omitempty"`      // why the trial failed; empty if it did not
	Seconds    float64         `json:"seconds,omitempty"`    // that it took, 0 or more
	Stderr     string          `json:"stderr,omitempty"`     // the last of what the trainer said
	Worker     string          `json:"worker,omitempty"`     // who measured; empty leaves whom [Writer.Start] named
}

// State returns Failed if there is an error, else Done.
func (r *Result) State() State {
	if r.Error != "" {
		return Failed
	}
	return Done
}

// A Trial is a candidate that is, was or will be measured. Times are zero for
// what has not happened.
type Trial struct {
	Proposal
	State    State
	Attempts int // how often it was started
	Worker   string
	Queued   time.Time
	Started  time.Time // last
	Finished time.Time
	Result   Result // while the trial is queued again, Error and Stderr are the last attempt's
	Last     Epoch  // of the last attempt; the zero Epoch if it has reported none
}

// An Epoch is a report of a training that goes on.
type Epoch struct {
	Trial    int
	Attempt  int // from 1; [Writer.Progress] sets it
	Epoch    int // 0 or more
	Accuracy float64
}

// An Other is a result that does not count.
type Other struct {
	Result
	Attempt  int  // how often the trial had been started
	Late     bool // the trial had another result already; else it was tried again
	Received time.Time
}

// A Generation sums up the search after a batch of evaluations.
type Generation struct {
	Evaluations  int // so far; tells generations apart
	Hypervolume  float64
	Front        int
	BestAccuracy float64
	Seconds      float64
}

// A Member is a candidate on the front of a study that does not store each trial.
type Member struct {
	ID         int // the search's number of the proposal
	Key        string
	Genome     []byte
	Objectives []float64
	Extra      json.RawMessage // whatever else is to be known of it; nil if nothing is
}

// A Checkpoint is the search's state and what belongs to it.
type Checkpoint struct {
	Evaluations int       // that State stands after
	State       []byte    // opaque
	Ended       string    // why the search ended; empty while it goes on
	Saved       time.Time // set by [Writer.Save]

	// What follows is stored with the state, and read back by itself.

	Queue       []Proposal        // what the search has proposed, as by [Writer.Queue]
	Generations []Generation      // to add, or to replace if one has as many evaluations
	Archive     []Member          // replaces the stored one; nil leaves it
	Files       map[string][]byte // to add or replace
}

func (s *Study) check() error {
	if s.Seed > math.MaxInt64 {
		return fmt.Errorf("seed is %d, want at most %d", s.Seed, math.MaxInt64)
	}
	return nil
}

func (p *Proposal) check() error {
	switch {
	case p.ID < 0:
		return fmt.Errorf("trial %d: the number is negative", p.ID)
	case p.Key == "":
		return fmt.Errorf("trial %d has no key", p.ID)
	case !json.Valid(p.Architecture):
		return fmt.Errorf("trial %d: the architecture is not JSON", p.ID)
	}
	if e := p.Predicted; e != nil {
		if err := checkFinite("prediction", []float64{e.Accuracy, e.SD}, p.ID); err != nil {
			return err
		}
	}
	return checkObject("costs", p.Costs, p.ID)
}

func (r *Result) check() error {
	switch {
	case !(r.Accuracy >= 0 && r.Accuracy <= 1):
		return fmt.Errorf("trial %d: accuracy is %v, want 0 to 1, or an error that says why it failed", r.Trial, r.Accuracy)
	case !(r.Violation >= 0) || math.IsInf(r.Violation, 0):
		return fmt.Errorf("trial %d: violation is %v, want 0 or more", r.Trial, r.Violation)
	case !(r.Seconds >= 0) || math.IsInf(r.Seconds, 0):
		return fmt.Errorf("trial %d: seconds are %v, want 0 or more", r.Trial, r.Seconds)
	}
	return errors.Join(checkFinite("objective", r.Objectives, r.Trial), checkObject("metrics", r.Metrics, r.Trial))
}

func (e *Epoch) check() error {
	if e.Epoch < 0 {
		return fmt.Errorf("trial %d: epoch is %d, want 0 or more", e.Trial, e.Epoch)
	}
	return checkFinite("epoch's accuracy", []float64{e.Accuracy}, e.Trial)
}

func (g *Generation) check() error {
	for _, v := range []float64{g.Hypervolume, g.BestAccuracy, g.Seconds} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("generation after %d evaluations: %v is no finite number", g.Evaluations, v)
		}
	}
	return nil
}

func (m *Member) check() error {
	if len(m.Extra) > 0 && !json.Valid(m.Extra) {
		return fmt.Errorf("member %d: what is extra is not JSON", m.ID)
	}
	return checkFinite("objective", m.Objectives, m.ID)
}

func checkFinite(what string, values []float64, id int) error {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("trial %d: %s is %v, want a finite number", id, what, v)
		}
	}
	return nil
}

func checkObject(what string, text json.RawMessage, id int) error {
	if len(text) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("trial %d: %s are no JSON object: %w", id, what, err)
	}
	return nil
}
