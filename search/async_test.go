package search_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/search"
)

// dawdle takes a random time, so that calls end in another order than they began.
func dawdle() {
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	if rand.IntN(50) == 0 {
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	}
}

// singly returns an evaluator of single candidates that takes a random time.
func singly(f func(genes) search.Evaluation) search.Evaluator[genes] {
	return search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		if len(batch) != 1 || len(out) != 1 {
			return errors.New("not one candidate")
		}
		dawdle()
		if ctx.Err() == nil {
			out[0] = f(batch[0].Genome)
		}
		return ctx.Err()
	})
}

// forbidden screens a third of the candidates of [hard], some of which fail.
func forbidden(c search.Candidate[genes]) search.Evaluation {
	switch {
	case c.Genome[5] > 7:
		return search.Evaluation{Violation: float64(c.Genome[5])}
	case c.Genome[6] == 9:
		return search.Evaluation{Err: errors.New("cannot be built")}
	}
	return search.Evaluation{}
}

// A record is what a recorder saw.
type record struct {
	Counts               search.Counts
	Outcomes             []search.Outcome[genes]
	Screened             bool
	FrontSize, Unchanged int
	Hypervolume          float64
	Front                []search.Outcome[genes]
}

func newRecord(p search.Progress[genes]) record {
	return record{p.Counts, p.Batch, p.Screened, p.FrontSize, p.Unchanged, p.Hypervolume, p.Front()}
}

// records runs a search and returns all that was recorded.
func records(t rapid.TB, m search.Method[genes], ev search.Evaluator[genes], s search.Settings[genes]) (search.Result[genes], []record) {
	t.Helper()
	var all []record
	s.Recorder = func(p search.Progress[genes]) error { all = append(all, newRecord(p)); return nil }
	result, err := search.Run(context.Background(), m, ev, s)
	if err != nil {
		t.Fatal(err)
	}
	return result, all
}

// brief returns how many evaluations are enough to interrupt: more than one batch of
// a method that takes long to think.
func brief(t *testing.T) int {
	if strings.HasSuffix(t.Name(), "/guided") {
		return 14
	}
	return budget(t, 150)
}

// endings are the ways for a search of so many evaluations to end.
func endings(evaluations int) []search.Settings[genes] {
	s := search.Settings[genes]{Asynchronous: true, Evaluations: evaluations, Reference: []float64{1.1, 1.1}}
	ends := []search.Settings[genes]{s, s, s, s}
	ends[1].Target = 0.3
	ends[2].Stagnation = 20
	ends[3].Epsilon = []float64{0.1, 0.1}
	for i := range ends[2:] {
		ends[2+i].Screen = forbidden
		ends[2+i].Evaluations = evaluations * 2 / 3 // more are proposed
	}
	return ends
}

// Whichever call ends first, the history is the same, one outcome after the other,
// and ends with the same one.
func TestAsynchronous(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		for _, s := range endings(brief(t)) {
			s.Workers = 1
			want, wantAll := records(t, method(space, 7), singly(hard(space)), s)
			for i, r := range wantAll {
				if len(r.Outcomes) != 1 || r.Outcomes[0].ID != i {
					t.Fatalf("record %d is of %+v", i, r.Outcomes)
				}
			}
			if want.Evaluations > s.Evaluations || want.Status == search.EvaluationLimit && want.Evaluations < s.Evaluations {
				t.Errorf("%s after %d evaluations of %d", want.Status, want.Evaluations, s.Evaluations)
			}
			for _, s.Workers = range []int{3, 16} {
				got, gotAll := records(t, method(space, 7), singly(hard(space)), s)
				if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantAll, gotAll) {
					t.Errorf("-1 worker +%d, %d and %d records:\n%s\n%s", s.Workers, len(wantAll), len(gotAll), gocmp.Diff(want, got), gocmp.Diff(wantAll, gotAll))
				}
			}
		}
	})
}

