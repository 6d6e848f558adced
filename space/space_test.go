package space

import (
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
)

// spaces are small enough to enumerate, and each has a trap: parameters that
// only some types read, combinations that cannot be built, stages that can be
// left out, values for each block, a parameter that only matters with another.
var spaces = map[string]string{
	"fixed": `
input: {resolution: 32}
stem: {width: 8}
stages: [{block: conv, width: 8}]
head: {classes: 10}`,
	"groups that do not divide": `
input: {resolution: [16, 32]}
stem: {width: [8, 12], stride: 2}
stages:
  - {block: [conv, shuffle], width: [16, 24, 36], depth: [1, 2], stride: 2, groups: [1, 3, 8]}
head: {classes: 10}`,
	"too many strides": `
input: {resolution: [4, 8, 32]}
stem: {width: 8, stride: [1, 2]}
stages:
  - {block: separable, width: 8, stride: [1, 2], depth: [0, 1]}
  - {block: fire, width: [8, 16], stride: [1, 2], squeeze: [2, 4]}
  - {block: conv, width: 8, stride: 2}
head: {classes: 10}`,
	"values for each block": `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [inverted, conv], width: 8, depth: [1, 3], kernel: [3, 5], expansion: [1, 2], per_block: [kernel]}
head: {classes: 10, width: [0, 16]}`,
	"a parameter of a parameter": `
input: {resolution: 32}
activation: [relu, swish]
stem: {width: 8, activation: relu}
stages:
  - {block: inverted, width: [8, 16], depth: [1, 2], activation: relu, se: [0, 0.25], se_of: [hidden, input], per_block: [se]}
  - {block: conv, width: 8, depth: [0, 1]}
head: {classes: 10}`,
	"values of the whole network": `
input: {resolution: 16}
norm: [batch, none]
bias: [true, false]
stem: {width: 8}
stages:
  - {block: [conv, bottleneck], width: [8, 16], depth: [1, 2]}
head: {classes: 10, bias: [true, false]}`,
	"blocks that shrink": `
input: {resolution: [8, 12]}
stem: {width: 8, depth: [1, 2], pool: {kernel: 2}}
stages:
  - {block: [conv, separable], width: 8, depth: [1, 2, 3], padding: [0, 1]}
  - {block: conv, width: [8, 16], depth: [0, 1, 2], stride: 2, padding: 0}
head: {classes: 10}`,
	"stages left out": `
input: {resolution: 32}
activation: [relu, swish]
stem: {width: 8, activation: relu, depth: [1, 0]}
stages:
  - {block: [conv, shuffle], width: 8, depth: [2, 1, 0], group_first: [true, false], groups: 2}
  - {block: [conv, shuffle], width: 8, depth: [2, 1, 0], group_first: [true, false], groups: 2}
  - {block: conv, width: 8, depth: [0, 1], stride: [1, 2]}
  - {block: conv, width: 8, depth: [0, 1], stride: [1, 2]}
head: {classes: 10, activation: relu}`,
	"values for each block of stages left out": `
input: {resolution: 32}
stem: {block: inverted, width: 8, depth: [0, 2], expansion: [1, 2], per_block: [expansion]}
stages:
  - {block: inverted, width: 8, depth: [0, 1], expansion: [1, 2], per_block: [expansion]}
  - {block: inverted, width: 8, depth: [0, 1], expansion: [1, 2], per_block: [expansion]}
  - {block: [conv, identity], width: {blocks: [[8, 16], 8]}, depth: {from: 0, to: 2}}
head: {classes: 10}`,
	"identity that does something": `
input: {resolution: [4, 8]}
stem: {width: 8}
stages:
  - {block: [conv, identity], width: 8, stride: 2}
  - {block: [conv, identity], width: 8, stride: 2}
  - {block: identity, width: 8, depth: [0, 1], pool: {kernel: 2}}
head: {classes: 10}`,
	"identity": `
input: {resolution: [4, 8]}
stem: {width: 8}
stages:
  - {block: [conv, identity], width: [8, 16], stride: [2, 1]}
  - {block: [conv, identity], width: [8, 16], stride: [2, 1]}
  - {block: [identity, conv], width: 16}
  - {block: [identity, conv], width: 16}
  - {block: [identity, conv], width: 16}
head: {classes: 10}`,
	"identity of several depths": `
input: {channels: 8, resolution: 8}
activation: [relu, swish]
stem: {width: 8, depth: 0}
stages:
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: [2, 1]}
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: [2, 1]}
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: [2, 1]}
head: {classes: 10, activation: relu}`,
	"identity that must stand ahead": `
input: {channels: 8, resolution: 8}
stem: {width: 8}
stages:
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2, kernel: [3, 5]}
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2, kernel: [3, 5]}
  - {block: [identity, separable], width: {blocks: [8, [8, 16]]}, depth: 2, kernel: [3, 5]}
  - {block: identity, width: [8, 16], depth: [1, 2]}
head: {classes: 10}`,
	"alone or together": `
input: {resolution: 8}
stem: {width: 8}
stages:
  - {block: [identity, conv], width: 8, depth: [1, 2], activation: [swish, relu]}
  - {block: conv, width: 8, depth: [0, 1], activation: relu}
  - {block: conv, width: 8, depth: [0, 1]}
  - {block: conv, width: 8, depth: [0, 1], activation: relu}
  - {block: identity, width: 8}
  - {block: identity, width: 8}
  - {block: identity, width: 8, pool: {kernel: 2}}
  - {block: identity, width: 8, pool: {kernel: 2}}
head: {classes: 10}`,
	"parts that exclude each other": `
input: {resolution: 32}
stem: {width: [9, 16]}
stages:
  - {block: [conv, separable], width: [15, 16], groups: [1, 4]}
  - {block: shuffle, width: [20, 30], groups: [4, 5], depth: [1, 2]}
head: {classes: 10, hidden: [0, 16], layers: [1, 2]}`,
}

