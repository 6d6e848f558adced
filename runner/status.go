package runner

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/strict"
	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/internal/trainer"
)

// A Status is how a study stands. Text that comes from elsewhere, of workers and
// trainers, is one line that can be shown on a terminal. What is not known is nil.
type Status struct {
	Name      string         `json:"name"`
	Source    string         `json:"accuracy_source"` // predictor, table, command or nats
	Algorithm string         `json:"algorithm"`
	Created   time.Time      `json:"created"`
	State     string         `json:"state"`             // running, stopped or ended
	Ended     string         `json:"ended,omitempty"`   // why
	Process   *StatusProcess `json:"process,omitempty"` // that has the study open

	Evaluations int      `json:"evaluations"`       // of trials those that are done or failed
	Total       int      `json:"evaluations_total"` // at most
	PerHour     *float64 `json:"per_hour"`
	SecondsLeft *float64 `json:"seconds_left"` // to Total, if it goes on like this; nil once it has ended
	Best        *float64 `json:"best_accuracy"`

	Search *StatusSearch `json:"search,omitempty"` // nil if networks are trained
	Trials *StatusTrials `json:"trials,omitempty"` // nil unless they are
}

// A StatusProcess is one that has a study open.
type StatusProcess struct {
	PID   int       `json:"pid"` // 0 if it has not yet said who it is
	Host  string    `json:"host"`
	Since time.Time `json:"since,omitzero"`
}

// StatusSearch is of a study whose evaluations are cheap, as it was kept last.
type StatusSearch struct {
	Front       int       `json:"front"`
	Hypervolume float64   `json:"hypervolume"`
	Seconds     float64   `json:"seconds"`        // of searching
	Saved       time.Time `json:"saved,omitzero"` // the zero time if nothing was kept yet
}

// StatusTrials is of a study that trains networks.
type StatusTrials struct {
	Queued      int      `json:"queued"`
	Running     int      `json:"running"` // of one that is stopped: when it was
	Done        int      `json:"done"`
	Failed      int      `json:"failed"`
	Repeated    int      `json:"repeated"`        // attempts that failed, and were followed by another
	MeanSeconds *float64 `json:"mean_seconds"`    // of the trainings that came to an accuracy
	NATS        string   `json:"nats,omitempty"`  // URL of the workers' server
	Queue       string   `json:"queue,omitempty"` // of that

	Trainings []StatusTraining `json:"trainings"` // those that run
	Failures  []StatusFailure  `json:"failures"`  // the last ones, the latest first
}

// A StatusTraining is a training that is under way.
type StatusTraining struct {
	Trial    int       `json:"trial"`
	ID       string    `json:"id"` // as [Member.ID]
	Worker   string    `json:"worker"`
	Attempt  int       `json:"attempt"`
	Since    time.Time `json:"since,omitzero"`
	Epoch    *int      `json:"epoch"` // the last that it has reported
	Accuracy *float64  `json:"accuracy"`
}

// A StatusFailure is an attempt at a trial that failed.
type StatusFailure struct {
	Trial    int       `json:"trial"`
	Worker   string    `json:"worker"`
	Attempt  int       `json:"attempt"`
	Repeated bool      `json:"repeated"` // another attempt followed, or will
	At       time.Time `json:"at"`
	Error    string    `json:"error"`
}

// maxFailures is how many of them a status has.
const maxFailures = 5

// ReadStatus reads how the study in a folder stands, also while it runs. It reads
// study.db alone, and writes nothing.
func ReadStatus(dir string) (*Status, error) {
	path := filepath.Join(dir, studyDB)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Pos{File: dir}.Errorf("there is no study: the folder has no %s", studyDB)
	}
	r, err := studydb.OpenRead(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readStatus(dir, r, time.Now())
}

func readStatus(dir string, r *studydb.Reader, now time.Time) (*Status, error) {
	study, err := r.Study()
	if err != nil {
		return nil, err
	}
	s := &Status{Name: plainLine(study.Name), Created: study.Created, State: "stopped"}
	trials, err := s.outline(filepath.Join(dir, configYAML), &study)
	if err != nil {
		return nil, err
	}
	holder, err := studydb.Holder(filepath.Join(dir, studyDB))
	if err != nil {
		return nil, err
	}
	if holder != nil {
		s.State, s.Process = "running", &StatusProcess{holder.PID, plainLine(holder.Host), holder.Since}
	}
	kept, err := r.Checkpoint()
	if err != nil {
		return nil, err
	}
	if kept.Ended != "" {
		s.State, s.Ended = "ended", plainLine(kept.Ended)
	}
	if trials != nil {
		s.Trials = trials
		return s, s.readTrials(r, now)
	}
	return s, s.readSearch(r, kept)
}

