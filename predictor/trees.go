package predictor

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
)

// trees is an ensemble of gradient-boosted regression trees (Friedman, Greedy
// function approximation: a gradient boosting machine, Annals of Statistics 2001),
// for the squared error. Each tree sees rows drawn at random, as in Stochastic
// gradient boosting, 2002, and some of the inputs; histograms of binned inputs
// find its splits, and L2 shrinks its leaves, as in Chen and Guestrin 2016.
//
// Each booster learns from all records but a fold of its own, and begins with the
// linear model of a ridge: alone, trees render trends by steps, and end where the
// records do. On ImageNet records and two NAS benchmarks, that lowered the mean
// absolute error by 7 to 25 %. The linear model's penalty is larger than is best
// for ridge, as what it does not explain is not lost.
//
// The mean is the boosters' average, the variance that of the jackknife over the
// folds (Efron and Tibshirani 1993, section 11.5).
type trees struct {
	treesState
	boosters []forest
}

// treesState is trees in a file.
type treesState struct {
	Records  int       `json:"records"`
	Encoding encoding  `json:"encoding"`
	Boosters []booster `json:"boosters"`
}

// A booster is a linear model plus trees, one after the other, each as its
// nodes in preorder: a node, then all of its left branch, then all of its right
// one. A record goes left if its input is at most the value.
type booster struct {
	Linear []float64 `json:"linear"` // of the encoded inputs and the constant
	Input  []int     `json:"input"`  // of each node: inputs, then tasks; -1 for a leaf
	Value  []float64 `json:"value"`  // of each node: the threshold, or what the leaf adds
}

// A forest is a booster's trees, ready for use.
type forest struct {
	nodes []node
	roots []int32
}

// A node's left branch is the node behind it.
type node struct {
	value        float64
	input, right int32 // input is -1 for a leaf
}

// treesOptions are the choices of boosting. Those of defaultTreesOptions are the
// best or close to it on ImageNet records, NAS-Bench-Macro and Accel-NASBench, from
// 50 records to 4,100; half or twice of any changes the error by a few percent.
type treesOptions struct {
	boosters int     // and folds of records, as many
	rounds   int     // trees of a booster, at most
	patience int     // rounds without a better error on the folds after which to stop
	rate     float64 // by which a tree's values are shrunk
	depth    int     // of a tree
	leaf     float64 // weight of a leaf's records, at least
	penalty  float64 // L2 of a leaf's value, in records
	rows     float64 // share of the records that a tree sees
	columns  float64 // share of the inputs that a tree sees
	bins     int     // of an input, 2 to 256
	linear   float64 // penalty of the linear model, in units of ridge's
}

func defaultTreesOptions() treesOptions {
	return treesOptions{
		boosters: 8, rounds: 1000, patience: 100, rate: 0.1, depth: 3, leaf: 3, penalty: 1,
		rows: 0.7, columns: 0.5, bins: 64, linear: 10,
	}
}

// roundsAtATime is how many trees grow between two looks at the error.
const roundsAtATime = 10

// trainTrees grows trees. The same sample and seed give the same trees.
func trainTrees(s sample, seed uint64) (*trees, error) {
	return growTrees(s, seed, defaultTreesOptions())
}

func growTrees(s sample, seed uint64, o treesOptions) (*trees, error) {
	base, err := trainRidge(s)
	if err != nil {
		return nil, err
	}
	n, m := s.len(), min(o.boosters, s.len())
	fold := make([]int, n)
	for at, i := range rand.New(rand.NewPCG(seed, uint64(m))).Perm(n) {
		fold[i] = at % m
	}
	table := newBinned(s, base.Encoding.Share, o.bins)
	t := &trees{treesState: treesState{Records: n, Encoding: base.Encoding, Boosters: make([]booster, m)}}
	growers := make([]*grower, m)
	err = inParallel(m, func(k int) error {
		g := &grower{
			options: o, binned: table, base: base, rng: rand.New(rand.NewPCG(seed, uint64(k))),
			bag: make([]bool, n), residual: make([]float64, n),
		}
		var without []int
		for i, f := range fold {
			if g.bag[i] = f != k; f == k {
				without = append(without, i)
			}
		}
		linear, err := base.shrunk(o.linear, without)
		for i := range n {
			if err == nil {
				g.residual[i] = s.target[i] - blas64.Dot(vector(base.x.RawRowView(i)), vector(linear))
			}
		}
		growers[k], t.Boosters[k].Linear = g, linear
		return err
	})
	if err != nil {
		return nil, err
	}

	// The number of rounds is one for all boosters: that with the least
	// error on the records that each did not see. One fold alone is too
	// small to say.
	missed := func() (sum float64) {
		for i, f := range fold {
			e := growers[f].residual[i]
			sum += base.weightOf(i) * e * e
		}
		return sum
	}
	best, least := 0, missed()
	for r := roundsAtATime; r <= o.rounds && r-best <= o.patience && len(table.columns) > 0; r += roundsAtATime {
		_ = inParallel(m, func(k int) error {
			for range roundsAtATime {
				growers[k].grow()
			}
			return nil
		})
		if v := missed(); v < least {
			best, least = r, v
		}
	}
	for k, g := range growers {
		f := g.forest
		if best < len(f.roots) {
			f.nodes, f.roots = f.nodes[:f.roots[best]], f.roots[:best]
		}
		b := &t.Boosters[k]
		for _, n := range f.nodes {
			b.Input, b.Value = append(b.Input, int(n.input)), append(b.Value, n.value)
		}
		t.boosters = append(t.boosters, f)
	}
	return t, nil
}

