package search_test

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/efficientnas/nas/search"
)

// hard has failures, constraints, and many equal objectives.
func hard(space grid) func(x genes) search.Evaluation {
	return func(x genes) search.Evaluation {
		o := space.zdt1(x)
		e := search.Evaluation{Objectives: []float64{o[0], float64(int(o[1]))}}
		switch {
		case x[1] == 3:
			return search.Evaluation{Err: errors.New("diverged")}
		case x[2] == 3:
			return search.Evaluation{Violation: float64(x[3])/9 + 0.1}
		case x[3] == 3:
			e.Violation = 0.5
		}
		return e
	}
}

func evaluated(candidates []search.Candidate[genes], f func(x genes) search.Evaluation) []search.Evaluation {
	var evaluations []search.Evaluation
	for _, c := range candidates {
		evaluations = append(evaluations, f(c.Genome))
	}
	return evaluations
}

// loaded returns a method with the state of m, which must be the same again.
func loaded(t rapid.TB, m, fresh search.Method[genes]) search.Method[genes] {
	t.Helper()
	state, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	again, err := fresh.MarshalBinary()
	if err != nil || !bytes.Equal(state, again) {
		t.Errorf("what was loaded is saved as other bytes (%v)", err)
	}
	return fresh
}

// Told in any order, and saved and loaded at any moment, a method proposes what it
// would have without.
func TestResume(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{8, 10}
		evaluate := hard(space)
		_, want := history(t, method(space, 7), each(evaluate), search.Settings[genes]{Evaluations: budget(t, 200)})
		rapid.Check(t, func(rt *rapid.T) {
			m := method(space, 7)
			var asked, waiting []search.Candidate[genes]
			for len(asked) < len(want) {
				if rapid.IntRange(0, 4).Draw(rt, "save") == 0 {
					m = loaded(rt, m, method(space, 7))
					slices.SortFunc(waiting, func(a, b search.Candidate[genes]) int { return a.ID - b.ID })
					pending := m.Pending()
					if !slices.EqualFunc(pending, waiting, func(a, b search.Candidate[genes]) bool { return reflect.DeepEqual(a, b) }) {
						rt.Fatalf("pending -want +got:\n%s", cmp.Diff(waiting, pending))
					}
					waiting = pending
				}
				if len(waiting) == 0 || rapid.Bool().Draw(rt, "ask") {
					batch, err := m.Ask(rapid.IntRange(1, 30).Draw(rt, "n"))
					if err == nil {
						asked, waiting = append(asked, batch...), append(waiting, batch...)
						continue
					}
					if !errors.Is(err, search.ErrPending) || len(waiting) == 0 {
						rt.Fatal(err)
					}
				}
				waiting = rapid.Permutation(waiting).Draw(rt, "waiting")
				n := rapid.IntRange(1, len(waiting)).Draw(rt, "told")
				if err := m.Tell(waiting[:n], evaluated(waiting[:n], evaluate)); err != nil {
					rt.Fatal(err)
				}
				waiting = waiting[n:]
			}
			for i, c := range asked[:len(want)] {
				if !reflect.DeepEqual(want[i].Candidate, c) {
					rt.Fatalf("candidate %d is %+v, without interruption %+v", i, c, want[i].Candidate)
				}
			}
		})
	})
}

// A space that was found exhausted stays so.
func TestResumeExhausted(t *testing.T) {
	forEachMethod(t, func(t *testing.T, method func(search.Space[genes], uint64) search.Method[genes]) {
		space := grid{2, 3}
		m := method(space, 1)
		if result, _ := history(t, m, space.evaluator(), search.Settings[genes]{}); result.Evaluations != 9 {
			t.Fatalf("%d evaluations of 9 candidates", result.Evaluations)
		}
		if batch, err := loaded(t, m, method(space, 1)).Ask(1); !errors.Is(err, search.ErrExhausted) {
			t.Errorf("asked for more, got %v, %v", batch, err)
		}
	})
}

