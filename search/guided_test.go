package search_test

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

func guided(t testing.TB, space search.Space[genes], s search.Surrogate[genes], settings search.GuidedSettings[genes]) *search.Guided[genes] {
	t.Helper()
	m, err := search.NewGuided(space, minimize2, s, settings)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// all returns all candidates of a small grid.
func (g grid) all() []genes {
	all := []genes{{}}
	for i := range g.genes {
		var next []genes
		for _, x := range all {
			for v := range g.levels {
				x[i] = uint8(v)
				next = append(next, x)
			}
		}
		all = next
	}
	return all
}

// neighbors is a surrogate of ZDT1: it knows the first gene's objective, and takes the
// other for that of the nearest candidates it was told of. It counts what it is asked.
type neighbors struct {
	top float64 // greatest level

	genomes    []genes
	objectives [][]float64

	distrusted bool
	forbid     func(x genes) bool // violates a constraint
}

func (n *neighbors) Learn(x genes, objectives []float64) error {
	n.genomes, n.objectives = append(n.genomes, x), append(n.objectives, objectives)
	return nil
}

func (n *neighbors) Guess(genomes []genes, guesses []search.Guess) error {
	for i, x := range genomes {
		g := &guesses[i]
		if n.forbid != nil && n.forbid(x) {
			g.Violation = 1
		}
		sum, weight, nearest := 0., 0., 100.
		first := max(0, len(n.genomes)-60) // what is older does not matter
		for k, y := range n.genomes[first:] {
			d := 0.
			for j := range x {
				d += math.Abs(float64(x[j]) - float64(y[j]))
			}
			w := math.Exp(-d)
			sum, weight, nearest = sum+w*n.objectives[first+k][1], weight+w, min(nearest, d)
		}
		g.Mean[0], g.SD[0] = float64(x[0])/n.top, 0
		g.Mean[1], g.SD[1] = 5, 1
		if weight > 1e-30 {
			g.Mean[1], g.SD[1] = sum/weight, 0.1*nearest+0.01
		}
	}
	return nil
}

func (n *neighbors) Trusted() (bool, error) { return !n.distrusted && len(n.genomes) > 0, nil }

// refitted believes what neighbors do and that a gene matters, how much depends on
// when it was asked: like a model that is fitted anew when it is asked after it
// has learnt, and starts from the last fit.
type refitted struct {
	neighbors
	fitted int // outcomes there were
	slope  float64
}

func (r *refitted) fit() {
	if n := len(r.objectives); n > r.fitted {
		r.fitted, r.slope = n, 0.03*r.objectives[n-1][1]-0.9*r.slope
	}
}

func (r *refitted) Guess(genomes []genes, guesses []search.Guess) error {
	r.fit()
	err := r.neighbors.Guess(genomes, guesses)
	for i, x := range genomes {
		guesses[i].Mean[1] += r.slope * float64(x[3])
		guesses[i].SD[1] = 1
	}
	return err
}

// Trusted needs a fit only now and then, and is true with and without one.
func (r *refitted) Trusted() (bool, error) {
	n := len(r.objectives)
	if n%2 == 0 {
		return n > 0, nil
	}
	r.fit()
	return n%5 != 0, nil
}

// linear is a surrogate that takes the second objective for a linear function of
// the genes, by ridge regression.
type linear struct {
	neighbors
	genes int
}

func (l *linear) row(x genes) []float64 {
	row := []float64{1}
	for _, v := range x[:l.genes] {
		row = append(row, float64(v))
	}
	return row
}

func (l *linear) Guess(genomes []genes, guesses []search.Guess) error {
	d := l.genes + 1
	a, b := mat.NewSymDense(d, nil), mat.NewVecDense(d, nil)
	for i := range d {
		a.SetSym(i, i, 1e-3)
	}
	for i, x := range l.genomes {
		row := mat.NewVecDense(d, l.row(x))
		a.SymRankOne(a, 1, row)
		b.AddScaledVec(b, l.objectives[i][1], row)
	}
	var w mat.VecDense
	if err := w.SolveVec(a, b); err != nil {
		return err
	}
	for i, x := range genomes {
		guesses[i].Mean[0] = float64(x[0]) / l.top
		guesses[i].Mean[1], guesses[i].SD[1] = mat.Dot(&w, mat.NewVecDense(d, l.row(x))), 0.3
	}
	return nil
}

// oracle knows all objectives of ZDT1.
type oracle struct{ grid }

func (o oracle) Learn(genes, []float64) error { return nil }
func (o oracle) Trusted() (bool, error)       { return true, nil }
func (o oracle) Guess(genomes []genes, guesses []search.Guess) error {
	for i, x := range genomes {
		copy(guesses[i].Mean, o.zdt1(x))
	}
	return nil
}

// A surrogate that knows everything, and is trusted from the beginning, finds the
// front at once, also where only an inner search finds what to choose from.
func TestGuidedByAnOracle(t *testing.T) {
	for name, c := range map[string]struct {
		space grid
		all   bool
		want  float64
	}{
		"all candidates": {grid{4, 8}, true, 1 - 1e-9},
		"inner search":   {grid{6, 8}, false, 0.95},
	} {
		t.Run(name, func(t *testing.T) {
			settings := search.GuidedSettings[genes]{Seed: 1}
			if c.all {
				settings.All = c.space.all()
			}
			result, all := history(t, guided(t, c.space, oracle{c.space}, settings), c.space.evaluator(), search.Settings[genes]{Evaluations: 12 + 8*6})
			if got := hypervolume(t, frontPoints(result)) / c.space.bestHypervolume(t); got < c.want {
				t.Errorf("reached %.4f of the hypervolume, want %.4f", got, c.want)
			}
			for _, o := range all[:2] { // later there may be nothing left to gain
				if o.Operator != search.ByGuess {
					t.Errorf("candidate %d is a %s", o.ID, o.Operator)
				}
			}
		})
	}
}

// What a simple model learns, and that the first objective is known, saves
// evaluations.
func TestGuidedSavesEvaluations(t *testing.T) {
	space := grid{6, 6}
	share := func(m search.Method[genes]) float64 {
		result, _ := history(t, m, space.evaluator(), search.Settings[genes]{Evaluations: 60})
		return hypervolume(t, frontPoints(result)) / space.bestHypervolume(t)
	}
	var sum, other float64
	for seed := range uint64(5) {
		sum += share(guided(t, space, &linear{neighbors{top: 5}, 6}, search.GuidedSettings[genes]{Seed: seed})) / 5
		other += share(nsga2(t, space, minimize2, search.NSGA2Settings{Seed: seed})) / 5
	}
	t.Logf("guided reached %.3f, nsga2 %.3f", sum, other)
	if sum < other+0.1 {
		t.Errorf("guided reached %.3f of the hypervolume, nsga2 %.3f", sum, other)
	}
}

// The first candidates are spread over the first known objective.
func TestGuidedBeginsWithStrata(t *testing.T) {
	space := grid{4, 24}
	batch, err := guided(t, space, &neighbors{top: 23}, search.GuidedSettings[genes]{Seed: 1, First: 8}).Ask(100)
	if err != nil || len(batch) != 8 {
		t.Fatalf("%d candidates, %v", len(batch), err)
	}
	var strata []int
	for _, c := range batch {
		strata = append(strata, int(c.Genome[0])/3)
	}
	slices.Sort(strata)
	if got := len(slices.Compact(strata)); got < 6 { // a draw near a border may fall beyond it
		t.Errorf("8 candidates are of %d strata", got)
	}
}

// Without trust there is evolution, from the second batch on.
func TestGuidedDistrusts(t *testing.T) {
	space := grid{6, 8}
	_, all := history(t, guided(t, space, &neighbors{top: 7, distrusted: true}, search.GuidedSettings[genes]{Seed: 1}), space.evaluator(), search.Settings[genes]{Evaluations: 200})
	for _, o := range all {
		if o.Operator == search.ByGuess {
			t.Fatalf("candidate %d is a guess of a surrogate that is not trusted", o.ID)
		}
	}
	if o := all[50]; len(o.Parents) == 0 {
		t.Errorf("candidate 50 is a %s without parents", o.Operator)
	}
}

// What exceeds a known constraint is not proposed while the surrogate is asked.
func TestGuidedKeepsWithinKnownConstraints(t *testing.T) {
	space := grid{4, 8}
	forbid := func(x genes) bool { return x[1] > 3 }
	m := guided(t, space, &neighbors{top: 7, forbid: forbid}, search.GuidedSettings[genes]{Seed: 1, All: space.all()})
	_, all := history(t, m, space.evaluator(), search.Settings[genes]{Evaluations: 300})
	for _, o := range all {
		if forbid(o.Genome) && (o.Generation == 0 || o.Operator == search.ByGuess) {
			t.Errorf("candidate %d, %v, exceeds a known constraint", o.ID, o.Genome)
		}
	}
}

// Directions are the user's.
func TestGuidedMaximises(t *testing.T) {
	space := grid{4, 8}
	up := []pareto.Direction{pareto.Minimize, pareto.Maximize}
	mirror := mirrored{&neighbors{top: 7}}
	m, err := search.NewGuided(space, up, search.Surrogate[genes](mirror), search.GuidedSettings[genes]{Seed: 1, All: space.all()})
	if err != nil {
		t.Fatal(err)
	}
	ev := each(func(x genes) search.Evaluation {
		f := space.zdt1(x)
		return search.Evaluation{Objectives: []float64{f[0], -f[1]}}
	})
	_, got := history(t, m, ev, search.Settings[genes]{Evaluations: 100})
	_, want := history(t, guided(t, space, &neighbors{top: 7}, search.GuidedSettings[genes]{Seed: 1, All: space.all()}), space.evaluator(), search.Settings[genes]{Evaluations: 100})
	for i := range want {
		if got[i].Key != want[i].Key {
			t.Fatalf("candidate %d is %v, with an objective to minimise %v", i, got[i].Genome, want[i].Genome)
		}
	}
}

// mirrored has the second objective's sign turned.
type mirrored struct{ *neighbors }

func (m mirrored) Learn(x genes, o []float64) error {
	return m.neighbors.Learn(x, []float64{o[0], -o[1]})
}

func (m mirrored) Guess(genomes []genes, guesses []search.Guess) error {
	err := m.neighbors.Guess(genomes, guesses)
	for i := range guesses {
		guesses[i].Mean[1] *= -1
	}
	return err
}

// faulty fails once.
type faulty struct {
	neighbors
	calls, failAt int
}

func (f *faulty) called() error {
	if f.calls++; f.calls == f.failAt {
		return errBroken
	}
	return nil
}

func (f *faulty) Guess(genomes []genes, guesses []search.Guess) error {
	return errors.Join(f.neighbors.Guess(genomes, guesses), f.called())
}

func (f *faulty) Trusted() (bool, error) { return true, f.called() }

// When the surrogate fails, the batch is left to be proposed again as it would have
// been.
func TestGuidedSurrogateError(t *testing.T) {
	space := grid{3, 8}
	run := func(f *faulty) (batches [][]search.Candidate[genes], failed int) {
		m := guided(t, space, f, search.GuidedSettings[genes]{Seed: 1, All: space.all()})
		for len(batches) < 3 {
			batch, err := m.Ask(100)
			if err != nil {
				if !errors.Is(err, errBroken) {
					t.Fatal(err)
				}
				failed++
				continue
			}
			batches = append(batches, batch)
			if err := m.Tell(batch, evaluated(batch, space.evaluateOne)); err != nil {
				t.Fatal(err)
			}
		}
		return batches, failed
	}
	whole := &faulty{neighbors: neighbors{top: 7}}
	want, _ := run(whole)
	for failAt := 1; failAt <= whole.calls; failAt++ {
		got, failed := run(&faulty{neighbors: neighbors{top: 7}, failAt: failAt})
		if failed != 1 || !reflect.DeepEqual(got, want) {
			t.Errorf("%d failures, after which the batches were\n%v, want\n%v", failed, got, want)
		}
	}
	if whole.calls < 5 { // a guess, then twice trust and a guess
		t.Errorf("%d calls", whole.calls)
	}
}

func TestNewGuidedRefuses(t *testing.T) {
	for name, settings := range map[string]search.GuidedSettings[genes]{"first": {First: -1}, "batch": {Batch: -1}} {
		if _, err := search.NewGuided(grid{2, 2}, minimize2, search.Surrogate[genes](&neighbors{}), settings); err == nil {
			t.Errorf("%s below 0 is taken", name)
		}
	}
	if _, err := search.NewGuided(grid{2, 2}, nil, search.Surrogate[genes](&neighbors{}), search.GuidedSettings[genes]{}); err == nil {
		t.Error("no directions are taken")
	}
}
