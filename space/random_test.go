package space

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/efficientnas/nas/arch"
)

// params are parameters of block types, with values that some blocks can be built
// with, in several orders, and not in others.
var params = map[string][][2]string{
	"conv":       {{"kernel", "1, 3"}, {"groups", "1, 2"}, {"groups", "3, 1"}, {"padding", "0, 1"}},
	"separable":  {{"kernel", "3, 1"}, {"residual", "false, true"}},
	"inverted":   {{"kernel", "1, 3"}, {"expansion", "1, 2"}, {"se", "0.25, 0"}, {"se_of", "hidden, input"}, {"divisor", "1, 8"}},
	"fire":       {{"squeeze", "0, 4"}, {"squeeze_ratio", "0.25, 0.5"}, {"residual", "false, true"}},
	"shuffle":    {{"groups", "1, 2"}, {"groups", "4, 1"}, {"group_first", "true, false"}},
	"bottleneck": {{"hidden", "0, 4"}, {"ratio", "0.25, 0.5"}},
}

// randomSpace draws a space of at most so many genomes, most of whose stages are
// like the one before.
func randomSpace(t *rapid.T, most int) (text string, plan *arch.Plan) {
	pick := func(label string, options ...string) string { return rapid.SampledFrom(options).Draw(t, label) }
	stage := func(label, blocks string) string {
		depth := pick(label+"'s depth", "1", "2", "[1, 2]", "[2, 1]", "[0, 1]", "[1, 0]", "[2, 0]", "[0, 2]", "{from: 0, to: 2}", "0")
		widths := []string{"8", "8", "[8, 16]", "[16, 8]", "{from: 8, to: 16, step: 8}"}
		deepest := 0
		for n, digit := range "012" {
			if strings.ContainsRune(depth, digit) {
				deepest = n
			}
		}
		if deepest == 2 {
			widths = append(widths, "{blocks: [8, [8, 16]]}", "{blocks: [[16, 8], 8]}")
		}
		width := pick(label+"'s width", widths...)
		s := "{block: " + blocks + ", width: " + width + ", depth: " + depth +
			pick(label+"'s stride", "", "", "", ", stride: 2", ", stride: [1, 2]", ", stride: [2, 1]") +
			pick(label+"'s activation", "", "", "", ", activation: [relu, swish]", ", activation: relu") +
			pick(label+"'s pool", "", "", "", "", ", pool: {kernel: 2}")

		var names, apart []string
		words := strings.FieldsFunc(blocks, func(r rune) bool { return strings.ContainsRune("[]{},: ", r) })
		for _, block := range words {
			for _, p := range params[block] {
				// A variant's own values come before the stage's.
				if slices.Contains(names, p[0]) || slices.Contains(words, p[0]) || rapid.IntRange(0, 2).Draw(t, label+"'s "+p[0]) > 0 {
					continue
				}
				names = append(names, p[0])
				first, second, _ := strings.Cut(p[1], ", ")
				value := pick("values", "["+p[1]+"]", "["+p[1]+"]", "["+p[1]+"]", "["+second+", "+first+"]", second, "{blocks: [["+p[1]+"], "+second+"]}")
				switch {
				case !strings.Contains(value, "blocks") && rapid.Bool().Draw(t, "for each block"):
					apart = append(apart, p[0])
				case strings.Contains(value, "blocks") && deepest != 2:
					value = second
				}
				s += ", " + p[0] + ": " + value
			}
		}
		if len(apart) > 0 {
			s += ", per_block: [" + strings.Join(apart, ", ") + "]"
		}
		return s + "}\n"
	}
	blocks := func() string {
		return pick("blocks", "conv", "inverted", "identity", "fire", "[conv, identity]", "[identity, separable]", "[inverted, conv]", "[conv, shuffle]",
			"[identity, {block: inverted, expansion: 2}, {block: inverted, kernel: 5}]", "[bottleneck, identity, conv]")
	}

	before := "input: {channels: " + pick("channels", "8", "8", "[8, 16]") + ", resolution: " + pick("resolution", "[4, 6]", "4", "{from: 2, to: 4}") +
		"}\nactivation: " + pick("network's activation", "relu", "[relu, swish]") + pick("norm", "", "", "\nnorm: [batch, none]") + pick("bias", "", "", "\nbias: [true, false]") +
		"\nstem: " + stage("stem", pick("stem's block", "conv", "conv", "inverted")) + "stages:\n"
	after := "head: {classes: 10" + pick("head", "", "", ", width: [0, 16]", ", hidden: [0, 8], layers: [1, 2]", ", classifier: [linear, conv], hidden: [0, 8]") +
		pick("head's activation", "", ", activation: relu", ", activation: [relu, swish]") + "}"
	last, stages := "", ""
	for i := range rapid.IntRange(1, 5).Draw(t, "stages") {
		if i == 0 || rapid.IntRange(0, 3).Draw(t, "another") == 0 {
			last = "  - " + stage(fmt.Sprint("stage ", i), blocks())
		}
		larger := before + stages + last + after
		tmpl, err := arch.ParseTemplate("test.yaml", []byte(larger))
		if err != nil {
			t.Fatalf("%v of\n%s", err, larger)
		}
		p, err := tmpl.Compile()
		if err != nil {
			t.Fatalf("%v of\n%s", err, larger)
		}
		genomes := 1
		for _, slot := range p.Slots {
			if genomes *= len(slot.Options); genomes > most {
				if plan == nil {
					t.Skip("too large")
				}
				return text, plan
			}
		}
		text, plan, stages = larger, p, stages+last
	}
	return text, plan
}

