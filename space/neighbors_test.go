package space

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Neighbors are networks of the space, distinct, none the network itself, and the
// same for the same random numbers.
func TestNeighborsStayInTheSpace(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		rapid.Check(t, func(t *rapid.T) {
			seed := rapid.Uint64().Draw(t, "seed")
			g, _ := s.Sample(rand.New(rand.NewPCG(seed, 0)))
			before := slices.Clone(g)
			neighbors, err := s.Neighbors(rand.New(rand.NewPCG(seed, 1)), g)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(g, before) {
				t.Fatalf("the genome was changed from %v to %v", before, g)
			}
			if len(neighbors) == 0 && len(all) > 1 {
				t.Fatalf("%v has no neighbours", s.Words(g))
			}
			seen := map[string]bool{s.Key(g): true}
			for _, n := range neighbors {
				key := s.Key(n)
				if seen[key] {
					t.Fatalf("%v is among its neighbours, or has %v twice", s.Words(g), s.Words(n))
				}
				seen[key] = true
				if known, ok := all[key]; !ok || !slices.Equal(n, known) {
					t.Fatalf("neighbour %v cannot be built or is not canonical", n)
				}
			}
			again, err := s.Neighbors(rand.New(rand.NewPCG(seed, 1)), g)
			if err != nil || !slices.EqualFunc(neighbors, again, slices.Equal) {
				t.Fatalf("asked again, got other neighbours: %v", err)
			}
		})
	})
}

