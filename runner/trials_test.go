package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/studydb"
	"github.com/efficientnas/nas/internal/trainer"
	"github.com/efficientnas/nas/predictor"
)

// trainedBy returns a study of trainings and the folder where the trainers say what
// they were asked. What is not said of it: the search is random.
func trainedBy(t testing.TB, behaviour, further string, evaluations int) (text, log string) {
	t.Helper()
	text = strings.NewReplacer("ALGORITHM", "random", "EVALUATIONS", fmt.Sprint(evaluations)).Replace(trained)
	return withTrainer(t, text, behaviour, further)
}

// start creates a study in a new folder.
func start(t testing.TB, text string) *Study {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Create(c, filepath.Join(t.TempDir(), "study"), Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// goOn closes a study and opens it again.
func goOn(t testing.TB, s *Study) *Study {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Resume(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// run runs a study until it ends, or until after so many evaluations it is
// interrupted, if that is not 0.
func run(t testing.TB, s *Study, workers, until int) *Results {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := s.Run(ctx, Options{Workers: workers, Observe: func(p Progress) {
		if until > 0 && p.Evaluations == until {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if interrupted := r.Run.Status == "interrupted"; interrupted != (until > 0) || interrupted != (s.Ended() == "") {
		t.Fatalf("ended as %q (kept as %q), after %d evaluations it was to be interrupted", r.Run.Status, s.Ended(), until)
	}
	return r
}

// trialsOf returns what the study's file has.
func trialsOf(t testing.TB, dir string) []studydb.Trial {
	t.Helper()
	r, err := studydb.OpenRead(filepath.Join(dir, studyDB))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.Trials()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkFront compares a front of accuracy and MACs with what the trials say, each
// compared with each.
func checkFront(t testing.TB, r *Results) {
	t.Helper()
	var want []string
	for i, a := range r.Trials {
		worth := a.State == "done"
		for j, b := range r.Trials {
			if b.State == "done" && b.Accuracy >= a.Accuracy && b.Costs.MACs <= a.Costs.MACs &&
				(b.Accuracy > a.Accuracy || b.Costs.MACs < a.Costs.MACs || j < i) {
				worth = false
			}
		}
		if worth {
			want = append(want, a.ID)
		}
	}
	var got []string
	for i, m := range r.Front {
		got = append(got, m.ID)
		if m.Source != "measured" {
			t.Errorf("%s is on the front as %s", m.ID, m.Source)
		}
		if i > 0 && m.Costs.MACs <= r.Front[i-1].Costs.MACs {
			t.Errorf("the front is not sorted by MACs")
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("the front is not that of the trials:\n%s", diff)
	}
}

// TestTrialsThatFail looks at every way in which a training fails: its trial has
// failed for that reason, after as many attempts as make sense, and the search
// goes on.
func TestTrialsThatFail(t *testing.T) {
	t.Parallel()
	text, log := trainedBy(t, "all ways", ", retries: 2, parallel: 3", 60)
	s := start(t, text)
	r := run(t, s, 0, 0)
	checkFront(t, r)
	want := map[string]struct {
		error    string
		attempts int
	}{
		"exit":     {"exit status 3: shapes of KEY differ", 3},
		"hopeless": {"exit status 65: shapes of KEY differ", 1},
		"killed":   {"killed by SIGKILL (out of memory?): a very large tensor", 3},
		"NaN":      {"accuracy is NaN, want a number from 0 to 1", 1},
		"percent":  {"accuracy is 71.5, want a number from 0 to 1; is it in percent?", 1},
		"silent":   {"no accuracy on standard output: there are no images", 1},
		"once":     {"", 2},
		"good":     {"", 1},
	}
	all, attempts := trialsOf(t, s.dir), trainings(t, log)
	seen := make(map[string]int)
	failed := 0
	for i, trial := range all {
		way := ways[lot(trial.Key, len(ways))]
		seen[way]++
		w := want[way]
		w.error = strings.ReplaceAll(w.error, "KEY", trial.Key)
		state := studydb.Done
		if w.error != "" {
			state = studydb.Failed
			failed++
		}
		if trial.State != state || trial.Result.Error != w.error || trial.Attempts != w.attempts {
			t.Errorf("%s: %s after %d attempts: %q; want %s after %d: %q", way, trial.State, trial.Attempts, trial.Result.Error, state, w.attempts, w.error)
		}
		if row := r.Trials[i]; row.Error != w.error || row.State != string(state) || row.Attempts != w.attempts || row.Seconds <= 0 || row.Worker == "" {
			t.Errorf("%s: the results have %+v", way, row)
		}
		var numbers []int
		for _, a := range attempts[trial.Key] {
			numbers = append(numbers, a.Attempt)
		}
		if len(numbers) != w.attempts || !slices.Equal(numbers, []int{1, 2, 3}[:w.attempts]) {
			t.Errorf("%s: the attempts were %v, want 1 to %d", way, numbers, w.attempts)
		}
	}
	if len(seen) != len(ways) {
		t.Fatalf("of the ways %v only %v were seen: choose another seed", ways, seen)
	}
	if len(all) != 60 || r.Run.Evaluations != 60 || r.Run.Failed != failed {
		t.Errorf("%d trials, %d evaluations, %d failed; want 60, 60, %d", len(all), r.Run.Evaluations, r.Run.Failed, failed)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, trialsCSV))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "is it in percent?"); n != seen["percent"] {
		t.Errorf("%s tells of %d trainings that reported percent, want %d", trialsCSV, n, seen["percent"])
	}
}

// TestNoRetries leaves failures at the first attempt.
func TestNoRetries(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "some fail", ", retries: 0", 30)
	r := run(t, start(t, text), 2, 0)
	for key, attempts := range trainings(t, log) {
		if len(attempts) != 1 {
			t.Errorf("%s was attempted %d times", key, len(attempts))
		}
	}
	if r.Run.Failed == 0 {
		t.Fatal("nothing failed: choose another seed")
	}
	checkFront(t, r)
}

// TestTimeout ends trainings that take too long, and does not try again.
func TestTimeout(t *testing.T) {
	t.Parallel()
	text, log := trainedBy(t, "some hang", ", timeout: 3s, parallel: 18, retries: 2", 18)
	s := start(t, text)
	r := run(t, s, 0, 0)
	checkFront(t, r)
	hung := 0
	for _, trial := range trialsOf(t, s.dir) {
		if lot(trial.Key, 5) != 0 {
			continue
		}
		hung++
		if trial.State != studydb.Failed || trial.Result.Error != "not done after 3s" || len(trainings(t, log)[trial.Key]) != 1 {
			t.Errorf("%s after %d attempts: %q", trial.State, len(trainings(t, log)[trial.Key]), trial.Result.Error)
		}
	}
	if hung == 0 || hung == 18 {
		t.Fatalf("%d of 18 hung: choose another seed", hung)
	}
	for _, a := range trainings(t, log) {
		if a[0].Budget.Seconds != 3 {
			t.Errorf("the budget is %v seconds, want 3", a[0].Budget.Seconds)
		}
	}
}

// TestAllFail ends a study of which nothing could be trained with an error that says why, and keeps
// what was stored.
func TestAllFail(t *testing.T) {
	t.Parallel()
	text, log := trainedBy(t, "all fail", ", parallel: 2", 6)
	s := start(t, text)
	_, err := s.Run(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), "none of 6 networks") || !strings.Contains(err.Error(), "exit status 65: shapes of ") ||
		!strings.Contains(err.Error(), filepath.Join(s.dir, studyDB)) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, frontCSV)); !os.IsNotExist(err) {
		t.Errorf("there is a front of nothing: %v", err)
	}
	s.Discard() // as the command does then
	if n := len(trialsOf(t, s.dir)); n != 6 {
		t.Errorf("%d trials are left, want 6", n)
	}
	if s, err = Resume(s.dir); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "none of 6 networks") {
		t.Errorf("resumed: %v", err)
	}
	for key, attempts := range trainings(t, log) {
		if len(attempts) != 1 {
			t.Errorf("%s was trained %d times", key, len(attempts))
		}
	}
}

// TestRequests compares what trainers are asked with the networks of the study,
// and with what they are asked when it was interrupted.
func TestRequests(t *testing.T) {
	long(t)
	t.Parallel()
	const further = ", epochs: 3, dataset: digits, parallel: 2"
	text, log := trainedBy(t, "some fail", further, 20)
	s := start(t, text)
	run(t, s, 0, 0)
	all := trainings(t, log)
	seeds := make(map[uint32]string)
	for _, trial := range trialsOf(t, s.dir) {
		if len(all[trial.Key]) == 0 {
			t.Errorf("%s was not trained", trial.Key)
		}
		for i, r := range all[trial.Key] {
			if i == 0 {
				if other, twice := seeds[r.Seed]; twice {
					t.Errorf("%s and %s have the seed %d both", other, r.Key, r.Seed)
				}
				seeds[r.Seed] = r.Key
			}
			if string(r.Architecture) != string(trial.Architecture) || r.Attempt != i+1 || r.Dataset != "digits" ||
				r.Budget != (trainer.Budget{Epochs: 3}) || r.Key != trial.Key {
				t.Errorf("%s, attempt %d: asked %+v", trial.Key, i+1, r)
			}
			n, err := arch.Parse("request", r.Architecture)
			if err != nil {
				t.Fatal(err)
			}
			var g arch.Graph
			if err := n.Lower(&g); err != nil {
				t.Fatal(err)
			}
			if layers, err := json.Marshal(&g); err != nil || string(layers) != string(r.Layers) {
				t.Errorf("%s: the layers are not those of the architecture: %v", trial.Key, err)
			}
			costs, err := fp32().costs(n)
			if err != nil {
				t.Fatal(err)
			}
			if r.Costs["macs"] != float64(costs.MACs) || r.Costs["params"] != float64(costs.Params) || r.Costs["peak_memory"] != float64(costs.PeakMemory) {
				t.Errorf("%s: the costs are %v", trial.Key, r.Costs)
			}
		}
	}

	text, log = trainedBy(t, "some fail", further, 20)
	s = start(t, text)
	run(t, s, 3, 7)
	run(t, goOn(t, s), 1, 0)
	again := trainings(t, log)
	if len(again) != len(all) {
		t.Errorf("%d networks were trained after an interruption, want %d", len(again), len(all))
	}
	for key, requests := range again {
		for _, r := range requests { // one more if it was under way then
			if i := r.Attempt - 1; i >= len(all[key]) || !cmp.Equal(r, all[key][i]) {
				t.Errorf("%s: after an interruption, attempt %d is asked %+v", key, r.Attempt, r)
			}
		}
	}

	for key, requests := range all {
		if requests[0].Seed != trialSeed(7, key) || requests[0].Seed == trialSeed(8, key) {
			t.Errorf("%s has the seed %d, %d in a study of another seed", key, requests[0].Seed, trialSeed(8, key))
		}
	}
}

// TestAttemptsGoOn interrupts a study while a network is trained for the second
// time: when it goes on, that is the second attempt still, and the last.
func TestAttemptsGoOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		behaviour string
		attempts  []int
		state     studydb.State
	}{
		{"second waits, then good", []int{1, 2, 2}, studydb.Done},
		{"second waits, then fail", []int{1, 2, 2}, studydb.Failed},
	} {
		text, log := trainedBy(t, c.behaviour, ", retries: 1", 1)
		s := start(t, text)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		interrupted := make(chan error)
		go func() {
			_, err := s.Run(ctx, Options{})
			interrupted <- err
		}()
		for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(log + "-waits"); err == nil {
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatal("there was no second attempt")
			}
		}
		cancel()
		if err := <-interrupted; err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Fatalf("interrupted: %v", err)
		}
		s = goOn(t, s)
		if _, err := s.Run(t.Context(), Options{}); (err == nil) != (c.state == studydb.Done) {
			t.Errorf("resumed: %v", err)
		}
		for key, requests := range trainings(t, log) {
			var attempts []int
			for _, r := range requests {
				attempts = append(attempts, r.Attempt)
			}
			if !slices.Equal(attempts, c.attempts) {
				t.Errorf("%s: %s was attempted as %v, want %v", c.behaviour, key, attempts, c.attempts)
			}
		}
		if all := trialsOf(t, s.dir); len(all) != 1 || all[0].State != c.state || all[0].Attempts != 3 {
			t.Errorf("%s: the trials are %+v", c.behaviour, all)
		}
	}
}

