package studydb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// proposal returns a trial of about the size of a real one.
func proposal(id int) Proposal {
	architecture, _ := json.Marshal(map[string]any{"name": fmt.Sprint(id), "stages": strings.Repeat("inverted ", 100)})
	return Proposal{
		ID: id, Key: fmt.Sprintf("key-%d", id), Architecture: architecture, Genome: []byte{byte(id), byte(id >> 8), 0, 255},
		Generation: id / 10, Parents: []int{id / 2, id / 3}, Operator: "crossover", Costs: json.RawMessage(`{"macs":300000000}`),
	}
}

// result returns the result of a trial: every seventh fails.
func result(id int) Result {
	if id%7 == 3 {
		return Result{Trial: id, Error: "exit status 1", Seconds: 1.5, Stderr: "out of memory\n", Worker: "worker"}
	}
	return Result{
		Trial: id, Accuracy: 1 / float64(id+2), Metrics: json.RawMessage(`{"loss":0.3}`),
		Objectives: []float64{1 / float64(id+2), 3e8}, Violation: float64(id % 2), Seconds: 60.25, Stderr: "epoch 1\n", Worker: "worker",
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must1 returns v unless there is an error.
func must1[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func equal[T any](t testing.TB, what string, got, want T, options ...cmp.Option) {
	t.Helper()
	if d := cmp.Diff(want, got, append(options, cmpopts.EquateEmpty())...); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// Whatever is stored is read back bit by bit, by the writer, by a reader beside it,
// and after the study was closed and opened.
func TestRoundTrip(t *testing.T) {
	object := rapid.Custom(func(t *rapid.T) json.RawMessage {
		text, _ := json.Marshal(rapid.MapOf(rapid.String(), rapid.Float64Range(-1e9, 1e9)).Draw(t, "object"))
		return text
	})
	finite := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64)
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 50)
	// What others say comes back without what not every program can read.
	said := rapid.Map(rapid.String(), func(s string) string { return strings.ReplaceAll(s, "\x00", "0") })
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		path := filepath.Join(dir, fmt.Sprintf("%d ?#%%&.db", runs))
		study := Study{
			Name: rapid.String().Draw(rt, "name"), Config: rapid.String().Draw(rt, "config"), Version: rapid.String().Draw(rt, "version"),
			Seed:    rapid.Uint64Max(math.MaxInt64).Draw(rt, "seed"),
			Created: time.UnixMilli(rapid.Int64Range(0, 1e13).Draw(rt, "created")).UTC(),
			Files:   rapid.MapOfN(rapid.String(), bytes, 0, 3).Draw(rt, "files"),
		}
		w := must1[*Writer](t)(Create(path, study))
		defer func() { w.Close() }()

		var want []Trial
		n := rapid.IntRange(0, 6).Draw(rt, "trials")
		for id := range n {
			p := Proposal{
				ID: id * 1000, Key: fmt.Sprint(id, rapid.String().Draw(rt, "key")), Architecture: object.Draw(rt, "architecture"), Genome: bytes.Draw(rt, "genome"),
				Generation: rapid.IntRange(0, 9).Draw(rt, "generation"), Parents: rapid.SliceOfN(rapid.Int(), 0, 3).Draw(rt, "parents"),
				Operator: rapid.String().Draw(rt, "operator"), Costs: object.Draw(rt, "costs"),
			}
			trial := Trial{Proposal: p, State: Queued, Result: Result{Trial: p.ID}}
			must(t, w.Queue(p))
			if rapid.Bool().Draw(rt, "start") {
				trial.State, trial.Attempts, trial.Worker = Running, 1, said.Draw(rt, "worker")
				trial.Result.Worker = trial.Worker
				must(t, w.Start(trial.Worker, p.ID))
				for epoch := range rapid.IntRange(0, 3).Draw(rt, "epochs") {
					trial.Last = Epoch{p.ID, 1, epoch * 5, finite.Draw(rt, "epoch accuracy")}
					must(t, w.Progress(trial.Last))
				}
			}
			if rapid.Bool().Draw(rt, "finish") {
				r := Result{
					Trial: p.ID, Metrics: object.Draw(rt, "metrics"), Objectives: rapid.SliceOfN(finite, 0, 3).Draw(rt, "objectives"),
					Violation: rapid.Float64Range(0, 1e300).Draw(rt, "violation"), Error: said.Draw(rt, "error"),
					Seconds: rapid.Float64Range(0, 1e9).Draw(rt, "seconds"), Stderr: said.Draw(rt, "stderr"), Worker: "w" + said.Draw(rt, "finisher"),
				}
				if r.Error == "" {
					r.Accuracy = rapid.Float64Range(0, 1).Draw(rt, "accuracy")
				}
				trial.Result, trial.State, trial.Worker = r, r.State(), r.Worker
				equal(t, "verdict", must1[[]Verdict](t)(w.Finish(r)), []Verdict{Accepted})
				equal(t, "second verdict", must1[[]Verdict](t)(w.Finish(r)), []Verdict{Repeated})
			}
			want = append(want, trial)
		}
		checkpoint := Checkpoint{Evaluations: rapid.IntRange(0, 1e9).Draw(rt, "evaluations"), State: bytes.Draw(rt, "state"), Ended: rapid.String().Draw(rt, "ended")}
		full := checkpoint
		for i := range rapid.IntRange(0, 4).Draw(rt, "generations") {
			full.Generations = append(full.Generations, Generation{i * 7, finite.Draw(rt, "hypervolume"), i, finite.Draw(rt, "best"), finite.Draw(rt, "seconds")})
			full.Archive = append(full.Archive, Member{i, rapid.String().Draw(rt, "key"), bytes.Draw(rt, "genome"), []float64{finite.Draw(rt, "objective")}, object.Draw(rt, "extra")})
		}
		must(t, w.Save(full))

		check := func(r *Reader) {
			ignored := cmpopts.IgnoreFields(Trial{}, "Queued", "Started", "Finished")
			got := must1[[]Trial](t)(r.Trials())
			equal(t, "trials", got, want, ignored)
			for i := range got {
				one := must1[Trial](t)(r.Trial(want[i].ID))
				equal(t, "trial", one, got[i])
				if one.Queued.IsZero() || one.Started.IsZero() == (one.Attempts > 0) || one.Finished.IsZero() == (one.State == Done || one.State == Failed) {
					t.Errorf("times of a trial that is %s: %+v", one.State, one)
				}
			}
			count := map[State]int{}
			for _, x := range want {
				count[x.State]++
			}
			equal(t, "count", must1[map[State]int](t)(r.Count()), count)
			equal(t, "study", must1[Study](t)(r.Study()), study)
			equal(t, "checkpoint", must1[Checkpoint](t)(r.Checkpoint()), checkpoint, cmpopts.IgnoreFields(Checkpoint{}, "Saved"))
			equal(t, "generations", must1[[]Generation](t)(r.Generations()), full.Generations)
			equal(t, "archive", must1[[]Member](t)(r.Archive()), full.Archive)
		}
		check(w.Reader)
		r := must1[*Reader](t)(OpenRead(path))
		check(r)
		must(t, r.Close())
		must(t, w.Close())
		w = must1[*Writer](t)(Open(path))
		check(w.Reader)
	})
}

