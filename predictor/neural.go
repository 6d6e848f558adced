package predictor

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// neural is an ensemble of multilayer perceptrons (Lakshminarayanan, Pritzel and
// Blundell, Simple and scalable predictive uncertainty estimation using deep
// ensembles, 2017): two hidden layers with SiLU, and other first weights and
// another order of the records for each member. The mean is the members' average,
// the variance how far they are apart.
//
// A member learns what a linear model leaves, so that there is a trend far from
// the records. How much the linear model and the weights are held back varies
// over the members (Wenzel et al., Hyperparameter ensembles, 2020): noisy records
// want more of that than exact ones, and half and half is nearly as good on
// either as the better of the two.
type neural struct {
	neuralState
	networks []perceptron
}

// neuralState is a neural in a file.
type neuralState struct {
	Records  int            `json:"records"`
	Encoding encoding       `json:"encoding"`
	Width    int            `json:"width"` // of the hidden layers
	Members  []neuralMember `json:"members"`
}

type neuralMember struct {
	Linear  []float64 `json:"linear"`  // of the encoded inputs and the constant
	Scale   float64   `json:"scale"`   // of what the network adds to that
	Weights []float64 `json:"weights"` // layer by layer, a row for each input, then the biases
}

// A neuralLoss is what the training of a network makes small.
type neuralLoss int

const (
	// squaredAndRanking is the squared error, plus a logistic loss for the order of
	// every pair (Burges et al., Learning to rank using gradient descent, 2005).
	squaredAndRanking neuralLoss = iota
	// gaussian is the negative logarithm of the likelihood of mean and variance,
	// both of which the network gives (Nix and Weigend 1994). Its errors are up to
	// 20 % larger: the network takes for noise what it does not explain yet.
	gaussian
)

// neuralOptions are the choices of training. Those of defaultNeuralOptions are the
// best or close to it on ImageNet records, NAS-Bench-Macro and Accel-NASBench, from 50
// records to 4,100. With tanh instead of SiLU, errors are up to a half larger.
type neuralOptions struct {
	loss    neuralLoss
	ranking float64 // weight of the pairs
	members int
	width   int
	epochs  int // passes over the records, and
	steps   int // batches, at least
	rate    float64
	decay   [2]float64 // of the weights: of the even and odd members
	linear  [2]float64 // penalty of the linear model, in units of ridge's: of every two members and the next two
}

func defaultNeuralOptions() neuralOptions {
	return neuralOptions{
		loss: squaredAndRanking, ranking: 1, members: 8, width: 64, epochs: 30, steps: 1000, rate: 3e-3,
		decay: [2]float64{1, 0.1}, linear: [2]float64{10, 100},
	}
}

const (
	// farthest is where a network's inputs end, in standard deviations: an input
	// that is 0 but for one record of thousands would rule that record alone.
	farthest = 10
	// closeRank is how many standard deviations of the targets a pair has to be
	// apart in the right order for its loss to level off.
	closeRank = 0.1
)

// trainNeural trains networks. The same sample and seed give the same networks.
func trainNeural(s sample, seed uint64) (*neural, error) {
	return trainNetworks(s, seed, defaultNeuralOptions())
}

func trainNetworks(s sample, seed uint64, o neuralOptions) (*neural, error) {
	base, err := trainRidge(s)
	if err != nil {
		return nil, err
	}
	p := &neural{neuralState: neuralState{
		Records: s.len(), Encoding: base.Encoding, Width: o.width, Members: make([]neuralMember, o.members),
	}}
	err = inParallel(o.members, func(k int) error {
		m, err := trainMember(base, &s, o.linear[k/2%2], o.decay[k%2], rand.New(rand.NewPCG(seed, uint64(k))), &o)
		p.Members[k] = m
		return err
	})
	if err != nil {
		return nil, err
	}
	p.expand()
	return p, nil
}

