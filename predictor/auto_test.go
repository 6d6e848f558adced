package predictor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// combined returns the squared error of the weighted mean.
func combined(means [][]float64, weights, target []float64) float64 {
	sum := make([]float64, len(target))
	for k, w := range weights {
		for i, v := range means[k] {
			sum[i] += w * v
		}
	}
	return squaredError(sum, target)
}

// The weights are those of a mean, and make it no worse than the best part,
// also without those that are too small.
func TestStackWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.IntRange(1, 40).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "k")
		value := rapid.Float64Range(-2, 2)
		target := rapid.SliceOfN(value, n, n).Draw(t, "target")
		means := make([][]float64, k)
		for i := range means {
			noise := rapid.SampledFrom([]float64{0, 0.01, 1}).Draw(t, "noise") // 0: without an error
			means[i] = rapid.SliceOfN(value, n, n).Draw(t, "means")
			for r := range target {
				means[i][r] = target[r] + noise*means[i][r]
			}
		}
		if k > 1 && rapid.Bool().Draw(t, "twins") {
			means[1] = means[0]
		}
		w := stackWeights(means, target, without(n, nil))
		sum, best := 0., math.Inf(1)
		for i, v := range w {
			if !(v >= 0) || v > 0 && v < 0.02 {
				t.Fatalf("the weights %v", w)
			}
			sum += v
			best = min(best, squaredError(means[i], target))
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("the weights %v have the sum %v", w, sum)
		}
		if got := combined(means, w, target); got > best+1e-9 {
			t.Fatalf("the weights %v have the squared error %v, the best part %v", w, got, best)
		}
	})
}

// Where the target is a mixture of the models, its weights are found, from the rows
// asked for alone.
func TestStackWeightsRecoverAMixture(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	const n = 50
	for _, want := range [][]float64{{0.3, 0.7}, {1, 0}, {0.25, 0, 0.75}, {0.1, 0.2, 0.3, 0.4}} {
		means := make([][]float64, len(want))
		target := make([]float64, n)
		for k := range means {
			for i := range n {
				means[k] = append(means[k], rng.NormFloat64())
				target[i] += want[k] * means[k][i]
			}
		}
		rows := without(n, []int{3, 4})
		target[3], target[4] = 100, -100 // not asked for
		got := stackWeights(means, target, rows)
		for k := range want {
			if math.Abs(got[k]-want[k]) > 1e-6 {
				t.Errorf("got %v, want %v", got, want)
				break
			}
		}
	}
}

// A weight that is not worth a model's time is none.
func TestStackWeightsDropTheSmall(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	var means [2][]float64
	var target []float64
	for i := range 100 {
		for k := range means {
			means[k] = append(means[k], rng.NormFloat64())
		}
		target = append(target, 0.99*means[0][i]+0.01*means[1][i])
	}
	if got := stackWeights(means[:], target, without(100, nil)); got[0] != 1 || got[1] != 0 {
		t.Errorf("got %v", got)
	}
}

func constant(mean, variance float64) *plainModel {
	return &plainModel{7, func(int, []float64) float64 { return mean }, func(int, []float64) float64 { return variance }}
}

// A stack has the mean of the mixture, and its variance: that of the parts, and
// of how far they are apart.
func TestStack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 4).Draw(t, "parts")
		p := new(stack)
		var mean, square float64
		total := 0.
		var weights, means, variances []float64
		for range k {
			weights = append(weights, rapid.Float64Range(0.02, 1).Draw(t, "weight"))
			means = append(means, rapid.Float64Range(-3, 3).Draw(t, "mean"))
			variances = append(variances, rapid.Float64Range(1e-4, 1).Draw(t, "variance"))
			total += weights[len(weights)-1]
		}
		for i, w := range weights {
			p.parts, p.weights = append(p.parts, constant(means[i], variances[i])), append(p.weights, w/total)
			mean += w / total * means[i]
			square += w / total * (variances[i] + means[i]*means[i])
		}
		m, v := predictRow(p, 0, []float64{0})
		if math.Abs(m-mean) > 1e-9 || math.Abs(v-(square-mean*mean)) > 1e-9 || v < slices.Min(variances)-1e-9 {
			t.Fatalf("got %v, %v, want %v, %v", m, v, mean, square-mean*mean)
		}
	})
	s, _ := randomSample(1, 50, 5)
	bare := &plainModel{50, func(task int, x []float64) float64 { return x[0] + float64(task) }, func(_ int, x []float64) float64 { return x[1] * x[1] }}
	testBatches(t, &stack{[]model{constant(1, 2), newTempered(bare, temper{0.1, 1, 1}, s)}, []float64{0.4, 0.6}})
}