func TestTrialsByState(t *testing.T) {
	w := create(t)
	must(t, w.Queue(proposal(0), proposal(1), proposal(2), proposal(3)))
	must(t, w.Start("a", 1, 2))
	must1[[]Verdict](t)(w.Finish(result(2), result(3)))
	for _, c := range []struct {
		states []State
		want   []int
	}{
		{nil, []int{0, 1, 2, 3}},
		{[]State{Queued}, []int{0}},
		{[]State{Running, Queued}, []int{0, 1}},
		{[]State{Done}, []int{2}},
		{[]State{Failed, Done}, []int{2, 3}},
	} {
		var got []int
		for _, trial := range must1[[]Trial](t)(w.Trials(c.states...)) {
			got = append(got, trial.ID)
		}
		equal(t, fmt.Sprint(c.states), got, c.want)
	}
	if _, err := w.Trial(4); !errors.Is(err, ErrUnknown) {
		t.Errorf("a trial that is not there: %v", err)
	}
}

// The first result of a trial stays, and no other is lost.
func TestFinishTwice(t *testing.T) {
	failed := Result{Trial: 1, Error: "time-out"}
	for _, c := range []struct {
		name          string
		first, second Result
		want          Verdict
	}{
		{"same", result(1), result(1), Repeated},
		{"same, from another worker", result(1), func() Result { r := result(1); r.Worker, r.Seconds, r.Stderr = "b", 1, ""; return r }(), Repeated},
		{"another accuracy", result(1), Result{Trial: 1, Accuracy: 0.9}, Late},
		{"other metrics", result(1), func() Result { r := result(1); r.Metrics = json.RawMessage(`{}`); return r }(), Late},
		{"other objectives", result(1), func() Result { r := result(1); r.Objectives = nil; return r }(), Late},
		{"done after a failure", failed, result(1), Late},
		{"failure after done", result(1), failed, Late},
		{"same failure", failed, Result{Trial: 1, Error: "time-out", Accuracy: math.NaN()}, Repeated},
		{"another failure", failed, Result{Trial: 1, Error: "exit status 1", Accuracy: math.Inf(1)}, Late},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t)
			must(t, w.Queue(proposal(1)))
			must1[[]Verdict](t)(w.Finish(c.first))
			before := must1[Trial](t)(w.Trial(1))
			for range 2 { // a late result may come again, too
				equal(t, "verdict", must1[[]Verdict](t)(w.Finish(c.second)), []Verdict{c.want})
			}
			must(t, w.Start("c", 1))
			must(t, w.Progress(Epoch{Trial: 1, Epoch: 1, Accuracy: 0.5}))
			must(t, w.Retry(failed))
			equal(t, "trial", must1[Trial](t)(w.Trial(1)), before)
			others := must1[[]Other](t)(w.Others())
			if c.want == Repeated {
				equal(t, "others", others, nil)
				return
			}
			want := c.second
			if want.Error != "" {
				want.Accuracy = 0
			}
			equal(t, "others", others, []Other{{Result: want, Late: true}}, cmpopts.IgnoreFields(Other{}, "Received"))
		})
	}
	t.Run("within one call", func(t *testing.T) {
		w := create(t)
		must(t, w.Queue(proposal(1)))
		equal(t, "verdicts", must1[[]Verdict](t)(w.Finish(result(1), result(1), failed)), []Verdict{Accepted, Repeated, Late})
	})
}

