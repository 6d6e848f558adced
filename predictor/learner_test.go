package predictor

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/efficientnas/nas/arch"
)

// encodedRecords returns the inputs and accuracies of one recipe's records.
func encodedRecords(t *testing.T, l *Learner) (inputs [][]float64, accuracies []float64) {
	t.Helper()
	var g arch.Graph
	for _, r := range imagenetRecords(t) {
		if r.Recipe != "imgclsmob" {
			continue
		}
		if err := r.Network.Lower(&g); err != nil {
			t.Fatal(err)
		}
		x, err := l.Encode(r.Network, &g)
		if err != nil {
			t.Fatal(err)
		}
		inputs, accuracies = append(inputs, x), append(accuracies, r.Accuracy)
	}
	return inputs, accuracies
}

func newLearner(t *testing.T) *Learner {
	t.Helper()
	l, err := NewLearner(LearnerOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A learner that is told more knows more, gives the same answers whenever it is
// asked in between, and tells by leaving out how good it is.
func TestLearner(t *testing.T) {
	l := newLearner(t)
	inputs, accuracies := encodedRecords(t, l)
	order := rand.New(rand.NewPCG(1, 0)).Perm(len(inputs))
	learn := func(l *Learner, which []int) {
		for _, i := range which {
			if err := l.Learn(inputs[i], accuracies[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := order[50:]
	rmse := func(l *Learner) float64 {
		var x [][]float64
		for _, i := range held {
			x = append(x, inputs[i])
		}
		out := make([]Prediction, len(x))
		if err := l.Predict(x, out); err != nil {
			t.Fatal(err)
		}
		sum := 0.
		for k, i := range held {
			sum += (out[k].Accuracy - accuracies[i]) * (out[k].Accuracy - accuracies[i]) / float64(len(held))
		}
		return math.Sqrt(sum)
	}
	learn(l, order[:12])
	few := rmse(l)
	learn(l, order[12:50])
	many := rmse(l)
	t.Logf("RMSE %.4f of 12, %.4f of 50", few, many)
	if many > 0.02 || many > few/1.5 {
		t.Errorf("RMSE %.4f of 12 records, %.4f of 50", few, many)
	}
	if l.Len() != 50 {
		t.Errorf("learnt from %d", l.Len())
	}

	left, err := l.LeaveOut()
	if err != nil {
		t.Fatal(err)
	}
	errors := make([]float64, 50)
	for k, i := range order[:50] {
		errors[k] = logError(accuracies[i])
	}
	if tau := KendallTau(left, errors); tau < 0.8 || tau > 0.99 {
		t.Errorf("leaving out: tau %.3f", tau)
	}

	again := newLearner(t)
	learn(again, order[:12])
	rmse(again)
	learn(again, order[12:50])
	if got := rmse(again); got != many {
		t.Errorf("the same calls give %v and %v", many, got)
	}
}

func TestLearnerRefuses(t *testing.T) {
	l := newLearner(t)
	inputs, _ := encodedRecords(t, l)
	if err := l.Predict(inputs[:1], make([]Prediction, 1)); err == nil {
		t.Error("it predicts before it has learnt anything")
	}
	if _, err := l.LeaveOut(); err == nil {
		t.Error("it leaves out nothing")
	}
	for _, accuracy := range []float64{-0.1, 1.1, math.NaN()} {
		if l.Learn(inputs[0], accuracy) == nil {
			t.Errorf("the accuracy %v is taken", accuracy)
		}
	}
	if l.Learn(inputs[0][1:], 0.5) == nil {
		t.Error("inputs that are too few are taken")
	}
	if l.Len() != 0 {
		t.Error("it has learnt what it refused")
	}
	if _, err := NewLearner(LearnerOptions{Inputs: []Input{Ordinal}}); err == nil {
		t.Error("genes of no space are taken")
	}
}

// A prior that knows the order of networks is worth many accuracies, also where
// its level is another.
func TestLearnerWithPrior(t *testing.T) {
	prior, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	warm, err := NewLearner(LearnerOptions{Seed: 1, Prior: prior, Training: Training{Recipe: "paddleclas"}})
	if err != nil {
		t.Fatal(err)
	}
	cold := newLearner(t)
	rmse := func(l *Learner) float64 {
		inputs, accuracies := encodedRecords(t, l)
		order := rand.New(rand.NewPCG(2, 0)).Perm(len(inputs))
		for _, i := range order[:10] {
			if err := l.Learn(inputs[i], accuracies[i]/2); err != nil { // another level
				t.Fatal(err)
			}
		}
		var x [][]float64
		for _, i := range order[10:] {
			x = append(x, inputs[i])
		}
		out := make([]Prediction, len(x))
		if err := l.Predict(x, out); err != nil {
			t.Fatal(err)
		}
		sum := 0.
		for k, i := range order[10:] {
			sum += math.Pow(out[k].Accuracy-accuracies[i]/2, 2) / float64(len(x))
		}
		return math.Sqrt(sum)
	}
	w, c := rmse(warm), rmse(cold)
	t.Logf("RMSE of 10 accuracies: %.4f with a prior, %.4f without", w, c)
	if w > c/1.5 {
		t.Errorf("RMSE of 10 accuracies: %.4f with a prior, %.4f without", w, c)
	}
	if _, err := NewLearner(LearnerOptions{Prior: prior, Training: Training{Recipe: "unheard of"}}); err == nil {
		t.Error("a recipe that the prior does not know was taken")
	}
}

// A learner learns other things than accuracies: here the MACs, of which the
// logarithm is an input.
func TestLearnerOfLogarithms(t *testing.T) {
	l := newLearner(t)
	inputs, _ := encodedRecords(t, l)
	for _, x := range inputs[:30] {
		if err := l.LearnLog(x, x[logMACs]); err != nil {
			t.Fatal(err)
		}
	}
	held := inputs[30:]
	mean, variance := make([]float64, len(held)), make([]float64, len(held))
	if err := l.PredictLog(held, mean, variance); err != nil {
		t.Fatal(err)
	}
	for i, x := range held {
		if d := math.Abs(mean[i] - x[logMACs]); d > 0.2 || !(variance[i] > 0) {
			t.Errorf("log MACs of %v ± %v, want %v", mean[i], math.Sqrt(variance[i]), x[logMACs])
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		if err := l.LearnLog(inputs[0], bad); err == nil {
			t.Errorf("%v was taken for a logarithm", bad)
		}
	}
}
