package predictor

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// regressionSample draws n records of d inputs and three tasks, with targets f
// plus noise of the given standard deviation.
func regressionSample(seed uint64, n, d int, noise float64, f func(x []float64, task int) float64) sample {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	s := sample{z: mat.NewDense(n, d, nil)}
	for c := range d {
		s.columns = append(s.columns, column{length: c, slope: -1})
	}
	for i := range n {
		row := s.z.RawRowView(i)
		for c := range row {
			row[c] = 3 + 2*rng.NormFloat64()
		}
		s.task = append(s.task, rng.IntN(3))
		s.target = append(s.target, f(row, s.task[i])+noise*rng.NormFloat64())
		s.noise = append(s.noise, 0)
	}
	return s
}

func linear(x []float64, task int) float64 { return 0.5*x[0] - 0.2*x[1] + 0.3*float64(task) }

// part returns the sample of the given rows.
func part(s sample, which []int) sample {
	out := sample{z: mat.NewDense(len(which), s.inputs(), nil), columns: s.columns}
	for i, r := range which {
		out.z.SetRow(i, s.z.RawRowView(r))
		out.task, out.target, out.noise = append(out.task, s.task[r]), append(out.target, s.target[r]), append(out.noise, s.noise[r])
	}
	return out
}

// predictSample predicts the rows of a sample, all for one task.
func predictSample(p model, task int, z *mat.Dense) (mean, variance []float64) {
	n, _ := z.Dims()
	mean, variance = make([]float64, n), make([]float64, n)
	p.session(task).predict(mean, variance, z.RawMatrix())
	return mean, variance
}

// missedOf returns the root mean square error for a sample.
func missedOf(p model, s sample) (sum float64) {
	for i, y := range s.target {
		m, _ := predictSample(p, s.task[i], mat.NewDense(1, s.z.RawMatrix().Cols, s.z.RawRowView(i)))
		sum += (m[0] - y) * (m[0] - y) / float64(s.len())
	}
	return math.Sqrt(sum)
}

// reloaded returns the model of the state, by way of JSON. It may be damaged on the way.
func reloaded(t *testing.T, p model, damage func(*modelState)) (model, error) {
	t.Helper()
	file, err := json.Marshal(p.state())
	if err != nil {
		t.Fatal(err)
	}
	var state modelState
	if err := json.Unmarshal(file, &state); err != nil {
		t.Fatal(err)
	}
	if damage != nil {
		damage(&state)
	}
	switch state.Kind {
	case Ridge:
		return newRidge(*state.Ridge)
	case Trees:
		return newTrees(*state.Trees)
	}
	return newNeural(*state.Neural)
}