// TestBoundsKeepFromTraining trains no network that is too large, and counts none
// of them.
func TestBoundsKeepFromTraining(t *testing.T) {
	long(t)
	t.Parallel()
	text, log := trainedBy(t, "good", "", 15)
	text = strings.Replace(text, "{macs: 700k}", "{macs: 400k, accuracy: 55%}", 1)
	s := start(t, text)
	r := run(t, s, 2, 0)
	all := trainings(t, log)
	if len(all) != 15 || r.Run.Evaluations != 15 || len(r.Trials) != 15 {
		t.Errorf("%d networks were trained, %d counted, %d stored; want 15", len(all), r.Run.Evaluations, len(r.Trials))
	}
	below := 0
	for key, requests := range all {
		if requests[0].Costs["macs"] > 400e3 {
			t.Errorf("%s with %v MACs was trained", key, requests[0].Costs["macs"])
		}
		if accuracyOf(&requests[0]) < 0.55 {
			below++
		}
	}
	if r.Run.Infeasible <= below {
		t.Errorf("%d networks were infeasible, %d of them for their accuracy: none was too large", r.Run.Infeasible, below)
	}
	if below == 0 || below == 15 {
		t.Fatalf("%d of 15 are below the bound on the accuracy", below)
	}
	for _, m := range r.Front {
		if m.Accuracy < 0.55 {
			t.Errorf("%s is on the front with accuracy %v", m.ID, m.Accuracy)
		}
	}
}