// binned is the inputs of a sample, then an input for each task, 1 for its
// records, each reduced to the bin between two cuts that a value is in.
type binned struct {
	cuts    [][]float64 // of an input, increasing
	bin     [][]uint8   // of an input, by record: how many cuts are less than the value
	columns []int       // the inputs that vary
}

func newBinned(s sample, share []float64, bins int) *binned {
	n, d := s.z.Dims()
	b := &binned{cuts: make([][]float64, d+len(share)), bin: make([][]uint8, d+len(share))}
	column := make([]float64, n)
	for c := range b.cuts {
		for i := range n {
			switch {
			case c < d:
				column[i] = s.z.At(i, c)
			case s.task[i] == c-d:
				column[i] = 1
			default:
				column[i] = 0
			}
		}
		b.cuts[c] = cutsOf(column, bins)
		if len(b.cuts[c]) == 0 {
			continue
		}
		b.columns = append(b.columns, c)
		b.bin[c] = make([]uint8, n)
		for i, v := range column {
			at, _ := slices.BinarySearch(b.cuts[c], v)
			b.bin[c][i] = uint8(at)
		}
	}
	return b
}

// cutsOf returns what divides the values into bins: a cut between any two
// neighbours that differ or, if they are too many, between quantiles.
func cutsOf(values []float64, bins int) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	distinct := slices.Compact(slices.Clone(sorted))
	var cuts []float64
	before := func(i int) { // adds a cut before the distinct value i
		a, b := distinct[i-1], distinct[i]
		cut := a + (b-a)/2
		if r := nineDigits(cut); a <= r && r < b {
			cut = r
		} else if cut >= b {
			cut = a
		}
		if len(cuts) == 0 || cut > cuts[len(cuts)-1] {
			cuts = append(cuts, cut)
		}
	}
	if len(distinct) <= bins {
		for i := 1; i < len(distinct); i++ {
			before(i)
		}
		return cuts
	}
	for q := 1; q < bins; q++ {
		if i, _ := slices.BinarySearch(distinct, sorted[q*len(sorted)/bins]); i > 0 {
			before(i)
		}
	}
	return cuts
}

// A grower grows the trees of one booster.
type grower struct {
	options  treesOptions
	binned   *binned
	base     *ridge
	rng      *rand.Rand
	bag      []bool    // the records that it learns from
	residual []float64 // of all records: what is left to explain

	forest forest
	cut    []uint8 // of each node that is no leaf: the last bin that goes left

	// Of the tree at hand. A histogram has, for each bin of each of the tree's
	// columns, sum and weight of the residuals in it.
	columns, offset []int
	length          int // of a histogram
	free            [][]float64
	rows, right     []int32
}

