package space

import (
	"errors"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/cost"
	"github.com/efficientnas/nas/internal/strict"
)

// readConfig returns the space of a file in configs.
func readConfig(t testing.TB, name string) *Space {
	t.Helper()
	data, err := os.ReadFile("../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	node, err := strict.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(node.Keys, func(k strict.Key) bool { return k.Name == "space" }) {
		node = node.Fields("").Get("space")
	}
	s, err := From(node)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// macsParams measures what is mostly asked for.
func macsParams(g *arch.Graph, values []int64) {
	c := cost.Of(g)
	values[0], values[1] = c.MACs, c.Params
}

// layersAndWidth measures a quantity of few values, and one that is negative.
func layersAndWidth(g *arch.Graph, values []int64) {
	values[0], values[1] = int64(len(g.Layers)-1), 0
	for i := range g.Layers {
		if l := &g.Layers[i]; l.Op == arch.OpConv {
			values[1] -= int64(l.Out.C * l.KernelH)
		}
	}
}

// valuesOf measures a network layer by layer.
func valuesOf(t interface{ Fatal(...any) }, s *Space, g Genome, n int, measure func(*arch.Graph, []int64)) []int64 {
	var net arch.Network
	var graph arch.Graph
	s.Network(g, &net)
	if err := net.Lower(&graph); err != nil {
		t.Fatal(err)
	}
	values := make([]int64, n)
	measure(&graph, values)
	return values
}

// The number of distinct networks that NAS-Bench-Macro's authors count, as its
// column real_arch does.
func TestSizeOfNASBenchMacro(t *testing.T) {
	s := readConfig(t, "nas_bench_macro.yaml")
	if got := s.Size(); got.Cmp(big.NewInt(3969)) != 0 {
		t.Errorf("%v networks, want 3969 = 9 * 21 * 21", got)
	}
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]bool)
	for g := range all {
		keys[s.Key(g)] = true
	}
	for key := range enumerate(s.plan) { // all 6561 genomes
		if !keys[key] {
			t.Fatal("a genome whose key All does not have")
		}
	}
	if len(keys) != 3969 {
		t.Errorf("%d keys among all networks", len(keys))
	}
}

func TestAllEqualsEnumeration(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, want map[string]Genome) {
		var order []Genome
		all, err := s.All()
		if err != nil {
			t.Fatal(err)
		}
		for g := range all {
			if !slices.Equal(want[s.Key(g)], g) {
				t.Fatalf("%v is not among the canonical genomes of all networks", s.Words(g))
			}
			order = append(order, g)
		}
		if len(order) != len(want) {
			t.Errorf("%d networks, want %d", len(order), len(want))
		}
		same, err := New(s.Template())
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		again, _ := same.All()
		for g := range again {
			if !slices.Equal(g, order[i]) {
				t.Fatalf("network %d is %v once and %v once", i, order[i], g)
			}
			if i++; i == 3 { // the loop can be left
				break
			}
		}
	})
	if _, err := readConfig(t, "mobile.yaml").All(); err == nil ||
		err.Error() != "space: 5581923082085597184 networks are too many to go through all; at most 4194304 are supported" {
		t.Errorf("a large space: got error %v", err)
	}
}

