package predictor

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
)

// A Comparison is how well one kind of model predicted records that it was not
// shown, when [Auto] chose.
type Comparison struct {
	Model   Model   `json:"model"`
	RMSE    float64 `json:"rmse"` // in fractions of 1, as accuracy is
	MAE     float64 `json:"mae"`
	Kendall float64 `json:"kendall"`
	Weight  float64 `json:"weight"` // in what was chosen
}

// stack is a weighted mean of models (Breiman 1996, Stacked Regressions). Its
// variance is that of the mixture: the models', and how far they disagree.
type stack struct {
	parts   []model
	weights []float64 // of three digits, so that their sum is not quite 1
}

// A stackPart is a model of a stack in a file.
type stackPart struct {
	Weight float64    `json:"weight"`
	Model  modelState `json:"model"`
}

// worthwhile is how much smaller the error of a stack has to be than that of its
// best part: a stack takes the time of all its parts.
const worthwhile = 0.98

// trainAuto compares all kinds of models by cross-validation.
func trainAuto(s sample, seed uint64, progress func(done, total int)) (trained, error) {
	kinds := []Model{GP, Ridge, Trees, Neural}
	folds := randomFolds(s.len(), validationFolds, seed)
	means := make([][]float64, len(kinds)) // by kind and record
	var table []Comparison
	best := 0
	for k, kind := range kinds {
		progress(k, 2*len(kinds))
		held, err := holdOutFolds(s, folds, func(rest sample) (model, error) { return trainBare(kind, rest, seed) })
		if err != nil {
			return trained{}, err
		}
		means[k] = meansOf(held, s.len())
		table = append(table, s.compare(kind, means[k]))
		if squaredError(means[k], s.target) < squaredError(means[best], s.target) {
			best = k
		}
	}
	// The stack's own error, with each fold's weights from the other folds.
	stacked := make([]float64, s.len())
	for _, fold := range folds {
		w := stackWeights(means, s.target, without(s.len(), fold))
		for _, r := range fold {
			for k := range kinds {
				stacked[r] += w[k] * means[k][r]
			}
		}
	}
	weights := make([]float64, len(kinds))
	weights[best] = 1
	unseen := means[best]
	all := without(s.len(), nil)
	if rms := math.Sqrt(squaredError(stacked, s.target) / squaredError(means[best], s.target)); rms < worthwhile {
		weights = stackWeights(means, s.target, all)
		unseen = stacked
		table = append(table, s.compare(Auto, stacked))
	}
	p := new(stack)
	for k, kind := range kinds {
		progress(len(kinds)+k, 2*len(kinds))
		table[k].Weight = significant(weights[k])
		if table[k].Weight == 0 {
			continue
		}
		t, err := trainModel(kind, s, seed, nil)
		if err != nil {
			return trained{}, err
		}
		p.parts, p.weights = append(p.parts, t.model), append(p.weights, table[k].Weight)
	}
	progress(2*len(kinds), 2*len(kinds))
	t := trained{p, table, unseen}
	if len(p.parts) == 1 {
		t.model = p.parts[0]
	}
	return t, nil
}

// compare returns how good the predictions of the sample's targets are.
func (s *sample) compare(kind Model, means []float64) Comparison {
	c := Comparison{Model: kind}
	predicted, measured := make([]float64, s.len()), make([]float64, s.len())
	n := float64(s.len())
	for i, m := range means {
		predicted[i], measured[i] = 1-math.Exp(s.origin+m), 1-math.Exp(s.origin+s.target[i])
		d := predicted[i] - measured[i]
		c.MAE += math.Abs(d) / n
		c.RMSE += d * d / n
	}
	c.RMSE, c.MAE = rounded(math.Sqrt(c.RMSE)), rounded(c.MAE)
	if tau := KendallTau(predicted, measured); !math.IsNaN(tau) {
		c.Kendall = rounded(tau)
	}
	return c
}

func squaredError(a, b []float64) float64 {
	sum := 0.
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return sum
}

