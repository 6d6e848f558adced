package search_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

// From the state and the snapshot of any batch, a search goes on as if nothing had
// been: same records, same result.
func TestSnapshot(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		for _, s := range endings(budget(t, 200)) {
			s.Asynchronous, s.Screen, s.Batch = false, nil, 17
			if s.Target > 0 {
				s.Target = 0.1 // reached within a batch
			}
			type saved struct {
				state, snapshot []byte
				records         int
			}
			var all []saved
			var want []record
			m := method(space, 7)
			run := func(t rapid.TB, m search.Method[genes], s search.Settings[genes], see func(p search.Progress[genes])) search.Result[genes] {
				s.Recorder = func(p search.Progress[genes]) error { see(p); return nil }
				result, err := search.Run(context.Background(), m, each(hard(space)), s)
				if err != nil {
					t.Fatal(err)
				}
				return result
			}
			wantResult := run(t, m, s, func(p search.Progress[genes]) {
				want = append(want, newRecord(p))
				state, err := m.MarshalBinary()
				snapshot, err2 := p.Snapshot().MarshalBinary()
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				all = append(all, saved{state, snapshot, len(want)})
			})
			for _, from := range all {
				if len(all) > 8 && from.records%5 != len(all)%5 {
					continue
				}
				m := method(space, 7)
				s.Resume = new(search.Snapshot[genes])
				if err := errors.Join(m.UnmarshalBinary(from.state), s.Resume.UnmarshalBinary(from.snapshot)); err != nil {
					t.Fatal(err)
				}
				var got []record
				result := run(t, m, s, func(p search.Progress[genes]) { got = append(got, newRecord(p)) })
				if rest := want[from.records:]; !reflect.DeepEqual(wantResult, result) || !reflect.DeepEqual(rest, append([]record{}, got...)) {
					t.Errorf("from record %d: -without +with interruption:\n%s\n%s", from.records, gocmp.Diff(wantResult, result), gocmp.Diff(rest, got))
				}
			}
		}
	})
}

// Snapshots serve however a search was interrupted: also within a batch, of which
// only some candidates were evaluated.
func TestSnapshotGoesOn(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		ends := endings(budget(t, 200))
		var wants []search.Result[genes]
		for i := range ends {
			ends[i].Asynchronous, ends[i].Screen, ends[i].Batch, ends[i].Chunk = false, nil, 50, 5
			want, _ := records(t, method(space, 7), each(hard(space)), ends[i])
			wants = append(wants, want)
		}
		rapid.Check(t, func(rt *rapid.T) {
			which := rapid.IntRange(0, len(ends)-1).Draw(rt, "end")
			s, want := ends[which], wants[which]
			m := method(space, 7)
			var got search.Result[genes]
			for runs := 0; got.Status != want.Status; runs++ {
				if runs > 0 {
					m = loaded(rt, m, method(space, 7))
				}
				if runs > 200 {
					rt.Fatalf("%s again and again, want %s", got.Status, want.Status)
				}
				s.Workers = rapid.IntRange(1, 4).Draw(rt, "workers")
				var last *search.Snapshot[genes]
				got, _, last = stopped(rt, m, s, rapid.IntRange(1, 100).Draw(rt, "after"), rapid.Bool().Draw(rt, "fail"), hard(space))
				if last != nil {
					s.Resume = stored(rt, last)
				}
			}
			if !reflect.DeepEqual(got, want) {
				rt.Errorf("-without interruption +with:\n%s", gocmp.Diff(want, got, errorTexts))
			}
		})
	})
}

// The front says all about the archive, extremes and boxes alike, and the
// hypervolume is the same to the last bit.
func TestSnapshotOfFront(t *testing.T) {
	space := grid{2, 6}
	rapid.Check(t, func(rt *rapid.T) {
		values := make(map[genes][]float64)
		value := rapid.Custom(func(t *rapid.T) float64 { return 0.1 * float64(rapid.IntRange(-12, 12).Draw(t, "tenths")) })
		for _, x := range space.all() {
			v := value.Draw(rt, "first")
			values[x] = []float64{v, value.Draw(rt, "noise")/2 - v}
		}
		ev := each(func(x genes) search.Evaluation { return search.Evaluation{Objectives: values[x]} })
		directions, reference := slices.Clone(minimize2), []float64{1.7, 2.3}
		if rapid.Bool().Draw(rt, "maximize") {
			directions[1], reference[1] = pareto.Maximize, -2.3
		}
		random := func() search.Method[genes] {
			m, err := search.NewRandom[genes](space, directions, 1)
			if err != nil {
				rt.Fatal(err)
			}
			return m
		}
		s := search.Settings[genes]{Batch: rapid.IntRange(1, 8).Draw(rt, "batch"), Reference: reference}
		if rapid.Bool().Draw(rt, "epsilon") {
			side := rapid.SampledFrom([]float64{0, 0.5, 1, 2})
			s.Epsilon = []float64{side.Draw(rt, "first side"), side.Draw(rt, "second side")}
		}
		m := random()
		var states [][]byte
		var snapshots []search.Snapshot[genes]
		var want []record
		s.Recorder = func(p search.Progress[genes]) error {
			state, err := m.MarshalBinary()
			states, snapshots, want = append(states, state), append(snapshots, p.Snapshot()), append(want, newRecord(p))
			return err
		}
		if _, err := search.Run(t.Context(), m, ev, s); err != nil {
			rt.Fatal(err)
		}
		from := rapid.IntRange(0, len(states)-1).Draw(rt, "from")
		m = random()
		if err := m.UnmarshalBinary(states[from]); err != nil {
			rt.Fatal(err)
		}
		s.Resume = &snapshots[from]
		if _, got := records(rt, m, ev, s); !reflect.DeepEqual(want[from+1:], append([]record{}, got...)) {
			rt.Errorf("-without interruption +with:\n%s", gocmp.Diff(want[from+1:], got))
		}
	})
}

// A snapshot is written and read whole, or refused.
func TestSnapshotIsChecked(t *testing.T) {
	s := &search.Snapshot[genes]{
		Counts: search.Counts{Evaluations: 3, Generations: 2, Failed: 1}, Unchanged: 1, Stop: search.Stagnated, Hypervolume: math.Pi,
		Front: []search.Outcome[genes]{{Candidate: search.Candidate[genes]{ID: 1, Key: "a"}, Evaluation: search.Evaluation{Objectives: []float64{1, 2}}}},
		Later: []search.Outcome[genes]{{Candidate: search.Candidate[genes]{ID: 4, Key: "b"}, Evaluation: search.Evaluation{Err: errors.New("diverged")}}},
	}
	again := stored(t, s)
	if diff := gocmp.Diff(s, again, errorTexts); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	data, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, data[:len(data)-1], append(bytes.Clone(data), 0)} {
		if err := again.UnmarshalBinary(bad); err == nil || !strings.HasPrefix(err.Error(), "search: load snapshot: ") {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if diff := gocmp.Diff(s, again, errorTexts); diff != "" {
		t.Errorf("a bad snapshot is loaded:\n%s", diff)
	}
}