// eachSpace calls f for each of spaces, with all its networks, which f must not
// change.
func eachSpace(t *testing.T, f func(t *testing.T, s *Space, all map[string]Genome)) {
	for _, name := range slices.Sorted(maps.Keys(spaces)) {
		t.Run(name, func(t *testing.T) {
			e, ok := enumerated[name]
			if !ok {
				e.space = parse(t, spaces[name])
				e.all = enumerate(e.space.plan)
				enumerated[name] = e
			}
			f(t, e.space, e.all)
		})
	}
}

// enumerated remembers what all tests ask for.
var enumerated = make(map[string]struct {
	space *Space
	all   map[string]Genome
})

func parse(t testing.TB, text string) *Space {
	t.Helper()
	s, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// enumerate returns all networks that can be built, canonical genomes by their
// keys, by trying every combination of options.
func enumerate(plan *arch.Plan) map[string]Genome {
	s := &Space{plan: plan}
	s.flags.New = func() any { f := make([]bool, len(plan.Slots)); return &f }
	all := make(map[string]Genome)
	g := make(Genome, len(plan.Slots))
	var n arch.Network
	var graph arch.Graph
	var try func(i int)
	try = func(i int) {
		if i == len(g) {
			if plan.Build(g, &n); n.Lower(&graph) == nil {
				all[s.Key(g)] = s.canonical(slices.Clone(g))
			}
			return
		}
		for v := range plan.Slots[i].Options {
			g[i] = uint16(v)
			try(i + 1)
		}
	}
	try(0)
	return all
}

func TestSizeEqualsEnumeration(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		if got, want := s.Size(), big.NewInt(int64(len(all))); got.Cmp(want) != 0 {
			t.Errorf("Size() = %v, but there are %v networks", got, want)
		}
	})
}

