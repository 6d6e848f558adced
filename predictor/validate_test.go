package predictor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ofRidge trains the model that takes the least time.
func ofRidge() Options { return Options{Model: Ridge, Seed: 3} }

func validated(t testing.TB, records []Record, o Options, s ValidationSettings) *Validation {
	t.Helper()
	v, err := Validate(t.Context(), records, o, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidate(t *testing.T) {
	records := spaceRecords(t, 60, 1)
	v := validated(t, records, ofRidge(), ValidationSettings{})
	if len(v.Records) != 60 || v.Apart != 0 || v.Repeats != 3 || v.Folds != 5 || len(v.Predictions) != 3 || len(v.Calibration) != 19 {
		t.Fatalf("%d records, %d apart, %d repeats of %d folds, %d predictions, %d points",
			len(v.Records), v.Apart, v.Repeats, v.Folds, len(v.Predictions), len(v.Calibration))
	}
	if v.Predictor.RMSE > 0.01 || v.Predictor.Kendall < 0.85 {
		t.Errorf("the predictor: %v", v.Predictor)
	}
	if !(v.Predictor.Low.Kendall < v.Predictor.Kendall && v.Predictor.Kendall < v.Predictor.High.Kendall) {
		t.Errorf("tau %v is from %v to %v", v.Predictor.Kendall, v.Predictor.Low.Kendall, v.Predictor.High.Kendall)
	}
	if d := v.Predictor.Kendall - v.Baselines.MACs.Kendall - v.Gain.Kendall; math.Abs(d) > 1e-12 {
		t.Errorf("tau is %v higher than %v, not %v", v.Predictor.Kendall, v.Baselines.MACs.Kendall, v.Gain.Kendall)
	}
	if !(v.Gain.Low < v.Gain.Kendall && v.Gain.Kendall < v.Gain.High) {
		t.Errorf("the gain is %+v", v.Gain)
	}
	// The figures are those of the predictions.
	want, err := Bootstrap{By: EachNetwork, Seed: 3}.AssessRepeats(v.Predictions, v.Records)
	if err != nil || v.Predictor != want {
		t.Errorf("%v instead of %v, %v", v.Predictor, want, err)
	}
	mean := 0.
	for _, y := range v.Predictions {
		points, err := Calibration(y, v.Records)
		if err != nil {
			t.Fatal(err)
		}
		mean += points[9].Share / 3
	}
	if got := v.Calibration[9]; math.Abs(got.Share-mean) > 1e-12 || got.Nominal != 0.5 {
		t.Errorf("%+v instead of a share of %v", got, mean)
	}
	if v.Ceiling != nil {
		t.Errorf("a ceiling of records of which none is repeated: %v", v.Ceiling)
	}
	if slices.Equal(v.Predictions[0], v.Predictions[1]) {
		t.Error("the second repeat has the folds of the first")
	}
}

// The same seed gives the same validation, whatever the machine does meanwhile; another
// seed has other folds.
func TestValidateIsDeterministic(t *testing.T) {
	records := spaceRecords(t, 40, 2)
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var all []*Validation
	for _, n := range []int{1, 4, 4} {
		runtime.GOMAXPROCS(n)
		o := Options{Model: GP, Seed: 5}
		if len(all) == 2 {
			o.Seed = 6
		}
		all = append(all, validated(t, records, o, ValidationSettings{Repeats: 1}))
	}
	for i, v := range all {
		same := reflect.DeepEqual(withoutNaN(v), withoutNaN(all[0]))
		if same != (i < 2) {
			t.Errorf("validation %d is the same as the first: %v", i, same)
		}
	}
}

// withoutNaN returns all of a validation that can be compared.
func withoutNaN(v *Validation) any {
	return fmt.Sprint(v.Predictions, v.Predictor, v.Baselines, v.Gain, v.Calibration)
}

// What is predicted for a network comes from others alone.
func TestValidatedNetworksAreNotSeen(t *testing.T) {
	records := smallRecords(t, 40) // 20 networks, each twice
	changed := slices.Clone(records)
	changed[3].Accuracy = 0.1
	a := validated(t, records, ofRidge(), ValidationSettings{Repeats: 2})
	b := validated(t, changed, ofRidge(), ValidationSettings{Repeats: 2})
	for r := range a.Predictions {
		for _, i := range []int{3, 23} {
			if a.Predictions[r][i] != b.Predictions[r][i] {
				t.Errorf("the accuracy of record 3 changes what is predicted for %d, of the same network: %v, %v", i, a.Predictions[r][i], b.Predictions[r][i])
			}
		}
		if slices.Equal(a.Predictions[r], b.Predictions[r]) {
			t.Error("the accuracy of record 3 changes nothing")
		}
	}
}

// Whatever the records are, every one that can be assessed is in one fold, with all
// of its network, and the folds are even.
func TestFoldsOfNetworks(t *testing.T) {
	networks := differentNetworks(t, 12)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "n")
		var records []Record
		for range n {
			records = append(records, Record{
				Network:  networks[rapid.IntRange(0, 11).Draw(t, "network")],
				Accuracy: 0.5, Derived: rapid.IntRange(0, 5).Draw(t, "derived") == 0,
				Recipe:  rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "recipe"),
				Dataset: rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(t, "dataset"),
			})
		}
		of := networksOf(records)
		if len(of) < 2 {
			return
		}
		k := rapid.IntRange(2, len(of)).Draw(t, "k")
		in := make(map[int]int)
		least, most := n, 0
		for _, f := range deal(of, k, 1, 1) {
			keys := make(map[string]bool)
			for _, i := range f.assessed {
				in[i]++
				if records[i].Derived || !slices.Contains(f.records, i) {
					t.Fatalf("record %d is assessed", i)
				}
			}
			for _, i := range f.records {
				keys[EachNetwork(i, &records[i])] = true
			}
			for i := range records {
				if keys[EachNetwork(i, &records[i])] != slices.Contains(f.records, i) {
					t.Fatalf("record %d of a network of the fold %v", i, f.records)
				}
			}
			least, most = min(least, len(keys)), max(most, len(keys))
		}
		if most-least > 1 {
			t.Fatalf("folds of %d to %d networks", least, most)
		}
		for i := range records {
			networksLike := func(like func(r *Record) bool) int {
				keys := make(map[string]bool)
				for j := range records {
					if !records[j].Derived && like(&records[j]) {
						keys[EachNetwork(j, &records[j])] = true
					}
				}
				return len(keys)
			}
			can := !records[i].Derived &&
				networksLike(func(r *Record) bool { return r.Recipe == records[i].Recipe }) > 1 &&
				networksLike(func(r *Record) bool { return r.Dataset == records[i].Dataset }) > 1
			if (in[i] == 1) != can || in[i] > 1 {
				t.Fatalf("record %d is in %d folds", i, in[i])
			}
		}
	})
}