// Without a reason to stop early, it is the search that goes on batch by batch.
func TestAsynchronousIsAsSynchronous(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		s := search.Settings[genes]{Evaluations: budget(t, 300)}
		want, wantAll := history(t, method(space, 7), each(hard(space)), s)
		s.Asynchronous, s.Workers = true, 5
		got, gotAll := history(t, method(space, 7), singly(hard(space)), s)
		if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantAll, gotAll) {
			t.Errorf("-synchronous +asynchronous:\n%s\n%s", gocmp.Diff(want, got), gocmp.Diff(wantAll, gotAll))
		}
	})
}

// A space is exhausted only when what is under way has led to nothing new, also if
// nothing succeeds.
func TestAsynchronousExhausts(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{3, 5}
		for name, f := range map[string]func(genes) search.Evaluation{
			"fine": func(x genes) search.Evaluation { return search.Evaluation{Objectives: space.zdt1(x)} },
			"fail": func(genes) search.Evaluation { return search.Evaluation{Err: errors.New("no")} },
		} {
			s := search.Settings[genes]{Asynchronous: true}
			want, wantAll := history(t, method(space, 1), each(f), search.Settings[genes]{})
			for _, s.Workers = range []int{1, 7, 200} {
				got, gotAll := history(t, method(space, 1), singly(f), s)
				if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(wantAll, gotAll) {
					t.Errorf("%s, %d workers: %s after %d evaluations, want %s after %d", name, s.Workers, got.Status, got.Evaluations, want.Status, want.Evaluations)
				}
			}
		}
	})
}

// All workers are busy as long as the method does not wait.
func TestAsynchronousKeepsWorkersBusy(t *testing.T) {
	const workers = 4
	space := grid{8, 10}
	var busy sync.WaitGroup // of the first calls
	busy.Add(workers)
	var calls atomic.Int64
	ev := singly(func(x genes) search.Evaluation {
		if calls.Add(1) <= workers {
			busy.Done()
			busy.Wait() // for ever, if the others are not begun
		}
		return search.Evaluation{Objectives: space.zdt1(x)}
	})
	result, _ := history(t, methods["random"](t, space, 1), ev, search.Settings[genes]{Asynchronous: true, Workers: workers, Evaluations: 9})
	if result.Evaluations != 9 || calls.Load() != 9 {
		t.Errorf("%d evaluations, %d calls", result.Evaluations, calls.Load())
	}
}

var errFault = errors.New("out of memory")

// stopped runs a search that is interrupted, or fails, after so many evaluations.
// It returns what was recorded.
func stopped(t *rapid.T, m search.Method[genes], s search.Settings[genes], after int, fail bool, f func(genes) search.Evaluation) (search.Result[genes], []search.Outcome[genes], *search.Snapshot[genes]) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var n atomic.Int64
	ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		for i, c := range batch {
			dawdle()
			switch k := int(n.Add(1)); {
			case k <= after || k > after+1 && k%2 == 0: // some come in spite of it
				out[i] = f(c.Genome)
			case fail:
				return errFault
			default:
				cancel()
				return ctx.Err()
			}
		}
		return nil
	})
	var recorded []search.Outcome[genes]
	var last *search.Snapshot[genes]
	s.Recorder = func(p search.Progress[genes]) error {
		recorded = append(recorded, p.Batch...)
		snapshot := p.Snapshot()
		last = &snapshot
		return nil
	}
	result, err := search.Run(ctx, m, ev, s)
	if err != nil && (!fail || !errors.Is(err, errFault)) {
		t.Fatal(err)
	}
	return result, recorded, last
}

