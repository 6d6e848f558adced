package predictor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/cost"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// inGroupsOf groups so many consecutive records.
func inGroupsOf(size int) Grouping {
	return func(i int, _ *Record) string { return strconv.Itoa(i / size) }
}

func sameAssessment(t failer, name string, got, want Assessment, tolerance float64) {
	t.Helper()
	sameQuality(t, name, got.Quality, want.Quality, tolerance)
	sameQuality(t, name+", low", got.Low, want.Low, tolerance)
	sameQuality(t, name+", high", got.High, want.High, tolerance)
}

func TestBootstrapHoldsThePoint(t *testing.T) {
	outside, all := 0, 0
	for seed := range uint64(20) {
		predictions, records := simulated(rand.New(rand.NewPCG(seed, 2)), 30, 2, 0.05, 0.1)
		point, err := Assess(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		a, err := Bootstrap{By: inGroupsOf(2), Seed: seed}.Assess(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		if a.Quality != point || a.Low.N != point.N || a.High.N != point.N {
			t.Errorf("quality %v with intervals, %v without", a.Quality, point)
		}
		low, high := a.Low.figures(), a.High.figures()
		for i, v := range a.figures() {
			all++
			if !(*low[i] <= *v && *v <= *high[i]) {
				outside++
			}
			if !(*low[i] < *high[i]) {
				t.Errorf("no interval: %v", a)
			}
		}
	}
	if outside > all/50 {
		t.Errorf("%d of %d figures lie outside their intervals", outside, all)
	}
}

// The intervals hold the truth about as often as they say, if groups that are
// wrong together are drawn together, and not otherwise.
func TestBootstrapCoverage(t *testing.T) {
	const trials = 300
	predictions, records := simulated(rand.New(rand.NewPCG(1, 3)), 20000, 4, 0.1, 0.1)
	truth, err := Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	var grouped, alone [len(figureNames)]int
	for trial := range uint64(trials) {
		predictions, records := simulated(rand.New(rand.NewPCG(trial, 4)), 40, 4, 0.1, 0.1)
		s, err := newScores(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		count := func(holds *[len(figureNames)]int, by Grouping) {
			a := Bootstrap{Probability: 0.9, Seed: trial}.draw([]*scores{s}, drawnTogether(records, by), 100)
			low, high := a.Low.figures(), a.High.figures()
			for i, want := range truth.figures() {
				if *low[i] <= *want && *want <= *high[i] {
					holds[i]++
				}
			}
		}
		count(&grouped, inGroupsOf(4))
		count(&alone, EachRecord)
	}
	for i, name := range figureNames {
		t.Logf("90 %% intervals of %s hold the truth in %d of %d trials; in %d if groups are ignored", name, grouped[i], trials, alone[i])
		if grouped[i] < trials*83/100 || grouped[i] > trials*95/100 {
			t.Errorf("90 %% intervals of %s hold the truth in %d of %d trials", name, grouped[i], trials)
		}
		// What a group has in common hardly moves the order.
		if name != "Kendall" && name != "Spearman" && alone[i] >= grouped[i] {
			t.Errorf("%s: %d intervals hold the truth if groups are ignored, %d if not", name, alone[i], grouped[i])
		}
	}
}

// figureNames are those of [Quality.figures].
var figureNames = [...]string{"RMSE", "MAE", "Kendall", "Spearman", "Coverage50", "Coverage90", "LogLikelihood"}

func TestBootstrapOfPerfectPredictions(t *testing.T) {
	predictions, records := simulated(rand.New(rand.NewPCG(5, 5)), 25, 1, 0, 0.1)
	for i := range records {
		records[i].Accuracy = predictions[i].Accuracy
	}
	a, err := Bootstrap{}.Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Quality{a.Quality, a.Low, a.High} {
		if q.RMSE != 0 || q.MAE != 0 || math.Abs(q.Kendall-1) > 1e-12 || math.Abs(q.Spearman-1) > 1e-12 || q.Coverage50 != 1 || q.Coverage90 != 1 {
			t.Errorf("%+v", q)
		}
	}
	if s := a.String(); !strings.HasPrefix(s, "RMSE 0.00 (0.00 to 0.00), MAE 0.00 (0.00 to 0.00) points; Kendall 1.000 (1.000 to 1.000)") || !strings.HasSuffix(s, "; of 25") {
		t.Errorf("in words: %s", s)
	}
}

func TestBootstrapIsDeterministic(t *testing.T) {
	predictions, records := simulated(rand.New(rand.NewPCG(6, 6)), 30, 1, 0, 0.1)
	assess := func(b Bootstrap) Assessment {
		a, err := b.Assess(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := assess(Bootstrap{Seed: 7})
	if again := assess(Bootstrap{Seed: 7, Probability: 0.9, By: EachRecord}); again != first {
		t.Errorf("the defaults, and again: %v, then %v", first, again)
	}
	if other := assess(Bootstrap{Seed: 8}); other.Low == first.Low || other.Quality != first.Quality {
		t.Errorf("another seed: %v, then %v", first, other)
	}
	wide := assess(Bootstrap{Seed: 7, Probability: 0.99})
	if !(wide.Low.RMSE < first.Low.RMSE && wide.High.RMSE > first.High.RMSE) {
		t.Errorf("99 %% intervals %v, 90 %% %v", wide, first)
	}
}

func TestBootstrapUndefined(t *testing.T) {
	nan := math.NaN()
	predictions, records := simulated(rand.New(rand.NewPCG(7, 7)), 12, 1, 0, 0.1)
	assess := func(b Bootstrap) Assessment {
		a, err := b.Assess(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	undefined := Quality{RMSE: nan, MAE: nan, Kendall: nan, Spearman: nan, Coverage50: nan, Coverage90: nan, LogLikelihood: nan}
	one := assess(Bootstrap{By: inGroupsOf(12)})
	sameQuality(t, "one group, low", one.Low, undefined, 0)
	sameQuality(t, "one group, high", one.High, undefined, 0)
	if math.IsNaN(one.RMSE) {
		t.Error("the quality of one group is undefined")
	}
	for i := range predictions[:11] { // in some draws all are equal
		predictions[i] = predictions[0]
	}
	few := assess(Bootstrap{})
	if math.IsNaN(few.Low.Kendall) || math.IsNaN(few.High.Spearman) {
		t.Errorf("two different predictions: %v", few)
	}
	predictions[11] = predictions[0]
	none := assess(Bootstrap{})
	if !math.IsNaN(none.Kendall) || !math.IsNaN(none.Low.Kendall) || !math.IsNaN(none.High.Spearman) || math.IsNaN(none.High.RMSE) {
		t.Errorf("equal predictions: %v", none)
	}
	for _, p := range []float64{-0.1, 1, nan} {
		if _, err := (Bootstrap{Probability: p}).Assess(predictions, records); err == nil {
			t.Errorf("no error for the probability %v", p)
		}
	}
	if _, err := (Bootstrap{}).Assess(predictions, records[1:]); err == nil {
		t.Error("no error for lists of two lengths")
	}
}

func TestAssessRepeats(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	predictions, records := simulated(random, 20, 3, 0.1, 0.1)
	repeats := [][]Prediction{predictions}
	for range 2 {
		var other []Prediction
		for _, p := range predictions {
			other = append(other, newPrediction(p.LogError+0.2*random.NormFloat64(), 0.01))
		}
		repeats = append(repeats, other)
	}
	b := Bootstrap{By: inGroupsOf(3), Seed: 1}
	assess := func(repeats ...[]Prediction) Assessment {
		a, err := b.AssessRepeats(repeats, records)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	one, err := b.Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	sameAssessment(t, "one repeat", assess(predictions), one, 0)
	sameAssessment(t, "thrice the same", assess(predictions, predictions, predictions), one, 1e-9)

	var want Quality
	for _, repeat := range repeats {
		q, err := Assess(repeat, records)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range q.figures() {
			*want.figures()[i] += *v / 3
		}
	}
	all := assess(repeats...)
	sameQuality(t, "the mean of three", all.Quality, want, 1e-9)
	if all.N != len(records) {
		t.Errorf("N = %d, want %d", all.N, len(records))
	}
	sameAssessment(t, "in another order", assess(repeats[2], repeats[0], repeats[1]), all, 1e-9)

	// Repeats may also be further records of the same groups, which draws take
	// together: the errors and their intervals are the same.
	long, err := Bootstrap{By: func(i int, _ *Record) string { return strconv.Itoa(i % len(records) / 3) }, Seed: 1}.
		Assess(slices.Concat(repeats...), slices.Concat(records, records, records))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(long.MAE-all.MAE) > 1e-9 || math.Abs(long.Low.MAE-all.Low.MAE) > 1e-9 || math.Abs(long.High.Coverage90-all.High.Coverage90) > 1e-9 {
		t.Errorf("in one list: %v, want %v", long, all)
	}

	for _, c := range []struct {
		repeats [][]Prediction
		want    string
	}{
		{nil, "predictor: no predictions for 60 records"},
		{[][]Prediction{predictions, predictions[1:]}, "predictor: repeat 2: 59 predictions for 60 records"},
	} {
		if _, err := b.AssessRepeats(c.repeats, records); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

func TestQuantileOf(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		sorted            []float64
		probability, want float64
	}{
		{nil, 0.5, math.NaN()},
		{[]float64{3}, 0.05, 3},
		{[]float64{3}, 0.95, 3},
		{[]float64{1, 2, 3}, 0.5, 2},
		{[]float64{1, 2}, 0.25, 1.25},
		{[]float64{0, 1, 2, 3, 4}, 0.95, 3.8},
		{[]float64{-inf, -inf, 1}, 0.25, -inf},
		{[]float64{1, inf, inf}, 0.75, inf},
	} {
		if got := quantileOf(c.sorted, c.probability); !same(got, c.want) && got != c.want {
			t.Errorf("%v of %v: %v, want %v", c.probability, c.sorted, got, c.want)
		}
	}
}

func TestBaselines(t *testing.T) {
	records := make([]Record, 12)
	for i, n := range differentNetworks(t, 12) {
		records[i] = Record{Network: n, Dataset: "d", Recipe: "r"}
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
		got, err := Bootstrap{}.Baselines(records, nil)
		if err != nil || math.Abs(got.MACs.Kendall-sign) > 1e-12 || math.Abs(got.MACs.Spearman-sign) > 1e-12 || math.Abs(got.MACs.Low.Kendall-sign) > 1e-12 {
			t.Errorf("MACs that order the accuracies with sign %v: %+v, %v", sign, got, err)
		}
		if !math.IsNaN(got.Mean.Kendall) || !math.IsNaN(got.Mean.Spearman) || !(got.MACs.RMSE < got.Mean.RMSE) {
			t.Errorf("the mean: %v; MACs: %v", got.Mean, got.MACs)
		}
	}
	// Errors on a line over log MACs are predicted without a miss.
	for i := range records {
		records[i].Accuracy = 1 - 100*math.Pow(macs[i], -0.5)
	}
	got, err := Bootstrap{}.Baselines(records, BlockTypes)
	if err != nil || !math.IsNaN(got.MACs.RMSE) || !math.IsNaN(got.Mean.Coverage90) || math.Abs(got.MACs.Kendall-1) > 1e-12 {
		t.Errorf("with nothing left to learn from: %v, %v", got, err)
	}
	got, err = Bootstrap{By: EachNetwork}.Baselines(records, EachNetwork)
	if err != nil || got.MACs.RMSE > 1e-7 || got.Params.RMSE < 1e-4 || got.Mean.RMSE < got.Params.RMSE {
		t.Errorf("a line: %v, %v", got, err)
	}
	if got.MACs.N != 12 || !(got.Mean.Low.RMSE < got.Mean.RMSE && got.Mean.RMSE < got.Mean.High.RMSE) {
		t.Errorf("the mean: %v", got.Mean)
	}
	// What is held out together and what is drawn together are two things.
	apart, err := Bootstrap{}.Baselines(records, EachNetwork)
	if err != nil || apart.Mean.RMSE != got.Mean.RMSE {
		t.Errorf("drawn one by one: %v, %v", apart.Mean, err)
	}
	together, err := Bootstrap{By: inGroupsOf(4)}.Baselines(records, EachNetwork)
	if err != nil || together.Mean.RMSE != got.Mean.RMSE || together.Mean.Low.RMSE == apart.Mean.Low.RMSE {
		t.Errorf("drawn in fours: %v, %v", together.Mean, err)
	}
	broken := *records[3].Network
	broken.Input.Resolution = 0
	records[3].Network = &broken
	if _, err := (Bootstrap{}).Baselines(records, nil); err == nil || !strings.HasPrefix(err.Error(), "predictor: network ") {
		t.Errorf("a network that cannot be built: %v", err)
	}
	if _, err := (Bootstrap{}).Baselines(nil, nil); err != nil {
		t.Errorf("no records: %v", err)
	}
}

// What is held out in closed form is what a fit to the others predicts.
func TestLeaveOutLineIsAFitWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 9))
		n := rapid.IntRange(6, 30).Draw(t, "n")
		levels := rapid.IntRange(1, 6).Draw(t, "levels") // few: the others may have one x
		x, y, group := make([]float64, n), make([]float64, n), make([]int, n)
		groups := make([][]int, 2)
		for i := range x {
			x[i], y[i] = 20+float64(random.IntN(levels)), -1.5+0.3*random.NormFloat64()
			group[i] = random.IntN(3)
			if group[i] < 2 {
				groups[group[i]] = append(groups[group[i]], i)
			}
		}
		got := leaveOutLine(x, y, groups)
		for g, members := range groups {
			var rx, ry []float64
			for i := range x {
				if group[i] != g {
					rx, ry = append(rx, x[i]), append(ry, y[i])
				}
			}
			free := float64(len(rx)) - 2
			var sxx, sxy float64
			for i := range rx {
				sxx += (rx[i] - stat.Mean(rx, nil)) * (rx[i] - stat.Mean(rx, nil))
				sxy += (rx[i] - stat.Mean(rx, nil)) * (ry[i] - stat.Mean(ry, nil))
			}
			if sxx == 0 {
				sxx, free = math.Inf(1), free+1
			}
			if free <= 0 {
				continue
			}
			slope, residual := sxy/sxx, 0.
			for i := range rx {
				residual += math.Pow(ry[i]-stat.Mean(ry, nil)-slope*(rx[i]-stat.Mean(rx, nil)), 2)
			}
			for _, i := range members {
				d := x[i] - stat.Mean(rx, nil)
				center, sd := stat.Mean(ry, nil)+slope*d, math.Sqrt(residual/free*(1+1/float64(len(rx))+d*d/sxx))
				if math.Abs(got[i].LogError-center) > 1e-9 || math.Abs(got[i].LogErrorSD-sd) > 1e-6 {
					t.Fatalf("record %d: got %v ± %v, want %v ± %v", i, got[i].LogError, got[i].LogErrorSD, center, sd)
				}
			}
		}
	})
}

func BenchmarkBootstrap(b *testing.B) {
	for _, n := range []int{200, 5000, 20000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			predictions, records := simulated(rand.New(rand.NewPCG(1, 10)), n, 1, 0, 0.1)
			for b.Loop() {
				if _, err := (Bootstrap{}).Assess(predictions, records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
