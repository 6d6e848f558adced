package bench

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/efficientnas/nas/predictor"
)

func imagenetRecords(t *testing.T) []predictor.Record {
	t.Helper()
	const path = recordsFile
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := predictor.ReadRecords(path, f)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(records, func(r predictor.Record) bool { return r.Derived })
}

// everyThird returns a third of the records, whose recipes are all there repeatedly.
func everyThird(records []predictor.Record) []predictor.Record {
	var some []predictor.Record
	for i, r := range records {
		if i%3 == 0 && r.Recipe != "ported" {
			some = append(some, r)
		}
	}
	return some
}

func TestProject(t *testing.T) {
	for source, want := range map[string]string{
		"PaddleClas (github.com/PaddlePaddle/PaddleClas), ImageNet model zoo":     "PaddleClas",
		"TensorFlow Slim (github.com/tensorflow/models), research/slim/nets/x.md": "TensorFlow Slim",
		"torchvision 0.14.1 (github.com/pytorch/vision), IMAGENET1K_V1 weights":   "torchvision",
		"timm v0.9, results": "timm",
		"version v":          "version v",
		"  our own ":         "our own",
		"ours, 2024":         "ours",
		"":                   "unknown",
		"(web)":              "unknown",
		"2024 runs":          "unknown",
	} {
		if got := Project(source); got != want {
			t.Errorf("%q is of %q, want %q", source, got, want)
		}
	}
}

// The ways become harder, groups are what they are said to be, and the same
// records give the same figures.
func TestRecords(t *testing.T) {
	records := slices.DeleteFunc(imagenetRecords(t), func(r predictor.Record) bool { return r.Recipe == "tf_slim_v3" })
	records = everyThird(records)
	n := len(records)
	var progress []int
	o := predictor.Options{Model: predictor.Ridge}
	all, sources, err := Records(t.Context(), records, o, func(done, total int) { progress = append(progress, done, total) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(progress, []int{1, 4, 2, 4, 3, 4, 4, 4}) {
		t.Errorf("progress %v", progress)
	}
	if len(all) != 4 || len(sources) != 5 || all[0].Groups != len(records) || all[3].Groups != 5 {
		t.Fatalf("%+v, %+v", all, sources)
	}
	for i, l := range all {
		if l.Missing != "" || l.Quality.N != n || l.MACs != all[0].MACs || l.Anew != (i >= 2) {
			t.Errorf("%+v", l)
		}
		if i > 0 && l.Groups >= all[i-1].Groups || l.Quality.Kendall > all[0].Quality.Kendall+0.01 {
			t.Errorf("%s: %+v", l.What, l)
		}
	}
	of := 0
	for i, s := range sources {
		of += s.Quality.N
		if i > 0 && s.What <= sources[i-1].What || s.Groups != 1 || s.Quality.Spearman < 0.5 {
			t.Errorf("%+v", s)
		}
	}
	if of != n {
		t.Errorf("the sources have %d records of %d", of, n)
	}
	again, sourcesAgain, err := Records(t.Context(), records, o, nil)
	if err != nil || !reflect.DeepEqual(all, again) || !reflect.DeepEqual(sources, sourcesAgain) {
		t.Errorf("the same records give something else: %v", err)
	}
}

// A way that leaves nothing to learn from has no figures, and says why.
func TestRecordsWithoutOthers(t *testing.T) {
	var one []predictor.Record
	for _, r := range imagenetRecords(t) {
		if r.Recipe == "tf_slim" && predictor.BlockTypes(0, &r) == "separable" {
			one = append(one, r)
		}
	}
	all, sources, err := Records(t.Context(), one, predictor.Options{Model: predictor.Ridge}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].Missing != "" || all[2].Missing != "all are of one" || all[3].Missing != "all are of one" || sources != nil {
		t.Errorf("%+v, %+v", all, sources)
	}
	one[0].Source = "another"
	one[1].Derived = true // tells nothing
	if all, _, err = Records(t.Context(), one[:11], predictor.Options{Model: predictor.Ridge}, nil); err != nil || all[3].Missing != "too few others" {
		t.Errorf("%+v, %v", all, err)
	}
	for i := range one {
		one[i].Recipe += one[i].Network.Name + one[i].String()
	}
	if all, _, err = Records(t.Context(), one, predictor.Options{Model: predictor.Ridge}, nil); err != nil || all[0].Missing != "each recipe has one record" {
		t.Errorf("%+v, %v", all[0], err)
	}
}

func TestRecordsFails(t *testing.T) {
	records := imagenetRecords(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Records(ctx, records, predictor.Options{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, _, err := Records(t.Context(), records, predictor.Options{Model: "none"}, nil); err == nil {
		t.Error("an unknown model is measured")
	}
}