// Interrupted or with errors, again and again, an asynchronous search comes to the
// result of one that was not: from all outcomes, or from snapshots.
func TestAsynchronousGoesOn(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		ends := endings(brief(t))
		var wants []search.Result[genes]
		for _, s := range ends {
			s.Workers = 1
			want, _ := records(t, method(space, 7), singly(hard(space)), s)
			wants = append(wants, want)
		}
		rapid.Check(t, func(rt *rapid.T) {
			which := rapid.IntRange(0, len(ends)-1).Draw(rt, "end")
			s, want := ends[which], wants[which]
			snapshots := rapid.Bool().Draw(rt, "snapshots")
			m := method(space, 7)
			var got search.Result[genes]
			for runs := 0; got.Status != want.Status; runs++ {
				if runs > 0 {
					m = loaded(rt, m, method(space, 7))
				}
				if runs > 200 {
					rt.Fatalf("%s again and again, want %s", got.Status, want.Status)
				}
				s.Workers = rapid.SampledFrom([]int{1, 3, 16}).Draw(rt, "workers")
				var recorded []search.Outcome[genes]
				var last *search.Snapshot[genes]
				got, recorded, last = stopped(rt, m, s, rapid.IntRange(5, 80).Draw(rt, "after"), rapid.Bool().Draw(rt, "fail"), hard(space))
				if !slices.IsSortedFunc(recorded, func(a, b search.Outcome[genes]) int { return cmp.Compare(a.ID, b.ID) }) {
					rt.Error("recorded out of order")
				}
				switch {
				case !snapshots:
					s.Earlier = append(recorded, s.Earlier...) // in any order
				case last != nil:
					s.Resume = stored(rt, last)
				}
			}
			if !reflect.DeepEqual(got, want) {
				rt.Errorf("-without interruption +with:\n%s", gocmp.Diff(want, got, errorTexts))
			}
		})
	})
}

// errorTexts compares errors by their texts, as they come from a store.
var errorTexts = gocmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })

// stored returns a snapshot that was written and read again.
func stored(t rapid.TB, s *search.Snapshot[genes]) *search.Snapshot[genes] {
	t.Helper()
	data, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var again search.Snapshot[genes]
	if err := again.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	return &again
}

// A process that is killed leaves the state that it stored with its last
// proposals, and evaluations that are newer. The next one asks for them again, and
// comes to the same result without evaluating anything twice.
func TestAsynchronousKilled(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		ends := endings(brief(t))
		var wants []search.Result[genes]
		var histories [][]record
		for _, s := range ends {
			s.Workers = 1
			want, all := records(t, method(space, 7), singly(hard(space)), s)
			wants, histories = append(wants, want), append(histories, all)
		}
		rapid.Check(t, func(rt *rapid.T) {
			which := rapid.IntRange(0, len(ends)-1).Draw(rt, "end")
			s, want := ends[which], wants[which]
			snapshots := rapid.Bool().Draw(rt, "snapshots")
			var mu sync.Mutex
			trials := make(map[string]search.Evaluation) // outlive the process
			var state []byte                             // likewise, all of these
			var earlier, recorded []search.Outcome[genes]
			var snapshot, last *search.Snapshot[genes]
			var proposed map[string]bool

			var got search.Result[genes]
			for runs := 0; got.Status != want.Status; runs++ {
				if runs > 200 {
					rt.Fatalf("%s again and again, want %s", got.Status, want.Status)
				}
				m := method(space, 7)
				if state != nil {
					if err := m.UnmarshalBinary(state); err != nil {
						rt.Fatal(err)
					}
				}
				recorded, last = slices.Clone(earlier), snapshot
				proposed = make(map[string]bool)
				for _, c := range m.Pending() {
					proposed[c.Key] = true
				}
				if snapshots {
					s.Resume = snapshot
				} else {
					s.Earlier = earlier
				}
				ctx, cancel := context.WithCancel(context.Background())
				life := rapid.IntRange(5, 80).Draw(rt, "new trials until killed")
				ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
					dawdle()
					mu.Lock()
					defer mu.Unlock()
					c := batch[0]
					e, known := trials[c.Key]
					if !proposed[c.Key] {
						rt.Errorf("candidate %d was not proposed", c.ID)
					}
					if !known {
						if life--; life < 0 {
							cancel()
							return ctx.Err()
						}
						e = hard(space)(c.Genome)
						trials[c.Key] = e
					}
					out[0] = e
					return nil
				})
				s.Proposed = func(candidates []search.Candidate[genes]) error {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range candidates {
						proposed[c.Key] = true
					}
					var err error
					state, err = m.MarshalBinary()
					earlier, snapshot = slices.Clone(recorded), last
					return err
				}
				s.Recorder = func(p search.Progress[genes]) error {
					recorded = append(recorded, p.Batch...)
					if sn := p.Snapshot(); snapshots {
						last = &sn
					}
					if ctx.Err() == nil {
						if got, want := newRecord(p), histories[which][len(recorded)-1]; !reflect.DeepEqual(want, got) {
							rt.Errorf("-want +got record:\n%s", gocmp.Diff(want, got, errorTexts))
						}
					}
					return nil
				}
				s.Workers = rapid.SampledFrom([]int{1, 3, 16}).Draw(rt, "workers")
				var err error
				got, err = search.Run(ctx, m, ev, s)
				cancel()
				if err != nil {
					rt.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				rt.Errorf("-not killed +killed:\n%s", gocmp.Diff(want, got, errorTexts))
			}
		})
	})
}