// Of a recipe with two networks, each is predicted by a predictor that knows the
// other.
func TestFoldsHaveTheirShareOfEachRecipe(t *testing.T) {
	var records []Record
	for i, n := range differentNetworks(t, 30) {
		r := Record{Network: n, Accuracy: 0.5, Dataset: "d", Recipe: "many"}
		if i%15 == 0 {
			r.Recipe = "two"
		}
		records = append(records, r)
	}
	for seed := range uint64(20) {
		for _, f := range deal(networksOf(records), 5, seed, 0) {
			if slices.Contains(f.assessed, 0) && slices.Contains(f.assessed, 15) {
				t.Fatalf("seed %d: both of a recipe are in %v", seed, f.assessed)
			}
		}
	}
}

func TestValidateLeavesApart(t *testing.T) {
	records := spaceRecords(t, 30, 3)
	records[4].Recipe = "own"
	records[7].Dataset = "another"
	records[9].Derived, records[9].Accuracy = true, 0.01
	v := validated(t, records, ofRidge(), ValidationSettings{Repeats: 1})
	if len(v.Records) != 27 || v.Apart != 2 {
		t.Errorf("%d records are assessed, %d apart", len(v.Records), v.Apart)
	}
	for i := range v.Records {
		if r := &v.Records[i]; r.Recipe == "own" || r.Dataset == "another" || r.Derived {
			t.Errorf("%v is assessed", r)
		}
	}
	for i := range records {
		records[i].Recipe = fmt.Sprint(i)
	}
	v = validated(t, records, ofRidge(), ValidationSettings{})
	if len(v.Records) != 0 || v.Apart != 29 || v.Warning() != "" {
		t.Errorf("%d records are assessed, %d apart, %q", len(v.Records), v.Apart, v.Warning())
	}
}