// trainMember trains a linear model and a network on the records of the ridge.
func trainMember(base *ridge, s *sample, penalty, decay float64, rng *rand.Rand, o *neuralOptions) (neuralMember, error) {
	linear, err := base.shrunk(penalty, nil)
	if err != nil {
		return neuralMember{}, err
	}
	m := neuralMember{Linear: linear}
	n, inputs := s.len(), base.Encoding.size()
	l := &lessons{x: general(make([]float64, n*inputs), n, inputs)}
	deviation := 0. // of the targets
	for i, y := range s.target {
		row := base.x.RawRowView(i)
		known := blas64.Dot(vector(row), vector(linear))
		residual, w := y-known, base.weightOf(i)
		m.Scale += residual * residual
		deviation += y * y
		l.target, l.known, l.weight, l.noise = append(l.target, residual), append(l.known, known), append(l.weight, w), append(l.noise, 0)
		copy(l.row(i), row)
		clamp(l.row(i))
		if s.noise != nil {
			l.noise[i] = s.noise[i]
		}
	}
	if m.Scale = nineDigits(math.Sqrt(m.Scale / float64(n))); m.Scale < 1e-12 {
		m.Scale = 1
	}
	for i := range l.target {
		l.target[i] /= m.Scale
		l.known[i] /= m.Scale
		l.noise[i] /= m.Scale * m.Scale
	}
	l.close = closeRank * math.Sqrt(deviation/float64(n)) / m.Scale

	sizes := []int{inputs, o.width, o.width, o.outputs()}
	params := newParams(sizes, l.x, rng)
	o.train(params, sizes, l, decay, rng)
	// Of the last layer, only the mean is kept.
	last := newPerceptron(sizes, params)[2]
	m.Weights = slices.Clone(params[:len(params)-len(last.w.Data)-len(last.b)])
	for i := range o.width {
		m.Weights = append(m.Weights, last.w.Data[i*last.w.Stride])
	}
	m.Weights = append(m.Weights, last.b[0])
	roundAll(m.Weights)
	if !moderate(m.Weights) {
		return m, errors.New("predictor: the training of a neural network diverged")
	}
	return m, nil
}

func (o *neuralOptions) outputs() int {
	if o.loss == gaussian {
		return 2 // mean, and logarithm of the variance
	}
	return 1
}

// clamp confines a network's inputs.
func clamp(x []float64) {
	for i, v := range x {
		x[i] = max(-farthest, min(farthest, v))
	}
}

// A perceptron is its layers, views of a list of parameters.
type perceptron []layer

type layer struct {
	w blas64.General // a row for each input
	b []float64
}

// newPerceptron returns the network of the parameters, with layers of the sizes:
// inputs first, outputs last.
func newPerceptron(sizes []int, params []float64) perceptron {
	n := make(perceptron, len(sizes)-1)
	for k := range n {
		in, out := sizes[k], sizes[k+1]
		n[k] = layer{general(params[:in*out], in, out), params[in*out : (in+1)*out]}
		params = params[(in+1)*out:]
	}
	return n
}

func paramsOf(sizes []int) (n int) {
	for k := range len(sizes) - 1 {
		n += (sizes[k] + 1) * sizes[k+1]
	}
	return n
}

// newParams draws the parameters that training begins with, of the variance that
// keeps that of the activations (LeCun et al. 1998), less for the last layer.
// Inputs that are 0 in all rows of x get none, as nothing would be learnt of them.
func newParams(sizes []int, x blas64.General, rng *rand.Rand) []float64 {
	params := make([]float64, paramsOf(sizes))
	n := newPerceptron(sizes, params)
	for k := range n {
		w := n[k].w.Data
		sd := 1 / math.Sqrt(float64(n[k].w.Rows))
		if k == len(n)-1 {
			sd *= 0.1
		}
		for i := range w {
			w[i] = sd * rng.NormFloat64()
		}
	}
	for c := range x.Cols {
		varies := false
		for i := range x.Rows {
			varies = varies || math.Abs(x.Data[i*x.Stride+c]) > 1e-6
		}
		if !varies {
			clear(n[0].w.Data[c*n[0].w.Stride : (c+1)*n[0].w.Stride])
		}
	}
	return params
}

// activations is the memory for passes of a network over some rows.
type activations struct {
	x    blas64.General   // the inputs
	a, h []blas64.General // of each layer, before and after SiLU
	d    []blas64.General // derivatives of the loss by a
}

func newActivations(rows int, sizes []int) *activations {
	a := new(activations)
	for k, n := range sizes {
		room := func() blas64.General { return general(make([]float64, rows*n), rows, n) }
		if k == 0 {
			a.x = room()
			continue
		}
		a.a, a.h, a.d = append(a.a, room()), append(a.h, room()), append(a.d, room())
	}
	return a
}

// output is the last layer's, which has no SiLU.
func (a *activations) output() blas64.General { return a.a[len(a.a)-1] }