// advanced returns a method in the midst of its third batch.
func advanced(t testing.TB, m search.Method[genes], space grid) search.Method[genes] {
	for range 3 {
		batch, err := m.Ask(20)
		if err == nil {
			err = m.Tell(batch[1:], evaluated(batch[1:], space.evaluateOne))
		}
		if errors.Is(err, search.ErrPending) {
			break
		}
		if err == nil && len(m.Pending()) > 2 {
			pending := m.Pending()[:1]
			err = m.Tell(pending, evaluated(pending, space.evaluateOne))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (g grid) evaluateOne(x genes) search.Evaluation {
	return search.Evaluation{Objectives: g.zdt1(x)}
}

// signed returns a state of its own checksum.
func signed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.ChecksumIEEE(body))
}

// What a method did not save, or in other settings, it refuses and stays as it is.
func TestStateRefused(t *testing.T) {
	space := grid{8, 10}
	names := slices.Sorted(maps.Keys(methods))
	states := make(map[string][]byte)
	for _, name := range names {
		state, err := advanced(t, methods[name](t, space, 1), space).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		states[name] = state
	}
	header := func(version int, method, setup string) []byte {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(struct {
			Version       int
			Method, Setup string
		}{version, method, setup}); err != nil {
			t.Fatal(err)
		}
		return signed(b.Bytes())
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			type refusal struct {
				state []byte
				want  string // in the error
			}
			good := states[name]
			refusals := map[string]refusal{
				"nothing":      {nil, "damaged"},
				"zeros":        {make([]byte, 100), "damaged"},
				"text":         {signed([]byte("state")), "load"},
				"a short one":  {good[:len(good)-1], "damaged"},
				"a long one":   {append(slices.Clone(good), 0), "damaged"},
				"another seed": {nil, "other settings"},
				"a newer one":  {header(2, "any", ""), "version 2, this program knows those up to 1"},
				"of no method": {header(1, "any", ""), "that of any"},
			}
			state, err := methods[name](t, space, 2).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			refusals["another seed"] = refusal{state, "other settings"}
			for _, other := range names {
				if other != name {
					refusals["that of "+other] = refusal{states[other], "that of"}
				}
			}
			for i := 0; i < len(good); i += 1 + len(good)/50 {
				state := slices.Clone(good)
				state[i] ^= 0x10
				refusals["byte "+string(rune('0'+i))] = refusal{state, "damaged"}
			}

			want, err := methods[name](t, space, 1).Ask(5)
			if err != nil {
				t.Fatal(err)
			}
			m := methods[name](t, space, 1)
			for kind, r := range refusals {
				if err := m.UnmarshalBinary(r.state); err == nil || !strings.HasPrefix(err.Error(), "search: load ") || !strings.Contains(err.Error(), r.want) {
					t.Errorf("%s: error %v, want one with %q", kind, err, r.want)
				}
			}
			if got, err := m.Ask(5); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("after refusals it proposes %v, want %v (%v)", got, want, err)
			}
		})
	}
}

// A surrogate that has learnt cannot learn all again.
func TestGuidedRefusesToLoadTwice(t *testing.T) {
	space := grid{8, 10}
	m := advanced(t, methods["guided"](t, space, 1), space)
	state, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.UnmarshalBinary(state); err == nil || err.Error() != "search: load guided: the method is not new" {
		t.Errorf("error %v", err)
	}
}

// opaque is a genome that gob cannot write.
type opaque struct{ v int }

type opaques struct{}

func (opaques) Sample(rng *rand.Rand) (opaque, error)               { return opaque{rng.IntN(1000)}, nil }
func (opaques) Mutate(*rand.Rand, opaque) (opaque, error)           { return opaque{}, nil }
func (opaques) Crossover(_ *rand.Rand, a, _ opaque) (opaque, error) { return a, nil }
func (opaques) Key(x opaque) string                                 { return string(rune('a' + x.v)) }

func TestStateOfOpaqueGenomes(t *testing.T) {
	m, err := search.NewNSGA2(search.Space[opaque](opaques{}), minimize2, search.NSGA2Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Ask(1); err != nil {
		t.Fatal(err)
	}
	if state, err := m.MarshalBinary(); err == nil || !strings.HasPrefix(err.Error(), "search: save nsga2: ") {
		t.Errorf("saved as %q, %v", state, err)
	}
}

// FuzzState loads states that are whole but may say anything, and goes on with
// those that are accepted.
func FuzzState(f *testing.F) {
	space := grid{8, 10}
	names := slices.Sorted(maps.Keys(methods))
	for i, name := range names {
		for _, m := range []search.Method[genes]{methods[name](f, space, 1), advanced(f, methods[name](f, space, 1), space)} {
			state, err := m.MarshalBinary()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), state[:len(state)-crc32.Size])
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		m := methods[names[int(which)%len(names)]](t, space, 1)
		if m.UnmarshalBinary(signed(body)) != nil {
			return
		}
		for range 3 {
			pending := m.Pending()
			if err := m.Tell(pending, evaluated(pending, space.evaluateOne)); err != nil {
				return
			}
			if _, err := m.Ask(30); err != nil && !errors.Is(err, search.ErrPending) {
				return
			}
		}
	})
}