// grow adds a tree that explains a part of the residuals.
func (g *grower) grow() {
	g.rows = g.rows[:0]
	var sum, weight float64
	for i, in := range g.bag {
		if in && g.rng.Float64() < g.options.rows {
			w := g.base.weightOf(i)
			sum, weight = sum+w*g.residual[i], weight+w
			g.rows = append(g.rows, int32(i))
		}
	}
	// Knuth's selection sampling, algorithm 3.4.2S, keeps the columns in order.
	all := g.binned.columns
	want := int(math.Ceil(g.options.columns * float64(len(all))))
	g.columns, g.offset, g.length = g.columns[:0], g.offset[:0], 0
	for k, c := range all {
		if g.rng.Float64()*float64(len(all)-k) < float64(want-len(g.columns)) {
			g.columns, g.offset = append(g.columns, c), append(g.offset, g.length)
			g.length += 2 * (len(g.binned.cuts[c]) + 1)
		}
	}
	g.forest.roots = append(g.forest.roots, int32(len(g.forest.nodes)))
	h := g.histogram(g.rows)
	g.branch(g.rows, h, sum, weight, 0)
	g.free = append(g.free, h)
	g.explain()
}

// explain takes the last tree's values off the residuals.
func (g *grower) explain() {
	root := g.forest.roots[len(g.forest.roots)-1]
	for i := range g.residual {
		at := root
		n := &g.forest.nodes[at]
		for n.input >= 0 {
			if g.binned.bin[n.input][i] <= g.cut[at] {
				at++
			} else {
				at = n.right
			}
			n = &g.forest.nodes[at]
		}
		g.residual[i] -= n.value
	}
}

// histogram returns the histogram of the rows, in memory that grow and branch
// give back.
func (g *grower) histogram(rows []int32) []float64 {
	var h []float64
	if last := len(g.free) - 1; last >= 0 {
		h, g.free = g.free[last], g.free[:last]
	}
	h = grow(h, g.length)
	clear(h)
	weight := g.base.parts.w
	for k, c := range g.columns {
		part, bin := h[g.offset[k]:], g.binned.bin[c]
		for _, i := range rows {
			at, w := 2*int(bin[i]), weight[i]
			part[at] += w * g.residual[i]
			part[at+1] += w
		}
	}
	return h
}

// branch adds the branch for the rows, whose histogram, sum and weight of
// residuals are given. It orders the rows anew and spoils the histogram.
func (g *grower) branch(rows []int32, h []float64, sum, weight float64, depth int) {
	o := &g.options
	at := len(g.forest.nodes)
	g.forest.nodes = append(g.forest.nodes, node{input: -1, value: nineDigits(o.rate * sum / (weight + o.penalty))})
	g.cut = append(g.cut, 0)
	if depth == o.depth {
		return
	}
	s := g.split(h, sum, weight)
	if s.column < 0 {
		return
	}
	bin := g.binned.bin[s.column]
	left, right := rows[:0], g.right[:0]
	for _, i := range rows {
		if int(bin[i]) <= s.cut {
			left = append(left, i)
		} else {
			right = append(right, i)
		}
	}
	g.right = right
	copy(rows[len(left):], right)
	right = rows[len(left):]

	// The histogram of the smaller branch, and of the other what remains.
	leftH, rightH := h, h
	if depth+1 < o.depth {
		var small []float64
		if len(left) < len(right) {
			small = g.histogram(left)
			leftH = small
		} else {
			small = g.histogram(right)
			rightH = small
		}
		blas64.Axpy(-1, vector(small), vector(h[:g.length]))
		defer func() { g.free = append(g.free, small) }()
	}
	g.branch(left, leftH, s.sum, s.weight, depth+1)
	g.forest.nodes[at] = node{input: int32(s.column), value: g.binned.cuts[s.column][s.cut], right: int32(len(g.forest.nodes))}
	g.cut[at] = uint8(s.cut)
	g.branch(right, rightH, sum-s.sum, weight-s.weight, depth+1)
}

// A split is where a branch divides, and sum and weight of what goes left.
type split struct {
	column, cut int // column is -1 if no split helps
	sum, weight float64
}

// split returns the split that lowers the penalised sum of squares most.
func (g *grower) split(h []float64, sum, weight float64) split {
	o := &g.options
	best := split{column: -1}
	most := sum * sum / (weight + o.penalty) * (1 + 1e-9)
	for k, c := range g.columns {
		part := h[g.offset[k]:]
		var ls, lw float64
		for cut := range g.binned.cuts[c] {
			ls += part[2*cut]
			lw += part[2*cut+1]
			rs, rw := sum-ls, weight-lw
			if lw < o.leaf {
				continue
			}
			if rw < o.leaf {
				break
			}
			if v := ls*ls/(lw+o.penalty) + rs*rs/(rw+o.penalty); v > most {
				most, best = v, split{c, cut, ls, lw}
			}
		}
	}
	return best
}

