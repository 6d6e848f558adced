package predictor

import (
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func importances(t testing.TB, p *Predictor, records []Record, seed uint64) map[string]Importance {
	t.Helper()
	all, err := p.Importance(records, seed)
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[string]Importance)
	for i, v := range all {
		if i > 0 && v.RMSE > all[i-1].RMSE {
			t.Errorf("%s is before %s", all[i-1].Input, v.Input)
		}
		of[v.Input] = v
	}
	if len(of) != len(all) {
		t.Errorf("an input twice in %v", all)
	}
	return of
}

// Accuracies that only one gene decides about, whatever the model, depend on it.
func TestImportanceFindsTheGene(t *testing.T) {
	records := smallSpaceRecords(t)
	for i := range records {
		records[i].Accuracy = 0.7
		if records[i].Network.Stages[0].Block.Name() == "basic" {
			records[i].Accuracy = 0.75
		}
	}
	for _, inputs := range [][]Input{{Ordinal}, {OneHot}, {OneHot, Pairs}, {Features, Ordinal}} {
		p := trainedOn(t, records, Options{Model: Ridge, Inputs: inputs, Space: smallSpace(t)})
		of := importances(t, p, records, 1)
		block := of["stages.0.block"]
		if block.RMSE < 0.01 || inputs[0] != Features && block.Kendall < 0.2 || !(block.RMSESD > 0) {
			t.Errorf("%v: %+v", inputs, block)
		}
		for name, v := range of {
			if strings.Contains(name, "=") || strings.Contains(name, " ") {
				t.Errorf("%v: the input %q on its own", inputs, name)
			}
			if v.RMSE > block.RMSE {
				t.Errorf("%v: %s matters more: %+v", inputs, name, v)
			}
			if v.Length != 0 {
				t.Errorf("%v: ridge has a length scale: %+v", inputs, v)
			}
		}
	}
}

// An input that is the same in all records tells nothing, and so has no importance;
// a recipe that makes a difference has.
func TestImportanceOfConstantsAndRecipes(t *testing.T) {
	records := smallRecords(t, 30)
	p := trainedOn(t, records, Options{})
	of := importances(t, p, records, 1)
	if v := of["log_resolution"]; v.RMSE != 0 || v.RMSESD != 0 || v.Kendall != 0 {
		t.Errorf("the resolution is the same for all: %+v", v)
	}
	if v := of["recipe"]; v.RMSE < 0.002 || v.Length != 0 {
		t.Errorf("%+v", v)
	}
	if v := of["log_depth"]; !(v.Length > 0) {
		t.Errorf("%+v", v)
	}
}

func TestImportanceIsDeterministic(t *testing.T) {
	records := spaceRecords(t, 40, 1)
	p := trainedOn(t, records, Options{Inputs: []Input{Sizes, Ordinal}, Space: largeSpace(t)})
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var all []map[string]Importance
	for _, n := range []int{1, 4} {
		runtime.GOMAXPROCS(n)
		all = append(all, importances(t, p, records, 7))
	}
	if !reflect.DeepEqual(all[0], all[1]) {
		t.Errorf("%v with one core, and %v with four", all[0], all[1])
	}
	if reflect.DeepEqual(all[0], importances(t, p, records, 8)) {
		t.Error("another seed permutes alike")
	}
}

// Permuting moves values among the records, all of a gene together, and the
// products follow.
func TestPermuted(t *testing.T) {
	for _, f := range []Input{Sizes, Features} { // with mixedInput
		t.Run(string(f), func(t *testing.T) { testPermuted(t, f) })
	}
}

