package predictor

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestFoldsAreBalanced(t *testing.T) {
	groups := groupsOf(make([]Record, 103), Folds(10, 7), eachRow(103))
	if len(groups) != 10 {
		t.Fatalf("%d groups", len(groups))
	}
	for _, g := range groups {
		if len(g) < 10 || len(g) > 11 {
			t.Errorf("a group of %d", len(g))
		}
	}
}

// Every record is in one group, with all others of its row, and otherwise with those of
// its key.
func TestGroupsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		keys := rapid.SliceOfN(rapid.IntRange(0, 5), n, n).Draw(t, "keys")
		rowOf := rapid.SliceOfN(rapid.IntRange(0, 20), n, n).Draw(t, "rows")
		by := func(i int, _ *Record) string { return strconv.Itoa(keys[i]) }
		groupOf, first := make(map[int]int), make(map[int]int)
		for g, members := range groupsOf(make([]Record, n), by, rowOf) {
			if !slices.IsSorted(members) || len(members) == 0 {
				t.Fatalf("the group %v", members)
			}
			for _, i := range members {
				if _, ok := groupOf[i]; ok {
					t.Fatalf("record %d is in two groups", i)
				}
				groupOf[i] = g
			}
		}
		if len(groupOf) != n {
			t.Fatalf("%d of %d records are in groups", len(groupOf), n)
		}
		for i := range n {
			if _, ok := first[rowOf[i]]; !ok {
				first[rowOf[i]] = i
			}
			for j := range i {
				a, b := first[rowOf[i]], first[rowOf[j]]
				if (groupOf[i] == groupOf[j]) != (a == b || keys[a] == keys[b]) {
					t.Fatalf("records %d and %d are in the groups %d and %d", i, j, groupOf[i], groupOf[j])
				}
			}
		}
	})
}