// Draws are uniform over the networks in the interval, whatever it is.
func TestSampler(t *testing.T) {
	draws := 3000
	if testing.Short() {
		draws = 1000
	}
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		for _, test := range []struct {
			name    string
			measure func(*arch.Graph, []int64)
		}{{"layers", layersAndWidth}, {"macs", macsParams}} {
			m := s.Measure(2, test.measure)
			values := make(map[string][]int64)
			for key, g := range all {
				values[key] = valuesOf(t, s, g, 2, test.measure)
			}
			rng := rand.New(rand.NewPCG(1, 1))
			for q := range 2 {
				sampler := m.Sampler(q)
				b := sampler.Bounds()
				third := (b.Greatest - b.Least) / 3
				for _, in := range []Interval{
					{b.Least, b.Greatest},
					{math.MinInt64, b.Least + third},
					{b.Least + third, b.Greatest - third},
					{b.Greatest - third, math.MaxInt64},
					{b.Least, b.Least},
					{b.Greatest, b.Greatest},
				} {
					drawn := make(map[string]int)
					for key := range all {
						if in.Contains(values[key][q]) {
							drawn[key] = 0
						}
					}
					if len(drawn) == 0 {
						if _, _, err := sampler.Sample(rng, in); err == nil {
							t.Errorf("%s %d: a network in %v, where none is", test.name, q, in)
						}
						continue
					}
					each := max(5, min(60, draws/len(drawn)))
					for range each * len(drawn) {
						g, v, err := sampler.Sample(rng, in)
						if err != nil {
							t.Fatal(err)
						}
						key := s.Key(g)
						if _, ok := drawn[key]; !ok || !slices.Equal(all[key], g) {
							t.Fatalf("%s %d: drew %v, which is none of the networks in %v", test.name, q, g, in)
						}
						if v != values[key][q] {
							t.Fatalf("%s %d: drew %v with %d, not %d", test.name, q, g, v, values[key][q])
						}
						drawn[key]++
					}
					if chi, most := chiSquare(drawn, each); chi > most {
						t.Errorf("%s %d: chi-square of %.0f over %d networks in %v, more than %.0f", test.name, q, chi, len(drawn), in, most)
					}
					share := float64(len(drawn)) / float64(len(all))
					low, high := sampler.Share(in)
					if low > share+1e-9 || high < share-1e-9 || b.Greatest-b.Least < steps && high-low > 1e-9 {
						t.Errorf("%s %d: share from %v to %v of %v, want %v", test.name, q, low, high, in, share)
					}
				}
			}
		}
	})
}