// Budgets are inputs where there are several; a fold must not take one with it.
func TestValidateByEpochs(t *testing.T) {
	for _, epochs := range [][]float64{{10, 20}, {10, 20, 40}, {10, 10, 10, 20}} {
		records := spaceRecords(t, 30, 3)
		for i := range records {
			records[i].Epochs = epochs[i%len(epochs)]
		}
		records[5].Epochs = 80 // the only one
		if v := validated(t, records, ofRidge(), ValidationSettings{Repeats: 2}); len(v.Records) != 30 {
			t.Errorf("%v: %d records are assessed", epochs, len(v.Records))
		}
		for i := range records {
			records[i].Epochs = 10
		}
		records[5].Epochs = 80
		if v := validated(t, records, ofRidge(), ValidationSettings{Repeats: 2}); len(v.Records) != 29 || v.Apart != 1 {
			t.Errorf("%d records are assessed, %d apart", len(v.Records), v.Apart)
		}
	}
}

func TestValidateFewRecords(t *testing.T) {
	records := spaceRecords(t, 14, 1)
	for n, folds := range map[int]int{11: 11, 12: 6, 14: 5} {
		if v := validated(t, records[:n], ofRidge(), ValidationSettings{Repeats: 1}); v.Folds != folds {
			t.Errorf("%d records in %d folds, want %d", n, v.Folds, folds)
		}
	}
	if _, err := Validate(t.Context(), records[:10], ofRidge(), ValidationSettings{}); !errors.Is(err, ErrTooFew) {
		t.Errorf("10 records: %v", err)
	}
	derived := slices.Clone(records)
	for i := range 4 {
		derived[i].Derived = true
	}
	if _, err := Validate(t.Context(), derived, ofRidge(), ValidationSettings{}); !errors.Is(err, ErrTooFew) {
		t.Errorf("10 measured records: %v", err)
	}
}

