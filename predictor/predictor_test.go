package predictor

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/efficientnas/nas/arch"
	"pgregory.net/rapid"
)

// Every kind of predictor must pass this suite, whatever it has learnt from.
func TestPredictors(t *testing.T) {
	t.Run("imagenet", func(t *testing.T) {
		testPredictor(t, imagenetTrained(t), newCandidate(t, reference(t, "mobilenet_v2")), candidates(t, 150))
	})
	t.Run("one space", func(t *testing.T) {
		records := smallRecords(t, 30)
		testPredictor(t, trainedOn(t, records, Options{}), newCandidate(t, records[0].Network), candidates(t, 150))
	})
	t.Run("datasets and epochs", func(t *testing.T) {
		records := smallRecords(t, 30)
		for i := range records {
			records[i].Dataset, records[i].Epochs = []string{"cifar10", "svhn"}[i%2], float64(10*(1+i/2%4))
		}
		p := trainedOn(t, records, Options{})
		usual := slices.IndexFunc(records, func(r Record) bool {
			u := p.Usual()
			return r.Dataset == u.Dataset && r.Recipe == u.Recipe && r.Epochs == u.Epochs
		})
		if usual < 0 {
			t.Fatalf("no record of the usual training, %+v", p.Usual())
		}
		testPredictor(t, p, newCandidate(t, records[usual].Network), candidates(t, 150))
	})
}

