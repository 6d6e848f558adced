package predictor

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// quickNeural trains small networks for a moment.
func quickNeural(s sample, seed uint64) (model, error) {
	o := defaultNeuralOptions()
	o.members, o.width, o.steps, o.epochs = 3, 8, 30, 1
	return trainNetworks(s, seed, o)
}

func TestNeural(t *testing.T) {
	damages := map[string]func(*neuralState){
		"no records":      func(s *neuralState) { s.Records = -1 },
		"one member":      func(s *neuralState) { s.Members = s.Members[:1] },
		"width 0":         func(s *neuralState) { s.Width = 0 },
		"other width":     func(s *neuralState) { s.Width++ },
		"enormous width":  func(s *neuralState) { s.Width = math.MaxInt },
		"weights missing": func(s *neuralState) { s.Members[1].Weights = s.Members[1].Weights[1:] },
		"weight NaN":      func(s *neuralState) { s.Members[1].Weights[9] = math.NaN() },
		"scale 0":         func(s *neuralState) { s.Members[1].Scale = 0 },
		"scale infinite":  func(s *neuralState) { s.Members[1].Scale = math.Inf(1) },
		"linear missing":  func(s *neuralState) { s.Members[0].Linear = s.Members[0].Linear[1:] },
		"linear infinite": func(s *neuralState) { s.Members[0].Linear[0] = math.Inf(1) },
	}
	more := make(map[string]func(*modelState))
	for name, f := range damages {
		more[name] = func(m *modelState) { f(m.Neural) }
	}
	testRegression(t, true, quickNeural, encodingDamages(func(m *modelState) *encoding { return &m.Neural.Encoding }, more))
}

func TestNeuralGradientIsOfTheLoss(t *testing.T) {
	for name, o := range map[string]neuralOptions{
		"squared":             {loss: squaredAndRanking},
		"squared and ranking": {loss: squaredAndRanking, ranking: 2},
		"gaussian":            {loss: gaussian},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 7
			rng := rand.New(rand.NewPCG(1, 2))
			sizes := []int{3, 5, 5, o.outputs()}
			acts := newActivations(n, sizes)
			l := lessons{x: acts.x, close: 0.7}
			for i := range l.x.Data {
				l.x.Data[i] = rng.NormFloat64()
			}
			for range n {
				l.target, l.known = append(l.target, rng.NormFloat64()), append(l.known, rng.NormFloat64())
				l.weight, l.noise = append(l.weight, rng.Float64()), append(l.noise, rng.Float64())
			}
			l.target[1], l.known[1] = l.target[0], l.known[0] // a tie
			params, gradient := newParams(sizes, l.x, rng), make([]float64, paramsOf(sizes))
			for i := range params {
				params[i] += 0.3 * rng.NormFloat64()
			}
			net := newPerceptron(sizes, params)
			loss := func() float64 {
				net.forward(acts, n)
				return o.lossOf(&l, acts.output(), acts.d[len(acts.d)-1])
			}
			loss()
			net.backward(newPerceptron(sizes, gradient), acts)
			for i, v := range params {
				const step = 1e-5
				params[i] = v + step
				above := loss()
				params[i] = v - step
				below := loss()
				params[i] = v
				if want := (above - below) / (2 * step); math.Abs(gradient[i]-want) > 1e-7*max(1, math.Abs(want)) {
					t.Errorf("derivative %d: got %v, finite difference %v", i, gradient[i], want)
				}
			}
		})
	}
}

func TestNeuralLearnsWhatRidgeCannot(t *testing.T) {
	f := func(x []float64, task int) float64 { return math.Sin(x[0]) + (x[1]-3)*(x[2]-3)/4 + 0.3*float64(task) }
	s, test := regressionSample(1, 300, 3, 0.02, f), regressionSample(2, 200, 3, 0, f)
	r, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, loss := range map[string]neuralLoss{"squared and ranking": squaredAndRanking, "gaussian": gaussian} {
		o := defaultNeuralOptions()
		o.loss, o.members, o.width = loss, 2, 32
		p, err := trainNetworks(s, 1, o)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := missedOf(p, test), missedOf(r, test); a > b/2 {
			t.Errorf("%s: missed by %v, a ridge by %v", name, a, b)
		}
	}
}

// Of two outputs with the same squared error, that with the right order has the
// smaller loss, where the order is asked for.
func TestNeuralLossOfOrder(t *testing.T) {
	loss := func(ranking float64, y ...float64) float64 {
		l := lessons{target: []float64{0, 1, 2}, known: []float64{0, 0, -3}, weight: []float64{1, 1, 1}, close: 0.1}
		o := neuralOptions{ranking: ranking}
		return o.lossOf(&l, general(y, 3, 1), general(make([]float64, 3), 3, 1))
	}
	// With what the linear model gives, the targets are 0, 1 and -1.
	right, wrong := []float64{-0.6, 1.6, 2}, []float64{0.6, 0.4, 2}
	if a, b := loss(0, right...), loss(0, wrong...); math.Abs(a-b) > 1e-12 {
		t.Errorf("the squared errors are %v and %v", a, b)
	}
	if a, b := loss(1, right...), loss(1, wrong...); b < a+0.5 {
		t.Errorf("in the right order %v, in the wrong one %v", a, b)
	}
}

// Nothing was learnt of an input that never varied.
func TestNeuralIgnoresInputsThatDidNotVary(t *testing.T) {
	s := regressionSample(1, 40, 3, 0.1, linear)
	for i := range s.len() {
		s.z.Set(i, 2, 5)
	}
	p, err := quickNeural(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := predictSample(p, 0, mat.NewDense(2, 3, []float64{1, 2, 5, 1, 2, 9}))
	if math.Abs(m[0]-m[1]) > 1e-9 {
		t.Errorf("%v and %v", m[0], m[1])
	}
}

// Far from the records, the members differ more.
func TestNeuralVarianceGrowsAwayFromTheRecords(t *testing.T) {
	o := defaultNeuralOptions()
	o.width, o.steps = 16, 200
	p, err := trainNetworks(regressionSample(1, 60, 3, 0.1, func(x []float64, _ int) float64 { return math.Sin(x[0]) }), 1, o)
	if err != nil {
		t.Fatal(err)
	}
	_, v := predictSample(p, 0, mat.NewDense(2, 3, []float64{3, 3, 3, 15, 15, 15}))
	if v[1] < 4*v[0] {
		t.Errorf("among the records %v, far from them %v", v[0], v[1])
	}
}
