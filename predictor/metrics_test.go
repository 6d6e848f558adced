package predictor

import (
	"math"
	"testing"

	"github.com/efficientnas/nas/cost"
	"pgregory.net/rapid"
)

// lists draws two lists of one length, with ties.
func lists(t *rapid.T) (a, b []float64) {
	n := rapid.IntRange(0, 40).Draw(t, "n")
	value := rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-6, 6).Draw(t, "v")) / 3 })
	draw := func(name string) []float64 { return rapid.SliceOfN(value, n, n).Draw(t, name) }
	return draw("a"), draw("b")
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func same(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-12
}

func TestKendallTauIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists(t)
		var sum, untiedA, untiedB float64
		for i := range a {
			for j := range i {
				da, db := sign(a[i]-a[j]), sign(b[i]-b[j])
				sum += da * db
				untiedA += da * da
				untiedB += db * db
			}
		}
		if got, want := KendallTau(a, b), sum/math.Sqrt(untiedA*untiedB); !same(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestSpearmanIsCorrelationOfRanks(t *testing.T) {
	rank := func(v []float64, i int) float64 { // smaller ones, and half of the equal ones
		var r float64
		for j := range v {
			if v[j] < v[i] {
				r++
			} else if v[j] == v[i] {
				r += 0.5
			}
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists(t)
		n := float64(len(a))
		var sa, sb, saa, sbb, sab float64
		for i := range a {
			x, y := rank(a, i), rank(b, i)
			sa, sb, saa, sbb, sab = sa+x, sb+y, saa+x*x, sbb+y*y, sab+x*y
		}
		want := (n*sab - sa*sb) / math.Sqrt((n*saa-sa*sa)*(n*sbb-sb*sb))
		if got := Spearman(a, b); !same(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestRankCorrelationsRefuseNaN(t *testing.T) {
	for _, f := range []func(a, b []float64) float64{KendallTau, Spearman} {
		for _, c := range []struct{ a, b []float64 }{
			{nil, nil},
			{[]float64{1}, []float64{2}},
			{[]float64{1, 1}, []float64{1, 2}},
			{[]float64{1, math.NaN()}, []float64{1, 2}},
			{[]float64{1, 2}, []float64{1, 2, 3}},
		} {
			if v := f(c.a, c.b); !math.IsNaN(v) {
				t.Errorf("of %v and %v: %v, want NaN", c.a, c.b, v)
			}
		}
	}
}

func TestAssess(t *testing.T) {
	records := []Record{{Accuracy: 0.7}, {Accuracy: 0.8}, {Accuracy: 0.6}}
	var predictions []Prediction
	for i, e := range []float64{0.3, 0.2, 0.3} { // the last one 10 points off
		y := newPrediction(math.Log(e), 0.01*0.01)
		if i == 2 {
			y.Accuracy = 0.7
		}
		predictions = append(predictions, y)
	}
	q, err := Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, got, want float64) {
		if math.Abs(got-want) > 1e-4 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	near("RMSE", q.RMSE, 0.1/math.Sqrt(3))
	near("MAE", q.MAE, 0.1/3)
	near("Coverage50", q.Coverage50, 2./3)
	near("Coverage90", q.Coverage90, 2./3)
	if _, err := Assess(predictions, records[:2]); err == nil {
		t.Error("no error for lists of two lengths")
	}
	if q, err := Assess(nil, nil); err != nil || q.N != 0 {
		t.Errorf("of nothing: %v, %v", q, err)
	}
}

func TestBaselines(t *testing.T) {
	records := smallRecords(t, 12)
	b, err := BaselinesOf(records)
	if err != nil {
		t.Fatal(err)
	}
	// The records whose accuracy is their rank by MACs are ranked perfectly by
	// MACs, and their opposites the other way round.
	macs := make([]float64, len(records))
	for i := range records {
		c, err := cost.OfNetwork(records[i].Network)
		if err != nil {
			t.Fatal(err)
		}
		macs[i] = float64(c.MACs)
	}
	for _, sign := range []float64{1, -1} {
		for i := range records {
			records[i].Accuracy = 0.5 + sign*macs[i]/1e12
		}
		if got, err := BaselinesOf(records); err != nil || math.Abs(got.MACs-sign) > 1e-12 {
			t.Errorf("MACs that order the accuracies with sign %v: %+v, %v (before: %+v)", sign, got, err, b)
		}
	}
}