// Draws are uniform, too, where the tables are so coarse that most of them begin
// anew, and rest on what the type grid says.
func TestSamplerOfCoarseTables(t *testing.T) {
	s := parse(t, `
input: {resolution: 16}
stem: {width: 8}
stages:
  - {block: [conv, inverted], width: [8, 16], depth: [1, 2], kernel: [1, 3], expansion: [1, 3]}
  - {block: [conv, inverted], width: [8, 24], depth: [1, 2], kernel: [1, 3], expansion: [1, 3]}
head: {classes: 10, width: [0, 16, 32]}`)
	sampler := s.Measure(1, macsParams1).Sampler(0)
	sampler.steps = 16
	b := sampler.Bounds()
	values := make(map[string]int64)
	for key, g := range enumerate(s.plan) {
		values[key] = valuesOf(t, s, g, 1, macsParams1)[0]
	}
	each := 300
	if testing.Short() {
		each = 50
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 6 {
		third := (b.Greatest - b.Least) / 8
		in := Interval{b.Least + int64(i)*third, b.Least + int64(i+2)*third}
		drawn := make(map[string]int)
		for key, v := range values {
			if in.Contains(v) {
				drawn[key] = 0
			}
		}
		for range each * len(drawn) {
			g, _, err := sampler.Sample(rng, in)
			if err != nil {
				t.Fatal(err)
			}
			drawn[s.Key(g)]++
		}
		if chi, most := chiSquare(drawn, each); chi > most {
			t.Errorf("chi-square of %.0f over %d networks in %v, more than %.0f", chi, len(drawn), in, most)
		}

		g, _, _, _ := sampler.grid(in)
		tr := sampler.m.t
		for range 10 * each {
			id := int32(1 + rng.IntN(len(tr.nodes)-1))
			n := &tr.nodes[id]
			most := int64(g.steps) << g.shift
			lo := rng.Int64N(most)
			hi := lo + rng.Int64N(most-lo)
			sum := 0.
			for i := range n.groups {
				e := &n.groups[i]
				edges := 0.
				for _, slack := range g.side.slack[id][e.first:e.end] {
					edges += g.follow(e.to, lo-slack, hi-slack)
				}
				if bound := g.group(id, i, e, g.side.slack[id], lo, hi); edges > bound+1e-9 {
					t.Fatalf("a group with a bound of %v leads to %v", bound, edges)
				}
				sum += e.share * g.group(id, i, e, g.side.slack[id], lo, hi)
			}
			if bound := g.follow(id, lo, hi); sum > bound+1e-9 {
				t.Fatalf("a node with a bound of %v leads to %v", bound, sum)
			}
		}
	}
}

// A first block that is unlike the others, though the shape stays.
type doubled struct{}

func (doubled) Name() string { return "doubled" }

func (doubled) Params() []arch.Param {
	return []arch.Param{{Name: "later", Min: 1, Max: 9, Default: 1, Active: func(u *arch.Unit) bool { return !u.First }}}
}

func (doubled) Lower(g *arch.Graph, x arch.Tensor, u *arch.Unit) arch.Tensor {
	if u.First {
		x = g.Conv(x, "extra", arch.Conv{Out: u.Width})
	}
	return g.Conv(x, "conv", arch.Conv{Out: u.Width, Stride: u.Stride})
}

var registerDoubled = sync.OnceValue(func() error { return arch.Register(doubled{}) })

func TestFirstBlockUnlikeOthers(t *testing.T) {
	if err := registerDoubled(); err != nil {
		t.Fatal(err)
	}
	s := parse(t, `
input: {resolution: 8}
stem: {width: 8}
stages: [{block: doubled, width: 8, depth: [1, 2, 3, 5], later: [1, 2]}]
head: {classes: 10}`)
	if got := s.Size().Int64(); got != 1+2*3 {
		t.Errorf("%d networks, want 7", got)
	}
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	m := s.Measure(1, macsParams1).Sampler(0)
	for g := range all {
		v := valuesOf(t, s, g, 1, macsParams1)[0]
		if _, got, err := m.Sample(rand.New(rand.NewPCG(1, 1)), Interval{v, v}); err != nil || got != v {
			t.Errorf("%v: %d, %v", g, got, err)
		}
	}
}

// largeSpace is a space that is too large to try every genome, and its MACs and
// parameters.
func largeSpace(t *testing.T) (*Space, *Measured) {
	large.Do(func() {
		file := "mobile.yaml"
		if testing.Short() {
			file = "micro.yaml" // a fifth of the edges
		}
		large.space = readConfig(t, file)
		large.measured = large.space.Measure(2, macsParams)
	})
	return large.space, large.measured
}

var large struct {
	sync.Once
	space    *Space
	measured *Measured
}

// What a large space holds is drawn at any number of MACs, with the value that
// lowering it finds, evenly.
func TestStrataOfALargeSpace(t *testing.T) {
	s, m := largeSpace(t)
	sampler := m.Sampler(0)
	rng := rand.New(rand.NewPCG(1, 1))
	b := sampler.Bounds()
	strata := sampler.Strata(40)
	if len(strata) != 40 || strata[0].Lo != b.Least || strata[39].Hi != b.Greatest {
		t.Fatalf("%d strata: %v, from %v", len(strata), strata, b)
	}
	draws, samples := 4000, 400_000
	if testing.Short() {
		draws, samples = 1000, 20_000
	}
	sumLow, sumHigh := 0., 0.
	for i, in := range strata {
		if i > 0 && in.Lo != strata[i-1].Hi+1 {
			t.Fatalf("%v follows on %v", in, strata[i-1])
		}
		if ratio := float64(in.Hi) / float64(in.Lo); math.Abs(ratio/math.Pow(float64(b.Greatest)/float64(b.Least), 1./40)-1) > 1e-3 {
			t.Errorf("%v spans a factor of %v", in, ratio)
		}
		low, high := sampler.Share(in)
		sumLow, sumHigh = sumLow+low, sumHigh+high
		for range draws / 40 {
			g, v, err := sampler.Sample(rng, in)
			if err != nil {
				t.Fatal(err)
			}
			if !in.Contains(v) || valuesOf(t, s, g, 2, macsParams)[0] != v {
				t.Fatalf("drew %d in %v, lowered %v", v, in, valuesOf(t, s, g, 2, macsParams))
			}
			if key := s.Key(g); key != s.Key(s.canonical(slices.Clone(g))) {
				t.Fatal("not canonical")
			}
		}
	}
	if sumLow > 1+1e-9 || sumHigh < 1-1e-9 || sumHigh > 2 {
		t.Errorf("the shares of all strata sum up to from %v to %v", sumLow, sumHigh)
	}
	// Uniform draws within an interval and draws by rejection agree on where in
	// it the networks are.
	meter := s.Meter(2, macsParams)
	sample := func() int64 {
		g, err := s.Sample(rng)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]int64, 2)
		if err := meter.Measure(g, values); err != nil {
			t.Fatal(err)
		}
		return values[0]
	}
	some := make([]int64, 1000)
	for i := range some {
		some[i] = sample()
	}
	slices.Sort(some)
	in, middle := Interval{some[400], some[599]}, some[500]
	below, seen, rejected := 0, 0, 0
	for range draws {
		if _, v, err := sampler.Sample(rng, in); err != nil {
			t.Fatal(err)
		} else if v < middle {
			below++
		}
	}
	for range samples {
		if v := sample(); in.Contains(v) {
			if seen++; v < middle {
				rejected++
			}
		}
	}
	p, r := float64(below)/float64(draws), float64(rejected)/float64(seen)
	if sd := math.Sqrt(.25/float64(draws) + .25/float64(seen)); math.Abs(p-r) > 4*sd {
		t.Errorf("%.3f of the draws are below %d, by rejection %.3f (%d of them)", p, middle, r, seen)
	}
	share := float64(seen) / float64(samples)
	sd := math.Sqrt(share * (1 - share) / float64(samples))
	if low, high := sampler.Share(in); share < low-4*sd || share > high+4*sd {
		t.Errorf("share from %v to %v, by samples %v", low, high, share)
	}
}