func TestBoundsEqualEnumeration(t *testing.T) {
	// Two additive quantities that choices move in different directions.
	measure := func(g *arch.Graph, values []int64) {
		values[0], values[1] = 0, 0
		for i := range g.Layers {
			if l := &g.Layers[i]; l.Op == arch.OpConv {
				values[0] += l.Out.Elements() * int64(l.KernelH) * int64(l.In.C/l.Groups)
				values[1] -= int64(l.Groups)
				if l.Bias {
					values[1] += 1000
				}
			}
		}
	}
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		var want []Bounds
		var n arch.Network
		var g arch.Graph
		for _, genome := range all {
			s.Network(genome, &n)
			if err := n.Lower(&g); err != nil {
				t.Fatal(err)
			}
			v := make([]int64, 2)
			measure(&g, v)
			if want == nil {
				want = []Bounds{{v[0], v[0]}, {v[1], v[1]}}
			}
			for i := range want {
				want[i].Least, want[i].Greatest = min(want[i].Least, v[i]), max(want[i].Greatest, v[i])
			}
		}
		if got := s.Bounds(2, measure); !slices.Equal(got, want) {
			t.Errorf("Bounds() = %v, want %v", got, want)
		}
	})
}

// Every network must be drawn about equally often: chi-square against the
// uniform distribution.
func TestSampleIsUniform(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		drawn := make(map[string]int)
		for key := range all {
			drawn[key] = 0
		}
		rng := rand.New(rand.NewPCG(1, 2))
		each := 100
		if testing.Short() {
			each = 20
		}
		for range each * len(all) {
			g, err := s.Sample(rng)
			if err != nil {
				t.Fatal(err)
			}
			key := s.Key(g)
			if _, ok := all[key]; !ok {
				t.Fatalf("drew %v, which cannot be built", s.Words(g))
			}
			drawn[key]++
		}
		if chi, most := chiSquare(drawn, each); chi > most {
			t.Errorf("chi-square of %.0f over %d networks, more than %.0f", chi, len(all), most)
		}
	})
}

// chiSquare compares draws with the uniform distribution, of which each value
// should come so often. It exceeds most once in 10^9 times (Wilson and Hilferty 1931).
func chiSquare(drawn map[string]int, each int) (chi, most float64) {
	for _, n := range drawn {
		d := float64(n - each)
		chi += d * d / float64(each)
	}
	k := float64(len(drawn) - 1)
	if k == 0 {
		return chi, 0
	}
	return chi, k * math.Pow(1-2/(9*k)+6*math.Sqrt(2/(9*k)), 3)
}

func TestOperatorsStayInTheSpace(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		rapid.Check(t, func(t *rapid.T) {
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			a, _ := s.Sample(rng)
			b, _ := s.Sample(rng)
			before := slices.Clone(a)
			m, err := s.Mutate(rng, a)
			if err != nil {
				t.Fatal(err)
			}
			c, err := s.Crossover(rng, a, b)
			if err != nil {
				t.Fatal(err)
			}
			for what, g := range map[string]Genome{"mutation": m, "crossover": c} {
				known, ok := all[s.Key(g)]
				if !ok {
					t.Fatalf("%s %v cannot be built", what, g)
				}
				if !slices.Equal(g, known) {
					t.Fatalf("%s %v is not canonical, want %v", what, g, known)
				}
			}
			if !slices.Equal(a, before) {
				t.Fatalf("the parent was changed from %v to %v", before, a)
			}
			if len(all) > 8 && slices.Equal(m, a) && rapid.Bool().Draw(t, "") {
				m, _ = s.Mutate(rng, a)
				if slices.Equal(m, a) {
					t.Fatalf("mutation changed nothing, twice: %v", s.Words(a))
				}
			}
		})
	})
}

// Any genome, however impossible, is repaired into the space, and one that can
// be built is left alone.
func TestRepair(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		rapid.Check(t, func(t *rapid.T) {
			g := make(Genome, len(s.plan.Slots))
			for i := range g {
				g[i] = uint16(rapid.IntRange(0, len(s.plan.Slots[i].Options)-1).Draw(t, s.plan.Slots[i].Path))
			}
			want, fits := all[s.Key(g)]
			if err := s.Repair(rand.New(rand.NewPCG(1, 1)), g); err != nil {
				t.Fatal(err)
			}
			if fits && !slices.Equal(g, want) {
				t.Fatalf("changed %v to %v, although it can be built", want, g)
			}
			if _, ok := all[s.Key(g)]; !ok {
				t.Fatalf("%v cannot be built", g)
			}
		})
	})
}