// What every kind of regression has to hold.
func testRegression(t *testing.T, seeded bool, train func(s sample, seed uint64) (model, error), damages map[string]func(*modelState)) {
	t.Helper()
	s := regressionSample(1, 70, 4, 0.05, func(x []float64, task int) float64 { return linear(x, task) + math.Sin(x[2]) })
	trained := func(s sample, seed uint64) model {
		t.Helper()
		p, err := train(s, seed)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := trained(s, 1)
	queries := regressionSample(2, 2*chunk+7, 4, 0, linear).z
	tasks := []int{0, 2, unknownTask, 17}
	same := func(a, b model) bool {
		equal := true
		for _, task := range tasks {
			m1, v1 := predictSample(a, task, queries)
			m2, v2 := predictSample(b, task, queries)
			equal = equal && slices.Equal(m1, m2) && slices.Equal(v1, v2)
		}
		return equal
	}

	t.Run("it knows how many records it has seen", func(t *testing.T) {
		if p.len() != 70 {
			t.Errorf("got %d", p.len())
		}
	})
	t.Run("processors change nothing", func(t *testing.T) {
		before := runtime.GOMAXPROCS(0)
		defer runtime.GOMAXPROCS(before)
		for _, n := range []int{1, 2} {
			runtime.GOMAXPROCS(n)
			if !same(p, trained(s, 1)) {
				t.Errorf("another model with %d processors", n)
			}
		}
	})
	if seeded {
		t.Run("seeds differ", func(t *testing.T) {
			if same(p, trained(s, 2)) {
				t.Error("the same model for another seed")
			}
		})
	}
	t.Run("loaded is saved", func(t *testing.T) {
		q, err := reloaded(t, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !same(p, q) || q.len() != p.len() {
			t.Error("the loaded model predicts otherwise")
		}
	})
	t.Run("a row's prediction is the same in any batch", func(t *testing.T) {
		mean, variance := predictSample(p, 1, queries)
		for i := range mean {
			m, v := predictSample(p, 1, mat.NewDense(1, 4, queries.RawRowView(i)))
			if m[0] != mean[i] || v[0] != variance[i] {
				t.Fatalf("row %d alone: %v, %v; in the batch: %v, %v", i, m[0], v[0], mean[i], variance[i])
			}
		}
	})
	t.Run("used again, it does not allocate", func(t *testing.T) {
		session, z := p.session(1), queries.RawMatrix()
		mean, variance := make([]float64, z.Rows), make([]float64, z.Rows)
		if n := testing.AllocsPerRun(3, func() { session.predict(mean, variance, z) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
	t.Run("a task that no record has is an unknown one", func(t *testing.T) {
		m1, v1 := predictSample(p, unknownTask, queries)
		m2, v2 := predictSample(p, 17, queries)
		if !slices.Equal(m1, m2) || !slices.Equal(v1, v2) {
			t.Error("they differ")
		}
		if m0, _ := predictSample(p, 0, queries); slices.Equal(m0, m1) {
			t.Error("a known one is the same")
		}
	})
	for name, change := range map[string]func(s *sample){
		"constant inputs":     func(s *sample) { s.z.Zero() },
		"one task":            func(s *sample) { clear(s.task) },
		"a task left out":     func(s *sample) { s.task = slices.Repeat([]int{0, 5}, 6) },
		"duplicates":          func(s *sample) { s.z.SetRow(1, s.z.RawRowView(0)); s.z.SetRow(2, s.z.RawRowView(0)) },
		"no noise known":      func(s *sample) { s.noise = nil },
		"constant targets":    func(s *sample) { clear(s.target) },
		"one enormous input":  func(s *sample) { s.z.Set(3, 1, 1e12) },
		"some noise":          func(s *sample) { s.noise[0], s.noise[5] = 0.5, 1e-9 },
		"nothing but records": func(s *sample) { *s = part(*s, []int{0, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			s := regressionSample(3, 12, 3, 0.1, linear)
			change(&s)
			p := trained(s, 1)
			for _, task := range tasks {
				for _, z := range []*mat.Dense{s.z, regressionSample(4, 20, 3, 0, linear).z} {
					mean, variance := predictSample(p, task, z)
					for i, v := range variance {
						if math.IsNaN(mean[i]) || math.IsInf(mean[i], 0) || math.IsInf(v, 0) || !(v >= 0) {
							t.Fatalf("task %d, row %d: mean %v, variance %v", task, i, mean[i], v)
						}
					}
				}
			}
			if _, err := reloaded(t, p, nil); err != nil {
				t.Error(err)
			}
		})
	}
	for name, damage := range damages {
		t.Run("damaged: "+name, func(t *testing.T) {
			if _, err := reloaded(t, p, damage); err == nil {
				t.Error("loaded without an error")
			}
		})
	}
}

// encodingDamages are those of the encoding that of returns.
func encodingDamages(of func(*modelState) *encoding, more map[string]func(*modelState)) map[string]func(*modelState) {
	for name, f := range map[string]func(e *encoding){
		"no inputs":       func(e *encoding) { *e = encoding{} },
		"a scale more":    func(e *encoding) { e.Scale = append(e.Scale, 1) },
		"scale 0":         func(e *encoding) { e.Scale[1] = 0 },
		"center infinite": func(e *encoding) { e.Center[0] = math.Inf(-1) },
		"a task more":     func(e *encoding) { e.Share = append(e.Share, 0) },
		"shares of 2":     func(e *encoding) { e.Share[0]++ },
		"negative share":  func(e *encoding) { e.Share[0]--; e.Share[1]++ },
		"share NaN":       func(e *encoding) { e.Share[0] = math.NaN() },
	} {
		more["encoding: "+name] = func(m *modelState) { f(of(m)) }
	}
	return more
}

func TestRidge(t *testing.T) {
	damages := map[string]func(*ridgeState){
		"no records":                   func(r *ridgeState) { r.Records = 0 },
		"coefficient missing":          func(r *ridgeState) { r.Coefficients = r.Coefficients[1:] },
		"coefficient NaN":              func(r *ridgeState) { r.Coefficients[0] = math.NaN() },
		"coefficient beyond all":       func(r *ridgeState) { r.Coefficients[0] = 1e300 },
		"penalty 0":                    func(r *ridgeState) { r.Penalty = 0 },
		"negative variance":            func(r *ridgeState) { r.Variance = -1 },
		"total 0":                      func(r *ridgeState) { r.Total = 0 },
		"mean missing":                 func(r *ridgeState) { r.Mean = nil },
		"directions missing":           func(r *ridgeState) { r.Directions = r.Directions[1:] },
		"no directions":                func(r *ridgeState) { r.Directions, r.Shrinkage = nil, nil },
		"more directions than inputs":  func(r *ridgeState) { r.Directions, r.Shrinkage = make([]float64, 56), make([]float64, 8) },
		"direction infinite":           func(r *ridgeState) { r.Directions[3] = math.Inf(1) },
		"negative shrinkage":           func(r *ridgeState) { r.Shrinkage[0] = -1 },
		"another shrinkage than there": func(r *ridgeState) { r.Shrinkage = append(r.Shrinkage, 1) },
	}
	more := make(map[string]func(*modelState))
	for name, f := range damages {
		more[name] = func(m *modelState) { f(m.Ridge) }
	}
	testRegression(t, false, func(s sample, _ uint64) (model, error) { return trainRidge(s) },
		encodingDamages(func(m *modelState) *encoding { return &m.Ridge.Encoding }, more))
}

func TestRidgeRecoversLinearFunctions(t *testing.T) {
	test := regressionSample(9, 50, 5, 0, linear)
	for _, n := range []int{8, 20, 200} {
		p, err := trainRidge(regressionSample(1, n, 5, 1e-5, linear))
		if err != nil {
			t.Fatal(err)
		}
		// Five inputs and three tasks cannot be told apart from 8 records.
		if missed := missedOf(p, test); missed > 1e-4 && n > 8 {
			t.Errorf("%d records: missed by %v", n, missed)
		}
		if p.Penalty > 1e-3*float64(n) {
			t.Errorf("%d records: penalty %v", n, p.Penalty)
		}
	}
}

// Of noise alone, there is nothing to learn, and the penalty says so.
func TestRidgeLearnsNothingFromNoise(t *testing.T) {
	var shrunk, learnt float64
	for seed := range uint64(10) {
		s := regressionSample(seed, 100, 20, 1, func([]float64, int) float64 { return 0 })
		p, err := trainRidge(s)
		if err != nil {
			t.Fatal(err)
		}
		mean, _ := predictSample(p, unknownTask, s.z)
		_, v := spread(mean)
		learnt += v / 10
		if p.Penalty > 100 {
			shrunk++
		}
	}
	if shrunk < 7 || learnt > 0.08 { // least squares would learn 0.2
		t.Errorf("the penalty is large in %v of 10 cases, and the predictions vary by %v", shrunk, learnt)
	}
}

// Mean and variance are those of the formula in the comment of ridge, solved
// directly; with more inputs than records too, and with weights.
func TestRidgeIsTheTextbooks(t *testing.T) {
	for _, d := range []int{3, 30} {
		s := regressionSample(5, 20, d, 0.3, linear)
		s.noise[3], s.noise[4] = 0.2, 5
		weight := s.weights(0.1)
		e := newEncoding(s)
		parts, err := decompose(&e, s, weight)
		if err != nil {
			t.Fatal(err)
		}
		const penalty = 0.7
		r := newRidgeOf(e, s, parts, penalty)

		// The constant is a column without a penalty.
		p := e.size() + 1
		x, left := e.rows(s, true), mat.NewDense(p, p, nil)
		right := mat.NewVecDense(p, nil)
		for i, w := range weight {
			right.AddScaledVec(right, w*s.target[i], x.RowView(i))
			left.RankOne(left, w, x.RowView(i), x.RowView(i))
		}
		for c := range p - 1 {
			left.Set(c, c, left.At(c, c)+penalty)
		}
		var b mat.VecDense
		var a mat.Dense
		if err := b.SolveVec(left, right); err != nil {
			t.Fatal(err)
		}
		if err := a.Inverse(left); err != nil {
			t.Fatal(err)
		}
		queries := regressionSample(6, 10, d, 0, linear)
		for i := range queries.len() {
			q := mat.NewVecDense(p, nil)
			e.put(q.RawVector().Data, queries.z.RawRowView(i), 1)
			q.SetVec(p-1, 1)
			wantMean, wantVariance := mat.Dot(q, &b), r.Variance*mat.Inner(q, &a, q)
			m, v := predictSample(r, 1, mat.NewDense(1, d, queries.z.RawRowView(i)))
			if math.Abs(m[0]-wantMean) > 1e-7 || math.Abs(v[0]/wantVariance-1) > 1e-6 {
				t.Errorf("%d inputs, query %d: got %v, %v, want %v, %v", d, i, m[0], v[0], wantMean, wantVariance)
			}
		}
	}
}

// Leaving records out in closed form is learning from the others, with the same
// penalty; with more inputs than records too, and with weights.
func TestRidgeLeaveOutIsLearningFromTheRest(t *testing.T) {
	for _, d := range []int{3, 50} {
		s := regressionSample(7, 40, d, 0.3, linear)
		s.noise[3], s.noise[8] = 0.2, 0.1
		p, err := trainRidge(s)
		if err != nil {
			t.Fatal(err)
		}
		weight := p.parts.w
		for _, group := range [][]int{{0}, {3}, {8, 3, 39, 17}} {
			mean, variance := make([]float64, len(group)), make([]float64, len(group))
			if err := p.leaveOut(group, mean, variance); err != nil {
				t.Fatal(err)
			}
			var which []int
			var w []float64
			for i := range s.len() {
				if !slices.Contains(group, i) {
					which, w = append(which, i), append(w, weight[i])
				}
			}
			rest := part(s, which)
			parts, err := decompose(&p.Encoding, rest, w)
			if err != nil {
				t.Fatal(err)
			}
			q := newRidgeOf(p.Encoding, rest, parts, p.Penalty)
			for i, r := range group {
				m, v := predictSample(q, s.task[r], mat.NewDense(1, d, s.z.RawRowView(r)))
				v[0] *= p.Variance / q.Variance
				if math.Abs(m[0]-mean[i]) > 1e-7 || math.Abs(v[0]/variance[i]-1) > 1e-6 {
					t.Errorf("%d inputs, group %v, record %d: left out %v, %v; from the rest %v, %v", d, group, r, mean[i], variance[i], m[0], v[0])
				}
			}
			// The same as coefficients.
			b, err := p.shrunk(1, group)
			if err != nil {
				t.Fatal(err)
			}
			if got := blas64.Dot(vector(p.x.RawRowView(group[0])), vector(b)); math.Abs(got-mean[0]) > 1e-7 {
				t.Errorf("%d inputs, group %v: the coefficients give %v, want %v", d, group, got, mean[0])
			}
		}
		loaded, err := reloaded(t, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.(*ridge).leaveOut([]int{0}, make([]float64, 1), make([]float64, 1)) == nil {
			t.Error("a loaded ridge left out records that it does not have")
		}
	}
}

// What the penalty is chosen by is what leaveOut says of each record.
func TestRidgePenaltyHasTheLeastError(t *testing.T) {
	s := regressionSample(8, 60, 10, 1, linear)
	p, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	missed := func(penalty float64) (sum float64) {
		q := *p
		q.Penalty = penalty
		for i := range s.len() {
			var m, v [1]float64
			if err := q.leaveOut([]int{i}, m[:], v[:]); err != nil {
				t.Fatal(err)
			}
			sum += (m[0] - s.target[i]) * (m[0] - s.target[i]) / float64(s.len())
		}
		return sum
	}
	least := missed(p.Penalty)
	if got := p.parts.missed(p.Penalty); math.Abs(got-least) > 1e-9 {
		t.Errorf("the error is said to be %v, and is %v", got, least)
	}
	for _, factor := range []float64{0.01, 0.1, 0.8, 1.25, 10, 100} {
		if v := missed(factor * p.Penalty); v < least {
			t.Errorf("with %v times the penalty, the error is %v instead of %v", factor, v, least)
		}
	}
}

func TestRidgeVarianceGrowsAwayFromTheRecords(t *testing.T) {
	p, err := trainRidge(regressionSample(1, 50, 4, 0.2, linear))
	if err != nil {
		t.Fatal(err)
	}
	last := 0.
	for _, far := range []float64{0, 2, 8, 30} {
		_, v := predictSample(p, 0, mat.NewDense(1, 4, []float64{3, 3 + far, 3, 3}))
		if v[0] <= last {
			t.Errorf("at the distance %v the variance is %v, not above %v", far, v[0], last)
		}
		last = v[0]
	}
}

// With fewer directions, less is known.
func TestRidgeWithoutSomeDirections(t *testing.T) {
	s := regressionSample(1, 50, 6, 0.2, linear)
	p, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	q, err := reloaded(t, p, func(m *modelState) {
		m.Ridge.Directions, m.Ridge.Shrinkage = m.Ridge.Directions[:4*p.Encoding.size()], m.Ridge.Shrinkage[:4]
	})
	if err != nil {
		t.Fatal(err)
	}
	m1, v1 := predictSample(p, 1, s.z)
	m2, v2 := predictSample(q, 1, s.z)
	for i := range v1 {
		if m1[i] != m2[i] || v2[i] < v1[i] {
			t.Fatalf("record %d: %v, %v instead of %v, %v", i, m2[i], v2[i], m1[i], v1[i])
		}
	}
}

// Records known to be noisy count little.
func TestRidgeHeedsNoise(t *testing.T) {
	s := regressionSample(1, 60, 3, 0.01, linear)
	for i := range 20 {
		s.target[i] += 4 * float64(i%5-2)
		s.noise[i] = 32
	}
	test := regressionSample(2, 50, 3, 0, linear)
	p, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	s.noise = nil
	q, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	if heeding, not := missedOf(p, test), missedOf(q, test); heeding > not/3 {
		t.Errorf("missed by %v, and by %v without knowing of the noise", heeding, not)
	}
}

// An unknown task is the mean of the known ones.
func TestRidgeUnknownTaskIsTheMean(t *testing.T) {
	s := regressionSample(1, 60, 3, 0.1, linear)
	p, err := trainRidge(s)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := predictSample(p, unknownTask, s.z)
	want := make([]float64, s.len())
	for task, share := range p.Encoding.Share {
		m, _ := predictSample(p, task, s.z)
		blas64.Axpy(share, vector(m), vector(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-9 {
			t.Fatalf("record %d: %v, want %v", i, got[i], want[i])
		}
	}
}