// A space and what is made of it serve several goroutines at once, each as if it
// were alone.
func TestConcurrentUse(t *testing.T) {
	const text = "parts that exclude each other"
	type shared struct {
		*Space
		*Measured
		*Sampler
	}
	share := func() shared {
		s := parse(t, spaces[text])
		m := s.Measure(2, macsParams)
		return shared{s, m, m.Sampler(0)}
	}
	work := func(s shared, seed uint64) (done []Genome, err error) {
		rng := rand.New(rand.NewPCG(seed, 0))
		note := func(g Genome, failed error) Genome {
			done, err = append(done, g), errors.Join(err, failed)
			return g
		}
		b := s.Sampler.Bounds()
		for i := range int64(40) {
			x, y := note(s.Space.Sample(rng)), note(s.Space.Sample(rng))
			child := note(s.Crossover(rng, note(s.Mutate(rng, x)), y))
			neighbors, failed := s.Neighbors(rng, child)
			done, err = append(done, neighbors...), errors.Join(err, failed)
			hi := b.Greatest - (b.Greatest-b.Least)*i/60
			g, v, failed := s.Sampler.Sample(rng, Interval{b.Least, hi})
			note(g, failed)
			note(s.Feasible([]Interval{{b.Least, v}, {0, math.MaxInt64}}))
			var n arch.Network
			s.Network(g, &n)
			note(s.Genome(&n))
		}
		return done, err
	}
	together := share()
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			got, err := work(together, seed)
			if err != nil {
				t.Error(err)
				return
			}
			if want, _ := work(share(), seed); !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("seed %d leads elsewhere than alone", seed)
			}
		})
	}
	wg.Wait()
}