func TestGenomeIsTheInverseOfNetwork(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		for _, g := range all {
			var n arch.Network
			s.Network(g, &n)
			back, err := s.Genome(&n)
			if err != nil || !slices.Equal(back, g) {
				t.Fatalf("Genome(Network(%v)) = %v, %v", g, back, err)
			}
		}
		n, err := arch.Reference("vgg16")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Genome(n); err == nil || !strings.Contains(err.Error(), "not of this space") {
			t.Errorf("a foreign network: got error %v", err)
		}
	})
}

func TestImpossibleSpaces(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"groups never divide", `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: conv, width: [10, 14], groups: [3, 4]}
head: {classes: 10}`, "test.yaml:5:26: no network of this space can be built: stages.0.0: "},
		{"resolution too small", `
input: {resolution: [2, 4]}
stem: {width: 8, stride: 2}
stages:
  - {block: conv, width: 8, stride: 2}
  - {block: conv, width: 8, stride: 2}
  - {block: conv, width: 8}
head: {classes: 10}`, "test.yaml:6:5: no network of this space can be built: stages.1.0: a map of 1 pixel cannot be downsampled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("test.yaml", []byte(test.text))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got error  %v\nwant prefix %s", err, test.want)
			}
		})
	}
}

// A gene that a mutation makes matter is drawn: its zero means nothing.
func TestMutationDrawsWhatBecomesActive(t *testing.T) {
	s := parse(t, `
input: {resolution: 32}
stem: {width: 8}
stages: [{block: [conv, inverted], width: 8, expansion: [1, 2, 3, 4]}]
head: {classes: 10}`)
	expansion := slices.IndexFunc(s.Genes(), func(g Gene) bool { return g.Name == "stages.0.expansion" })
	rng := rand.New(rand.NewPCG(1, 1))
	seen := make(map[uint16]bool)
	for range 200 {
		g, err := s.Mutate(rng, make(Genome, 2)) // a conv stage can only become an inverted one
		if err != nil {
			t.Fatal(err)
		}
		seen[g[expansion]] = true
	}
	if len(seen) != 4 {
		t.Errorf("an inverted stage that was a conv stage has the expansions %v only", seen)
	}
}

// What would take for ever is refused, soon.
func TestUnreasonableSpaces(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"too many choices", `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: bottleneck, width: {from: 1, to: 4000}, hidden: {from: 1, to: 4000}}
head: {classes: 10}`, "test.yaml:5:5: this stage has too many choices to be counted"},
		{"too many layers", "input: {resolution: 32}\nstem: {width: 8}\nstages:" + strings.Repeat("\n  - {block: conv, width: 8, depth: [1, 256]}", 70) +
			"\nhead: {classes: 10}", "test.yaml:4:5: networks of this space have up to 53766 layers; at most 16384 are supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() && test.name == "too many choices" {
				t.Skip("counts millions of them")
			}
			_, err := Parse("test.yaml", []byte(test.text))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got error  %v\nwant prefix %s", err, test.want)
			}
		})
	}
}

// One way in 10^12 to build a stage is found.
func TestSampleWhatHardlyFits(t *testing.T) {
	s := parse(t, `
input: {resolution: 32}
stem: {width: 16}
stages:
  - {block: conv, width: 16, depth: 20, groups: [1, 3, 5, 7], per_block: [groups]}
head: {classes: 10}`)
	g, err := s.Sample(rand.New(rand.NewPCG(1, 1)))
	if err != nil || !slices.Equal(g, make(Genome, 20)) || s.Size().Int64() != 1 {
		t.Errorf("of %v networks, drew %v, %v", s.Size(), g, err)
	}
}

func BenchmarkSpace(b *testing.B) {
	s := parse(b, spaces["parts that exclude each other"])
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
	b.Run("decode", func(b *testing.B) {
		var n arch.Network
		b.ReportAllocs()
		for b.Loop() {
			s.Network(x, &n)
		}
	})
}