// Screened candidates cost no evaluation.
func TestScreen(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		var evaluated atomic.Int64
		ev := singly(func(x genes) search.Evaluation {
			if e := forbidden(search.Candidate[genes]{Genome: x}); e.Err != nil || e.Violation > 0 {
				t.Errorf("%v was evaluated", x)
			}
			evaluated.Add(1)
			return search.Evaluation{Objectives: space.zdt1(x)}
		})
		n := budget(t, 100)
		var proposed []int
		var want search.Counts
		seen := 0
		result, err := search.Run(t.Context(), method(space, 3), ev, search.Settings[genes]{
			Asynchronous: true, Evaluations: n, Workers: 3, Screen: forbidden, Stagnation: 100,
			Proposed: func(candidates []search.Candidate[genes]) error {
				for _, c := range candidates {
					proposed = append(proposed, c.ID)
				}
				return nil
			},
			Recorder: func(p search.Progress[genes]) error {
				o := p.Batch[0]
				e := forbidden(o.Candidate)
				want.Generations = max(want.Generations, o.Generation+1)
				switch {
				case e.Err != nil:
					want.Failed++
				case e.Violation > 0:
					want.Infeasible++
				default:
					if o.ID != proposed[seen] {
						t.Errorf("candidate %d was evaluated, %d proposed", o.ID, proposed[seen])
					}
					seen++
					want.Evaluations++
				}
				if p.Screened != (e.Err != nil || e.Violation > 0) || p.Counts != want {
					t.Errorf("screened: %v, %+v, want %+v", p.Screened, p.Counts, want)
				}
				return nil
			},
		})
		if err != nil || result.Counts != want || result.Evaluations != n || int(evaluated.Load()) != n || len(proposed) != n || want.Failed+want.Infeasible == 0 {
			t.Errorf("%d evaluated, %d proposed, %+v, %v", evaluated.Load(), len(proposed), result, err)
		}
	})
}

// Where nothing passes the screen, a search ends.
func TestScreenRefusesAll(t *testing.T) {
	refuse := func(search.Candidate[genes]) search.Evaluation { return search.Evaluation{Violation: 1} }
	never := each(func(genes) search.Evaluation { panic("evaluated") })
	s := search.Settings[genes]{Asynchronous: true, Evaluations: 30, Screen: refuse, Stagnation: 1}
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		m := method(grid{3, 5}, 1)
		result, err := search.Run(t.Context(), m, never, s)
		if err != nil || result.Status != search.Exhausted || result.Infeasible == 0 || result.Evaluations != 0 || len(m.Pending()) > 0 {
			t.Errorf("%+v, %v", result, err)
		}
	})
	if testing.Short() {
		return
	}
	result, err := search.Run(t.Context(), methods["random"](t, grid{12, 10}, 1), never, s)
	if err == nil || !strings.Contains(err.Error(), "1000000 candidates") || result.Infeasible != 1_000_000 {
		t.Errorf("%+v, %v", result.Counts, err)
	}
}