func TestFeasible(t *testing.T) {
	any := Interval{math.MinInt64, math.MaxInt64}
	undecided, joint := 0, 0
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		m := s.Measure(2, macsParams)
		var values [][]int64
		for _, key := range slices.Sorted(maps.Keys(all)) {
			values = append(values, valuesOf(t, s, all[key], 2, macsParams))
		}
		rapid.Check(t, func(t *rapid.T) {
			limit := func(q int) Interval {
				v := rapid.SampledFrom(values).Draw(t, "at")[q]
				shift := rapid.Int64Range(-2000, 2000).Draw(t, "shift")
				switch rapid.IntRange(0, 3).Draw(t, "kind") {
				case 0:
					return any
				case 1:
					return Interval{math.MinInt64, v + shift}
				case 2:
					return Interval{v + shift, math.MaxInt64}
				}
				return Interval{v + min(shift, 0), v + max(shift, 0)}
			}
			limits := []Interval{limit(0), limit(1)}
			ok, each := false, [2]bool{}
			for _, v := range values {
				ok = ok || limits[0].Contains(v[0]) && limits[1].Contains(v[1])
				each[0], each[1] = each[0] || limits[0].Contains(v[0]), each[1] || limits[1].Contains(v[1])
			}
			g, err := m.Feasible(limits)
			var infeasible *InfeasibleError
			switch {
			case err == nil:
				v := valuesOf(t, s, g, 2, macsParams)
				if !limits[0].Contains(v[0]) || !limits[1].Contains(v[1]) {
					t.Fatalf("%v has %v, limits %v", g, v, limits)
				}
			case errors.As(err, &infeasible):
				if ok {
					t.Fatalf("%v, but there is a network within %v", err, limits)
				}
				if q := infeasible.Quantity; q >= 0 && each[q] {
					t.Fatalf("%v, but there is a network within %v", err, limits[q])
				} else if q < 0 {
					joint++
				}
			case errors.Is(err, ErrUndecided):
				undecided++
			default:
				t.Fatal(err)
			}
		})
	})
	if joint == 0 {
		t.Error("limits that exclude each other were never recognised")
	}
	t.Logf("%d undecided", undecided)

	s, m := largeSpace(t)
	rng := rand.New(rand.NewPCG(1, 1))
	found := 0
	for range 12 { // few MACs for the parameters
		g, _ := s.Sample(rng)
		v := valuesOf(t, s, g, 2, macsParams)
		if _, err := m.Feasible([]Interval{{math.MinInt64, v[0]}, {v[1], math.MaxInt64}}); err == nil {
			found++
		}
	}
	if found < 11 {
		t.Errorf("of 12 networks that are within limits, only %d lead to one", found)
	}
	b := m.Bounds()
	for _, test := range []struct {
		name   string
		limits []Interval
		want   int // 0 none, else an infeasible quantity plus 2
	}{
		{"small", []Interval{{math.MinInt64, 4 * b[0].Least}, {math.MinInt64, 4 * b[1].Least}}, 0},
		{"too few MACs", []Interval{{math.MinInt64, b[0].Least - 1}, any}, 2},
		{"too many parameters", []Interval{any, {b[1].Greatest + 1, math.MaxInt64}}, 3},
		{"large on small budgets", []Interval{{math.MinInt64, b[0].Least}, {b[1].Greatest / 2, math.MaxInt64}}, 1},
	} {
		_, err := m.Feasible(test.limits)
		var infeasible *InfeasibleError
		got := 0
		if errors.As(err, &infeasible) {
			got = infeasible.Quantity + 2
		} else if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func BenchmarkMobile(b *testing.B) {
	s := readConfig(b, "mobile.yaml")
	rng := rand.New(rand.NewPCG(1, 2))
	x, _ := s.Sample(rng)
	b.Run("sample", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.Sample(rng)
		}
	})
	b.Run("mutate", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.Mutate(rng, x)
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			_ = s.Key(x)
		}
	})
	b.Run("measure", func(b *testing.B) {
		for b.Loop() {
			s.Measure(1, macsParams1)
		}
	})
	m := s.Measure(1, macsParams1)
	b.Run("tables", func(b *testing.B) {
		for b.Loop() {
			m.Sampler(0).Share(Interval{500e6, 600e6})
		}
	})
	b.Run("sampler", func(b *testing.B) {
		sampler := m.Sampler(0)
		strata := sampler.Strata(40)
		i := 0
		for b.Loop() {
			if _, _, err := sampler.Sample(rng, strata[i%len(strata)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "networks/s")
	})
}

func macsParams1(g *arch.Graph, values []int64) { values[0] = cost.Of(g).MACs }