// forward computes the output of the first rows.
func (n perceptron) forward(t *activations, rows int) {
	x := t.x
	x.Rows = rows
	for k, l := range n {
		out, h := t.a[k], t.h[k]
		out.Rows, h.Rows = rows, rows
		for i := range rows {
			copy(out.Data[i*out.Stride:], l.b)
		}
		multiply(1, x, l.w, 1, out)
		if k == len(n)-1 {
			return
		}
		for i, v := range out.Data[:rows*out.Stride] {
			h.Data[i] = v / (1 + math.Exp(-v))
		}
		x = h
	}
}

// backward stores the derivatives of the loss by the parameters in gradient,
// given those by the output in the last t.d (Rumelhart, Hinton and Williams 1986).
func (n perceptron) backward(gradient perceptron, t *activations) {
	for k := len(n) - 1; k >= 0; k-- {
		x, d := t.x, t.d[k]
		if k > 0 {
			x = t.h[k-1]
		}
		g := gradient[k]
		for from := 0; from < x.Cols; from += chunk { // see multiply
			cols := min(chunk, x.Cols-from)
			blas64.Gemm(blas.Trans, blas.NoTrans, 1, blas64.General{Rows: x.Rows, Cols: cols, Stride: x.Stride, Data: x.Data[from:]}, d, 0,
				blas64.General{Rows: cols, Cols: g.w.Cols, Stride: g.w.Stride, Data: g.w.Data[from*g.w.Stride:]})
		}
		clear(g.b)
		for i := range d.Rows {
			blas64.Axpy(1, vector(d.Data[i*d.Stride:i*d.Stride+d.Cols]), vector(g.b))
		}
		if k == 0 {
			return
		}
		below := t.d[k-1]
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, d, n[k].w, 0, below)
		for i, v := range t.a[k-1].Data {
			s := 1 / (1 + math.Exp(-v))
			below.Data[i] *= s * (1 + v*(1-s))
		}
	}
}

// lessons are what a network learns from, in units of its output.
type lessons struct {
	x      blas64.General
	target []float64
	known  []float64 // what the linear model gives; the target comes on top of it
	weight []float64
	noise  []float64 // variance of the target
	close  float64   // see closeRank
}

func (l *lessons) row(i int) []float64 { return l.x.Data[i*l.x.Stride : i*l.x.Stride+l.x.Cols] }

// lossOf returns the mean loss of the outputs y, and stores its derivatives by
// them in d.
func (o *neuralOptions) lossOf(l *lessons, y, d blas64.General) (sum float64) {
	n := float64(len(l.target))
	if o.loss == gaussian {
		const least, most = 1e-4, 12
		for i, target := range l.target {
			e, log := y.Data[2*i]-target, min(y.Data[2*i+1], most)
			own := math.Exp(log)
			v := own + l.noise[i] + least
			sum += (e*e/v + math.Log(v)) / 2 / n
			d.Data[2*i], d.Data[2*i+1] = e/v/n, 0
			if log < most {
				d.Data[2*i+1] = own * (1/v - e*e/(v*v)) / 2 / n
			}
		}
		return sum
	}
	for i, target := range l.target {
		e, w := y.Data[i]-target, l.weight[i]
		sum += w * e * e / 2 / n
		d.Data[i] = w * e / n
	}
	if o.ranking == 0 {
		return sum
	}
	share := o.ranking / (n * (n - 1) / 2)
	for i := range l.target {
		for j := range i {
			apart := l.target[i] + l.known[i] - l.target[j] - l.known[j]
			if apart == 0 {
				continue
			}
			side := math.Copysign(1/l.close, apart)
			margin := side * (y.Data[i] + l.known[i] - y.Data[j] - l.known[j])
			w := share * l.weight[i] * l.weight[j]
			e := math.Exp(-math.Abs(margin))
			sum += w * (max(-margin, 0) + math.Log1p(e)) // log(1 + exp(-margin))
			slope := 1 / (1 + e)
			if margin > 0 {
				slope = e / (1 + e)
			}
			d.Data[i] -= w * side * slope
			d.Data[j] += w * side * slope
		}
	}
	return sum
}