// An error ends the search, with what is there.
func TestAsynchronousErrors(t *testing.T) {
	space := grid{8, 10}
	base := search.Settings[genes]{Asynchronous: true, Workers: 3}
	check := func(name string, m search.Method[genes], s search.Settings[genes], want error) {
		t.Helper()
		result, err := search.Run(t.Context(), m, singly(hard(space)), s)
		if !errors.Is(err, want) || result.Status != search.Failed || result.Evaluations < 10 {
			t.Errorf("%s: %+v, %v", name, result.Counts, err)
		}
	}
	n := 0
	s := base
	s.Recorder = func(search.Progress[genes]) error {
		if n++; n >= 10 {
			if n > 10 {
				t.Error("the recorder is called again")
			}
			return errFault
		}
		return nil
	}
	check("recorder", methods["random"](t, space, 1), s, errFault)
	asked := 0
	s = base
	s.Proposed = func(c []search.Candidate[genes]) error {
		if asked += len(c); asked > 20 {
			return errFault
		}
		return nil
	}
	check("proposed", methods["random"](t, space, 1), s, errFault)
	after := 20
	check("space", methods["random"](t, broken{space, "sample", &after}, 1), base, errBroken)
	for name, ask := range map[string]func(n int) ([]search.Candidate[genes], error){
		"nothing":  func(int) ([]search.Candidate[genes], error) { return nil, nil },
		"too many": func(n int) ([]search.Candidate[genes], error) { return make([]search.Candidate[genes], n+1), nil },
		"pending":  func(int) ([]search.Candidate[genes], error) { return nil, search.ErrPending },
	} {
		if result, err := search.Run(t.Context(), stub{ask}, singly(hard(space)), base); err == nil || result.Status != search.Failed {
			t.Errorf("%s: status %s, error %v", name, result.Status, err)
		}
	}
}

// When a search has stopped, what is under way is called off, and pending.
func TestAsynchronousStopCancels(t *testing.T) {
	space := grid{8, 10}
	m := methods["random"](t, space, 1)
	var mu sync.Mutex
	var called []int
	ev := search.EvaluatorFunc[genes](func(ctx context.Context, batch []search.Candidate[genes], out []search.Evaluation) error {
		if batch[0].ID > 0 {
			<-ctx.Done() // it would take for ever
			mu.Lock()
			called = append(called, batch[0].ID)
			mu.Unlock()
		}
		out[0] = search.Evaluation{Objectives: []float64{0, 0}}
		return nil
	})
	result, all := history(t, m, ev, search.Settings[genes]{Asynchronous: true, Workers: 4, Reference: []float64{1, 1}, Target: 1})
	pending := make(map[int]bool)
	for _, c := range m.Pending() {
		pending[c.ID] = true
	}
	slices.Sort(called)
	if result.Status != search.TargetReached || result.Evaluations != 1 || len(all) != 1 || !slices.Equal(slices.Sorted(maps.Keys(pending)), called) {
		t.Errorf("%+v, pending %v, called off %v", result, pending, called)
	}
}

func TestBadAsynchronousSettings(t *testing.T) {
	space := grid{8, 10}
	for want, s := range map[string]search.Settings[genes]{
		"search: settings: only an asynchronous search can have a screen": {Screen: forbidden},
		"search: settings: only an asynchronous search can say what it has proposed": {
			Proposed: func([]search.Candidate[genes]) error { return nil },
		},
		"search: settings: a search goes on from earlier outcomes or from a snapshot, not from both": {
			Earlier: []search.Outcome[genes]{}, Resume: &search.Snapshot[genes]{},
		},
		"search: settings: resume: the front is not that of a search with these settings": {
			Resume: &search.Snapshot[genes]{Front: []search.Outcome[genes]{{Evaluation: search.Evaluation{Violation: 1}}}},
		},
	} {
		if _, err := search.Run(t.Context(), methods["random"](t, space, 1), space.evaluator(), s); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