// stackWeights returns the weights, not negative and of sum 1, under which the
// mean of the models is nearest to the target of the rows in the least squares.
func stackWeights(means [][]float64, target []float64, rows []int) []float64 {
	k := len(means)
	gram := make([][]float64, k) // of the residuals
	for a := range gram {
		gram[a] = make([]float64, k)
		for b := range gram[a] {
			for _, r := range rows {
				gram[a][b] += (means[a][r] - target[r]) * (means[b][r] - target[r])
			}
		}
	}
	kept := without(k, nil)
	for {
		w := minimise(gram, kept)
		rest := slices.DeleteFunc(slices.Clone(kept), func(a int) bool { return w[a] < 0.02 }) // not worth its time
		if len(rest) < len(kept) {
			kept = rest // the others make up for what was left out
			continue
		}
		value := 0.
		for a := range w {
			for b := range w {
				value += w[a] * w[b] * gram[a][b]
			}
		}
		for a := range w { // which may have been left out
			if gram[a][a] < value {
				clear(w)
				w[a], value = 1, gram[a][a]
			}
		}
		return w
	}
}

// minimise returns the weights, not negative and of sum 1, and of the kept
// models alone, that minimise wᵀ gram w.
func minimise(gram [][]float64, kept []int) []float64 {
	w := make([]float64, len(gram))
	for _, a := range kept {
		w[a] = 1 / float64(len(kept))
	}
	// Sequential minimal optimisation: move weight between two models at a time
	// until nothing changes.
	for range 1000 {
		moved := 0.
		for i, a := range kept {
			for _, b := range kept[:i] {
				var slope float64 // of half the value, by what moves from b to a
				for _, c := range kept {
					slope += w[c] * (gram[a][c] - gram[b][c])
				}
				curvature := gram[a][a] + gram[b][b] - 2*gram[a][b]
				if curvature <= 0 {
					continue
				}
				step := min(max(-slope/curvature, -w[a]), w[b])
				w[a], w[b] = w[a]+step, w[b]-step
				moved += math.Abs(step)
			}
		}
		if moved < 1e-9 {
			break
		}
	}
	return w
}

func (p *stack) len() int { return p.parts[0].len() }

func (p *stack) state() modelState {
	s := modelState{Kind: Auto}
	for i, m := range p.parts {
		s.Parts = append(s.Parts, stackPart{p.weights[i], m.state()})
	}
	return s
}

func loadStack(m *modelState, s sample) (*stack, error) {
	p := new(stack)
	for i := range m.Parts {
		part, err := m.Parts[i].Model.load(s)
		if err != nil {
			return nil, err
		}
		w := m.Parts[i].Weight
		if !(w > 0 && w <= 1) {
			return nil, fmt.Errorf("a part has the weight %v", w)
		}
		p.parts, p.weights = append(p.parts, part), append(p.weights, w)
	}
	return p, nil
}

type stackSession struct {
	*stack
	parts          []session
	total          float64 // of the weights
	mean, variance []float64
}

func (p *stack) session(task int) session {
	s := &stackSession{stack: p}
	for i, m := range p.parts {
		s.parts = append(s.parts, m.session(task))
		s.total += p.weights[i]
	}
	return s
}

func (s *stackSession) predict(mean, variance []float64, x blas64.General) {
	n := x.Rows
	s.mean, s.variance = grow(s.mean, n), grow(s.variance, n)
	for i := range n {
		mean[i], variance[i] = 0, 0
	}
	for k, part := range s.parts {
		part.predict(s.mean, s.variance, x)
		w := s.weights[k] / s.total
		for i := range n { // raw moments
			mean[i] += w * s.mean[i]
			variance[i] += w * (s.variance[i] + s.mean[i]*s.mean[i])
		}
	}
	for i := range n {
		variance[i] = max(variance[i]-mean[i]*mean[i], 1e-12)
	}
}

// lengths are those of the first part that has any.
func (p *stack) lengths() []float64 {
	for _, m := range p.parts {
		if l, ok := m.(metric); ok {
			return l.lengths()
		}
	}
	return nil
}