// LeaveOut leaves a group out of the process and keeps the hyper-parameters;
// CrossValidate learns those anew too. Where they hardly change, the two agree.
func TestLeaveOutAgreesWithCrossValidate(t *testing.T) {
	records := smallRecords(t, 40)
	closed, err := LeaveOut(records, EachRecord, Options{})
	if err != nil {
		t.Fatal(err)
	}
	anew, err := CrossValidate(records, Folds(8, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := assess(t, closed, records), assess(t, anew, records)
	if a.RMSE > 0.005 || b.RMSE > 0.005 || a.Kendall < 0.95 || b.Kendall < 0.95 {
		t.Errorf("in closed form: %v\nanew: %v", a, b)
	}
}

// A record has no part in its own prediction, whatever is left out with it.
func TestLeftOutRecordsAreNotSeen(t *testing.T) {
	records := smallRecords(t, 24)
	last := len(records) - 1
	changed := slices.Clone(records)
	changed[last].Accuracy = 0.1
	of := func(records []Record) Prediction {
		y, err := CrossValidate(records, Folds(4, 1), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return y[last]
	}
	if a, b := of(records), of(changed); a != b {
		t.Errorf("its accuracy changes its prediction from %+v to %+v", a, b)
	}
}

// Repeated records leave together, whatever the grouping says: else a
// prediction would be a look at the twin.
func TestRepeatedRecordsLeaveTogether(t *testing.T) {
	records := smallRecords(t, 20)
	for i := range records {
		records[i].Recipe = "ours"
	}
	odd := records[3]
	odd.Accuracy = 0.2 // nothing like its neighbours
	records[3] = odd
	odd.Accuracy = 0.21
	records = append(records, odd)
	by := map[string]Grouping{
		"each record": EachRecord,
		"folds":       Folds(5, 1),
		// The twin's group is there before the twin comes.
		"another": func(i int, _ *Record) string { return fmt.Sprint(i % 18) },
	}
	for name, f := range map[string]func([]Record, Grouping, Options) ([]Prediction, error){"LeaveOut": LeaveOut, "CrossValidate": CrossValidate} {
		for grouping, by := range by {
			y, err := f(records, by, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if y[3] != y[20] {
				t.Errorf("%s, %s: the twins are predicted %+v and %+v", name, grouping, y[3], y[20])
			}
			if y[3].Accuracy < 0.5 {
				t.Errorf("%s, %s: %+v, which only the twin can have told", name, grouping, y[3])
			}
		}
	}
}

func TestEvaluationRefuses(t *testing.T) {
	records := smallRecords(t, 12)
	for name, f := range map[string]func([]Record, Grouping, Options) ([]Prediction, error){"LeaveOut": LeaveOut, "CrossValidate": CrossValidate} {
		for _, c := range []struct {
			name    string
			records []Record
			by      Grouping
			want    string
		}{
			{"no network", append(slices.Clone(records), Record{Dataset: "d", Recipe: "r"}), EachRecord, "record 13: no network"},
		} {
			if _, err := f(c.records, c.by, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: got %v, want %s", name, c.name, err, c.want)
			}
		}
	}
	_, err := CrossValidate(records, func(i int, _ *Record) string { return fmt.Sprint("half ", i%2) }, Options{})
	if err == nil || !strings.Contains(err.Error(), `without group "half 0": predictor: 6 records; a predictor learns from at least 10`) {
		t.Errorf("of too few without a group: %v", err)
	}
}

// CrossValidate says how far it is, up to the end, from one goroutine or many.
func TestCrossValidateTellsItsProgress(t *testing.T) {
	var mu sync.Mutex
	var seen []int
	_, err := CrossValidate(smallRecords(t, 24), Folds(4, 1), Options{Progress: func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if total != 4 {
			t.Errorf("a total of %d", total)
		}
		seen = append(seen, done)
	}})
	slices.Sort(seen)
	if err != nil || !slices.Equal(seen, []int{1, 2, 3, 4}) {
		t.Errorf("%v: %v", seen, err)
	}
}

// The records' own trainings are what they are predicted for; an unknown recipe
// has the widest intervals.
func TestPredictRecords(t *testing.T) {
	p := imagenetTrained(t)
	records := imagenetRecords(t)[:20]
	records[7].Recipe = "unheard of"
	got, err := p.PredictRecords(records)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if i == 7 {
			continue
		}
		want, err := p.Predict(r.Network, Training{Recipe: r.Recipe})
		if err != nil || got[i] != want {
			t.Errorf("record %d: got %v, want %v (%v)", i+1, got[i], want, err)
		}
	}
	known, err := p.Predict(records[7].Network, Training{Recipe: "imgclsmob"})
	if err != nil || got[7].LogErrorSD <= known.LogErrorSD {
		t.Errorf("by an unknown recipe %+v, by one of the records %+v: %v", got[7], known, err)
	}
	if math.Abs(got[7].Accuracy-known.Accuracy) > 0.05 {
		t.Errorf("by an unknown recipe %+v, by one of the records %+v", got[7], known)
	}
}

// TestFamilyLeftOut: a search goes where no records are. Left out with all of
// its like, and everything learnt anew, a record's interval is wider than among them, and
// still holds it.
func TestFamilyLeftOut(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for each type of block")
	}
	records := imagenetRecords(t)
	near := leftOut(t, imagenetTrained(t), records, EachRecord)
	far, err := CrossValidate(records, BlockTypes, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, members := range groupsOf(records, BlockTypes, eachRow(len(records))) {
		if len(members) < 4 {
			continue
		}
		var with, without float64
		for _, i := range members {
			with += near[i].LogErrorSD / float64(len(members))
			without += far[i].LogErrorSD / float64(len(members))
		}
		name := BlockTypes(0, &records[members[0]])
		t.Logf("%-10s %2d records: mean deviation of the log error %.3f, and %.3f without the others", name, len(members), with, without)
		if without <= with {
			t.Errorf("%s: the deviation is %.4f with the others, and %.4f without", name, with, without)
		}
	}
	if q := assess(t, far, records); q.Coverage90 < 0.8 {
		t.Errorf("90 %% intervals cover %.3f: %v", q.Coverage90, q)
	}
}