func TestRetry(t *testing.T) {
	w := create(t)
	must(t, w.Queue(proposal(1)))
	must(t, w.Start("a", 1))
	must(t, w.Progress(Epoch{Trial: 1, Epoch: 1, Accuracy: 0.25}, Epoch{Trial: 1, Epoch: 2, Accuracy: 0.5}))
	died := Result{Trial: 1, Error: "the worker died", Stderr: "killed"}
	for range 2 {
		must(t, w.Retry(died))
		trial := must1[Trial](t)(w.Trial(1))
		if trial.State != Queued || trial.Attempts != 1 || trial.Result.Error != died.Error || trial.Result.Stderr != "killed" {
			t.Errorf("after a retry: %+v", trial)
		}
	}
	must(t, w.Start("b", 1))
	must(t, w.Progress(Epoch{Trial: 1, Epoch: 1, Accuracy: 0.125}, Epoch{Trial: 1, Epoch: 1, Accuracy: 0.375}))
	equal(t, "epochs", must1[[]Epoch](t)(w.Epochs(1)), []Epoch{{1, 1, 1, 0.25}, {1, 1, 2, 0.5}, {1, 2, 1, 0.375}})
	must1[[]Verdict](t)(w.Finish(Result{Trial: 1, Accuracy: 0.7}))
	trial := must1[Trial](t)(w.Trial(1))
	if trial.Attempts != 2 || trial.Worker != "b" || trial.Result.Error != "" || trial.Result.Stderr != "" || trial.Last != (Epoch{1, 2, 1, 0.375}) {
		t.Errorf("in the end: %+v", trial)
	}
	equal(t, "others", must1[[]Other](t)(w.Others()), []Other{{Result: died, Attempt: 1}}, cmpopts.IgnoreFields(Other{}, "Received"))
}

