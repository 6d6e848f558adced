package predictor

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

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
	z := math.Log(0.4/0.3) / 0.01
	near("LogLikelihood", q.LogLikelihood, (-z*z/2-math.Log(0.3*0.2*0.4))/3-math.Log(0.01*math.Sqrt(2*math.Pi)))
	if _, err := Assess(predictions, records[:2]); err == nil {
		t.Error("no error for lists of two lengths")
	}
	if q, err := Assess(nil, nil); err != nil || q != (Quality{}) {
		t.Errorf("of nothing: %v, %v", q, err)
	}
	const words = "RMSE 5.77, MAE 3.33 points; Kendall 0.333, Spearman 0.500; 50 % intervals cover 67 %, 90 % intervals 67 %; log likelihood"
	if s := q.String(); !strings.HasPrefix(s, words) || !strings.HasSuffix(s, "; of 3") {
		t.Errorf("in words: %s", s)
	}
}

func TestAssessOddPredictions(t *testing.T) {
	for _, c := range []struct {
		name       string
		prediction Prediction
		accuracy   float64
		want       Quality
	}{
		{"certain and right", Prediction{Accuracy: 1 - math.Exp(-1), LogError: logError(1 - math.Exp(-1))}, 1 - math.Exp(-1),
			Quality{Coverage50: 1, Coverage90: 1, LogLikelihood: math.Inf(1)}},
		{"certain and wrong", Prediction{Accuracy: 1 - math.Exp(-1), LogError: -1}, 1 - math.Exp(-1) + 0.125,
			Quality{RMSE: 0.125, MAE: 0.125, LogLikelihood: math.Inf(-1)}},
		{"nothing", Prediction{Accuracy: math.NaN(), LogError: math.NaN(), LogErrorSD: math.NaN()}, 0.5,
			Quality{RMSE: math.NaN(), MAE: math.NaN(), Coverage50: math.NaN(), Coverage90: math.NaN(), LogLikelihood: math.NaN()}},
	} {
		got, err := Assess([]Prediction{c.prediction}, []Record{{Accuracy: c.accuracy}})
		if err != nil {
			t.Fatal(err)
		}
		c.want.Kendall, c.want.Spearman = math.NaN(), math.NaN()
		sameQuality(t, c.name, got, c.want, 1e-12)
	}
	// A perfect accuracy is likely, but not infinitely so.
	p := newPrediction(math.Log(leastError), 1)
	if got, want := p.logDensity(1), -math.Log(leastError*math.Sqrt(2*math.Pi)); math.Abs(got-want) > 1e-12 {
		t.Errorf("log density at accuracy 1: %v, want %v", got, want)
	}
}

type failer interface {
	Helper()
	Errorf(string, ...any)
}

// sameQuality compares all but N.
func sameQuality(t failer, name string, got, want Quality, tolerance float64) {
	t.Helper()
	g, w := got.figures(), want.figures()
	for i := range g {
		if a, b := *g[i], *w[i]; a != b && !(math.Abs(a-b) <= tolerance) && !(math.IsNaN(a) && math.IsNaN(b)) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
			return
		}
	}
}

// simulated returns records and predictions that are as wrong as they say: the
// log error of each record is the predicted one and deviations drawn for its
// group and for itself.
func simulated(random *rand.Rand, groups, size int, ofGroup, ofRecord float64) ([]Prediction, []Record) {
	var predictions []Prediction
	var records []Record
	for range groups {
		shared := ofGroup * random.NormFloat64()
		for range size {
			p := newPrediction(-1.5+0.3*random.NormFloat64(), ofGroup*ofGroup+ofRecord*ofRecord)
			predictions = append(predictions, p)
			records = append(records, Record{Accuracy: 1 - math.Exp(p.LogError+shared+ofRecord*random.NormFloat64())})
		}
	}
	return predictions, records
}

// The density is the derivative of the share of accuracies below, and its
// integral is 1.
func TestLogDensityIsADensity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPrediction(rapid.Float64Range(-3, -0.8).Draw(t, "log error"), math.Pow(rapid.Float64Range(0.02, 0.15).Draw(t, "sd"), 2))
		below := func(accuracy float64) float64 { // an accuracy below is an error above
			return math.Erfc((math.Log(1-accuracy)-p.LogError)/p.LogErrorSD/math.Sqrt2) / 2
		}
		accuracy := 1 - math.Exp(p.LogError+p.LogErrorSD*rapid.Float64Range(-3, 3).Draw(t, "z"))
		const h = 1e-6
		want := (below(accuracy+h) - below(accuracy-h)) / (2 * h)
		if got := math.Exp(p.logDensity(accuracy)); math.Abs(got-want) > 1e-3*want {
			t.Fatalf("density at %v: %v, want %v", accuracy, got, want)
		}
		const steps = 4000
		integral := 0.
		for i := range steps {
			integral += math.Exp(p.logDensity((float64(i)+0.5)/steps)) / steps
		}
		if math.Abs(integral-1) > 1e-3 {
			t.Fatalf("integral %v", integral)
		}
	})
}

// The likelihood is greatest where mean and deviation are those of the records.
func TestLogLikelihoodPrefersTheTruth(t *testing.T) {
	predictions, records := simulated(rand.New(rand.NewPCG(1, 1)), 2000, 1, 0, 0.1)
	likelihood := func(bias, factor float64) float64 {
		var wrong []Prediction
		for _, p := range predictions {
			wrong = append(wrong, newPrediction(p.LogError+bias, math.Pow(factor*p.LogErrorSD, 2)))
		}
		q, err := Assess(wrong, records)
		if err != nil {
			t.Fatal(err)
		}
		return q.LogLikelihood
	}
	best := likelihood(0, 1)
	for _, c := range []struct{ bias, factor float64 }{{0.03, 1}, {-0.03, 1}, {0, 0.7}, {0, 1.5}} {
		if l := likelihood(c.bias, c.factor); l >= best {
			t.Errorf("%+v: log likelihood %v, that of the truth %v", c, l, best)
		}
	}
}

