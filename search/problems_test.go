package search_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/pareto"
	"github.com/efficientnas/nas/search"
)

// A problem is one of the ZDT suite (Zitzler, Deb and Thiele, "Comparison of
// multiobjective evolutionary algorithms", Evolutionary Computation 8(2), 2000) or
// of the DTLZ suite (Deb, Thiele, Laumanns and Zitzler, "Scalable multi-objective
// optimization test problems", CEC 2002), its variables on a grid. All objectives
// are minimised. The first variables say where on the front a candidate is, the
// others how far from it: on the front they are all equal to best.
type problem struct {
	name       string
	space      grid
	objectives func(x []float64) []float64 // of variables from 0 to 1
	position   int                         // how many variables say where on the front
	best       float64                     // what the others are on the front
	reference  []float64                   // point of the hypervolume
	volume     float64                     // hypervolume of the front of continuous variables, by integration
}

func (p *problem) directions() []pareto.Direction { return make([]pareto.Direction, len(p.reference)) }

func (p *problem) at(x genes) []float64 {
	v := make([]float64, p.space.genes)
	for i := range v {
		v[i] = float64(x[i]) / float64(p.space.levels-1)
	}
	return p.objectives(v)
}

func (p *problem) evaluator() search.Evaluator[genes] {
	return each(func(x genes) search.Evaluation { return search.Evaluation{Objectives: p.at(x)} })
}

