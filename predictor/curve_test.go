package predictor

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func curveOf(t testing.TB, records []Record, o Options, s CurveSettings) []CurvePoint {
	t.Helper()
	c, err := LearningCurve(t.Context(), records, o, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCurveSizes(t *testing.T) {
	for _, test := range []struct {
		n, most int
		want    []int
	}{
		{13, 1000, nil},
		{14, 1000, []int{10}},
		{20, 1000, []int{10, 15}},
		{24, 1000, []int{10, 18}},
		{40, 1000, []int{10, 15, 30}},
		{194, 1000, []int{18, 36, 70, 145}},
		{600, 1000, []int{55, 110, 220, 450}},
		{5000, 1000, []int{125, 250, 500, 1000}},
		{5000, 200, []int{25, 50, 100, 200}},
	} {
		if got := curveSizes(test.n, test.most); !slices.Equal(got, test.want) {
			t.Errorf("of %d records, at most %d: %v, want %v", test.n, test.most, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n, most := rapid.IntRange(0, 20_000).Draw(t, "n"), rapid.IntRange(1, 2000).Draw(t, "most")
		sizes := curveSizes(n, most)
		for i, size := range sizes {
			if size < MinRecords || size > most || 4*size > 3*n || i > 0 && size <= sizes[i-1] {
				t.Fatalf("%v", sizes)
			}
		}
	})
}

// Predictors become better with more records, and each draw has nothing in common
// with what it is assessed on.
func TestLearningCurve(t *testing.T) {
	records := spaceRecords(t, 120, 1)
	c := curveOf(t, records, Options{Seed: 1}, CurveSettings{Draws: 4})
	if len(c) != 4 || c[0].Records != 11 || c[3].Records != 90 {
		t.Fatalf("%+v", c)
	}
	for _, p := range c {
		mean := 0.
		for _, v := range p.Draws {
			mean += v / 4
		}
		if len(p.Draws) != 4 || p.Low != slices.Min(p.Draws) || p.High != slices.Max(p.Draws) || p.Kendall != mean {
			t.Errorf("%+v", p)
		}
	}
	if !(c[3].Kendall > c[0].Kendall) || c[3].Kendall < 0.85 {
		t.Errorf("the curve is from %v to %v", c[0].Kendall, c[3].Kendall)
	}
}

func TestLearningCurveIsDeterministic(t *testing.T) {
	records := spaceRecords(t, 60, 1)
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var all [][]CurvePoint
	for _, n := range []int{1, 4} {
		runtime.GOMAXPROCS(n)
		all = append(all, curveOf(t, records, Options{Seed: 4}, CurveSettings{Draws: 2}))
	}
	if !reflect.DeepEqual(all[0], all[1]) {
		t.Errorf("%v with one core, and %v with four", all[0], all[1])
	}
	if reflect.DeepEqual(all[0], curveOf(t, records, Options{Seed: 5}, CurveSettings{Draws: 2})) {
		t.Error("another seed draws the same")
	}
}

func TestLearningCurveEdges(t *testing.T) {
	records := spaceRecords(t, 14, 1)
	if c := curveOf(t, records[:13], ofRidge(), CurveSettings{}); c != nil {
		t.Errorf("13 records have the curve %v", c)
	}
	if c := curveOf(t, records, ofRidge(), CurveSettings{}); len(c) != 1 || len(c[0].Draws) != 10 {
		t.Errorf("14 records have the curve %v", c)
	}
	for _, kind := range []Model{"", Auto} {
		a, b := curveOf(t, records, Options{Model: kind}, CurveSettings{Draws: 1}), curveOf(t, records, Options{Model: GP}, CurveSettings{Draws: 1})
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%q: %v instead of %v", kind, a, b)
		}
	}
	if _, err := LearningCurve(t.Context(), records, Options{Model: "linear"}, CurveSettings{}); err == nil {
		t.Error("an unknown model has a curve")
	}
	if _, err := LearningCurve(t.Context(), records, ofRidge(), CurveSettings{Draws: -1}); err == nil {
		t.Error("-1 draws are drawn")
	}
	if _, err := LearningCurve(t.Context(), records[:9], ofRidge(), CurveSettings{}); err == nil {
		t.Error("9 records are learnt from")
	}
}

// Every draw learns from the records of a smaller point too, and from all derived
// records but those of networks it is assessed on.
func TestCurveDraws(t *testing.T) {
	networks := differentNetworks(t, 15)
	rapid.Check(t, func(t *rapid.T) {
		var records []Record
		n := rapid.IntRange(30, 60).Draw(t, "n")
		for i := range n {
			records = append(records, Record{
				Network: networks[rapid.IntRange(0, 14).Draw(t, "network")], Accuracy: 0.5, Dataset: "d",
				Recipe: fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "recipe")), Derived: i >= 20 && rapid.Bool().Draw(t, "derived"),
			})
		}
		p, rowOf, _, err := prepare(records, Options{})
		if err != nil {
			t.Skip(err)
		}
		s := p.sample(p.family)
		sizes := curveSizes(len(measuredRows(&s)), 1000)
		if len(sizes) == 0 {
			t.Skip("too few")
		}
		key := make(map[int]string) // of the network of each row
		for i := range records {
			key[rowOf[i]] = EachNetwork(i, &records[i])
		}
		d := s.drawCurve(rowsOfNetworks(records, rowOf, len(p.rows)), sizes, 1, rapid.Uint64().Draw(t, "draw"))
		largest := d.first(sizes[len(sizes)-1])
		learnt := make(map[string]bool)
		recipes := make(map[int]bool)
		for _, r := range d.first(sizes[0]) {
			if !slices.Contains(largest, r) {
				t.Fatalf("row %d is not learnt from in the end", r)
			}
			if !s.derived[r] {
				recipes[s.task[r]] = true
			}
		}
		for _, r := range largest {
			learnt[key[r]] = true
		}
		for _, r := range d.assessed {
			if learnt[key[r]] || s.derived[r] || !recipes[s.task[r]] {
				t.Fatalf("row %d is assessed", r)
			}
		}
	})
}

func measuredRows(s *sample) (rows []int) {
	for r, derived := range s.derived {
		if !derived {
			rows = append(rows, r)
		}
	}
	return rows
}
