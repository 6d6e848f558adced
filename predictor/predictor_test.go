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

// Every kind of predictor must pass this suite, whatever it has learnt from:
// known is like one of its records.
func TestPredictors(t *testing.T) {
	t.Run("imagenet", func(t *testing.T) { testPredictor(t, imagenetTrained(t), lowered(t, "mobilenet_v2")) })
	t.Run("one space", func(t *testing.T) {
		records := smallRecords(t, 30)
		p, err := Train(records, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var known arch.Graph
		if err := records[0].Network.Lower(&known); err != nil {
			t.Fatal(err)
		}
		testPredictor(t, p, &known)
	})
}

func testPredictor(t *testing.T, p *Predictor, known *arch.Graph) {
	graphs := candidates(t, 150)

	t.Run("predictions are what the documentation says", func(t *testing.T) {
		for _, recipe := range p.Recipes() {
			for i, y := range predictAll(t, p, recipe, graphs) {
				checkPrediction(t, fmt.Sprintf("candidate %d, %s", i, recipe), y)
			}
		}
	})
	t.Run("the default recipe is the one said", func(t *testing.T) {
		a, b := predictAll(t, p, "", graphs[:1]), predictAll(t, p, p.Recipe(), graphs[:1])
		if a[0] != b[0] {
			t.Errorf("without a recipe %v, with %q %v", a[0], p.Recipe(), b[0])
		}
	})
	t.Run("an unknown recipe is refused", func(t *testing.T) {
		_, err := p.Batch("unheard of")
		if err == nil || !strings.Contains(err.Error(), strings.Join(p.Recipes(), ", ")) {
			t.Errorf("got %v, want an error with the recipes %v", err, p.Recipes())
		}
	})
	t.Run("an empty batch predicts nothing", func(t *testing.T) {
		b, err := p.Batch("")
		if err != nil {
			t.Fatal(err)
		}
		if y := b.Predict(); len(y) != 0 {
			t.Errorf("got %v", y)
		}
	})
	t.Run("goroutines and batch sizes change nothing", func(t *testing.T) {
		want := predictAll(t, p, "", graphs)
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				b, err := p.Batch("")
				if err != nil {
					t.Error(err)
					return
				}
				size := 1 + 13*worker
				for from := 0; from < len(graphs); from += size {
					to := min(from+size, len(graphs))
					for _, g := range graphs[from:to] {
						b.Add(g)
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
		b, err := p.Batch("")
		if err != nil {
			t.Fatal(err)
		}
		round := func() {
			for _, g := range graphs {
				b.Add(g)
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
		if q.Dataset() != p.Dataset() || q.Records() != p.Records() || q.Recipe() != p.Recipe() || fmt.Sprint(q.Recipes()) != fmt.Sprint(p.Recipes()) {
			t.Errorf("loaded %v, want %v", q, p)
		}
		for _, recipe := range p.Recipes() {
			a, b := predictAll(t, p, recipe, graphs), predictAll(t, q, recipe, graphs)
			for i := range a {
				if a[i] != b[i] {
					t.Fatalf("%s, candidate %d: loaded %v, saved %v", recipe, i, b[i], a[i])
				}
			}
		}
	})
	t.Run("networks unlike all records are uncertain", func(t *testing.T) {
		usual := predictAll(t, p, "", []*arch.Graph{known})[0]
		odd, err := arch.Parse("odd", []byte(`{"norm":"none","input":{"resolution":600},"stem":{"width":2,"stride":2},
			"stages":[{"block":"shuffle","width":4096,"depth":3,"stride":8,"groups":2,"kernel":11}],"head":{"classes":1000}}`))
		if err != nil {
			t.Fatal(err)
		}
		y, err := p.Predict(odd, "")
		if err != nil {
			t.Fatal(err)
		}
		if y.LogErrorSD < 3*usual.LogErrorSD {
			t.Errorf("standard deviation of the log error %v, of a record %v", y.LogErrorSD, usual.LogErrorSD)
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

func predictAll(t testing.TB, p *Predictor, recipe string, graphs []*arch.Graph) []Prediction {
	t.Helper()
	b, err := p.Batch(recipe)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range graphs {
		b.Add(g)
	}
	return b.Predict()
}

// candidates returns n networks that mix types of blocks, as a search would
// propose them.
func candidates(t testing.TB, n int) []*arch.Graph {
	t.Helper()
	blocks := []string{
		"fire", "separable", "bottleneck", "shuffle_v2", "basic",
		"grouped, groups: 4", "inverted, expansion: 3", "inverted, expansion: 6, kernel: 5, se: 0.25", "shuffle, groups: 2",
	}
	var graphs []*arch.Graph
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
		network, err := arch.Parse("candidate", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		g := new(arch.Graph)
		if err := network.Lower(g); err != nil {
			t.Fatal(err)
		}
		graphs = append(graphs, g)
	}
	return graphs
}

// smallRecords returns records of one space, whose accuracies follow their
// widths and depths, by two recipes.
func smallRecords(t testing.TB, n int) []Record {
	t.Helper()
	var records []Record
	for i := range n {
		width, depth := 8+8*(i%5), 1+i%4
		network, err := arch.Parse("small", fmt.Appendf(nil, `{"input":{"resolution":32},"stem":{"width":8},
			"stages":[{"block":"basic","width":%d,"depth":%d},{"block":"basic","width":64,"stride":2}],"head":{"classes":10}}`, width, depth))
		if err != nil {
			t.Fatal(err)
		}
		r := Record{Network: network, Dataset: "cifar10", Recipe: "short", Accuracy: 0.8 + 0.02*math.Log2(float64(width)) + 0.01*float64(depth)}
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
		{"too many records", func(r []Record) []Record { return slices.Repeat(r, 200) }, Options{}, "2400 records; a predictor learns from at most 1000"},
		{"two datasets", func(r []Record) []Record { r[3].Dataset = "svhn"; return r }, Options{}, `the datasets "cifar10" and "svhn"`},
		{"NaN", func(r []Record) []Record { r[3].Accuracy = math.NaN(); return r }, Options{}, "record 4: the accuracy must be from 0 to 1, found NaN"},
		{"no network", func(r []Record) []Record { r[3].Network = nil; return r }, Options{}, "record 4: no network"},
		{"no recipe", func(r []Record) []Record { r[3].Recipe = ""; return r }, Options{}, "record 4: no dataset or no recipe"},
		{"unknown default", func(r []Record) []Record { return r }, Options{Recipe: "lang"}, `unknown recipe "lang"; did you mean "long"? (allowed: long, short)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Train(c.records(smallRecords(t, 12)), c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Extreme accuracies, duplicates that disagree, and records that are all the
// same are records too.
func TestTrainTakesDegenerateRecords(t *testing.T) {
	for name, spoil := range map[string]func(i int, r *Record){
		"perfect":   func(_ int, r *Record) { r.Accuracy = 1 },
		"hopeless":  func(_ int, r *Record) { r.Accuracy = 0 },
		"extremes":  func(i int, r *Record) { r.Accuracy = float64(i % 2) },
		"each once": func(i int, r *Record) { r.Recipe = fmt.Sprint(i) },
	} {
		t.Run(name, func(t *testing.T) {
			records := smallRecords(t, 12)
			for i := range records {
				if name != "each once" {
					records[i].Network = records[0].Network
				}
				spoil(i, &records[i])
			}
			p, err := Train(records, Options{})
			if err != nil {
				t.Fatal(err)
			}
			y, err := p.Predict(records[0].Network, "")
			if err != nil {
				t.Fatal(err)
			}
			checkPrediction(t, name, y)
		})
	}
}

func TestDefaultRecipeHasTheMostRecords(t *testing.T) {
	if got := imagenetTrained(t).Recipe(); got != "imgclsmob" {
		t.Errorf("got %q", got)
	}
	p, err := Train(smallRecords(t, 12), Options{Recipe: "long"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Recipe() != "long" {
		t.Errorf("got %q, asked for %q", p.Recipe(), "long")
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

func TestFoldsAreBalanced(t *testing.T) {
	records := make([]Record, 103)
	groups := groupsOf(records, Folds(10, 7))
	if len(groups) != 10 {
		t.Fatalf("%d groups", len(groups))
	}
	for _, g := range groups {
		if len(g) < 10 || len(g) > 11 {
			t.Errorf("a group of %d", len(g))
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	p, err := Imagenet()
	if err != nil {
		b.Fatal(err)
	}
	graphs := candidates(b, 1000)
	for _, n := range []int{1, 64, 256, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch, err := p.Batch("")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, g := range graphs[:n] {
					batch.Add(g)
				}
				batch.Predict()
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*n), "ns/network")
		})
	}
	b.Run("256 on all cores", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			batch, err := p.Batch("")
			if err != nil {
				b.Error(err)
				return
			}
			for pb.Next() {
				for _, g := range graphs[:256] {
					batch.Add(g)
				}
				batch.Predict()
			}
		})
		b.ReportMetric(256*float64(b.N)/b.Elapsed().Seconds(), "networks/s")
	})
}

func BenchmarkTrain(b *testing.B) {
	records := imagenetRecords(b)
	for b.Loop() {
		if _, err := Train(records, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