// What is wrong is refused with a message, and nothing of the call is stored.
func TestRefused(t *testing.T) {
	changed := func(change func(*Proposal)) Proposal {
		p := proposal(9)
		change(&p)
		return p
	}
	nan := math.NaN()
	for _, c := range []struct {
		name string
		do   func(w *Writer) error
		is   error
		want string
	}{
		{"number of another", func(w *Writer) error { return w.Queue(proposal(8), changed(func(p *Proposal) { p.ID = 1 })) }, ErrConflict, `trial 1 with key "key-9", and trial 1 with key "key-1" is there`},
		{"key of another", func(w *Writer) error { return w.Queue(proposal(8), changed(func(p *Proposal) { p.Key = "key-1" })) }, ErrConflict, `trial 9 with key "key-1", and trial 1 with key "key-1" is there`},
		{"negative number", func(w *Writer) error { return w.Queue(changed(func(p *Proposal) { p.ID = -1 })) }, nil, "trial -1: the number is negative"},
		{"no key", func(w *Writer) error { return w.Queue(changed(func(p *Proposal) { p.Key = "" })) }, nil, "trial 9 has no key"},
		{"architecture", func(w *Writer) error {
			return w.Queue(changed(func(p *Proposal) { p.Architecture = json.RawMessage("{") }))
		}, nil, "trial 9: the architecture is not JSON"},
		{"costs", func(w *Writer) error {
			return w.Queue(changed(func(p *Proposal) { p.Costs = json.RawMessage("[1]") }))
		}, nil, "trial 9: costs are no JSON object"},
		{"start unknown", func(w *Writer) error { return w.Start("a", 1, 9) }, ErrUnknown, "trial 9"},
		{"progress unknown", func(w *Writer) error { return w.Progress(Epoch{Trial: 9}) }, ErrUnknown, "trial 9"},
		{"progress NaN", func(w *Writer) error { return w.Progress(Epoch{Trial: 1, Accuracy: nan}) }, nil, "trial 1: epoch's accuracy is NaN"},
		{"negative epoch", func(w *Writer) error { return w.Progress(Epoch{Trial: 1, Epoch: -1}) }, nil, "trial 1: epoch is -1"},
		{"finish unknown", func(w *Writer) error { _, err := w.Finish(result(1), result(9)); return err }, ErrUnknown, "trial 9"},
		{"accuracy NaN", func(w *Writer) error { _, err := w.Finish(Result{Trial: 1, Accuracy: nan}); return err }, nil, "accuracy is NaN, want 0 to 1"},
		{"accuracy 1.5", func(w *Writer) error { _, err := w.Finish(Result{Trial: 1, Accuracy: 1.5}); return err }, nil, "accuracy is 1.5, want 0 to 1"},
		{"objective", func(w *Writer) error { _, err := w.Finish(Result{Trial: 1, Objectives: []float64{nan}}); return err }, nil, "objective is NaN"},
		{"violation", func(w *Writer) error { _, err := w.Finish(Result{Trial: 1, Violation: -1}); return err }, nil, "violation is -1"},
		{"seconds", func(w *Writer) error { _, err := w.Finish(Result{Trial: 1, Seconds: nan}); return err }, nil, "seconds are NaN"},
		{"metrics", func(w *Writer) error {
			_, err := w.Finish(Result{Trial: 1, Metrics: json.RawMessage("3")})
			return err
		}, nil, "metrics are no JSON object"},
		{"retry unknown", func(w *Writer) error { return w.Retry(Result{Trial: 9, Error: "x"}) }, ErrUnknown, "trial 9"},
		{"retry without a reason", func(w *Writer) error { return w.Retry(Result{Trial: 1}) }, nil, "it needs an error that says why"},
		{"two members of one number", func(w *Writer) error {
			return w.Save(Checkpoint{Evaluations: 2, Generations: []Generation{{Evaluations: 2}}, Archive: []Member{{ID: 3}, {ID: 3}}})
		}, nil, "member 3"},
		{"member", func(w *Writer) error { return w.Save(Checkpoint{Archive: []Member{{Objectives: []float64{nan}}}}) }, nil, "objective is NaN"},
		{"extra", func(w *Writer) error {
			return w.Save(Checkpoint{Archive: []Member{{ID: 4, Extra: json.RawMessage("x")}}})
		}, nil, "member 4: what is extra is not JSON"},
		{"generation", func(w *Writer) error { return w.Save(Checkpoint{Generations: []Generation{{Hypervolume: nan}}}) }, nil, "NaN is no finite number"},
		{"conflict in a checkpoint", func(w *Writer) error {
			return w.Save(Checkpoint{Evaluations: 2, Queue: []Proposal{proposal(8), changed(func(p *Proposal) { p.ID = 1 })}})
		}, ErrConflict, "trial 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t)
			must(t, w.Queue(proposal(1)))
			must(t, w.Save(Checkpoint{Evaluations: 1, State: []byte("one"), Generations: []Generation{{Evaluations: 1}}, Archive: []Member{{ID: 1}}}))
			before := contents(t, w.Reader)
			err := c.do(w)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), w.path) {
				t.Fatalf("error %q, want the file and %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			equal(t, "contents", contents(t, w.Reader), before)
		})
	}
	if _, err := Create(filepath.Join(t.TempDir(), "study.db"), Study{Seed: 1 << 63}); err == nil || !strings.Contains(err.Error(), "seed is 9223372036854775808") {
		t.Errorf("a seed that SQLite cannot hold: %v", err)
	}
}