// train fits the parameters by Adam (Kingma and Ba 2015) with decoupled decay of
// weights (Loshchilov and Hutter 2019), and a rate that falls as a cosine (2017).
func (o *neuralOptions) train(params []float64, sizes []int, l *lessons, decay float64, rng *rand.Rand) {
	n := len(l.target)
	rows := min(n, max(16, min(64, n/64)))
	steps := max(o.steps, o.epochs*n/rows)
	gradient := make([]float64, len(params))
	net, slopes, t := newPerceptron(sizes, params), newPerceptron(sizes, gradient), newActivations(rows, sizes)
	adam := adam{first: make([]float64, len(params)), second: make([]float64, len(params))}
	list := func() []float64 { return make([]float64, rows) }
	batch := lessons{x: t.x, target: list(), known: list(), weight: list(), noise: list(), close: l.close}
	var order []int
	for step := range steps {
		if len(order) < rows {
			order = rng.Perm(n)
		}
		for k, i := range order[:rows] {
			copy(batch.row(k), l.row(i))
			batch.target[k], batch.known[k], batch.weight[k], batch.noise[k] = l.target[i], l.known[i], l.weight[i], l.noise[i]
		}
		order = order[rows:]
		net.forward(t, rows)
		o.lossOf(&batch, t.output(), t.d[len(t.d)-1])
		net.backward(slopes, t)

		const warm = 0.05 // of the steps
		done := float64(step) / float64(steps)
		rate := o.rate * (1 + math.Cos(math.Pi*done)) / 2
		if done < warm {
			rate = o.rate * float64(step+1) / (warm * float64(steps))
		}
		adam.step(params, gradient, rate, decay)
	}
}

type adam struct {
	first, second []float64 // moments
	steps         int
}

func (a *adam) step(params, gradient []float64, rate, decay float64) {
	const beta1, beta2, tiny = 0.9, 0.99, 1e-8
	a.steps++
	c1 := 1 / (1 - math.Pow(beta1, float64(a.steps)))
	c2 := 1 / (1 - math.Pow(beta2, float64(a.steps)))
	for i, g := range gradient {
		a.first[i] += (1 - beta1) * (g - a.first[i])
		a.second[i] += (1 - beta2) * (g*g - a.second[i])
		params[i] -= rate * (c1*a.first[i]/(math.Sqrt(c2*a.second[i])+tiny) + decay*params[i])
	}
}

// neuralSession is a neural with the memory of one caller, who asks about one task.
type neuralSession struct {
	*neural
	task int
	t    *activations
	x    []float64 // an encoded row and the constant
	y    []float64 // chunk x members
}

func (p *neural) len() int { return p.Records }

func (p *neural) sizes() []int { return []int{p.Encoding.size(), p.Width, p.Width, 1} }

func (p *neural) session(task int) session {
	return &neuralSession{
		neural: p, task: task, t: newActivations(chunk, p.sizes()),
		x: make([]float64, p.Encoding.size()+1), y: make([]float64, chunk*len(p.Members)),
	}
}

func (s *neuralSession) predict(mean, variance []float64, x blas64.General) {
	inChunks(x, func(from, to int, x blas64.General) { s.predictChunk(mean[from:to], variance[from:to], x) })
}

func (s *neuralSession) predictChunk(mean, variance []float64, x blas64.General) {
	p, m := s.Encoding.size(), len(s.Members)
	s.x[p] = 1
	for i := range mean {
		s.Encoding.put(s.x, x.Data[i*x.Stride:i*x.Stride+x.Cols], s.task)
		for k := range s.Members {
			s.y[i*m+k] = blas64.Dot(vector(s.x), vector(s.Members[k].Linear))
		}
		clamp(s.x[:p])
		copy(s.t.x.Data[i*p:], s.x[:p])
	}
	for k, n := range s.networks {
		n.forward(s.t, x.Rows)
		for i := range mean {
			s.y[i*m+k] += s.Members[k].Scale * s.t.output().Data[i]
		}
	}
	for i := range mean {
		mean[i], variance[i] = spread(s.y[i*m : i*m+m])
	}
}

func (p *neural) state() modelState { return modelState{Kind: Neural, Neural: &p.neuralState} }

// newNeural returns the neural of a state, which may be anybody's.
func newNeural(state neuralState) (*neural, error) {
	const widest = 1 << 12
	p := &neural{neuralState: state}
	ok := state.Encoding.valid() && state.Records > 0 && state.Width > 0 && state.Width <= widest && len(state.Members) >= 2
	for _, m := range state.Members {
		ok = ok && len(m.Linear) == state.Encoding.size()+1 && len(m.Weights) == paramsOf(p.sizes()) &&
			m.Scale > 0 && moderate(m.Linear, m.Weights, []float64{m.Scale})
	}
	if !ok {
		return nil, errDamaged
	}
	p.expand()
	return p, nil
}

// expand makes the networks of the weights.
func (p *neural) expand() {
	for _, m := range p.Members {
		p.networks = append(p.networks, newPerceptron(p.sizes(), m.Weights))
	}
}
