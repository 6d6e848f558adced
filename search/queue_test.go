package search

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is put, told and taken, a queue holds what was put and not taken, with
// what was told. What it refuses changes nothing.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		var want []Outcome[int] // all that was ever put
		taken := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				id := len(want)
				if q.next() != id {
					t.Fatalf("next is %d, want %d", q.next(), id)
				}
				c := Candidate[int]{ID: id, Key: strconv.Itoa(id)}
				q.put(c)
				want = append(want, Outcome[int]{Candidate: c})
			},
			"put some": func(t *rapid.T) {
				plan := make([]Candidate[int], rapid.IntRange(0, 4).Draw(t, "planned"))
				for i := range plan {
					plan[i] = Candidate[int]{ID: len(want) + i, Key: strconv.Itoa(len(want) + i)}
				}
				rest := plan
				some := q.putSome(&rest, rapid.IntRange(0, 5).Draw(t, "n"))
				if got := slices.Concat(some, rest); !reflect.DeepEqual(got, append([]Candidate[int](nil), plan...)) {
					t.Fatalf("put %v of %v and left %v", some, plan, rest)
				}
				for _, c := range some {
					want = append(want, Outcome[int]{Candidate: c})
				}
			},
			"tell": func(t *rapid.T) {
				ids := rapid.SliceOfN(rapid.IntRange(-1, len(want)), 0, 3).Draw(t, "ids")
				ok := true
				var candidates []Candidate[int]
				var evaluations []Evaluation
				for i, id := range ids {
					waits := id >= taken && id < len(want) && !want[id].done() && !slices.Contains(ids[:i], id)
					ok = ok && waits
					candidates = append(candidates, Candidate[int]{ID: id, Key: strconv.Itoa(id)})
					evaluations = append(evaluations, Evaluation{Objectives: []float64{float64(id)}})
				}
				if err := q.tell(candidates, evaluations, 1); (err == nil) != ok {
					t.Fatalf("told of %v: %v", ids, err)
				}
				for i, id := range ids {
					if ok {
						want[id].Evaluation = evaluations[i]
					}
				}
			},
			"take": func(t *rapid.T) {
				done := 0
				for taken+done < len(want) && want[taken+done].done() {
					done++
				}
				n := rapid.IntRange(0, done).Draw(t, "n")
				if got := q.take(n); len(got) != n || n > 0 && !reflect.DeepEqual(got, want[taken:taken+n]) {
					t.Fatalf("took %v, want %v", got, want[taken:taken+n])
				}
				taken += n
			},
			"save and load": func(*rapid.T) { q = loadQueue(q.save()) },
			"": func(t *rapid.T) {
				var pending []Candidate[int]
				for _, o := range want[taken:] {
					if !o.done() {
						pending = append(pending, o.Candidate)
					}
				}
				if got := q.pending(); !reflect.DeepEqual(got, pending) {
					t.Fatalf("pending %v, want %v", got, pending)
				}
				if q.complete() != (len(pending) == 0) {
					t.Fatalf("complete: %v with %v pending", q.complete(), pending)
				}
				if err := q.check(1); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// What is told is stored as failed if it is not what it may be.
func TestQueueChecks(t *testing.T) {
	var q queue[int]
	q.put(Candidate[int]{})
	if err := q.tell([]Candidate[int]{{}}, []Evaluation{{Objectives: []float64{math.NaN()}}}, 1); err != nil {
		t.Fatal(err)
	}
	if o := q.take(1)[0]; o.Err == nil || !strings.Contains(o.Err.Error(), "NaN") {
		t.Errorf("stored as %+v", o)
	}
	if err := q.tell([]Candidate[int]{{ID: 1}}, nil, 1); err == nil {
		t.Error("told of a candidate without an evaluation")
	}
}

func TestQueueRefusesStates(t *testing.T) {
	done := Evaluation{Objectives: []float64{1}}
	for want, q := range map[string]queue[int]{
		"the first candidate is -1":      {first: -1},
		"candidate 7 is where 4 should":  {first: 3, outcomes: []Outcome[int]{{Candidate[int]{ID: 3}, done}, {Candidate[int]{ID: 7}, done}}},
		"candidate 0: search: bad evalu": {outcomes: []Outcome[int]{{Evaluation: Evaluation{Objectives: []float64{1, 2}}}}},
		"candidate 0: search: violation": {outcomes: []Outcome[int]{{Evaluation: Evaluation{Violation: -1}}}},
	} {
		if err := q.check(1); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s…", err, want)
		}
	}
}