// contents returns all that a study holds.
func contents(t testing.TB, r *Reader) []any {
	t.Helper()
	all := []any{
		must1[Study](t)(r.Study()), must1[[]Trial](t)(r.Trials()), must1[[]Other](t)(r.Others()), must1[Checkpoint](t)(r.Checkpoint()),
		must1[[]Generation](t)(r.Generations()), must1[[]Member](t)(r.Archive()),
	}
	for _, trial := range all[1].([]Trial) {
		all = append(all, must1[[]Epoch](t)(r.Epochs(trial.ID)))
	}
	return all
}

// A checkpoint replaces, adds, or leaves.
func TestSave(t *testing.T) {
	w := create(t)
	equal(t, "no checkpoint", must1[Checkpoint](t)(w.Checkpoint()), Checkpoint{})
	must(t, w.Save(Checkpoint{Evaluations: 10, Generations: []Generation{{Evaluations: 10, Front: 1}}, Archive: []Member{{ID: 1}, {ID: 2}}, Files: map[string][]byte{"a": {1}, "b": {2}}}))
	must(t, w.Save(Checkpoint{Evaluations: 20, Generations: []Generation{{Evaluations: 20, Front: 2}}, Files: map[string][]byte{"b": {3}}, Queue: []Proposal{proposal(1)}}))
	equal(t, "archive left", must1[[]Member](t)(w.Archive()), []Member{{ID: 1}, {ID: 2}})
	must(t, w.Save(Checkpoint{Evaluations: 20, Ended: "exhausted", Generations: []Generation{{Evaluations: 20, Front: 3}}, Archive: []Member{{ID: 2}, {ID: 5}}, Queue: []Proposal{proposal(1), proposal(2)}}))
	equal(t, "archive", must1[[]Member](t)(w.Archive()), []Member{{ID: 2}, {ID: 5}})
	equal(t, "generations", must1[[]Generation](t)(w.Generations()), []Generation{{Evaluations: 10, Front: 1}, {Evaluations: 20, Front: 3}})
	equal(t, "files", must1[Study](t)(w.Study()).Files, map[string][]byte{"a": {1}, "b": {3}})
	equal(t, "queue", must1[map[State]int](t)(w.Count()), map[State]int{Queued: 2})
	equal(t, "ended", must1[Checkpoint](t)(w.Checkpoint()).Ended, "exhausted")
	must(t, w.Save(Checkpoint{Archive: []Member{}}))
	equal(t, "archive emptied", must1[[]Member](t)(w.Archive()), nil)
}