// TestEarlyStopping compares the trainings that were ended early with what the
// rule says of all that was reported, in this order, also after an interruption.
func TestEarlyStopping(t *testing.T) {
	for _, c := range []struct {
		text string
		rule stopRule
	}{
		{"{rule: median, min_epochs: 1, min_trials: 3}", &trainer.Median{WarmupEpochs: 1, WarmupTrials: 3}},
		{"{rule: halving, min_epochs: 1, factor: 2}", &trainer.Halving{MinEpochs: 1, MaxEpochs: curve, Reduction: 2}},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			text, log := trainedBy(t, "epochs", fmt.Sprintf(", epochs: %d, early_stopping: %s", curve, c.text), 16)
			s := start(t, text)
			run(t, s, 1, 6)
			s = goOn(t, s)
			run(t, s, 1, 0)
			asked := trainings(t, log)
			stopped := 0
			for _, trial := range trialsOf(t, s.dir) {
				r := &asked[trial.Key][0]
				epoch := 1
				for epoch < curve && !c.rule.Stop(trial.Key, trainer.Progress{Epoch: epoch, Accuracy: accuracyAt(r, epoch)}) {
					epoch++
				}
				if epoch == curve {
					c.rule.Stop(trial.Key, trainer.Progress{Epoch: epoch, Accuracy: accuracyAt(r, epoch)})
				}
				metrics := ""
				if epoch < curve {
					stopped++
					metrics = fmt.Sprintf(`{"stopped_at_epoch":%d}`, epoch)
				}
				if trial.Result.Accuracy != accuracyAt(r, epoch) || string(trial.Result.Metrics) != metrics {
					t.Errorf("trial %d: accuracy %v, %s; want that of epoch %d, %v", trial.ID, trial.Result.Accuracy, trial.Result.Metrics, epoch, accuracyAt(r, epoch))
				}
				if trial.Last.Epoch < epoch {
					t.Errorf("trial %d: epochs up to %d are stored, want %d", trial.ID, trial.Last.Epoch, epoch)
				}
			}
			if stopped == 0 || stopped == 16 {
				t.Fatalf("%d of 16 were to be stopped", stopped)
			}
		})
	}
}