func testPermuted(t *testing.T, features Input) {
	records := smallSpaceRecords(t)[:12]
	for i := range records {
		records[i].Dataset, records[i].Epochs = []string{"cifar10", "svhn"}[i%2], float64(10*(1+i%4))
	}
	p := trainedOn(t, records, Options{Model: Ridge, Inputs: []Input{features, OneHot, Pairs}, Space: smallSpace(t)})
	s, err := p.encodeRecords(records)
	if err != nil {
		t.Fatal(err)
	}
	from := []int{3, 2, 1, 0, 5, 4, 7, 6, 9, 8, 11, 10}
	covered := make([]bool, len(p.layout.columns))
	for _, g := range p.layout.groups() {
		for _, c := range g.columns {
			name := p.layout.names[c]
			if strings.Contains(name, " * ") || name != g.name && !strings.HasPrefix(name, g.name+"=") {
				t.Errorf("%s moves with %s", name, g.name)
			}
		}
		out := s.permuted(p.layout, &g, from)
		for c := range covered {
			own := slices.Contains(g.columns, c)
			covered[c] = covered[c] || own
			a, b, pair := strings.Cut(p.layout.names[c], " * ")
			for i, f := range from {
				want := s.z.At(i, c)
				if own {
					want = s.z.At(f, c)
				}
				if pair {
					want = out.z.At(i, slices.Index(p.layout.names, a)) * out.z.At(i, slices.Index(p.layout.names, b))
				}
				if got := out.z.At(i, c); got != want {
					t.Fatalf("%s: %s of record %d is %v, want %v", g.name, p.layout.names[c], i, got, want)
				}
			}
		}
	}
	for c, ok := range covered {
		if !ok && !strings.Contains(p.layout.names[c], " * ") {
			t.Errorf("%s is never permuted", p.layout.names[c])
		}
	}
}

func TestImportanceRefuses(t *testing.T) {
	records := smallRecords(t, 30)
	p := trainedOn(t, records, ofRidge())
	if _, err := p.Importance(records[:1], 1); err == nil || !strings.Contains(err.Error(), "at least 2") {
		t.Errorf("one record: %v", err)
	}
	foreign := slices.Clone(records)
	foreign[3].Dataset = "svhn"
	if _, err := p.Importance(foreign, 1); err == nil || !strings.Contains(err.Error(), "svhn") {
		t.Errorf("an unknown dataset: %v", err)
	}
	foreign[3] = records[3]
	foreign[3].Recipe = "unheard of"
	if _, err := p.Importance(foreign, 1); err != nil {
		t.Errorf("an unknown recipe: %v", err)
	}
}

func TestImportanceOfManyRecords(t *testing.T) {
	records := slices.Repeat(smallRecords(t, 30), 40)
	p := trainedOn(t, records[:30], ofRidge())
	if of := importances(t, p, records, 1); !(of["log_depth"].RMSE > 0) {
		t.Errorf("%+v", of["log_depth"])
	}
}

func TestSeen(t *testing.T) {
	records := smallRecords(t, 30)
	p := trainedOn(t, records[:15], ofRidge())
	other := records[0]
	other.Recipe = "unheard of"
	measuredAgain := records[1]
	measuredAgain.Accuracy = 0.3
	seen, err := p.Seen(append(slices.Clone(records[:20]), other, measuredAgain))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range seen {
		if want := i < 15 || i == 21; v != want {
			t.Errorf("record %d was seen: %v", i, v)
		}
	}
}

// What a predictor says of itself is what LeaveOut says of it.
func TestLeaveOneOut(t *testing.T) {
	records := spaceRecords(t, 30, 1)
	records[3].Recipe = "own"
	records[5].Derived = true
	o := Options{Seed: 1}
	p := trainedOn(t, records, o)
	q, apart, ok := p.LeaveOneOut()
	predictions, err := LeaveOut(records, EachRecord, o)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Assess(Comparable(predictions, records))
	if err != nil || !ok || apart != 1 || q.N != 28 || math.Abs(q.RMSE-want.RMSE) > 1e-6 || math.Abs(q.Kendall-want.Kendall) > 1e-9 {
		t.Errorf("%v, %d apart, %v; want %v", q, apart, ok, want)
	}
	if _, _, ok := trainedOn(t, records, Options{Model: Trees}).LeaveOneOut(); ok {
		t.Error("trees have a closed form")
	}
}

// Datasets move as one, and budgets are an input where there are several.
func TestImportanceOfDatasetsAndEpochs(t *testing.T) {
	records := spaceRecords(t, 40, 1)
	for i := range records {
		records[i].Dataset, records[i].Epochs = []string{"cifar10", "svhn"}[i%2], float64(10*(1+i%4))
		records[i].Accuracy -= 0.05*float64(i%2) + 0.02*math.Log(records[i].Epochs)
	}
	p := trainedOn(t, records, Options{Model: Ridge, Inputs: []Input{Sizes, OneHot, Pairs}, Space: largeSpace(t)})
	of := importances(t, p, records, 1)
	for _, name := range []string{"dataset", epochsInput} {
		if of[name].RMSE < 0.0005 {
			t.Errorf("%s: %+v", name, of[name])
		}
	}
	if len(of) != len(p.layout.features)+len(p.layout.plan.Slots)+2 {
		t.Errorf("%d inputs", len(of))
	}
}