// What others have said can hold anything, and is read by any program.
func TestCleanText(t *testing.T) {
	w := create(t)
	must(t, w.Queue(proposal(1)))
	must1[[]Verdict](t)(w.Finish(Result{Trial: 1, Error: "a\xffb", Stderr: "c\x00d", Worker: "\x80"}))
	got := must1[Trial](t)(w.Trial(1)).Result
	equal(t, "text", []string{got.Error, got.Stderr, got.Worker}, []string{"a\uFFFDb", "c\uFFFDd", "\uFFFD"})
}

// Readers see every trial that was acknowledged before they looked, and states
// with what belongs to them, while several goroutines write.
func TestReadWhileWriting(t *testing.T) {
	w := create(t)
	const writers, each = 8, 40
	var stored, ready sync.WaitGroup
	acknowledged := make([][]int, writers)
	var mu sync.Mutex
	ready.Add(1)
	for g := range writers {
		stored.Go(func() {
			ready.Wait()
			for i := range each {
				id := g*each + i
				if err := errors.Join(w.Queue(proposal(id)), w.Start("a", id)); err != nil {
					t.Error(err)
				}
				// One in the group that fails does not harm the others.
				if err := w.Start("a", 1e6+id); !errors.Is(err, ErrUnknown) {
					t.Errorf("unknown trial: %v", err)
				}
				if _, err := w.Finish(result(id)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				acknowledged[g] = append(acknowledged[g], id)
				mu.Unlock()
			}
		})
	}
	stored.Go(func() {
		ready.Wait()
		for i := range each {
			c := Checkpoint{Evaluations: i, Generations: []Generation{{Evaluations: i}}, Archive: []Member{{ID: i}}}
			if err := w.Save(c); err != nil {
				t.Error(err)
			}
		}
	})
	r := must1[*Reader](t)(OpenRead(w.path))
	defer r.Close()
	done := make(chan struct{})
	go func() { stored.Wait(); close(done) }()
	ready.Done()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		mu.Lock()
		want := slices.Concat(acknowledged...)
		mu.Unlock()
		for _, reader := range []*Reader{r, w.Reader} {
			finished := make(map[int]bool)
			for _, trial := range must1[[]Trial](t)(reader.Trials(Done, Failed)) {
				finished[trial.ID] = true
			}
			for _, id := range want {
				if !finished[id] {
					t.Fatalf("trial %d was finished, and is not read", id)
				}
			}
			var evaluations, generation, member int
			must(t, reader.db.QueryRow("SELECT evaluations, (SELECT max(evaluations) FROM generations), (SELECT max(id) FROM archive) FROM state UNION ALL SELECT 0, 0, 0 LIMIT 1").Scan(&evaluations, &generation, &member))
			if evaluations != generation || evaluations != member {
				t.Fatalf("state after %d evaluations with the history of %d and the front of %d", evaluations, generation, member)
			}
		}
	}
	equal(t, "count", must1[map[State]int](t)(r.Count()), map[State]int{Done: writers*each - 46, Failed: 46})
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "study.db")
	must(t, os.WriteFile(path+".new", []byte("left by one that was killed"), 0o644))
	w := must1[*Writer](t)(Create(path, Study{Name: "a"}))
	if created := must1[Study](t)(w.Study()).Created; created.IsZero() {
		t.Error("the time of creation is missing")
	}
	if _, err := Create(path, Study{Name: "b"}); !errors.As(err, new(*InUseError)) {
		t.Errorf("over a study in use: %v", err)
	}
	must(t, w.Close())
	must(t, w.Close())
	if err := w.Queue(proposal(1)); err == nil || !strings.Contains(err.Error(), "the study is closed") {
		t.Errorf("queue after close: %v", err)
	}
	names := must1[[]string](t)(filepath.Glob(filepath.Join(dir, "*")))
	equal(t, "files", slices.DeleteFunc(names, func(s string) bool { return strings.HasSuffix(s, ".lock") }), []string{path})
	if _, err := Create(path, Study{Name: "b"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a study: %v", err)
	}
	must(t, os.Rename(path, path+"-wal"))
	if _, err := Create(path, Study{Name: "b"}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "study.db-wal") {
		t.Errorf("beside the log of a lost study: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "none", "study.db"), Study{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// What is no sound study is refused, by writers and readers, and not changed.
func TestOpenRefuses(t *testing.T) {
	run := func(t *testing.T, path string, statements ...string) {
		db := must1[*sql.DB](t)(sql.Open("sqlite", source(path, "mode=rwc")))
		defer db.Close()
		for _, s := range statements {
			must1[sql.Result](t)(db.Exec(s))
		}
	}
	edit := func(edit func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			must(t, os.WriteFile(path, edit(must1[[]byte](t)(os.ReadFile(path))), 0o644))
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		is    error
		want  string
	}{
		{"nothing", func(t *testing.T, path string) { must(t, os.Remove(path)) }, fs.ErrNotExist, "there is no study"},
		{"folder", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o755)) }, ErrNotStudy, "it is a folder"},
		{"empty", edit(func([]byte) []byte { return nil }), ErrNotStudy, "it is empty"},
		{"text", edit(func([]byte) []byte { return []byte(strings.Repeat("accuracy,macs\n", 1000)) }), ErrNotStudy, "no SQLite database"},
		{"short text", edit(func([]byte) []byte { return []byte("accuracy,macs\n") }), ErrNotStudy, "no SQLite database"},
		{"another application", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			run(t, path, "CREATE TABLE trials (id INTEGER PRIMARY KEY)")
		}, ErrNotStudy, "of another application"},
		{"newer schema", func(t *testing.T, path string) { run(t, path, "PRAGMA user_version = 3") }, ErrNewer, "written by a newer nas: schema 3, this one knows up to 1"},
		{"no schema", func(t *testing.T, path string) { run(t, path, "PRAGMA user_version = 0") }, ErrCorrupt, "its schema is 0"},
		{"no table", func(t *testing.T, path string) { run(t, path, "DROP TABLE archive") }, ErrCorrupt, `it has no table "archive"`},
		{"truncated to a half", edit(func(b []byte) []byte { return b[:len(b)/2] }), ErrCorrupt, "restore it from a copy"},
		{"truncated by a byte", edit(func(b []byte) []byte { return b[:len(b)-1] }), ErrCorrupt, "restore it from a copy"},
		{"truncated to a page", edit(func(b []byte) []byte { return b[:4096] }), ErrCorrupt, "restore it from a copy"},
		{"first bytes", edit(func(b []byte) []byte { copy(b, "sqlite?"); return b }), ErrNotStudy, "its first bytes are damaged"},
		{"page of the schema", edit(func(b []byte) []byte { clear(b[100:4096]); return b }), ErrCorrupt, "restore it from a copy"},
		{"page in the middle", edit(func(b []byte) []byte {
			for i := range b[20*4096 : 21*4096] {
				b[20*4096+i] = byte(i)
			}
			return b
		}), ErrCorrupt, "restore it from a copy"},
		{"pages of zeros", edit(func(b []byte) []byte { clear(b[20*4096 : 30*4096]); return b }), ErrCorrupt, "restore it from a copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t)
			path := w.path
			fill(t, w, 200)
			must(t, w.Close())
			c.spoil(t, path)
			before, _ := os.ReadFile(path)
			check := func(err error) {
				t.Helper()
				if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q, want the file and %q", err, c.want)
				}
			}
			r, err := OpenRead(path)
			check(err)
			if r != nil {
				t.Error("a reader beside an error")
			}
			_, err = Open(path)
			check(err)
			_, err = Open(path) // the first one has left no lock
			check(err)
			after, _ := os.ReadFile(path)
			if string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

// Damage that comes after the study was opened is reported when it is met.
func TestDamageMetLater(t *testing.T) {
	w := create(t)
	fill(t, w, 4000)
	path := w.path
	must(t, w.Close())
	r := must1[*Reader](t)(OpenRead(path))
	defer r.Close()
	f := must1[*os.File](t)(os.OpenFile(path, os.O_RDWR, 0))
	defer f.Close()
	size := must1[os.FileInfo](t)(f.Stat()).Size()
	must1[int](t)(f.WriteAt(make([]byte, size-100*4096), 50*4096))
	if _, err := r.Trials(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("reading damaged pages: %v", err)
	}
}

// A value that cannot be read is damage too.
func TestDamagedValue(t *testing.T) {
	for _, c := range []struct {
		statement string
		read      func(r *Reader) error
	}{
		{"UPDATE trials SET parents = '[1'", func(r *Reader) error { _, err := r.Trials(); return err }},
		{"UPDATE trials SET objectives = '[\"a\"]'", func(r *Reader) error { _, err := r.Trial(1); return err }},
		{"UPDATE trials SET queued = 'yesterday'", func(r *Reader) error { _, err := r.Trials(); return err }},
		{"UPDATE trials SET generation = 'first'", func(r *Reader) error { _, err := r.Trials(); return err }},
		{"UPDATE study SET created = ' '", func(r *Reader) error { _, err := r.Study(); return err }},
		{"DELETE FROM study", func(r *Reader) error { _, err := r.Study(); return err }},
		{"UPDATE state SET saved = 'x'", func(r *Reader) error { _, err := r.Checkpoint(); return err }},
		{"UPDATE archive SET objectives = ''", func(r *Reader) error { _, err := r.Archive(); return err }},
		{"UPDATE other_results SET result = '{'", func(r *Reader) error { _, err := r.Others(); return err }},
		{"UPDATE other_results SET received = '-'", func(r *Reader) error { _, err := r.Others(); return err }},
	} {
		w := create(t)
		fill(t, w, 3)
		must1[[]Verdict](t)(w.Finish(Result{Trial: 1, Error: "late"}))
		must(t, w.Save(Checkpoint{Archive: []Member{{ID: 1}}}))
		must1[sql.Result](t)(w.db.Exec("SELECT 1"))
		must1[int64](t)(w.exec(c.statement))
		if err := c.read(w.Reader); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), w.path) {
			t.Errorf("%s: %v", c.statement, err)
		}
	}
}

// A full disk loses nothing that was stored, and what failed can be repeated.
func TestFull(t *testing.T) {
	w := create(t)
	fill(t, w, 50)
	before := contents(t, w.Reader)
	limit := func(pages int64) {
		must1[sql.Result](t)(w.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)))
	}
	limit(1) // as many as there are
	var more []Proposal
	for id := range 100 {
		more = append(more, proposal(1000+id))
	}
	for range 2 {
		if err := w.Queue(more...); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), w.path+": the disk is full; make space and go on") {
			t.Fatalf("on a full disk: %v", err)
		}
		equal(t, "contents", contents(t, w.Reader), before)
	}
	if err := w.Save(Checkpoint{State: make([]byte, 1<<20)}); !errors.Is(err, ErrFull) {
		t.Errorf("a state on a full disk: %v", err)
	}
	equal(t, "contents", contents(t, w.Reader), before)
	limit(1 << 30)
	must(t, w.Queue(more...))
	equal(t, "count", must1[map[State]int](t)(w.Count())[Queued], 100)
}