// TestInterruptedTrials interrupts a study twice: what it has found so far is
// written, and in the end it has found the same as one that went through.
func TestInterruptedTrials(t *testing.T) {
	algorithms := []string{"guided", "random", "evolution, population: 6", "nsga2, population: 6", "local", "islands"}
	if testing.Short() {
		algorithms = algorithms[:1]
	}
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("ALGORITHM", algorithm, "EVALUATIONS", "30").Replace(trained)
			text, log := withTrainer(t, text, "some fail", "")
			whole := start(t, text)
			run(t, whole, 1, 0)
			want := outcomeOf(t, whole.dir)
			before := len(trainings(t, log))

			text = strings.NewReplacer("ALGORITHM", algorithm, "EVALUATIONS", "30").Replace(trained)
			text, log = withTrainer(t, text, "some fail", "")
			s := start(t, text)
			for _, until := range []int{9, 17} {
				r := run(t, s, 3, until)
				checkFront(t, r)
				if r.Run.Evaluations < until || r.Run.Evaluations == 30 {
					t.Errorf("interrupted after %d evaluations, %d count", until, r.Run.Evaluations)
				}
				read, err := ReadResults(s.dir)
				if err != nil {
					t.Fatal(err)
				}
				var b strings.Builder
				if err := read.WriteFrontCSV(&b); err != nil {
					t.Fatal(err)
				}
				if written := outcomeOf(t, s.dir)[frontCSV]; written != b.String() {
					t.Errorf("after %d evaluations %s has\n%s\nand is read as\n%s", until, frontCSV, written, b.String())
				}
				s = goOn(t, s)
			}
			run(t, s, 2, 0)
			got := outcomeOf(t, s.dir)
			for name := range want {
				if diff := cmp.Diff(want[name], got[name]); diff != "" {
					t.Errorf("%s is another than without interruption:\n%s", name, diff)
				}
			}
			if n := len(trainings(t, log)); n != before {
				t.Errorf("%d networks were trained, want %d", n, before)
			}
		})
	}
}