func drawAssessed(t *rapid.T) ([]Prediction, []Record) {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	predictions, records := simulated(random, rapid.IntRange(2, 30).Draw(t, "records"), 1, 0, 0.2)
	for i := range records { // ties
		if random.IntN(3) == 0 {
			predictions[i], records[i] = predictions[0], records[0]
		}
	}
	return predictions, records
}

func TestQualityDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		predictions, records := drawAssessed(t)
		order := rapid.Permutation(upTo(len(records))).Draw(t, "order")
		var ps []Prediction
		var rs []Record
		for _, i := range order {
			ps, rs = append(ps, predictions[i]), append(rs, records[i])
		}
		want, err := Assess(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Assess(ps, rs)
		if err != nil {
			t.Fatal(err)
		}
		sameQuality(t, "in another order", got, want, 1e-9)
	})
}

// Weights say how many times each record is there.
func TestWeightsRepeatRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		predictions, records := drawAssessed(t)
		weight := rapid.SliceOfN(rapid.IntRange(0, 3), len(records), len(records)).Draw(t, "weight")
		var ps []Prediction
		var rs []Record
		for i, w := range weight {
			for range w {
				ps, rs = append(ps, predictions[i]), append(rs, records[i])
			}
		}
		s, err := newScores(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Assess(ps, rs)
		if err != nil {
			t.Fatal(err)
		}
		got := s.quality(weight)
		sameQuality(t, "weighted", got, want, 1e-9)
		if got.N != want.N {
			t.Errorf("N = %d, want %d", got.N, want.N)
		}
	})
	// What is not there has no part in the rest, be it infinitely unlikely.
	s, err := newScores([]Prediction{newPrediction(-1, 0.01), {LogError: -1}}, []Record{{Accuracy: 0.6}, {Accuracy: 0.7}})
	if err != nil {
		t.Fatal(err)
	}
	if q := s.quality([]int{2, 0}); math.IsInf(q.LogLikelihood, 0) || math.IsNaN(q.LogLikelihood) || q.N != 2 {
		t.Errorf("without the impossible record: %v", q)
	}
}

func upTo(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = i
	}
	return v
}

func TestCalibration(t *testing.T) {
	predictions, records := simulated(rand.New(rand.NewPCG(3, 1)), 400, 1, 0, 0.1)
	q, err := Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		factor   float64 // of the deviations
		min, max int     // points outside their bands
	}{
		{"right", 1, 0, 5},
		{"too narrow", 0.6, 15, 19},
		{"too wide", 1.6, 15, 19},
	} {
		var ps []Prediction
		for _, p := range predictions {
			ps = append(ps, newPrediction(p.LogError, math.Pow(c.factor*p.LogErrorSD, 2)))
		}
		points, err := Calibration(ps, records)
		if err != nil || len(points) != 19 {
			t.Fatal(points, err)
		}
		outside := 0
		for i, point := range points {
			if want := 0.05 * float64(i+1); math.Abs(point.Nominal-want) > 1e-12 {
				t.Errorf("point %d is of %v, want %v", i, point.Nominal, want)
			}
			if !(point.Low <= point.Nominal && point.Nominal <= point.High) {
				t.Errorf("the band does not hold the nominal share: %+v", point)
			}
			if point.Share < point.Low || point.Share > point.High {
				outside++
			}
		}
		if outside < c.min || outside > c.max {
			t.Errorf("%s: %d points outside their bands, want %d to %d: %v", c.name, outside, c.min, c.max, points)
		}
		if c.factor == 1 && (points[9].Share != q.Coverage50 || points[17].Share != q.Coverage90) {
			t.Errorf("shares %v and %v, want %v and %v", points[9].Share, points[17].Share, q.Coverage50, q.Coverage90)
		}
	}
	few, err := Calibration(predictions[:20], records[:20])
	if err != nil {
		t.Fatal(err)
	}
	// Of 20 tosses of a coin, at most 5 are heads in 2.1 % of all cases, at most 6
	// in 5.8 %.
	if c := few[9]; c.Low != 0.3 || c.High != 0.7 {
		t.Errorf("the band of 20 intervals of 50 %%: %+v, want 0.3 to 0.7", c)
	}
	if points, err := Calibration(nil, nil); points != nil || err != nil {
		t.Errorf("of nothing: %v, %v", points, err)
	}
	if _, err := Calibration(predictions, records[1:]); err == nil {
		t.Error("no error for lists of two lengths")
	}
}

func TestBinomialQuantileIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		success := float64(rapid.IntRange(1, 19).Draw(t, "p")) / 20
		q := rapid.SampledFrom([]float64{0.05, 0.5, 0.95}).Draw(t, "q")
		got := binomialQuantile(q, n, success)
		below, term := 0., math.Pow(1-success, float64(n)) // of fewer successes, and of so many
		for k := range got {
			below += term
			term *= float64(n-k) / float64(k+1) * success / (1 - success)
		}
		if below > q+1e-9 || below+term < q-1e-9 {
			t.Fatalf("got %d, below which lies %v, and %v at it", got, below, term)
		}
	})
}