// Count, enumeration, draws, operators, bounds and their networks agree with what
// trying every genome finds, in spaces of every feature, of repeated stages that may
// do nothing.
func TestRandomSpaces(t *testing.T) {
	sizes, repeated := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text, plan := randomSpace(t, 2000)
		want := enumerate(plan)
		s, err := Parse("test.yaml", []byte(text))
		if err != nil {
			if len(want) > 0 {
				t.Fatalf("%v, but there are %d networks of\n%s", err, len(want), text)
			}
			t.Skip(err)
		}
		if got := s.Size(); got.Cmp(big.NewInt(int64(len(want)))) != 0 {
			t.Fatalf("size %v, want %d of\n%s", got, len(want), text)
		}
		sizes++
		genomes := 1
		for _, slot := range plan.Slots {
			genomes *= len(slot.Options)
		}
		if len(want) < genomes {
			repeated++
		}
		// canonical reports whether g is the canonical genome of a network.
		canonical := func(g Genome) bool { return slices.Equal(want[s.Key(g)], g) }

		all, err := s.All()
		if err != nil {
			t.Fatal(err)
		}
		m, meter := s.Measure(2, layersAndWidth), s.Meter(2, layersAndWidth)
		var bounds []Bounds
		values := make(map[string][]int64)
		for g := range all {
			if !canonical(g) {
				t.Fatalf("%v is none of\n%s", g, text)
			}
			key, v, metered := s.Key(g), valuesOf(t, s, g, 2, layersAndWidth), make([]int64, 2)
			if values[key] != nil {
				t.Fatalf("%v twice among all of\n%s", g, text)
			}
			values[key] = v
			if err := meter.Measure(g, metered); err != nil || !slices.Equal(metered, v) {
				t.Fatalf("metered %v, %v, want %v of %v of\n%s", metered, err, v, g, text)
			}
			if bounds == nil {
				bounds = []Bounds{{v[0], v[0]}, {v[1], v[1]}}
			}
			for q := range v {
				bounds[q] = Bounds{min(bounds[q].Least, v[q]), max(bounds[q].Greatest, v[q])}
			}
		}
		if len(values) != len(want) {
			t.Fatalf("%d networks, want %d of\n%s", len(values), len(want), text)
		}
		if got := m.Bounds(); !slices.Equal(got, bounds) {
			t.Fatalf("bounds %v, want %v of\n%s", got, bounds, text)
		}
		if got := s.Bounds(2, layersAndWidth); !slices.Equal(got, bounds) {
			t.Fatalf("Space.Bounds %v, want %v of\n%s", got, bounds, text)
		}
		for q, b := range bounds {
			least, greatest := m.Extreme(q)
			for _, e := range []struct {
				g    Genome
				want int64
			}{{least, b.Least}, {greatest, b.Greatest}} {
				if !canonical(e.g) || values[s.Key(e.g)][q] != e.want {
					t.Fatalf("extreme %v of quantity %d has %d, want %d of\n%s", e.g, q, values[s.Key(e.g)], e.want, text)
				}
			}
		}

		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if len(want) <= 100 {
			drawn, inside := make(map[string]int), make(map[string]int)
			q := rng.IntN(2)
			in := Interval{bounds[q].Least, (bounds[q].Least + bounds[q].Greatest) / 2}
			if in.Hi == in.Lo {
				in.Hi = bounds[q].Greatest
			}
			for key, v := range values {
				drawn[key] = 0
				if in.Contains(v[q]) {
					inside[key] = 0
				}
			}
			draw := func(drawn map[string]int, sample func() (Genome, error)) {
				const each = 20
				n := len(drawn)
				for range each * n {
					g, err := sample()
					if err != nil || !canonical(g) {
						t.Fatalf("drew %v, %v of\n%s", g, err, text)
					}
					drawn[s.Key(g)]++
				}
				if len(drawn) != n {
					t.Fatalf("drew %d of %d networks of\n%s", len(drawn), n, text)
				}
				if chi, most := chiSquare(drawn, each); chi > most {
					t.Fatalf("chi-square of %.0f over %d networks, more than %.0f, of\n%s", chi, n, most, text)
				}
			}
			draw(drawn, func() (Genome, error) { return s.Sample(rng) })
			sampler := m.Sampler(q)
			draw(inside, func() (Genome, error) { g, _, err := sampler.Sample(rng, in); return g, err })
		}
		for range 10 {
			a, err := s.Sample(rng)
			b, _ := s.Sample(rng)
			if err != nil || !canonical(a) || !canonical(b) {
				t.Fatalf("drew %v, %v, %v of\n%s", a, b, err, text)
			}
			mutant, err := s.Mutate(rng, a)
			if err != nil || !canonical(mutant) {
				t.Fatalf("%v mutated to %v, %v of\n%s", a, mutant, err, text)
			}
			child, err := s.Crossover(rng, a, b)
			if err != nil || !canonical(child) {
				t.Fatalf("%v and %v crossed to %v, %v of\n%s", a, b, child, err, text)
			}
			var n arch.Network
			s.Network(a, &n)
			if back, err := s.Genome(&n); err != nil || !slices.Equal(back, a) {
				t.Fatalf("Genome(Network(%v)) = %v, %v of\n%s", a, back, err, text)
			}
			for i, slot := range plan.Slots { // any, also what cannot be built
				child[i] = uint16(rng.IntN(len(slot.Options)))
			}
			before := slices.Clone(child)
			fits := want[s.Key(child)]
			if err := s.Repair(rng, child); err != nil || !canonical(child) || fits != nil && !slices.Equal(child, fits) {
				t.Fatalf("%v repaired to %v, %v of\n%s", before, child, err, text)
			}
		}
		g, _ := s.Sample(rng)
		neighbors, err := s.Neighbors(rng, g)
		if err != nil || len(neighbors) == 0 && len(want) > 1 || slices.ContainsFunc(neighbors, func(n Genome) bool { return !canonical(n) || slices.Equal(n, g) }) {
			t.Fatalf("%v has the neighbours %v, %v of\n%s", g, neighbors, err, text)
		}
	})
	if repeated < sizes/4 {
		t.Errorf("of %d spaces, only %d have genomes that are one network", sizes, repeated)
	}
}