// outline takes from the configuration what a status says of it, and returns that
// of trials, nil if there are none. Unlike [parseConfig] it does not mind what has
// become of the files and programs that are named.
func (s *Status) outline(path string, study *studydb.Study) (*StatusTrials, error) {
	var options keptOptions
	if err := json.Unmarshal(study.Files[optionsJSON], &options); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", studydb.ErrCorrupt, optionsJSON, err)
	}
	node, err := strict.Parse(path, []byte(study.Config))
	if err != nil {
		return nil, err
	}
	f := node.Fields("a run configuration")
	f.Require("space")
	f.Require("accuracy")
	if f.Get("space") == nil || f.Get("accuracy") == nil {
		return nil, f.Done()
	}
	s.Total = options.Evaluations
	space, _, err := (&Config{files: study.Files}).readSpace(f.Get("space"))
	if err != nil {
		return nil, err
	}
	if n := space.Size(); n.IsInt64() {
		s.Total = int(min(int64(s.Total), n.Int64()))
	}
	s.Algorithm = "nsga2"
	if n := f.Get("search"); n != nil {
		s.Algorithm = n.Fields("search").Text("algorithm", s.Algorithm)
	}
	accuracy := f.Get("accuracy").Fields("accuracy")
	for _, from := range sources {
		if accuracy.Get(from.key) != nil {
			s.Source = from.key
		}
	}
	switch s.Source {
	case "command":
		return &StatusTrials{}, nil
	case "nats":
		return &StatusTrials{NATS: plainLine(accuracy.Get("nats").Text), Queue: plainLine(accuracy.Text("queue", "default"))}, nil
	}
	return nil, nil
}

// readSearch reads how a search of cheap evaluations stands.
func (s *Status) readSearch(r *studydb.Reader, kept studydb.Checkpoint) error {
	history, err := r.Generations()
	if err != nil {
		return err
	}
	s.Search = &StatusSearch{Saved: kept.Saved}
	s.Evaluations = kept.Evaluations
	if len(history) == 0 {
		return nil
	}
	last := history[len(history)-1]
	s.Search.Front, s.Search.Hypervolume, s.Search.Seconds = last.Front, last.Hypervolume, last.Seconds
	s.Best = &last.BestAccuracy
	if last.Seconds > 0 && last.Evaluations > 0 {
		s.pace(float64(last.Evaluations)/last.Seconds, float64(s.Total-s.Evaluations))
	}
	return nil
}

// pace says how fast it goes, with so many evaluations left.
func (s *Status) pace(perSecond, remaining float64) {
	perHour := 3600 * perSecond
	s.PerHour = &perHour
	if s.Ended == "" {
		left := max(0, remaining) / perSecond
		s.SecondsLeft = &left
	}
}

// readTrials reads how trials stand.
func (s *Status) readTrials(r *studydb.Reader, now time.Time) error {
	all, err := r.Trials()
	if err != nil {
		return err
	}
	others, err := r.Others()
	if err != nil {
		return err
	}
	t := s.Trials
	t.Trainings, t.Failures = []StatusTraining{}, []StatusFailure{}
	clock := stopwatch{}
	var seconds float64 // of those that are done
	for i := range all {
		trial := &all[i]
		switch trial.State {
		case studydb.Queued:
			t.Queued++
		case studydb.Running:
			t.Running++
			row, err := training(trial)
			if err != nil {
				return err
			}
			t.Trainings = append(t.Trainings, row)
			if s.State == "running" {
				clock.add(trial.Started, now, underWay)
			}
		case studydb.Done:
			t.Done++
			seconds += trial.Result.Seconds
			if a := trial.Result.Accuracy; s.Best == nil || a > *s.Best {
				s.Best = &a
			}
			clock.ended(trial.Finished, trial.Result.Seconds, counts)
		case studydb.Failed:
			t.Failed++
			t.Failures = append(t.Failures, StatusFailure{
				trial.ID, plainLine(trial.Worker), trial.Attempts, false, trial.Finished, plainLine(trial.Result.Error),
			})
			clock.ended(trial.Finished, trial.Result.Seconds, counts)
		}
	}
	for i := range others {
		o := &others[i]
		if o.Late {
			continue
		}
		t.Repeated++
		t.Failures = append(t.Failures, StatusFailure{o.Trial, plainLine(o.Worker), o.Attempt, true, o.Received, plainLine(o.Error)})
		clock.ended(o.Received, o.Seconds, repeated)
	}
	slices.SortFunc(t.Failures, func(a, b StatusFailure) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Trial, a.Trial), cmp.Compare(b.Attempt, a.Attempt))
	})
	t.Failures = t.Failures[:min(len(t.Failures), maxFailures)]
	s.Evaluations = t.Done + t.Failed
	if t.Done == 0 {
		return nil
	}
	mean := seconds / float64(t.Done)
	t.MeanSeconds = &mean
	if perSecond, begun := clock.pace(mean); perSecond > 0 {
		s.pace(perSecond, float64(s.Total-s.Evaluations)-begun)
	}
	return nil
}