// The weights that a file keeps have three digits each, and need not add up to
// 1 in them: parts that agree must still give what they agree on.
func TestStackOfPartsThatAgree(t *testing.T) {
	s, h := randomSample(1, 40, 3)
	part := modelState{Kind: GP, GP: &h}
	state := modelState{Kind: Auto, Parts: []stackPart{{0.333, part}, {0.333, part}, {0.333, part}}}
	p, err := state.load(s)
	if err != nil {
		t.Fatal(err)
	}
	one, err := part.load(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.len() {
		x := slices.Clone(s.z.RawRowView(i))
		x[0] += 3
		m, v := predictRow(p, 1, x)
		wantM, wantV := predictRow(one, 1, x)
		if math.Abs(m-wantM) > 1e-9 || math.Abs(v-wantV) > 1e-9 {
			t.Fatalf("got %v, %v, want %v, %v", m, v, wantM, wantV)
		}
	}
}

// What a file may say of a stack, and what not.
func TestStackRefuses(t *testing.T) {
	s, h := randomSample(1, 40, 3)
	part := modelState{Kind: GP, GP: &h}
	for name, m := range map[string]modelState{
		"no parts":          {Kind: Auto},
		"a negative weight": {Kind: Auto, Parts: []stackPart{{1.5, part}, {-0.5, part}}},
		"no weight":         {Kind: Auto, Parts: []stackPart{{0, part}}},
		"a weight too much": {Kind: Auto, Parts: []stackPart{{1e300, part}, {0.5, part}}},
		"another's state":   {Kind: Ridge, GP: &h},
		"no temper":         {Kind: Trees},
		"an unknown kind":   {Kind: "forest", GP: &h},
		"a bad part":        {Kind: Auto, Parts: []stackPart{{1, modelState{Kind: GP}}}},
	} {
		if _, err := m.load(s); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// What Auto chooses is what the comparison says, and it says how far it is.
func TestAuto(t *testing.T) {
	if testing.Short() {
		t.Skip("trains all models")
	}
	var at []int
	records := smallSpaceRecords(t)
	p := trainedOn(t, records, Options{Model: Auto, Inputs: []Input{Sizes}, Progress: func(done, total int) {
		if len(at) > 0 && done < at[len(at)-1] || done > total {
			t.Errorf("%d of %d done after %v", done, total, at)
		}
		if at = append(at, done); total != 8 {
			t.Errorf("%d of %d done", done, total)
		}
	}})
	if len(at) == 0 || at[0] != 0 || at[len(at)-1] != 8 {
		t.Errorf("it was as far as %v of 8", at)
	}
	testPredictor(t, p, newCandidate(t, records[0].Network), candidates(t, 50))
	s := p.Summary()
	total := 0.
	best := s.Comparison[0]
	for _, c := range s.Comparison {
		total += c.Weight
		if c.RMSE < best.RMSE {
			best = c
		}
		if !(c.RMSE > 0 && c.MAE >= 0 && c.MAE <= c.RMSE && c.Kendall <= 1) {
			t.Errorf("%+v", c)
		}
	}
	if math.Abs(total-1) > 0.01 || s.Model != Auto && s.Model != best.Model || len(s.Comparison) == 5 && s.Comparison[4].Model != Auto {
		t.Errorf("%+v", s)
	}
}

// A predictor may be a mean of several models.
func TestPredictorThatIsAStack(t *testing.T) {
	records := smallRecords(t, 30)
	p := trainedOn(t, records, Options{})
	p.model = &stack{
		[]model{p.model, trainedOn(t, records, Options{Model: Ridge}).model, trainedOn(t, records, Options{Model: Trees}).model},
		[]float64{0.333, 0.333, 0.333},
	}
	testPredictor(t, p, newCandidate(t, records[0].Network), candidates(t, 150))
}