// The other models must pass it too, on records of a space by features or genes.
func TestModels(t *testing.T) {
	records := smallSpaceRecords(t)
	var all []candidate
	for _, n := range drawn(t, smallSpace(t), 50, 2) {
		all = append(all, newCandidate(t, n))
	}
	for _, m := range []Model{GP, Ridge, Trees, Neural} { // Auto has a test of its own
		for _, inputs := range [][]Input{{Features}, {Ordinal, Sizes}, {OneHot, Pairs}} {
			if m == Neural && (len(inputs) > 1 || !*long) {
				continue // many seconds; see TestNeuralPredictor
			}
			t.Run(fmt.Sprint(m, inputs), func(t *testing.T) {
				o := Options{Model: m, Inputs: inputs}
				if inputs[0] != Features {
					o.Space = smallSpace(t)
				}
				p := trainedOn(t, records, o)
				testPredictor(t, p, all[0], all)
				s := p.Summary()
				if s.Model != m || s.Comparison != nil || !s.Beats() || s.Kendall < 0.8 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// Neural networks that learn for a moment must pass the suite as well.
func TestNeuralPredictor(t *testing.T) {
	records := smallRecords(t, 30)
	p := neuralOn(t, records)
	p.model.(*tempered).temper.Reach = 1 // which so little training does not tell
	testPredictor(t, p, newCandidate(t, records[0].Network), candidates(t, 150))
}

// One network of a kind of its own among records that are alike: without the
// latter, hardly any are left to learn from.
func TestOneRecordOfAFamily(t *testing.T) {
	records := smallRecords(t, 14)
	records[3].Network = reference(t, "squeezenet")
	for _, m := range []Model{GP, Ridge, Trees} {
		p := trainedOn(t, records, Options{Model: m})
		y, err := p.Predict(records[0].Network, Training{})
		if err != nil {
			t.Fatal(err)
		}
		checkPrediction(t, string(m), y)
	}
}

func trainedOn(t testing.TB, records []Record, o Options) *Predictor {
	t.Helper()
	p, err := Train(records, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testPredictor tests a predictor with networks that it can predict; known is
// like one of its records.
func testPredictor(t *testing.T, p *Predictor, known candidate, all []candidate) {
	t.Run("predictions are what the documentation says", func(t *testing.T) {
		for _, recipe := range p.Recipes() {
			for i, y := range predictAll(t, p, Training{Recipe: recipe}, all) {
				checkPrediction(t, fmt.Sprintf("candidate %d, %s", i, recipe), y)
			}
		}
	})
	t.Run("the usual training is the one said", func(t *testing.T) {
		a, b := predictAll(t, p, Training{}, all[:1]), predictAll(t, p, p.Usual(), all[:1])
		if a[0] != b[0] {
			t.Errorf("without a training %v, with %+v %v", a[0], p.Usual(), b[0])
		}
	})
	t.Run("an unknown recipe is refused", func(t *testing.T) {
		_, err := p.Batch(Training{Recipe: "unheard of"})
		if err == nil || !strings.Contains(err.Error(), strings.Join(p.Recipes(), ", ")) {
			t.Errorf("got %v, want an error with the recipes %v", err, p.Recipes())
		}
	})
	t.Run("an unknown dataset is refused", func(t *testing.T) {
		_, err := p.Batch(Training{Dataset: "unheard of"})
		if err == nil || !strings.Contains(err.Error(), strings.Join(p.Datasets(), ", ")) {
			t.Errorf("got %v, want an error with the datasets %v", err, p.Datasets())
		}
	})
	t.Run("an empty batch predicts nothing", func(t *testing.T) {
		b, err := p.Batch(Training{})
		if err != nil {
			t.Fatal(err)
		}
		if y := b.Predict(); len(y) != 0 {
			t.Errorf("got %v", y)
		}
	})
	t.Run("goroutines and batch sizes change nothing", func(t *testing.T) {
		want := predictAll(t, p, Training{}, all)
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				b, err := p.Batch(Training{})
				if err != nil {
					t.Error(err)
					return
				}
				size := 1 + 13*worker
				for from := 0; from < len(all); from += size {
					to := min(from+size, len(all))
					if err := addAll(b, all[from:to]); err != nil {
						t.Error(err)
					}
					if b.Len() != to-from {
						t.Errorf("the batch has %d networks, want %d", b.Len(), to-from)
					}
					for i, y := range b.Predict() {
						if y != want[from+i] {
							t.Errorf("batches of %d: candidate %d is %v, want %v", size, from+i, y, want[from+i])
						}
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("prediction does not allocate", func(t *testing.T) {
		if p.layout.plan != nil {
			return // reading the genes of a network does
		}
		b, err := p.Batch(Training{})
		if err != nil {
			t.Fatal(err)
		}
		round := func() {
			if err := addAll(b, all); err != nil {
				t.Error(err)
			}
			b.Predict()
		}
		round()
		if n := testing.AllocsPerRun(3, round); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("the predictor loaded is the one saved", func(t *testing.T) {
		var first, second bytes.Buffer
		if err := p.Save(&first); err != nil {
			t.Fatal(err)
		}
		q, err := Load("saved", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Save(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("saved again, it differs (%v)", err)
		}
		say := func(p *Predictor) string {
			return fmt.Sprint(p.Datasets(), p.Recipes(), p.Inputs(), p.Usual(), p.Records(), p.Summary())
		}
		if say(q) != say(p) {
			t.Errorf("loaded %s, want %s", say(q), say(p))
		}
		for _, recipe := range p.Recipes() {
			a, b := predictAll(t, p, Training{Recipe: recipe}, all), predictAll(t, q, Training{Recipe: recipe}, all)
			for i := range a {
				if a[i] != b[i] {
					t.Fatalf("%s, candidate %d: loaded %v, saved %v", recipe, i, b[i], a[i])
				}
			}
		}
	})
	t.Run("the nearest record is one", func(t *testing.T) {
		for i, c := range append([]candidate{known}, all[:20]...) {
			near, err := p.Nearest(c.network)
			if err != nil {
				t.Fatal(err)
			}
			named := slices.ContainsFunc(p.rows, func(r rowOfFile) bool { return r.Name == near.Name })
			if !named || !slices.Contains(p.Recipes(), near.Recipe) || !(near.Similarity >= 0 && near.Similarity <= 1) || i == 0 && near.Far {
				t.Errorf("%+v", near)
			}
		}
	})
	t.Run("networks unlike all records are uncertain", func(t *testing.T) {
		if p.layout.plan != nil {
			return // it takes no others than those of the space
		}
		usual := predictAll(t, p, Training{}, []candidate{known})[0]
		odd := network(t, `{"norm":"none","input":{"resolution":600},"stem":{"width":2,"stride":2},
			"stages":[{"block":"shuffle","width":4096,"depth":3,"stride":8,"groups":2,"kernel":11}],"head":{"classes":1000}}`)
		y, err := p.Predict(odd, Training{})
		if err != nil {
			t.Fatal(err)
		}
		if y.LogErrorSD < 3*usual.LogErrorSD {
			t.Errorf("standard deviation of the log error %v, of a record %v", y.LogErrorSD, usual.LogErrorSD)
		}
		if near, err := p.Nearest(odd); err != nil || !near.Far {
			t.Errorf("the nearest is %+v: %v", near, err)
		}
	})
}

func checkPrediction(t interface{ Errorf(string, ...any) }, what string, y Prediction) {
	if !(y.Accuracy >= 0 && y.Accuracy <= 1) || !(y.SD > 0) || !(y.LogErrorSD > 0) || math.IsInf(y.SD, 0) || math.IsNaN(y.LogError) {
		t.Errorf("%s: %+v", what, y)
	}
	low50, high50 := y.Interval(0.5)
	low90, high90 := y.Interval(0.9)
	if !(0 <= low90 && low90 <= low50 && low50 <= high50 && high50 <= high90 && high90 <= 1) {
		t.Errorf("%s: intervals %v to %v within %v to %v", what, low50, high50, low90, high90)
	}
}

func predictAll(t testing.TB, p *Predictor, how Training, all []candidate) []Prediction {
	t.Helper()
	b, err := p.Batch(how)
	if err != nil {
		t.Fatal(err)
	}
	if err := addAll(b, all); err != nil {
		t.Fatal(err)
	}
	return b.Predict()
}

func addAll(b *Batch, all []candidate) error {
	for _, c := range all {
		if err := b.Add(c.network, c.graph); err != nil {
			return err
		}
	}
	return nil
}

// A candidate is a network and its layers, as a [Batch] takes them.
type candidate struct {
	network *arch.Network
	graph   *arch.Graph
}

func newCandidate(t testing.TB, n *arch.Network) candidate {
	t.Helper()
	return candidate{n, lowered(t, n)}
}

// candidates returns n networks that mix types of blocks, as a search would
// propose them.
func candidates(t testing.TB, n int) []candidate {
	t.Helper()
	blocks := []string{
		"fire", "separable", "bottleneck", "shuffle_v2", "basic",
		"grouped, groups: 4", "inverted, expansion: 3", "inverted, expansion: 6, kernel: 5, se: 0.25", "shuffle, groups: 2",
	}
	var all []candidate
	for i := range n {
		pick := func(step int) string { return blocks[(i*step+i/len(blocks))%len(blocks)] }
		yaml := fmt.Sprintf(`
input: {resolution: %d}
stem: {width: 16, stride: 2}
stages:
  - {width: 24, stride: 2, depth: %d, block: %s}
  - {width: 48, stride: 2, depth: %d, block: %s}
  - {width: 96, stride: 2, depth: 2, block: %s}
  - {width: %d, stride: 2, depth: 2, block: %s}
head: {width: 1024, classes: 1000}
`, 160+32*(i%3), 1+i%2, pick(1), 1+i%4, pick(2), pick(4), 192+64*(i%5), pick(7))
		all = append(all, newCandidate(t, network(t, yaml)))
	}
	return all
}

// smallRecords returns records of one space, whose accuracies follow their
// widths and depths, by two recipes.
func smallRecords(t testing.TB, n int) []Record {
	t.Helper()
	var records []Record
	for i := range n {
		width, depth := 8+8*(i%5), 1+i%4
		n := network(t, fmt.Sprintf(`{"name":"small","input":{"resolution":32},"stem":{"width":8},
			"stages":[{"block":"basic","width":%d,"depth":%d},{"block":"basic","width":64,"stride":2}],"head":{"classes":10}}`, width, depth))
		r := Record{Network: n, Dataset: "cifar10", Recipe: "short", Accuracy: 0.8 + 0.02*math.Log2(float64(width)) + 0.01*float64(depth)}
		if i%3 == 0 {
			r.Recipe, r.Accuracy = "long", r.Accuracy+0.02
		}
		records = append(records, r)
	}
	return records
}

func TestTrainLearnsOneSpace(t *testing.T) {
	records := smallRecords(t, 30)
	predictions, err := CrossValidate(records, Folds(5, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	if q.RMSE > 0.005 || q.Kendall < 0.9 {
		t.Errorf("%v", q)
	}
}

func TestTrainRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		records func([]Record) []Record
		options Options
		want    string
	}{
		{"no records", func([]Record) []Record { return nil }, Options{}, "0 records; a predictor learns from at least 10"},
		{"few records", func(r []Record) []Record { return r[:9] }, Options{}, "9 records"},
		{"too many records", func(r []Record) []Record { return slices.Repeat(r, 2000) }, Options{}, "24000 records; a predictor learns from at most 20000"},
		{"few networks", func(r []Record) []Record { return slices.Repeat(r[:9], 2) }, Options{}, "9 different networks in 18 records"},
		{"some with epochs", func(r []Record) []Record { r[3].Epochs = 9; return r }, Options{}, "record 4: either all records say for how many epochs"},
		{"negative epochs", func(r []Record) []Record { r[3].Epochs = -1; return r }, Options{}, "record 4: the epochs must be from 0 to 1000000, found -1"},
		{"epochs are NaN", func(r []Record) []Record { r[3].Epochs = math.NaN(); return r }, Options{}, "record 4: the epochs must be"},
		{"accuracy in percent", func(r []Record) []Record { r[3].Accuracy = 75; return r }, Options{}, "record 4: the accuracy must be from 0 to 1, found 75"},
		{"NaN", func(r []Record) []Record { r[3].Accuracy = math.NaN(); return r }, Options{}, "record 4: the accuracy must be from 0 to 1, found NaN"},
		{"no network", func(r []Record) []Record { r[3].Network = nil; return r }, Options{}, "record 4: no network"},
		{"no recipe", func(r []Record) []Record { r[3].Recipe = ""; return r }, Options{}, "record 4: no dataset or no recipe"},
		{"unknown default", func(r []Record) []Record { return r }, Options{Recipe: "lang"}, `unknown recipe "lang"; did you mean "long"? (allowed: long, short)`},
		{"unknown model", func(r []Record) []Record { return r }, Options{Model: "tree"}, `unknown kind of model "tree"; did you mean "trees"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Train(c.records(smallRecords(t, 12)), c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Extreme accuracies, and networks between which the inputs see no difference,
// are records too.
func TestTrainTakesDegenerateRecords(t *testing.T) {
	for name, spoil := range map[string]func(i int, r *Record){
		"perfect":   func(_ int, r *Record) { r.Accuracy = 1 },
		"hopeless":  func(_ int, r *Record) { r.Accuracy = 0 },
		"extremes":  func(i int, r *Record) { r.Accuracy = float64(i % 2) },
		"alike":     func(i int, r *Record) { r.Accuracy += 0.01 * float64(i%3) },
		"each once": func(i int, r *Record) { r.Recipe = fmt.Sprint(i) },
	} {
		t.Run(name, func(t *testing.T) {
			records := smallRecords(t, 12)
			for i := range records {
				if name != "each once" {
					n := *records[0].Network
					n.Head.Dropout = 0.01 * float64(i) // which no feature tells
					records[i].Network = &n
				}
				spoil(i, &records[i])
			}
			p := trainedOn(t, records, Options{})
			if p.Records() != len(records) {
				t.Fatalf("%d records", p.Records())
			}
			y, err := p.Predict(records[0].Network, Training{})
			if err != nil {
				t.Fatal(err)
			}
			checkPrediction(t, name, y)
			if near, err := p.Nearest(records[0].Network); err != nil || near.Far || near.Similarity < 0.999 {
				t.Errorf("the nearest record of itself: %+v, %v", near, err)
			}
		})
	}
}

// Records that were not measured help, and count for nothing else.
func TestDerivedRecords(t *testing.T) {
	all := smallRecords(t, 40)
	for i := range all {
		all[i].Recipe = "short"
		if i >= 12 {
			all[i].Derived, all[i].Recipe, all[i].Network.Name = true, "made up", "derived"
		}
	}
	p := trainedOn(t, all, Options{})
	if p.Usual().Recipe != "short" || len(p.Recipes()) != 2 {
		t.Errorf("usually %+v of %v", p.Usual(), p.Recipes())
	}
	for i := range all {
		if near, err := p.Nearest(all[i].Network); err != nil || near.Name == "derived" || near.Recipe != "short" {
			t.Errorf("the nearest record is %+v (%v)", near, err)
		}
	}
	for name, f := range map[string]func([]Record, Grouping, Options) ([]Prediction, error){"LeaveOut": LeaveOut, "CrossValidate": CrossValidate} {
		y, err := f(all, Folds(10, 1), Options{})
		if err != nil {
			t.Fatal(err)
		}
		kept, records := Comparable(y, all)
		if len(kept) != 12 || len(records) != 12 {
			t.Errorf("%s: %d predictions of %d records count, want 12", name, len(kept), len(records))
		}
		for i, r := range records {
			if r.Derived || kept[i] != y[i] {
				t.Errorf("%s: record %d", name, i+1)
			}
			checkPrediction(t, name, kept[i])
		}
	}
	// Few of them were measured, and many landmarks are not.
	for i := range all {
		all[i].Derived = i != 7 && i >= 10
	}
	if _, err := Train(all, Options{}); err != nil {
		t.Error(err)
	}
	all[3].Derived = true
	if _, err := Train(all, Options{}); err == nil || err.Error() != "predictor: 9 measured records; a predictor learns from at least 10" {
		t.Errorf("of too few: %v", err)
	}
}

// Whatever records that were not measured say: the scale, the hyper-parameters and
// the quality are of the measured ones. Only the widening is of predictions that have
// seen them.
func TestDerivedRecordsDecideNothing(t *testing.T) {
	all := byOneRecipe(t, 20)
	for i := range all { // no formula has all of it
		all[i].Accuracy += 0.01 * math.Sin(float64(7*i))
	}
	alone := trainedOn(t, all, Options{})
	for _, r := range smallSpaceRecords(t) {
		r.Recipe, r.Derived, r.Accuracy = "short", true, 0.1*r.Accuracy
		all = append(all, r)
	}
	p := trainedOn(t, all, Options{})
	if p.origin != alone.origin {
		t.Errorf("the mean target is %v, want %v", p.origin, alone.origin)
	}
	h, want := *p.model.state().GP, *alone.model.state().GP
	if h.Widening < 1 || h.Widening > 100 {
		t.Errorf("the widening is %v", h.Widening)
	}
	h.Widening = want.Widening
	if got, want := fmt.Sprintf("%+v", h), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("the hyper-parameters are\n%s, want\n%s", got, want)
	}
	if got, want := p.model.(metric).lengths(), alone.model.(metric).lengths(); !slices.Equal(got, want) {
		t.Errorf("the length scales are\n%v, want\n%v", got, want)
	}
	if got, want := p.Summary().MACs, alone.Summary().MACs; got != want || p.Summary().Kendall < 0.5 {
		t.Errorf("%+v, without the others %+v", p.Summary(), alone.Summary())
	}
	if p.Records() != 60 {
		t.Errorf("%d records, want 60", p.Records())
	}
}

// Few measured records among very many derived ones are not lost in draws, and
// decide.
func TestManyDerivedRecords(t *testing.T) {
	all := spaceRecords(t, 3*maxCalibrated, 1)
	for i := range all {
		all[i].Derived = i >= 12
	}
	s := trainedOn(t, all, Options{})
	alone := trainedOn(t, all[:12], Options{})
	if got, want := s.model.state().GP.Length, alone.model.state().GP.Length; !slices.Equal(got, want) {
		t.Errorf("the length scales are\n%v, want\n%v", got, want)
	}
	if y, err := s.Predict(all[30].Network, Training{}); err != nil || math.Abs(y.Accuracy-all[30].Accuracy) > 0.02 {
		t.Errorf("%+v, want %v (%v)", y, all[30].Accuracy, err)
	}
}

func TestDefaultRecipeHasTheMostRecords(t *testing.T) {
	if got, want := imagenetTrained(t).Usual(), (Training{Dataset: "imagenet", Recipe: "imgclsmob"}); got != want {
		t.Errorf("got %+v", got)
	}
	for recipe, want := range map[string]string{"": "short", "long": "long"} {
		if got := trainedOn(t, smallRecords(t, 12), Options{Recipe: recipe}).Usual().Recipe; got != want {
			t.Errorf("got %q, asked for %q", got, recipe)
		}
	}
}

// Mean and standard deviation are those of 1 less the log-normal error, which
// counts as 0 where it is negative.
func TestPredictionMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mu := rapid.Float64Range(-3, 1).Draw(t, "mu")
		sigma := rapid.Float64Range(0.01, 2).Draw(t, "sigma")
		y := newPrediction(mu, sigma*sigma)
		if mu < 0 { // else the accuracy can be 0 for certain
			checkPrediction(t, "drawn", y)
		}
		// Integrate over the normal distribution.
		var mean, square, weight float64
		for z := -8.0; z <= 8; z += 0.01 {
			w, a := math.Exp(-z*z/2), max(0, 1-math.Exp(mu+sigma*z))
			mean, square, weight = mean+w*a, square+w*a*a, weight+w
		}
		mean, square = mean/weight, square/weight
		// The kink where accuracies end at 0 costs the sum some digits.
		if math.Abs(y.Accuracy-mean) > 1e-5 || math.Abs(y.SD-math.Sqrt(square-mean*mean)) > 1e-4 {
			t.Fatalf("%+v: accuracy %v ± %v", y, mean, math.Sqrt(square-mean*mean))
		}
		low, high := y.Interval(0.682689492137)
		if mu+sigma > 0 { // an interval that ends at 0
			return
		}
		if math.Abs(math.Log(1-low)-mu-sigma) > 1e-9 || math.Abs(math.Log(1-high)-mu+sigma) > 1e-9 {
			t.Fatalf("%+v: one standard deviation is %v to %v", y, low, high)
		}
	})
}

// However little a model knows, its predictions are numbers, and change by little from one
// formula to the next.
func TestPredictionsThatKnowNothing(t *testing.T) {
	for _, mu := range []float64{-1e4, -700, -30, -9, -3, -1, 0, 1, 20, 1e4} {
		last := newPrediction(mu, 0.01)
		for sigma := 0.1; sigma < 1e6; sigma *= 1.01 {
			y := newPrediction(mu, sigma*sigma)
			if !(y.Accuracy >= 0 && y.Accuracy <= 1) || !(y.SD >= 0 && y.SD <= 0.5+1e-9) {
				t.Fatalf("mean %v, deviation %v: %+v", mu, sigma, y)
			}
			if math.Abs(y.Accuracy-last.Accuracy) > 0.02 || math.Abs(y.SD-last.SD) > 0.03 {
				t.Errorf("mean %v, deviation %v: from %+v to %+v", mu, sigma, last, y)
			}
			last = y
		}
		if mu > -1e4 && math.Abs(mu) < 1e4 && (math.Abs(last.Accuracy-0.5) > 0.01 || math.Abs(last.SD-0.5) > 0.01) {
			t.Errorf("mean %v, no knowledge: %+v", mu, last)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	p, err := Imagenet()
	if err != nil {
		b.Fatal(err)
	}
	all := candidates(b, 1000)
	for _, n := range []int{1, 64, 256, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch, err := p.Batch(Training{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := addAll(batch, all[:n]); err != nil {
					b.Fatal(err)
				}
				batch.Predict()
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "networks/s")
		})
	}
	b.Run("256 on all cores", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			batch, err := p.Batch(Training{})
			if err != nil {
				b.Error(err)
				return
			}
			for pb.Next() {
				if err := addAll(batch, all[:256]); err != nil {
					b.Error(err)
				}
				batch.Predict()
			}
		})
		b.ReportMetric(256*float64(b.N)/b.Elapsed().Seconds(), "networks/s")
	})
}

func BenchmarkTrain(b *testing.B) {
	run := func(name string, records []Record) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Train(records, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("imagenet", imagenetRecords(b))
	for _, n := range []int{100, 1000, 5000} {
		run(fmt.Sprint(n), spaceRecords(b, n, 1))
	}
}