// TestGuidedTrials says what a guided search expected of networks.
func TestGuidedTrials(t *testing.T) {
	long(t)
	t.Parallel()
	text := strings.NewReplacer("ALGORITHM", "guided", "EVALUATIONS", "32").Replace(trained)
	text, _ = withTrainer(t, text, "good", "")
	s := start(t, text)
	r := run(t, s, 2, 0)
	checkFront(t, r)
	expected := 0
	for i, trial := range r.Trials {
		if trial.Predicted == nil {
			continue
		}
		expected++
		if p := trial.Predicted; i < 8 || !(p.Accuracy > 0 && p.Accuracy < 1 && p.SD > 0) {
			t.Errorf("of trial %d was expected %+v", i, *p)
		}
	}
	if expected < 10 || r.Run.Ranking == nil || r.Run.Ranking.Trials != expected {
		t.Fatalf("%d predictions, ranking %+v", expected, r.Run.Ranking)
	}
	if k := r.Run.Ranking; !(k.Kendall >= -1 && k.Kendall <= 1 && k.MAE > 0 && k.MAE < 0.2 && k.Coverage >= 0 && k.Coverage <= 1) {
		t.Errorf("ranking %+v", *k)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, trialsCSV))
	if err != nil {
		t.Fatal(err)
	}
	last := r.Trials[len(r.Trials)-1].Predicted
	if want := fmt.Sprintf(",%.6f,%.6f,", last.Accuracy, last.SD); !strings.Contains(string(data), want) {
		t.Errorf("%s does not have %s", trialsCSV, want)
	}
}