func TestValidateRefuses(t *testing.T) {
	records := spaceRecords(t, 20, 1)
	for want, s := range map[string]ValidationSettings{
		"repeats must be from 1 to 100, found -1":   {Repeats: -1},
		"repeats must be from 1 to 100, found 101":  {Repeats: 101},
		"folds must be from 2 to 1000, found 1":     {Folds: 1},
		"probability must be between 0 and 1":       {Repeats: 1, Probability: 2},
		"folds must be from 2 to 1000, found 10000": {Folds: 10000},
	} {
		if _, err := Validate(t.Context(), records, ofRidge(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	if _, err := Validate(t.Context(), records, Options{Model: "gbdt"}, ValidationSettings{}); err == nil || !strings.Contains(err.Error(), `"gbdt"`) {
		t.Errorf("%v", err)
	}
	records[2].Accuracy = math.NaN()
	if _, err := Validate(t.Context(), records, ofRidge(), ValidationSettings{}); err == nil {
		t.Error("an accuracy that is no number is validated")
	}
}

// Progress counts up to all trainings, and cancelling ends early.
func TestValidateProgressAndCancel(t *testing.T) {
	records := spaceRecords(t, 40, 1)
	for name, f := range map[string]func(ctx context.Context, progress func(done, total int)) error{
		"Validate": func(ctx context.Context, progress func(done, total int)) error {
			_, err := Validate(ctx, records, ofRidge(), ValidationSettings{Progress: progress})
			return err
		},
		"LearningCurve": func(ctx context.Context, progress func(done, total int)) error {
			_, err := LearningCurve(ctx, records, ofRidge(), CurveSettings{Progress: progress})
			return err
		},
	} {
		var seen []int
		if err := f(t.Context(), func(done, total int) {
			if seen = append(seen, done); done > total {
				t.Errorf("%s: %d of %d", name, done, total)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if len(seen) < 15 {
			t.Errorf("%s: progress %v", name, seen)
		}
		for i, done := range seen {
			if done != i+1 {
				t.Fatalf("%s: progress %v", name, seen)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		err := f(ctx, func(int, int) { calls++; cancel() })
		if !errors.Is(err, context.Canceled) || calls > runtime.GOMAXPROCS(0) {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
	}
}

func TestValidationOfOthersPredictions(t *testing.T) {
	records := spaceRecords(t, 40, 1)
	p := trainedOn(t, records[:20], ofRidge())
	predictions, err := p.PredictRecords(records)
	if err != nil {
		t.Fatal(err)
	}
	records[25].Derived = true
	v, err := Bootstrap{Seed: 1}.Validation(predictions[20:], records[20:])
	if err != nil {
		t.Fatal(err)
	}
	want, err := Assess(slices.Delete(slices.Clone(predictions[20:]), 5, 6), slices.Delete(slices.Clone(records[20:]), 5, 6))
	if err != nil || v.Predictor.Quality != want || v.Baselines.MACs.N != 19 {
		t.Errorf("%v instead of %v, %v", v.Predictor, want, err)
	}
	if _, err := (Bootstrap{}).Validation(predictions[1:], records); err == nil {
		t.Error("predictions of fewer records are assessed")
	}
}

func TestWarning(t *testing.T) {
	records := spaceRecords(t, 40, 1)
	good := make([]Prediction, len(records))
	for i := range records {
		good[i] = newPrediction(logError(records[i].Accuracy), 1e-4)
	}
	level := slices.Repeat([]Prediction{newPrediction(-0.5, 0.01)}, len(records))
	for want, predictions := range map[string][]Prediction{"": good, "does not rank these networks better": level} {
		v, err := Bootstrap{}.Validation(predictions, records)
		if err != nil {
			t.Fatal(err)
		}
		if w := v.Warning(); !strings.Contains(w, want) || (want == "") != (w == "") {
			t.Errorf("tau %v against %v: %q", v.Predictor.Kendall, v.Baselines.MACs.Kendall, w)
		}
	}
	v := &Validation{Records: records, Gain: Gain{0.1, -0.01, 0.2}}
	if w := v.Warning(); !strings.Contains(w, "may be chance") {
		t.Errorf("%+v: %q", v.Gain, w)
	}
}

// Where networks were measured repeatedly, a validation knows what noise allows.
func TestValidationHasACeiling(t *testing.T) {
	records, _ := measuredOf(differentNetworks(t, 20), []int{1, 3}, 0.2, 0.02, 1)
	v := validated(t, records, ofRidge(), ValidationSettings{Repeats: 1})
	want, ok := NoiseCeiling(records, 3)
	if !ok || v.Ceiling == nil || *v.Ceiling != want {
		t.Errorf("%v instead of %v", v.Ceiling, want)
	}
	// Twins leave together, so that the predictor is not better than the ceiling.
	if v.Predictor.RMSE < want.Single.RMSE {
		t.Errorf("RMSE %v is below %v", v.Predictor.RMSE, want.Single.RMSE)
	}
}