// treesSession is trees with the memory of one caller, who asks about one task.
type treesSession struct {
	*trees
	task int
	x    []float64 // an encoded row and the constant
	y    []float64 // chunk x boosters
}

func (t *trees) len() int { return t.Records }

func (t *trees) session(task int) session {
	if !t.Encoding.knows(task) {
		task = unknownTask
	}
	return &treesSession{trees: t, task: task}
}

func (s *treesSession) predict(mean, variance []float64, x blas64.General) {
	inChunks(x, func(from, to int, x blas64.General) { s.predictChunk(mean[from:to], variance[from:to], x) })
}

func (s *treesSession) predictChunk(mean, variance []float64, x blas64.General) {
	p, m := s.Encoding.size()+1, len(s.boosters)
	s.x, s.y = grow(s.x, p), grow(s.y, chunk*m)
	row := func(i int) []float64 { return x.Data[i*x.Stride : i*x.Stride+x.Cols] }
	for i := range mean {
		s.Encoding.put(s.x, row(i), s.task)
		s.x[p-1] = 1
		for k := range s.Boosters {
			s.y[i*m+k] = blas64.Dot(vector(s.x), vector(s.Boosters[k].Linear))
		}
	}
	for k := range s.boosters { // a tree at a time, which stays in the cache
		f := &s.boosters[k]
		for _, root := range f.roots {
			for i := range mean {
				s.y[i*m+k] += s.walk(f.nodes, root, row(i))
			}
		}
	}
	for i := range mean {
		mean[i], variance[i] = spread(s.y[i*m : i*m+m])
		variance[i] *= float64(m-1) * float64(m-1) / float64(m)
	}
}

// walk returns what a branch adds for a row. For an unknown task, that is what
// both sides of a split of tasks add, weighted by their shares (Friedman 2001,
// section 8.2).
func (s *treesSession) walk(nodes []node, at int32, row []float64) float64 {
	for {
		n := &nodes[at]
		task := int(n.input) - len(row)
		switch {
		case n.input < 0:
			return n.value
		case task < 0:
			if row[n.input] <= n.value {
				at++
			} else {
				at = n.right
			}
		case s.task == unknownTask:
			share := s.Encoding.Share[task]
			return (1-share)*s.walk(nodes, at+1, row) + share*s.walk(nodes, n.right, row)
		case task != s.task:
			at++
		default:
			at = n.right
		}
	}
}

// spread returns mean and variance of the values.
func spread(v []float64) (mean, variance float64) {
	n := float64(len(v))
	for _, y := range v {
		mean += y / n
	}
	for _, y := range v {
		variance += (y - mean) * (y - mean) / (n - 1)
	}
	return mean, variance
}

func (t *trees) state() modelState { return modelState{Kind: Trees, Trees: &t.treesState} }

// newTrees returns the trees of a state, which may be anybody's.
func newTrees(state treesState) (*trees, error) {
	if !state.Encoding.valid() || state.Records < 1 || len(state.Boosters) < 2 {
		return nil, errDamaged
	}
	t := &trees{treesState: state}
	for _, b := range state.Boosters {
		if len(b.Linear) != state.Encoding.size()+1 || !moderate(b.Linear, b.Value) {
			return nil, errDamaged
		}
		f, ok := newForest(b, state.Encoding.size())
		if !ok {
			return nil, errDamaged
		}
		t.boosters = append(t.boosters, f)
	}
	return t, nil
}

// mostDepth is the depth that no tree of ours comes near.
const mostDepth = 64

// newForest finds where the branches of a booster's trees begin, and reports
// whether its nodes are trees of so many inputs.
func newForest(b booster, inputs int) (forest, bool) {
	if len(b.Input) != len(b.Value) || len(b.Input) > math.MaxInt32 {
		return forest{}, false
	}
	f := forest{nodes: make([]node, len(b.Input))}
	var open []int // the nodes above that wait for their right branch
	begins := true
	for i, input := range b.Input {
		if input < -1 || input >= inputs || len(open) > mostDepth {
			return forest{}, false
		}
		f.nodes[i] = node{value: b.Value[i], input: int32(input)}
		if begins {
			f.roots = append(f.roots, int32(i))
		}
		begins = false
		switch last := len(open) - 1; {
		case input >= 0:
			open = append(open, i)
		case last >= 0: // what follows a leaf is a right branch,
			f.nodes[open[last]].right = int32(i + 1)
			open = open[:last]
		default: // or another tree
			begins = true
		}
	}
	return f, begins
}