// TestUnchangedTrials ends a study when the front stays as it is: with the same
// network for any number of workers, and after an interruption.
func TestUnchangedTrials(t *testing.T) {
	t.Parallel()
	text, _ := trainedBy(t, "some fail", "", 200)
	text = strings.Replace(text, "seed: 7", "seed: 7, stop: {unchanged: 8}", 1)
	one := start(t, text)
	r := run(t, one, 1, 0)
	if r.Run.Status != "front unchanged" || r.Run.Evaluations >= 100 {
		t.Fatalf("ended as %q after %d evaluations", r.Run.Status, r.Run.Evaluations)
	}
	want := outcomeOf(t, one.dir)
	four := start(t, text)
	parallel := run(t, four, 4, 0)
	others := []*Study{four}
	if !testing.Short() {
		broken := start(t, text)
		run(t, broken, 4, r.Run.Evaluations/2)
		broken = goOn(t, broken)
		run(t, broken, 2, 0)
		others = append(others, broken)
	}
	for _, other := range others {
		got := outcomeOf(t, other.dir)
		for _, name := range []string{frontCSV, historyCSV, runJSON} {
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				t.Errorf("%s is another with other workers:\n%s", name, diff)
			}
		}
	}
	for _, trial := range parallel.Trials {
		if trial.State == "running" {
			t.Errorf("trial %d is said to be running", trial.Number)
		}
	}
}

// A failure that is told twice, as workers may, costs one attempt.
func TestFailureToldTwice(t *testing.T) {
	text, _ := trainedBy(t, "", ", retries: 2", 4)
	s := start(t, text)
	x, err := newSession(s.config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	trials, err := s.newTrials(x)
	if err != nil {
		t.Fatal(err)
	}
	candidates, err := x.method.Ask(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := trials.propose(candidates); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Start("a", 0); err != nil {
		t.Fatal(err)
	}
	failed := &trainer.Failure{Reason: trainer.Exited, Code: 3, Message: "exit status 3"}
	for told, want := range []bool{true, false} {
		again, err := trials.ended(0, 1, "a", trainer.Result{}, failed)
		if err != nil || again != want {
			t.Errorf("told %d times: again is %v, want %v, %v", told+1, again, want, err)
		}
	}
	if n := trials.attempt(0); n != 2 {
		t.Errorf("the next attempt is number %d, want 2", n)
	}
	if trial, err := s.db.Trial(0); err != nil || trial.State != studydb.Queued {
		t.Errorf("the trial is %s, want queued, %v", trial.State, err)
	}
	// What an attempt measures that was given up counts, if it is the first.
	if again, err := trials.ended(0, 1, "a", trainer.Result{Accuracy: 0.5}, nil); err != nil || again {
		t.Errorf("a late result: again is %v, %v", again, err)
	}
	if r, ok := trials.result(0); !ok || r.Accuracy != 0.5 {
		t.Errorf("a late result: got %v, %v", r, ok)
	}
	if _, err := trials.ended(0, 2, "a", trainer.Result{}, errors.New("no failure of the trial")); err == nil {
		t.Error("an error that is none of the trial's is lost")
	}
}

// Trainings that were ended early are records of the epochs that they came to.
func TestRecordsOfStoppedTrainings(t *testing.T) {
	network := []byte(`{"input":{"resolution":64},"stem":{"width":8,"stride":2},"stages":[{"block":"conv","width":8}],"head":{"classes":10}}`)
	r := &Results{Run: RunInfo{Name: "test", Epochs: 8}, Trials: []Trial{
		{State: "done", Accuracy: 0.5, network: network, stopped: 3},
		{State: "failed", network: network},
		{State: "done", Accuracy: 0.75, network: network},
	}}
	read := func() (epochs []float64) {
		var b bytes.Buffer
		if err := r.WriteRecords(&b); err != nil {
			t.Fatal(err)
		}
		records, err := predictor.ReadRecords("records.jsonl", &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			epochs = append(epochs, record.Epochs)
		}
		return epochs
	}
	if got := read(); !slices.Equal(got, []float64{3, 8}) {
		t.Errorf("epochs %v, want 3 and 8", got)
	}
	r.Run.Epochs = 0 // nobody knows how long the whole training is
	if got := read(); !slices.Equal(got, []float64{0}) {
		t.Errorf("without a number of epochs: %v, want the whole training alone", got)
	}
}