func (p *problem) hypervolume(t testing.TB, points [][]float64) float64 {
	t.Helper()
	v, err := pareto.Hypervolume(points, p.reference, p.directions())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// toFront returns the candidate of the front that x is behind.
func (p *problem) toFront(x genes) genes {
	for i := p.position; i < p.space.genes; i++ {
		x[i] = uint8(math.Round(p.best * float64(p.space.levels-1)))
	}
	return x
}

// front returns points among which the whole front is.
func (p *problem) front() [][]float64 {
	points := [][]float64{}
	plane := grid{p.position, p.space.levels}
	for _, x := range plane.all() {
		points = append(points, p.at(p.toFront(x)))
	}
	return points
}

func mean(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// The shapes of ZDT's fronts, second objective over first, and what is behind them.
func convex(f, g float64) float64  { return 1 - math.Sqrt(f/g) }
func concave(f, g float64) float64 { return 1 - f/g*f/g }
func slope(x []float64) float64    { return 1 + 9*mean(x) }

func zdt(first func(x float64) float64, distance func(x []float64) float64, shape func(f, g float64) float64) func(x []float64) []float64 {
	return func(x []float64) []float64 {
		f, g := first(x[0]), distance(x[1:])
		return []float64{f, g * shape(f, g)}
	}
}

func identity(x float64) float64 { return x }

// rippled has local optima all over a span.
func rippled(x []float64, span, frequency float64) float64 {
	sum := 0.
	for _, v := range x {
		v = (v - 0.5) * span
		sum += v*v + 10 - 10*math.Cos(frequency*math.Pi*v)
	}
	return sum
}

func fromMiddle(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += (v - 0.5) * (v - 0.5)
	}
	return sum
}

var problems = []problem{
	{
		"zdt1", grid{12, 31}, zdt(identity, slope, convex),
		1, 0, []float64{1.1, 1.1}, 0.11 + 0.1 + 2./3,
	},
	{
		"zdt2", grid{12, 31}, zdt(identity, slope, concave),
		1, 0, []float64{1.1, 1.1}, 0.11 + 0.1 + 1./3,
	},
	{ // in five pieces
		"zdt3", grid{12, 31}, zdt(identity, slope, func(f, g float64) float64 {
			return convex(f, g) - f/g*math.Sin(10*math.Pi*f)
		}),
		1, 0, []float64{1.1, 1.1}, 1.3318,
	},
	{ // with 10^9 local fronts
		"zdt4", grid{10, 31}, zdt(identity, func(x []float64) float64 { return 1 + rippled(x, 10, 4) }, convex),
		1, 0.5, []float64{1.1, 1.1}, 0.11 + 0.1 + 2./3,
	},
	{ // with few candidates near the front, and unevenly spread
		"zdt6", grid{10, 31}, zdt(
			func(x float64) float64 { return 1 - math.Exp(-4*x)*math.Pow(math.Sin(6*math.Pi*x), 6) },
			func(x []float64) float64 { return 1 + 9*math.Pow(mean(x), 0.25) },
			concave),
		1, 0, []float64{1.1, 1.1}, 0.5079,
	},
	{ // with many local fronts
		"dtlz1", grid{7, 21}, func(x []float64) []float64 {
			far := x[2:]
			g := 100 * fromMiddle(far)
			for _, v := range far {
				g += 100 - 100*math.Cos(20*math.Pi*(v-0.5))
			}
			h := (1 + g) / 2
			return []float64{h * x[0] * x[1], h * x[0] * (1 - x[1]), h * (1 - x[0])}
		},
		2, 0.5, []float64{0.6, 0.6, 0.6}, 0.6*0.6*0.6 - 0.5*0.5*0.5/6,
	},
	{ // an eighth of a sphere
		"dtlz2", grid{12, 21}, func(x []float64) []float64 {
			r := 1 + fromMiddle(x[2:])
			s0, c0 := math.Sincos(x[0] * math.Pi / 2)
			s1, c1 := math.Sincos(x[1] * math.Pi / 2)
			return []float64{r * c0 * c1, r * c0 * s1, r * s0}
		},
		2, 0.5, []float64{1.1, 1.1, 1.1}, 1.1*1.1*1.1 - math.Pi/6,
	},
	{ // in four pieces
		"dtlz7", grid{12, 21}, func(x []float64) []float64 {
			g := 1 + slope(x[2:])
			h := 3.
			for _, f := range x[:2] {
				h -= f / g * (1 + math.Sin(3*math.Pi*f))
			}
			return []float64{x[0], x[1], g * h}
		},
		2, 0, []float64{1.1, 1.1, 6.6}, 2.7019,
	},
}

// What is taken for the front is it: no candidate is better than the one that it
// is behind, and the hypervolume is near that of continuous variables.
func TestProblems(t *testing.T) {
	for i := range problems {
		p := &problems[i]
		t.Run(p.name, func(t *testing.T) {
			if got := p.hypervolume(t, p.front()) / p.volume; got < 0.85 || got > 1 {
				t.Errorf("the grid has %.3f of the front's hypervolume", got)
			}
			rapid.Check(t, func(rt *rapid.T) {
				var x genes
				for k := range p.space.genes {
					x[k] = uint8(rapid.IntRange(0, p.space.levels-1).Draw(rt, "gene"))
				}
				if y := p.toFront(x); y != x && !pareto.Dominates(p.at(y), p.at(x), p.directions()) {
					rt.Errorf("%v has %v, no worse than %v of %v", x, p.at(x), p.at(y), y)
				}
			})
		})
	}
}

// Searches come close to every front within 5,000 evaluations; samples stay far
// away.
func TestFindsTheFront(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for i := range problems {
		p := &problems[i]
		if testing.Short() && p.name != "zdt3" && p.name != "dtlz1" {
			continue
		}
		best := p.hypervolume(t, p.front())
		for _, c := range []struct {
			method      string
			new         func(seed uint64) (search.Method[genes], error)
			least, most float64 // share of the front's hypervolume
		}{
			{"random", func(seed uint64) (search.Method[genes], error) {
				return search.NewRandom(p.space, p.directions(), seed)
			}, 0, 0.35},
			{"nsga2", func(seed uint64) (search.Method[genes], error) {
				return search.NewNSGA2(p.space, p.directions(), search.NSGA2Settings{Seed: seed})
			}, 0.95, 1},
			{"evolution", func(seed uint64) (search.Method[genes], error) {
				return search.NewEvolution(p.space, p.directions(), search.EvolutionSettings{Seed: seed, Crossover: 0.5})
			}, 0.85, 1},
			{"local", func(seed uint64) (search.Method[genes], error) {
				return search.NewLocal(p.space, p.directions(), search.LocalSettings{Seed: seed})
			}, 0.95, 1},
		} {
			t.Run(p.name+"/"+c.method, func(t *testing.T) {
				for seed := range seeds {
					m, err := c.new(seed)
					if err != nil {
						t.Fatal(err)
					}
					result, _ := history(t, m, p.evaluator(), search.Settings[genes]{Evaluations: 5000})
					if share := p.hypervolume(t, frontPoints(result)) / best; !(share >= c.least && share <= c.most+1e-9) {
						t.Errorf("seed %d: reached %.3f of the hypervolume, want %v to %v", seed, share, c.least, c.most)
					}
				}
			})
		}
	}
}