// Every network that differs in one gene is a neighbour, whatever the random
// numbers, if it can be built as it is and no gene becomes active; both ways, if its
// genome is canonical as it is and the same genes are active.
func TestNeighborsDifferInOneGene(t *testing.T) {
	eachSpace(t, func(t *testing.T, s *Space, all map[string]Genome) {
		known := make(map[string]map[string]bool)
		neighbors := func(key string) map[string]bool {
			if known[key] == nil {
				known[key] = make(map[string]bool)
				of, err := s.Neighbors(rand.New(rand.NewPCG(uint64(len(known)), 0)), all[key])
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range of {
					known[key][s.Key(n)] = true
				}
			}
			return known[key]
		}
		keys := slices.Sorted(maps.Keys(all))
		if testing.Short() {
			rand.New(rand.NewPCG(1, 1)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			keys = keys[:min(len(keys), 50)]
		}
		before, after := make([]bool, len(s.plan.Slots)), make([]bool, len(s.plan.Slots))
		for _, key := range keys {
			g := all[key]
			s.plan.Active(g, before)
			for i := range g {
				for o := range s.plan.Slots[i].Options {
					h := slices.Clone(g)
					h[i] = uint16(o)
					s.plan.Active(h, after)
					other := s.Key(h)
					canonical, ok := all[other]
					if !ok || other == key || grown(before, after) {
						continue
					}
					if !neighbors(key)[other] {
						t.Fatalf("%v is no neighbour of %v", s.Words(h), s.Words(g))
					}
					if slices.Equal(h, canonical) && slices.Equal(before, after) && !neighbors(other)[key] {
						t.Fatalf("%v is no neighbour of %v, only the other way round", s.Words(g), s.Words(h))
					}
				}
			}
		}
	})
}

// grown reports whether a gene has become active.
func grown(before, after []bool) bool {
	for i, on := range after {
		if on && !before[i] {
			return true
		}
	}
	return false
}

// In the space of NAS-Bench-Macro, where no gene becomes active and everything can
// be built, the neighbours are known: by brute force over all encodings of all
// networks, and those that have one operation throughout. From any network any
// other can be reached.
func TestNeighborsOfMacro(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s, err := Read("../configs/nas_bench_macro.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]map[string]bool)
	all := make(map[string]Genome)
	g := make(Genome, len(s.plan.Slots))
	var each func(i int, f func())
	each = func(i int, f func()) {
		if i == len(g) {
			f()
			return
		}
		for o := range s.plan.Slots[i].Options {
			g[i] = uint16(o)
			each(i+1, f)
		}
	}
	each(0, func() {
		key := s.Key(g)
		if all[key] == nil {
			all[key], want[key] = s.canonical(slices.Clone(g)), make(map[string]bool)
		}
		h := slices.Clone(g)
		for i := range h {
			for o := range s.plan.Slots[i].Options {
				if h[i] = uint16(o); s.Key(h) != key {
					want[key][s.Key(h)] = true
				}
			}
			h[i] = g[i]
		}
	})
	if len(all) != 3969 {
		t.Fatalf("%d networks", len(all))
	}

	forward, back := make(map[string][]string), make(map[string][]string)
	for key, g := range all {
		for _, option := range g {
			h := make(Genome, len(g))
			for i := range h {
				h[i] = option
			}
			if s.Key(h) != key {
				want[key][s.Key(h)] = true
			}
		}
		neighbors, err := s.Neighbors(rand.New(rand.NewPCG(1, 1)), g)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range neighbors {
			other := s.Key(n)
			if !want[key][other] {
				t.Fatalf("%v is a neighbour of %v", s.Words(n), s.Words(g))
			}
			forward[key], back[other] = append(forward[key], other), append(back[other], key)
		}
		if len(neighbors) != len(want[key]) {
			t.Fatalf("%v has %d neighbours, want %d", s.Words(g), len(neighbors), len(want[key]))
		}
	}
	// All can be reached from one network, and it from all.
	for name, edges := range map[string]map[string][]string{"from": forward, "to": back} {
		start := s.Key(make(Genome, len(g)))
		reached := map[string]bool{start: true}
		for next := []string{start}; len(next) > 0; next = next[1:] {
			for _, key := range edges[next[0]] {
				if !reached[key] {
					reached[key] = true
					next = append(next, key)
				}
			}
		}
		if len(reached) != len(all) {
			t.Errorf("there are ways %s one network from %d of %d", name, len(reached), len(all))
		}
	}
}

// Where one gene alone leads to nothing that can be built, the neighbour is what
// repairing it leads to.
func TestNeighborsAreRepaired(t *testing.T) {
	s := parse(t, `
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: conv, width: [8, 12]}
  - {block: conv, width: [24, 36], groups: [8, 12]}
head: {classes: 10}`)
	a, b, c := Genome{0, 0, 0}, Genome{1, 0, 1}, Genome{1, 1, 1} // all that there are
	for _, test := range []struct {
		of   Genome
		want []Genome
	}{
		{a, []Genome{b}},    // by the first width and the groups
		{b, []Genome{a, c}}, // c by the second width
		{c, []Genome{a, b}}, // a by the first width, and the second stage drawn anew
	} {
		got, err := s.Neighbors(rand.New(rand.NewPCG(1, 1)), test.of)
		if err != nil || !slices.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("neighbours of %v: %v, want %v (%v)", s.Words(test.of), got, test.want, err)
		}
	}
}

// A gene that a change makes matter is drawn: its zero means nothing.
func TestNeighborsDrawWhatBecomesActive(t *testing.T) {
	s := parse(t, `
input: {resolution: 32}
stem: {width: 8}
stages: [{block: [conv, inverted], width: 8, expansion: [1, 2, 3, 4]}]
head: {classes: 10}`)
	seen := make(map[string]int)
	for seed := range uint64(200) {
		neighbors, err := s.Neighbors(rand.New(rand.NewPCG(seed, 1)), Genome{0, 0})
		if err != nil || len(neighbors) != 1 {
			t.Fatalf("%v, %v", neighbors, err)
		}
		seen[s.Key(neighbors[0])]++
	}
	if len(seen) != 4 {
		t.Errorf("an inverted stage that was a conv stage has %d of 4 expansions", len(seen))
	}
}

// Networks that do the same everywhere are far from each other gene by gene, but
// not for Mutate: one mutation in twenty gives all stages the option that one has.
func TestMutateThroughout(t *testing.T) {
	s, err := Read("../configs/nas_bench_macro.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	parent := Genome{1, 1, 1, 1, 2, 2, 2, 2}
	seen := make(map[uint16]int) // options that all stages have
	const mutations = 10_000
	for range mutations {
		child, err := s.Mutate(rng, parent)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(child, func(o uint16) bool { return o != child[0] }) {
			seen[child[0]]++
		}
	}
	// Each of the parent's two options should come 250 times, with a standard
	// deviation of 16. Four genes hardly ever change to one option by chance.
	for option := range uint16(3) {
		if n := seen[option]; option > 0 && (n < 170 || n > 330) || option == 0 && n > 0 {
			t.Errorf("%d of %d mutations have option %d throughout", n, mutations, option)
		}
	}
}