// training returns a trial that is being trained.
func training(t *studydb.Trial) (StatusTraining, error) {
	row := StatusTraining{Trial: t.ID, Worker: plainLine(t.Worker), Attempt: t.Attempts, Since: t.Started}
	n, err := arch.Parse("architecture", t.Architecture)
	if err == nil {
		row.ID, err = architectureID(n)
	}
	if err != nil {
		return row, fmt.Errorf("trial %d: %w: %w", t.ID, studydb.ErrCorrupt, err)
	}
	if e := t.Last; e.Attempt > 0 {
		row.Epoch, row.Accuracy = &e.Epoch, &e.Accuracy
	}
	return row, nil
}

// A stopwatch finds how fast trainings come to an end. It looks at the last hour
// that was trained, or at longer if fewer than twenty ended in it, and counts each
// training by the share of it that lies in that time; one that is under way by how
// far it is, compared with the mean. So the figure does not wait for trainings that
// take hours, and does not jump when several end at once. Times in which
// nothing was trained for more than a minute are left out: an interruption says
// nothing about what comes after it.
type stopwatch struct{ list []stint }

// A stint is a time that was spent on an attempt.
type stint struct {
	begin, end time.Time
	kind       stintKind
}

type stintKind int

const (
	counts   stintKind = iota // it came to a result that counts
	repeated                  // it failed, and another attempt followed
	underWay
)

const (
	paceTime   = time.Hour
	paceTrials = 20
	pause      = time.Minute
)

func (w *stopwatch) add(begin, end time.Time, kind stintKind) {
	if begin.After(end) { // as if the clock was put back
		begin = end
	}
	w.list = append(w.list, stint{begin, end, kind})
}

func (w *stopwatch) ended(at time.Time, seconds float64, kind stintKind) {
	const most = 1e8 // three years, to stay within a time.Duration
	w.add(at.Add(-time.Duration(min(seconds, most)*float64(time.Second))), at, kind)
}

// pace returns how many trials end in a second, 0 if that is not known, and how
// many those under way make up for by now. The mean is that of a training's seconds.
func (w *stopwatch) pace(mean float64) (perSecond, begun float64) {
	if len(w.list) == 0 {
		return 0, 0
	}
	slices.SortFunc(w.list, func(a, b stint) int { return b.end.Compare(a.end) })
	from := w.from()
	var trials float64
	var busy time.Duration
	edge := w.list[0].end // back to where the time is counted
	for _, s := range w.list {
		if s.end.Before(from) {
			break
		}
		begin := s.begin
		if begin.Before(from) {
			begin = from
		}
		if gap := edge.Sub(s.end); gap > 0 {
			if gap <= pause {
				busy += gap
			}
			edge = s.end
		}
		if begin.Before(edge) {
			busy += edge.Sub(begin)
			edge = begin
		}
		took, within := s.end.Sub(s.begin).Seconds(), s.end.Sub(begin).Seconds()
		switch {
		case s.kind == underWay && took > 0:
			whole := max(mean, took)
			begun += took / whole
			trials += within / whole
		case s.kind == counts && took > 0:
			trials += within / took
		case s.kind == counts:
			trials++
		}
	}
	if busy <= 0 {
		return 0, begun
	}
	return trials / busy.Seconds(), begun
}

// from returns since when the time counts, of a list from the latest to the first.
func (w *stopwatch) from() time.Time {
	from, n := w.list[0].end.Add(-paceTime), 0
	for _, s := range w.list {
		if s.kind != counts {
			continue
		}
		if n++; n > paceTrials {
			if s.end.Before(from) {
				return s.end
			}
			return from
		}
	}
	for _, s := range w.list { // they are few: all count
		if s.begin.Before(from) {
			from = s.begin
		}
	}
	return from
}

// plainLine returns what others have said as one line of text, not too long, that
// can be shown on a terminal.
func plainLine(s string) string {
	s = strings.Join(strings.Fields(trainer.SafeText(s)), " ")
	const most = 300
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
